"""Forty more exports, unlike those of ``exports``: what people and systems do to a table on its way.

``python tests/exports.py FOLDER`` writes both.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl

from exports import Export, table, text
from shop_systems import SHOPIFY, TITLES

KEYS = tuple(TITLES)


def hard(file: str, trap: str, write: Callable[[Path], object], **wanted: Any) -> Export:
    """An export whose first product is `tee`, `The tee`, 19.90, unless ``wanted`` says otherwise."""
    return Export(file, trap, write, **{"title": "The tee", "price": 19.9, **wanted})


SIZE = ("S", "M")


def lines(
    header: Sequence[str], *cells: str, delimiter: str = ",", encoding: str = "utf-8"
) -> Callable[[Path], object]:
    """A line for each garment; ``{}`` in a cell is its id, ``{n}`` its number from 1."""
    rows = [[cell.replace("{n}", str(n)).replace("{}", key) for cell in cells] for n, key in enumerate(KEYS, start=1)]
    return table([list(header), *rows], delimiter=delimiter, encoding=encoding)


def priced(*prices: str, header: str = "price") -> Callable[[Path], object]:
    rows = [[key, f"The {key}", price, f"{key}.jpg"] for key, price in zip(KEYS, prices, strict=True)]
    return table([["sku", "name", header, "image"], *rows])


def document(of: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    """A document of JSON around the products by their ids."""
    items: dict[str, object] = {
        key: {"title": f"The {key}", "price": 19.9, "image": {"url": f"{key}.jpg"}} for key in KEYS
    }
    return text(json.dumps(of(items)))


def one_a_line(price: object) -> Callable[[Path], object]:
    """JSON Lines, packed where the name says so."""

    def write(path: Path) -> None:
        items = [{"sku": key, "title": f"The {key}", "price": price, "image": f"{key}.jpg"} for key in KEYS]
        data = "".join(json.dumps(item) + "\n" for item in items).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    return write


def listed(items: dict[str, object]) -> list[object]:
    return [{"sku": key, **item} for key, item in items.items() if isinstance(item, dict)]


def graphql(items: dict[str, object]) -> object:
    nodes = [
        {"node": {"sku": key, "title": f"The {key}", "images": {"edges": [{"node": {"url": f"{key}.jpg"}}]}}}
        for key in items
    ]
    return {"data": {"products": {"edges": nodes, "pageInfo": {"hasNextPage": False}}}}


def workbook(*rows: Sequence[object], merge: Sequence[str] = (), zeros: str = "") -> Callable[[Path], object]:
    """A workbook with these rows, cells merged, and a column of numbers that are shown with five digits."""

    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(list(row))
        for cells in merge:
            book.active.merge_cells(cells)
        for cell in book.active[zeros][1:] if zeros else ():
            cell.number_format = "00000"
        book.save(path)

    return write


def cover(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active.append(["Aoi, spring"])
    sheet = book.create_sheet("Products")
    for row in (["SKU", "Name", "Price", "Image"], *([key, f"The {key}", 19.9, f"{key}.jpg"] for key in KEYS)):
        sheet.append(row)
    book.save(path)


def shopify(path: Path) -> None:
    """Products without options, with tags in titles and lines of photos alone; and Shopify is not named."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, SHOPIFY)
    writer.writeheader()
    for key in KEYS:
        first = {"Title": f"<i>The {key}</i>", "Option1 Name": "Title", "Option1 Value": "Default Title"}
        writer.writerow(
            {"Handle": key, "Variant Price": "19.90", "Image Src": f"{key}.jpg", "Status": "active"} | first
        )
        writer.writerow({"Handle": key, "Image Src": f"{key}-back.jpg", "Image Position": 2})
        writer.writerow({"Handle": key})
    path.write_text(file.getvalue())


def feed(path: Path) -> None:
    items = "".join(
        f'<product id="{key}"><name>Röcke &amp; {key}</name><price>19,90 EUR</price>'
        f"<images><image>{key}.jpg</image><image>{key}-back.jpg</image></images></product>"
        for key in KEYS
    )
    path.write_bytes(f'<?xml version="1.0" encoding="ISO-8859-1"?><products>{items}</products>'.encode("latin-1"))


SALE = """<item><g:id>{key}</g:id><title><![CDATA[<b>The {key}</b> &amp; more]]></title><g:price>1 234,50 EUR</g:price>
<g:sale_price>999,00 EUR</g:sale_price><g:image_link>{key}.jpg</g:image_link><g:color>Rot/Blau</g:color>
<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping></item>"""


def sale(path: Path) -> None:
    items = "".join(SALE.format(key=key) for key in KEYS)
    path.write_text(f'<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>{items}</channel></rss>')


