"""Mutation testing: plant one fault at a time, and count how many of them the tests notice.

A seeded sample of small faults (a comparison turned round, a constant off by one, a call left out, …) is planted in
copies of the package; for each the tests of its package run until the first failure. What survives shows a line that no
test holds. ``tests/mutants.toml`` explains those that change nothing anyone can observe.

    make mutants                                            every package, see docs/testing.md
    python tools/mutants.py evaluation --sample 40 --seed 0
    python tools/mutants.py --fates fates.jsonl --minutes 20   again and again, until every fault has a fate
"""

import argparse
import ast
import copy
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "osoroi"
SETTINGS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
"""Tests of each package by module, and explained faults."""

CPU_S = 240
"""Seconds of CPU for the tests of one fault; more than that counts as noticed, whatever else the machine does."""

WALL_S = 3_600
"""The same of the clock, for tests that a fault lets wait for ever."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}


class Mutant(NamedTuple):
    """A planted fault: the file, the function around it, the line, the change, and the text of the changed file."""

    path: Path
    scope: str
    line: int
    change: str
    text: str

    @property
    def name(self) -> str:
        """File, function and change: what an explanation names."""
        return f"{self.path.relative_to(SOURCE).as_posix()} {self.scope}: {self.change}"


class Site(NamedTuple):
    """A node that can be changed: its number in the order of ``ast.walk``, and the function around it."""

    number: int
    scope: str


class Place(NamedTuple):
    """A fault that can be planted: the file, the node's number in the order of ``ast.walk``, and the variant."""

    path: Path
    site: Site
    variant: int


def places_in(path: Path) -> list[Place]:
    """Every fault that can be planted in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    sites = list(_sites(tree, {id(node): number for number, node in enumerate(nodes)}))
    return [
        Place(path, site, variant)
        for site in sites
        for variant in range(2)
        if _change(_copied(nodes[site.number]), variant)
    ]


def _copied(node: ast.AST) -> ast.AST:
    """A copy of a node, deep enough that a fault planted in it does not reach the tree."""
    twin = copy.copy(node)
    if isinstance(twin, ast.Compare):
        twin.ops = list(twin.ops)
    elif isinstance(twin, ast.Call):
        twin.func = copy.copy(twin.func)
    return twin


def plant(place: Place) -> Mutant:
    """The file with the fault."""
    tree = ast.parse(place.path.read_text(encoding="utf-8"))
    node = list(ast.walk(tree))[place.site.number]
    before = ast.unparse(node)
    _change(node, place.variant)
    change = f"{before.splitlines()[0][:70]} -> {ast.unparse(node).splitlines()[0][:70]}"
    return Mutant(place.path, place.site.scope, getattr(node, "lineno", 0), change, ast.unparse(tree))


def _sites(tree: ast.Module, numbers: dict[int, int]) -> Iterator[Site]:
    """Nodes that may be changed: not annotations, docstrings, decorators or messages of errors."""

    def walk(node: ast.AST, scope: str) -> Iterator[Site]:
        if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr)):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            scope = node.name if not scope else f"{scope}.{node.name}"
        yield Site(numbers[id(node)], scope)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_comment", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    yield from walk(child, scope)

    return walk(tree, "")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _change(node: ast.AST, variant: int) -> bool:
    """Plant a fault in a node; False where there is none of this variant."""
    if isinstance(node, ast.Constant):
        return _change_constant(node, variant)
    if variant == 0:
        return _change_operator(node) or _change_call(node)
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


def _change_operator(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return _swap(node.ops)
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPS:
        node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]
        return True
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
        return True
    return False


def _change_call(node: ast.AST) -> bool:
    """Call another function in place of this one, or leave out a call whose result is not used."""
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Yield)):
        node.value = ast.Constant(None)
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TWINS:
        node.func.id = TWINS[node.func.id]
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TWINS:
        node.func.attr = TWINS[node.func.attr]
        return True
    return False


def _swap(ops: list[ast.cmpop]) -> bool:
    swapped = SWAPS.get(type(ops[0]))
    if swapped is not None:
        ops[0] = swapped()  # type: ignore[call-overload]
    return swapped is not None


def _change_constant(node: ast.Constant, variant: int) -> bool:
    if isinstance(node.value, bool):
        node.value = not node.value
        return variant == 0
    if isinstance(node.value, int):
        node.value += 1 if variant == 0 else -1
        return True
    if isinstance(node.value, float):
        node.value = node.value * 2 + 1 if variant == 0 else -node.value
        return True
    return False


def sample(package: str, count: int, seed: int) -> list[Mutant]:
    """``count`` faults of a package; depends on the code and the seed alone."""
    every = [place for path in sorted((SOURCE / package).rglob("*.py")) for place in places_in(path)]
    return [plant(place) for place in random.Random(f"{package} {seed}").sample(every, min(count, len(every)))]


def test_files(mutant: Mutant, package: str) -> list[str]:
    """Tests that must notice a fault, the nearest first."""
    module = mutant.path.relative_to(SOURCE / package).with_suffix("").as_posix()
    table = SETTINGS["tests"][package]
    names = next((names for modules, names in table.items() if module in modules.split()), table["others"])
    files = [ROOT / "tests" / f"test_{name}.py" for name in names]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise SystemExit(f"tools/mutants.py names tests that do not exist: {', '.join(missing)}")
    return list(map(str, files))


def is_noticed(mutant: Mutant, package: str, tree: Path, number: int) -> bool:
    """Run the tests on a copy of the package with the fault, the ``number``-th."""
    target = tree / "osoroi" / mutant.path.relative_to(SOURCE)
    target.unlink()
    target.write_text(mutant.text, encoding="utf-8")
    os.utime(target, (number, number))  # a time of its own: bytecode of an earlier fault must not pass for this one's
    try:
        return fails(tree, [str(target), *test_files(mutant, package)])
    finally:
        target.unlink()
        target.symlink_to(mutant.path)


def fails(tree: Path, files: Sequence[str]) -> bool:
    """Whether tests on a copy of the package fail, in a child process, or take more than CPU_S."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            code = _run(tree, files)
        finally:
            os._exit(code)  # never back into the parent's code
    return _wait(child) != 0


