"""Where a catalog is: a folder, or the address of a schema in a PostgreSQL database."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit

from osoroi.errors import BadRequest

SCHEMES = ("postgresql://", "postgres://")

SCHEMA = "osoroi"
"""The schema of an address that names none."""

OURS = ("schema", "search")
"""Parameters of an address that are not libpq's."""


Search = Literal["scan", "pgvector"]
"""Who searches: an index in this process, or PostgreSQL with its extension pgvector."""

SEARCHES: Mapping[str, Search] = {"scan": "scan", "pgvector": "pgvector"}


@dataclass(frozen=True)
class Address:
    """A catalog in PostgreSQL: ``postgresql://user@host/database?schema=shop``, with any parameter that libpq knows.

    ``search=pgvector`` searches it inside PostgreSQL. Text and ``repr`` have no password.

    >>> address = Address.parse("postgresql://ann:secret@db.example/shops?schema=shoes&sslmode=require")
    >>> address.schema, str(address)
    ('shoes', 'postgresql://ann@db.example/shops?schema=shoes')
    >>> address
    Address('postgresql://ann@db.example/shops?schema=shoes')
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str
    search: Search = "scan"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that a text is; raises BadRequest where its parts cannot be read."""
        try:
            parts = urlsplit(text)
            parameters = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:  # its text may have the password
            raise BadRequest("the address of PostgreSQL cannot be read", hint=FORM) from None
        schema = dict(parameters).get("schema", SCHEMA)
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise BadRequest(f"{schema!r} is no name of a schema", hint="it has 1 to 63 bytes")
        search = SEARCHES.get(dict(parameters).get("search", "scan"))
        if search is None:
            raise BadRequest("the address names a search that there is not", hint="search is scan or pgvector")
        login, at, host = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        secrets = [unquote(password), password]
        for value in (value for name, value in parameters if name.endswith("password")):
            secrets += [value, quote(value), quote_plus(value)]
        libpq = urlencode([(name, value) for name, value in parameters if name not in OURS])
        return cls(
            f"postgresql://{parts.netloc}{parts.path}" + (f"?{libpq}" if libpq else ""),
            schema,
            f"postgresql://{user}{at}{host}{parts.path}?{urlencode({'schema': schema})}",
            search,
            tuple(sorted({secret for secret in secrets if secret}, key=len, reverse=True)),
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


FORM = "write postgresql://user@host/database?schema=shop, with %40 and the like for special characters"

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
    if isinstance(text, str) and not named.startswith(SCHEMES) and (scheme := re.match(r"[A-Za-z][\w+.-]*://", named)):
        raise BadRequest(
            f"a catalog is a folder or an address of PostgreSQL, and no {scheme[0]}",
            hint="osoroi.Client speaks to a server",
        )
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
    """The folder for files that can be made anew. Raises BadRequest where no variable names it and there is no home."""
    if ours := os.environ.get("OSOROI_CACHE"):
        return Path(ours).absolute()
    if users := os.environ.get("XDG_CACHE_HOME"):
        return (Path(users) / "osoroi").absolute()
    try:
        return (Path.home() / ".cache" / "osoroi").absolute()
    except RuntimeError as error:
        raise BadRequest("this user has no home for a cache", hint="set OSOROI_CACHE to a folder") from error
