"""What an evaluation found, in numbers that can be made again: the record, its file, its means with intervals."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from osoroi.errors import BadDataset, BadRequest
from osoroi.evaluation import bootstrap, metrics
from osoroi.evaluation.bootstrap import Interval

FORMAT = 1

KEPT = 20
"""Products kept for each query in the file, best first: what grids show, and more."""


@dataclass(frozen=True)
class Protocol:
    """What is asked, against what, and what counts; docs/protocol.md says it at length.

    ``split``: the split whose street crops ask, and whose products stand in the gallery; None is all. ``gallery``:
    further splits whose products stand there too. ``within``: each query ranks products of its own category alone.
    ``spoil``: the seed by which the queries are spoilt; None leaves them clean. ``leave_out``: queries that nothing
    readable could answer are left out, where they count as misses otherwise. ``detail``: where the dial stands.
    """

    split: str | None = None
    gallery: tuple[str, ...] = ()
    within: bool = False
    spoil: int | None = None
    leave_out: bool = False
    detail: float | None = None


@dataclass(frozen=True)
class Task:
    """All that makes an evaluation again: data sets as ``name:path``, an encoder file, a protocol."""

    dataset: str
    distractors: tuple[str, ...] = ()
    encoder: str | None = None
    protocol: Protocol = field(default_factory=Protocol)
    dial: bool = False


@dataclass(frozen=True)
class Data:
    """What was there: a hash of all ids and boxes, and sizes.

    ``products`` and ``crops`` stand in the gallery. ``unanswerable`` queries have a photo that cannot be read, or no
    right product with one that can; ``left_out`` is how many of them were not counted as misses. ``unreadable`` names
    some crops, with the reason.
    """

    fingerprint: str
    products: int
    crops: int
    left_out: int
    unanswerable: int
    unreadable_queries: int
    unreadable_crops: int
    unreadable: tuple[str, ...]


class Query(NamedTuple):
    """A street crop that asked, its right products, and the category of the first of them."""

    crop_id: str
    product_ids: tuple[str, ...]
    category: str | None


@dataclass(frozen=True, eq=False)
class Arm:
    """One way to weigh the parts, and what it found: for each query the ranks of its right products, and the best.

    ``ranks`` is as in ``metrics``. ``detail`` is set on the arms that sample the dial.
    """

    name: str
    weights: Mapping[str, float]
    detail: float | None
    ranks: Float64[np.ndarray, "q r"]
    top: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An encoder asked every query of a data set, in one or several arms."""

    task: Task
    data: Data
    encoder: str
    recipe: str
    queries: tuple[Query, ...]
    arms: tuple[Arm, ...]
    version: str
    command: str = ""

    @property
    def categories(self) -> list[str]:
        """The categories of the queries, in alphabetical order."""
        return sorted({query.category for query in self.queries if query.category is not None})

    @property
    def main(self) -> str:
        """The arm with the encoder's own weights: the last that does not sample the dial."""
        return self.plain_arms[-1].name

    @property
    def plain_arms(self) -> list[Arm]:
        """The arms that do not sample the dial."""
        return [arm for arm in self.arms if arm.detail is None]

    def arm(self, name: str) -> Arm:
        """The arm of a name; raises BadRequest naming those there are."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise BadRequest(f"no arm {name!r}", hint=f"this evaluation has {', '.join(arm.name for arm in self.arms)}")

    def of(self, category: str | None) -> Bool[np.ndarray, "q"]:
        """Which queries are of a category; all where it is None."""
        return np.array([category is None or query.category == category for query in self.queries], dtype=bool)

    def clusters(self) -> np.ndarray:
        """A number for each query, the same for queries that share a product."""
        return bootstrap.clusters([query.product_ids for query in self.queries])


def values(arm: Arm, names: Sequence[str]) -> Float64[np.ndarray, "q m"]:
    """Each metric for each query."""
    return np.stack([metrics.by_name(name, arm.ranks) for name in names], axis=1)


def means(
    evaluation: Evaluation, arm: str, names: Sequence[str] = metrics.STANDARD, category: str | None = None
) -> dict[str, Interval]:
    """Each metric's mean over the queries (of a category), with its interval over products."""
    chosen = evaluation.of(category)
    if not chosen.any():
        raise BadRequest(f"no query is of category {category!r}", hint=f"there are {', '.join(evaluation.categories)}")
    rows = values(evaluation.arm(arm), names)[chosen]
    return dict(zip(names, bootstrap.bootstrap(rows, evaluation.clusters()[chosen]), strict=True))


