"""One line of what was found."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from osoroi.errors import OsoroiError

Status = Literal["ok", "warn", "fail"]


class Diagnosis(NamedTuple):
    """What was looked at, how it is, and what to do where it is not ``ok``."""

    name: str
    status: Status
    text: str
    hint: str = ""


def explained(name: str, check: Callable[[], Iterator[Diagnosis]]) -> Iterator[Diagnosis]:
    """The findings of a check; an error of ours ends it and is one itself.

    >>> def broken() -> Iterator[Diagnosis]:
    ...     raise OsoroiError("the disk is gone", hint="find it")
    ...     yield
    >>> list(explained("disk", broken))
    [Diagnosis(name='disk', status='fail', text='the disk is gone', hint='find it')]
    """
    try:
        yield from check()
    except OsoroiError as error:
        yield Diagnosis(name, "fail", error.what, error.hint or "")
    except OSError as error:
        yield Diagnosis(name, "fail", str(error), "check that the path is there and may be read")