HEAD = "sku,name,price,image"
BODY = [f"{key},The {key},19.90,{key}.jpg" for key in KEYS]
DATE = datetime(2026, 1, 31)
COLOURS = [["style", "colour", "size", "name", "price", "image"], *([key, colour, size, f"The {key}", "19.90", f"{key}{back}.jpg"] for key in KEYS for colour, back in (("red", ""), ("blue", "-back")) for size in SIZE)]  # fmt: skip
RAKUTEN = [["商品管理番号（商品URL）", "商品名", "倉庫指定", "バリエーション項目名定義", "商品画像パス1", "SKU管理番号", "バリエーション項目選択肢1", "バリエーション項目選択肢2", "通常購入販売価格"], *([*one] for key in KEYS for one in ([key, f"The {key}", "0", "カラー|サイズ", f"/{key}.jpg", "", "", "", ""], *([key, "", "", "", "", f"{key}-{size}", "赤", size, "1990"] for size in SIZE)))]  # fmt: skip

MORE = [
    hard("semicolon.csv", "semicolons, decimal comma, byte order mark, short German headers", lines(["Artikel-Nr.", "Bezeichnung", "VK brutto", "Bildpfad"], "{}", "The {}", "1.234,56", "{}.jpg", delimiter=";", encoding="utf-8-sig"), price=1234.56),
    hard("title_above.csv", "a title and an empty line above the header", text("\r\n".join(["Products of spring", "", HEAD, *BODY]))),
    hard("notes_above.csv", "a line of notes above the header, as Facebook writes it", text("\n".join(["# Required | an id,# Required,# Required,# Required", HEAD, *BODY]))),
    hard("two_headers.txt", "two headers below each other, as Amazon writes them", text("TemplateType=fptcustom\tVersion=2021\nSKU\tProduct Name\tMain Image URL\tStandard Price\nitem_sku\titem_name\tmain_image_url\tstandard_price\n" + "".join(f"{key}\tThe {key}\t{key}.jpg\t19.90\n" for key in KEYS))),
    hard("trailing.csv", "a delimiter too many at the end of each line", text("\n".join([HEAD, *(f"{line}," for line in BODY)]))),
    hard("empty_lines.csv", "lines of delimiters alone", text("\n,,,\n".join([HEAD, *BODY]) + "\n,,,\n\n")),
    hard("old_mac.csv", "lines that end in a carriage return alone", text("\r".join([HEAD, *BODY]) + "\r")),
    hard("quotes.csv", "a quote where none may stand spoils its line alone", text("\n".join([HEAD, *BODY, 'boots,"5"" boots" high,9.90,tee.jpg'])), errors=1),
    hard("formula_text.csv", '="007", by which Excel is made to show zeros', lines(["sku", "name", "price", "image"], '="00{n}"', "The {}", "19.90", "{}.jpg"), product_id="001"),
    hard("merged.xlsx", "cells merged over the lines of a product", workbook(["SKU", "Product", "Price", "Image", "Size"], *([*one] for key in KEYS for one in ([key, f"The {key}", 19.9, f"{key}.jpg", "S"], [None, None, None, None, "M"])), merge=[f"{column}{row}:{column}{row + 1}" for row in (2, 4, 6) for column in "ABCD"]), attributes={"Size": SIZE}),
    hard("groups.xlsx", "a row of groups above the header, dates as Excel has them", workbook(["Product", None, None, "Price", None, "Media"], ["Code", "Name", "Since", "Net", "Price", "Image"], *([key, f"The {key}", DATE, 10.0, 19.9, f"{key}.jpg"] for key in KEYS)), attributes={"Since": "2026-01-31"}),
    hard("zeros.xlsx", "ids that a format fills with zeros", workbook(["品番", "Name", "Price", "Image"], *([number, f"The {key}", 19.9, f"{key}.jpg"] for number, key in enumerate(KEYS, start=12)), zeros="A"), product_id="00012"),
    hard("cover.xlsx", "a cover sheet before that of the products", cover),
    hard("uncomputed.xlsx", "a formula that nobody has computed is no price, which is said", workbook(["SKU", "Name", "Net", "Price", "Image"], *([key, f"The {key}", 10, f"=C{row}*2", f"{key}.jpg"] for row, key in enumerate(KEYS, start=2))), price=None),
    hard("ranges.csv", "39,90 € – 49,90 €: the lower end, which is said", priced("19,90 € – 49,90 €", "ab 39,90 €", "1.234,56 €"), price=19.9, currency="EUR"),
    hard("sold_out.csv", "売り切れ is no price, which is said", priced("１９．９０", "売り切れ", "auf Anfrage")),
    hard("taxes.csv", "a second price in brackets", priced("3,990円 (税抜 3,627円)", "税込 12,990 円", "3,990円～"), price=3990.0, currency="JPY"),
    hard("price_header.csv", "the currency in the header", priced("19.90", "1,299.00", "12", header="Price (EUR)"), currency="EUR"),
    hard("price_taxes.csv", "prices with and without taxes", lines(["Product ID", "Name", "Price (tax excl.)", "Price (tax incl.)", "Image"], "{}", "The {}", "16.58", "19.90", "{}.jpg", delimiter=";")),
    hard("slashes.csv", "sizes apart by slashes", lines(["sku", "name", "sizes", "price", "image"], "{}", "The {}", "S/M/L", "19.90", "{}.jpg"), attributes={"sizes": ("S", "M", "L")}),
    hard("between.csv", "S/M is one size", lines(["sku", "name", "size", "price", "image"], "{}", "The {}", "S/M", "19.90", "{}.jpg"), attributes={"size": "S/M"}),
    hard("colours.csv", "a line for each colour and size, under one id", table(COLOURS), photos=2, attributes={"colour": ("red", "blue"), "size": SIZE}),
    hard("json_photos.csv", "photos as an array of JSON", lines(["sku", "name", "price", "images"], "{}", "The {}", "19.90", '["{}.jpg", "{}-back.jpg"]'), photos=2),
    hard("object_photos.csv", "photos as objects of JSON", lines(["sku", "name", "price", "images"], "{}", "The {}", "19.90", '[{"src": "{}.jpg"}, {"src": "{}-back.jpg"}]'), photos=2),
    hard("python_photos.csv", "photos as a list of Python", lines(["sku", "name", "price", "images"], "{}", "The {}", "19.90", "['{}.jpg', '{}-back.jpg']"), photos=2),
    hard("markup.csv", "tags and entities in titles", lines(["sku", "name", "category", "price", "image"], "{}", "<b>The {}</b> &amp; belt", "Women &gt; Tops", "19.90", "{}.jpg"), title="The tee & belt"),
    hard("windows.csv", "paths of Windows", lines(["sku", "name", "price", "image"], "{}", "The {}", "19.90", r".\{}.jpg")),
    hard("drive.csv", "paths of another machine's drive", lines(["sku", "name", "price", "image"], "{}", "The {}", "19.90", r"C:\Users\me\Shop\{}.jpg")),
    hard("capitals_of_files.csv", "names of files in capitals", lines(["sku", "name", "price", "image"], "{}", "The {}", "19.90", "{}-BACK.JPG")),
    hard("no_suffix.csv", "names of files without their suffix", lines(["sku", "name", "price", "image"], "{}", "The {}", "19.90", "{}-back")),
    hard("percent.csv", "names of files as in links", lines(["sku", "name", "price", "image"], "{}", "The {}", "19.90", "/{}%2Dback.jpg")),
    hard("stock.csv", "1 and 0 for what is in stock", lines(["sku", "name", "in_stock", "price", "image"], "{}", "The {}", "1", "19.90", "{}.jpg"), attributes={"in_stock": 1.0}),
    hard("case_of_ids.csv", "ids that differ in capitals alone", table([["sku", "name", "price", "image"], ["tee", "The tee", "19.90", "tee.jpg"], ["Tee", "A coat", "19.90", "coat.jpg"], ["TEE", "A skirt", "19.90", "skirt.jpg"]]), attributes={}),
    hard("nested.json", "a list of products deep inside", document(lambda items: {"status": "ok", "data": {"products": listed(items), "total": 3}, "errors": []})),
    hard("by_id.json", "products by their ids", document(lambda items: {"products": items})),
    hard("graphql.json", "edges and nodes of GraphQL", document(graphql), price=None),
    hard("one_a_line.json", "one object a line under a name that ends in .json", one_a_line(19.9)),
    hard("packed.jsonl.gz", "JSON Lines, packed, prices as text", one_a_line("1.990,00 €"), price=1990.0, currency="EUR"),
    hard("images.xml", "a feed of one's own in Latin-1, photos in an element of theirs", feed, title="Röcke & tee", currency="EUR", photos=2),
    hard("sale.xml", "Google Merchant: a sale, a price of shipping, titles as CDATA", sale, options="?recipe=google", price=999.0, currency="EUR", title="The tee & more"),
    hard("unnamed_shopify.csv", "Shopify's columns, without its recipe named", shopify, photos=2),
    hard("rakuten_colours.csv", "Rakuten normal-item.csv with colours and sizes, without its recipe named", table(RAKUTEN, encoding="cp932"), price=1990.0, currency="JPY", attributes={"カラー": ("赤",), "サイズ": SIZE}),
    hard("wix.csv", "camelCase headers, photos apart by semicolons, as Wix writes them", lines(["handleId", "fieldType", "name", "productImageUrl", "sku", "price", "productOptionDescription1"], "{}", "Product", "The {}", "{}.jpg;{}-back.jpg", "W{n}", "19.9", "S;M"), photos=2),
    hard("magento.csv", "Magento: three columns of the same photo", lines(["sku", "product_type", "categories", "name", "price", "base_image", "small_image", "thumbnail_image", "additional_images"], "{}", "simple", "Default Category/Tops", "The {}", "19.9000", "/{}.jpg", "/{}.jpg", "/{}.jpg", "/{}-back.jpg"), photos=2),
]  # fmt: skip
