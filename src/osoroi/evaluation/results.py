"""Results of an evaluation: the record, its file, its means with confidence intervals, and its tables."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from osoroi import files, path_types
from osoroi.errors import BadDataset, BadRequest, extra
from osoroi.evaluation import bootstrap, metrics
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.labels import LABELLED, Label, Labels, labels_of, share_of_label

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

FORMAT = 2
"""Version of the file."""

TOP_K = 20
"""Products stored for each query in the file, best first: more than grids show."""


@dataclass(frozen=True)
class Protocol:
    """Which queries are run, which products are in the gallery, and what counts; docs/protocol.md has the details.

    ``split``: the split whose street crops are the queries and whose products are in the gallery; None means all.
    ``gallery``: further splits whose products are in the gallery. ``within``: each query ranks only products of its own
    category. ``corrupt``: the seed of the corruption of the queries; None leaves them clean. ``skip_unanswerable``:
    queries without any readable relevant photo are skipped; otherwise they count as misses. ``detail``: the weight of
    color and pattern, from 0 to 1; None is the encoder's own. ``find``: garments are looked for in the photos, and a
    query whose garment is not found retrieves nothing. ``categories``: categories tell products' kinds, else photos do.
    """

    split: str | None = None
    gallery: tuple[str, ...] = ()
    within: bool = False
    corrupt: int | None = None
    skip_unanswerable: bool = False
    detail: float | None = None
    find: bool = False
    categories: bool = True


@dataclass(frozen=True)
class Task:
    """All inputs of an evaluation: data sets as ``name:path``, an encoder file, a protocol.

    ``sample_detail`` adds an arm for each tenth of the detail weight.
    """

    dataset: str
    distractors: tuple[str, ...] = ()
    encoder: str | None = None
    protocol: Protocol = field(default_factory=Protocol)
    sample_detail: bool = False


@dataclass(frozen=True)
class Data:
    """Description of the data: a SHA-256 of all ids and boxes, and counts.

    ``products`` and ``crops`` are in the gallery. ``unanswerable`` queries have an unreadable photo, or no relevant
    product with a readable one; ``skipped`` of them are not counted as misses. ``unreadable`` names some, and why.
    """

    fingerprint: str
    products: int
    crops: int
    skipped: int
    unanswerable: int
    unreadable_queries: int
    unreadable_crops: int
    unreadable: tuple[str, ...]


class Query(NamedTuple):
    """A street crop, its relevant products, and the category of the first of them."""

    crop_id: str
    product_ids: tuple[str, ...]
    category: str | None


@dataclass(frozen=True, eq=False)
class Arm:
    """Results under one set of part weights: for each query the ranks of its relevant products, and its best products.

    ``ranks`` is as in ``metrics``. ``detail`` is set on the arms that sample the detail weight.
    """

    name: str
    weights: Mapping[str, float]
    detail: float | None
    ranks: Float64[np.ndarray, "q r"]
    top: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of an encoder on every query of a data set, in one or several arms.

    ``boxes`` has recall, precision and right kinds of the garments that were looked for.
    """

    task: Task
    data: Data
    encoder: str
    recipe: str
    queries: tuple[Query, ...]
    arms: tuple[Arm, ...]
    version: str
    command: str = ""
    labels: Labels = field(default_factory=Labels)
    boxes: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def categories(self) -> list[str]:
        """The categories of the queries, in alphabetical order."""
        return sorted({query.category for query in self.queries if query.category is not None})

    @property
    def main(self) -> str:
        """The arm with the encoder's own weights: the last that does not sample the detail weight."""
        return self.plain_arms[-1].name

    @property
    def plain_arms(self) -> list[Arm]:
        """The arms that do not sample the detail weight."""
        return [arm for arm in self.arms if arm.detail is None]

    def arm(self, name: str) -> Arm:
        """The arm with this name. Raises BadRequest, which lists the names that exist."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise BadRequest(f"no arm {name!r}", hint=f"this evaluation has {', '.join(arm.name for arm in self.arms)}")

    def in_category(self, category: str | None) -> Bool[np.ndarray, "q"]:
        """Mask of the queries of a category; all of them where it is None."""
        return np.array([category is None or query.category == category for query in self.queries], dtype=bool)

    def clusters(self) -> Int64[np.ndarray, "q"]:
        """A cluster number for each query, the same for queries that share a product or a design."""
        return clusters([self])

    def to_dataframe(self, names: Sequence[str] = metrics.STANDARD) -> DataFrame:
        """Means with their 95% intervals as a pandas table: one row per arm, category and metric.

        Columns: arm, detail (nan unless the arm samples the detail weight), category (None: all queries), queries,
        metric, mean, low, high. Raises MissingExtra where pandas is not installed.
        """
        pandas = extra("pandas", "pandas")
        rows = [
            (arm.name, arm.detail, category, int(self.in_category(category).sum()), name, *interval)
            for arm in self.arms
            for category in (None, *self.categories)
            for name, interval in means(self, arm.name, names, category).items()
        ]
        columns = ["arm", "detail", "category", "queries", "metric", *Interval._fields]
        return pandas.DataFrame(rows, columns=columns).astype({"detail": float})

    def queries_dataframe(self, names: Sequence[str] = metrics.STANDARD) -> DataFrame:
        """Each query's metrics as a pandas table: one row per arm and query.

        Columns: arm, crop_id, category, first_rank (of a relevant product; inf where none was retrieved), then the
        metrics. Raises MissingExtra where pandas is not installed.
        """
        pandas = extra("pandas", "pandas")
        tables = []
        for arm in self.arms:
            columns: dict[str, Any] = {
                "arm": arm.name,
                "crop_id": [query.crop_id for query in self.queries],
                "category": [query.category for query in self.queries],
                "first_rank": np.fmin.reduce(arm.ranks, axis=1, initial=np.inf),
            }
            tables.append(pandas.DataFrame(columns | dict(zip(names, values(arm, names).T, strict=True))))
        return pandas.concat(tables, ignore_index=True)


def clusters(evaluations: Sequence[Evaluation]) -> Int64[np.ndarray, "q"]:
    """A cluster number for each query, the same where queries share a product, or a design that an evaluation knows."""
    labels, queries = [one.labels for one in evaluations], evaluations[0].queries
    return bootstrap.cluster_ids([set().union(*(one.shared(query.product_ids) for one in labels)) for query in queries])


def values(arm: Arm, names: Sequence[str], labels: Labels | None = None) -> Float64[np.ndarray, "q m"]:
    """Each metric of each query; ``kind@k`` and ``color@k`` need labels, and are nan for a query without one."""
    columns = []
    for name in names:
        column, at, k = name.partition("@")
        if column in Label._fields and at and k.isdigit() and int(k):
            columns.append(share_of_label(arm.top, labels or Labels(), column, int(k)))
        else:
            columns.append(metrics.by_name(name, arm.ranks))
    return np.stack(columns, axis=1)


def means(
    evaluation: Evaluation, arm: str, names: Sequence[str] = metrics.STANDARD, category: str | None = None
) -> dict[str, Interval]:
    """Each metric's mean over the queries (of a category), with its interval from clusters of products and designs.

    Raises BadRequest for a category without queries.
    """
    chosen = evaluation.in_category(category)
    if not chosen.any():
        raise BadRequest(
            f"no query has the category {category!r}", hint=f"the categories are {', '.join(evaluation.categories)}"
        )
    rows = values(evaluation.arm(arm), names, evaluation.labels)[chosen]
    cluster = evaluation.clusters()[chosen]
    intervals = bootstrap.bootstrap_means(rows, cluster)
    return {name: _with_label(rows[:, [at]], cluster, intervals[at]) for at, name in enumerate(names)}


def _with_label(rows: Float64[np.ndarray, "q 1"], clusters: Int64[np.ndarray, "q"], interval: Interval) -> Interval:
    """The interval over the queries that have the label, where some have none."""
    known = ~np.isnan(rows[:, 0])
    if known.all() or not known.any():
        return interval
    return bootstrap.bootstrap_means(rows[known], clusters[known])[0]


def shown(evaluation: Evaluation) -> tuple[str, ...]:
    """The metrics that an evaluation prints: those of ranks where any query has an answer, those of labels where known.

    Kinds of a data set with one kind alone say nothing and are left out.
    """
    answerable = evaluation.data.unanswerable < len(evaluation.queries) + evaluation.data.skipped
    names = metrics.STANDARD if answerable or not evaluation.labels.queries else ()
    labels = zip(LABELLED, Label._fields, strict=True)
    known = [
        name
        for name, column in labels
        if any(getattr(label, column) is not None for label in evaluation.labels.queries)
        and len({getattr(label, column) for label in evaluation.labels.products.values()}) > 1
    ]
    return (*names, *known)


def save(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the file atomically, one top-level field per line. The same evaluation gives the same bytes."""
    fields = {"format": FORMAT} | _plain(evaluation)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    files.write_atomically(Path(path), ("{\n" + lines + "\n}\n").encode("utf-8", "surrogatepass"))


