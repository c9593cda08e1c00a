"""Ask every street crop of a data set for its product, exactly, and keep what each arm answered.

Two passes over the data set: who asks and what may be found (questions), then the photos, whose vectors go to disk
and are scored block by block (ranking). Memory holds the ids, the queries and one block of scores, so a gallery of a
million products fits into 4 GB.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from osoroi import __version__, image
from osoroi.data.readers import Reader, open_dataset
from osoroi.encoder import DIAL, Encoder
from osoroi.errors import BadPhoto, Mismatch
from osoroi.evaluation import queries, ranking
from osoroi.evaluation.corruption import spoil
from osoroi.evaluation.ranking import Ranking, Shelf
from osoroi.evaluation.results import KEPT, Arm, Data, Evaluation, Task, means
from osoroi.records import Crop

BATCH = 64
"""Crops read and encoded at once."""

NAMED = 100
"""Unreadable photos that are named; all are counted."""

STEPS = 10
"""The dial is sampled at 0, 1/10, … 1."""

SLACK = 0.003
"""How far a mean may lie from the one before: two machines may order near ties differently."""


def evaluate(
    task: Task, *, threads: int = 1, depth: int = KEPT, on_progress: Callable[[int], None] = lambda done: None
) -> Evaluation:
    """Open what a task names, and ask."""
    encoder = Encoder.open(None if task.encoder is None else Path(task.encoder), threads=threads)
    readers = [open_dataset(name) for name in (task.dataset, *task.distractors)]
    return ask(readers, encoder, task, threads=threads, depth=depth, on_progress=on_progress)


def ask(
    readers: Sequence[Reader],
    encoder: Encoder,
    task: Task,
    *,
    threads: int = 1,
    depth: int = KEPT,
    on_progress: Callable[[int], None] = lambda done: None,
    eye_of: Callable[[Encoder, ThreadPoolExecutor, int | None, Callable[[int], None]], "Eye"] | None = None,
) -> Evaluation:
    """Ask every query of the first reader, in every arm; of the others, shop crops stand in the gallery.

    The best ``depth`` products of each query are kept. ``on_progress`` is told how many crops were read. ``eye_of``
    makes what reads and encodes crops, for who keeps something of them from one question to the next.
    """
    asked = queries.gather(readers[0], task.protocol)
    with ThreadPoolExecutor(threads) as pool, Shelf(encoder.dim) as shelf:
        eye = (eye_of or Eye)(encoder, pool, task.protocol.spoil, on_progress)
        for keys, vectors in eye.look(asked.gallery(readers[0], readers[1:])):
            shelf.put(keys, vectors)
        street = np.zeros((len(asked.asked), encoder.dim), np.float32)
        readable = np.zeros(len(street), bool)
        for rows, vectors in eye.look(enumerate(one.crop for one in asked.asked)):
            street[rows], readable[rows] = vectors, True
        gallery = shelf.read()
        arms = arms_of(encoder, task)
        weighed = {arm.name: arm.encoder.weigh(street, arm.dial) for arm in arms}
        found = ranking.rank(gallery, weighed, asked.right(), depth=depth, groups=asked.groups())
        answerable = readable & np.isin(asked.right(), gallery.keys).any(axis=1)
    kept = answerable | (not task.protocol.leave_out)
    data = Data(
        fingerprint=asked.fingerprint,
        products=len(gallery.keys),
        crops=len(gallery.order),
        left_out=int(np.sum(~kept)),
        unanswerable=int(np.sum(~answerable)),
        unreadable_queries=eye.lost["street"],
        unreadable_crops=eye.lost["shop"],
        unreadable=tuple(eye.named),
    )
    names = list(asked.keys)
    return Evaluation(
        task=task,
        data=data,
        encoder=encoder.fingerprint,
        recipe=encoder.recipe,
        queries=tuple(one.query for one, keep in zip(asked.asked, kept, strict=True) if keep),
        arms=tuple(_answered(arm, found[arm.name], readable, kept, names) for arm in arms),
        version=__version__,
    )


class Weighing(NamedTuple):
    """An arm to be: its name, the encoder with its weights, and where its dial stands."""

    name: str
    encoder: Encoder
    dial: float | None
    sampled: bool


def arms_of(encoder: Encoder, task: Task) -> list[Weighing]:
    """Each part alone, then all with the encoder's weights (``both``; ``all`` of more than two), then the dial's steps.

    An encoder of one part has one arm, called as the part.
    """
    names = [part.name for part in encoder.parts]
    alone = [Weighing(name, encoder.weighed({name: 1.0}), None, False) for name in names]
    if len(names) == 1:
        return alone
    own = Weighing("both" if len(names) == 2 else "all", encoder, task.protocol.detail, False)
    steps = [step / STEPS for step in range(STEPS + 1)] if task.dial and DIAL in names else []
    return [*alone, own, *(Weighing(f"{DIAL}={step:.1f}", encoder, step, True) for step in steps)]


def _answered(
    arm: Weighing, found: Ranking, readable: Bool[np.ndarray, "q"], kept: Bool[np.ndarray, "q"], names: Sequence[str]
) -> Arm:
    """An arm's answers to the queries kept; a photo that cannot be read found nothing."""
    ranks = np.where(readable[:, None] | np.isnan(found.ranks), found.ranks, np.inf)
    rows = [
        [(names[key], float(score)) for key, score in zip(keys, scores, strict=True) if key >= 0 and seen]
        for keys, scores, seen in zip(found.keys[kept], found.scores[kept], readable[kept], strict=True)
    ]
    return Arm(
        name=arm.name,
        weights={part.name: part.weight for part in arm.encoder.parts},
        detail=arm.dial if arm.sampled else None,
        ranks=ranks[kept],
        top=tuple(tuple(name for name, _ in row) for row in rows),
        scores=tuple(tuple(score for _, score in row) for row in rows),
    )


