"""Lines that sum up those above them, as spreadsheets and accounting systems write below a table."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from osoroi.data.tabular import Line

WORDS = (
    *("total", "totals", "grand total", "subtotal", "sub-total", "sum", "合計", "総計", "小計", "計", "总计", "合计"),
    *("summe", "gesamt", "gesamtsumme", "zwischensumme", "somme", "total général", "totale", "suma", "합계"),
)
"""What the line of a total is called."""

TOTAL = re.compile(rf"({'|'.join(WORDS)})\s*[:：]?", re.IGNORECASE)
"""A word for a total. ``Sum 41`` is a title."""

COUNTED = re.compile(rf"({'|'.join(WORDS)})\s*[:：]\s*[\d.,\s]+", re.IGNORECASE)
"""A word for a total, a colon and a number, in a column that is none of ids: ``Total: 5``."""

NUMBER = re.compile(r"[^\w]*[\d.,\s]+[^\d]{0,12}")
"""A number, with the sign of a currency or a word of what is counted: ``¥8,028``, ``7点``, ``12 items``."""


@dataclass
class Totals:
    """Passes over lines of totals, and keeps the places of the first of them.

    ``photos`` and ``ids`` are the columns of photos and ids. Lines whose id is one of ``stored`` are of a product;
    ``product_ids`` are the ids of lines that were passed over.
    """

    photos: frozenset[str]
    ids: frozenset[str]
    stored: frozenset[str] = frozenset()
    places: list[str] = field(default_factory=list)
    product_ids: set[str] = field(default_factory=set)

    def without(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The other lines."""
        for line in lines:
            ids = {text for name in self.ids if (text := line.text(name))}
            if ids & self.stored or not is_total(line, self.photos, self.ids):
                yield line
            else:
                self.places.append(line.place)
                self.product_ids |= ids

    def note(self) -> list[str]:
        """What is said of them."""
        count = len(self.places)
        return [f"{count:,} lines of totals are passed over, such as {self.places[0]}"] if count else []


def is_total(line: Line, photos: frozenset[str] = frozenset(), ids: frozenset[str] = frozenset()) -> bool:
    """Whether a line has no photo, a word for a total, and beside it numbers at most, none of which is an id.

    >>> from pathlib import Path
    >>> def one(**cells: str) -> Line: return Line(Path("p.csv"), "line 9", cells)
    >>> is_total(one(sku="合計", title="7点", price="¥8,028")), is_total(one(sku="total-1", title="Total look"))
    (True, False)
    >>> is_total(one(sku="1001", title="Total", price="90"), ids=frozenset(["sku"]))
    False
    """
    cells = {name: value for name, value in line.cells.items() if value is not None}
    if any(cells.get(name) for name in photos) or any(isinstance(one, tuple) for one in cells.values()):
        return False
    texts = {name: text for name in cells if (text := (line.text(name) or "").strip())}
    if any(name in texts and not TOTAL.fullmatch(texts[name]) for name in ids):
        return False
    rest = [text for text in texts.values() if not (TOTAL.fullmatch(text) or COUNTED.fullmatch(text))]
    return len(rest) < len(texts) and all(NUMBER.fullmatch(text) for text in rest)
