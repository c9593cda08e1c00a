"""Run every street crop of a data set as a query, rank the gallery exactly, and store the results of each arm.

The data set is read twice: once for queries and product ids (``queries``), once for photos, whose vectors go to disk
and are scored block by block (``ranking``). Memory holds the ids, the query vectors and one block of scores, so a
gallery of a million products fits into 4 GB.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from osoroi import __version__, image
from osoroi.data.readers import Reader, dataset_name, open_dataset
from osoroi.encoder import DETAIL, KIND, Encoder, loader
from osoroi.encoder.learned import share_of_known
from osoroi.encoder.loader import Pixels
from osoroi.errors import BadPhoto, BadRequest, Mismatch
from osoroi.evaluation import queries, ranking, shop_kinds
from osoroi.evaluation.corruption import corrupt as corrupt_photo
from osoroi.evaluation.labels import Labels
from osoroi.evaluation.proposals import Proposals, propose
from osoroi.evaluation.queries import EvaluationSet
from osoroi.evaluation.ranking import Gallery, GalleryWriter, Ranking
from osoroi.evaluation.results import TOP_K, Arm, Data, Evaluation, Protocol, Task, means
from osoroi.records import Clues, Crop, Input, PhotoLike, Row

NAMED = 100
"""Unreadable photos that the results name; all are counted."""

STEPS = 10
"""The detail weight is sampled at 0, 1/10, … 1."""

SLACK = 0.003
"""Largest difference of a reproduced mean: two machines may order near ties differently."""

Progress = Callable[[int], None]
"""Called with the number of crops read so far."""


def _silent(done: int) -> None:
    """Report nothing."""


def evaluate(  # noqa: PLR0913  the settings of a protocol are plain keywords here
    dataset: str | os.PathLike[str],
    *,
    encoder: str | os.PathLike[str] | None = None,
    split: str | None = None,
    gallery: Sequence[str] = (),
    distractors: Sequence[str | os.PathLike[str]] = (),
    detail: float | None = None,
    sample_detail: bool = False,
    within_category: bool = False,
    corrupt: int | None = None,
    skip_unanswerable: bool = False,
    find: bool = False,
    categories: bool = True,
    threads: int = 1,
    top_k: int = TOP_K,
    on_progress: Progress = _silent,
) -> Evaluation:
    """Search for the product of every street crop of a data set, and state how often it is found.

    ``dataset`` and ``distractors`` are data sets as ``name:path``, or paths of tables; ``encoder`` is an encoder file,
    by default the one that ships. ``split``, ``gallery``, ``detail``, ``corrupt``, ``skip_unanswerable``, ``find`` and
    ``categories`` are those of ``Protocol``. ``sample_detail`` adds an arm for each tenth of the detail weight. The
    best ``top_k`` products of each query are stored. Raises BadRequest for a setting out of its range, and BadDataset
    for a data set without queries.

    >>> found = evaluate("drawn:4")
    >>> [arm.name for arm in found.arms], len(found.queries) > 0
    (['deep', 'detail', 'both', 'all'], True)
    """
    for name, value in (("threads", threads), ("top_k", top_k)):
        if value < 1:
            raise BadRequest(f"{name} is {value}", hint=f"{name} is 1 or more")
    if detail is not None and not 0 <= detail <= 1:
        raise BadRequest(f"detail is {detail}", hint="detail is a weight from 0 to 1")
    if corrupt is not None and corrupt < 0:
        raise BadRequest(f"corrupt is {corrupt}", hint="corrupt is a seed, 0 or more; None leaves the queries clean")
    protocol = Protocol(split, tuple(gallery), within_category, corrupt, skip_unanswerable, detail, find, categories)
    file = None if encoder is None else os.fspath(encoder)
    task = Task(dataset_name(dataset), tuple(map(dataset_name, distractors)), file, protocol, sample_detail)
    return run(task, threads=threads, top_k=top_k, on_progress=on_progress)


def run(task: Task, *, threads: int = 1, top_k: int = TOP_K, on_progress: Progress = _silent) -> Evaluation:
    """Open the data sets and the encoder that a task names, and evaluate."""
    encoder = Encoder.open(None if task.encoder is None else Path(task.encoder), threads=threads)
    readers = [open_dataset(name) for name in (task.dataset, *task.distractors)]
    return evaluate_readers(readers, encoder, task, threads=threads, top_k=top_k, on_progress=on_progress)


def evaluate_readers(
    readers: Sequence[Reader],
    encoder: Encoder,
    task: Task,
    *,
    threads: int = 1,
    top_k: int = TOP_K,
    on_progress: Progress = _silent,
    make_crop_encoder: "CropEncoderFactory | None" = None,
) -> Evaluation:
    """Run every query of the first reader in every arm; the shop crops of the other readers are distractors.

    The best ``top_k`` products of each query are stored. ``make_crop_encoder`` replaces what reads and encodes crops,
    for a caller that caches pixels between evaluations.
    """
    evaluation_set = queries.build_evaluation_set(readers[0], task.protocol)
    crop_encoder = (make_crop_encoder or CropEncoder)(encoder, threads, task.protocol.corrupt, on_progress)
    crop_encoder.categories = task.protocol.categories
    with GalleryWriter(encoder.dim) as writer:
        for keys, vectors in crop_encoder.encode(evaluation_set.gallery(readers[0], readers[1:])):
            writer.append(keys, vectors)
        found = propose([each.row for each in evaluation_set.queries]) if task.protocol.find else None
        query_vectors, readable = _encode_queries(crop_encoder, evaluation_set, found)
        gallery = writer.gallery()
        if encoder.has_kind and task.protocol.categories:
            by_picture = CropEncoder(encoder, threads, None, on_progress, categories=False)
            _learn_kinds(gallery, by_picture, evaluation_set, readers)
            alone = [n for n, each in enumerate(evaluation_set.queries) if each.row.crop.crop_id in crop_encoder.alone]
            query_vectors = shop_kinds.taught(gallery, encoder, query_vectors, alone)
        specs = arm_specs(encoder, task)
        categorised = share_of_known(encoder, gallery.vectors) if encoder.has_kind else 1.0
        weighted = {
            spec.name: spec.encoder.weigh(query_vectors, spec.detail, categorised=categorised) for spec in specs
        }
        relevant = evaluation_set.relevant_keys()
        rankings = ranking.rank(gallery, weighted, relevant, top_k=top_k, groups=evaluation_set.category_groups())
        answerable = (readable | (found is not None)) & np.isin(relevant, gallery.keys).any(axis=1)
    counted = answerable | (not task.protocol.skip_unanswerable)
    data = Data(
        fingerprint=evaluation_set.fingerprint,
        products=len(gallery.keys),
        crops=len(gallery.order),
        skipped=int(np.sum(~counted)),
        unanswerable=int(np.sum(~answerable)),
        unreadable_queries=crop_encoder.unreadable["street"],
        unreadable_crops=crop_encoder.unreadable["shop"],
        unreadable=tuple(crop_encoder.problems),
    )
    names = list(evaluation_set.keys)
    arms = tuple(_arm(spec, rankings[spec.name], readable, counted, names) for spec in specs)
    return Evaluation(
        task=task,
        data=data,
        encoder=encoder.fingerprint,
        recipe=encoder.recipe,
        queries=tuple(each.query for each, count in zip(evaluation_set.queries, counted, strict=True) if count),
        arms=arms,
        version=__version__,
        labels=_labels(evaluation_set, counted, arms),
        boxes={} if found is None else found.boxes,
    )


def _encode_queries(
    crop_encoder: "CropEncoder", evaluation_set: EvaluationSet, found: Proposals | None
) -> tuple[Float32[np.ndarray, "q d"], Bool[np.ndarray, "q"]]:
    """The vector of each query, and whether its photo could be read; zeros where it could not, or was not ``found``."""
    vectors = np.zeros((len(evaluation_set.queries), crop_encoder.encoder.dim), np.float32)
    readable = np.zeros(len(vectors), bool)
    street = [(number, each.row) for number, each in enumerate(evaluation_set.queries)]
    if found is not None:
        crop_encoder.kinds = found.kinds
        street = [(number, found.rows[row.crop.crop_id]) for number, row in street if row.crop.crop_id in found.rows]
    for rows, encoded in crop_encoder.encode(street):
        vectors[rows], readable[rows] = encoded, True
    return vectors, readable


def _learn_kinds(
    gallery: Gallery, by_picture: "CropEncoder", evaluation_set: EvaluationSet, readers: Sequence[Reader]
) -> None:
    """Let the gallery's categories tell kinds, or its pictures where the categories cannot be believed."""
    if shop_kinds.are_believed(gallery, by_picture.encoder, evaluation_set):
        shop_kinds.learn_words(gallery, by_picture.encoder, evaluation_set)
    else:
        shop_kinds.replace_vectors(gallery, by_picture.encode(evaluation_set.registered(readers)))


