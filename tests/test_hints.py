"""Hints of errors name parameters, which Python users have; the command line writes its options in their place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from osoroi.cli import main
from osoroi.errors import BadRun
from osoroi.training import run
from osoroi.training.train import train

SOURCE = Path(__file__).parents[1] / "src" / "osoroi"
COMMANDS_ALONE = ("cli", "cluster", "doctor", "server")
"""Packages that nothing but a command calls."""


def texts(tree: ast.Module) -> Iterator[str]:
    """Every text of a module but docstrings; what is formatted into one is `…`."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements | parts:
            yield node.value


def option_in(text: str) -> str | None:
    """An option that stands outside of a whole command in quotes.

    >>> option_in("give another --out"), option_in("'osoroi embed --side shop' writes one")
    ('--out', None)
    """
    found = re.search(r"(?<![\w-])--[a-z][\w-]*", re.sub(r"['`](osoroi|torchrun) [^'`]*['`]", "", text))
    return found and found[0]


def test_no_package_that_python_users_call_names_an_option() -> None:
    paths = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in COMMANDS_ALONE]
    named = [
        f"{path.relative_to(SOURCE)}: {text}"
        for path in sorted(paths)
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if option_in(text)
    ]
    assert len(paths) > 100
    assert not named, "name the parameter in backticks: " + "; ".join(named)


def test_the_command_line_writes_the_option_of_the_parameter(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / run.CONFIG).write_text("{}")
    with pytest.raises(BadRun, match="holds a run already; go on with `resume`, or give another `out`"):
        train("drawn:4", out=tmp_path / "run")
    told = CliRunner().invoke(main, ["train", "drawn:4", "--out", str(tmp_path / "run")])
    assert "holds a run already; go on with --resume, or give another --out" in told.stderr
    assert told.exit_code == 1
