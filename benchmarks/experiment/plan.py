"""What an experiment is: a TOML file of questions and of trials, each trained with some seeds and asked some questions.

::

    [ask.viton]                      # as the options of `osoroi evaluate`
    dataset = "viton:{data}/viton"
    split = "val"
    distractors = ["table:{data}/hm/manifest.csv?recipe=hm"]
    corrupt = [false, true]          # asked clean, and corrupted with seed 0 as `viton-corrupted`

    [[trial]]                        # as the options of `osoroi train`
    name = "ours"
    dataset = "viton:{data}/viton"
    recipe = "frozen"
    set = ["epochs=20"]
    seeds = [0, 1, 2]
    ask = ["viton"]

``base`` names another trial whose entries are taken where a trial has none of its own. ``{data}`` and ``{weights}``
stand for the folders of photos and of weights, ``{out}`` for that of the experiment.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from osoroi.errors import BadRequest
from osoroi.evaluation.results import Protocol, Task
from osoroi.recipe import Recipe, changed, named


@dataclass(frozen=True)
class Question:
    """One evaluation of every trial: what is asked, and what it is called."""

    name: str
    task: Task


@dataclass(frozen=True)
class Trial:
    """One training, with several seeds. ``encoder`` names a file instead, that is only asked; ``pieces`` name trials
    that learned one category each, and answer the queries of theirs."""

    name: str
    ask: tuple[str, ...]
    dataset: str = ""
    recipe: str = "quick"
    changes: tuple[str, ...] = ()
    backbone: str | None = None
    foreground: str | None = None
    seeds: tuple[int, ...] = (0,)
    encoder: str | None = None
    pieces: tuple[str, ...] = ()

    def settings(self, seed: int) -> Recipe:
        """The recipe of one seed."""
        found = named(self.recipe, dict(map(changed, self.changes)))
        return replace(found, seed=seed, name=f"{self.name} seed={seed}")


@dataclass(frozen=True)
class Plan:
    """An experiment."""

    questions: dict[str, Question]
    trials: tuple[Trial, ...]

    def asked(self, trial: Trial) -> list[Question]:
        """The questions a trial is asked, corrupted ones among them."""
        return [one for name, one in self.questions.items() if name.removesuffix("-corrupted") in trial.ask]


def read(path: Path, **folders: Path) -> Plan:
    """The plan in a file; raises BadRequest for an entry it does not know."""
    with path.open("rb") as file:
        told = _filled(tomllib.load(file), {name: str(folder) for name, folder in folders.items()})
    questions = {}
    for name, entry in told["ask"].items():
        for corrupted in entry.pop("corrupt", [False]):
            one = Question(name + "-corrupted" * corrupted, _task(entry, corrupted))
            questions[one.name] = one
    written = {entry["name"]: entry for entry in told["trial"]}
    return Plan(questions, tuple(_trial(_whole(entry, written)) for entry in told["trial"]))


def _task(entry: Mapping[str, Any], corrupted: bool) -> Task:
    protocol = {key: entry[key] for key in ("split", "within") if key in entry}
    strange = set(entry) - {"dataset", "distractors", "sample_detail", *protocol}
    if strange:
        raise BadRequest(f"a question has no {', '.join(sorted(strange))}")
    return Task(
        entry["dataset"],
        tuple(entry.get("distractors", ())),
        protocol=Protocol(**protocol, corrupt=0 if corrupted else None),
        sample_detail=entry.get("sample_detail", False),
    )


def _whole(entry: Mapping[str, Any], written: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A trial with what it takes from another; what both ``set`` stands one after the other."""
    own = dict(entry)
    if "base" not in own:
        return own
    base = _whole(written[own.pop("base")], written)
    return base | own | {"set": [*base.get("set", ()), *own.get("set", ())]}


def _trial(entry: dict[str, Any]) -> Trial:
    told: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in entry.items()}
    try:
        return Trial(changes=told.pop("set", ()), **told)
    except TypeError as error:
        raise BadRequest(f"trial {entry.get('name')!r}: {error}") from error


def _filled(told: Any, folders: Mapping[str, str]) -> Any:
    """The same with every text's ``{name}`` filled in."""
    if isinstance(told, dict):
        return {key: _filled(value, folders) for key, value in told.items()}
    if isinstance(told, list):
        return [_filled(value, folders) for value in told]
    return told.format(**folders) if isinstance(told, str) else told
