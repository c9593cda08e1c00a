"""One link -> what its server answered: a photo, another place, never, or not now. Redirects are not followed here.

Of the standard library alone: what is needed is a limit of silence, a limit of the whole, and every byte counted, and
``http.client`` gives them.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Literal, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from osoroi import __version__, image
from osoroi.data.coverage import decode_problem

SAFE = "/%:=&?~#+!$,;'@()*[]-._"
MOVED = frozenset((301, 302, 303, 307, 308))
LATER = frozenset((408, 425, 429, 500, 502, 503, 504))
CHUNK = 1 << 16
LONGEST_WAIT_S = 300.0
"""A server that asks for a longer wait gets its next request in the next run."""

SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


@dataclass(frozen=True)
class Timeouts:
    """Seconds of silence and for all of one photo, and the bytes it may have.

    ``public_only`` refuses hosts inside a private network, which a link in somebody's table must not reach.
    ``purpose`` is part of the User-Agent header.
    """

    idle_s: float = 20.0
    total_s: float = 90.0
    bytes: int = image.LIMITS.bytes
    public_only: bool = False
    purpose: str = "photos of a research data set"


class Reply(NamedTuple):
    """The result of a request. ``detail``: the new address, or why there is no photo; ``wait_s``: the stated wait."""

    kind: Literal["photo", "moved", "never", "later"]
    detail: str = ""
    data: bytes = b""
    wait_s: float = 0.0


def fetch(link: str, timeouts: Timeouts) -> Reply:
    """Send one request. Whatever goes wrong is a reply; a file that does not decode to its end is no photo.

    >>> fetch("ftp://example.com/coat.jpg", Timeouts())
    Reply(kind='never', detail="no link to follow: 'ftp://example.com/coat.jpg'", data=b'', wait_s=0.0)
    """
    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
        target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=SAFE)
    except ValueError:  # half surrogates, among others
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        return Reply("never", f"no link to follow: {link[:200]!r}")
    try:
        address = public_address(host) if timeouts.public_only else host
        if address is None:
            return Reply("never", f"{host} is an address inside a private network, which `private_links` allows")
        with closing(_connection(parts.scheme, host, port, timeouts.idle_s, address)) as connection:
            return _request(connection, link, target, timeouts)
    except socket.gaierror:
        return Reply("later", f"no address is known of the host {host}"[:200])
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Reply("later", f"{type(error).__name__}: {error}"[:200])


def public_address(host: str) -> str | None:
    """An address of a host; None where one of its addresses is in a private network, or this machine. Raises OSError.

    The connection is made to this very address: a name that answers otherwise a moment later leads nowhere else.

    >>> public_address("127.0.0.1"), public_address("192.168.1.4"), public_address("::1"), public_address("8.8.8.8")
    (None, None, None, '8.8.8.8')
    """
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    mapped = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
    return found[0] if found and all(address.is_global and not address.is_multicast for address in mapped) else None


def _connection(scheme: str, host: str, port: int | None, idle_s: float, address: str) -> http.client.HTTPConnection:
    """A connection to an address under the name of its host."""
    connection: http.client.HTTPConnection
    if scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=idle_s, context=_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=idle_s)
    if address != host:
        connection._create_connection = lambda target, *rest: socket.create_connection((address, target[1]), *rest)  # type: ignore[attr-defined]
    return connection


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _request(connection: http.client.HTTPConnection, link: str, target: str, timeouts: Timeouts) -> Reply:
    end = time.monotonic() + timeouts.total_s
    connection.connect()
    sock = connection.sock
    alarm = threading.Timer(timeouts.total_s, _hang_up, [sock])  # a server may drip its head, too, byte by byte
    alarm.daemon = True
    alarm.start()
    try:
        agent = f"osoroi/{__version__} ({timeouts.purpose})"
        connection.request("GET", target, headers={"User-Agent": agent, "Accept": "image/*"})
        with connection.getresponse() as response:
            if response.status == 200:
                return _body(response, end, timeouts)
            return _refusal(response, link)
    finally:
        alarm.cancel()


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        sock.shutdown(socket.SHUT_RDWR)


def _refusal(response: http.client.HTTPResponse, link: str) -> Reply:
    place = response.getheader("Location")
    if response.status in MOVED and place:
        try:
            return Reply("moved", urljoin(link, place))
        except ValueError:
            return Reply("never", f"redirected to no address: {place[:200]!r}")
    kind: Literal["later", "never"] = "later" if response.status in LATER else "never"
    return Reply(kind, f"HTTP {response.status}", wait_s=seconds(response.getheader("Retry-After")))


def _body(response: http.client.HTTPResponse, end: float, timeouts: Timeouts) -> Reply:
    declared = response.length
    received = bytearray()
    while piece := response.read1(CHUNK):
        received += piece
        if len(received) > timeouts.bytes:
            return Reply("never", f"more than {timeouts.bytes:,} bytes")
    if time.monotonic() > end:
        return Reply("later", f"not done after {timeouts.total_s:g} s")
    if declared is not None and len(received) < declared:
        return Reply("later", f"cut short: {len(received):,} of {declared:,} bytes came")
    return judge(bytes(received))


def judge(data: bytes) -> Reply:
    """A photo where the data decode to the last byte; otherwise never.

    >>> judge(b"<html>gone</html>").kind
    'never'
    """
    problem = decode_problem(data)
    return Reply("photo", data=data) if problem is None else Reply("never", f"no photo: {problem}"[:200])


def suffix_of(data: bytes) -> str:
    """What a photo's name should end in, by its first bytes.

    >>> suffix_of(b"GIF89a"), suffix_of(b"?")
    ('.gif', '.img')
    """
    return next((suffix for mark, suffix in SUFFIXES.items() if data.startswith(mark)), ".img")


def seconds(retry_after: str | None) -> float:
    """Seconds that a Retry-After header asks for: a number, a date, or nothing that can be understood (0).

    >>> seconds("120"), seconds(None), seconds("soon"), seconds("Fri, 31 Dec 1999 23:59:59 GMT"), seconds("1e9")
    (120.0, 0.0, 0.0, 0.0, 0.0)
    """
    if not retry_after:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after[:12])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
