"""Run the commands of expected.toml again and grade what comes out: OK, DRIFT or FAIL.

OK: every expected figure is met within its tolerance. DRIFT: some lie within three tolerances. FAIL: further off, or
the command failed; the exit code is then 1. Runs whose photos are not here are SKIPped, and counted.

    python benchmarks/reproduce.py               all runs
    python benchmarks/reproduce.py drawn viton   those whose name contains a word
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = Path(os.environ.get("OSOROI_DATA", HERE.parent / ".." / "shared" / "data"))


@dataclass(frozen=True)
class Run:
    """One command, and the figures it is expected to print as JSON: dotted path -> value."""

    name: str
    command: str
    expect: dict[str, float]
    tolerance: float
    cost: str
    needs: str = ""


def runs() -> list[Run]:
    """Every entry of expected.toml."""
    with (HERE / "expected.toml").open("rb") as file:
        return [Run(**entry) for entry in tomllib.load(file)["run"]]


def figure(document: Any, path: str) -> float:
    """The number at ``arms/both/hit@5`` in nested dictionaries and lists."""
    for step in path.split("/"):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return float(document)


def grade(run: Run) -> str:
    """One line: the grade, the name, and each figure beside what was expected."""
    if run.needs and not (DATA / run.needs).exists():
        return f"SKIP   {run.name}: needs {run.needs}, which is not here (OSOROI_DATA names the folder)"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        words = shlex.split(run.command.format(data=DATA, out=out))
        words[0] = str(Path(sys.executable).with_name(words[0]))
        done = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            return f"FAIL   {run.name}: exit code {done.returncode}: {done.stderr.strip()[-300:]}"
        found = json.loads(out.read_text(encoding="utf-8"))
    off = {path: figure(found, path) - value for path, value in run.expect.items()}
    worst = max((abs(gap) for gap in off.values()), default=0.0)
    grade_ = "OK" if worst <= run.tolerance else "DRIFT" if worst <= 3 * run.tolerance else "FAIL"
    figures = ", ".join(f"{path} {run.expect[path] + gap:.3f} ({gap:+.3f})" for path, gap in off.items())
    return f"{grade_:6} {run.name}: {figures}"


def main(words: list[str]) -> int:
    """Grade every run whose name holds one of the words."""
    lines = []
    for run in runs():
        if not words or any(word in run.name for word in words):
            print(f"       {run.name}: {run.command} ({run.cost})", file=sys.stderr)
            lines.append(grade(run))
            print(lines[-1], flush=True)
    return int(any(line.startswith("FAIL") for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
