"""Train, validation and test by product: dealt by a hash, and refused where one stands in two, so that nothing leaks
from one split into another.

Dealing by a hash of the id means that a product stays where it was when others come or go. Products of one design
(``design_id``) go together: the same cut in another colour is too easy a query, and too good an answer.
"""

from collections import defaultdict
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


def connected(links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Products that a chain of shared photos or designs connects, in the order in which products first come.

    A link is a product and a photo, or anything else that must not stand in two splits.

    >>> connected([("skirt", "photo 1"), ("bag", "photo 1"), ("hat", "photo 2"), ("bag", "photo 3")])
    [['skirt', 'bag'], ['hat']]
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    products: dict[str, None] = {}
    for product, other in links:
        products[product] = None
        parent[root(("other", other))] = root(("product", product))
    components: dict[tuple[str, str], list[str]] = defaultdict(list)
    for product in products:
        components[root(("product", product))].append(product)
    return list(components.values())


def hold_out(links: Iterable[tuple[str, str]], share: float, seed: str = "0") -> set[str]:
    """A share of the products, at least two, that no shared photo or design connects with the others.

    ``links`` is as in ``connected``. Whole components are drawn in the order of a hash of their first product; one that
    would exceed the share is passed over, so the largest may always stay. Raises BadDataset where none is small enough.

    >>> sorted(hold_out([(str(number), f"photo {number // 2}") for number in range(40)], 0.1))
    ['10', '11', '32', '33']
    """
    components = connected(links)
    most = max(2, round(share * sum(map(len, components))))
    chosen: set[str] = set()
    for component in sorted(components, key=lambda members: place(Product(min(members)), seed)):
        if len(chosen) + len(component) <= most:
            chosen.update(component)
    if len(chosen) < 2 or len(components) < 2:
        sizes = sorted(map(len, components), reverse=True)[:3]
        raise BadDataset(
            f"no {most} products can be held out: shared photos and designs connect them in groups of {sizes}",
            hint="give the dataset a split of its own, or hold out a larger share",
        )
    return chosen


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
