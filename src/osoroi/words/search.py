"""Products for words, alone or with a photo, by the encoder and catalog of a searcher.

A query is made in two steps, so that a service can encode photos where it always does: ``WordSearch.vector`` writes the
words into the vector of a photo or a colour, ``WordSearch.nearest`` finds candidates by it and titles and fuses them.
"""

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.catalog import filters
from osoroi.encoder import KIND, text_tower
from osoroi.encoder.text_tower import TextTower
from osoroi.errors import BadRequest
from osoroi.garments.kinds import NAMES
from osoroi.image.swatch import is_color
from osoroi.records import BoxLike, Clues, Hit, Kinds, PhotoLike, Product
from osoroi.search import QueryVector, Searcher
from osoroi.wishes import TEXT_LENGTH, K
from osoroi.words.fusion import agreement, score
from osoroi.words.reading import Words, read
from osoroi.words.titles import TitleIndex

POOL: Final = 200
"""Candidates of each list, by picture and by title, that are scored together first. Where more products are wanted,
the next ones follow, ``MORE`` times as many. Neither depends on the page, so that pages joined are the whole list."""

MORE: Final = 4
"""How many times as many candidates are found each time that they do not suffice."""

AT_ONCE_S: Final = 0.1
"""Processor seconds of reading all titles below which they are read again after every commit."""

SHARE: Final = 0.05
"""In larger catalogs, most of the time that reading titles anew may take; until then earlier ones are searched."""


class WordHits(NamedTuple):
    """Hits, best first, and what was understood of the words."""

    hits: list[Hit]
    understood: Words


def understood(text: str, *, color: str | None = None) -> Words:
    """What a text says; ``color`` goes before the colours that it names. Raises BadRequest for an empty text, and for
    one that is too long."""
    if not text.strip() or len(text) > TEXT_LENGTH:
        raise BadRequest(f"a text of {len(text)} characters", hint=f"write 1 to {TEXT_LENGTH} characters")
    words = read(text)
    return words if color is None else replace(words, colors=(color,))


