"""Encoders: one file that turns crops into vectors in parts, run by ONNX Runtime without torch.

``onnx`` is the encoder, whose file ``osoroi.inference`` runs (it holds an ``Embedder``, which tests and experiments
may bring themselves); ``metadata`` says what the file holds and proves it; ``loader`` reads and encodes crops.
``default.onnx`` is the encoder that ships.
"""

from osoroi.encoder.metadata import DETAIL, KIND
from osoroi.encoder.onnx import BATCH, DEFAULT, Encoder
from osoroi.inference import Embedder, open_session

__all__ = ["BATCH", "DEFAULT", "DETAIL", "KIND", "Embedder", "Encoder", "open_session"]