@dataclass
class Eye:
    """Reads crops on a few threads and encodes them; counts what it could not read, and names some of it."""

    encoder: Encoder
    pool: ThreadPoolExecutor
    spoil: int | None
    on_progress: Callable[[int], None]
    done: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {"street": 0, "shop": 0})
    named: list[str] = field(default_factory=list)

    def look(self, crops: Iterable[tuple[int, Crop]]) -> Iterator[tuple[list[int], Float32[np.ndarray, "n d"]]]:
        """The readable crops' numbers and vectors, a batch at a time."""
        rest = iter(crops)
        while batch := list(islice(rest, BATCH)):
            pixels = list(self.pool.map(self.pixels, (crop for _, crop in batch)))
            good = [
                (number, seen) for (number, _), seen in zip(batch, pixels, strict=True) if isinstance(seen, np.ndarray)
            ]
            for (_, crop), seen in zip(batch, pixels, strict=True):
                if isinstance(seen, BadPhoto):
                    self.lose(crop, seen)
            yield [number for number, _ in good], self.encoder.encode([seen for _, seen in good])
            self.done += len(batch)
            self.on_progress(self.done)

    def pixels(self, crop: Crop) -> UInt8[np.ndarray, "h w 3"] | BadPhoto:
        """The encoder's input, spoilt where queries are to be; or why there is none."""
        view = self.encoder.preprocessing[crop.domain]
        try:
            clean = image.crop(crop.photo, crop.box, view)  # also refuses a box that spoiling might have mended
            if self.spoil is None or crop.domain == "shop":
                return clean
            data, box = spoil(image.read(crop.photo), crop.box, seed=self.spoil, crop_id=crop.crop_id)
            return image.crop(data, box, view)
        except BadPhoto as error:
            return error

    def lose(self, crop: Crop, error: BadPhoto) -> None:
        """Count a crop that cannot be read; the first ones are named."""
        self.lost[crop.domain] += 1
        if len(self.named) < NAMED:
            self.named.append(f"{crop.crop_id}: {error}")


def check(before: Evaluation, now: Evaluation) -> list[str]:
    """One line for each metric of each arm, before and now.

    Raises Mismatch where the data, the encoder or the protocol are not the same, or a mean lies further than SLACK from
    the one before.
    """
    for what, old, new in (
        ("data (ids and boxes)", before.data.fingerprint, now.data.fingerprint),
        ("encoder", before.encoder, now.encoder),
        ("protocol", before.task.protocol, now.task.protocol),
    ):
        if old != new:
            raise Mismatch(f"not the same {what}: {old} before, {new} now", hint="make the numbers again from the same")
    lines, far = [], []
    for arm in before.arms:
        made_again = means(now, arm.name)
        for name, interval in means(before, arm.name).items():
            lines.append(f"{arm.name} {name} {interval.mean:.4f} {made_again[name].mean:.4f}")
            if abs(interval.mean - made_again[name].mean) > SLACK:
                far.append(lines[-1])
    if far:
        raise Mismatch(f"{len(far)} of {len(lines)} numbers came out otherwise: {'; '.join(far)}")
    return lines