def demand_passing(files: Iterable[str], tree: Path) -> None:
    """Stop where tests fail without any fault."""
    for file in files:
        if fails(tree, [file]):
            raise SystemExit(f"{Path(file).name} fails, or takes over {CPU_S} s of CPU, without any fault")


def _run(tree: Path, files: Sequence[str]) -> int:
    """Exit code of pytest in this process, quiet."""
    os.environ["PYTHONPATH"] = str(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(tree / "bytecode")
    sys.dont_write_bytecode = False
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import pytest

    words = ["-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=0", "-m", "not slow and not gpu and not network"]
    return int(pytest.main([*words, *files]))


def _wait(child: int) -> int:
    """Exit code of a child; 1 where it took too long, and is stopped with everything it started."""
    end = time.monotonic() + WALL_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def linked_tree(folder: Path) -> Path:
    """A copy of the package whose files are links."""
    for path in SOURCE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            link = folder / "osoroi" / path.relative_to(SOURCE)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return folder


def explanations() -> dict[str, str]:
    """Faults that no test can notice, and why."""
    return {entry["mutant"]: entry["why"] for entry in SETTINGS["explained"]}


def summary(package: str, counts: Mapping[str, int]) -> str:
    """Counts, the share that was noticed or explained, and its 95% interval (Clopper and Pearson)."""
    from scipy.stats import binomtest

    total = sum(counts.values())
    if not total:
        return f"{package}: nothing was planted"
    good = binomtest(total - counts["survived"], total)
    interval = good.proportion_ci(method="exact")
    return f"{package}: {dict(counts)} of {total}: {good.statistic:.2f} ({interval.low:.2f} to {interval.high:.2f})"


class Fates:
    """What became of the faults that were planted, by name and line; kept in a file, where one is given.

    A run that is stopped goes on with the faults that are not in the file. Those that survived are planted again, as a
    test may have been written since. The file belongs to one state of the package.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self.known: dict[str, str] = dict(json.loads(line) for line in lines)

    def of(self, mutant: Mutant) -> str | None:
        """``noticed`` or ``explained``; None where the fault has to be planted (again)."""
        fate = self.known.get(_key(mutant))
        if fate == "survived":
            return "explained" if mutant.name in explanations() else None
        return fate

    def write(self, name: str, fate: str) -> None:
        """Keep the fate of a fault, or that a file of tests passes without any."""
        self.known[name] = fate
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                print(json.dumps([name, fate]), file=file)


def _key(mutant: Mutant) -> str:
    return f"{mutant.name} (line {mutant.line})"


def fates_of(package: str, mutants: Sequence[Mutant], tree: Path, fates: Fates, end: float) -> Counter[str]:
    """Plant the faults that have no fate yet, until the time is over; how many were noticed, explained, or survived.

    ``end`` is a time of ``time.monotonic``. Tests that are used for the first time run without any fault before.
    """
    counts = Counter({"noticed": 0, "explained": 0, "survived": 0})
    for number, mutant in enumerate(mutants):
        fate = fates.of(mutant)
        if fate is None:
            if time.monotonic() > end:
                continue
            new = [file for file in test_files(mutant, package) if Path(file).name not in fates.known]
            demand_passing(new, tree)
            for file in new:
                fates.write(Path(file).name, "passes")
            noticed = is_noticed(mutant, package, tree, number)
            fate = "noticed" if noticed else "explained" if mutant.name in explanations() else "survived"
            fates.write(_key(mutant), fate)
            print(f"{fate}: {_key(mutant)}", flush=True)
        counts[fate] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=[*SETTINGS["tests"]], choices=[*SETTINGS["tests"]])
    parser.add_argument("--sample", type=int, default=40, help="faults of each package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop planting after this time")
    parser.add_argument("--fates", type=Path, help="keep what became of each fault in this file, and go on from there")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    import faiss  # noqa: F401  children share what is imported here; pytest and its plugins must not be
    import onnxruntime  # noqa: F401
    import PIL.Image  # noqa: F401

    fates = Fates(given.fates)
    with tempfile.TemporaryDirectory() as folder:
        tree = linked_tree(Path(folder))
        every: Counter[str] = Counter()
        for package in given.packages:
            counts = fates_of(package, sample(package, given.sample, given.seed), tree, fates, end)
            every.update(counts)
            print(summary(package, counts), flush=True)
        print(summary("together", every), flush=True)


if __name__ == "__main__":
    main()
