"""Anybody's own photos: a table of them, a folder of them, or a folder of folders.

A **table** is CSV, JSON Lines or Parquet. Its columns are `OURS`, of which ``photo`` alone must be there; any further
column becomes an attribute. A **folder of photos** is one product a file, a **folder of folders** one product a folder.
A **recipe** (``?recipe=hm``, or a TOML file of one's own) reads a table that names its columns otherwise.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from osoroi.data import splits, tabular
from osoroi.data.duplicates import Seen
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row, Value

SIDES = ("left", "top", "right", "bottom")
CROP = ("photo", "crop_id", "product_id", "domain", *SIDES, "split")
PRODUCT = ("design_id", "title", "category", "brand", "price", "currency", "url")
OURS = frozenset((*CROP, *PRODUCT))
"""The columns that mean something; DESIGN section 8."""

PHOTOS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".gif", ".bmp", ".tif", ".tiff"))
"""What photos in a folder end in, whatever the case."""

PLAIN = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")
"""A number as a table writes it. ``007``, ``1e5`` and eighteen digits are names of something, and stay text."""


@dataclass(frozen=True)
class TableRecipe:
    """How another's table becomes ours: columns renamed, then values replaced, then columns set; lines left out."""

    columns: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    set: dict[str, Value] = field(default_factory=dict)
    keep: dict[str, list[Value]] = field(default_factory=dict)

    def keeps(self, line: tabular.Line) -> bool:
        """Whether every column of ``keep``, under the table's own names, holds one of the values listed."""
        return all(line.cells.get(name) in values for name, values in self.keep.items())

    def ours(self, line: tabular.Line) -> tabular.Line:
        """The line under our names.

        >>> hm = TableRecipe(columns={"photo": "path", "kind": "category"}, set={"category": "tops"})
        >>> line = tabular.Line(Path("hm.csv"), "line 2", {"path": "a.jpg", "category": "Blouse"})
        >>> dict(hm.ours(line).cells)
        {'photo': 'a.jpg', 'kind': 'Blouse', 'category': 'tops'}
        """
        if self == TableRecipe():
            return line
        theirs = (*self.columns.values(), *self.keep)
        missing = sorted({name for name in theirs if name not in line.cells})
        if missing:
            line.refuse(f"the recipe asks for {', '.join(missing)}", hint=f"the table has {', '.join(line.cells)}")
        names = {theirs: ours for ours, theirs in self.columns.items()}
        found = {names.get(name, name): value for name, value in line.cells.items()}
        for name, swaps in self.values.items():
            value = found.get(name)
            found[name] = swaps.get(str(value), value) if value is not None else None
        return line._replace(cells=found | self.set)


def read_recipe(name: str) -> TableRecipe:
    """The recipe that ships under this name, or the one in this TOML file.

    >>> read_recipe("hm").columns["photo"]
    'path'
    """
    shipped = Path(__file__).parent / "recipes"
    path = Path(name) if name.endswith(".toml") else shipped / f"{name}.toml"
    if not path.is_file():
        ready = ", ".join(sorted(recipe.stem for recipe in shipped.glob("*.toml")))
        raise BadDataset(f"there is no recipe {name}", hint=f"name a .toml file, or one that ships: {ready}")
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadDataset(f"the recipe {path} is no TOML: {error}", hint="see docs/datasets/table.md") from error
    for part, held in found.items():
        wanted, known = PARTS.get(part), isinstance(held, dict)
        if not known or wanted is None or not all(isinstance(value, wanted) for value in held.values()):
            hint = "a recipe holds the tables columns, values, set and keep; see docs/datasets/table.md"
            raise BadDataset(f"the recipe {path}: {part} is none of its tables, or not filled as it must be", hint=hint)
    return TableRecipe(**found)


PARTS: dict[str, Any] = {"columns": str, "values": dict, "set": str | int | float | bool, "keep": list}
"""Table of a recipe -> what each of its entries is."""


