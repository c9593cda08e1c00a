"""Requests to a service: connections that are used again, patience where it is busy, and its errors as ours.

Of the standard library alone, like the downloader; ``docs/decisions/0021-client.md`` says why.
"""

import contextlib
import http.client
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from osoroi import __version__, errors, files
from osoroi.errors import BadRequest, CatalogUnavailable, NotFound, OsoroiError

LONGEST_WAIT_S = 60.0
"""Seconds of a Retry-After that are waited for at most."""

LARGEST = 2**28
"""Bytes of an answer at most."""

BY_STATUS: Mapping[int, type[OsoroiError]] = {
    400: errors.BadRequest,
    401: errors.NoKey,
    404: errors.NotFound,
    408: errors.TooSlow,
    409: errors.OtherEncoder,
    413: errors.TooLarge,
    422: errors.BadPhoto,
    502: errors.CatalogUnavailable,
    503: errors.TooMuch,
    504: errors.CatalogUnavailable,
}
"""Status -> error, where the answer does not name one."""

GONE = (http.client.HTTPException, OSError)
"""Errors of a connection."""


class AnswerLost(ConnectionResetError):
    """A request was sent, and no answer came: it may have been done."""


class Answer(NamedTuple):
    """Status, headers and bytes of an answer."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    def json(self) -> Any:
        """The content as JSON. Raises CatalogUnavailable where something else came."""
        return _json(self.content)

    def lines(self) -> list[Any]:
        """Each line of the content as JSON. Raises CatalogUnavailable where something else came."""
        return [_json(line) for line in self.content.splitlines()]


class Transport:
    """Sends requests to the service at one address. Threads may share it: each request has a connection to itself.

    A request to a service that is busy (503) or that cannot be reached is sent again, up to ``retries`` times, after
    the seconds that the service asks for or a growing time of its own. Every request of the API may be sent twice.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        timeout_s: float,
        retries: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            parts = urlsplit(url)
            self._address = (parts.hostname or "", parts.port)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise BadRequest(f"{url!r:.200} is no address of a service", hint="write it as in http://127.0.0.1:8008")
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.retries = retries
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {"User-Agent": f"osoroi/{__version__}", "Accept": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._sleep = sleep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "",
    ) -> Answer:
        """The answer of the service, below its prefix; raises the error that it answers, and CatalogUnavailable where
        it does not answer. What is not there any more when a DELETE is sent again, after an answer that was lost, was
        removed: that is no NotFound."""
        target = f"{self._prefix}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = self._headers | ({"Content-Type": content_type} if content_type else {})
        waits, lost = self.waits(), False
        while True:
            try:
                answer, lost_one = self._once(method, target, body, headers)
            except GONE as error:
                lost = lost or isinstance(error, AnswerLost)
                wait_s = next(waits, None)
                if wait_s is None:
                    raise self._unreachable(error) from error
                self._sleep(wait_s)
                continue
            if 200 <= answer.status < 300:
                return answer
            refused = self.error_of(answer)
            if method == "DELETE" and (lost or lost_one) and isinstance(refused, NotFound) and _said(answer):
                return answer
            wait_s = next(waits, None) if answer.status == 503 else None
            if wait_s is None:
                raise refused
            self._sleep(max(wait_s, retry_after_s(answer)))

    def waits(self) -> Iterator[float]:
        """Seconds before each further try: growing, and never the same for two clients."""
        for number in range(self.retries):
            yield 0.25 * 2**number * (1 + random.random())

    def again(self, wait_s: float) -> None:
        """Wait before a further try."""
        self._sleep(wait_s)

    def error_of(self, answer: Answer) -> OsoroiError:
        """The error that an answer says."""
        if 300 <= answer.status < 400:
            elsewhere = answer.headers.get("Location", "")
            return CatalogUnavailable(
                f"{self.url} answered with status {answer.status} and sends clients to {elsewhere!r:.300}",
                hint="make the client with the address at which the service itself answers",
            )
        unknown = f"{self.url} answered with status {answer.status}", "is this the address of the service?"
        what, hint = _said(answer) or unknown
        named = getattr(errors, answer.headers.get("X-Error-Type", ""), None)
        if isinstance(named, type) and issubclass(named, OsoroiError):
            return named(what, hint=hint)
        return BY_STATUS.get(answer.status, OsoroiError)(what, hint=hint)

    def _once(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[Answer, bool]:
        """An answer, and whether one to the same request was lost before on a connection that was used again."""
        connection, used = self._connection()
        lost = False
        try:
            try:
                answer = self._sent(connection, method, target, body, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                if not used:
                    raise
                lost = isinstance(error, AnswerLost)
                connection.close()  # the service had closed it meanwhile; http.client opens it again
                try:
                    answer = self._sent(connection, method, target, body, headers)
                except GONE as second:
                    raise (error if lost else second) from None
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer, lost

    def _sent(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        refused: OSError | None = None
        try:
            connection.request(method, target, body or None, dict(headers))
        except (BrokenPipeError, ConnectionResetError) as error:
            refused = error  # a service that refuses a body may answer before it has all of it
        try:
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, _content(response))
        except (http.client.HTTPException, OSError):
            raise refused or AnswerLost("no answer") from None
        if response.will_close:
            connection.close()
        return answer

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            if self._closed:
                raise BadRequest("this client is closed", hint="make another one")
            while self._idle:
                connection = self._idle.pop()
                if not _is_closed(connection):
                    return connection, True
                connection.close()
        host, port = self._address
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self._tls), False
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s), False

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _unreachable(self, error: Exception) -> CatalogUnavailable:
        reason = f"within {self.timeout_s:g} seconds" if isinstance(error, TimeoutError) else f"({_reason(error)})"
        return CatalogUnavailable(
            f"the service at {self.url} does not answer {reason}", hint="check the address, and that it runs"
        )


@contextlib.contextmanager
def understood(url: str) -> Iterator[None]:
    """Raise CatalogUnavailable where what an answer holds is not what the block reads from it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CatalogUnavailable(
            f"the answer of {url} is not understood ({type(error).__name__}: {error!s:.100})",
            hint="is this the address of the service, and are both of the same version?",
        ) from error


def _content(response: http.client.HTTPResponse) -> bytes:
    """The bytes of an answer; raises HTTPException beyond LARGEST."""
    content = response.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise http.client.HTTPException("the answer is too large")
    if response.length:  # with a limit, http.client does not complain of an answer that was cut
        raise http.client.IncompleteRead(content, response.length)
    return content


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether a connection that waits was closed: nothing is to be read from one that is open."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _said(answer: Answer) -> tuple[str, str] | None:
    """What an error of the service says, and its hint; None where the answer is another one's."""
    try:
        said = files.from_json(answer.content)
        return str(said["error"]), str(said["hint"])
    except (ValueError, KeyError, TypeError):
        return None


def retry_after_s(answer: Answer) -> float:
    """The seconds of a Retry-After header; 0 where there is none, or it is a date."""
    try:
        return min(LONGEST_WAIT_S, max(0.0, float(answer.headers.get("Retry-After", "0"))))
    except ValueError:
        return 0.0


def _json(content: bytes) -> Any:
    try:
        return files.from_json(content)
    except ValueError:
        raise CatalogUnavailable(
            f"the answer is no JSON: {content[:80]!r}", hint="is this the address of the service?"
        ) from None


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, socket.error) else type(error).__name__
