"""How a table is read: what each column means, decided by all of its cells before the first row is given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from osoroi.data import headers
from osoroi.data.cells import Cells, as_text, attribute, iso_date, listed
from osoroi.data.headers import OURS, Roles
from osoroi.data.prices import PriceFormat
from osoroi.data.readers.table_recipe import TableRecipe, as_list, joined
from osoroi.data.readers.variants import Key, Repeats, grouped, merged
from osoroi.data.tabular import Line, OnError, Source
from osoroi.records import Value

HEAD = 200
"""Lines whose names of cells make the header of a file in which every line brings its own."""


class Column(NamedTuple):
    """One column: its header, what it means (ours, or ``attribute``), the kind of its values, and examples as written.

    ``separator`` stands between the values of a list; ``numbers`` says that all of them are numbers.
    """

    header: str
    role: str
    kind: str
    examples: tuple[str, ...]
    filled: int
    separator: str = ""
    numbers: bool = False


@dataclass(frozen=True)
class Layout:
    """How a table is read. ``notes`` say what was decided, ``undecided`` what nobody can know."""

    source: Source
    recipe: TableRecipe
    roles: Roles
    columns: dict[str, Column] = field(default_factory=dict)
    prices: PriceFormat = field(default_factory=PriceFormat)
    counts: dict[int, int] = field(default_factory=dict)
    by: str = ""
    lists: frozenset[str] = frozenset()
    lines: int = 0
    notes: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def has_photos(self) -> bool:
        """Whether some column is one of photos."""
        return bool(self.roles.photos) or "photo" in self.recipe.named

    def read(self, on_error: OnError | None = None) -> Iterator[Line]:
        """The lines that the recipe keeps, those of one product as one, under our names."""
        lines = self.source.lines(on_error)
        if self.counts:
            photos = frozenset((*self.roles.photos, *self.recipe.photos()))
            groups = grouped(lines, key_by(self.by, self.roles, self.recipe), self.counts)
            lines = (merged(group, photos, self.lists, self.recipe.lists) for group in groups)
        return (self.ours(line) for line in lines if self.recipe.keeps(line))

    def ours(self, line: Line) -> Line:
        """A line under our names."""
        if self.recipe != TableRecipe():
            return self.recipe.ours(line)
        theirs = {name: ours for ours, name in self.roles.columns.items() if ours != "photo"}
        photos = self.roles.photos
        cells: dict[str, Value] = {}
        for name, value in line.cells.items():
            if name not in photos:
                cells[theirs.get(name, name)] = value
        if photos:
            cells["photo"] = line.cells.get(photos[0]) if len(photos) == 1 else joined(map(line.cells.get, photos))
        return line._replace(cells=cells)

    def attributes(self, line: Line) -> dict[str, Value]:
        """The attributes of a line, each as the kind of its column."""
        return {name: self.typed(name, value) for name, value in line.cells.items() if name not in OURS}

    def typed(self, name: str, value: Value) -> Value:
        """A cell as the kind of its column."""
        column = self.columns.get(name)
        kind = "text" if column is None else column.kind
        if value is None:
            return None
        if kind == "list" and column is not None:
            return listed(value, column.separator, numbers=column.numbers)
        if self.source.is_typed:
            return value
        if kind == "date":
            return iso_date(str(value))
        if kind == "text":
            return ", ".join(map(as_text, value)) if isinstance(value, tuple) else as_text(value)
        return attribute(value)


def survey(source: Source, recipe: TableRecipe, recent: int) -> Layout:
    """Decide how a table is read, by all of its lines. Lines that cannot be read decide nothing."""
    names = header_of(source)
    roles = headers.assigned(names) if recipe == TableRecipe() else headers.Roles({}, (), ())
    sizes = [name for name in names if headers.plain(name) in headers.SIZES]
    by, counts = groups_of(source, recipe, roles, sizes, names, recent)
    lists = frozenset((*sizes, *as_list(recipe.variants.get("lists", [])), *recipe.pairs.values())) if counts else None
    layout = Layout(source, recipe, roles, counts=counts, by=by, lists=lists or frozenset())
    cells: dict[str, Cells] = {}
    prices = PriceFormat(recipe.prices.get("decimal", ""), recipe.prices.get("currency", ""))
    count = 0
    for line in layout.read(lambda error: None):
        count += 1
        for name, value in line.cells.items():
            (cells.get(name) or cells.setdefault(name, Cells(name))).see(value)
        price = line.cells.get("price")
        if isinstance(price, str):
            prices.see(price)
    columns = {name: column(seen, roles, recipe, layout) for name, seen in cells.items()}
    notes = (*source.notes, *spoken(names, roles, recipe), *prices.notes(), *group_notes(by, counts))
    question = prices.undecided()
    undecided = (*roles.undecided, *([f"price: {question}"] if question else []))
    return Layout(source, recipe, roles, columns, prices, counts, by, layout.lists, count, notes, undecided)


def header_of(source: Source) -> list[str]:
    """The names of all columns; in a file without a header, those of its first lines."""
    lines = source.lines(lambda error: None)
    return list(dict.fromkeys(name for line in islice(lines, HEAD) for name in line.cells))


def groups_of(
    source: Source, recipe: TableRecipe, roles: Roles, sizes: list[str], names: list[str], recent: int
) -> tuple[str, dict[int, int]]:
    """What makes several lines one product (``recipe``, ``id``, ``photo``, or nothing), and how many lines each has."""
    if recipe.variants:
        ways = ["recipe"]
    elif recipe == TableRecipe() and sizes and "domain" not in names and not {"left", "split"} & set(names):
        ways = ["id", "photo"]
    else:
        return "", {}
    repeats = {way: Repeats(recent) for way in ways}
    keys = {way: key_by(way, roles, recipe) for way in ways}
    for line in source.lines(lambda error: None):
        for way in ways:
            repeats[way].see(keys[way](line))
    way = next((way for way in ways if repeats[way].counts), "")
    return way, repeats[way].counts if way else {}


def key_by(way: str, roles: Roles, recipe: TableRecipe) -> Key:
    """What lines of one product have in common."""
    if way == "recipe":
        columns = as_list(recipe.variants.get("by", []))
        return lambda line: recipe_key(line, columns)
    if way == "id":
        name = roles.columns.get("product_id", "")
        return lambda line: line.text(name)
    same = [roles.columns[role] for role in ("title", "design_id", "brand", "category") if role in roles.columns]
    colours = ("color", "colour", "カラー", "色", "farbe", "couleur")

    def photo_key(line: Line) -> str | None:
        photos = joined(line.cells.get(name) for name in roles.photos)
        if photos is None:
            return None
        more = [line.text(name) for name in line.cells if headers.plain(name) in colours]
        return repr((photos, [line.text(name) for name in same], more))

    return photo_key


def recipe_key(line: Line, columns: list[str]) -> str | None:
    """The first filled of several columns; ``a+b`` joins two, and text around ``{a}`` stays."""
    for name in columns:
        if "{" in name:
            from osoroi.data.readers.table_recipe import filled

            text = filled(name, line.cells)
        elif "+" in name and name not in line.cells:
            parts = [line.text(part) or "" for part in name.split("+")]
            text = repr(parts) if parts[0] else None
        else:
            text = line.text(name)
        if text is not None:
            return text
    return None


def column(contents: Cells, roles: Roles, recipe: TableRecipe, layout: Layout) -> Column:
    """How one of our columns, or an attribute, is read."""
    name, examples = contents.header, tuple(contents.examples)
    header = roles.columns.get(name, name)
    if name in OURS:
        return Column(header, name, name if name in ("photo", "price") else "text", examples, contents.filled)
    stated = recipe.lists.get(name, "")
    is_variant = header in layout.lists or any(
        theirs in layout.lists for theirs in as_list(recipe.optional.get(name, []))
    )
    separator = stated or contents.separator()
    if separator or is_variant or "list" in contents.kinds:
        return Column(header, "attribute", "list", examples, contents.filled, separator, numbers=contents.has_numbers())
    if layout.source.is_typed:
        kind = "text" if contents.is_text() else next(iter(contents.kinds), "text")
    elif contents.is_date():
        kind = "date"
    else:
        kind = "text" if contents.is_text() else next(iter(contents.kinds), "text")
    return Column(header, "attribute", kind, examples, contents.filled)


def spoken(names: Iterable[str], roles: Roles, recipe: TableRecipe) -> list[str]:
    """What is said of headers that are not ours."""
    if recipe != TableRecipe():
        return []
    lines = [
        f"`{theirs}` read as {ours}"
        for ours, theirs in roles.columns.items()
        if theirs != ours and not (ours == "photo" and len(roles.photos) > 1)
    ]
    if len(roles.photos) > 1:
        lines.append(f"photos: {', '.join(f'`{name}`' for name in roles.photos)}")
    if "product_id" not in roles.columns and "photo" in roles.columns:
        lines.append("no column is a product_id: every photo is a product of its own")
    return lines


def group_notes(by: str, counts: dict[int, int]) -> list[str]:
    """What is said of several lines of one product."""
    if not counts:
        return []
    what = {"id": "the same id", "photo": "the same photo and title", "recipe": "one product by the recipe"}[by]
    return [f"{sum(counts.values()):,} lines with {what} read as {len(counts):,} products with several values"]
