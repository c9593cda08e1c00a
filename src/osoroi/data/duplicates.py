"""Which crops a table has named so far, in a few bytes each: a million lines need 8 to 24 MB."""

from hashlib import blake2b

import numpy as np
from jaxtyping import UInt64

from osoroi.records import Row

RECENT = 1 << 16
"""Keys kept as a set before they are sorted away."""


class Seen:
    """Keys of 64 bits: two of a million different ids are taken for one with a chance of 3e-8.

    >>> from osoroi.records import Crop, Product
    >>> row = Row(Product("coat"), Crop("c1", "coat", "shop", b""))
    >>> seen = Seen()
    >>> seen.add(row), seen.add(row)
    (None, "crop_id 'c1' stands twice")
    """

    def __init__(self) -> None:
        self.recent: set[int] = set()
        self.sorted: UInt64[np.ndarray, " n"] = np.empty(0, np.uint64)

    def add(self, row: Row) -> str | None:
        """Note a crop; what is wrong with it, if anything.

        A shop crop may come once. A street crop may come again with another product, on the same photo and box.
        """
        crop = row.crop
        same = key("id", crop.crop_id)
        if crop.domain == "shop":
            return None if self.note(same) else f"crop_id {crop.crop_id!r} stands twice"
        where = key("where", crop.crop_id, str(crop.photo), str(crop.box))
        fresh = self.note(same)
        if self.note(where) and not fresh:
            return f"crop_id {crop.crop_id!r} stands for another photo or box already"
        if not self.note(key("product", crop.crop_id, crop.product_id)):
            return f"crop_id {crop.crop_id!r} stands twice for product {crop.product_id!r}"
        return None

    def note(self, new: int) -> bool:
        """Whether a key is new; it is kept."""
        at = self.sorted.searchsorted(np.uint64(new))
        if new in self.recent or (at < len(self.sorted) and int(self.sorted[at]) == new):
            return False
        self.recent.add(new)
        if len(self.recent) >= RECENT:
            more = np.fromiter(self.recent, np.uint64, len(self.recent))
            self.sorted = np.sort(np.concatenate([self.sorted, more]))
            self.recent = set()
        return True


def key(*told: str) -> int:
    """64 bits of what is told.

    >>> key("a", "bc") == key("ab", "c")
    False
    """
    return int.from_bytes(blake2b(ascii(told).encode(), digest_size=8).digest(), "big")