class WordSearch:
    """Searches by words. The titles of the catalog are read once, and again after a commit. Threads may share it."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._titles: TitleIndex | None = None
        self._seq, self._read_at_s, self._took_s = -1, 0.0, 0.0
        self._reading = threading.Lock()

    def search(  # noqa: PLR0913  the wishes of one query are plain keywords here
        self,
        text: str,
        photo: PhotoLike | None = None,
        *,
        like: str | None = None,
        box: BoxLike | None = None,
        kind: Kinds | None = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        detail_from: PhotoLike | None = None,
        detail_box: BoxLike | None = None,
    ) -> WordHits:
        """The k best distinct products for words, or for words and a photo or product whose cut they should have.

        The words' colour takes the place of the photo's, and their kind that of its kind, which counts where they name
        none; ``detail_from``, a colour or a photo, goes before the words' colour. A hit's score is that of ``fusion``,
        in (0, 1]; its parts are cosines as always. Where the encoder has a text tower, ``deep`` of a product is
        compared with the text's vector, or with the mean of the text's and the photo's. Raises BadRequest, BadPhoto,
        BadFilter and NotFound.
        """
        color = detail_from if isinstance(detail_from, str) and is_color(detail_from) else None
        words = understood(text, color=color)
        base: QueryVector | None = None
        if photo is not None:
            base = self.searcher.vector_of(photo, box=box, kind=kind)
        elif like is not None:
            base = self.searcher.stored_vector(like)
        wished = detail_from if detail_from is not None else words.color_of_query(alone=base is None)
        second = None if wished is None else self.searcher.detail_vector(wished, detail_box)
        hits = self.nearest(
            words,
            self.vector(words, base, second),
            k,
            offset=offset,
            where=where,
            detail=detail,
            alone=base is None,
            by_picture=detail_from is not None,
            without=[] if like is None else [like],
        )
        return WordHits(hits, words)

    def vector(self, words: Words, base: QueryVector | None, second: QueryVector | None) -> QueryVector:
        """The query's vector: that of a photo or product, or without one that of a colour, with what the words say.

        ``second`` is the vector of the colour or photo whose colour and pattern are wanted; it may be None beside a
        photo alone.
        """
        encoder = self.searcher.encoder
        if base is None:
            assert second is not None
            vector = second
        else:
            vector = base if second is None else encoder.with_detail(base, second)
        if self.tower is not None:
            vector = self._with_text(vector, words.text, alone=base is None)
        return vector if words.kind is None else encoder.with_kind(vector, Clues(known={words.kind: 1.0}))

    def nearest(  # noqa: PLR0913  as search
        self,
        words: Words,
        vector: QueryVector,
        k: int,
        *,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        alone: bool,
        by_picture: bool = False,
        without: Sequence[str] = (),
    ) -> list[Hit]:
        """The k best products after the first ``offset``, for words and a vector of ``vector``.

        ``alone`` says that there is no photo or product beside the words, whose shape would count. ``by_picture`` says
        that the vector has a colour and pattern that count even where the words name no colour. Raises BadRequest and
        BadFilter.
        """
        if k < 1 or offset < 0:
            raise BadRequest(f"k={k} and offset={offset} give no products", hint="k is at least 1, offset at least 0")
        if alone and detail is not None:
            raise BadRequest("detail weighs the colour and pattern of a photo; words alone have none", hint="omit it")
        if alone and not by_picture and self.tower is None and words.is_unwanted_alone:
            raise BadRequest(
                "words for what is not wanted are left out, and nothing else is said", hint="say what is wanted, too"
            )
        weight = self._detail(words) if alone else detail
        if words.kind is None and not alone:
            words = replace(words, kind=self._kind_of(vector))
        found: list[Hit] = []
        seen, pool = set(without), POOL
        while len(found) < offset + k:
            titles, named = self._titled(words.text, pool, where, vector, seen)
            hits = self.searcher.nearest(vector, pool, where=where, detail=weight, without=without, centred=False)
            new = {hit.product_id: hit for hit in (*named, *hits) if hit.product_id not in seen}
            fused = self._fused(list(new.values()), words, titles, alone=alone, detail=detail, by_picture=by_picture)
            most = found[-1].score if found else 1.0
            agreeing = [replace(hit, score=min(hit.score, most)) for hit in fused if hit.score > 0]
            found += agreeing
            seen.update(hit.product_id for hit in agreeing)
            if not agreeing or len(hits) < pool:  # no more of them agree, or these are all products
                break
            pool *= MORE
        return self.searcher.with_other_kinds(found, vector)[offset : offset + k]

    @cached_property
    def tower(self) -> TextTower | None:
        """The text tower of the encoder, if it has one."""
        return text_tower.of(self.searcher.encoder)

    def titles(self) -> TitleIndex:
        """The titles of the catalog: those of the last commit, or in a large catalog with many commits earlier ones."""
        with self._reading:
            seq, begin_s = self.searcher.catalog.seq, time.thread_time()
            is_due = self._took_s < AT_ONCE_S or time.monotonic() - self._read_at_s > self._took_s / SHARE
            if self._titles is None or (seq != self._seq and is_due):
                self._titles = TitleIndex(self.searcher.catalog.products())
                self._seq, self._read_at_s = seq, time.monotonic()
                self._took_s = time.thread_time() - begin_s
            return self._titles

    def _kind_of(self, vector: QueryVector) -> str | None:
        """The kind of a query by its photo, box or product, where it is known."""
        if not self.searcher.knows_kind(vector):
            return None
        return NAMES[int(vector[0, self.searcher.encoder.columns[KIND]][:-1].argmax())]

    def _detail(self, words: Words) -> float:
        """The weight by which candidates for words alone are found: the text tower compares with ``deep``, and a colour
        with ``detail``."""
        if self.tower is None:
            return 1.0
        return 0.5 if words.colors else 0.0

    def _with_text(self, vector: QueryVector, text: str, *, alone: bool) -> QueryVector:
        """``deep`` of the text, or half of the text and half of the photo, as for two photos."""
        assert self.tower is not None
        columns = self.searcher.encoder.columns["deep"]
        mixed, deep = vector.copy(), self.tower.vector(text)
        if not alone:
            deep = deep + vector[0, columns]
            deep /= max(float(np.linalg.norm(deep)), 1e-12)
        mixed[0, columns] = deep
        return mixed

    def _titled(
        self, text: str, most: int, where: str | None, vector: QueryVector, seen: Collection[str]
    ) -> tuple[dict[str, float], list[Hit]]:
        """How well titles fit, and the products of the ``most`` best that the filter allows, without those ``seen``."""
        depth, hits, looked_at = most, list[Hit](), set(seen)
        while True:
            titles = self.titles().search(text, depth)
            hits += self._entries([each for each in titles if each not in looked_at], where, vector)
            if not where or len(hits) >= most or len(titles) < depth:
                return titles, hits[:most]
            looked_at |= titles.keys()
            depth *= MORE

    def _entries(self, product_ids: Sequence[str], where: str | None, vector: QueryVector) -> list[Hit]:
        """Products of the titles' list as hits, by their first crop; those alone that the filter allows, and that are
        still there."""
        catalog = self.searcher.catalog
        stored = catalog.entries(product_ids) if product_ids else {}
        found = [stored[each] for each in product_ids if each in stored]
        if where:
            kinds = {name.removeprefix(filters.PREFIX): kinds for name, kinds in catalog.columns().items()}
            wanted = filters.checked(filters.parse(where), kinds, text=where)
            found = [each for each in found if filters.matches(wanted, each.product)]
        if not found:
            return []
        cosines = self.searcher.encoder.by_part(np.stack([each.vectors[0] for each in found]) * vector)
        return [_hit(each.product, each.crops[0].crop_id, cosines, row) for row, each in enumerate(found)]

    def _fused(
        self, hits: Sequence[Hit], words: Words, titles: dict[str, float], *, alone: bool, detail: float | None,
        by_picture: bool,
    ) -> list[Hit]:  # fmt: skip
        """Hits by their score, ties by their id; ``detail`` is the share of colour and pattern in a photo's."""
        colors = _spread([hit.parts.get("detail", 0.0) for hit in hits])
        shapes = _spread([hit.parts.get("deep", 0.0) for hit in hits])
        share = detail or 0.0
        scored = []
        for hit, color, shape in zip(hits, colors, shapes, strict=True):
            agrees = agreement(
                hit.product, words, kind=hit.parts.get("kind"), color=color if words.colors or by_picture else None,
                title=titles.get(hit.product_id, 0.0), photo=None if alone else (1 - share) * shape + share * color,
                tower=shape if self.tower is not None and alone else None,
            )  # fmt: skip
            scored.append((replace(hit, score=score(agrees), probability=None, other_kind=False), color))
        return [hit for hit, _ in sorted(scored, key=lambda pair: (-pair[0].score, -pair[1], pair[0].product_id))]


def _hit(product: Product, crop_id: str, cosines: dict[str, Float32[np.ndarray, "n"]], row: int) -> Hit:
    parts = {name: float(values[row]) for name, values in cosines.items()}
    return Hit(product.product_id, 0.0, crop_id, product, parts)


def _spread(values: Sequence[float]) -> list[float]:
    """Values from 0, the lowest, to 1, the highest; all 1 where they are the same."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [(value - low) / (high - low) if high > low else 1.0 for value in values]
