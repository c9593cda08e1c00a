"""Marks of runs that write products whose kinds are still to be settled, noted in the commits that write them.

A run that settles reads the marks, then the products, and takes away only the marks that it has read: with the mark in
the commit of the products, it has seen the products of every mark that it takes away. Who writes says so for a block,
and the commit finds it in its context, however deep it lies.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Final

CURRENT: Final[ContextVar[Mapping[str, str]]] = ContextVar("marks", default={})  # noqa: B039 (nobody changes it)


@contextlib.contextmanager
def noted(run: str, mark: str) -> Iterator[None]:
    """Have every commit of this thread inside the block that changes anything note a mark of a run, in place of its
    last one.

    >>> with noted("a run", "1"):
    ...     CURRENT.get()
    {'a run': '1'}
    """
    token = CURRENT.set({run: mark})
    try:
        yield
    finally:
        CURRENT.reset(token)
