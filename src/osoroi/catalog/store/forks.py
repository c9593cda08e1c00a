"""What a fork does to open catalogs.

SQLite's locks belong to a process. A child inherits its connections without them, and SQLite in the child takes itself
for their holder: the parent, or a third process, would then delete the log that the child writes to. So idle
connections are closed before a process is forked, and parent and child open their own. What a thread uses at that
moment cannot be closed: then the child cannot use that database at all, and says so.
"""

import os
import threading
import weakref
from typing import Protocol, runtime_checkable

from osoroi.errors import BadCatalog


@runtime_checkable
class Forkable(Protocol):
    """What has connections."""

    def before_fork(self) -> None:
        """Close what is idle, and let nobody open or return a connection until ``after_fork``."""

    def after_fork(self, *, is_child: bool) -> None:
        """Go on."""


_lock = threading.Lock()
_tracked: weakref.WeakSet[Forkable] = weakref.WeakSet()
_stopped: list[Forkable] = []
_unusable: set[tuple[int, int]] = set()
"""Device and inode of databases that were in use when this process was forked."""


def track(pool: Forkable) -> None:
    """Tell a pool of every fork, as long as it lives."""
    with _lock:
        _tracked.add(pool)


def give_up(database: tuple[int, int]) -> None:
    """Never open a database in this process: it was forked while another thread used it."""
    _unusable.add(database)


def demand_usable(database: tuple[int, int] | None, location: object) -> None:
    """Raise BadCatalog for a database that ``give_up`` was told of."""
    if database in _unusable:
        raise BadCatalog(
            f"the catalog {location} was in use when this process was forked from another one, which holds its locks",
            hint="fork while no search and no change is under way, or start processes by 'spawn'",
        )


def _before() -> None:
    _lock.acquire()
    for pool in list(_tracked):
        pool.before_fork()
        _stopped.append(pool)


def _after(*, is_child: bool) -> None:
    while _stopped:
        _stopped.pop().after_fork(is_child=is_child)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(is_child=False),
        after_in_child=lambda: _after(is_child=True),
    )