def _labels(evaluation_set: EvaluationSet, counted: Bool[np.ndarray, "q"], arms: Sequence[Arm]) -> Labels:
    """Kind and colour of queries that count and of products that any arm retrieved; designs of relevant products."""
    retrieved = {name for arm in arms for top in arm.top for name in top[:TOP_K]}
    counting = [each for each, count in zip(evaluation_set.queries, counted, strict=True) if count]
    relevant = sorted({name for each in counting for name in each.query.product_ids})
    return Labels(
        tuple(queries.label_of(each.row.product) for each in counting),
        {name: evaluation_set.labels[evaluation_set.keys[name]] for name in sorted(retrieved)},
        {name: evaluation_set.designs[name] for name in relevant if name in evaluation_set.designs},
    )


class ArmSpec(NamedTuple):
    """How an arm weighs the parts: its name, the encoder with its weights, and the detail weight.

    ``sampled`` arms belong to the curve over the detail weight.
    """

    name: str
    encoder: Encoder
    detail: float | None
    sampled: bool


def arm_specs(encoder: Encoder, task: Task) -> list[ArmSpec]:
    """Each part alone, then all with the encoder's weights (``both``, or ``all`` of three or more), then samples.

    An encoder of one part has one arm with the name of that part. The part ``kind`` has none, as it ranks no products
    of one kind; ``both`` is then without it and ``all`` with it.
    """
    names = [part.name for part in encoder.parts if not (encoder.has_kind and part.name == KIND)]
    alone = [ArmSpec(name, encoder.weighed({name: 1.0}), None, False) for name in names]
    if len(encoder.parts) == 1:
        return alone
    detail = task.protocol.detail
    own = ArmSpec("both" if len(encoder.parts) == 2 else "all", encoder, detail, False)
    looks = []
    if encoder.has_kind and len(names) > 1:
        weights = {part.name: part.weight for part in encoder.parts if part.name in names}
        looks = [ArmSpec("both" if len(names) == 2 else "looks", encoder.weighed(weights), detail, False)]
    steps = [step / STEPS for step in range(STEPS + 1)] if task.sample_detail and DETAIL in names else []
    return [*alone, *looks, own, *(ArmSpec(f"{DETAIL}={step:.1f}", encoder, step, True) for step in steps)]


