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

from shop_systems import (
    CHINESE,
    COLOURS,
    JAPANESE,
    PRICES,
    TITLES,
    google_feed,
    google_lines,
    rakuten_lines,
    rakuten_sku_lines,
    shopify,
    woocommerce,
    yahoo_lines,
)

NONE: dict[str, object] = {}


class Export(NamedTuple):
    """A file, the options it is read with, what its trap is, and what the first product must be."""

    file: str
    trap: str
    write: Callable[[Path], object]
    product_id: str = "tee"
    price: float | None = 1990.0
    currency: str | None = None
    title: str = "Red tee"
    products: int = 3
    photos: int = 1
    options: str = ""
    attributes: dict[str, object] = NONE
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
) -> list[Sequence[object]]:
    return [header, *([f"{key}.jpg", key, titles[key], f"{PRICES[key]:.0f}"] for key in TITLES)]


def priced(*texts: str) -> list[Sequence[object]]:
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


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode())


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


def write_all(folder: Path, exports: Sequence[Export] = EXPORTS) -> None:
    """Write exports, and the photos that they name."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, colour in COLOURS.items():
        for suffix in ("", "-back", "_2"):
            Image.new("RGB", (48, 64), colour).save(folder / f"{key}{suffix}.jpg")
    for export in exports:
        export.write(folder / export.file)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
