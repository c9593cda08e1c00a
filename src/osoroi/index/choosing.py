"""Which kind of index for how many vectors: decided here and nowhere else."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from osoroi.errors import BadIndex
from osoroi.index import Index
from osoroi.index.exact import ExactIndex
from osoroi.index.scan import WORTH, ScanIndex

KINDS: dict[str, type[ExactIndex] | type[ScanIndex]] = {"exact": ExactIndex, "scan": ScanIndex}


def kind_for(count: int) -> str:
    """The name of the kind that answers fastest.

    >>> kind_for(200), kind_for(1_000_000)
    ('exact', 'scan')
    """
    return "scan" if count >= WORTH else "exact"


def kind_of(index: Index) -> str:
    """The name of an index's kind.

    >>> kind_of(ExactIndex(3))
    'exact'
    """
    return next(name for name, kind in KINDS.items() if isinstance(index, kind))


def build(count: int, dim: int, blocks: Iterable[tuple[Sequence[int], Float32[np.ndarray, "_ d"]]]) -> Index:
    """An index of ``count`` vectors that come in blocks; raises BadIndex where other than ``count`` come.

    Fastest where keys rise. A scan holds all vectors in memory until it is saved and opened.

    >>> len(build(2, 3, [([4], np.ones((1, 3), np.float32)), ([7], np.ones((1, 3), np.float32))]))
    2
    """
    keys, vectors, end = np.empty(count, np.int64), np.empty((count, dim), np.float32), 0
    for some, rows in blocks:
        if end + len(some) > count:
            raise BadIndex(f"{count} vectors were announced, and more came")
        keys[end : end + len(some)], vectors[end : end + len(some)] = some, rows
        end += len(some)
    if end != count:
        raise BadIndex(f"{count} vectors were announced, and {end} came")
    if kind_for(count) == "scan":
        return ScanIndex.build(keys, vectors)
    index = ExactIndex(dim)
    index.add(keys, vectors)
    return index


def open_index(kind: str, path: Path) -> Index:
    """The snapshot of an index of that kind; raises BadIndex where it is damaged or the kind is not known."""
    if kind not in KINDS:
        raise BadIndex(f"no kind of index is called {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind].open(path)
