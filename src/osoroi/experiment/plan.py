"""The plan of an experiment: a TOML file of evaluations and of systems, each trained with some seeds.

::

    title = "Tops"
    reference = "deep"               # the system that the others are compared with
    validation_share = 0.1           # of train; it chooses epochs and settings, and is not reported

    [evaluation.viton]               # as the options of `osoroi evaluate`
    dataset = "viton:{data}/viton"
    split = "val"
    corrupt = [false, true]          # clean, and corrupted with seed 0 as `viton-corrupted`

    [search]                         # values that are tried on the first seed, for every system
    lr = [1e-4, 3e-4, 1e-3, 3e-3]

    [[system]]                       # as the options of `osoroi train`
    name = "deep"
    dataset = "viton:{data}/viton"
    recipe = "published-deep"
    set = ["epochs=20"]
    seeds = [0, 1, 2]
    evaluations = ["viton"]

``docs/experiment-plans.md`` lists every key. ``{data}`` and the like stand for folders that the command line names,
``{out}`` for that of the experiment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

from osoroi import files
from osoroi.errors import BadRequest
from osoroi.evaluation.results import Protocol, Task
from osoroi.experiment import schema
from osoroi.recipe import Recipe
from osoroi.recipes import changed, named

Setting = tuple[str, ...]
"""Changes of a recipe as ``key=value``."""


@dataclass(frozen=True)
class PlannedEvaluation:
    """One evaluation of every system that names it."""

    name: str
    task: Task


@dataclass(frozen=True)
class SettingSearch:
    """Values of settings that are tried with the first seed; the best on the validation split is taken.

    ``grid`` tries every combination. Otherwise settings are tried one after the other, each with the best values of
    those before it and the first values of those after it.
    """

    axes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    grid: bool = False

    @property
    def named_axes(self) -> list[list[str]]:
        """The values of each axis as changes of a recipe."""
        return [[f"{key}={value}" for value in values] for key, values in self.axes]

    @property
    def first(self) -> Setting:
        """The first value of every axis."""
        return tuple(axis[0] for axis in self.named_axes)

    def combinations(self) -> list[Setting]:
        """All of them; one without any setting where there are no axes. Their number is the product of all axes."""
        return list(product(*self.named_axes))

    def along(self, axis: int, setting: Setting) -> list[Setting]:
        """A setting with each value of one axis in place of its own.

        >>> SettingSearch((("lr", ("1", "2")), ("dim", ("8", "16")))).along(1, ("lr=2", "dim=8"))
        [('lr=2', 'dim=8'), ('lr=2', 'dim=16')]
        """
        return [(*setting[:axis], value, *setting[axis + 1 :]) for value in self.named_axes[axis]]

    def samples(self) -> list[Setting]:
        """Settings that hold every value that may be tried: all combinations of a grid, else every two values of
        different axes with the first values of the others, whose number grows with the square of the axes alone."""
        if self.grid or len(self.axes) < 3:
            return self.combinations()
        pairs = [
            two
            for one, other in combinations(range(len(self.axes)), 2)
            for setting in self.along(one, self.first)
            for two in self.along(other, setting)
        ]
        return list(dict.fromkeys(pairs))


@dataclass(frozen=True)
class PlannedSystem:
    """One training with several seeds.

    ``encoder`` names a file instead, or ``default``, which is only evaluated; ``by_category`` names systems that are
    trained on one category each, and answer the queries of theirs.
    """

    name: str
    evaluations: tuple[str, ...]
    label: str = ""
    dataset: str = ""
    recipe: str = "quick"
    changes: Setting = ()
    backbone: str | None = None
    foreground: str | None = None
    seeds: tuple[int, ...] = (0,)
    search: SettingSearch = SettingSearch()
    encoder: str | None = None
    by_category: tuple[str, ...] = ()

    def settings(self, seed: int, more: Setting = ()) -> Recipe:
        """The recipe of one seed, with the values that a search tries."""
        recipe = named(self.recipe, dict(map(changed, (*self.changes, *more))))
        return replace(recipe, seed=seed, name=f"{self.name} seed={seed}")


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment. ``rows`` and ``columns`` are the systems and categories of its tables, ``picture`` the systems
    whose results are shown one below the other; empty means all. ``comparisons`` are pairs of systems, of which the
    first is compared with the second, beside what is compared with ``reference``."""

    title: str
    reference: str | None
    validation_share: float | None
    export: bool
    evaluations: dict[str, PlannedEvaluation]
    systems: tuple[PlannedSystem, ...]
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    picture: tuple[str, ...] = ()
    comparisons: tuple[tuple[str, str], ...] = ()
    licence: str = "unknown"

    def system(self, name: str) -> PlannedSystem:
        """The system of this name."""
        return next(one for one in self.systems if one.name == name)

    def evaluations_of(self, system: PlannedSystem) -> list[PlannedEvaluation]:
        """The evaluations of a system, corrupted ones among them."""
        return [one for name, one in self.evaluations.items() if name.removesuffix("-corrupted") in system.evaluations]


