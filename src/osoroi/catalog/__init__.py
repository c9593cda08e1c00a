"""Where products are stored and searched: one protocol, ``Storage``, and one module for each kind of storage.

``local`` is a folder: one SQLite file with all products and vectors, photos beside it, and an index derived from it.
"""

from osoroi.catalog.protocol import (
    Choice,
    CommittedSince,
    EncoderFacts,
    Entry,
    Facet,
    Neighbor,
    Storage,
    StoredProduct,
    interrupted_by,
)

__all__ = [
    "Choice",
    "CommittedSince",
    "EncoderFacts",
    "Entry",
    "Facet",
    "Neighbor",
    "Storage",
    "StoredProduct",
    "interrupted_by",
]
