"""Where products live, one kind per file, one protocol.

``local`` is a folder with one SQLite file that holds the truth, and indexes derived from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from osoroi.records import Crop, Hit, Product, Value


class Entry(NamedTuple):
    """A product as it is put: its shop crops, and one vector for each, in the same order."""

    product: Product
    crops: Sequence[Crop]
    vectors: Float32[np.ndarray, "n d"]


class StoredProduct(NamedTuple):
    """A product as a catalog holds it; its crops carry the ``sha256`` of their photos."""

    product: Product
    crops: list[Crop]


@runtime_checkable
class Catalog(Protocol):
    """Products, crops and vectors of one encoder. Whatever a method has returned from is kept."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder whose vectors are searched."""
        ...

    def __len__(self) -> int:
        """Products held."""
        ...

    def put(self, entries: Iterable[Entry], *, fingerprint: str) -> int:
        """Put products with exactly these crops, replacing what stood under their ids; one commit.

        Returns the ``seq`` of the commit. Raises OtherEncoder where the fingerprint is not the catalog's.
        """
        ...

    def patch(self, product_id: str, changes: Mapping[str, Value]) -> int:
        """Change metadata alone (``price``, ``title``, ``attributes.sale``, …); nothing is embedded again."""
        ...

    def remove(self, product_ids: Iterable[str]) -> list[str]:
        """Remove products; returns the ids that were held."""
        ...

    def drop(self, product_id: str, crop_ids: Iterable[str]) -> int:
        """Remove these crops of a product, unless no other would be left; returns how many were held and went."""
        ...

    def get(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        ...

    def get_many(self, product_ids: Iterable[str]) -> dict[str, StoredProduct]:
        """Those of these products that are held, by id: what ``add`` needs to see what changed, in one look."""
        ...

    def products(self, *, where: str | None = None) -> Iterator[Product]:
        """Every product that matches, in the order of ids."""
        ...

    def crops(self, product_id: str) -> list[Crop]:
        """The shop crops of a product, in the order they were put."""
        ...

    def vectors(self, crop_ids: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The stored vectors of these crops, in this order; raises NotFound."""
        ...

    def nearest(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        *,
        where: str | None = None,
        without: Sequence[str] = (),
    ) -> list[Hit]:
        """The k best distinct products for a weighed query, or all that match where they are fewer.

        ``without`` names products to leave out. Hits have no ``parts`` yet: only the searcher knows the query's.
        """
        ...
