"""The log of the service: as text for people, or one JSON object a line for machines that collect logs."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Literal

from osoroi.server.metrics import Fact

Format = Literal["text", "json"]

MOST_CHARACTERS = 2000
"""Of a message, and of a trace."""


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
