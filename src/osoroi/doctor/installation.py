"""This machine: Python, packages, memory, limits, clock and fonts."""

import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import metadata, util
from pathlib import Path

from osoroi import __version__
from osoroi.doctor.finding import Diagnosis

EXTRAS = {
    "heif": ("pillow_heif", "photos in HEIF, as iPhones take them"),
    "parquet": ("pyarrow", "tables in Parquet"),
    "train": ("torch", "training"),
    "telemetry": ("opentelemetry.sdk", "spans for OpenTelemetry"),
}
"""Extra -> a module of it, and what it brings."""

BUILT_S = 1_764_000_000.0
"""A time before this version was made: a clock that shows less is wrong."""

LEAST_MEMORY = 2**30
LEAST_FILES = 1024

CGROUP = Path("/sys/fs/cgroup/memory.max")


def findings(sample: Iterable[str] = ()) -> Iterator[Diagnosis]:
    """Everything about this machine; ``sample`` are texts that pictures shall show."""
    yield Diagnosis("osoroi", "ok", f"{__version__} on Python {platform.python_version()}, {platform.system()}")
    yield from packages()
    yield from extras()
    yield memory(available_memory())
    yield files()
    yield clock(time.time())
    yield fonts(sample)


def packages(requirements: Iterable[str] | None = None) -> Iterator[Diagnosis]:
    """Every package that osoroi needs, and whether it is new enough."""
    try:
        needed = metadata.requires("osoroi") or [] if requirements is None else requirements
    except metadata.PackageNotFoundError:
        yield Diagnosis("packages", "warn", "osoroi is not installed as a package", "install it: pip install osoroi")
        return
    plain = [requirement for requirement in needed if "extra ==" not in requirement]
    wrong = [text for text in map(_trouble, plain) if text]
    for text in wrong:
        yield Diagnosis("packages", "fail", text, "install it again: pip install --upgrade osoroi")
    if not wrong:
        yield Diagnosis("packages", "ok", f"{len(plain)} packages are there and new enough")


def _trouble(requirement: str) -> str:
    """What is wrong with a package, or nothing.

    >>> _trouble("numpy>=1.0"), _trouble("numpy>=99")[:13], _trouble("no-such-package>=1")
    ('', 'numpy is at 2', 'no-such-package is missing')
    """
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?:>=\s*([0-9.]+))?", requirement)
    if match is None:
        return f"the requirement {requirement!r} is not understood"
    try:
        installed = metadata.version(match[1])
    except metadata.PackageNotFoundError:
        return f"{match[1]} is missing"
    old = match[2] is not None and _numbers(installed) < _numbers(match[2])
    return f"{match[1]} is at {installed}, and osoroi needs {match[2]}" if old else ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def extras() -> Iterator[Diagnosis]:
    """Parts that are not always installed; none is an error."""
    for name, (module, use) in EXTRAS.items():
        is_there = util.find_spec(module.partition(".")[0]) is not None and _has(module)
        text = use if is_there else f"{use}: not installed; pip install 'osoroi[{name}]' brings it"
        yield Diagnosis(f"extra {name}", "ok", text)


def _has(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def available_memory(limit: Path = CGROUP) -> int | None:
    """Bytes that this process may use: the machine's, or less in a container; None where nobody says."""
    if not hasattr(os, "sysconf"):
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdecimal():
        return min(total, int(text))
    return total


def memory(count: int | None) -> Diagnosis:
    """Whether there is enough memory to serve.

    >>> memory(2**29).status, memory(2**33).text
    ('warn', '8.0 GiB')
    """
    if count is None:
        return Diagnosis("memory", "ok", "unknown on this platform")
    text = f"{count / 2**30:.1f} GiB"
    if count < LEAST_MEMORY:
        return Diagnosis("memory", "warn", text, "give it a GiB or more, and set decoders = 2 in the settings")
    return Diagnosis("memory", "ok", text)


def files() -> Diagnosis:
    """How many files and connections a process may have open."""
    try:
        import resource
    except ImportError:
        return Diagnosis("open files", "ok", "without a limit on this platform")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 < most < LEAST_FILES:
        return Diagnosis("open files", "warn", f"{most} at most", "raise it: LimitNOFILE=65536, or ulimit -Hn 65536")
    return Diagnosis("open files", "ok", "without a limit" if most < 0 else f"{most:,} at most")


def clock(now_s: float) -> Diagnosis:
    """Whether the clock can be right: keys expire by it.

    >>> clock(0.0).status, clock(BUILT_S + 1).status
    ('fail', 'ok')
    """
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    if now_s < BUILT_S:
        return Diagnosis("clock", "fail", f"it says {date}", "set it, or start a service that does, such as chrony")
    return Diagnosis("clock", "ok", date)


def fonts(sample: Iterable[str]) -> Diagnosis:
    """Whether pictures of results can show the titles of products."""
    from osoroi.report.fonts import missing_scripts

    missing = missing_scripts(sample)
    if missing:
        hint = "Debian, Ubuntu: apt install fonts-noto-cjk; pages in a browser do not need it"
        return Diagnosis("fonts", "warn", f"no font has letters of: {', '.join(missing)}", hint)
    return Diagnosis("fonts", "ok", f"titles can be drawn ({sys.platform})")
