"""A recipe: how the columns and values of another's table become ours, as a TOML file."""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from osoroi import files
from osoroi.data import tabular
from osoroi.data.cells import as_text, listed, photos_in
from osoroi.errors import BadDataset
from osoroi.records import Value

Theirs = str | list[str]
"""A column of theirs, or several: all of them for photos, the first that is filled for anything else."""

NAMES = "|"
"""Between the names of a cell that names the options of several columns."""

PARTS: dict[str, Any] = {
    "columns": str | list,
    "optional": str | list,
    "values": dict,
    "set": str | int | float | bool,
    "keep": list,
    "drop": list,
    "lists": str,
    "pairs": str | list,
    "prices": str,
    "templates": str,
    "variants": str | list,
    "table": str | list,
}
"""Table of a recipe -> what each of its entries is."""

SHIPPED = Path(__file__).parent / "recipes"

OPTIONS = {
    "prices": ("decimal", "currency"),
    "variants": ("by", "lists"),
    "table": ("rest", "encoding", "sheet", "photos", "known_by"),
}
"""Tables of a recipe that have fixed entries."""


@dataclass(frozen=True)
class TableRecipe:
    """How another's table becomes ours: columns renamed, then values replaced, then columns set; lines left out."""

    columns: dict[str, Theirs] = field(default_factory=dict)
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    set: dict[str, Value] = field(default_factory=dict)
    keep: dict[str, list[Value]] = field(default_factory=dict)
    drop: dict[str, list[Value]] = field(default_factory=dict)
    optional: dict[str, Theirs] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, Theirs] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    variants: dict[str, Theirs] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)

    def keeps(self, line: tabular.Line) -> bool:
        """Whether every column of ``keep`` holds one of its values, and none of ``drop`` does; by their names."""
        if self == TableRecipe():
            return True
        self.require(line)
        return all(line.cells.get(name) in values for name, values in self.keep.items()) and not any(
            is_among(line.cells.get(name), values) for name, values in self.drop.items()
        )

    @property
    def named(self) -> frozenset[str]:
        """Our columns that the recipe decides."""
        return frozenset((*self.columns, *self.optional, *self.set, *self.templates))

    def photos(self) -> list[str]:
        """Their columns of photos."""
        return as_list(self.columns.get("photo", [])) + as_list(self.optional.get("photo", []))

    def ids(self) -> list[str]:
        """Their columns of which ids are made, and those that lines of one product have in common.

        >>> TableRecipe(columns={"product_id": "sku"}, variants={"by": ["parent", "{code}"]}).ids()
        ['sku', 'parent', 'code']
        """
        ours = [*as_list({**self.optional, **self.columns}.get("product_id", []))]
        templates = [self.templates["product_id"]] if "product_id" in self.templates else []
        for name in (*as_list(self.variants.get("by", [])), *templates):
            ours += fields_of(name) if "{" in name else [name, *name.split("+")]
        return list(dict.fromkeys(ours))

    def ours(self, line: tabular.Line) -> tabular.Line:
        """The line under our names.

        >>> hm = TableRecipe(columns={"photo": "path", "kind": "category"}, set={"category": "tops"})
        >>> line = tabular.Line(Path("hm.csv"), "line 2", {"path": "a.jpg", "category": "Blouse"})
        >>> dict(hm.ours(line).cells)
        {'photo': 'a.jpg', 'kind': 'Blouse', 'category': 'tops'}
        """
        if self == TableRecipe():
            return line
        renames = {**self.optional, **self.columns}
        used = {theirs for each in renames.values() for theirs in as_list(each)}
        paired = {*self.pairs, *self.pair_values()}
        results: dict[str, Value] = {}
        singles = {as_list(theirs)[0]: ours for ours, theirs in renames.items() if len(as_list(theirs)) == 1}
        for name, value in line.cells.items():
            if name in singles:
                results[singles[name]] = value
            elif name not in used and name not in paired and self.table.get("rest") != "drop":
                results[name] = value
        for ours, theirs in renames.items():
            if len(as_list(theirs)) > 1:
                each = [line.cells.get(name) for name in as_list(theirs)]
                results[ours] = (
                    joined(each) if ours == "photo" else next((one for one in each if one is not None), None)
                )
        results |= dict(self.paired(line))
        for name, template in self.templates.items():
            if results.get(name) is None:
                results[name] = filled(template, line.cells)
        for name, swaps in self.values.items():
            if name in results:
                results[name] = swapped(results[name], swaps)
        return line._replace(cells=results | self.set)

    def paired(self, line: tabular.Line) -> Iterable[tuple[str, Value]]:
        """Attributes whose names stand in cells; a cell names several where several columns have their values."""
        for name, theirs in self.pairs.items():
            written = line.text(name) or ""
            names = [written] if isinstance(theirs, str) else written.split(NAMES)
            for each, column in zip(names, as_list(theirs), strict=False):
                value = line.cells.get(column)
                if each.strip() and value is not None:
                    separator = self.lists.get(column, "")
                    yield each.strip(), listed(value, separator, numbers=False) if separator else value

    def pair_values(self) -> list[str]:
        """Their columns of values in ``pairs``."""
        return [column for theirs in self.pairs.values() for column in as_list(theirs)]

    def left_out(self, names: Iterable[str]) -> list[str]:
        """Columns of a table that it does not read.

        >>> TableRecipe(columns={"title": "Title"}, table={"rest": "drop"}).left_out(["Title", "Material"])
        ['Material']
        """
        if self.table.get("rest") != "drop":
            return []
        renamed = (theirs for each in (*self.columns.values(), *self.optional.values()) for theirs in as_list(each))
        read = {*renamed, *self.pairs, *self.pair_values(), *self.keep, *self.drop}
        by = [*as_list(self.variants.get("by", [])), *self.templates.values()]
        return [name for name in names if name not in read and not any(name in text for text in by)]

    def needed(self) -> list[str]:
        """Their columns that a table must have."""
        return [*(theirs for each in self.columns.values() for theirs in as_list(each)[:1]), *self.keep]

    def require(self, line: tabular.Line) -> None:
        """Raise BadDataset where the table lacks a column that the recipe needs."""
        missing = sorted({name for name in self.needed() if name not in line.cells})
        if missing:
            problem = f"{line.path}, {line.place}: the recipe asks for {', '.join(missing)}"
            raise BadDataset(problem, hint=f"the table has {', '.join(line.cells)}")


