"""Whether crops of a table come twice, in a few bytes each: a million lines need 8 to 24 MB.

It compares ids. Near-duplicates, photos that look the same, are found by ``osoroi.image.phash``.
"""

from hashlib import blake2b

import numpy as np
from jaxtyping import UInt64

from osoroi.records import Row

RECENT = 1 << 16
"""Keys in a set before they are sorted into an array."""


class CropIds:
    """Ids of the crops of a table, as keys of 64 bits: two of a million ids agree with a chance of 3e-8.

    ``recent`` is how many keys are in a set before they are sorted into an array.

    >>> from osoroi.records import Crop, Product
    >>> row = Row(Product("coat"), Crop("c1", "coat", "shop", b""))
    >>> crop_ids = CropIds()
    >>> crop_ids.add(row), crop_ids.add(row)
    (None, "crop_id 'c1' stands twice")
    """

    def __init__(self, recent: int = RECENT) -> None:
        self.limit = recent
        self.recent: set[int] = set()
        self.sorted: UInt64[np.ndarray, " n"] = np.empty(0, np.uint64)

    def add(self, row: Row) -> str | None:
        """Add a crop; what is wrong with it, if anything.

        A shop crop may come once. A street crop may come again with another product, on the same photo and box.
        """
        crop = row.crop
        same = key("id", crop.crop_id)
        if crop.domain == "shop":
            return None if self.add_key(same) else f"crop_id {crop.crop_id!r} stands twice"
        where = key("where", crop.crop_id, str(crop.photo), str(crop.box))
        fresh = self.add_key(same)
        if self.add_key(where) and not fresh:
            return f"crop_id {crop.crop_id!r} stands for another photo or box already"
        if not self.add_key(key("product", crop.crop_id, crop.product_id)):
            return f"crop_id {crop.crop_id!r} stands twice for product {crop.product_id!r}"
        return None

    def add_key(self, new: int) -> bool:
        """Add a key; whether it is new."""
        at = self.sorted.searchsorted(np.uint64(new))
        if new in self.recent or (at < len(self.sorted) and int(self.sorted[at]) == new):
            return False
        self.recent.add(new)
        if len(self.recent) >= self.limit:
            more = np.fromiter(self.recent, np.uint64, len(self.recent))
            self.sorted = np.sort(np.concatenate([self.sorted, more]))
            self.recent = set()
        return True


def key(*words: str) -> int:
    """64 bits of a hash of some words, in order.

    >>> key("a", "bc") == key("ab", "c")
    False
    """
    return int.from_bytes(blake2b(ascii(words).encode(), digest_size=8).digest(), "big")
