"""What can go wrong, and what each error is to a shell and to a browser.

::

    OsoroiError                 anything below
    ├── BadPhoto                a file, bytes or a box that no crop can be made of
    ├── BadDataset              a table, folder or annotation that cannot be read as what it claims to be
    ├── BadEncoder              a file that is not an encoder, or an encoder that does not support the request
    ├── BadIndex                vectors or a snapshot that do not fit the index
    ├── BadFilter               a `where` that does not parse, or names a column that is not there
    ├── BadCatalog              a folder that is not a catalog, or a catalog of a newer format
    │   ├── CatalogDamaged      a catalog whose content is not what was written
    │   ├── CatalogReplaced     another catalog, or none, stands where this one was opened
    │   ├── CatalogUnavailable  a catalog that cannot be read or written now: disk, quota, permissions, memory
    │   ├── OtherEncoder        vectors of an encoder that the catalog was not made with
    │   └── Busy                another writer holds the catalog
    ├── BadRequest              arguments that contradict each other or leave their range
    ├── NotFound                an id that the catalog does not hold
    ├── NoKey                   a request without a valid key, to a service that requires one
    ├── TooMuch                 more than the limits allow: bytes, time, waiting requests
    │   ├── TooLarge            a body with more bytes than the service takes
    │   └── TooSlow             a body that did not arrive in time
    ├── BadRun                  training that cannot be started, continued or resumed
    ├── Mismatch                  two things that must agree and do not: an export, a result made again
    └── MissingExtra            an optional dependency that is not installed

Every message says what is wrong, where, and what to do about it. ``hint`` is the last part alone, where an error
keeps it apart. Parameters stand in it as Python has them, in backticks: `out`. The command line writes its options.
"""

import importlib
from types import ModuleType


class OsoroiError(Exception):
    """Base of all errors this package raises on purpose.

    >>> error = OsoroiError("no photo at coat.jpg", hint="check the path")
    >>> str(error)
    'no photo at coat.jpg; check the path'
    >>> error.what, error.hint
    ('no photo at coat.jpg', 'check the path')
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what
        self.hint = hint


class BadPhoto(OsoroiError):
    """A file, bytes or box that gives no crop."""


class BadDataset(OsoroiError):
    """A table, folder or annotation that cannot be read as what it claims to be."""


class BadEncoder(OsoroiError):
    """A file that is not an encoder, or an encoder that does not support the request."""


class BadIndex(OsoroiError):
    """Vectors or a snapshot that do not fit the index."""


class BadFilter(OsoroiError):
    """A ``where`` that does not parse, or names a column that is not there.

    ``below`` are lines of ours at the end of the hint, which point into the filter.
    """

    def __init__(self, what: str, *, hint: str = "", below: str = "") -> None:
        super().__init__(what, hint=hint + below)
        self.below = below


class BadCatalog(OsoroiError):
    """A folder that is no catalog, or one of a newer format."""


class CatalogDamaged(BadCatalog):
    """A catalog whose content is not what was written."""


class CatalogReplaced(BadCatalog):
    """Another catalog, or none, stands where this one was opened."""


class CatalogUnavailable(BadCatalog):
    """A catalog that cannot be read or written now: an I/O error, a full disk, a quota, permissions, memory."""


class OtherEncoder(BadCatalog):
    """Vectors of an encoder that the catalog was not made with."""


class Busy(BadCatalog):
    """Another writer holds the catalog."""


class BadRequest(OsoroiError):
    """Arguments that contradict each other or leave their range."""


class NotFound(OsoroiError):
    """An id that the catalog does not hold."""


class TooMuch(OsoroiError):
    """More than the limits allow: bytes, time or waiting requests."""


class TooLarge(TooMuch):
    """A body with more bytes than the service takes."""


class TooSlow(TooMuch):
    """A body that did not arrive in time."""


class NoKey(OsoroiError):
    """A request without a valid key, to a service that requires one."""


class BadRun(OsoroiError):
    """Training that cannot be started, continued or resumed."""


class Mismatch(OsoroiError):
    """Two things that must agree and do not."""


class MissingExtra(OsoroiError):
    """An optional dependency that is not installed."""


STAYS = "what was committed before stays"
"""Begins the hint of a write that failed: a command may have made commits before the one that did not come about."""

NO_PATH = "no path was given"
UNSET = "an empty text may be a variable of the shell that is not set"
"""What is said of an empty text in place of a path, and the hint."""

REENCODE = (
    "move it: 'osoroi reencode CATALOG' to the encoder that ships, 'osoroi reencode CATALOG --encoder FILE' to another"
)
"""What to do about a catalog of another encoder, for hints."""

PARTLY = 3
"""Exit code of a command that left out lines or photos that cannot be read, and did the rest."""

USAGE = 2
"""Exit code of a command that was called wrongly, as click gives it."""

OUTCOMES: dict[type[OsoroiError], tuple[int, int]] = {
    BadPhoto: (1, 422),
    BadDataset: (1, 422),
    BadEncoder: (1, 422),
    BadIndex: (1, 500),
    BadFilter: (1, 400),
    BadCatalog: (1, 500),
    CatalogReplaced: (1, 503),
    CatalogUnavailable: (1, 503),
    OtherEncoder: (1, 409),
    Busy: (1, 503),
    BadRequest: (USAGE, 400),
    NotFound: (1, 404),
    NoKey: (1, 401),
    TooMuch: (1, 503),
    TooLarge: (1, 413),
    TooSlow: (1, 408),
    BadRun: (1, 500),
    Mismatch: (1, 500),
    MissingExtra: (1, 501),
    OsoroiError: (1, 500),
}
"""Error -> (exit code, HTTP status). The only such table."""


def outcome(error: OsoroiError) -> tuple[int, int]:
    """Exit code and HTTP status of an error: its own row, or its nearest ancestor's.

    >>> outcome(Busy("another writer holds shop/"))
    (1, 503)
    """
    return next(OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES)


def extra(module: str, name: str, *beside: str) -> ModuleType:
    """Import a module that the extra ``name`` or a package ``beside`` it brings, or say how to install these.

    >>> extra("json", "train").__name__
    'json'
    >>> extra("no_such_module", "train")
    Traceback (most recent call last):
    osoroi.errors.MissingExtra: this needs the module 'no_such_module'; install it with: pip install 'osoroi[train]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the module is there, and something it needs is not: that is not ours to explain
        packages = " ".join((*beside, f"'osoroi[{name}]'"))
        raise MissingExtra(
            f"this needs the module {module!r}", hint=f"install it with: pip install {packages}"
        ) from error
