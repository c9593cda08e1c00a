"""Thirty exports as shops write them, each with one trap: written by us, in the forms that the systems document.

``python tests/exports.py FOLDER`` writes them. Each has the same three garments unless it says otherwise.
"""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import openpyxl
from PIL import Image

COLOURS = {"tee": (200, 30, 40), "coat": (30, 60, 160), "skirt": (40, 150, 70)}
TITLES = {"tee": "Red tee", "coat": "Blue coat", "skirt": "Green skirt"}
JAPANESE = {"tee": "赤いＴシャツ", "coat": "青いコート（ロング）", "skirt": "緑のプリーツスカート"}
CHINESE = {"tee": "红色短袖衬衫", "coat": "蓝色的长款大衣", "skirt": "绿色百褶半身裙"}
PRICES = {"tee": 1990.0, "coat": 12990.0, "skirt": 3990.0}


class Export(NamedTuple):
    """A file, the options it is read with, what its trap is, and what the first product must be."""

    file: str
    trap: str
    write: Callable[[Path], None]
    product_id: str = "tee"
    price: float | None = 1990.0
    currency: str | None = None
    title: str = "Red tee"
    products: int = 3
    photos: int = 1
    options: str = ""
    attributes: dict[str, object] = {}
    errors: int = 0


def table(
    lines: Sequence[Sequence[object]],
    *,
    encoding: str = "utf-8",
    delimiter: str = ",",
    end: str = "\r\n",
    head: str = "",
) -> Callable[[Path], None]:
    """Lines as delimited text."""

    def write(path: Path) -> None:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(lines)
        data = (head + file.getvalue()).encode(encoding)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    return write


def plain(
    titles: dict[str, str] = TITLES, header: Sequence[str] = ("photo", "product_id", "title", "price")
) -> list[list[object]]:
    return [list(header), *([f"{key}.jpg", key, titles[key], f"{PRICES[key]:.0f}"] for key in TITLES)]


def priced(*texts: str) -> list[list[object]]:
    return [
        ["photo", "product_id", "title", "price"],
        *([f"{key}.jpg", key, TITLES[key], one] for key, one in zip(TITLES, texts, strict=True)),
    ]


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Spring collection", None, None, None])
    sheet.append([])
    sheet.append(["Image", "SKU", "Product Name", "Price", "Since"])
    for key in TITLES:
        sheet.append([f"{key}.jpg", key, TITLES[key], PRICES[key], "2026/1/31"])
    book.create_sheet("Notes").append(["nothing here"])
    book.save(path)


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode()) and None


def document(path: Path) -> None:
    items = [
        {
            "id": key,
            "title": TITLES[key],
            "images": [{"src": f"{key}.jpg"}],
            "variants": [{"price": f"{PRICES[key]:.2f}", "size": size} for size in "SM"],
        }
        for key in TITLES
    ]
    path.write_text(json.dumps({"products": items}))


def json_lines(path: Path) -> None:
    items = [
        {"photo": f"{key}.jpg", "product_id": key, "title": TITLES[key], "price": PRICES[key], "sizes": ["S", "M"]}
        for key in TITLES
    ]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


