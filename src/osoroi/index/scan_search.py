"""One search of a scan, from mask to neighbours, over a state that nobody changes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from osoroi.index import ScanSettings
from osoroi.index.codes import Take
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
    """What a search may find: ``size`` places of the snapshot, listed where they are few, as bits where they are many
    (neither: all of them), and rows of the tail. ``filtered`` unless it is all there is."""

    size: int
    filtered: bool
    places: Int64[np.ndarray, "m"] | None
    bits: UInt8[np.ndarray, "b"] | None
    rows: Int64[np.ndarray, "t"]


def allowed(state: State, among: Int64[np.ndarray, "m"] | None, settings: ScanSettings) -> Allowed:
    """What is there of these keys, or of all."""
    base, rows = state.base, state.tail.rows(among)
    if among is None and not state.gone and base.codes:
        return Allowed(len(base), False, None, None, rows)
    mask = state.alive
    if among is not None:
        mask = np.zeros(len(base), bool)
        mask[base.places(among)] = True
        mask &= state.alive
    count = int(np.count_nonzero(mask))
    if count <= settings.exact_up_to or not base.codes:
        return Allowed(count, among is not None, np.flatnonzero(mask), None, rows)
    return Allowed(count, among is not None, None, np.packbits(mask, bitorder="little"), rows)


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
    r"""Places and exact scores of all that may be among the k best.

    The errors of the first candidates' codes have mean :math:`\mu` and deviation :math:`\sigma`. A vector is left out
    only where its code's score is below :math:`s_k - \mu - z\sigma`, with :math:`s_k` the k-th exact score so far and
    z the ``deviations`` of the settings; or, without a filter, where it is in the farthest quarter, and almost none of
    the candidates came from the quarter before that.
    """
    codes, first = base.codes, max(settings.first, 2 * k)
    assert codes is not None
    wanted = min(max(settings.candidates, 4 * k), where.size)
    found = codes.near(query, wanted, where.bits, whole=where.filtered)
    if len(found.places) < min(first, where.size):  # what is alive lies far away
        found = codes.near(query, wanted, where.bits, whole=True)
    if len(found.places) < min(first, where.size):  # nearly all are wanted, and faiss leaves out the very worst
        every = _every(len(base), where.bits)
        return every, _exact(base, query, every)
    scores = inner(base.take(found.places[:first]), query)
    errors = scores - found.scores[:first]
    least = 0.5 * float(np.sqrt(codes.error * (query @ query)))  # of equal vectors the errors are equal too
    spread = max(float(errors.std()), least)
    cut = float(np.partition(scores, -k)[-k] - errors.mean() - settings.deviations * spread)
    enough = max(first, int(np.searchsorted(-found.scores, -cut, side="right")))
    short, more = enough >= len(found.places) < where.size, found.places[first:enough]
    if not short and found.edge[:enough].mean() > settings.edge:
        rest, rough = codes.near_in(query, wanted, found.rest)
        short = len(rest) == wanted and rough[-1] > cut
        more = np.concatenate([more, _alive(rest[rough > cut], where.bits)])
    if short:
        known = np.concatenate([found.places[:first], more])  # all above the cut, and there may be others
        every = codes.above(query, cut, where.bits)
        if 2 * len(every) < len(known):  # faiss knows no threshold below the scores that codes can have
            every = _every(len(base), where.bits)
        every = np.union1d(every, known)
        return every, _exact(base, query, every)
    return np.concatenate([found.places[:first], more]), np.concatenate([scores, _exact(base, query, more)])


def _every(count: int, bits: UInt8[np.ndarray, "b"] | None) -> Int64[np.ndarray, "m"]:
    """All places, or those whose bit is set."""
    return np.arange(count) if bits is None else np.flatnonzero(np.unpackbits(bits, count=count, bitorder="little"))


def _alive(places: Int64[np.ndarray, "m"], bits: UInt8[np.ndarray, "b"] | None) -> Int64[np.ndarray, "a"]:
    """Those of these places whose bit is set."""
    return places if bits is None else places[bits[places >> 3] >> (places & 7) & 1 > 0]


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