def read(path: Path, **folders: Path | str) -> ExperimentPlan:
    """The plan in a file, its folders filled in; raises BadRequest naming the file and the entry that is wrong."""
    try:
        entries = files.from_toml(files.content(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadRequest(f"{path} cannot be read as a plan ({reason})", hint="a plan is a TOML file") from error
    try:
        return _plan(schema.filled(entries, {name: str(folder) for name, folder in folders.items()}))
    except BadRequest as error:
        raise BadRequest(f"{path}: {error.what}", hint=error.hint) from error


def with_reference(plan: ExperimentPlan, name: str) -> ExperimentPlan:
    """The plan with another system that the others are compared with; raises BadRequest where it is not there."""
    if name not in {one.name for one in plan.systems}:
        raise BadRequest(f"no system is called {name!r}", hint=f"one of: {', '.join(one.name for one in plan.systems)}")
    return replace(plan, reference=name)


def _plan(entries: Mapping[str, Any]) -> ExperimentPlan:
    schema.check(entries, schema.PLAN, "the plan")
    evaluations: dict[str, PlannedEvaluation] = {}
    for name, entry in entries["evaluation"].items():
        schema.check(entry, schema.EVALUATION, f"evaluation {name!r}")
        schema.file_name(name, "evaluation")
        for corrupted in entry.get("corrupt", [False]):
            one = PlannedEvaluation(name + "-corrupted" * corrupted, _task(entry, corrupted))
            evaluations[one.name] = one
    written = schema.by_name(entries["system"])
    search = _search(entries.get("search", {}))
    systems = tuple(_system(schema.with_base(entry, written), search) for entry in entries["system"])
    plan = ExperimentPlan(
        title=entries.get("title", "Experiment"),
        reference=entries.get("reference"),
        validation_share=entries.get("validation_share"),
        export=entries.get("export", True),
        evaluations=evaluations,
        systems=systems,
        **{name: tuple(entries.get(name, ())) for name in ("rows", "columns", "picture")},
        comparisons=tuple((first, second) for first, second in entries.get("comparisons", ())),
        licence=entries.get("licence", "unknown"),
    )
    _check_references(plan, set(entries["evaluation"]))
    return plan


def _task(entry: Mapping[str, Any], corrupted: bool) -> Task:
    known = {one.name for one in fields(Protocol)} - {"corrupt", "gallery"}
    protocol = {key: value for key, value in entry.items() if key in known}
    return Task(
        entry["dataset"],
        tuple(entry.get("distractors", ())),
        protocol=Protocol(**protocol, gallery=tuple(entry.get("gallery", ())), corrupt=0 if corrupted else None),
        sample_detail=entry.get("sample_detail", False),
    )


def _search(entry: Mapping[str, Any]) -> SettingSearch:
    """A table of settings with their values; ``grid`` is none of the settings."""
    axes = []
    for key, values in entry.items():
        if key == "grid":
            continue
        if not isinstance(values, list) or not values:
            raise BadRequest(f"search: {key} = {values!r} is no list of values", hint=f"write {key} = [1e-4, 1e-3]")
        texts = tuple(schema.text_of(value) for value in values)
        for value in texts:
            changed(f"{key}={value}")
        axes.append((key, texts))
    return SettingSearch(tuple(axes), bool(entry.get("grid", False)))


def _system(entry: dict[str, Any], search: SettingSearch) -> PlannedSystem:
    where = f"system {entry.get('name')!r}"
    schema.check(entry, schema.SYSTEM, where)
    schema.file_name(entry["name"], where)
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    changes = given.pop("set", ())
    own = given.pop("search", None)
    trained = "encoder" not in given and "by_category" not in given
    if trained and "dataset" not in given:
        raise BadRequest(f"{where} has no dataset", hint="name one to train on, or an encoder, or by_category")
    try:
        system = PlannedSystem(
            changes=changes, search=(search if own is None else _search(own)) if trained else SettingSearch(), **given
        )
        if trained:
            for setting in system.search.samples():
                system.settings(system.seeds[0], setting)
            for seed in system.seeds:
                system.settings(seed, system.search.first)
    except BadRequest as error:
        raise BadRequest(f"{where}: {error.what}", hint=error.hint) from error
    return system


def _check_references(plan: ExperimentPlan, evaluations: set[str]) -> None:
    """Every name that one entry gives of another must be there, and no split both chooses and is reported."""
    systems = {one.name for one in plan.systems}
    used = [
        *((name, evaluations, f"system {one.name!r}") for one in plan.systems for name in one.evaluations),
        *((name, systems, f"system {one.name!r}") for one in plan.systems for name in one.by_category),
        *((name, systems, "reference") for name in [plan.reference] if name),
        *((name, systems, "rows") for name in plan.rows),
        *((name, systems, "picture") for name in plan.picture),
        *((name, systems, "comparisons") for pair in plan.comparisons for name in pair),
    ]
    for name, known, where in used:
        if name not in known:
            raise BadRequest(f"{where} names {name!r}, which is not there", hint=f"there is {', '.join(sorted(known))}")
    for first, second in plan.comparisons:
        if first == second:
            raise BadRequest(f"comparisons has {first!r} with itself", hint="name two different systems")
    for system in plan.systems:
        for one in plan.evaluations_of(system):
            if _reports_validation(plan, system, one.task):
                raise BadRequest(
                    f"system {system.name!r} chooses its epoch on val of {system.dataset}, and evaluation {one.name!r} "
                    "reports the same split",
                    hint="set validation_share = 0.1, so that a part of train chooses",
                )


def _reports_validation(plan: ExperimentPlan, system: PlannedSystem, task: Task) -> bool:
    """Whether what chooses the epochs of a system is what an evaluation reports."""
    chooses = bool(system.dataset) and (system.settings(0).epochs > 0 or bool(system.search.axes))
    return chooses and plan.validation_share is None and system.dataset == task.dataset and task.protocol.split == "val"
