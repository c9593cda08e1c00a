"""The rows of a dataset with the split that training gives each: its own, or one that is held out of train.

Where a dataset names no validation split, or a share is requested, whole products are held out: no product and no
design stands in both splits, and no photo, street or shop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from osoroi.data import splits
from osoroi.data.readers import Reader
from osoroi.errors import BadRequest
from osoroi.records import Row, Source

SHARE = 0.1
"""Share of the products that validation takes where none is asked for and the dataset has no split of that name."""

SEED = "validation"
"""Seed of what is held out of train: another than that of ``?split=``, which made that train."""


class SplitRows(NamedTuple):
    """Rows whose crops have the split that training uses, and what says where validation comes from."""

    rows: list[Row]
    origin: str


def split_rows(reader: Reader, share: float | None) -> SplitRows:
    """The rows of a dataset for training.

    With a ``share`` that share of train is held out, whatever the dataset's own val, which is then not used. Without
    one, a dataset's own val stays; a dataset with a train alone loses a tenth of it; one without splits is split as
    ``?split=9:1`` does. Raises BadRequest for a share that is not between 0 and 1.
    """
    if share is not None and not 0 < share < 1:
        raise BadRequest(f"a validation share of {share} is not between 0 and 1", hint="hold out 0.1, for instance")
    rows = list(splits.checked(reader.rows()))
    names = {row.crop.split for row in rows}
    if names == {None}:
        return SplitRows(_split_anew(rows, SHARE if share is None else share), "split by product, design and photo")
    if share is None and "val" in names:
        return SplitRows(rows, "the dataset's own val")
    share = SHARE if share is None else share
    own = [row for row in rows if row.crop.split == "train"]
    if not own:
        return SplitRows(rows, "the dataset has no train")
    chosen = splits.hold_out(_links(own), share, SEED)
    assigned = [row for row in rows if row.crop.split not in ("train", "val")]
    assigned += [_in_split(row, "val" if row.product.product_id in chosen else "train") for row in own]
    return SplitRows(assigned, f"{share:.0%} of train by product, design and photo")


def _split_anew(rows: Sequence[Row], share: float) -> list[Row]:
    """Train and val, each component by the place of its first product, so as ``?split=`` where nothing is shared."""
    first = {row.product.product_id: row.product for row in reversed(rows)}
    held_out = {
        product
        for component in splits.connected(_links(rows))
        if splits.place(first[component[0]]) >= 1 - share
        for product in component
    }
    return [_in_split(row, "val" if row.product.product_id in held_out else "train") for row in rows]


def _links(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for product, crop in rows:
        yield product.product_id, f"photo {photo_key(crop.photo)}"
        if product.design_id is not None:
            yield product.product_id, f"design {product.design_id}"


def photo_key(photo: Source) -> str:
    """What two crops of the same photo share: the path, the hash of the bytes, or the name of a photo that is rendered.

    >>> photo_key(b"JPEG") == photo_key(b"JPEG"), photo_key(b"JPEG") == photo_key(b"PNG")
    (True, False)
    """
    if isinstance(photo, bytes):
        return sha256(photo).hexdigest()
    return str(photo) if isinstance(photo, Path) else str(getattr(photo, "name", id(photo)))


def _in_split(row: Row, split: str) -> Row:
    return Row(row.product, replace(row.crop, split=split))