def _arm(
    spec: ArmSpec,
    ranked: Ranking,
    readable: Bool[np.ndarray, "q"],
    counted: Bool[np.ndarray, "q"],
    names: Sequence[str],
) -> Arm:
    """Results of an arm for the queries that count; a photo that cannot be read returns nothing."""
    ranks = np.where(readable[:, None] | np.isnan(ranked.ranks), ranked.ranks, np.inf)
    rows = [
        [(names[key], float(score)) for key, score in zip(keys, scores, strict=True) if key >= 0 and has_photo]
        for keys, scores, has_photo in zip(ranked.keys[counted], ranked.scores[counted], readable[counted], strict=True)
    ]
    return Arm(
        name=spec.name,
        weights={part.name: part.weight for part in spec.encoder.parts},
        detail=spec.detail if spec.sampled else None,
        ranks=ranks[counted],
        top=tuple(tuple(name for name, _ in row) for row in rows),
        scores=tuple(tuple(score for _, score in row) for row in rows),
    )


@dataclass
class CropEncoder:
    """Reads crops on a few threads and encodes them in batches; counts unreadable photos and names the first ones.

    ``kinds`` has the kinds of queries that were found in their photos; ``categories`` is that of the protocol.
    ``alone`` gets the queries of whose kind nothing but their picture speaks.
    """

    encoder: Encoder
    threads: int
    corrupt: int | None
    on_progress: Progress
    kinds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    categories: bool = True
    alone: set[str] = field(default_factory=set)
    done: int = 0
    unreadable: dict[str, int] = field(default_factory=lambda: {"street": 0, "shop": 0})
    problems: list[str] = field(default_factory=list)

    def encode(self, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        """Numbers and vectors of the readable crops, a batch at a time."""
        pending: dict[int, tuple[int, Row]] = {}

        def numbered() -> Iterator[Row]:
            for index, (number, row) in enumerate(rows):
                pending[index] = (number, row)
                yield row

        for batch in loader.encode(numbered(), self.encoder.encode_inputs, self.input_of, threads=self.threads):
            for index, error in batch.errors.items():
                self.add_problem(pending.pop(index)[1].crop, error)
            yield [pending.pop(index)[0] for index in batch.indices], batch.vectors
            self.done += len(batch.indices) + len(batch.errors)
            self.on_progress(self.done)

    def input_of(self, row: Row) -> Input:
        """The encoder's input for a crop, corrupted where the protocol corrupts queries. Raises BadPhoto.

        A product's category says its kind, as it does in a catalog; a query's kind is judged as a search judges it.
        """
        crop = row.crop
        clean = self.pixels(crop.photo, crop)  # also refuses a box that a shift might mend
        if crop.domain == "shop":
            return Input(clean, self.encoder.clues_of(row.product) if self.categories else Clues())
        kinds = self.kinds.get(crop.crop_id)
        data, box, pixels = crop.photo, crop.box, clean
        if self.corrupt is not None:
            data, box = corrupt_photo(image.read(crop.photo), crop.box, seed=self.corrupt, crop_id=crop.crop_id)
            pixels = self.pixels(data, replace(crop, box=box))
        clues = self.encoder.query_clues(data, box, kind=kinds)
        if clues == Clues():
            self.alone.add(crop.crop_id)
        return Input(pixels, clues)

    def pixels(self, photo: PhotoLike, crop: Crop) -> Pixels:
        """The pixels of a crop's box in a photo, which may be a corrupted one."""
        return image.crop(photo, crop.box, self.encoder.preprocessing[crop.domain])

    def add_problem(self, crop: Crop, error: BadPhoto) -> None:
        """Count a crop that cannot be read; the first NAMED are named."""
        self.unreadable[crop.domain] += 1
        if len(self.problems) < NAMED:
            self.problems.append(f"{crop.crop_id}: {error}")


CropEncoderFactory = Callable[[Encoder, int, int | None, Progress], CropEncoder]


def check(before: Evaluation, now: Evaluation) -> list[str]:
    """Compare a stored evaluation with a new run: one line per metric and arm, with the old and the new mean.

    Raises Mismatch where data, encoder or protocol differ, or where a mean differs by more than SLACK.
    """
    for what, old, new in (
        ("data (ids and boxes)", before.data.fingerprint, now.data.fingerprint),
        ("encoder", before.encoder, now.encoder),
        ("protocol", before.task.protocol, now.task.protocol),
    ):
        if old != new:
            raise Mismatch(f"not the same {what}: {old} before, {new} now", hint="run both on the same inputs")
    lines, drifted = [], []
    for arm in before.arms:
        new_means = means(now, arm.name)
        for name, interval in means(before, arm.name).items():
            lines.append(f"{arm.name} {name} {interval.mean:.4f} {new_means[name].mean:.4f}")
            if abs(interval.mean - new_means[name].mean) > SLACK:
                drifted.append(lines[-1])
    if drifted:
        raise Mismatch(f"{len(drifted)} of {len(lines)} numbers differ: {'; '.join(drifted)}")
    return lines
