"""Find the products of a shop in a photo of someone who wears them.

>>> import osoroi
>>> with osoroi.open("shop") as shop:  # doctest: +SKIP
...     hits = shop.search("snap.jpg", box=(40, 12, 300, 420), k=5)

Importing this package imports nothing else; each name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osoroi.client import Client
    from osoroi.encoder import Encoder
    from osoroi.errors import OsoroiError
    from osoroi.evaluation.compare import compare
    from osoroi.evaluation.evaluate import evaluate
    from osoroi.garments.find import find
    from osoroi.records import Box, Hit, Product
    from osoroi.shop import Catalog, create, open
    from osoroi.training.train import train

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Catalog",
    "Client",
    "Encoder",
    "Hit",
    "OsoroiError",
    "Product",
    "compare",
    "create",
    "evaluate",
    "find",
    "open",
    "train",
]

_MODULES = {
    "Box": "osoroi.records",
    "Catalog": "osoroi.shop",
    "Client": "osoroi.client",
    "Encoder": "osoroi.encoder",
    "Hit": "osoroi.records",
    "OsoroiError": "osoroi.errors",
    "Product": "osoroi.records",
    "compare": "osoroi.evaluation.compare",
    "create": "osoroi.shop",
    "evaluate": "osoroi.evaluation.evaluate",
    "find": "osoroi.garments.find",
    "open": "osoroi.shop",
    "train": "osoroi.training.train",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'osoroi' has no attribute {name!r}")
    if name == "train":
        from osoroi.errors import extra

        extra("torch", "train")  # says how to install it
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
