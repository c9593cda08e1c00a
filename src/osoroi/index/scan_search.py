"""One search of a scan, from mask to neighbours: a scan of the codes, and exact re-ranking of the candidates.

The state of a search does not change while it runs.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from osoroi.index import AllowedKeys, ScanSettings
from osoroi.index.codes import NEAREST, Codes, Take, TurnedQuery
from osoroi.index.exact import BLOCK, best, inner
from osoroi.index.snapshot import Snapshot
from osoroi.index.tail import Tail

HIDDEN = 0.25
"""Where more than this share of the nearest list lies above the cut, the filter hides what is near."""


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
    marks = state.alive
    if among is not None:
        marks = base.marks(among)
        marks &= state.alive
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
        search = _scan_in_order if where.marks is None else _scan_marked
        places, scores = search(base, query, min(k, where.size), where, settings)
    keys = np.concatenate([base.keys[places], tail.keys[where.rows]])
    scores = np.concatenate([scores, tail.scores(where.rows, query)])
    order = best(keys, scores, k)
    return keys[order], scores[order]


def _scan_in_order(
    base: Snapshot, query: Float32[np.ndarray, "d"], k: int, where: Allowed, settings: ScanSettings
) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """Places and exact scores of all that may be among the k best: the best codes first, as many as it takes.

    Without a filter the farthest quarter is left out where almost none of them came from the quarter before that.
    """
    codes, first = base.codes, max(settings.first, 2 * k)
    assert codes is not None
    asked, wanted = codes.turned(query), min(max(settings.candidates, 4 * k), where.size)
    found = codes.near(asked, wanted, where.bits, share=NEAREST if where.marks is None else 1.0)
    if len(found.places) < min(first, where.size):  # nearly all are wanted, and faiss leaves out the very worst
        return _scored(base, query, _every(len(base), where.marks))
    scores = _exact(base, query, found.places[:first])
    least = LEAST_SPREAD if where.marks is None else 1.0
    cut = _cut(codes, query, scores, found.scores[:first], k, settings, least=least)
    enough = max(first, int(np.searchsorted(-found.scores, -cut, side="right")))
    if enough >= len(found.places) < where.size:  # there may be others above the cut
        every = codes.above(asked, cut, where.bits).places
        if 2 * len(every) < len(found.places):  # faiss knows no threshold below the scores that codes can have
            every = _every(len(base), where.marks)
        return _scored(base, query, np.union1d(every, found.places))
    more = found.places[first:enough]
    if where.marks is None and codes.at_edge(asked, found.places[:enough]).mean() > settings.edge:
        more = np.concatenate([more, _farthest(codes, asked, cut, wanted)])
    return np.concatenate([found.places[:first], more]), np.concatenate([scores, _exact(base, query, more)])


def _scan_marked(
    base: Snapshot, query: Float32[np.ndarray, "d"], k: int, where: Allowed, settings: ScanSettings
) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """The same under a filter: the best codes of the nearest few lists say how high a code's score has to be.

    Then one pass over the codes gives all that lie above, and the marks are asked about those alone: faiss would ask
    about every code, which takes half as long again.
    """
    codes, first = base.codes, max(settings.first, 2 * k)
    assert codes is not None
    assert where.marks is not None
    asked, count = codes.turned(query), min(max(settings.first // 2, 2 * k), where.size)
    opening = codes.near(asked, count, where.bits, share=settings.opening)
    if len(opening.places) < count:  # what is allowed lies far away, or nearly all is wanted
        return _scan_in_order(base, query, k, where, settings)
    scores = _exact(base, query, opening.places)
    cut = _cut(codes, query, scores, opening.scores, k, settings)
    if codes.share_above(asked, cut) > HIDDEN:
        return _scan_in_order(base, query, k, where, settings)
    above = codes.above(asked, cut, None, share=NEAREST)
    if 2 * len(above.places) < np.count_nonzero(opening.scores > cut):
        return _scored(base, query, _every(len(base), where.marks))  # as above: no threshold below all scores
    kept = where.marks[above.places]
    places, rough = above.places[kept], above.scores[kept]
    if len(places) > 2 * first:
        top = np.argpartition(-rough, first)[:first]
        cut = max(cut, _cut(codes, query, _exact(base, query, places[top]), rough[top], k, settings))
        places = places[rough > cut]
    found = [opening.places, places]
    if len(places) and codes.at_edge(asked, places).mean() > settings.edge:
        rest = _farthest(codes, asked, cut, max(settings.candidates, 4 * k))
        found.append(rest[where.marks[rest]])
    return _scored(base, query, np.unique(np.concatenate(found)))


LEAST_SPREAD: Final = 0.5
"""Without a filter the nearest codes err much as the others do; under one, what is left may lie elsewhere."""


def _cut(
    codes: Codes,
    query: Float32[np.ndarray, "d"],
    scores: Float32[np.ndarray, "m"],
    rough: Float32[np.ndarray, "m"],
    k: int,
    settings: ScanSettings,
    least: float = 1.0,
) -> float:
    r"""The code's score below which a vector is left out: :math:`s_k - \mu - z\sigma`.

    Of these exact scores :math:`s_k` is the k-th best. Their codes' scores err by :math:`\mu` in the mean, with a
    deviation of :math:`\sigma`, at least ``least`` of that when the codes were learned: others may err more than near
    or equal vectors. z are the ``deviations`` of the settings.
    """
    errors = scores - rough
    usual = float(np.sqrt(codes.error * (query @ query)))
    spread = max(float(errors.std()), least * usual)
    return float(np.partition(scores, -k)[-k] - errors.mean() - settings.deviations * spread)


def _farthest(codes: Codes, asked: TurnedQuery, cut: float, count: int) -> Int64[np.ndarray, "m"]:
    """What lies above the cut in the farthest quarter, and perhaps more."""
    rest = codes.near_in(asked, count, asked.lists[asked.nearest_lists(NEAREST) :])
    if len(rest.places) == count and rest.scores[-1] > cut:  # there may be others
        return codes.above(asked, cut, None).places
    return rest.places[rest.scores > cut]


def _every(count: int, marks: Bool[np.ndarray, "n"] | None) -> Int64[np.ndarray, "m"]:
    """All places, or those that are marked."""
    return np.arange(count) if marks is None else np.flatnonzero(marks)


def _scored(
    base: Snapshot, query: Float32[np.ndarray, "d"], places: Int64[np.ndarray, "m"]
) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """These places and their exact scores."""
    return places, _exact(base, query, places)


def _exact(base: Snapshot, query: Float32[np.ndarray, "d"], places: Int64[np.ndarray, "m"]) -> Float32[np.ndarray, "m"]:
    """Exact scores of these, a block at a time: they may be all there are."""
    blocks = [places[start : start + BLOCK] for start in range(0, len(places), BLOCK)]
    return np.concatenate([inner(base.take(block), query) for block in [places[:0], *blocks]])


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
