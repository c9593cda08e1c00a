"""Anybody's own photos: a table of them, a folder of them, or a folder of folders.

A **table** is CSV, JSON Lines or Parquet. Its columns are `OURS`, of which ``photo`` alone must be there; any further
column becomes an attribute. Folders are read by ``folder``.
A **recipe** (``?recipe=hm``, or a TOML file of one's own) reads a table that names its columns otherwise.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from osoroi.data import splits, tabular
from osoroi.data.duplicates import RECENT, CropIds
from osoroi.data.readers import Reader
from osoroi.data.readers.folder import Folder, normal, storable
from osoroi.errors import BadDataset
from osoroi.records import Box, Crop, Domain, Product, Row, Value

TEXT_FORMATS = (".csv", ".tsv")
"""Suffixes of tables whose cells bring no types."""

SIDES = ("left", "top", "right", "bottom")
CROP = ("photo", "crop_id", "product_id", "domain", *SIDES, "split")
PRODUCT = ("design_id", "title", "category", "brand", "price", "currency", "url")
OURS = frozenset((*CROP, *PRODUCT))
"""The columns that mean something; DESIGN section 8."""

PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
"""A number as a table writes it. ``007`` and ``1e5`` are names of something, and stay text."""

EXACT_DIGITS = 15
"""Digits that a float holds whatever they are. Longer numbers stay text."""


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
    """A table of photos. Lines are read one by one, and each is checked as it comes.

    ``recent_ids`` is how many ids of crops are in a set before they are sorted into an array.
    """

    path: Path
    recipe: TableRecipe = TableRecipe()
    assign: Callable[[Product], str] | None = None
    recent_ids: int = RECENT

    def rows(self) -> Iterator[Row]:
        """Every line as a product and a crop; raises BadDataset naming file and line.

        A table of text is read twice: what its columns hold is known once all their cells are.
        """
        unique, text_columns = CropIds(self.recent_ids), self.text_columns()
        for line in self.lines():
            row = self.row(line, text_columns)
            problem = unique.add(row)
            if problem:
                line.refuse(problem, hint="crop_ids must be unique; leave the column out and they are made")
            yield row

    def lines(self) -> Iterator[tabular.Line]:
        """The lines that the recipe keeps, under our names."""
        for line in tabular.lines(self.path):
            ours = self.recipe.ours(line)
            if self.recipe.keeps(line):
                yield ours

    def text_columns(self) -> frozenset[str] | None:
        """Attributes of which some cell is neither a number nor empty, nor all are true or false.

        They are text in every line, so that a size 38 among S and M is found as text. None for typed files, where
        every cell brings its type.
        """
        if self.path.suffix.lower() not in TEXT_FORMATS:
            return None
        kinds: dict[str, set[type]] = {}
        for line in self.lines():
            for name, value in line.cells.items():
                if name not in OURS and value is not None:
                    kinds.setdefault(name, set()).add(type(attribute(value)))
        return frozenset(name for name, held in kinds.items() if len(held) > 1 or str in held)

    def row(self, line: tabular.Line, text_columns: frozenset[str] | None = None) -> Row:
        """One line as a product and a crop."""
        if "photo" not in line.cells:
            line.refuse("no column photo", hint=f"the columns are {', '.join(line.cells)}; a recipe renames them")
        product = self.product(line, text_columns)
        domain, split, box = domain_of(line), line.text("split"), line.box(SIDES)
        if split not in (None, *splits.SPLITS):
            line.refuse(f"split {split!r}", hint=f"a split is one of {', '.join(splits.SPLITS)}, or empty")
        if self.assign and split is None:
            split = self.assign(product)
        photo = line.need("photo")
        crop_id = id_of(line, "crop_id") or made_id(product.product_id, domain, normal(photo), box)
        return Row(product, Crop(crop_id, product.product_id, domain, storable(self.path.parent / photo), box, split))

    def product(self, line: tabular.Line, text_columns: frozenset[str] | None) -> Product:
        """The product of a line; without an id, the photo is a product of its own."""
        attributes = {column: value for column, value in line.cells.items() if column not in OURS}
        if text_columns is not None:
            attributes = {
                column: value if column in text_columns else attribute(value) for column, value in attributes.items()
            }
        return Product(
            product_id=id_of(line, "product_id") or normal(line.need("photo")),
            title=line.text("title") or "",
            category=line.text("category"),
            brand=line.text("brand"),
            price=line.number("price"),
            currency=line.text("currency"),
            url=line.text("url"),
            design_id=id_of(line, "design_id"),
            attributes=attributes,
        )


def id_of(line: tabular.Line, column: str) -> str | None:
    """An id of a line in composed Unicode; control characters in it are refused.

    >>> id_of(tabular.Line(Path("shop.csv"), "line 2", {"product_id": "a\\x1b[2J"}), "product_id")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: shop.csv, line 2: product_id 'a\\x1b[2J' holds a control character; write it without
    """
    text = line.text(column)
    if text is not None and tabular.CONTROL.search(text):
        line.refuse(f"{column} {text[:60]!r} holds a control character", hint="write it without")
    return None if text is None else normal(text)


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


def attribute(value: Value) -> Value:
    """Text of a table as the number or the boolean it writes.

    >>> [attribute(text) for text in ("12.50", "TRUE", "007", "M", None)]
    [12.5, True, '007', 'M', None]
    """
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    plain = PLAIN.fullmatch(value) and sum(letter.isdecimal() for letter in value) <= EXACT_DIGITS
    return float(value) if plain and value.isascii() else value


def open_reader(path: str, *, recipe: str = "", split: str = "", seed: str = "") -> Reader:
    """The reader of a table or folder.

    ``recipe`` names a table recipe; ``split``, as ``8:1:1``, deals products that the table gives no split to train, val
    and test, by design, the same way for the same ``seed``.
    """
    if seed and not split:
        raise BadDataset("seed deals nothing without split", hint="leave seed away, or add split=8:1:1")
    assign = splits.dealer(split, seed or "0") if split else None
    here = Path(path)
    if not here.is_dir():
        return Table(here, read_recipe(recipe) if recipe else TableRecipe(), assign)
    if recipe:
        raise BadDataset(f"{path} is a folder, and the recipe {recipe} is for a table", hint="name the table in it")
    return Folder(here, assign)