def save(evaluation: Evaluation, path: Path) -> None:
    """Write the file, one top-level entry a line, in one step. The same evaluation gives the same bytes."""
    told = {"format": FORMAT} | _plain(evaluation)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    os.replace(beside, path)


def _plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "version": evaluation.version,
        "command": evaluation.command,
        "task": asdict(evaluation.task),
        "seeds": {"bootstrap": 0, "spoil": evaluation.task.protocol.spoil},
        "encoder": evaluation.encoder,
        "recipe": evaluation.recipe,
        "data": asdict(evaluation.data),
        "metrics": {arm.name: _rounded(means(evaluation, arm.name)) for arm in evaluation.arms},
        "categories": {
            category: {arm.name: _rounded(means(evaluation, arm.name, category=category)) for arm in evaluation.arms}
            for category in evaluation.categories
        },
        "queries": [[query.crop_id, list(query.product_ids), query.category] for query in evaluation.queries],
        "arms": [_plain_arm(arm) for arm in evaluation.arms],
    }


def _plain_arm(arm: Arm) -> dict[str, Any]:
    rows = [[None if math.isinf(rank) else int(rank) for rank in row if not math.isnan(rank)] for row in arm.ranks]
    return {
        "name": arm.name,
        "weights": dict(arm.weights),
        "detail": arm.detail,
        "ranks": rows,
        "top": [row[:KEPT] for row in arm.top],
        "scores": [[round(score, 7) for score in row[:KEPT]] for row in arm.scores],
    }


def _rounded(found: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {
        name: [None if math.isnan(side) else round(side, 6) for side in interval] for name, interval in found.items()
    }


def read(path: Path) -> Evaluation:
    """An evaluation from its file; raises BadDataset where it is none. Means are not read but made again."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = told["format"]
        if found == FORMAT:
            return _evaluation(told)
    except OSError as error:
        raise BadDataset(f"no evaluation can be read at {path} ({error.strerror})", hint="check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadDataset(
            f"{path} is no evaluation ({type(error).__name__}: {error})", hint="write one: osoroi evaluate … --json"
        ) from error
    raise BadDataset(f"{path} has format {found}, and this is for {FORMAT}", hint="evaluate again, or upgrade osoroi")


def _evaluation(told: Mapping[str, Any]) -> Evaluation:
    task = dict(told["task"])
    protocol = Protocol(**(task.pop("protocol") | {"gallery": tuple(told["task"]["protocol"]["gallery"])}))
    data = told["data"] | {"unreadable": tuple(told["data"]["unreadable"])}
    return Evaluation(
        task=Task(**(task | {"distractors": tuple(task["distractors"]), "protocol": protocol})),
        data=Data(**data),
        encoder=told["encoder"],
        recipe=told["recipe"],
        queries=tuple(Query(crop, tuple(products), category) for crop, products, category in told["queries"]),
        arms=tuple(_arm(arm) for arm in told["arms"]),
        version=told["version"],
        command=told["command"],
    )


def _arm(told: Mapping[str, Any]) -> Arm:
    rows = [[math.inf if rank is None else float(rank) for rank in row] for row in told["ranks"]]
    return Arm(
        name=told["name"],
        weights=told["weights"],
        detail=told["detail"],
        ranks=metrics.table(rows),
        top=tuple(map(tuple, told["top"])),
        scores=tuple(map(tuple, told["scores"])),
    )


def export_run(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``qrels.txt`` and one ``<arm>.run`` each, as trec_eval reads them; returns their paths.

    trec_eval orders by score alone, in 32 bits, and equal scores by falling name; so that it sees our order, a score
    that does not fall is written as the next float below the one before. Spaces in ids become ``%20``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    qrels = (
        f"{_word(query.crop_id)} 0 {_word(product)} 1\n"
        for query in evaluation.queries
        for product in query.product_ids
    )
    return [_write(folder / "qrels.txt", qrels)] + [
        _write(folder / f"{arm.name}.run", _run_lines(evaluation.queries, arm)) for arm in evaluation.arms
    ]


def _run_lines(queries: Sequence[Query], arm: Arm) -> Iterable[str]:
    for query, top, scores in zip(queries, arm.top, arm.scores, strict=True):
        last = np.float32(np.inf)
        for rank, (product, score) in enumerate(zip(top, scores, strict=True), start=1):
            last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
            yield f"{_word(query.crop_id)} Q0 {_word(product)} {rank} {last:.9g} {_word(arm.name)}\n"


def _word(text: str) -> str:
    return text.replace("%", "%25").replace(" ", "%20").replace("\t", "%09")


def _write(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    return path
