"""Small catalogs for tests: products with vectors written by hand or drawn by a seed, and no encoder at all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from osoroi.catalog import Entry
from osoroi.catalog.address import Place
from osoroi.catalog.opening import create_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.records import Box, Crop, Product

DIM = 4
ENCODER = "f" * 64
OTHER = "0" * 64
DEFAULTS = CatalogSettings()
SMALL = CatalogSettings(snapshot_from=100, scan_from=200)
"""Snapshots and scans of catalogs of a few hundred vectors."""


def entry(
    product_id: str, *vectors: Sequence[float], photo: bytes | Path = b"", box: Box | None = None, **values
) -> Entry:
    """A product with one crop for each vector, called ``a/0``, ``a/1``, …"""
    photos = [photo or f"photo of {product_id}/{place}".encode() for place in range(len(vectors))]
    crops = [Crop(f"{product_id}/{place}", product_id, "shop", one, box) for place, one in enumerate(photos)]
    return Entry(Product(product_id, **values), crops, np.array(vectors or np.empty((0, DIM)), np.float32))


def create(place: Place, *entries: Entry, dim: int = DIM, settings: CatalogSettings = DEFAULTS) -> StoredCatalog:
    """A new catalog with these products."""
    catalog = create_catalog(place, fingerprint=ENCODER, dim=dim, settings=settings)
    put(catalog, *entries)
    return catalog


def put(catalog: StoredCatalog, *entries: Entry) -> int:
    return catalog.put(entries, fingerprint=ENCODER)


def query(*numbers: float) -> np.ndarray:
    return np.array([numbers], np.float32)


def found(catalog: StoredCatalog, where: str | None = None, k: int = 99, **arguments) -> str:
    """Ids of the products nearest to the first axis, best first, as one word."""
    axis = np.eye(1, catalog.encoder.dim, dtype=np.float32)
    return "".join(hit.product_id for hit in catalog.nearest(axis, k, where=where, **arguments))
