"""One search of a scan, from mask to neighbours: a scan of the codes, and exact re-ranking of the candidates.

The state of a search does not change while it runs.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from osoroi.index import AllowedKeys, ScanSettings
from osoroi.index.codes import Candidates, Codes, Take, TurnedQuery
from osoroi.index.exact import BLOCK, best, inner
from osoroi.index.snapshot import Snapshot
from osoroi.index.tail import Tail

NEAR_SPREAD, FAR_SPREAD, HIDING_SPREAD = 0.5, 1.0, 4 / 3
"""The least spread of codes' errors in terms of the usual one: in the nearest lists, in others, and in others under a
filter, which may hide the well-coded."""

ROUNDING = 1e-5
"""How far rounding alone may move a score, as a share of the largest: codes may be perfect, and equal scores are all
wanted."""


class State(NamedTuple):
    """The state that one search uses from beginning to end."""

    base: Snapshot
    alive: Bool[np.ndarray, "n"]
    gone: int
    tail: Tail


class Allowed(NamedTuple):
    """What a search may find: ``size`` places of the snapshot, listed where they are few, as marks and as bits where
    they are many (neither: all of them), and rows of the tail."""

    size: int
    places: Int64[np.ndarray, "m"] | None
    marks: Bool[np.ndarray, "n"] | None
    bits: UInt8[np.ndarray, "b"] | None
    rows: Int64[np.ndarray, "t"]


def allowed(state: State, among: AllowedKeys, settings: ScanSettings) -> Allowed:
    """What is there of these keys, or of all."""
    base, rows = state.base, state.tail.rows(among)
    if among is None and not state.gone and base.codes:
        return Allowed(len(base), None, None, None, rows)
    marks = state.alive if among is None else base.marks(among)
    if among is not None and state.gone:
        marks = marks & state.alive
    count = int(np.count_nonzero(marks))
    if count <= settings.exact_up_to or not base.codes:
        return Allowed(count, np.flatnonzero(marks), None, None, rows)
    return Allowed(count, None, marks, np.packbits(marks, bitorder="little"), rows)


def nearest(
    state: State, query: Float32[np.ndarray, "d"], k: int, where: Allowed, settings: ScanSettings
) -> tuple[Int64[np.ndarray, "k"], Float32[np.ndarray, "k"]]:
    """Keys and scores of the k best; there are at least k."""
    base, tail = state.base, state.tail
    if where.places is not None:
        places, scores = where.places, inner(base.take(where.places), query)
    else:
        assert base.codes is not None
        search = ScanQuery(base, base.codes, query, base.codes.turned(query), min(k, where.size), where, settings)
        places, scores = _scan(search)
    keys = np.concatenate([base.keys[places], tail.keys[where.rows]])
    scores = np.concatenate([scores, tail.scores(where.rows, query)])
    order = best(keys, scores, k)
    return keys[order], scores[order]


class ScanStep(NamedTuple):
    """The best codes of some lists, exact scores of the first of them, and how far below a score its code may lie."""

    codes: Candidates
    scores: Float32[np.ndarray, "m"]
    slack: float

    @property
    def scored(self) -> Int64[np.ndarray, "m"]:
        """Places with an exact score."""
        return self.codes.places[: len(self.scores)]

    def above(self, least: float) -> Bool[np.ndarray, "c"]:
        """Which codes may have exact scores of at least ``least``."""
        return self.codes.scores > least - self.slack

    def rest(self, least: float) -> Int64[np.ndarray, "r"]:
        """Their places, without those that have an exact score."""
        count = len(self.scores)
        return self.codes.places[count:][self.above(least)[count:]]


class ScanQuery(NamedTuple):
    """One query for the ``k`` best of a snapshot."""

    base: Snapshot
    codes: Codes
    query: Float32[np.ndarray, "d"]
    turned: TurnedQuery
    k: int
    where: Allowed
    settings: ScanSettings

    @property
    def first(self) -> int:
        """Exact scores without which no code is left out."""
        return min(max(self.settings.first, 2 * self.k), self.where.size)

    @property
    def wanted(self) -> int:
        """Codes that a step reads in order."""
        return min(max(self.settings.candidates, 4 * self.k), self.where.size)

    def step(self, beyond: float, share: float, *, scored: int) -> ScanStep:
        r"""The best codes of the lists between two shares, and exact scores of the best of them.

        Their codes' scores err by :math:`\mu` in the mean, with a deviation of :math:`\sigma`, at least that when the
        codes were learned (of the nearest lists half of it, of far ones under a filter a third more): others may err
        more than near or equal vectors. The slack is :math:`\mu + z\sigma`, z the ``deviations`` of the settings. In
        far lists vectors whose codes err much are found more often, so that their :math:`\mu` is larger.
        """
        found = self.codes.near(self.turned, self.wanted, self.where.bits, beyond=beyond, share=share)
        count = max(self.first - scored, self.first // 4)
        scores = self.exact(found.places[:count])
        rounding = ROUNDING * float(np.abs(scores).max(initial=0.0))
        errors = scores - found.scores[:count] if len(scores) else np.zeros(1, np.float32)
        usual = float(np.sqrt(self.codes.error * (self.query @ self.query)))
        far = FAR_SPREAD if self.where.bits is None else HIDING_SPREAD
        spread = max(float(errors.std()), usual * (far if beyond else NEAR_SPREAD))
        return ScanStep(found, scores, float(errors.mean()) + self.settings.deviations * spread + rounding)

    def whole(self, step: ScanStep, beyond: float, share: float, *, least: float) -> ScanStep | None:
        """The step with every code that may matter; None where faiss knows no threshold so low."""
        cut, read = least - step.slack, len(step.codes.places)
        if not read == self.wanted < self.where.size or step.codes.scores[-1] <= cut:
            return step
        every = self.codes.above(self.turned, cut, self.where.bits, beyond=beyond, share=share)
        if 2 * len(every.places) < read:
            return None
        others, count = ~np.isin(every.places, step.scored), len(step.scores)
        both = zip((part[:count] for part in step.codes), (part[others] for part in every), strict=True)
        return step._replace(codes=Candidates(*(np.concatenate(parts) for parts in both)))

    def exact(self, places: Int64[np.ndarray, "m"]) -> Float32[np.ndarray, "m"]:
        """Exact scores of these, a block at a time: they may be all there are."""
        blocks = [places[start : start + BLOCK] for start in range(0, len(places), BLOCK)]
        return np.concatenate([inner(self.base.take(block), self.query) for block in [places[:0], *blocks]])


def _scan(search: ScanQuery) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """Places and exact scores of all that may be among the k best: the best codes first, as many as it takes.

    The nearest lists are scanned first. The farther ones follow while the farther half of those that were scanned
    holds more than a few of the candidates, or one of those that were not is likely to hold some.
    """
    codes, settings, marks = search.codes, search.settings, search.where.marks
    steps: list[ScanStep] = []
    scores = np.empty(0, np.float32)
    for beyond, share in pairwise((0.0, *settings.shares_of(len(search.base)))):
        step = search.step(beyond, share, scored=len(scores))
        if steps:  # few were scored of a farther step, and by luck the well-coded
            step = step._replace(slack=max(step.slack, steps[-1].slack))
        scores = np.concatenate([scores, step.scores])
        steps.append(step)
        if len(scores) < search.first:
            continue
        least = float(np.partition(scores, -search.k)[-search.k])
        whole = search.whole(step, beyond, share, least=least)
        if whole is None:
            break
        steps[-1] = whole
        near = np.concatenate([step.codes.places[step.above(least)] for step in steps])
        few = np.count_nonzero(codes.between(search.turned, near, share / 2, share)) <= settings.edge * len(near)
        if share == 1 or (few and not search.turned.may_reach(least, beyond=share, deviations=settings.reach)):
            rest = np.concatenate([step.rest(least) for step in steps])
            places = np.concatenate([*(step.scored for step in steps), rest])
            return places, np.concatenate([scores, search.exact(rest)])
    places = np.arange(len(search.base)) if marks is None else np.flatnonzero(marks)  # nearly all are wanted
    return places, search.exact(places)


def live(state: State) -> tuple[Int64[np.ndarray, "n"], Take]:
    """The keys that count, rising, and what takes their vectors by place."""
    base, tail = state.base, state.tail
    if not state.gone and not len(tail.alive):
        return base.keys, base.take
    rows = tail.rows()
    keys = np.concatenate([base.keys[state.alive], tail.keys[rows]])
    order = np.argsort(keys, kind="stable")
    origins = np.concatenate([np.flatnonzero(state.alive), len(base) + rows])[order]

    def take(places: Int64[np.ndarray, "m"]) -> Float32[np.ndarray, "m d"]:
        origin = origins[places]
        late = origin >= len(base)
        vectors = np.empty((len(places), base.dim), np.float32)
        vectors[~late] = base.take(origin[~late])
        vectors[late] = tail.vectors[origin[late] - len(base)]
        return vectors

    return keys[order], take
