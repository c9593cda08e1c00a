"""A mutation run that is stopped goes on where it was."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "mutants.py"))


def test_what_was_noticed_is_not_planted_again_and_what_survived_is(tool: dict[str, Any], tmp_path: Path) -> None:
    path = tool["SOURCE"] / "evaluation" / "ranking.py"
    explained = tool["Mutant"](path, "rank", 7, "1 -> 2", "")  # tests/mutants.toml says why nobody can notice it
    noticed, survived, new = (tool["Mutant"](path, "rank", line, "a -> b", "") for line in (1, 2, 3))
    fates = tool["Fates"](tmp_path / "fates.jsonl")
    for mutant, fate in ((noticed, "noticed"), (survived, "survived"), (explained, "survived")):
        fates.write(tool["_key"](mutant), fate)
    again = tool["Fates"](tmp_path / "fates.jsonl")
    assert [again.of(mutant) for mutant in (noticed, survived, new, explained)] == ["noticed", None, None, "explained"]


def test_a_sample_is_the_same_however_often_it_is_drawn(tool: dict[str, Any]) -> None:
    first, again = (tool["sample"]("index", 3, seed=0) for _ in range(2))
    assert [mutant.name for mutant in first] == [mutant.name for mutant in again]
    assert all(mutant.text != mutant.path.read_text(encoding="utf-8") for mutant in first)
