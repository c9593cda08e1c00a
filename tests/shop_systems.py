"""Exports of shop systems, written by us in the exact form of their documentation: three garments each."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

COLOURS = {"tee": (200, 30, 40), "coat": (30, 60, 160), "skirt": (40, 150, 70)}
TITLES = {"tee": "Red tee", "coat": "Blue coat", "skirt": "Green skirt"}
JAPANESE = {"tee": "赤いＴシャツ", "coat": "青いコート（ロング）", "skirt": "緑のプリーツスカート"}
CHINESE = {"tee": "红色短袖衬衫", "coat": "蓝色的长款大衣", "skirt": "绿色百褶半身裙"}
PRICES = {"tee": 1990.0, "coat": 12990.0, "skirt": 3990.0}

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


def google_lines() -> list[Sequence[object]]:
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


def rakuten_lines() -> list[Sequence[object]]:
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


def rakuten_sku_lines() -> list[Sequence[object]]:
    lines: list[Sequence[object]] = [RAKUTEN_SKU]
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


def yahoo_lines() -> list[Sequence[object]]:
    lines: list[Sequence[object]] = [YAHOO]
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
