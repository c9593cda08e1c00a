"""Whether a file is the encoder that its metadata describes: what ``Encoder.open`` demands of it."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np
import onnxruntime as ort

from osoroi.encoder.metadata import ENTRY, Metadata, fingerprint
from osoroi.encoder.session import Embedder
from osoroi.errors import BadEncoder
from osoroi.inference import REMEDY, faults
from osoroi.records import Part

KIND: Final = "kind"
"""The part that says what sort of garment it is: a file that has it names the version of ``garments.part``."""

UNIT: Final = 1e-3
"""How far the length of a part may be from 1."""


def columns_of(parts: Sequence[Part]) -> dict[str, slice]:
    """The columns of each part in a vector.

    >>> columns_of([Part("deep", 8, 0.5), Part("detail", 4, 0.5)])
    {'deep': slice(0, 8, None), 'detail': slice(8, 12, None)}
    """
    ends = list(accumulate(part.size for part in parts))
    return {part.name: slice(end - part.size, end) for part, end in zip(parts, ends, strict=True)}


def read_metadata(session: ort.InferenceSession) -> Metadata:
    """What the file says about itself; raises BadEncoder for an ONNX file that is no encoder."""
    with faults("cannot read the metadata of this file"):
        text = session.get_modelmeta().custom_metadata_map.get(ENTRY)
    if text is None:
        raise BadEncoder(f"an ONNX file, but no encoder: its metadata have no entry {ENTRY!r}", hint=REMEDY)
    return Metadata.from_json(text)


def try_out(embedder: Embedder, metadata: Metadata) -> None:
    """Two crops, noise and a ramp, give two rows of finite numbers whose parts are of unit length."""
    street = metadata.preprocessing["street"]
    noise = np.random.default_rng(0).integers(0, 256, (street.height, street.width, 3), dtype=np.uint8)
    ramp = np.linspace(0, 255, noise.size).reshape(noise.shape).astype(np.uint8)
    vectors = embedder.vectors(np.stack([noise, ramp]))
    size = sum(part.size for part in metadata.graph_parts)
    if vectors.shape[1] != size:
        raise BadEncoder(f"an ONNX file, but no encoder: vectors of {vectors.shape[1]}, not {size}", hint=REMEDY)
    lengths = np.array([np.linalg.norm(vectors[:, part], axis=1) for part in columns_of(metadata.graph_parts).values()])
    if not (np.abs(lengths - 1) <= UNIT).all():
        raise BadEncoder(
            f"an ONNX file, but no encoder: its parts have the lengths {np.round(lengths, 3).tolist()}, not 1",
            hint=REMEDY,
        )


def verify(session: ort.InferenceSession, metadata: Metadata, decisive: bytes) -> None:
    """The metadata is of this computation, and the graph takes and gives what an encoder does."""
    computed = fingerprint(decisive, metadata.parts, metadata.preprocessing, metadata.kinds)
    if computed != metadata.fingerprint:
        stated = metadata.fingerprint[:12]
        raise BadEncoder(
            f"altered after it was written: fingerprint {computed[:12]}, and {stated} in its metadata",
            hint="fetch the file again, or export it again",
        )
    takes = {put.name: (put.type, put.shape[1:]) for put in session.get_inputs()}
    gives = {put.name: put.shape[1:] for put in session.get_outputs()}
    size = sum(part.size for part in metadata.graph_parts)
    fits = all(
        takes == {"crops": ("tensor(uint8)", [preprocessing.height, preprocessing.width, 3])}
        for preprocessing in metadata.preprocessing.values()
    )
    if not fits or gives.get("vectors") != [size]:
        raise BadEncoder(f"an ONNX file, but no encoder: it takes {takes} and gives {gives}", hint=REMEDY)


def demand_kinds(metadata: Metadata) -> None:
    """Raise BadEncoder where the part ``kind`` is not the one that this version computes."""
    if not metadata.kinds:
        return
    from osoroi.garments import part

    last = metadata.parts[-1]
    if (metadata.kinds, last.name, last.size) != (part.VERSION, KIND, part.SIZE):
        raise BadEncoder(
            f"its part {last.name!r} of {last.size} numbers is of version {metadata.kinds[:40]!r} of the kinds, and "
            f"this osoroi has {part.VERSION!r}",
            hint="export the encoder again, or use the osoroi that wrote it",
        )
