"""The trial of an encoder file when it is opened: two crops, whose vectors have to be what the metadata says."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8

from osoroi.encoder.faster import GRAPHS, faster
from osoroi.encoder.metadata import EncoderMetadata, columns_of, computation, demand_kinds, read_metadata, verify
from osoroi.encoder.taught import taught
from osoroi.errors import BadEncoder
from osoroi.inference import REMEDY, Embedder, OnnxEmbedder, open_session

log = logging.getLogger(__name__)

UNIT: Final = 1e-3
"""How far the length of a part may be from 1."""

APART: Final = 1e-3
"""How far a number of the trial crops' vectors by a faster graph may lie from the file's own. Rounding makes 1e-6 of it
on a CPU, more on a GPU."""


class Tried(NamedTuple):
    """An encoder file that was tried: its metadata, a session, and the model that the session runs."""

    metadata: EncoderMetadata
    session: ort.InferenceSession
    model: bytes


def tried(
    model: bytes, threads: int, providers: Sequence[str] | None, limit_s: float, *, graphs: Path = GRAPHS
) -> Tried:
    """Try a file as it stands, before it is optimized, then open it to serve: by a faster graph where there is one in
    the folder ``graphs`` that gives the same vectors. A graph that is damaged or differs is left out with a warning.
    Raises BadEncoder for the file itself."""
    decisive = computation(model)
    trial = open_session(taught(model), threads, providers, limit_s=limit_s, optimized=False)
    metadata = read_metadata(trial)
    verify(trial, metadata, decisive)
    vectors = try_out(OnnxEmbedder(trial, limit_s=limit_s), metadata)
    demand_kinds(metadata)
    del trial
    try:
        other = faster(model, metadata.fingerprint, graphs)
        if other is not None:
            session = open_session(taught(other), threads, providers, limit_s=limit_s)
            ours = OnnxEmbedder(session, limit_s=limit_s).vectors(trial_crops(metadata))
            apart = float(np.abs(ours - vectors).max()) if ours.shape == vectors.shape else np.inf
            if apart <= APART:
                return Tried(metadata, session, other)
            log.warning("the faster graph of this encoder differs by %.2g here, so the file's own is run", apart)
    except (BadEncoder, OSError) as error:  # damaged, unreadable, or of another version of ONNX Runtime
        log.warning("the faster graph of this encoder does not run here, so the file's own is run: %s", error)
    return Tried(metadata, open_session(taught(model), threads, providers, limit_s=limit_s), model)


def trial_crops(metadata: EncoderMetadata) -> UInt8[np.ndarray, "2 _ _ 3"]:
    """Two crops, noise and a ramp."""
    street = metadata.preprocessing["street"]
    noise = np.random.default_rng(0).integers(0, 256, street.shape, dtype=np.uint8)
    ramp = np.linspace(0, 255, noise.size).reshape(noise.shape).astype(np.uint8)
    return np.stack([noise, ramp])


def try_out(embedder: Embedder, metadata: EncoderMetadata) -> Float32[np.ndarray, "2 _"]:
    """The vectors of the trial crops: two rows of finite numbers whose parts are of unit length, else BadEncoder."""
    vectors = embedder.vectors(trial_crops(metadata))
    size = sum(part.size for part in metadata.graph_parts)
    if vectors.shape[1] != size:
        raise BadEncoder(f"an ONNX file, but no encoder: vectors of {vectors.shape[1]}, not {size}", hint=REMEDY)
    lengths = np.array([np.linalg.norm(vectors[:, part], axis=1) for part in columns_of(metadata.graph_parts).values()])
    if not (np.abs(lengths - 1) <= UNIT).all():
        raise BadEncoder(
            f"an ONNX file, but no encoder: its parts have the lengths {np.round(lengths, 3).tolist()}, not 1",
            hint=REMEDY,
        )
    return vectors
