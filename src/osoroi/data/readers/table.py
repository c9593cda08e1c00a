"""Anybody's own photos: a table of them, a folder of them, or a folder of folders.

A **table** is CSV, JSON, Excel, an XML feed or Parquet. ``layout`` decides by all of its lines how each column is read;
columns that are not ours become attributes. Folders are read by ``folder``.
A **recipe** (``?recipe=shopify``, or a TOML file of one's own) reads a table that names its columns otherwise.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import cast

from osoroi.data import splits, tabular
from osoroi.data.cells import LINK, photos_in
from osoroi.data.currencies import code_of
from osoroi.data.duplicates import RECENT, CropIds
from osoroi.data.headers import OURS
from osoroi.data.links import NotFetched
from osoroi.data.prices import lowest
from osoroi.data.readers import Reader
from osoroi.data.readers.folder import Folder, normal, storable
from osoroi.data.readers.layout import Layout, survey
from osoroi.data.readers.photo_paths import PhotoPaths
from osoroi.data.readers.table_recipe import TableRecipe, read_recipe
from osoroi.data.tabular import BadLine, OnError
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row, Source

__all__ = ["OURS", "Table", "TableRecipe", "made_id", "open_reader", "read_recipe"]

NONE = "none"
"""In place of a recipe: none is recognised."""

SIDES = ("left", "top", "right", "bottom")

SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d{2,3}")
"""``1.23E+12``: a spreadsheet shows long numbers so, and then exports what it shows."""

PhotoOf = Callable[[str], Source]
"""A link of a photo -> where its bytes come from."""


@dataclass(frozen=True)
class Table:
    """A table of photos. Lines are read one by one, and each is checked as it comes.

    ``photos`` is the folder of its photos, where that is not the table's own; ``recent_ids`` is how many ids of crops
    are in a set before they are sorted into an array. ``recognise`` says whether a recipe that ships may
    read it without being named.
    """

    path: Path
    recipe: TableRecipe = field(default_factory=TableRecipe)
    assign: Callable[[Product], str] | None = None
    recent_ids: int = RECENT
    encoding: str = ""
    sheet: str = ""
    photos: Path | None = None
    recognise: bool = True

    @cached_property
    def paths(self) -> PhotoPaths:
        """Where its photos are: in the folder that was named for them, in that of the recipe, or beside the table."""
        return PhotoPaths(self.photos or self.path.parent / self.recipe.table.get("photos", ""))

    def layout(self) -> Layout:
        """How the table is read: one pass over all lines, two where several lines may be one product."""
        stated = self.recipe.table
        source = tabular.open_source(
            self.path, encoding=self.encoding or stated.get("encoding", ""), sheet=self.sheet or stated.get("sheet", "")
        )
        return survey(source, self.recipe, self.recent_ids, recognise=self.recognise)

    def rows(
        self, on_error: OnError | None = None, *, layout: Layout | None = None, photo_of: PhotoOf | None = None
    ) -> Iterator[Row]:
        """Every photo of every line, with its product; raises BadDataset naming file and line.

        With ``on_error``, lines that cannot be read are handed to it, and the others go on. ``layout`` saves the first
        pass; ``photo_of`` says where the photo of a link is.
        """
        layout = layout or self.layout()
        if layout.undecided:
            problem = f"{self.path}: {'; '.join(layout.undecided)}"
            raise BadDataset(problem, hint=f"osoroi look {self.path} writes a recipe in which to say so")
        unique = CropIds(self.recent_ids)
        for line in layout.read(on_error):
            try:
                rows = self.rows_of(line, layout, photo_of)
                for row in rows:
                    again = unique.add(row)
                    if again and line.cells.get("crop_id"):
                        line.refuse(again, hint="crop_ids must be unique; leave the column out and they are made")
                    if again:
                        what = f"product {row.product.product_id!r} has the photo {line.text('photo')!r} already"
                        line.refuse(what, hint="an earlier line is the same; the first one counts")
            except BadLine as error:
                error.product_id = line.text("product_id") or line.text("photo")
                tabular.report(error, on_error)
                continue
            yield from rows

    def rows_of(self, line: tabular.Line, layout: Layout, photo_of: PhotoOf | None = None) -> list[Row]:
        """The rows of one line: a product, and a crop for each of its photos."""
        if "photo" not in line.cells:
            line.refuse("no column photo", hint=f"the columns are {', '.join(line.cells)}; a recipe renames them")
        photos = photos_in(line.cells["photo"])
        if not photos:
            line.refuse("no photo", hint="every line must name its photo")
        for photo in photos:
            other = self.paths.taken(photo)
            if other:
                what = f"photo {photo!r} and {other!r} of an earlier line are found at the same file"
                line.refuse(what, hint="keep the folders that the paths name, beside the table")
        product = self.product(line, layout, photos[0])
        domain, split, box = domain_of(line), line.text("split"), line.box(SIDES)
        if split not in (None, *splits.SPLITS):
            line.refuse(f"split {split!r}", hint=f"a split is one of {', '.join(splits.SPLITS)}, or empty")
        if self.assign and split is None:
            split = self.assign(product)
        stated = id_of(line, "crop_id")
        if len(photos) > 1 and (stated or box):
            line.refuse("a crop_id or a box for several photos", hint="give each photo a line of its own")
        return [
            Row(product, self.crop(product.product_id, photo, domain, box, split, stated, photo_of)) for photo in photos
        ]

    def crop(
        self,
        product_id: str,
        photo: str,
        domain: Domain,
        box: Box | None,
        split: str | None,
        stated: str | None,
        photo_of: PhotoOf | None,
    ) -> Crop:
        """The crop of a photo, a path or a link."""
        crop_id = stated or made_id(product_id, domain, normal(photo), box)
        if LINK.match(photo):
            link = f"https:{photo}" if photo.startswith("//") else photo
            source = photo_of(link) if photo_of else NotFetched(link)
        else:
            source = storable(self.paths.place(photo))
        return Crop(crop_id, product_id, domain, source, box, split)

    def product(self, line: tabular.Line, layout: Layout, photo: str) -> Product:
        """The product of a line; without an id, the photo is a product of its own."""
        price, currency = price_of(line, layout)
        return Product(
            product_id=product_id_of(line, photo),
            title=line.text("title") or "",
            category=line.text("category"),
            brand=line.text("brand"),
            price=price,
            currency=currency,
            url=line.text("url"),
            design_id=id_of(line, "design_id"),
            attributes=layout.attributes(line),
        )


def price_of(line: tabular.Line, layout: Layout) -> tuple[float | None, str | None]:
    """The price of a line and its currency, which a column of its own may state."""
    value, stated = line.cells.get("price"), line.text("currency")
    if isinstance(value, tuple):
        value = value[lowest(value)]
    if not isinstance(value, str):
        amount = line._replace(cells={"price": value}).number("price")
        return amount, stated or (None if amount is None else layout.prices.currency or None)
    try:
        written, code = layout.prices.amount(value, stated or "")
    except ValueError as error:
        line.refuse(f"price {value!r} {error}", hint="write it like 1234.5")
    if stated and code and code_of(stated) not in ("", code):
        line.refuse(f"price {value!r} is in {code}, and its currency is {stated}", hint="write one of them")
    return written, stated or code or None


def id_of(line: tabular.Line, column: str) -> str | None:
    """An id of a line in composed Unicode; control characters in it are refused.

    >>> id_of(tabular.Line(Path("s.csv"), "line 2", {"product_id": "\\x1b[2J"}), "product_id")
    Traceback (most recent call last):
    osoroi.data.tabular.line.BadLine: s.csv, line 2: product_id '\\x1b[2J' holds a control character; write it without
    """
    text = line.text(column)
    if text is not None and tabular.CONTROL.search(text):
        line.refuse(f"{column} {text[:60]!r} holds a control character", hint="write it without")
    if text is not None and SHORTENED.fullmatch(text):
        hint = "make the column text in the spreadsheet before it is exported"
        line.refuse(f"{column} {text!r} is a number of which a spreadsheet has cut the digits", hint=hint)
    return None if text is None else normal(text)


def product_id_of(line: tabular.Line, photo: str) -> str:
    """The id of a line's product; without a column of ids, its first photo."""
    return id_of(line, "product_id") or normal(photo)