def is_among(value: Value, values: Iterable[Value]) -> bool:
    """Whether a cell holds one of these values, in whatever capitals.

    >>> is_among("Draft", ["draft"]), is_among(False, ["false"]), is_among(None, ["draft"])
    (True, True, False)
    """
    if value is None or isinstance(value, tuple):
        return value in values
    text = as_text(value).casefold()
    return any(one is not None and not isinstance(one, tuple) and as_text(one).casefold() == text for one in values)


def swapped(value: Value, swaps: Mapping[str, Value]) -> Value:
    """A value replaced; one that is replaced by empty text is none."""
    if isinstance(value, tuple):
        each = (swaps.get(as_text(one), one) for one in value)
        return tuple(one for one in each if one not in (None, "") and not isinstance(one, tuple)) or None
    if value is None:
        return None
    other = swaps.get(str(value), value)
    return None if other == "" else other


def as_list(theirs: Theirs) -> list[str]:
    """Columns of theirs as a list."""
    return [theirs] if isinstance(theirs, str) else theirs


def joined(cells: Iterable[Value]) -> Value:
    """The photos of several cells, each once."""
    return tuple(dict.fromkeys(photo for cell in cells for photo in photos_in(cell))) or None


def fields_of(template: str) -> list[str]:
    """The columns that a template names.

    >>> fields_of("{code}-{colour}.jpg")
    ['code', 'colour']
    """
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


def filled(template: str, cells: Mapping[str, Value]) -> str | None:
    """A template with cells in place of their names; None where one of them is empty.

    >>> filled("{code}.jpg", {"code": "tee"}), filled("{code}.jpg", {"code": None})
    ('tee.jpg', None)
    """
    names = fields_of(template)
    values = {name: cells.get(name) for name in names}
    text = template
    for name, value in values.items():
        if value is None or isinstance(value, tuple):
            return None
        text = text.replace("{" + name + "}", as_text(value))
    return text


def read_recipe(name: str) -> TableRecipe:
    """The recipe that ships under this name, or the one in this TOML file.

    >>> read_recipe("hm").columns["photo"]
    'path'
    """
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not path.is_file():
        ready = ", ".join(sorted(recipe.stem for recipe in SHIPPED.glob("*.toml")))
        raise BadDataset(f"there is no recipe {name}", hint=f"name a .toml file, or one that ships: {ready}")
    try:
        contents = files.from_toml(files.content(path))
    except OSError as error:
        raise BadDataset(f"the recipe {path} cannot be read: {error.strerror}", hint="check the file") from error
    except ValueError as error:
        raise BadDataset(f"the recipe {path} is no TOML: {error}", hint="see docs/datasets/table.md") from error
    for part, entries in contents.items():
        require_part(path, part, entries)
    return TableRecipe(**contents)


@cache
def _known() -> tuple[tuple[str, frozenset[str]], ...]:
    """Recipes that ship and are recognised by the columns of their table: name and these columns."""
    names = sorted(recipe.stem for recipe in SHIPPED.glob("*.toml"))
    recipes = ((name, read_recipe(name)) for name in names)
    columns = ((name, recipe.table.get("known_by", []), recipe.needed()) for name, recipe in recipes)
    return tuple((name, frozenset((*known, *needed))) for name, known, needed in columns if known)


def recognised(columns: Iterable[str]) -> str | None:
    """The recipe that ships for a table with these columns, where they can be no other's.

    >>> recognised(["Handle", "Title", "Option1 Name", "Variant Price", "Image Src"]), recognised(["id", "title"])
    ('shopify', None)
    """
    names = frozenset(columns)
    return next((name for name, known in _known() if known <= names), None)


def require_part(path: Path, part: str, entries: Any) -> None:
    """Raise BadDataset for a table of a recipe that is unknown, or not filled as it must be."""
    wanted = PARTS.get(part)
    fixed = OPTIONS.get(part)
    if (
        wanted is None
        or not isinstance(entries, dict)
        or not all(isinstance(value, wanted) for value in entries.values())
    ):
        hint = f"a recipe holds the tables {', '.join(PARTS)}; see docs/datasets/table.md"
        raise BadDataset(f"the recipe {path}: {part} is none of its tables, or not filled as it must be", hint=hint)
    if fixed and not set(entries) <= set(fixed):
        raise BadDataset(f"the recipe {path}: [{part}] has the entries {', '.join(fixed)}")
