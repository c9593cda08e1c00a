"""One search of a scan, from mask to neighbours: a scan of the codes, and exact re-ranking of the candidates.

The state of a search does not change while it runs.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from osoroi.index import AllowedKeys, ScanSettings
from osoroi.index.codes import Candidates, Codes, Take
from osoroi.index.exact import BLOCK, best, inner
from osoroi.index.snapshot import Snapshot
from osoroi.index.tail import Tail

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
        places, scores = _scan(base, query, min(k, where.size), where, settings)
    keys = np.concatenate([base.keys[places], tail.keys[where.rows]])
    scores = np.concatenate([scores, tail.scores(where.rows, query)])
    order = best(keys, scores, k)
    return keys[order], scores[order]


def _scan(
    base: Snapshot, query: Float32[np.ndarray, "d"], k: int, where: Allowed, settings: ScanSettings
) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """Places and exact scores of all that may be among the k best: the best codes first, as many as it takes.

    The nearest lists are scanned first. The farther ones follow while the farther half of those that were scanned
    holds more than a few of the candidates.
    """
    codes, first = base.codes, min(max(settings.first, 2 * k), where.size)
    assert codes is not None
    asked, wanted = codes.turned(query), min(max(settings.candidates, 4 * k), where.size)
    found, top, scores = Candidates.none(), np.empty(0, np.int64), np.empty(0, np.float32)
    for beyond, share in pairwise((0.0, *settings.shares)):
        more = codes.near(asked, wanted, where.bits, beyond=beyond, share=share)
        found = found.with_others(more) if beyond else more
        if len(found.places) < first:
            continue
        if not np.array_equal(top, found.places[:first]):
            top = found.places[:first]
            scores = _exact(base, query, top)
        cut = _cut(codes, query, scores, found.scores[:first], k, settings, least=1.0 if beyond else LEAST_SPREAD)
        if len(more.places) == wanted < where.size and more.scores[-1] > cut:  # there may be others above the cut
            every = codes.above(asked, cut, where.bits, share=share)
            if 2 * len(every.places) < np.count_nonzero(found.scores > cut):
                break  # faiss knows no threshold below the scores that codes can have
            found = every.with_others(found.without(every.places))
        rest = found.places[first : max(first, int(np.searchsorted(-found.scores, -cut, side="right")))]
        at_edge = codes.at_edge(asked, np.concatenate([top, rest]), share=share)
        kth = float(np.partition(scores, -k)[-k])
        if share == 1 or (at_edge.mean() <= settings.edge and not codes.may_hold(asked, kth, beyond=share)):
            return np.concatenate([top, rest]), np.concatenate([scores, _exact(base, query, rest)])
    places = np.arange(len(base)) if where.marks is None else np.flatnonzero(where.marks)  # nearly all are wanted
    return places, _exact(base, query, places)


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
