"""How a table is read: what each column means, decided by all of its cells before the first row is given."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from osoroi.data import headers
from osoroi.data.cells import Cells, as_text, attribute, iso_date, listed
from osoroi.data.currencies import code_of, currency_of
from osoroi.data.headers import OURS, Roles
from osoroi.data.markup import has_markup, without_markup
from osoroi.data.prices import PriceFormat
from osoroi.data.readers.table_recipe import TableRecipe, as_list, joined, read_recipe, recognised
from osoroi.data.readers.totals import Totals
from osoroi.data.readers.variants import Repeats, VariantKey, grouped, has_prices, merged
from osoroi.data.tabular import Line, OnError, TableSource
from osoroi.records import Value, in_utc

PLAIN = ("title", "brand", "category")
"""Our columns in which HTML is no text."""

COLOURS = ("color", "colour", "カラー", "色", "farbe", "couleur")

HEAD = 200
"""Lines whose names of cells make the header of a file in which every line brings its own."""


class LayoutColumn(NamedTuple):
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
    """How a table is read. ``notes`` say what was decided, ``undecided`` what nobody can know.

    ``total_ids`` are ids of lines of totals, such as ``Total``; those in ``stored`` are of products, and read.
    """

    source: TableSource
    recipe: TableRecipe
    roles: Roles
    columns: dict[str, LayoutColumn] = field(default_factory=dict)
    prices: PriceFormat = field(default_factory=PriceFormat)
    counts: dict[int, int] = field(default_factory=dict)
    by: str = ""
    lists: frozenset[str] = frozenset()
    lines: int = 0
    notes: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    total_ids: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()

    @property
    def has_photos(self) -> bool:
        """Whether some column is one of photos."""
        return bool(self.roles.photos) or "photo" in self.recipe.named

    def read(self, on_error: OnError | None = None) -> Iterator[Line]:
        """The lines that the recipe keeps, those of one product as one, under our names, without markup in titles."""
        return map(cleaned, self.as_written(on_error))

    def theirs(self, name: str) -> list[str]:
        """Their columns for one of ours, the one that counts first."""
        renames: dict[str, str | list[str]] = {**self.roles.columns, **self.recipe.optional, **self.recipe.columns}
        return as_list(renames.get(name, []))

    def price_columns(self, lines: list[Line]) -> list[str]:
        """Their columns of prices; none where lines of one product name several currencies."""
        currencies = {line.text(name) for line in lines for name in self.theirs("currency")} - {None}
        return [] if len(currencies) > 1 else self.theirs("price")

    def totals(self) -> Totals:
        """What passes over lines of totals."""
        photos = frozenset((*self.roles.photos, *self.recipe.photos()))
        return Totals(photos, frozenset((*self.theirs("product_id"), *self.recipe.ids())), self.stored)

    def as_written(
        self,
        on_error: OnError | None = None,
        on_group: Callable[[list[Line]], None] | None = None,
        totals: Totals | None = None,
    ) -> Iterator[Line]:
        """The lines of ``read`` with whatever markup there is; ``on_group`` gets the lines of each product, and
        ``totals`` those that are passed over."""
        lines = (totals or self.totals()).without(self.source.lines(on_error))
        if self.counts:
            groups = grouped(lines, key_by(self.by, self.roles, self.recipe), self.counts)
            lines = self.together(groups, on_group)
        return (self.ours(line) for line in lines if self.recipe.keeps(line))

    def together(
        self, groups: Iterable[list[Line]], on_group: Callable[[list[Line]], None] | None = None
    ) -> Iterator[Line]:
        """The lines of each product as one."""
        photos = frozenset((*self.roles.photos, *self.recipe.photos()))
        for group in groups:
            if on_group:
                on_group(group)
            yield merged(group, photos, self.lists, self.recipe.lists, self.price_columns(group))

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
        """The attributes of a line, each as the kind of its column; times that have a zone are in UTC."""
        return {name: in_utc(self.typed(name, value)) for name, value in line.cells.items() if name not in OURS}

    def typed(self, name: str, value: Value) -> Value:
        """A cell as the kind of its column."""
        column = self.columns.get(name)
        kind = "text" if column is None else column.kind
        if value is None:
            return None
        if kind == "list" and column is not None:
            return listed(value, column.separator, numbers=column.numbers)
        if kind == "date" and column is not None:
            return iso_date(str(value))
        if self.source.is_typed:
            return value
        if kind == "text":
            return ", ".join(map(as_text, value)) if isinstance(value, tuple) else as_text(value)
        return attribute(value)


@dataclass
class ManyPrices:
    """How many products of a table have several prices."""

    layout: Layout
    count: int = 0

    def see(self, lines: list[Line]) -> None:
        """Count the lines of one product."""
        self.count += has_prices(lines, self.layout.price_columns(lines))


def cleaned(line: Line) -> Line:
    """A line whose title, brand and category are free of markup."""
    texts = {name: text for name in PLAIN if isinstance(text := line.cells.get(name), str) and has_markup(text)}
    plain = {name: without_markup(text) for name, text in texts.items()}
    return line._replace(cells={**line.cells, **plain}) if plain else line


def survey(source: TableSource, recipe: TableRecipe, recent: int, *, recognise: bool = True) -> Layout:
    """Decide how a table is read, by all of its lines. Lines that cannot be read decide nothing.

    The export of a shop system is read by the recipe that ships for it, where its columns can be no other's, unless
    ``recognise`` is off.
    """
    names = header_of(source)
    known = recognised(names) if recognise and recipe == TableRecipe() else None
    recipe = read_recipe(known) if known else recipe
    roles = headers.assigned(names) if recipe == TableRecipe() else headers.Roles({}, (), ())
    sizes = [name for name in names if headers.plain(name) in headers.SIZES]
    by, counts = groups_of(source, recipe, roles, sizes, names, recent)
    lists = lists_of(recipe, sizes, names, by) if counts else frozenset[str]()
    layout = Layout(source, recipe, roles, counts=counts, by=by, lists=lists)
    cells: dict[str, Cells] = {}
    stated = recipe.prices.get("currency", "") or currency_of(roles.columns.get("price", ""))
    prices = PriceFormat(recipe.prices.get("decimal", ""), stated)
    count, marked = 0, 0
    several, totals = ManyPrices(layout), layout.totals()
    for written in layout.as_written(lambda error: None, several.see, totals):
        line = cleaned(written)
        count += 1
        marked += line is not written
        for name, value in line.cells.items():
            (cells.get(name) or cells.setdefault(name, Cells(name))).see(value)
        price = line.cells.get("price")
        if isinstance(price, str):
            prices.see(price, code_of(line.text("currency") or ""))
        elif isinstance(price, tuple):
            several.count += len(price) > 1
    columns = {name: column(seen, roles, recipe, layout) for name, seen in cells.items()}
    notes = (*source.notes, *spoken(names, roles, recipe), *prices.notes(), *group_notes(by, counts, several.count))
    zones = [note for name, seen in cells.items() if name not in OURS for note in seen.zone_note()]
    notes = (*notes, *totals.note(), *zones)
    if known:
        notes = (*recipe_notes(known, recipe, names), *notes)
    if marked:
        notes = (*notes, f"tags and entities of HTML are left out of the titles and categories of {marked:,} lines")
    question = prices.undecided()
    undecided = (*roles.undecided, *([f"price: {question}"] if question else []))
    ids = frozenset(totals.product_ids)
    return replace(layout, columns=columns, prices=prices, lines=count, notes=notes, undecided=undecided, total_ids=ids)


def recipe_notes(known: str, recipe: TableRecipe, names: list[str]) -> list[str]:
    """What is said of a recipe by which a table is read without naming it."""
    lines = [f"read by the recipe {known}, whose columns these are; another `recipe` reads them otherwise"]
    others = recipe.left_out(names)
    if others:
        lines.append(f"columns that are not read: {', '.join(others)}; with `recipe` none they are attributes")
    return lines


def lists_of(recipe: TableRecipe, sizes: list[str], names: list[str], by: str) -> frozenset[str]:
    """Columns that keep every value of the lines of one product: sizes, of lines with one id colours, too."""
    colours = [name for name in names if by == "id" and headers.plain(name) in COLOURS]
    return frozenset((*sizes, *colours, *as_list(recipe.variants.get("lists", [])), *recipe.pair_values()))


def header_of(source: TableSource) -> list[str]:
    """The names of all columns; in a file without a header, those of its first lines."""
    lines = source.lines(lambda error: None)
    return list(dict.fromkeys(name for line in islice(lines, HEAD) for name in line.cells))


def groups_of(
    source: TableSource, recipe: TableRecipe, roles: Roles, sizes: list[str], names: list[str], recent: int
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
    for line in Layout(source, recipe, roles).totals().without(source.lines(lambda error: None)):
        for way in ways:
            repeats[way].see(keys[way](line))
    way = next((way for way in ways if repeats[way].counts), "")
    return way, repeats[way].counts if way else {}


def key_by(way: str, roles: Roles, recipe: TableRecipe) -> VariantKey:
    """What lines of one product have in common."""
    if way == "recipe":
        columns = as_list(recipe.variants.get("by", []))
        return lambda line: recipe_key(line, columns)
    if way == "id":
        name = roles.columns.get("product_id", "")
        return lambda line: line.text(name)
    same = [roles.columns[role] for role in ("title", "design_id", "brand", "category") if role in roles.columns]

    def photo_key(line: Line) -> str | None:
        photos = joined(line.cells.get(name) for name in roles.photos)
        if photos is None:
            return None
        more = [line.text(name) for name in line.cells if headers.plain(name) in COLOURS]
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


def column(contents: Cells, roles: Roles, recipe: TableRecipe, layout: Layout) -> LayoutColumn:
    """How one of our columns, or an attribute, is read."""
    name, examples = contents.header, tuple(contents.examples)
    header = roles.columns.get(name, name)
    if name in OURS:
        return LayoutColumn(header, name, name if name in ("photo", "price") else "text", examples, contents.filled)
    stated = recipe.lists.get(name, "")
    is_variant = header in layout.lists or any(
        theirs in layout.lists for theirs in as_list(recipe.optional.get(name, []))
    )
    separator = stated or contents.separator()
    if separator or is_variant or "list" in contents.kinds:
        return LayoutColumn(
            header, "attribute", "list", examples, contents.filled, separator, numbers=contents.has_numbers()
        )
    if contents.has_zones() or (contents.is_date() and not layout.source.is_typed):
        kind = "date"
    else:
        kind = "text" if contents.is_text() else next(iter(contents.kinds), "text")
    return LayoutColumn(header, "attribute", kind, examples, contents.filled)


def spoken(names: Iterable[str], roles: Roles, recipe: TableRecipe) -> list[str]:
    """What is said of headers that are not ours."""
    if recipe != TableRecipe():
        return []
    lines = [
        f"`{theirs}` read as {ours}"
        for ours, theirs in roles.columns.items()
        if theirs != ours and not (ours == "photo" and len(roles.photos) > 1)
    ]
    code = currency_of(roles.columns.get("price", ""))
    if code:
        lines.append(f"prices are in {code}, by their header")
    if len(roles.photos) > 1:
        lines.append(f"photos: {', '.join(f'`{name}`' for name in roles.photos)}")
    if "product_id" not in roles.columns and "photo" in roles.columns:
        lines.append("no column is a product_id: every photo is a product of its own")
    if "title" not in roles.columns and "photo" in roles.columns:
        lines.append("no column is read as title: products have none")
    for ours in headers.IN_LANGUAGES:
        others = [f"`{name}`" for name in names if name != roles.columns.get(ours) and is_translation(name, ours)]
        if others:
            lines.append(f"{', '.join(others)}: {ours} in another language, an attribute; a recipe says otherwise")
    return lines


def is_translation(header: str, ours: str) -> bool:
    """Whether a header is one of our columns in one language.

    >>> is_translation("title.ja", "title"), is_translation("title", "title"), is_translation("brand_en", "title")
    (True, False, False)
    """
    rank = headers.rank_of(header)
    return rank is not None and rank[0] == ours and rank[1] >= headers.TRANSLATED


def group_notes(by: str, counts: dict[int, int], several: int) -> list[str]:
    """What is said of several lines of one product."""
    lowest = [f"of several prices the lowest is taken, in {several:,} products"] if several else []
    if not counts:
        return lowest
    what = {"id": "the same id", "photo": "the same photo and title", "recipe": "one product by the recipe"}[by]
    lines = f"{sum(counts.values()):,} lines with {what} read as {len(counts):,} products with several values"
    return [lines, *lowest]
