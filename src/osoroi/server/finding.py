"""Garments of a photo, found on threads of their own: the networks are loaded once, and never run on the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

from osoroi.garments import Garment
from osoroi.image import Reduced
from osoroi.records import Box, Clues


@runtime_checkable
class Find(Protocol):
    """Garments of a photo that is decoded already, as ``garments.find_in`` finds them."""

    def __call__(self, photo: Reduced, *, box: Box | None = None) -> list[Garment]:
        """The garments; with ``box`` that box alone."""
        ...


def find_in(photo: Reduced, *, box: Box | None = None) -> list[Garment]:
    """``garments.find.find_in``. It and its networks are imported on the threads, for the first photo or before it."""
    from osoroi.garments import find

    return find.find_in(photo, box=box)


def load() -> None:
    """Load the networks."""
    from osoroi.garments import query, runtime  # noqa: F401  the first box of a query needs it

    runtime.load()


class Finder:
    """At most ``threads`` photos at once; others wait in their order. Lives on one event loop."""

    def __init__(self, threads: int, *, find: Find = find_in, load: Callable[[], None] = load) -> None:
        self._find = find
        self._load = load
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="find")
        self._warm: asyncio.Future[None] | None = None

    async def find(self, photo: Reduced, *, box: Box | None = None) -> Sequence[Garment]:
        """The garments of a photo. A caller that is cancelled while it waits costs nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call(photo, box))

    async def clues(self, photo: Reduced, box: Box) -> Clues:
        """What a photo says of the kind of the garment in a box besides its pixels."""

        def clues() -> Clues:
            from osoroi.garments.query import clues_in

            return clues_in(photo, box)

        return await asyncio.get_running_loop().run_in_executor(self._pool, clues)

    def warm(self) -> None:
        """Load the networks in the background, once: somebody is about to choose a photo."""
        if self._warm is None:
            self._warm = asyncio.get_running_loop().run_in_executor(self._pool, self._load)
            self._warm.add_done_callback(lambda job: job.cancelled() or job.exception())

    def close(self) -> None:
        """Wait for the photos under way; those that wait are not begun."""
        self._pool.shutdown(cancel_futures=True)

    def _call(self, photo: Reduced, box: Box | None) -> Callable[[], list[Garment]]:
        return lambda: self._find(photo, box=box)
