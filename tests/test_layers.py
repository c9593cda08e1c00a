"""The architecture, kept: imports point downwards, and searching needs no torch."""

import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "osoroi"
HEAVY = (
    "torch",
    "onnx",
    "onnxscript",
    "safetensors",
    "scipy",
    "fastapi",
    "uvicorn",
    "pyarrow",
)


def ours_reached_from(module: str) -> set[str]:
    """Our modules that importing this one brings in, packages that only hold a protocol among them."""
    graph = grimp.build_graph("osoroi", exclude_type_checking_imports=True)
    return graph.find_upstream_modules(module) - {"osoroi"}


def test_imports_point_only_downwards() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=SOURCE.parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


REACH = tomllib.loads((Path(__file__).with_name("reach.toml")).read_text(encoding="utf-8"))["modules"]


@pytest.mark.parametrize("module", REACH)
def test_a_command_imports_no_more_of_our_modules_than_its_budget(module: str) -> None:
    """Write a lower number into reach.toml whenever fewer are imported; never a higher one."""
    code = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('osoroi.')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = run.stdout.split()
    assert module in imported
    assert len(imported) <= REACH[module]["most"], sorted(imported)


def test_training_reaches_at_most_sixteen_modules() -> None:
    reached = ours_reached_from("osoroi.training.loop")
    assert len(reached) <= 16, sorted(reached)


@pytest.mark.parametrize(
    "line", ["import osoroi.search, osoroi.catalog.local, osoroi.ingest", "import osoroi.cli.search"]
)
def test_searching_imports_nothing_that_only_training_needs(line: str) -> None:
    code = f"import sys; {line}; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("blocked", ["torch"])
def test_the_command_line_works_where_torch_is_absent(blocked: str) -> None:
    code = (
        f"import sys; sys.modules[{blocked!r}] = None\n"
        "from click.testing import CliRunner\n"
        "from osoroi.cli import main\n"
        "result = CliRunner().invoke(main, ['search', '--help'])\n"
        "print(result.exit_code, 'PHOTO' in result.output)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0 True"


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not text.strip() or text.startswith(('"""', 'r"""')), "a module begins with a docstring"
    assert "from __future__ import annotations" not in text, "it hides shapes from the run-time check"
