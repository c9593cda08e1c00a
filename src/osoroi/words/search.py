"""Products for words, alone or with a photo, by the encoder and catalog of a searcher."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.encoder import text_tower
from osoroi.encoder.text_tower import TextTower
from osoroi.errors import BadRequest
from osoroi.image.swatch import swatch
from osoroi.records import Box, BoxLike, Clues, Hit, PhotoLike
from osoroi.search import K, Searcher
from osoroi.words.fusion import agreement, score
from osoroi.words.reading import Words, read
from osoroi.words.titles import TitleIndex

POOL: Final = 200
"""Candidates of each list, by picture and by title, that are scored together."""

LONGEST: Final = 500
"""Most characters of a text."""


class WordHits(NamedTuple):
    """Hits, best first, and what was understood of the words."""

    hits: list[Hit]
    understood: Words


class WordSearch:
    """Searches by words. The titles of the catalog are read once, and again after a commit."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._index: tuple[int, TitleIndex] | None = None

    def search(
        self,
        text: str,
        photo: PhotoLike | None = None,
        *,
        box: BoxLike | None = None,
        k: int = K,
        where: str | None = None,
        detail: float | None = None,
    ) -> WordHits:
        """The k best distinct products for words, or for words and a photo whose cut they should have.

        The words' colour takes the place of the photo's, their kind that of its kind. A hit's score is that of
        ``fusion``, in (0, 1]; its parts are cosines as always. Where the encoder has a text tower, ``deep`` of a
        product is compared with the text's vector, or with the mean of the text's and the photo's. Raises BadRequest,
        BadPhoto and BadFilter.
        """
        if not text.strip() or len(text) > LONGEST or k < 1:
            raise BadRequest(f"a text of {len(text)} characters and k={k}", hint=f"write up to {LONGEST} characters")
        words = read(text)
        vector = self._vector(words, photo, box)
        pool = max(POOL, 4 * k)
        weight = detail if photo is not None else self._detail(words)
        titles = self._titles().search(text, pool)
        hits = self.searcher.nearest(vector, pool, where=where, detail=weight)
        named = {hit.product_id for hit in hits}
        more = self._entries([each for each in titles if each not in named], where, vector)
        fused = self._fused([*hits, *more], words, titles, with_photo=photo is not None)
        return WordHits([hit for hit in fused if hit.score > 0][:k], words)

    @cached_property
    def tower(self) -> TextTower | None:
        """The text tower of the encoder, if it has one."""
        return text_tower.of(self.searcher.encoder)

    def _detail(self, words: Words) -> float:
        """Where the candidates of words alone come from: the text tower compares with ``deep``, a colour with
        ``detail``."""
        if self.tower is None:
            return 1.0
        return 0.5 if words.colors else 0.0

    def _vector(self, words: Words, photo: PhotoLike | None, box: BoxLike | None) -> Float32[np.ndarray, "1 d"]:
        encoder = self.searcher.encoder
        color = swatch(words.colors[0]) if words.colors else None
        if photo is None:
            plain = image.crop(swatch("grey") if color is None else color, None, encoder.preprocessing["shop"])
            vector = encoder.encode([plain])
        else:
            query = encoder.input_of(photo, None if box is None else Box.of(box), "street")
            vector = encoder.encode_inputs([query])
            if color is not None:
                second = encoder.encode([image.crop(color, None, encoder.preprocessing["shop"])])
                vector = encoder.with_detail(vector, second)
        if self.tower is not None:
            vector = self._with_text(vector, words.text, alone=photo is None)
        return vector if words.kind is None else encoder.with_kind(vector, Clues(known={words.kind: 1.0}))

    def _with_text(self, vector: Float32[np.ndarray, "1 d"], text: str, *, alone: bool) -> Float32[np.ndarray, "1 d"]:
        """``deep`` of the text, or half of the text and half of the photo, as for two photos."""
        assert self.tower is not None
        columns = self.searcher.encoder.columns["deep"]
        mixed, deep = vector.copy(), self.tower.vector(text)
        if not alone:
            deep = deep + vector[0, columns]
            deep /= max(float(np.linalg.norm(deep)), 1e-12)
        mixed[0, columns] = deep
        return mixed

    def _titles(self) -> TitleIndex:
        seq = self.searcher.catalog.seq
        if self._index is None or self._index[0] != seq:
            self._index = (seq, TitleIndex(self.searcher.catalog.products()))
        return self._index[1]

    def _entries(self, product_ids: Sequence[str], where: str | None, vector: Float32[np.ndarray, "1 d"]) -> list[Hit]:
        """Products of the titles' list as hits, by their first crop; those alone that the filter allows."""
        catalog = self.searcher.catalog
        if where is not None and product_ids:
            allowed = {product.product_id for product in catalog.products(where=where)}
            product_ids = [each for each in product_ids if each in allowed]
        if not product_ids:
            return []
        crops = [catalog.crops(each)[0].crop_id for each in product_ids]
        cosines = self.searcher.encoder.by_part(catalog.vectors(crops) * vector)
        return [
            Hit(product_id, 0.0, crop, catalog.get(product_id), {name: float(c[row]) for name, c in cosines.items()})
            for row, (product_id, crop) in enumerate(zip(product_ids, crops, strict=True))
        ]

    def _fused(self, hits: Sequence[Hit], words: Words, titles: dict[str, float], *, with_photo: bool) -> list[Hit]:
        """Hits by their score, ties by their id."""
        colors = _spread([hit.parts.get("detail", 0.0) for hit in hits])
        shapes = _spread([hit.parts.get("deep", 0.0) for hit in hits])
        scored = []
        for hit, color, shape in zip(hits, colors, shapes, strict=True):
            agrees = agreement(
                hit.product, words, kind=hit.parts.get("kind"), color=color,
                title=titles.get(hit.product_id, 0.0), photo=shape if with_photo else None,
                tower=shape if self.tower is not None and not with_photo else None,
            )  # fmt: skip
            scored.append((replace(hit, score=score(agrees), probability=None), color))
        return [hit for hit, _ in sorted(scored, key=lambda pair: (-pair[0].score, -pair[1], pair[0].product_id))]


def _spread(values: Sequence[float]) -> list[float]:
    """Values from 0, the lowest, to 1, the highest; all 1 where they are the same."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [(value - low) / (high - low) if high > low else 1.0 for value in values]
