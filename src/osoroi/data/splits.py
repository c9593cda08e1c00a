"""Train, validation and test by product: dealt by a hash, and refused where one stands in two.

Dealing by a hash of the id means that a product stays where it was when others come or go. Products of one design
(``design_id``) go together: the same cut in another colour is too easy a query, and too good an answer.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import accumulate

from osoroi.errors import BadDataset
from osoroi.records import Product, Row

SPLITS = ("train", "val", "test")


def place(product: Product, seed: str = "0") -> float:
    """Where a product lies in [0, 1): evenly over designs, the same for the same seed.

    A product without a design lies by its own id. ``place`` = the first 53 bits of BLAKE2b(seed, id), so that it is
    the same on every machine.

    >>> red, blue = Product("1", design_id="coat"), Product("2", design_id="coat")
    >>> place(red) == place(blue), place(red) == place(red, seed="1")
    (True, False)
    """
    identity = ("product", product.product_id) if product.design_id is None else ("design", product.design_id)
    digest = blake2b(ascii((seed, *identity)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def dealer(shares: str, seed: str = "0") -> Callable[[Product], str]:
    """What deals products to train, val and test in shares such as ``8:1:1`` or, without a test set, ``9:1``.

    Shares are of designs, and hold on average: 1,000 designs by ``9:1`` give train 900, with a deviation of 9.

    >>> dealer("1:0:0")(Product("coat"))
    'train'
    >>> dealer("lots")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: 'lots' are no shares of train:val:test; write them like 8:1:1
    """
    try:
        parts = [float(part) for part in shares.split(":")]
    except ValueError:
        parts = []
    if not 2 <= len(parts) <= 3 or min(parts) < 0 or not 0 < sum(parts) < float("inf"):
        raise BadDataset(f"{shares!r} are no shares of train:val:test", hint="write them like 8:1:1")
    edges = [edge / sum(parts) for edge in accumulate(parts)]
    edges = [1.0 if edge == edges[-1] else edge for edge in edges]  # a sum of tenths may end below one

    def deal(product: Product) -> str:
        at = place(product, seed)
        return next(name for name, edge in zip(SPLITS, edges, strict=False) if at < edge)

    return deal


def checked(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows; raises BadDataset at the first product or design that stands in two splits.

    Rows without a split stand in none. Holds one entry a product and a design.
    """
    held: dict[tuple[str, str], str] = {}
    for row in rows:
        yield row if row.crop.split is None else _checked(row, row.crop.split, held)


def _checked(row: Row, split: str, held: dict[tuple[str, str], str]) -> Row:
    product = row.product
    names = [("product", product.product_id)]
    if product.design_id is not None:
        names.append(("design", product.design_id))
    for kind, name in names:
        other = held.setdefault((kind, name), split)
        if other != split:
            problem = f"{kind} {name!r} stands in {other} and in {split} (crop {row.crop.crop_id!r})"
            raise BadDataset(problem, hint="what is measured must not have been learned: keep it in one split")
    return row
