"""The log of the service: as text for people, or one JSON object a line for machines that collect logs.

A request makes one line. ``note`` adds facts to the line of the request that is being answered: numbers and names of
ours, never what somebody searched for.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from osoroi.server import tracing

Format = Literal["text", "json"]

MOST_CHARACTERS = 2000
"""Of a message, and of a trace."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What is taken over from a client or a proxy; anything else is replaced."""

Fact = str | int | float

_facts: ContextVar[dict[str, Fact] | None] = ContextVar("facts", default=None)


def request_id(given: str | None) -> str:
    """The id of a request: the one that a proxy gave it, or a new one.

    >>> request_id("a-1"), len(request_id("a b")), len(request_id(None))
    ('a-1', 16, 16)
    """
    return given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


@contextmanager
def facts_of_request() -> Iterator[dict[str, Fact]]:
    """What ``note`` collects while the block runs."""
    facts: dict[str, Fact] = {}
    token = _facts.set(facts)
    try:
        yield facts
    finally:
        _facts.reset(token)


def note(**facts: Fact) -> None:
    """Add facts to the line of this request; numbers that are there already add up."""
    known = _facts.get()
    if known is not None:
        for name, value in facts.items():
            before = known.get(name)
            known[name] = value if before is None or isinstance(value, str) else round(before + value, 1)  # type: ignore[operator]


@contextmanager
def stage(name: str) -> Iterator[None]:
    """One stage of answering a request: its milliseconds go to the line of the request, and a span to the trace."""
    start = time.perf_counter()
    with tracing.span(name):
        try:
            yield
        finally:
            note(**{f"{name}_ms": round(1000 * (time.perf_counter() - start), 1)})


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``event``, and either the facts of a request
    or a ``message``.

    >>> record = logging.LogRecord("osoroi.server", logging.INFO, "", 0, "ready on %s", ("a port",), None)
    >>> json.loads(JsonFormatter().format(record))["message"]
    'ready on a port'
    """

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        facts: Mapping[str, Fact] | None = getattr(record, "facts", None)
        line |= {"event": "message", "message": record.getMessage()[:MOST_CHARACTERS]} if facts is None else facts
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-MOST_CHARACTERS:]
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def configure(format: Format) -> None:
    """Send every log of this process to stderr in one form."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if format == "json" else plain)
    logging.basicConfig(handlers=[handler], level=logging.INFO)
