"""The line a query takes: pixels, vector, weights, products."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from osoroi import image
from osoroi.catalog import Neighbor, Storage
from osoroi.encoder import Encoder
from osoroi.errors import OtherEncoder
from osoroi.records import Box, Hit, Source


class Searcher:
    """An encoder and a catalog of its vectors. Searching changes neither."""

    def __init__(self, encoder: Encoder, catalog: Storage) -> None:
        if encoder.fingerprint != catalog.fingerprint:
            raise OtherEncoder(
                f"the catalog holds vectors of encoder {catalog.fingerprint[:12]}, "
                f"and the queries would be made by encoder {encoder.fingerprint[:12]}",
                hint="search with the catalog's encoder, or move the catalog: osoroi reencode CATALOG --encoder FILE",
            )
        self.encoder = encoder
        self.catalog = catalog

    def search(
        self,
        photo: Source,
        *,
        box: Box | None = None,
        k: int = 10,
        where: str | None = None,
        detail: float | None = None,
    ) -> list[Hit]:
        """The k best distinct products for a street photo, best first.

        ``detail`` in [0, 1] replaces the encoder's own weight of colour and pattern. Raises BadPhoto, BadFilter and,
        for a ``detail`` the encoder cannot follow, BadRequest.
        """
        crop = image.crop(photo, box, self.encoder.preprocessing["street"])  # uint8 [h w 3]
        vector = self.encoder.encode([crop])  # [1 d], parts of unit length
        return self.nearest(vector, k, where=where, detail=detail)

    def similar(
        self, product_id: str, *, k: int = 10, where: str | None = None, detail: float | None = None
    ) -> list[Hit]:
        """The k products most like one that the catalog holds, itself left out. Its first crop asks."""
        first = self.catalog.crops(product_id)[0].crop_id
        vector = self.catalog.vectors([first])
        return self.nearest(vector, k, where=where, detail=detail, without=[product_id])

    def nearest(
        self,
        vector: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        where: str | None = None,
        detail: float | None = None,
        without: Sequence[str] = (),
    ) -> list[Hit]:
        """The k best products for a vector of the encoder, with the cosine of each part."""
        query = self.encoder.weigh(vector, detail)  # [1 d], its weights or the dial's
        return self.explain(self.catalog.nearest(query, k, where=where, without=without), vector)

    def explain(self, neighbors: Sequence[Neighbor], vector: Float32[np.ndarray, "1 d"]) -> list[Hit]:
        """Neighbors as hits with the cosine of each part, whatever the weights were."""
        if not neighbors:
            return []
        stored = np.stack([neighbor.vector for neighbor in neighbors])
        cosines = self.encoder.by_part(stored * vector)
        return [
            Hit(
                neighbor.product_id,
                neighbor.score,
                neighbor.crop_id,
                neighbor.product,
                {name: float(column[row]) for name, column in cosines.items()},
            )
            for row, neighbor in enumerate(neighbors)
        ]


def answer(hits: Sequence[Hit], *, encoder: str, detail: float | None, took_s: float) -> dict[str, Any]:
    """Hits as plain data, the one form that ``osoroi search --json`` prints and the service sends."""
    return {
        "hits": [{"rank": rank, **vars(hit), "product": vars(hit.product)} for rank, hit in enumerate(hits, start=1)],
        "encoder": encoder,
        "detail": detail,
        "took_s": round(took_s, 6),
    }
