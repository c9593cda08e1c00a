"""Keys, names and ids in the headers of a request, and what a key may do. Its file is that of ``keyring``."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from osoroi.errors import BadRequest

HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{0,5})?")
"""A Host header: a name or an address, and perhaps a port."""


def key_of(authorization: str) -> str | None:
    """The key of a request: its bearer token, or the password of the dialog that browsers show. None for anything else.

    >>> key_of("Bearer abc"), key_of("Basic " + base64.b64encode(b"anyone:abc").decode()), key_of("Basic é")
    ('abc', 'abc', None)
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except ValueError:  # no base64, no ASCII, no UTF-8
            return None
    return None


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None where it is no name.

    >>> host_of("localhost:8000"), host_of("[::1]:80"), host_of("127.0.0.1"), host_of("[::1"), host_of("a b")
    ('localhost', '[::1]', '127.0.0.1', None, None)
    """
    match = HOST.fullmatch(header)
    return match[1] if match else None


REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What is taken over from a client or a proxy; anything else is replaced."""


def request_id(given: str | None) -> str:
    """The id of a request: the one that a proxy gave it, or a new one.

    >>> request_id("a-1"), len(request_id("a b")), len(request_id(None))
    ('a-1', 16, 16)
    """
    return given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


Right = Literal["search", "write", "metrics"]
RIGHTS: tuple[Right, ...] = get_args(Right)
"""``search`` opens GET and POST, ``write`` whatever changes the catalog and searches too, ``metrics`` /metrics."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Key:
    """A key by its hash. ``expires_s`` is in seconds since 1970; None never expires."""

    name: str
    sha256: str
    rights: tuple[Right, ...]
    created_s: float = 0.0
    expires_s: float | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadRequest(
                f"{self.name!r} is no name of a key", hint="use up to 40 letters, digits, dots, dashes and underscores"
            )
        if not DIGEST.fullmatch(self.sha256):
            raise BadRequest(f"the sha256 of key {self.name!r} is no SHA-256 in hexadecimal", hint="make a new key")

    def permits(self, right: Right) -> bool:
        """Whether the key opens this.

        >>> [of("k" * 16, "shop", ("write",)).permits(right) for right in RIGHTS]
        [True, True, False]
        """
        return right in self.rights or (right == "search" and "write" in self.rights)

    def is_valid(self, now_s: float) -> bool:
        """Whether the key has not expired."""
        return self.expires_s is None or now_s < self.expires_s


def hash_of(key: str) -> str:
    """What a file holds of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def of(key: str, name: str, rights: tuple[Right, ...]) -> Key:
    """A key that somebody chose, by its hash."""
    return Key(name, hash_of(key), rights)


def holder(keys: Iterable[Key], given: str | None, now_s: float) -> Key | None:
    """The valid key that a request has; None for none.

    All are compared, each in a time that does not tell how much of it was right.
    """
    digest = hash_of(given or "")
    matches = [key for key in keys if hmac.compare_digest(key.sha256, digest)]
    return next((key for key in matches if given and key.is_valid(now_s)), None)
