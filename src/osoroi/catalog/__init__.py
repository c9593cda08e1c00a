"""Where products are stored and searched: one protocol, ``Catalog``, and one module for each kind of storage.

``local`` is a folder: one SQLite file with all products and vectors, photos beside it, and an index derived from it.
"""

from osoroi.catalog.protocol import Catalog, Choice, EncoderFacts, Entry, Facet, Neighbor, StoredProduct

__all__ = ["Catalog", "Choice", "EncoderFacts", "Entry", "Facet", "Neighbor", "StoredProduct"]
