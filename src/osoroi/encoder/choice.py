"""The way to run an encoder that is fastest on this machine, chosen by a short measurement.

Ways differ in precision (the encoder, or the file in integers beside it that may take its place), in threads and in how
many crops run together. What is not clearly faster than the encoder as it was opened is never chosen.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import onnxruntime as ort

from osoroi import __version__, files
from osoroi.encoder.metadata import stand_in
from osoroi.encoder.onnx import Encoder
from osoroi.errors import BadEncoder
from osoroi.inference import OnnxEmbedder
from osoroi.records import Clues

LIMIT_S: Final = 2.0
"""Seconds that a measurement may take; a way for which no time is left is not tried."""

CPU: Final = ["CPUExecutionProvider"]

CLEARLY: Final = 0.95
"""Share of the time of the encoder as it was opened that another way must not exceed."""

MOST_THREADS: Final = 4
"""Threads that are tried. A way counts as its time times the root of its threads, since others want them too."""

CALM: Final = 0.5
"""Share of the time of a measurement that this process has to have had a processor."""

PRECISIONS: Final = ("single", "int8")

BATCHES: Final = (1, 4, 8, 16)

ROUNDS: Final = 5
"""Times that each way is measured, by turns; the median counts."""


class Way(NamedTuple):
    """How an encoder runs: its precision, ``single`` or ``int8``, its threads, and how many crops run together."""

    precision: str
    threads: int
    batch: int
    ms: float
    """Milliseconds a crop, measured."""

    def __str__(self) -> str:
        """For people: ``int8, 1 thread, batches of 8, 5.2 ms a crop``."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.precision}, {threads}, batches of {self.batch}, {self.ms:.1f} ms a crop"


Timer = Callable[[Encoder, int], float]
"""Seconds a crop of an encoder for a batch of this size."""


def fastest(
    encoder: Encoder, *, threads: int = 1, bulk: bool = False, cache: Path | None = None, timer: Timer | None = None
) -> Encoder:
    """The encoder that is fastest here: the given one, or another whose vectors may take their place.

    Measured are single crops of unknown kind, as searches encode them; with ``bulk``, full batches of crops of known
    kind, as `add` does. The result has the fingerprint of the given encoder, and says in ``runtime`` how it runs. One
    that runs on a GPU stays as it is. ``cache`` is a file that remembers the choice for this processor, encoder,
    package and number of threads. The next start measures again where it cannot be written, and where other work took
    most of the processor meanwhile.
    """
    if encoder.path is None or not _on_cpu(encoder):
        return encoder
    key = _key(encoder, threads, bulk)
    way = None if cache is None else _remembered(cache, key, threads)
    chosen = None if way is None else _opened(encoder, way, threads)
    if way is None or chosen is None:
        begun, used = time.perf_counter(), time.process_time()
        way, chosen = _measured(encoder, threads, timer or _timer(bulk), BATCHES[-1] if bulk else 1)
        is_calm = time.process_time() - used > CALM * (time.perf_counter() - begun)
        if cache is not None and (is_calm or timer is not None):
            _remember(cache, key, way)
    chosen.runtime = way
    return chosen


def remembered(encoder: Encoder, cache: Path | None) -> list[Way]:
    """The ways that were chosen before for an encoder on this machine, opened with one thread."""
    if cache is None:
        return []
    return [way for bulk in (False, True) if (way := _remembered(cache, _key(encoder, 1, bulk), 1))]


def _measured(encoder: Encoder, threads: int, timer: Timer, size: int) -> tuple[Way, Encoder]:
    """The fastest way and the encoder that runs so. No file is opened in the second half of the time."""
    until = time.monotonic() + LIMIT_S
    tried = {("single", threads): encoder}
    for precision, count in _others(encoder, threads):
        if time.monotonic() < until - LIMIT_S / 2:
            other = _opened(encoder, Way(precision, count, size, 0.0), threads)
            if other is not None:
                tried[precision, count] = other
    taken: dict[tuple[str, int], list[float]] = {way: [] for way in tried}
    for number in range(ROUNDS):
        if number == 0 or time.monotonic() < until:
            for way, one in tried.items():
                taken[way].append(timer(one, size))
    costs = {way: median(seconds) * way[1] ** 0.5 for way, seconds in taken.items()}
    best = min(costs, key=costs.__getitem__)
    if costs[best] > CLEARLY * costs["single", threads]:
        best = ("single", threads)
    seconds = {size: median(taken[best])}
    for batch in BATCHES:
        if batch not in seconds and time.monotonic() < until:
            seconds[batch] = timer(tried[best], batch)
    batch = min(size for size in seconds if seconds[size] <= min(seconds.values()) / CLEARLY)
    return Way(*best, batch, round(1000 * seconds[batch], 2)), tried[best]


