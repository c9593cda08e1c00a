"""Every limit of the service, once, and who may listen where."""

import hmac
import ipaddress
from dataclasses import dataclass

from osoroi.errors import BadRequest

KEY_LENGTH = 16
"""Shorter keys are refused: they can be guessed."""


@dataclass(frozen=True)
class Settings:
    """What one process gives at most, and to whom.

    Without keys anybody on this machine may read and write, and the service listens on loopback alone. With keys,
    reading needs either key and writing the write key; ``open_reads`` lets everybody read, as a shop's page must.

    >>> Settings().writable_by(None), Settings(read_key="r" * 16, write_key="w" * 16).writable_by("r" * 16)
    (True, False)
    """

    body_bytes: int = 32 * 2**20
    memory_bytes: int = 512 * 2**20
    pixels: int = 50_000_000
    k: int = 200
    photos: int = 200
    page: int = 200
    waiting: int = 64
    batch: int = 8
    workers: int = 1
    upload_s: float = 30.0
    answer_s: float = 20.0
    drain_s: float = 30.0
    cache_bytes: int = 64 * 2**20
    read_key: str | None = None
    write_key: str | None = None
    open_reads: bool = False

    def __post_init__(self) -> None:
        for name, key in (("read", self.read_key), ("write", self.write_key)):
            if key is not None and (len(key) < KEY_LENGTH or not key.isascii() or not key.isprintable()):
                raise BadRequest(
                    f"the {name} key must have {KEY_LENGTH} printable ASCII characters or more",
                    hint="make one with: python -c 'import secrets; print(secrets.token_urlsafe(24))'",
                )
        if self.write_key is None and (self.read_key is not None or self.open_reads):
            raise BadRequest("with a read key or open reads, writing needs a key of its own", hint="set the write key")
        if self.write_key is not None and (self.read_key is None) != self.open_reads:
            raise BadRequest(
                "a write key needs one answer to who may read", hint="set a read key, or let everybody read, not both"
            )
        if self.write_key is not None and self.write_key == self.read_key:
            raise BadRequest("the read key and the write key are the same", hint="set two different keys")

    @property
    def keyed(self) -> bool:
        """Whether writing needs a key."""
        return self.write_key is not None

    def readable_by(self, key: str | None) -> bool:
        """Whether a request with this key may read."""
        return not self.keyed or self.open_reads or _same(key, self.read_key) or _same(key, self.write_key)

    def writable_by(self, key: str | None) -> bool:
        """Whether a request with this key may write."""
        return not self.keyed or _same(key, self.write_key)

    def check_address(self, host: str) -> None:
        """Refuse to listen where strangers are, unless writing needs a key.

        >>> Settings().check_address("0.0.0.0")
        Traceback (most recent call last):
        osoroi.errors.BadRequest: without keys the service listens on this machine alone, and 0.0.0.0 is reachable \
from others; listen on 127.0.0.1, or set a read and a write key
        """
        if not self.keyed and not is_loopback(host):
            raise BadRequest(
                f"without keys the service listens on this machine alone, and {host} is reachable from others",
                hint="listen on 127.0.0.1, or set a read and a write key",
            )


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "shop.example", "")]
    [True, True, True, True, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _same(given: str | None, key: str | None) -> bool:
    """Compare in a time that does not tell how much of a key was right."""
    return given is not None and key is not None and hmac.compare_digest(given.encode(), key.encode())
