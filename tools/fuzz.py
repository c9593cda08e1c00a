"""Broken inputs of every kind: what osoroi reads gives a result or an error of its own, in bounded time.

``python tools/fuzz.py --minutes 60`` gives each target the same time, in turns, in a process of its own, and prints
what it found; ``--only photos`` runs one. A finding is an exception that is no ``OsoroiError``, an input that takes
longer than ``SLOW_S``, or a process that dies; its input and its traceback stand in the folder ``--out``. Exit code 1:
findings.

What was tried stands in that folder, too. The same command again goes on with other inputs, and with the targets that
have had the least time: an hour can be four runs of a quarter.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import hypothesis
from fuzz_surfaces import SURFACES
from fuzz_targets import FILES, Target
from fuzz_texts import TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osoroi.errors import OsoroiError

TARGETS: Final[dict[str, Callable[[], Target]]] = FILES | TEXTS | SURFACES

TURN_S: Final = 60.0
"""Seconds of a target before it is the next one's turn."""

START_S: Final = 120.0
"""Seconds that a process may take to begin and to end, on a machine that does much else."""

SLOW_S: Final = 20.0
"""Seconds for one small input above which it is a finding."""

ROUND: Final = 100
"""Inputs between two looks at the clock."""

MEMORY_BYTES: Final = 8 * 2**30
"""Address space of a target's process."""

NUMBERS: Final = [number.to_bytes(4, order) for number in (0, 1, 2**31, 2**32 - 1) for order in ("big", "little")]


class Slow(Exception):
    """An input took longer than it may."""


@st.composite
def edited(draw: st.DrawFn, target: Target) -> bytes:
    """An input of the corpus after up to eight edits: bytes set, cut out, put in, or doubled."""
    data = bytearray(draw(st.sampled_from(target.corpus)))
    for _ in range(draw(st.integers(0, 8))):
        early = draw(st.booleans())  # heads break in more ways than what follows
        at = draw(st.integers(0, min(len(data), 200) if early else len(data)))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, 200)))
        edit = draw(st.integers(0, 4))
        if edit == 0:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif edit == 1:
            del data[at : at + length]
        elif edit == 2:
            word = draw(st.sampled_from([*target.words, *NUMBERS]))
            data[at : at + (len(word) if draw(st.booleans()) else 0)] = word
        elif edit == 3:
            data[at:at] = data[at : at + length] * draw(st.integers(1, 9))
        else:
            data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)


@dataclass
class Tried:
    """What a target has had so far: seconds, inputs, the seed of its last round, and its kinds of findings."""

    seconds: float = 0.0
    inputs: int = 0
    seed: int = 0
    kinds: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, name: str, out: Path) -> "Tried":
        """Of earlier runs; nothing where there was none."""
        path = out / f"{name}.json"
        return cls(**json.loads(path.read_text())) if path.is_file() else cls()

    def write(self, name: str, out: Path) -> None:
        """Keep it for the runs that follow."""
        (out / f"{name}.json").write_text(json.dumps(asdict(self)))


def fuzz(name: str, seconds: float, seed: int, out: Path) -> int:
    """Inputs for one target until the time is over; how many new kinds of findings there were."""
    target, start, tried = TARGETS[name](), time.monotonic(), Tried.read(name, out)
    current, before, known = out / f"{name}.current", tried.seconds, len(tried.kinds)

    def attempt(data: bytes) -> None:
        tried.inputs += 1
        current.write_bytes(data)
        begun = time.monotonic()
        with contextlib.suppress(OsoroiError):
            target.run(data)
        if time.monotonic() - begun > SLOW_S:
            raise Slow(f"{time.monotonic() - begun:.1f} s for {len(data)} bytes")

    while time.monotonic() - start < seconds:
        tried.seed += 1
        options = settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        test = hypothesis.seed(seed + tried.seed)(options(given(edited(target))(attempt)))
        try:
            test()
        except Exception as error:  # noqa: BLE001, whatever it is, it is a finding
            kind = "".join(traceback.format_exception_only(error)).split(":")[0] + where_of(error)
            if kind not in tried.kinds:
                tried.kinds.append(kind)
                stem = out / f"{name}-{seed + tried.seed}"
                stem.with_suffix(".bin").write_bytes(current.read_bytes())
                stem.with_suffix(".txt").write_text(traceback.format_exc())
                print(f"{name}: {kind} (see {stem}.txt)", flush=True)
        tried.seconds = before + time.monotonic() - start
        tried.write(name, out)
    current.unlink(missing_ok=True)
    return len(tried.kinds) - known


def where_of(error: BaseException) -> str:
    """The deepest line of osoroi in a traceback: findings at one line are one kind."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "osoroi" in frame.filename]
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def bounded_memory() -> None:
    """Let an input that asks for too much meet a MemoryError rather than the machine's end."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> int:
    """Each target in a process of its own, so that one that dies is a finding too; the one with the least time next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="in all, shared by the targets")
    parser.add_argument("--only", choices=sorted(TARGETS), help="one target alone")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each round takes the next")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder of the findings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.child:
        bounded_memory()
        return min(1, fuzz(options.only, options.minutes * 60, options.seed, options.out))
    names = [options.only] if options.only else list(TARGETS)
    end = time.monotonic() + options.minutes * 60
    turn_s = min(TURN_S, 0.75 * options.minutes * 60 / len(names))  # the rest is for processes to start
    spent = {name: Tried.read(name, options.out).seconds for name in names}
    findings = untried = 0
    while time.monotonic() < end:
        name = min(names, key=spent.__getitem__)
        start = time.monotonic()
        findings += turn(name, turn_s, options.seed, options.out)
        spent[name] += time.monotonic() - start
    for name in names:
        tried = Tried.read(name, options.out)
        print(f"{name}: {tried.inputs:,} inputs in {tried.seconds:.0f} s, {len(tried.kinds)} kinds of findings")
        untried += not tried.inputs
    if untried:
        print(f"{untried} of {len(names)} targets had no turn: give more --minutes")
    return int(findings > 0 or untried > 0)


def turn(name: str, seconds: float, seed: int, out: Path) -> bool:
    """Run a target in a process of its own; whether there was a finding."""
    command = [sys.executable, __file__, "--child", "--only", name, "--out", str(out)]
    command += ["--minutes", str(seconds / 60), "--seed", str(seed)]
    try:
        code = subprocess.run(command, check=False, timeout=seconds + START_S).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code not in (0, 1):
        stem = out / f"{name}-died-{int(time.time())}"
        with contextlib.suppress(FileNotFoundError):
            (out / f"{name}.current").rename(stem.with_suffix(".bin"))
        print(f"{name}: the process died ({code}) at {stem}.bin", flush=True)
    return code != 0


if __name__ == "__main__":
    sys.exit(main())