def _others(encoder: Encoder, threads: int) -> Iterator[tuple[str, int]]:
    """The ways besides the one that is open."""
    has_integers = encoder.path is not None and stand_in(encoder.path).is_file()
    for count in dict.fromkeys((threads, 1, min(MOST_THREADS, os.cpu_count() or 1))):
        if has_integers:
            yield "int8", count
        if count != threads:
            yield "single", count


def _opened(encoder: Encoder, way: Way, threads: int) -> Encoder | None:
    """The encoder that runs this way; None where its file may not take the place of the given one."""
    if (way.precision, way.threads) == ("single", threads) or encoder.path is None:
        return encoder
    if way.precision == "single":
        return Encoder.open(encoder.path, threads=way.threads, providers=CPU)
    with contextlib.suppress(BadEncoder):  # it is gone, or of another version
        other = Encoder.open(stand_in(encoder.path), threads=way.threads, providers=CPU)
        if other.metadata.stands_for == encoder.fingerprint:
            other.metadata, other.path = encoder.metadata, encoder.path
            return other
    return None


def _on_cpu(encoder: Encoder) -> bool:
    """Whether ONNX Runtime runs the encoder on the CPU; a GPU has no use for threads and integers."""
    return isinstance(encoder.embedder, OnnxEmbedder) and encoder.embedder.session.get_providers() == CPU


def _timer(bulk: bool) -> Timer:
    noise = np.random.default_rng(0)

    def seconds(encoder: Encoder, batch: int) -> float:
        shape = encoder.preprocessing["street"].shape
        crops = list(noise.integers(0, 256, (batch, *shape), np.uint8))
        clues = [Clues(known={}) if bulk else Clues(is_query=True)] * batch
        start = time.perf_counter()
        encoder.encode(crops, clues)
        return (time.perf_counter() - start) / batch

    def warm(encoder: Encoder, batch: int) -> float:
        if id(encoder) not in known:
            known.add(id(encoder))
            seconds(encoder, 1)
        return seconds(encoder, batch)

    known: set[int] = set()
    return warm


def _key(encoder: Encoder, threads: int, bulk: bool) -> str:
    """What a choice depends on, as a hash: the encoder, the model that it runs (one fingerprint can have several,
    which take other times), the file beside it, the package, the runtime and the processor."""
    beside = stand_in(encoder.path) if encoder.path is not None else None
    state = beside.stat() if beside is not None and beside.is_file() else None
    integers = (state.st_size, state.st_mtime_ns) if state else None
    models = (encoder.fingerprint, encoder.model_sha256, integers)
    facts = (*models, __version__, ort.__version__, _processor(), os.cpu_count(), threads, bulk)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    """The processor's name and what it can do, as far as the system says."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))
    return platform.processor()


def _remembered(cache: Path, key: str, threads: int) -> Way | None:
    """The choice in the file; None where there is none that this module could have made."""
    try:
        written = files.from_json(files.content(cache))[key]
        way = Way(str(written[0]), int(written[1]), int(written[2]), float(written[3]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        return None
    is_possible = (
        way.precision in PRECISIONS
        and (way.threads == threads or 1 <= way.threads <= (os.cpu_count() or 1))
        and way.batch in BATCHES
        and 0 <= way.ms < math.inf
    )
    return way if is_possible else None


def _remember(cache: Path, key: str, way: Way) -> None:
    known: object = None
    with contextlib.suppress(OSError, ValueError):
        known = files.from_json(files.content(cache))
    others = known if isinstance(known, dict) else {}
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(cache, json.dumps({**others, key: list(way)}, indent=1).encode(), durable=False)