@dataclass(frozen=True)
class Table:
    """A table of photos. Lines are read one by one, and each is checked as it comes."""

    path: Path
    recipe: TableRecipe = TableRecipe()
    assign: Callable[[Product], str] | None = None

    def rows(self) -> Iterator[Row]:
        """Every line as a product and a crop; raises BadDataset naming file and line."""
        seen = Seen()
        for line in tabular.lines(self.path):
            ours = self.recipe.ours(line)
            if self.recipe.keeps(line):
                row = self.row(ours)
                problem = seen.add(row)
                if problem:
                    ours.refuse(problem, hint="crop_ids must be unique; leave the column out and they are made")
                yield row

    def row(self, line: tabular.Line) -> Row:
        """One line as a product and a crop."""
        if "photo" not in line.cells:
            line.refuse("no column photo", hint=f"the columns are {', '.join(line.cells)}; a recipe renames them")
        product = self.product(line)
        domain, split, box = domain_of(line), line.text("split"), line.box(SIDES)
        if split not in (None, *splits.SPLITS):
            line.refuse(f"split {split!r}", hint=f"a split is one of {', '.join(splits.SPLITS)}, or empty")
        if self.assign and split is None:
            split = self.assign(product)
        photo = line.need("photo")
        crop_id = line.text("crop_id") or made_id(product.product_id, domain, photo, box)
        return Row(product, Crop(crop_id, product.product_id, domain, self.path.parent / photo, box, split))

    def product(self, line: tabular.Line) -> Product:
        """The product of a line; without an id, the photo is a product of its own."""
        return Product(
            product_id=line.text("product_id") or line.need("photo"),
            title=line.text("title") or "",
            category=line.text("category"),
            brand=line.text("brand"),
            price=line.number("price"),
            currency=line.text("currency"),
            url=line.text("url"),
            design_id=line.text("design_id"),
            attributes={name: attribute(value) for name, value in line.cells.items() if name not in OURS},
        )


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
    told = ascii((whose, domain, photo, None if box is None else tuple(box)))
    return blake2b(told.encode(), digest_size=10).hexdigest()


def attribute(value: Value) -> Value:
    """Text of a table as the number or the boolean it writes.

    >>> [attribute(text) for text in ("12.50", "TRUE", "007", "M", None)]
    [12.5, True, '007', 'M', None]
    """
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return float(value) if PLAIN.fullmatch(value) else value


@dataclass(frozen=True)
class Folder:
    """A folder of photos, one product a file; or of folders, one product a folder. All are shop photos.

    Names alone are held, in order; files that are no photos by their name, and hidden ones, are passed over.
    """

    path: Path
    assign: Callable[[Product], str] | None = None

    def rows(self) -> Iterator[Row]:
        """Every photo with its product; raises BadDataset where two files would be the same product."""
        photos = photos_in(self.path)
        folders = sorted(entry.name for entry in os.scandir(self.path) if entry.is_dir() and entry.name[0] != ".")
        filled = (name for name in folders if photos_in(self.path / name))
        first = next(filled, None)
        if photos and first:
            hint = "keep either one photo a product, or one folder a product"
            raise BadDataset(f"{self.path} holds both photos ({photos[0]}) and folders of photos ({first})", hint=hint)
        if not photos and first is None:
            hint = f"photos end in {', '.join(sorted(PHOTOS))}"
            raise BadDataset(f"{self.path} holds no photos, nor folders of photos", hint=hint)
        yield from self.files(photos) if photos else self.folders(folders)

    def files(self, photos: list[str]) -> Iterator[Row]:
        """One product a file, called as the file without its suffix."""
        files: dict[str, str] = {}
        for name in photos:
            first = files.setdefault(Path(name).stem, name)
            if first != name:
                problem = f"{self.path}: {first} and {name} would be one product"
                raise BadDataset(problem, hint="rename one, or put both in a folder of their own beside other folders")
        for stem, name in files.items():
            yield self.row(stem, name)

    def folders(self, folders: list[str]) -> Iterator[Row]:
        """One product a folder, called as the folder."""
        for folder in folders:
            for name in photos_in(self.path / folder):
                yield self.row(folder, f"{folder}/{name}")

    def row(self, product_id: str, photo: str) -> Row:
        """One shop photo without a box; its crop is called as the file."""
        product = Product(product_id)
        split = self.assign(product) if self.assign else None
        return Row(product, Crop(photo, product_id, "shop", self.path / photo, None, split))


def photos_in(folder: Path) -> list[str]:
    """Names of the photos directly in a folder, in order."""
    names = (entry.name for entry in os.scandir(folder) if not entry.is_dir())
    return sorted(name for name in names if Path(name).suffix.lower() in PHOTOS and name[0] != ".")


def open_reader(path: str, *, recipe: str = "", split: str = "", seed: str = "0") -> Reader:
    """The reader of a table or folder.

    ``recipe`` names a table recipe; ``split``, as ``8:1:1``, deals products that the table gives no split to train, val
    and test, by design, the same way for the same ``seed``.
    """
    assign = splits.dealer(split, seed) if split else None
    here = Path(path)
    if not here.is_dir():
        return Table(here, read_recipe(recipe) if recipe else TableRecipe(), assign)
    if recipe:
        raise BadDataset(f"{path} is a folder, and the recipe {recipe} is for a table", hint="name the table in it")
    return Folder(here, assign)
