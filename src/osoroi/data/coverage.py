"""Coverage of a data set: photos that can be read, and queries that can be answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.records import Preprocessing, Row, Source

REDUCED = Preprocessing(32, 32)
"""An input so small that the decoder reduces most; it still reads every byte."""


class Coverage(NamedTuple):
    """Photos listed, present and readable, and queries, of one category in one split.

    ``queries`` are street crops whose photo is readable; of them ``unanswered`` are those for none of whose products
    a readable shop photo stands in the same split.
    """

    category: str | None
    split: str | None
    listed: int
    present: int
    readable: int
    queries: int
    unanswered: int


@dataclass
class Tally:
    """Counts of one category in one split: photos by whether they are readable, queries, products on shop photos."""

    present: int = 0
    photos: dict[str, bool] = field(default_factory=dict)
    queries: dict[str, set[str]] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)

    def add(self, row: Row, check: Callable[[Source], bool]) -> None:
        """Count a crop; its photo is checked once."""
        photo, crop = row.crop.photo, row.crop
        name = str(photo) if isinstance(photo, Path) else crop.crop_id
        if name not in self.photos:
            exists = not isinstance(photo, Path) or photo.is_file()
            self.photos[name] = exists and check(photo)
            self.present += exists
        if self.photos[name]:
            if crop.domain == "shop":
                self.products.add(crop.product_id)
            else:
                self.queries.setdefault(crop.crop_id, set()).add(crop.product_id)


def decode_problem(photo: Source) -> str | None:
    """Why a photo cannot be decoded to its last byte, or None where it can.

    >>> decode_problem(b"<html>gone</html>") is None
    False
    """
    try:
        image.crop(photo, None, REDUCED)
    except BadPhoto as error:
        return error.what
    return None


def is_readable(photo: Source) -> bool:
    """Whether a photo can be decoded to its last byte."""
    return decode_problem(photo) is None


def coverage(
    rows: Iterable[Row],
    *,
    check: Callable[[Source], bool] = is_readable,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Coverage]:
    """One line for each category and split, in the order of their first rows.

    ``rows`` must include crops whose photo is missing: for Street2Shop those of ``listed()``. ``check`` is called once
    for each photo that exists; ``on_progress`` gets the number of crops counted so far.
    """
    tallies: dict[tuple[str | None, str | None], Tally] = {}
    for done, row in enumerate(rows, start=1):
        tallies.setdefault((row.product.category, row.crop.split), Tally()).add(row, check)
        on_progress(done)
    return [
        Coverage(
            *name,
            listed=len(tally.photos),
            present=tally.present,
            readable=sum(tally.photos.values()),
            queries=len(tally.queries),
            unanswered=sum(not products & tally.products for products in tally.queries.values()),
        )
        for name, tally in tallies.items()
    ]
