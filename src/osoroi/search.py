"""A search from a photo to products: pixels, vector, weights, nearest products. The command line, the service and the
public ``Catalog`` all search here."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import CommittedSince, Neighbor, Storage
from osoroi.encoder import KIND
from osoroi.errors import REENCODE, BadRequest, OtherEncoder
from osoroi.records import Box, BoxLike, Clues, Domain, Hit, Input, Kinds, PhotoLike
from osoroi.wishes import K, turned

if TYPE_CHECKING:
    from osoroi.encoder import Encoder
    from osoroi.garments.learned import LearnedKinds

QueryVector = Float32[np.ndarray, "1 d"]
"""The vector of one query."""

DETAIL_ALONE = Clues(known={})
"""Clues for a photo of which colour and pattern alone are used: its kind is not judged."""

UNLIKELY = 0.2
"""Chance below which a response says that the product itself is probably not in the catalog."""

AHEAD = 24
"""Products that are looked at beyond a list which ends in other kinds, before that is said of it."""

OTHER_KIND = 0.4
"""Cosine of the part ``kind`` below which a product is of another kind. Of a product whose kind is certain, it is the
root of the chance that the query is of that kind."""


class SampleFacts(NamedTuple):
    """What a sample of a catalog says: the share of products whose kind the shop says; a classifier of looks, None
    where too few are known; and what the products have in common in the part ``detail``, None without that part."""

    categorised: float
    learned: "LearnedKinds | None"
    usual: Float32[np.ndarray, "u"] | None


class Chances(NamedTuple):
    """The chance of each product of a list to be the very product, and that any of them is."""

    each: list[float]
    any_of_them: float


class Wishes(NamedTuple):
    """What ``Searcher.nearest`` is asked for besides a vector."""

    k: int
    offset: int
    where: str | None
    detail: float | None
    judged: bool
    centred: bool | None
    without: Sequence[str] = ()


class Searcher:
    """An encoder and a catalog of its vectors. Searching changes neither, so threads may share a searcher.

    Raises OtherEncoder where the vectors of the catalog were made by another encoder.
    """

    def __init__(self, encoder: "Encoder", catalog: Storage) -> None:
        if encoder.fingerprint != catalog.fingerprint:
            raise OtherEncoder(
                f"the catalog {catalog.location} has vectors of encoder {catalog.fingerprint[:12]}, "
                f"and the queries would be made by encoder {encoder.fingerprint[:12]}",
                hint=f"search with the catalog's encoder, or {REENCODE}",
            )
        self.encoder = encoder
        self.catalog = catalog
        self._facts = (-1, SampleFacts(1.0, None, None))  # a commit, and what a sample said then

    def search(  # noqa: PLR0913  the wishes of one query are plain keywords here
        self,
        photo: PhotoLike,
        *,
        box: BoxLike | None = None,
        kind: Kinds | None = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        detail_from: PhotoLike | None = None,
        detail_box: BoxLike | None = None,
    ) -> list[Hit]:
        """The k best distinct products for a street photo, best first, after the first ``offset`` of them.

        ``box`` is the garment in the photo; without one, the whole photo is the query. ``kind`` says what it is, as
        ``Garment.kinds`` does; without it, its place on the body and its picture do. ``where`` is a filter.
        ``detail`` in [0, 1] replaces the encoder's weight of colour and pattern. With ``detail_from``, shape is that of
        the photo, and colour and pattern are those of a second photo (of ``detail_box`` in it), or of a colour such as
        ``#b03a2e``, ``navy`` or ``紺``. Raises BadPhoto, BadFilter and BadRequest.
        """
        query = self.encoder.input_of(photo, None if box is None else Box.of(box), "street", kind=kind)
        by_encoder = self.encoder.encode_inputs([query])
        other = None if detail_from is None else self.detail_vector(detail_from, detail_box)
        detail = self.turned(detail)
        judged = detail is None and other is None
        wishes = Wishes(k, offset, where, detail, judged=judged, centred=not judged)

        def hits(facts: SampleFacts, seq: int | None) -> list[Hit]:
            vector = self.with_learned_kinds([query], by_encoder, facts)
            return self._nearest(
                vector if other is None else self.encoder.with_detail(vector, other), wishes, facts, seq
            )

        return self._with_facts(hits)

    def vector_of(self, photo: PhotoLike, *, box: BoxLike | None = None, kind: Kinds | None = None) -> QueryVector:
        """The vector of a garment in a street photo, each part of unit length."""
        inside = None if box is None else Box.of(box)
        return self.encode([self.encoder.input_of(photo, inside, "street", kind=kind)])

    def detail_vector(self, photo: PhotoLike, box: BoxLike | None = None) -> Float32[np.ndarray, "1 d"]:
        """The vector of a photo, or of a colour, of which colour and pattern alone are used."""
        from osoroi.image.swatch import photo_or_swatch

        inside = None if box is None else Box.of(box)
        crop = image.crop(photo_or_swatch(photo), inside, self.encoder.preprocessing[detail_domain(inside)])
        return self.encoder.encode_inputs([Input(crop, DETAIL_ALONE)])

    def search_batch(
        self,
        photos: Sequence[PhotoLike],
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        kinds: Sequence[Kinds | None] | None = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        threads: int = 1,
    ) -> list[list[Hit]]:
        """The hits of each photo, as ``search`` gives them; photos are read on threads and encoded in batches."""
        vectors = self.encoder.encode_photos(
            photos, "street", boxes=boxes, kinds=kinds, threads=threads, encode=self.encode
        )
        detail = self.turned(detail)
        judged = detail is None
        return [self.nearest(row[None], k, offset=offset, where=where, detail=detail, judged=judged) for row in vectors]

    def similar(
        self,
        product_id: str,
        *,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
    ) -> list[Hit]:
        """The k products most similar to one of the catalog, without that one. Its first crop is the query.

        Raises NotFound, BadFilter and BadRequest.
        """
        vector = self.stored_vector(product_id)
        return self.nearest(vector, k, offset=offset, where=where, detail=detail, without=[product_id])

    def stored_vector(self, product_id: str) -> Float32[np.ndarray, "1 d"]:
        """The vector of a product's first crop; raises NotFound."""
        return self.catalog.vectors([self.catalog.crops(product_id)[0].crop_id])

    def nearest(
        self,
        vector: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        without: Sequence[str] = (),
        judged: bool = False,
        centred: bool | None = None,
    ) -> list[Hit]:
        """The k best products for a vector of the encoder, with the cosine of each part. ``without`` names products
        to leave out. ``judged`` adds probabilities, which hold for a street photo under the encoder's own weights, and
        without a filter: one may leave the very product out. ``centred`` leaves out of the query's colour and pattern
        what all products share; by default it does with ``detail``."""
        wishes = Wishes(k, offset, where, detail, judged=judged, centred=centred, without=without)
        return self._with_facts(lambda facts, seq: self._nearest(vector, wishes, facts, seq))

    def _with_facts(self, search: Callable[[SampleFacts, int | None], list[Hit]]) -> list[Hit]:
        """What a search finds with the facts of the last look at the catalog, and once more with new ones where
        something was committed since: the search sees that itself, so the database is not asked twice."""
        seq, facts = self._facts
        with contextlib.suppress(CommittedSince):
            return search(facts, seq)
        return search(self.facts(), None)  # outside: an error of it has no CommittedSince as context

    def _nearest(
        self, vector: Float32[np.ndarray, "1 d"], wishes: "Wishes", facts: SampleFacts, seq: int | None
    ) -> list[Hit]:
        k, offset, where, detail, judged, centred, without = wishes
        if k < 1 or offset < 0:
            raise BadRequest(f"k={k} and offset={offset} give no products", hint="k is at least 1, offset at least 0")
        detail = self.turned(detail)
        asking = vector
        if centred or (centred is None and detail is not None):
            from osoroi.encoder.learned import centred as without_the_usual

            asking = without_the_usual(self.encoder, vector, facts.usual)
        query = self.encoder.weigh(asking, detail, categorised=facts.categorised)  # [1 d]
        judged = judged and where is None
        calibration = self.encoder.metadata.calibration
        depth = max(k + offset, calibration.depth) if judged and calibration is not None else k + offset
        neighbors = self.catalog.nearest(query, depth, where=where, without=without, seq=seq)
        parts = self.cosines(neighbors, asking)
        if len(parts) == depth and is_of_other_kind(parts[-1]) and self.knows_kind(vector):  # does the kind come again?
            neighbors = self.catalog.nearest(query, depth + AHEAD, where=where, without=without, seq=seq)
            parts = self.cosines(neighbors, asking)
        chances = self.chances(parts) if judged else None
        others = self.other_kinds_from(parts, vector)
        return [
            hit_of(neighbors[at], parts[at], chances, at, other_kind=at >= others)
            for at in range(offset, min(offset + k, len(parts)))
        ]

    def turned(self, detail: float | None) -> float | None:
        """Where the slider was turned to; None where it stands where it stands by itself."""
        return None if detail is None else turned(detail, self.encoder.own_detail)

    def knows_kind(self, vector: Float32[np.ndarray, "1 d"]) -> bool:
        """Whether one kind is more likely than all others together for a query."""
        return self.encoder.has_kind and float(vector[0, self.encoder.columns[KIND]][:-1].max()) ** 2 > 0.5

    def other_kinds_from(self, parts: Sequence[Mapping[str, float]], vector: Float32[np.ndarray, "1 d"]) -> int:
        """How many products of a list, by the cosines of their parts, come before those that are all of another kind
        than the query; all of them where its kind is not known."""
        last = next((place for place in reversed(range(len(parts))) if not is_of_other_kind(parts[place])), -1)
        return last + 1 if last < len(parts) - 1 and self.knows_kind(vector) else len(parts)

    def with_other_kinds(self, hits: Sequence[Hit], vector: Float32[np.ndarray, "1 d"]) -> list[Hit]:
        """A list in which the hits after the last one of the query's kind say so, where that kind is known."""
        others = self.other_kinds_from([hit.parts for hit in hits], vector)
        return [*hits[:others], *(replace(hit, other_kind=True) for hit in hits[others:])]

    def chances(self, parts: Sequence[Mapping[str, float]]) -> Chances | None:
        """The chances of a whole list, by the cosines of its parts; None without a calibration, and of no products."""
        calibration = self.encoder.metadata.calibration
        if calibration is None or not parts:
            return None
        each = calibration.chances(self.encoder.metadata.graph_parts, parts)
        return Chances(each.tolist(), min(1.0, float(each.sum())))

    def facts(self) -> SampleFacts:
        """What a sample of the catalog says; all categorised where the encoder has no part for kinds."""
        seq = self.catalog.seq
        if self._facts[0] != seq:
            from osoroi.encoder.learned import SAMPLE, learn_kinds, share_of_known, usual_detail

            sample, encoder = self.catalog.sample(SAMPLE), self.encoder
            categorised = share_of_known(encoder, sample) if encoder.has_kind else 1.0
            self._facts = (seq, SampleFacts(categorised, learn_kinds(encoder, sample), usual_detail(encoder, sample)))
        return self._facts[1]

    def encode(self, queries: Sequence[Input]) -> Float32[np.ndarray, "n d"]:
        """Vectors of queries, each part of unit length, with what the catalog teaches of their kinds."""
        return self.with_learned_kinds(queries, self.encoder.encode_inputs(queries))

    def with_learned_kinds(
        self, queries: Sequence[Input], vectors: Float32[np.ndarray, "n d"], facts: SampleFacts | None = None
    ) -> Float32[np.ndarray, "n d"]:
        """Vectors of queries in which, where nothing but a picture tells the kind, the catalog's own products have a
        say: their looks and the shop's categories (``garments.learned``). A body in the photo tells more than they."""
        alone = [number for number, query in enumerate(queries) if query.clues.by_picture_alone]
        if not alone or not self.encoder.has_kind:
            return vectors
        classifier = (facts or self.facts()).learned
        if classifier is None:
            return vectors
        from osoroi.encoder.learned import with_learned_kind

        if len(alone) == len(queries):
            return with_learned_kind(self.encoder, vectors, classifier)
        changed = vectors.copy()
        changed[alone] = with_learned_kind(self.encoder, vectors[alone], classifier)
        return changed

    def cosines(self, neighbors: Sequence[Neighbor], vector: Float32[np.ndarray, "1 d"]) -> list[dict[str, float]]:
        """The cosine of each part of each neighbor, by name, whatever the weights were."""
        if not neighbors:
            return []
        stored = np.concatenate([neighbor.vector for neighbor in neighbors]).reshape(len(neighbors), -1)
        by_part = self.encoder.by_part(stored * vector)
        columns = (column.tolist() for column in by_part.values())
        return [dict(zip(by_part, row, strict=True)) for row in zip(*columns, strict=True)]


