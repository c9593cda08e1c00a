"""Every limit of the service, once, and who may listen where."""

import ipaddress
import os
import time
from dataclasses import dataclass, field
from functools import cached_property

from osoroi.errors import BadRequest
from osoroi.server import keys as _keys
from osoroi.server import origins, prefix
from osoroi.server.keys import Key, Right
from osoroi.server.limits import Work

KEY_LENGTH = 16
"""Shorter keys are refused: they can be guessed."""


@dataclass(frozen=True)
class Settings:
    """What one process gives at most, and to whom. Each limit stands here once; ``docs/serve.md`` has what it answers.

    Without keys anybody on this machine may read and write, and the service listens on loopback alone. With keys, a
    request needs one that has the right to what it does; ``open_reads`` lets everybody search, as a shop's page must.
    Keys are those of a file, or a read key and a write key.

    >>> settings = Settings(read_key="r" * 16, write_key="w" * 16)
    >>> settings.permits(settings.holder("r" * 16), "write"), Settings().permits(None, "write")
    (False, True)
    """

    body_bytes: int = 32 * 2**20
    """Bytes of a body with photos."""
    field_bytes: int = 2**20
    """Bytes of a body without photos, and of all parts of a form that are no photos."""
    memory_bytes: int = 512 * 2**20
    """Bytes of all bodies in memory at one time."""
    pixels: int = 50_000_000
    """Pixels of a photo."""
    decoders: int = field(default_factory=lambda: max(2, min(8, os.cpu_count() or 2)))
    """Processes that decode photos."""
    decode_s: float = 5.0
    """Processor seconds that one photo may take to decode."""
    decode_bytes: int = 2**30
    """Bytes of memory of one decoding process."""
    k: int = 200
    """Products of a search."""
    offset: int = 1000
    """Products that a search may leave out before those of a page."""
    finders: int = field(default_factory=lambda: max(1, min(4, (os.cpu_count() or 2) // 2)))
    """Threads that find garments in photos."""
    photos: int = 200
    """Photos of a product."""
    page: int = 200
    """Products on a page of the list."""
    searches: int = 64
    """Requests that decode or search at one time."""
    reads: int = 512
    """Requests that read the catalog at one time; they are short."""
    writes: int = 32
    """Requests that change the catalog at one time."""
    batches: int = 4
    """Batches of products that are put or changed at one time."""
    lines: int = 1000
    """Lines of such a batch."""
    batch: int = 8
    """Crops that are encoded together."""
    workers: int = 1
    """Threads that encode."""
    connections: int = 512
    """Open connections."""
    head_s: float = 10.0
    """Seconds for the headers of a request, and for a connection without a request."""
    upload_s: float = 30.0
    """Seconds for a body to arrive."""
    answer_s: float = 20.0
    """Seconds for an answer to be made."""
    take_s: float = 60.0
    """Seconds for a client to take an answer."""
    drain_s: float = 30.0
    """Seconds to answer what was begun after the signal to end."""
    cache_bytes: int = 64 * 2**20
    """Bytes of thumbnails in memory."""
    facet_cells: int = 100_000
    """Products times columns up to which a page waits for the counts of its filters."""
    facet_queue: int = 4
    """Counts that wait to be made in the background."""
    read_key: str | None = None
    write_key: str | None = None
    open_reads: bool = False
    keys: tuple[Key, ...] = ()
    """Keys of a file, in place of a read key and a write key."""
    root_path: str = ""
    """The path under which a proxy offers the service, as ``/find``."""
    allow_origins: frozenset[str] = frozenset()
    """Origins whose pages may search here, as ``https://shop.example``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root_path", prefix.checked(self.root_path))
        object.__setattr__(self, "allow_origins", origins.checked(self.allow_origins))
        if self.keys:
            if self.read_key is not None or self.write_key is not None:
                raise BadRequest("keys come from a file, or as a read key and a write key", hint="give one of them")
            return
        for name, key in (("read", self.read_key), ("write", self.write_key)):
            if key is not None and (len(key) < KEY_LENGTH or not key.isascii() or not key.isprintable()):
                raise BadRequest(
                    f"the {name} key must have {KEY_LENGTH} printable ASCII characters or more",
                    hint="make one with: python -c 'import secrets; print(secrets.token_urlsafe(24))'",
                )
        if self.write_key is None and (self.read_key is not None or self.open_reads):
            raise BadRequest(
                "with a read key or open reads, writing needs a key of its own",
                hint="set OSOROI_WRITE_KEY, or name a file of keys with --keys",
            )
        if self.write_key is not None and (self.read_key is None) != self.open_reads:
            raise BadRequest(
                "a write key needs one answer to who may read", hint="set a read key, or let everybody read, not both"
            )
        if self.write_key is not None and self.write_key == self.read_key:
            raise BadRequest("the read key and the write key are the same", hint="set two different keys")

    @property
    def places(self) -> dict[Work, int]:
        """How many requests of each kind may be inside at one time."""
        return {"searches": self.searches, "reads": self.reads, "writes": self.writes, "batches": self.batches}

    @property
    def keyed(self) -> bool:
        """Whether anything needs a key."""
        return bool(self.all_keys)

    @cached_property
    def all_keys(self) -> tuple[Key, ...]:
        """All keys, by their hashes."""
        read = () if self.read_key is None else (_keys.of(self.read_key, "read", ("search", "metrics")),)
        write = () if self.write_key is None else (_keys.of(self.write_key, "write", _keys.RIGHTS),)
        return self.keys or read + write

    def holder(self, key: str | None) -> Key | None:
        """The key that a request has; None for none, a wrong one, and one that has expired."""
        return _keys.holder(self.all_keys, key, time.time())

    def permits(self, holder: Key | None, right: Right) -> bool:
        """Whether a request with this key may do this. With a read and a write key, open reads open the metrics too."""
        if not self.keyed or (holder is not None and holder.permits(right)):
            return True
        return self.open_reads and (right == "search" or (right == "metrics" and not self.keys))

    def check_address(self, host: str) -> None:
        """Refuse to listen where strangers are, unless writing needs a key.

        >>> Settings().check_address("0.0.0.0")
        Traceback (most recent call last):
        osoroi.errors.BadRequest: without keys the service listens on this machine alone, and 0.0.0.0 is reachable \
from others; listen on 127.0.0.1, or make keys: osoroi keys new keys.toml editor --rights write, and add \
--keys keys.toml --open-reads
        """
        if not self.keyed and not is_loopback(host):
            raise BadRequest(
                f"without keys the service listens on this machine alone, and {host} is reachable from others",
                hint="listen on 127.0.0.1, or make keys: osoroi keys new keys.toml editor --rights write, and add "
                "--keys keys.toml --open-reads",
            )


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone.

    >>> [is_loopback(host) for host in ("Localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "shop.example", "")]
    [True, True, True, True, False, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
