"""A searcher that follows ``seq``: it brings its index up to date when a commit is notified, and looks now and then.

Searches do not depend on it: each looks for new commits itself. It only does the work before they come.
"""

import logging
import threading
from collections.abc import Callable

import psycopg

from osoroi.catalog.postgres.pool import PostgresPool
from osoroi.errors import CatalogReplaced, OsoroiError, OtherEncoder

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Seconds between two looks where no notification arrives: a pooler may drop all of them."""

RETRY_S = 2.0
"""Seconds before another attempt to reach a server that is away."""


class Follower:
    """A thread that calls ``catch_up`` after each commit of anybody; it ends with ``stop``."""

    def __init__(self, pool: PostgresPool, catch_up: Callable[[], None]) -> None:
        self._pool = pool
        self._catch_up = catch_up
        self._ended = threading.Event()
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="osoroi follower", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with self._pool.listening() as native:
                    self._listen(native)
            except (CatalogReplaced, OtherEncoder):
                return  # searches say so
            except OsoroiError as error:
                if not self._is_away:
                    log.warning("commits are not followed just now, searches look for them: %s", error)
                self._is_away = True
                self._ended.wait(RETRY_S)

    def _listen(self, native: "psycopg.Connection[tuple[object, ...]] | None") -> None:
        while not self._ended.is_set():
            self._catch_up()
            if self._is_away:
                log.info("commits are followed again")
            self._is_away = False
            if native is None:
                self._ended.wait(POLL_S)
                continue
            for _ in native.notifies(timeout=POLL_S, stop_after=1):
                pass

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
