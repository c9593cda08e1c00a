"""Encoders: one file that turns crops into vectors in parts, run by ONNX Runtime without torch.

``onnx`` is the encoder, whose file ``osoroi.inference`` runs (it holds an ``Embedder``, which tests and experiments
may bring themselves); ``metadata`` says what the file holds and proves it; ``loader`` reads and encodes crops.
``default.onnx`` is the encoder that ships.

Importing this package imports neither: what is handed an encoder, as a search is, needs the names of the parts alone.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from osoroi.encoder.onnx import BATCH, DEFAULT, Encoder
    from osoroi.inference import Embedder, open_session

__all__ = ["BATCH", "DEFAULT", "DETAIL", "KIND", "Embedder", "Encoder", "open_session"]

DETAIL: Final = "detail"
"""The part whose weight a query may set."""

KIND: Final = "kind"
"""The part that says what sort of garment it is: a file that has it names the version of ``garments.part``."""

_MODULES: Final = {
    "BATCH": "osoroi.encoder.onnx",
    "DEFAULT": "osoroi.encoder.onnx",
    "Embedder": "osoroi.inference",
    "Encoder": "osoroi.encoder.onnx",
    "open_session": "osoroi.inference",
}
"""Name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'osoroi.encoder' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