GOOGLE = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
<channel><title>Shop</title><link>https://shop.example</link><description>A shop</description>
{items}
</channel></rss>
"""
ITEM = """<item><g:id>{key}-{size}</g:id><g:item_group_id>{key}</g:item_group_id><g:title>{title}</g:title>
<g:description>A &amp; B</g:description><g:link>https://shop.example/{key}</g:link>
<g:image_link>{key}.jpg</g:image_link><g:additional_image_link>{key}-back.jpg</g:additional_image_link>
<g:price>{price:.2f} JPY</g:price><g:brand>Osoroi</g:brand><g:size>{size}</g:size><g:color>plain</g:color>
<g:availability>in_stock</g:availability><g:google_product_category>1604</g:google_product_category>
<g:product_type>Clothing &gt; Tops</g:product_type></item>"""


def google_feed(path: Path) -> None:
    items = "".join(
        ITEM.format(key=key, title=TITLES[key], price=PRICES[key], size=size) for key in TITLES for size in "SM"
    )
    path.write_text(GOOGLE.format(items=items))


def google_lines() -> list[list[object]]:
    header = "id,title,description,link,image_link,additional_image_link,availability,price,brand,condition,size,item_group_id"
    return [
        header.split(","),
        *(
            [
                f"{key}-{size}",
                TITLES[key],
                "x",
                f"https://shop.example/{key}",
                f"{key}.jpg",
                f"{key}-back.jpg",
                "in_stock",
                f"{PRICES[key]:.2f} JPY",
                "Osoroi",
                "new",
                size,
                key,
            ]
            for key in TITLES
            for size in "SM"
        ),
    ]


SHOPIFY = [
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Product Category",
    "Type",
    "Tags",
    "Published",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Option3 Name",
    "Option3 Value",
    "Variant SKU",
    "Variant Grams",
    "Variant Inventory Tracker",
    "Variant Inventory Qty",
    "Variant Inventory Policy",
    "Variant Fulfillment Service",
    "Variant Price",
    "Variant Compare At Price",
    "Variant Requires Shipping",
    "Variant Taxable",
    "Variant Barcode",
    "Image Src",
    "Image Position",
    "Image Alt Text",
    "Gift Card",
    "SEO Title",
    "SEO Description",
    "Variant Image",
    "Variant Weight Unit",
    "Variant Tax Code",
    "Cost per item",
    "Status",
]


def shopify(path: Path) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, SHOPIFY)
    writer.writeheader()
    for key in TITLES:
        base = {"Handle": key, "Variant Price": f"{PRICES[key]:.2f}"}
        first = {"Title": TITLES[key], "Body (HTML)": "<p>Soft, warm</p>", "Vendor": "Osoroi", "Type": "Clothing"}
        first |= {"Tags": "new, sale", "Published": "true", "Option1 Name": "Size", "Status": "active"}
        writer.writerow(base | first | {"Option1 Value": "S", "Image Src": f"{key}.jpg", "Image Position": "1"})
        writer.writerow(base | {"Option1 Value": "M", "Image Src": f"{key}-back.jpg", "Image Position": "2"})
        writer.writerow(base | {"Option1 Value": "L"})
    writer.writerow(
        {"Handle": "old", "Title": "Old", "Variant Price": "1.00", "Image Src": "tee.jpg", "Status": "archived"}
    )
    path.write_text(file.getvalue())


WOO = (
    'ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Is featured?","Visibility in catalog","Short description",'
    'Description,"Date sale price starts","Date sale price ends","Tax status","Tax class","In stock?",Stock,'
    '"Low stock amount","Backorders allowed?","Sold individually?","Weight (kg)","Length (cm)","Width (cm)","Height (cm)",'
    '"Allow customer reviews?","Purchase note","Sale price","Regular price",Categories,Tags,"Shipping class",Images,'
    '"Download limit","Download expiry days",Parent,"Grouped products",Upsells,Cross-sells,"External URL","Button text",'
    'Position,"Attribute 1 name","Attribute 1 value(s)","Attribute 1 visible","Attribute 1 global"'
)


def woocommerce(path: Path) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, next(csv.reader([WOO])))
    writer.writeheader()
    for number, key in enumerate(TITLES):
        images = f"{key}.jpg, {key}-back.jpg"
        parent = {
            "ID": 10 + number,
            "Type": "variable",
            "SKU": key,
            "Name": TITLES[key],
            "Published": 1,
            "Images": images,
        }
        parent |= {
            "Categories": "Clothing, Clothing > Tops",
            "Tags": "new, sale",
            "Attribute 1 name": "Size",
            "Attribute 1 value(s)": "S, M",
        }
        writer.writerow(parent)
        for size in "SM":
            line = {
                "ID": 100 + 2 * number + (size == "M"),
                "Type": "variation",
                "SKU": f"{key}-{size}",
                "Name": f"{TITLES[key]} - {size}",
            }
            line |= {
                "Published": 1,
                "Regular price": f"{PRICES[key]:.0f}",
                "Parent": key,
                "Attribute 1 name": "Size",
                "Attribute 1 value(s)": size,
            }
            writer.writerow(line)
    writer.writerow({"ID": 99, "Type": "simple", "Name": "Draft", "Published": -1, "Images": "tee.jpg"})
    path.write_text("\ufeff" + file.getvalue())


RAKUTEN = [
    "コントロールカラム",
    "商品管理番号（商品URL）",
    "商品番号",
    "全商品ディレクトリID",
    "タグID",
    "PC用キャッチコピー",
    "モバイル用キャッチコピー",
    "商品名",
    "販売価格",
    "表示価格",
    "消費税",
    "送料",
    "商品画像URL",
    "商品画像名（ALT）",
    "在庫タイプ",
    "在庫数",
    "倉庫指定",
]


def rakuten_lines() -> list[list[object]]:
    image = "https://image.rakuten.co.jp/osoroi/cabinet/{}.jpg"
    return [
        RAKUTEN,
        *(
            [
                "u",
                key,
                f"A-{key}",
                "101077",
                "",
                "",
                "",
                JAPANESE[key],
                f"{PRICES[key]:.0f}",
                "",
                "1",
                "0",
                f"{image.format(key)} {image.format(key + '_2')}",
                "",
                "1",
                "5",
                "0",
            ]
            for key in TITLES
        ),
    ]


RAKUTEN_SKU = [
    "商品管理番号（商品URL）",
    "商品番号",
    "商品名",
    "倉庫指定",
    "ジャンルID",
    "バリエーション項目キー定義",
    "バリエーション項目名定義",
    "バリエーション1選択肢定義",
    "商品画像タイプ1",
    "商品画像パス1",
    "商品画像タイプ2",
    "商品画像パス2",
    "SKU管理番号",
    "バリエーション項目キー1",
    "バリエーション項目選択肢1",
    "通常購入販売価格",
    "在庫数",
]


def rakuten_sku_lines() -> list[list[object]]:
    lines: list[list[object]] = [RAKUTEN_SKU]
    for key in TITLES:
        lines.append(
            [
                key,
                f"A-{key}",
                JAPANESE[key],
                "0",
                "101077",
                "k1",
                "サイズ",
                "S|M",
                "CABINET",
                f"/{key}.jpg",
                "CABINET",
                f"/{key}_2.jpg",
                "",
                "",
                "",
                "",
                "",
            ]
        )
        lines += [[key, *[""] * 11, f"{key}-{size}", "k1", size, f"{PRICES[key]:.0f}", "5"] for size in "SM"]
    return lines


YAHOO = [
    "path",
    "name",
    "code",
    "sub-code",
    "original-price",
    "price",
    "sale-price",
    "options",
    "headline",
    "caption",
    "abstract",
    "explanation",
    "additional1",
    "additional2",
    "additional3",
    "relevant-links",
    "ship-weight",
    "taxable",
    "release-date",
    "temporary-point-term",
    "point-code",
    "meta-key",
    "meta-desc",
    "template",
    "sale-period-start",
    "sale-period-end",
    "sale-limit",
    "sp-code",
    "brand-code",
    "person-code",
    "yahoo-product-code",
    "product-code",
    "jan",
    "isbn",
    "delivery",
    "astk-code",
    "condition",
    "taojapan",
    "product-category",
    "spec1",
    "spec2",
    "spec3",
    "spec4",
    "spec5",
    "display",
    "sort",
    "sp-additional",
    "item-image-urls",
]


def yahoo_lines() -> list[list[object]]:
    lines: list[list[object]] = [YAHOO]
    for key in TITLES:
        cells = {
            "path": "レディース:トップス",
            "name": JAPANESE[key],
            "code": key,
            "price": f"{PRICES[key]:.0f}",
            "display": "1",
        }
        cells |= {"sub-code": f"サイズ:S={key}s&サイズ:M={key}m", "product-category": "2495", "options": "サイズ S M"}
        lines.append([cells.get(name, "") for name in YAHOO])
    return lines


SIZES = [
    ["photo", "id", "name", "size", "price"],
    *([f"{key}.jpg", key, TITLES[key], size, f"{PRICES[key]:.0f}"] for key in TITLES for size in ("S", "M")),
]
SKUS = [
    ["photo", "sku", "name", "サイズ", "price"],
    *(
        [f"{key}.jpg", f"{key}-{size}", TITLES[key], size, f"{PRICES[key]:.0f}"]
        for key in TITLES
        for size in ("S", "M")
    ),
]

EXPORTS = [
    Export("utf8.csv", "UTF-8", table(plain())),
    Export("utf16.csv", "UTF-16 as Excel writes 'Unicode text', by tabs", table(plain(), encoding="utf-16", delimiter="\t")),
    Export("cp932.csv", "CP932", table(plain(JAPANESE), encoding="cp932"), title=JAPANESE["tee"]),
    Export("euc_jp.csv", "EUC-JP", table(plain(JAPANESE), encoding="euc_jp"), title=JAPANESE["tee"]),
    Export("gb18030.csv", "GB18030", table(plain(CHINESE), encoding="gb18030"), title=CHINESE["tee"]),
    Export("cp1252.csv", "CP1252, semicolons, comma as decimal sign", table([["Bild", "Artikelnummer", "Titel", "Preis"], ["tee.jpg", "tee", "Größe für Mädchen", "1.990,00"], ["coat.jpg", "coat", "Mantel", "39,90"]], encoding="cp1252", delimiter=";"), title="Größe für Mädchen", products=2),
    Export("excel.xlsx", "Excel, a title above the header, a second sheet", workbook, attributes={"Since": "2026-01-31"}),
    Export("products.json", "JSON with lists of objects", document, attributes={"variants.size": ("S", "M")}),
    Export("lists.jsonl", "JSON Lines with a list", json_lines, attributes={"sizes": ("S", "M")}),
    Export("packed.csv.gz", "gzip", table(plain())),
    Export("stated.csv", "sep=; in the first line", table(plain(), delimiter=";", head="sep=;\r\n")),
    Export("yen.csv", "¥1,990", table(priced("¥1,990", "￥12,990", "3,990円")), currency="JPY"),
    Export("euro.csv", "39,90 €", table(priced("1.990,00 €", "12.990 €", "39,90 €")), currency="EUR"),
    Export("usd.csv", "39.90 USD", table(priced("1,990.00 USD", "12,990.50 USD", "39.90 USD")), currency="USD"),
    Export("swiss.csv", "CHF 1'990.00", table(priced("CHF 1'990.00", "CHF 12’990.50", "CHF 39.-")), currency="CHF"),
    Export("capitals.csv", "capitals and spaces in headers", table(plain(header=(" Image URL ", "Product ID", "Product Name", "PRICE")))),
    Export("japanese.csv", "Japanese headers", table(plain(JAPANESE, header=("商品画像", "商品コード", "商品名", "販売価格（税込）")), encoding="cp932"), title=JAPANESE["tee"]),
    Export("photos.csv", "several columns of photos", table([["id", "name", "image1", "image2", "price"], *([key, TITLES[key], f"{key}.jpg", f"{key}-back.jpg", f"{PRICES[key]:.0f}"] for key in TITLES)]), photos=2),
    Export("photo_list.csv", "photos as a list in a cell", table([["id", "name", "images", "price"], *([key, TITLES[key], f"{key}.jpg|{key}-back.jpg", f"{PRICES[key]:.0f}"] for key in TITLES)]), photos=2),
    Export("size_list.csv", "sizes as a list in a cell", table([["id", "name", "image", "price", "sizes"], *([key, TITLES[key], f"{key}.jpg", f"{PRICES[key]:.0f}", "S,M,L"] for key in TITLES)]), attributes={"sizes": ("S", "M", "L")}),
    Export("variants.csv", "a line for each size, under one id", table(SIZES), attributes={"size": ("S", "M")}),
    Export("variants_sku.csv", "a line for each size, with ids of their own and one photo", table(SKUS), product_id="tee-S", attributes={"サイズ": ("S", "M")}),
    Export("google.xml", "Google Merchant, RSS 2.0", google_feed, options="?recipe=google", product_id="tee-S", currency="JPY", photos=2, attributes={"size": ("S", "M")}),
    Export("google.tsv", "Google Merchant, TSV", table(google_lines(), delimiter="\t"), options="?recipe=google", product_id="tee-S", currency="JPY", photos=2, attributes={"size": ("S", "M")}),
    Export("shopify.csv", "Shopify: variants and photos in lines of one Handle", shopify, options="?recipe=shopify", photos=2, attributes={"Size": ("S", "M", "L")}),
    Export("woocommerce.csv", "WooCommerce: variations below their parent", woocommerce, options="?recipe=woocommerce", product_id="10", photos=2, attributes={"Size": ("S", "M")}),
    Export("rakuten.csv", "Rakuten item.csv, CP932, photo links apart by spaces", table(rakuten_lines(), encoding="cp932"), options="?recipe=rakuten", title=JAPANESE["tee"], currency="JPY", photos=2),
    Export("rakuten_sku.csv", "Rakuten normal-item.csv, SKU lines", table(rakuten_sku_lines(), encoding="cp932"), options="?recipe=rakuten_sku", title=JAPANESE["tee"], currency="JPY", photos=2, attributes={"サイズ": ("S", "M")}),
    Export("yahoo.csv", "Yahoo! Shopping data_add.csv, photos named by code", table(yahoo_lines(), encoding="cp932"), options="?recipe=yahoo_shopping", title=JAPANESE["tee"], currency="JPY"),
    Export("mistakes.csv", "a bad price, a line too short and one without a photo", lambda path: path.write_text("photo,id,name,price\ntee.jpg,tee,Red tee,1990\ncoat.jpg,coat,Blue coat,soon\nskirt.jpg,skirt\n,none,None,1\nskirt.jpg,skirt,Green skirt,3990\n") and None, products=2, errors=3),
]  # fmt: skip


def write_all(folder: Path) -> None:
    """Write every export, and the photos that they name."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, colour in COLOURS.items():
        for suffix in ("", "-back", "_2"):
            Image.new("RGB", (48, 64), colour).save(folder / f"{key}{suffix}.jpg")
    for export in EXPORTS:
        export.write(folder / export.file)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
