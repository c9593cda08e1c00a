"""Connections to PostgreSQL that take SQL as the store writes it, and what PostgreSQL's errors mean to a person."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import errors

from osoroi.catalog.address import FORM, Address
from osoroi.catalog.store.database import damaged
from osoroi.errors import STAYS, BadCatalog, BadRequest, Busy, CatalogUnavailable, OsoroiError

Native = psycopg.Connection[tuple[Any, ...]]

READ_ONLY = (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported)
"""What a replica says of a write: the second where a transaction begins."""

REFUSED = (
    errors.InsufficientPrivilege,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
)
CONTRADICTORY = (errors.UndefinedTable, errors.UndefinedColumn, errors.DataCorrupted, errors.IndexCorrupted)
FULL = (errors.DiskFull, errors.OutOfMemory, errors.InsufficientResources, errors.ConfigurationLimitExceeded)

UNREADABLE = ("invalid ", "unexpected ", "extra ", "missing ", "forbidden ")
"""How libpq begins what it says of an address that it cannot read."""

UNCONNECTED = ("connection failed", "connection is bad", "failed to resolve host")
"""How psycopg begins what it says where there is no connection yet."""

AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
"""What two writers at the same rows can cause: the one that gets it begins again."""


@functools.cache
def translated(statement: str) -> str:
    """A statement with ``?`` for each value as psycopg wants it.

    >>> translated("SELECT crop FROM crops WHERE crop > ? LIMIT ?")
    'SELECT crop FROM crops WHERE crop > %s LIMIT %s'
    """
    return statement.replace("%", "%%").replace("?", "%s")


def prepare_where_it_lasts(native: Native) -> None:
    """Have statements prepared only where the session is with the server itself. A pooler, which gives the process of
    the server another number, may run the next transaction in another session, where they are not, or are others."""
    (process,) = native.execute("SELECT pg_backend_pid()").fetchone() or (None,)
    if native.info.backend_pid != process:
        native.prepare_threshold = None


class PostgresConnection:
    """A connection inside a transaction; statements have ``?`` for each value."""

    def __init__(self, native: Native) -> None:
        self.native = native
        self.last: list[str] = []  # statements without values that are sent together with the end of a commit

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement; returns its cursor."""
        text = translated(statement)
        return self.native.execute(text, tuple(values), binary=True)

    def pipeline(self) -> contextlib.AbstractContextManager[Any]:
        """Statements inside the block do not wait for one another; an error comes at its end at the latest."""
        return self.native.pipeline()

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, without waiting for the server in between."""
        if len(rows) == 1:
            self.execute(statement, rows[0])
        elif rows:
            self.native.cursor().executemany(translated(statement), rows)

    def together(self, statements: str) -> list[Any]:
        """Run statements without values in one round trip; the first row of each, None where there is none."""
        cursor = self.native.execute(statements)
        rows = []
        while True:
            rows.append(cursor.fetchone() if cursor.description else None)
            if not cursor.nextset():
                return rows


@contextlib.contextmanager
def explained(address: Address) -> Iterator[None]:
    """Turn what psycopg, the file system and the allocator raise into errors of this package."""
    try:
        yield
    except psycopg.Error as error:
        leaks = address.censored(str(error)) != str(error) and error.sqlstate is None
        raise meaning(address, error) from (None if leaks else error)
    except UnicodeEncodeError as error:
        raise BadRequest(f"text that is no Unicode: {error.object!r:.60}") from error
    except MemoryError as error:
        raise CatalogUnavailable(
            f"the catalog {address} needs more memory than there is", hint=f"{STAYS}; raise the limit"
        ) from error
    except OSError as error:
        raise CatalogUnavailable(
            f"the cache of the catalog {address} cannot be used: {error.strerror or error} ({error.filename})",
            hint="check the disk and permissions, or name another folder in OSOROI_CACHE",
        ) from error


def meaning(address: Address, error: psycopg.Error) -> OsoroiError:  # noqa: PLR0911  one line for each meaning
    """The error of this package for one of psycopg; without the password."""
    what = address.censored(" ".join(str(error).split()))
    if isinstance(error, errors.LockNotAvailable):
        return Busy(f"another writer holds the catalog {address}", hint="try again when it has finished")
    if isinstance(error, AGAIN):
        return Busy(f"other writers changed the same rows of the catalog {address}: {what}", hint="try again")
    if isinstance(error, errors.QueryCanceled):  # a filter has its own limit, and says so
        hint = "see whether the role or the database has a statement_timeout, and raise it"
        return CatalogUnavailable(f"the server ended a statement of the catalog {address}: {what}", hint=hint)
    if isinstance(error, READ_ONLY):
        hint = "where this is a replica, name the server that takes writes, or both and target_session_attrs=read-write"
        return CatalogUnavailable(f"the catalog {address} cannot be written here: {what}", hint=hint)
    if isinstance(error, REFUSED):
        hint = "check the role's permissions and its password (PGPASSWORD, ~/.pgpass)"
        return CatalogUnavailable(f"the catalog {address} cannot be written or opened here: {what}", hint=hint)
    if isinstance(error, CONTRADICTORY):
        return damaged(str(address), what)
    if isinstance(error, FULL):
        hint = f"{STAYS}; free some room, and do the same again"
        return CatalogUnavailable(f"the catalog {address} has no room left: {what}", hint=hint)
    if isinstance(error, psycopg.DataError):
        return BadRequest(f"a value that the catalog {address} cannot store: {what}", hint="PostgreSQL stores no NUL")
    if isinstance(error, psycopg.ProgrammingError) and what.startswith(UNREADABLE):
        return BadRequest(f"the address {address} is not understood: {what}", hint=FORM)
    if isinstance(error, psycopg.OperationalError):
        hint = "what was not acknowledged may or may not be there, and can be repeated"
        if what.startswith(UNCONNECTED):
            hint = "see whether the server runs, and check host, role, password (PGPASSWORD, ~/.pgpass) and sslmode"
        return CatalogUnavailable(f"the catalog {address} cannot be reached: {what}", hint=hint)
    return BadCatalog(f"the catalog {address} answered: {what}", hint="this is an error of osoroi; please report it")
