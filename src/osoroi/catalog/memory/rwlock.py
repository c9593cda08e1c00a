"""A gate that many pass together, or one alone."""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator


class ReadWriteLock:
    """Searches pass together; what changes the index under them passes alone, and is not kept waiting by new ones."""

    def __init__(self) -> None:
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        """Let nobody be inside: in a process that was just forked, no other thread is there to leave."""
        self._mutex = threading.RLock()
        self._changed = threading.Condition(self._mutex)
        self._inside = 0
        self._exclusive = False
        self._waiting = 0

    def shared(self) -> "Shared":
        """Pass with any number of others."""
        return Shared(self)

    def enter(self, passage: "Shared") -> None:
        """What ``shared`` does first."""
        with self._mutex:
            while self._exclusive or self._waiting:
                self._changed.wait()
            self._inside += 1
            passage.is_inside = True

    def leave(self, passage: "Shared") -> None:
        """What ``shared`` does in the end. An interrupt at any point leaves it undone or done, not half."""
        with self._mutex:
            inside = max(0, self._inside - 1)  # nobody is inside in a child
            if self._waiting and not inside:
                self._changed.notify_all()
            self._inside = inside
            passage.is_inside = False

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Pass when nobody else is inside, and keep everybody out meanwhile."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._exclusive and not self._inside)
            except BaseException:  # interrupted: those whom this one kept waiting go on
                self._changed.notify_all()
                raise
            finally:
                self._waiting -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()


class Shared:
    """A passage together with others. A class, as every search passes: ``contextmanager`` takes three times as long."""

    is_inside = False

    def __init__(self, lock: ReadWriteLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.enter(self)

    def __exit__(self, *_: object) -> None:
        self._lock.leave(self)

    def __del__(self) -> None:
        """Leave where an interrupt came between entering and the block, or between the block and leaving."""
        if self.is_inside:
            self._lock.leave(self)


_all: weakref.WeakSet[ReadWriteLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