def hit_of(
    neighbor: Neighbor, parts: Mapping[str, float], chances: Chances | None, at: int, *, other_kind: bool = False
) -> Hit:
    """A neighbor as the hit at this place of a list."""
    probability, in_catalog = (None, None) if chances is None else (chances.each[at], chances.any_of_them)
    product = neighbor.product
    return Hit(
        product.product_id, neighbor.score, neighbor.crop_id, product, parts, probability, in_catalog, other_kind
    )


def detail_domain(box: Box | None) -> Domain:
    """How the photo that gives colour and pattern is cut: like a product photo, or around a box like a street photo."""
    return "shop" if box is None else "street"


def response(
    hits: Sequence[Hit],
    *,
    encoder: str,
    detail: float | None,
    took_s: float,
    offset: int = 0,
    garment: Mapping[str, Any] | None = None,
    understood: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Hits as plain data: what ``osoroi search --json`` prints and the service sends.

    ``encoder`` is the encoder's fingerprint, ``detail`` the requested weight or None, ``took_s`` seconds.
    ``offset`` products stand before these. ``garment`` is the one that was found in the photo and searched with, as
    ``garments.fields`` gives it; ``understood`` what words say.
    """
    located = {} if garment is None else {"garment": garment}
    read = {} if understood is None else {"understood": understood}
    facts = {"encoder": encoder, "detail": detail, "took_s": round(took_s, 6)}
    return {**located, **_ranked(hits, offset), **read, **facts}


def outfit_response(
    lists: Iterable[tuple[Mapping[str, Any], Sequence[Hit]]],
    *,
    encoder: str,
    detail: float | None,
    took_s: float,
    offset: int = 0,
    understood: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The hits of each garment of a photo as plain data; the garments are as ``garments.fields`` gives them."""
    rows = [{**garment, **_ranked(hits, offset)} for garment, hits in lists]
    read = {} if understood is None else {"understood": understood}
    return {"garments": rows, **read, "encoder": encoder, "detail": detail, "took_s": round(took_s, 6)}


def _ranked(hits: Sequence[Hit], offset: int) -> dict[str, Any]:
    return {
        "hits": [hit_fields(hit, rank) for rank, hit in enumerate(hits, start=offset + 1)],
        "probability": hits[0].in_catalog if hits else None,
        "nothing_like_it": is_unlikely(hits),
    }


def hit_fields(hit: Hit, rank: int) -> dict[str, Any]:
    """One hit as plain data, with its rank in the whole list."""
    fields = {"rank": rank, **vars(hit), "product": vars(hit.product)}
    del fields["in_catalog"]  # it is said once, of the whole list
    return fields


def is_of_other_kind(parts: Mapping[str, float]) -> bool:
    """Whether a product is of another kind than the query, whose kind is known, by the cosines of its parts."""
    return parts.get(KIND, 1.0) < OTHER_KIND


def is_unlikely(hits: Sequence[Hit]) -> bool:
    """Whether the very product of the photo is probably not in the catalog, as far as the whole list tells.

    >>> from osoroi.records import Product
    >>> [is_unlikely([Hit("a", 0.9, "a/1", Product("a"), in_catalog=chance)]) for chance in (0.1, 0.9, None)]
    [True, False, False]
    """
    return bool(hits) and hits[0].in_catalog is not None and hits[0].in_catalog < UNLIKELY
