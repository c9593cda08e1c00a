"""Lines of a table that are one product: a line for each size, or for each photo."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from osoroi.data.cells import listed, photos_in
from osoroi.data.duplicates import CropIds, key
from osoroi.data.prices import lowest
from osoroi.data.tabular import Line
from osoroi.records import Scalar, Value

VariantKey = Callable[[Line], str | None]
"""What lines of one product have in common; None for a line that stands alone."""


@dataclass
class Repeats:
    """How many lines each product of several lines has, by a hash of its key; others are not counted."""

    recent: int
    counts: dict[int, int] = field(default_factory=dict)
    first: CropIds = field(init=False)

    def __post_init__(self) -> None:
        self.first = CropIds(self.recent)

    def see(self, text: str | None) -> None:
        """Count a line by its key."""
        if text is None:
            return
        number = key(text)
        if not self.first.add_key(number):
            self.counts[number] = self.counts.get(number, 1) + 1


def grouped(lines: Iterable[Line], key_of: VariantKey, counts: dict[int, int]) -> Iterator[list[Line]]:
    """Lines of one product together, once its last line has come; nothing else is held."""
    waiting: dict[int, list[Line]] = {}
    for line in lines:
        text = key_of(line)
        number = None if text is None else key(text)
        if number is None or number not in counts:
            yield [line]
            continue
        group = waiting.setdefault(number, [])
        group.append(line)
        if len(group) == counts[number]:
            yield waiting.pop(number)
    yield from waiting.values()  # the file has changed meanwhile


def merged(
    lines: list[Line],
    photos: frozenset[str],
    lists: frozenset[str],
    separators: Mapping[str, str] = MappingProxyType({}),
    prices: Sequence[str] = (),
) -> Line:
    """One line of several: all photos, every value of the columns in ``lists``, and else the first that is filled.

    ``separators`` are those between the values of cells that are lists themselves, by column. Of the columns in
    ``prices``, the first that a line fills is its price: they are those of the line with the lowest one.

    >>> from pathlib import Path
    >>> s, m = (Line(Path("t.csv"), f"line {n}", {"photo": "a.jpg", "size": size}) for n, size in ((2, "S"), (3, "M")))
    >>> merged([s, m], frozenset({"photo"}), frozenset({"size"}))
    Line(path=PosixPath('t.csv'), place='lines 2–3', cells={'photo': ('a.jpg',), 'size': ('S', 'M')})
    """
    cells: dict[str, Value] = {}
    for name in dict.fromkeys(name for line in lines for name in line.cells):
        values = [line.cells.get(name) for line in lines]
        if name in photos:
            cells[name] = tuple(dict.fromkeys(photo for value in values for photo in photos_in(value))) or None
        elif name in lists:
            separator = separators.get(name, "")
            cells[name] = all_of(listed(value, separator, numbers=False) if separator else value for value in values)
        else:
            cells[name] = next((value for value in values if value is not None), None)
    if has_prices(lines, prices):
        cheapest = lines[lowest([price_in(line, prices) for line in lines])]
        cells |= {name: cheapest.cells.get(name) for name in prices}
    return Line(lines[0].path, span(lines), cells)


def price_in(line: Line, prices: Sequence[str]) -> Value:
    """The price of a line: the first of these columns that is filled."""
    return next((value for name in prices if (value := line.cells.get(name)) is not None), None)


def has_prices(lines: Iterable[Line], prices: Sequence[str]) -> bool:
    """Whether lines of one product have several prices."""
    return len({price_in(line, prices) for line in lines} - {None}) > 1


def all_of(values: Iterable[Value]) -> Value:
    """Every value, each once, in order."""
    every: dict[Scalar, None] = {}
    for value in values:
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                every[one] = None
    return tuple(every) or None


def span(lines: list[Line]) -> str:
    """Where lines stand: ``line 4``, ``lines 4–6``, or all of them where they stand apart."""
    if len(lines) == 1:
        return lines[0].place
    word, _, first = lines[0].place.partition(" ")
    numbers = [line.place.partition(" ")[2] for line in lines]
    together = all(one.isdecimal() for one in numbers) and int(numbers[-1]) - int(first) == len(lines) - 1
    return f"{word}s {first}–{numbers[-1]}" if together else f"{word}s {', '.join(numbers[:20])}"
