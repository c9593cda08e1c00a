"""How much of a data set is there: photos that can be read, and queries that can be answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.records import Preprocessing, Row, Source

GLANCE = Preprocessing(32, 32)
"""So small a view lets the decoder reduce most; it still reads every byte."""


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
class Place:
    """What was seen so far of one category in one split."""

    present: int = 0
    photos: dict[str, bool] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)

    def see(self, row: Row, look: Callable[[Source], bool]) -> None:
        """Count a crop; its photo is looked at once."""
        photo, crop = row.crop.photo, row.crop
        name = str(photo) if isinstance(photo, Path) else crop.crop_id
        if name not in self.photos:
            there = not isinstance(photo, Path) or photo.is_file()
            self.photos[name] = there and look(photo)
            self.present += there
        if self.photos[name]:
            if crop.domain == "shop":
                self.shown.add(crop.product_id)
            else:
                self.asked.setdefault(crop.crop_id, set()).add(crop.product_id)


def trouble(photo: Source) -> str | None:
    """Why a photo cannot be decoded to its last byte, or None where it can.

    >>> trouble(b"<html>gone</html>") is None
    False
    """
    try:
        image.crop(photo, None, GLANCE)
    except BadPhoto as error:
        return error.what
    return None


def readable(photo: Source) -> bool:
    """Whether a photo can be decoded to its last byte."""
    return trouble(photo) is None


def coverage(
    rows: Iterable[Row],
    *,
    look: Callable[[Source], bool] = readable,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Coverage]:
    """One line for each category and split, in the order they come.

    ``rows`` must hold crops whose photo is missing too: for Street2Shop those of ``listed()``. ``look`` is asked once
    for each photo that is there; ``on_progress`` is told how many crops were counted.
    """
    places: dict[tuple[str | None, str | None], Place] = {}
    for done, row in enumerate(rows, start=1):
        places.setdefault((row.product.category, row.crop.split), Place()).see(row, look)
        on_progress(done)
    return [
        Coverage(
            *name,
            listed=len(place.photos),
            present=place.present,
            readable=sum(place.photos.values()),
            queries=len(place.asked),
            unanswered=sum(not products & place.shown for products in place.asked.values()),
        )
        for name, place in places.items()
    ]