def _plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "version": evaluation.version,
        "command": evaluation.command,
        "task": asdict(evaluation.task),
        "seeds": {"bootstrap": 0, "corrupt": evaluation.task.protocol.corrupt},
        "encoder": evaluation.encoder,
        "recipe": evaluation.recipe,
        "data": asdict(evaluation.data),
        "metrics": {arm.name: _rounded(means(evaluation, arm.name, shown(evaluation))) for arm in evaluation.arms},
        "categories": {
            category: {
                arm.name: _rounded(means(evaluation, arm.name, shown(evaluation), category)) for arm in evaluation.arms
            }
            for category in evaluation.categories
        },
        "queries": [[query.crop_id, list(query.product_ids), query.category] for query in evaluation.queries],
        "arms": [_plain_arm(arm) for arm in evaluation.arms],
        "labels": {
            "queries": [list(label) for label in evaluation.labels.queries],
            "products": {name: list(label) for name, label in evaluation.labels.products.items()},
            "designs": dict(evaluation.labels.designs),
        },
        "boxes": _rounded(evaluation.boxes),
    }


def _plain_arm(arm: Arm) -> dict[str, Any]:
    rows = [[None if math.isinf(rank) else int(rank) for rank in row if not math.isnan(rank)] for row in arm.ranks]
    return {
        "name": arm.name,
        "weights": dict(arm.weights),
        "detail": arm.detail,
        "ranks": rows,
        "top": [row[:TOP_K] for row in arm.top],
        "scores": [[round(score, 7) for score in row[:TOP_K]] for row in arm.scores],
    }


