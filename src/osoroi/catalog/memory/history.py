"""Which products the last commits changed, so that a search can be answered as of a commit that is not the last."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

MOST = 2_000
"""Products that all commits remembered may have changed together; older commits are forgotten first."""


class Commit(NamedTuple):
    """A commit, its checksum, and the products that it changed, by key."""

    seq: int
    checksum: int
    products: frozenset[int]


class History:
    """The last commits, ``most`` at the most; the first one is that from which the index was made."""

    def __init__(self, seq: int, checksum: int, most: int) -> None:
        self._commits = deque([Commit(seq, checksum, frozenset())])
        self._most = most
        self._products = 0

    def add(self, seq: int, checksum: int, products: Iterable[int]) -> None:
        """The next commit."""
        self._commits.append(Commit(seq, checksum, frozenset(products)))
        self._products += len(self._commits[-1].products)
        while len(self._commits) > 1 and (len(self._commits) > self._most + 1 or self._products > MOST):
            self._products -= len(self._commits.popleft().products)

    def changed_since(self, seq: int, checksum: int) -> frozenset[int] | None:
        """The products that were changed after a commit; None where that commit is not remembered.

        >>> history = History(3, 33, most=10)
        >>> history.add(4, 44, [7]); history.add(5, 55, [7, 9])
        >>> [history.changed_since(*commit) for commit in ((5, 55), (4, 44), (4, 45), (2, 22), (6, 66))]
        [frozenset(), frozenset({9, 7}), None, None, None]
        """
        changed: set[int] = set()
        for commit in reversed(self._commits):
            if commit.seq == seq:
                return frozenset(changed) if commit.checksum == checksum else None
            if commit.seq < seq:
                return None
            changed |= commit.products
        return None
