"""Reading that nobody waits for any more: whoever began it says so, and SQLite ends its statement at the next look.

A thread reads on behalf of a request, and another one (the event loop) learns that the client is gone, that its time is
over, or that the service ends. Both share an event, which the reading thread finds in its context.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

CURRENT: Final[ContextVar[threading.Event | None]] = ContextVar("interruption", default=None)


@contextlib.contextmanager
def interrupted_by(event: threading.Event) -> Iterator[None]:
    """Let statements that are limited (see ``ReadTransaction.limited``) end once the event is set.

    >>> event = threading.Event()
    >>> with interrupted_by(event):
    ...     before = is_requested()
    ...     event.set()
    ...     before, is_requested()
    (False, True)
    """
    token = CURRENT.set(event)
    try:
        yield
    finally:
        CURRENT.reset(token)


def is_requested() -> bool:
    """Whether nobody waits for what this thread reads."""
    event = CURRENT.get()
    return event is not None and event.is_set()
