"""Where a catalog is: a folder, or the address of a schema in a PostgreSQL database."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from osoroi.errors import BadRequest

SCHEMES = ("postgresql://", "postgres://")

SCHEMA = "osoroi"
"""The schema of an address that names none."""

OURS = ("schema",)
"""Parameters of an address that are not libpq's."""


@dataclass(frozen=True)
class Address:
    """A catalog in PostgreSQL: ``postgresql://user@host/database?schema=shop``, with any parameter that libpq knows.

    Text and ``repr`` have no password.

    >>> address = Address.parse("postgresql://ann:secret@db.example/shops?schema=shoes&sslmode=require")
    >>> address.schema, str(address)
    ('shoes', 'postgresql://ann@db.example/shops?schema=shoes')
    >>> address
    Address('postgresql://ann@db.example/shops?schema=shoes')
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that a text is; raises BadRequest where its parts cannot be read."""
        try:
            parts = urlsplit(text)
            parameters = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise BadRequest(
                f"{text.partition('@')[2] or 'the address'} is no address of PostgreSQL: {error}", hint=FORM
            ) from None
        schema = dict(parameters).get("schema", SCHEMA)
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise BadRequest(f"{schema!r} is no name of a schema", hint="it has 1 to 63 bytes")
        login, at, host = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        secrets = [unquote(password), password, *(value for name, value in parameters if name == "password")]
        libpq = urlencode([(name, value) for name, value in parameters if name not in OURS])
        return cls(
            f"postgresql://{parts.netloc}{parts.path}" + (f"?{libpq}" if libpq else ""),
            schema,
            f"postgresql://{user}{at}{host}{parts.path}?{urlencode({'schema': schema})}",
            tuple(secret for secret in secrets if secret),
        )

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def censored(self, text: str) -> str:
        """A text without the password of this address."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


FORM = "write postgresql://user@host/database?schema=shop"

Place = Path | Address
"""Where a catalog is."""


def place_of(text: str | os.PathLike[str] | Address) -> Place:
    """The folder or the address that a text is.

    >>> place_of("shop"), place_of("postgresql:///shops")
    (PosixPath('shop'), Address('postgresql:///shops?schema=osoroi'))
    """
    if isinstance(text, Address):
        return text
    named = os.fspath(text)
    return Address.parse(named) if named.startswith(SCHEMES) else Path(named)


def folder_of(place: Place) -> Path:
    """The folder of a catalog's files on this machine: the catalog itself, or the cache of one in PostgreSQL.

    The cache holds snapshots of the index, kept photos, the encoder and what a sync has staged; all of it is made anew
    where it is missing. It is in ``OSOROI_CACHE``, by default in ``osoroi`` in the user's cache folder.
    """
    if isinstance(place, Path):
        return place
    name = hashlib.sha256(place.shown.encode()).hexdigest()[:16]
    return cache_folder() / f"postgresql-{name}"


def cache_folder() -> Path:
    """The folder for files that can be made anew."""
    users = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("OSOROI_CACHE") or str(Path(users) / "osoroi")).absolute()
