"""What is wrong with a configuration or weights that somebody brought, as one sentence in place of a traceback."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osoroi.errors import BadEncoder, BadRequest, OsoroiError

NOT_OF_ONE_MODEL = "the weights and their configuration are not of one model; download both again, or export to ONNX"


@contextmanager
def refused(
    place: Path | str, what: str, hint: str = NOT_OF_ONE_MODEL, kind: type[BadEncoder | BadRequest] = BadEncoder
) -> Iterator[None]:
    """Raise ``kind`` with the place and the first line of an error of any other library in this block.

    Our own errors pass, and so do those of the system, such as a full disk, and of memory.

    >>> with refused("config.json", "cannot be followed"):
    ...     int("x")
    Traceback (most recent call last):
    osoroi.errors.BadEncoder: config.json cannot be followed (ValueError: invalid literal for int() with base 10: 'x'); the weights and their configuration are not of one model; download both again, or export to ONNX
    """  # noqa: E501
    try:
        yield
    except (OsoroiError, MemoryError):
        raise
    except Exception as error:  # libraries raise types of their own, beside TypeError, RuntimeError and others
        if isinstance(error, OSError) and error.errno is not None:
            raise
        lines = str(error).splitlines() or [""]
        raise kind(f"{place} {what} ({type(error).__name__}: {lines[0][:200]})", hint=hint) from error


@contextmanager
def room(path: Path | str, hint: str) -> Iterator[None]:
    """Name a path where the disk is full in this block, and what to do: errors of writing name none."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(error.errno, f"{error.strerror}; {hint}", str(path)) from error


def integer(config: Mapping[str, Any], name: str, default: int, path: Path | str) -> int:
    """A whole number of 1 or more in a configuration; ``null`` means absent. Raises BadEncoder for all else.

    >>> integer({"depth": None}, "depth", 12, ""), integer({"depth": 2}, "depth", 12, "")
    (12, 2)
    """
    value = config.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadEncoder(
            f"the configuration of {path} has {name}={value!r}, which is no whole number of 1 or more",
            hint="correct it, or download the configuration again",
        )
    return value


def fields(config: Mapping[str, Any], name: str, path: Path | str) -> Mapping[str, Any]:
    """Settings by name within a configuration; none where they are absent or ``null``. Raises BadEncoder.

    >>> fields({"model_args": None}, "model_args", "")
    {}
    """
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadEncoder(
            f"the configuration of {path} has {name}={value!r}, which is no settings by name",
            hint="correct it, or download the configuration again",
        )
    return value