def domain_of(line: tabular.Line) -> Domain:
    """``street`` or ``shop``; shop where nothing is said."""
    domain = line.text("domain") or "shop"
    if domain not in ("street", "shop"):
        line.refuse(f"domain {domain!r}", hint="a domain is street or shop")
    return cast(Domain, domain)


def made_id(product_id: str, domain: Domain, photo: str, box: Box | None) -> str:
    """A crop's id from what it is, the same wherever the table lies.

    A shop crop belongs to one product. A street crop may show several, under one id: theirs leaves the product out.

    >>> made_id("a", "street", "x.jpg", None) == made_id("b", "street", "x.jpg", None)
    True
    """
    whose = product_id if domain == "shop" else ""
    identity = ascii((whose, domain, photo, None if box is None else tuple(box)))
    return blake2b(identity.encode(), digest_size=10).hexdigest()


def open_reader(
    path: str,
    *,
    recipe: str = "",
    split: str = "",
    seed: str = "",
    encoding: str = "",
    sheet: str = "",
    photos: str = "",
) -> Reader:
    """The reader of a table or folder.

    ``recipe`` names a table recipe, and ``none`` reads a table without one whatever its columns;
    ``encoding`` is that of a text, where it is not to be recognised; ``sheet`` one of a
    workbook; ``photos`` the folder of its photos, where they are not beside it. ``split``, as ``8:1:1``, deals products
    that the table gives no split to train, val and test, by design, the same way for the same ``seed``.
    """
    if seed and not split:
        raise BadDataset("seed deals nothing without split", hint="leave seed away, or add split=8:1:1")
    assign = splits.dealer(split, seed or "0") if split else None
    here = Path(path)
    if not here.is_dir():
        return Table(
            here,
            TableRecipe() if recipe in ("", NONE) else read_recipe(recipe),
            assign,
            encoding=encoding,
            sheet=sheet,
            photos=Path(photos) if photos else None,
            recognise=recipe != NONE,
        )
    if photos:
        raise BadDataset(f"{path} is a folder, and photos= is for a table", hint="name the table")
    if recipe:
        raise BadDataset(f"{path} is a folder, and the recipe {recipe} is for a table", hint="name the table in it")
    return Folder(here, assign)
