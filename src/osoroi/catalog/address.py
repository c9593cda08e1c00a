"""Where a catalog is: a folder, or the address of a schema in a PostgreSQL database."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit

from osoroi.errors import NO_PATH, UNSET, BadRequest

SCHEMES = ("postgresql://", "postgres://")

SCHEMA = "osoroi"
"""The schema of an address that names none."""

OURS = ("schema", "search", "photos")
"""Parameters of an address that are not libpq's."""

PLACES = ("host", "hostaddr", "port", "dbname", "service", "servicefile")
"""Parameters of libpq that say where a database is; all others say how to speak to it."""

VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE")
"""Variables by which libpq says the same of an address that leaves it out."""

Search = Literal["scan", "pgvector"]
"""Who searches: an index in this process, or PostgreSQL with its extension pgvector."""

SEARCHES: Mapping[str, Search] = {"scan": "scan", "pgvector": "pgvector"}


@dataclass(frozen=True)
class Address:
    """A catalog in PostgreSQL: ``postgresql://user@host/database?schema=shop``, with any parameter that libpq knows.

    ``search=pgvector`` searches it inside PostgreSQL. ``photos=s3://bucket/prefix`` makes a catalog that keeps its
    photos there. Text and ``repr`` say where the catalog is, and have no password.

    >>> address = Address.parse("postgresql://ann:secret@db.example/shops?schema=shoes&sslmode=require")
    >>> address.schema, str(address)
    ('shoes', 'postgresql://ann@db.example/shops?schema=shoes')
    >>> address
    Address('postgresql://ann@db.example/shops?schema=shoes')
    >>> str(Address.parse("postgresql:///shops?host=/run/second&sslmode=disable"))
    'postgresql:///shops?host=%2Frun%2Fsecond&schema=osoroi'
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str
    search: Search = "scan"
    photos: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that a text is; raises BadRequest where its parts cannot be read."""
        try:
            parts = _split(text)
            parameters = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            _demand_quoted(parts)
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
        places = sorted((name, value) for name, value in parameters if name in PLACES)
        return cls(
            f"postgresql://{parts.netloc}{parts.path}" + (f"?{libpq}" if libpq else ""),
            schema,
            f"postgresql://{user}{at}{host}{parts.path}?{urlencode([*places, ('schema', schema)])}",
            search,
            dict(parameters).get("photos"),
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


def _split(text: str) -> SplitResult:
    """The parts of an address. Python checks brackets as those of one host, or not at all; here, those of each."""
    start, slashes, rest = text.partition("//")
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    login, at, hosts = netloc.rpartition("@")
    first, *others = hosts.split(",")
    checked = [urlsplit(f"//{one}").netloc for one in (login + at + first, *others)]
    return urlsplit(start + slashes + rest[len(netloc) :])._replace(netloc=",".join(checked))


def _demand_quoted(parts: SplitResult) -> None:
    """Raise ValueError where a password ends too early, at a ``/``, ``?``, ``#`` or ``@`` of its own: what follows
    would be taken for something that may be shown."""
    ports = [host.rpartition("]")[2].partition(":")[2] for host in parts.netloc.split(",")]
    is_cut = "@" not in parts.netloc and not all(port.isdecimal() for port in ports if port)
    if is_cut or parts.fragment or parts.netloc.count("@") > 1 or "@" in parts.path + parts.query:
        raise ValueError("a character of the password has to be written otherwise")


FORM = "write postgresql://user@host/database?schema=shop, with %40 and the like for special characters"

URL = re.compile(r"\A\W*((?:jdbc:)?postgres(?:ql)?(?:\+\w+)?:)|(postgres(?:ql)?(?:\+\w+)?:/)|[a-z][\w+.-]+://", re.I)
"""An address of PostgreSQL wherever it begins, with quotes or spaces before it, JDBC's, and those of other servers."""

SETTINGS = re.compile(r"(?:password|passwd|pwd)\s*=|\A\W*\w+\s*=\s*\S*\s+\w+\s*=", re.I)
"""Settings of libpq and of others, with spaces round ``=`` or without."""

NO_PLACE = "a catalog is a folder or an address of PostgreSQL, and this is an address or settings in another form"
"""What is said of both: nothing of the text is shown, as any part may be a password."""

NO_FOLDER = (
    "a catalog is a folder or an address of PostgreSQL, and this is an address of something else, such as https://"
)
"""What is said of an address that is none of PostgreSQL; it may hold a password, too."""

Place = Path | Address
"""Where a catalog is."""


def place_of(text: str | os.PathLike[str] | Address) -> Place:
    """The folder or the address that a text is; raises BadRequest for what would become a folder by mistake.

    >>> place_of("shop"), place_of("postgresql:///shops")
    (PosixPath('shop'), Address('postgresql:///shops?schema=osoroi'))
    """
    if isinstance(text, Address):
        return text
    named = os.fspath(text)
    if not named:
        raise BadRequest(NO_PATH, hint=UNSET)
    if isinstance(text, str) and named.startswith(SCHEMES):
        return Address.parse(named)
    if found := URL.search(named):
        if found[1] or found[2]:
            raise BadRequest(NO_PLACE, hint=FORM)
        raise BadRequest(NO_FOLDER, hint="osoroi.Client speaks to a server")
    if SETTINGS.search(named):
        raise BadRequest(NO_PLACE, hint=FORM)
    return Path(named)


def folder_of(place: Place) -> Path:
    """The folder of a catalog's files on this machine: the catalog itself, or the cache of one in PostgreSQL.

    The cache holds snapshots of the index, kept photos, the encoder and what a sync has staged; all of it is made anew
    where it is missing. It is in ``OSOROI_CACHE``, by default in ``osoroi`` in the user's cache folder. Addresses of
    one database that only say how to speak to it, by TLS or with a password, have one cache.

    >>> texts = ("postgresql://h/shops", "postgres://h/shops?sslmode=require", "postgresql://h/shops?port=6543")
    >>> first, same, other = [folder_of(Address.parse(text)).name for text in texts]
    >>> first == same, first == other
    (True, False)
    """
    if isinstance(place, Path):
        return place
    says = [place.shown, *(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)]
    name = hashlib.sha256("\n".join(says).encode("utf-8", "surrogateescape")).hexdigest()[:16]
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