def _rounded(intervals: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {
        name: [None if math.isnan(side) else round(side, 6) for side in interval]
        for name, interval in intervals.items()
    }


def read(path: str | os.PathLike[str]) -> Evaluation:
    """Read an evaluation file. Raises BadDataset where it is not one. Means are recomputed from the ranks."""
    path_types.require(path, None, "an evaluation", BadDataset)
    path = Path(path)
    try:
        fields = files.from_json(files.content(path))
        version = fields["format"]
        if version == FORMAT:
            return _evaluation(fields)
    except OSError as error:
        raise BadDataset(f"cannot read the evaluation {path} ({error.strerror})", hint="check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BadDataset(
            f"{path} is not an evaluation, which is JSON ({type(error).__name__}: {error})",
            hint="write one: 'osoroi evaluate … --json'",
        ) from error
    raise BadDataset(
        f"{path} has format {version}, and this version reads {FORMAT}", hint="evaluate again, or upgrade osoroi"
    )


def _evaluation(fields: Mapping[str, Any]) -> Evaluation:
    task = dict(fields["task"])
    protocol = Protocol(**(task.pop("protocol") | {"gallery": tuple(fields["task"]["protocol"]["gallery"])}))
    data = fields["data"] | {"unreadable": tuple(fields["data"]["unreadable"])}
    return Evaluation(
        task=Task(**(task | {"distractors": tuple(task["distractors"]), "protocol": protocol})),
        data=Data(**data),
        encoder=fields["encoder"],
        recipe=fields["recipe"],
        queries=tuple(Query(crop, tuple(products), category) for crop, products, category in fields["queries"]),
        arms=tuple(_arm(arm) for arm in fields["arms"]),
        version=fields["version"],
        command=fields["command"],
        labels=labels_of(fields.get("labels", {"queries": [], "products": {}})),
        boxes={
            name: Interval(*(math.nan if side is None else side for side in sides))
            for name, sides in fields.get("boxes", {}).items()
        },
    )


def _arm(fields: Mapping[str, Any]) -> Arm:
    rows = [[math.inf if rank is None else float(rank) for rank in row] for row in fields["ranks"]]
    return Arm(
        name=fields["name"],
        weights=fields["weights"],
        detail=fields["detail"],
        ranks=metrics.table(rows),
        top=tuple(map(tuple, fields["top"])),
        scores=tuple(map(tuple, fields["scores"])),
    )


def write_trec(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``qrels.txt`` and an ``<arm>.run`` for each arm in the format of trec_eval; returns their paths.

    trec_eval orders by score alone, in 32 bits, and ties by falling name; so that it sees our order, a score that does
    not fall is written as the next float below the one before. White space in ids is percent-encoded.
    """
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
    r"""A text without white space, which would end a column: it is percent-encoded, and so is the percent sign.

    >>> _word("a b\u3000\n%")
    'a%20b%E3%80%80%0A%25'
    """
    return "".join(_percent(letter) if letter.isspace() or letter == "%" else letter for letter in text)


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8"))


def _write(path: Path, lines: Iterable[str]) -> Path:
    with files.replacing(path) as file:
        file.writelines(line.encode("utf-8", "surrogatepass") for line in lines)
    return path
