"""An encoder: crops to vectors in parts, and the weights of the parts for a query. Runs with ONNX Runtime, no torch."""

import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8

from osoroi import image
from osoroi.encoder.metadata import ENTRY, REMEDY, Metadata, computation, fingerprint
from osoroi.encoder.session import Embedder, OnnxEmbedder, faults, open_session, read_model
from osoroi.errors import BadEncoder, BadRequest
from osoroi.records import Box, BoxLike, Domain, Part, PhotoLike, Preprocessing

DEFAULT: Final = Path(__file__).parent / "default.onnx"
"""The encoder that ships."""

BATCH: Final = 16
"""Crops that run at once. More is no faster on a CPU, and takes memory."""

DIAL: Final = "detail"
"""The part whose weight a query may set."""

TRIAL_S: Final = 60.0
"""Seconds that a file may take for two crops when it is opened."""

UNIT: Final = 1e-3
"""How far the length of a part may be from 1."""


class Encoder:
    """What turns crops into vectors in parts, and weights the parts of a query. Threads may share it.

    An ``Embedder`` computes the vectors; the metadata says what they are.

    >>> encoder = Encoder.open()
    >>> [part.name for part in encoder.parts], encoder.dim
    (['deep', 'detail'], 256)
    >>> preprocessing = encoder.preprocessing["street"]
    >>> crop = np.zeros((preprocessing.height, preprocessing.width, 3), np.uint8)
    >>> encoder.encode([crop]).shape
    (1, 256)
    """

    def __init__(self, embedder: Embedder, metadata: Metadata) -> None:
        self.embedder = embedder
        self.metadata = metadata
        self.columns = columns_of(metadata.parts)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        providers: Sequence[str] | None = None,
        limit_s: float = TRIAL_S,
    ) -> "Encoder":
        """The encoder in a file, by default the one that ships.

        ``providers`` are execution providers of ONNX Runtime, the preferred one first. By default a CUDA device is
        used where this installation of ONNX Runtime has one, and the CPU otherwise. ``threads`` is for the CPU.

        Raises BadEncoder for a file that is no encoder, that was altered after it was written, or whose vectors are
        not what its metadata says: two crops are encoded once, within ``limit_s`` seconds.
        """
        path = DEFAULT if path is None else Path(path)
        model = read_model(path)
        try:
            decisive = computation(model)
            session = open_session(model, threads, providers)
            metadata = _metadata(session)
            _verify(session, metadata, decisive)
            _try_out(OnnxEmbedder(session, limit_s=limit_s), metadata)
        except BadEncoder as error:
            raise BadEncoder(f"{path}: {error.what}", hint=error.hint) from error
        return cls(OnnxEmbedder(session), metadata)

    @property
    def fingerprint(self) -> str:
        """What a catalog remembers of its vectors: the same graph, parts and preprocessing, the same fingerprint."""
        return self.metadata.fingerprint

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order of their columns."""
        return self.metadata.parts

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return sum(part.size for part in self.metadata.parts)

    @property
    def preprocessing(self) -> Mapping[Domain, Preprocessing]:
        """How to crop the photos of each domain."""
        return self.metadata.preprocessing

    @property
    def recipe(self) -> str:
        """How the encoder was made."""
        return self.metadata.recipe

    @property
    def training(self) -> str:
        """What it was made from."""
        return self.metadata.training

    @property
    def licence(self) -> str:
        """What its weights and its training photos allow."""
        return self.metadata.licence

    def encode(self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b d"]:
        """One vector a crop, each part of unit length, unweighed; no crops give no rows.

        A crop's vector does not depend on the crops beside it (to 1e-5). Raises BadEncoder for crops of another
        size or type than the encoder takes, and for vectors that hold no numbers.
        """
        rows = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(crops), BATCH):
            batch = np.stack([self._fitting(crop) for crop in crops[start : start + BATCH]])
            rows.append(self.embedder.vectors(batch))
        vectors = np.concatenate(rows)
        if not np.isfinite(vectors).all():
            raise BadEncoder("the encoder gave a vector that is no number (NaN)", hint="use another encoder")
        return vectors

    def encode_query(
        self,
        photos: Sequence[PhotoLike],
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        detail: float | None = None,
        threads: int = 1,
    ) -> Float32[np.ndarray, "b d"]:
        """One weighted vector for each street photo: its inner product with a product's vector is the score.

        ``boxes`` has one box, or None, for each photo. ``detail`` is as in ``weigh``. Photos are read on ``threads``
        threads. Raises BadPhoto for the first photo that cannot be read.

        >>> photo = np.full((90, 60, 3), 200, np.uint8)
        >>> encoder = Encoder.open()
        >>> query, product = encoder.encode_query([photo], boxes=[(10, 0, 50, 90)]), encoder.encode_product([photo])
        >>> bool(-1 <= (query @ product.T).item() <= 1)
        True
        """
        return self.weigh(self.encode_photos(photos, "street", boxes=boxes, threads=threads), detail)

    def encode_product(
        self, photos: Sequence[PhotoLike], *, boxes: Sequence[BoxLike | None] | None = None, threads: int = 1
    ) -> Float32[np.ndarray, "b d"]:
        """One vector for each shop photo, each part of unit length. Arguments and errors are as in ``encode_query``."""
        return self.encode_photos(photos, "shop", boxes=boxes, threads=threads)

    def encode_photos(
        self,
        photos: Sequence[PhotoLike],
        domain: Domain,
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        threads: int = 1,
    ) -> Float32[np.ndarray, "b d"]:
        """One vector for each photo of a domain, each part of unit length. Arguments are as in ``encode_query``."""
        if not isinstance(photos, list | tuple):
            raise BadRequest(f"photos is {type(photos).__name__}, not a list", hint="put a single photo into a list")
        if boxes is not None and len(boxes) != len(photos):
            raise BadRequest(f"{len(boxes)} boxes do not fit {len(photos)} photos", hint="give a box or None for each")
        places = [None if box is None else Box.of(box) for box in boxes or [None] * len(photos)]

        from osoroi.encoder import loader

        def pixels(item: tuple[PhotoLike, Box | None]) -> UInt8[np.ndarray, "_ _ 3"]:
            return image.crop(*item, self.preprocessing[domain])

        rows = [np.empty((0, self.dim), np.float32)]
        for batch in loader.encode(zip(photos, places, strict=True), self.encode, pixels, threads=threads):
            for error in batch.errors.values():
                raise error
            rows.append(batch.vectors)
        return np.concatenate(rows)

    def weigh(self, vectors: Float32[np.ndarray, "b d"], detail: float | None = None) -> Float32[np.ndarray, "b d"]:
        r"""Queries: each part scaled by its weight, so that one inner product with a stored vector is the score.

        .. math:: \text{score} = \sum_p w_p \langle q_p, x_p \rangle, \quad \sum_p w_p = 1

        ``detail`` in [0, 1] replaces the weight of the part of that name; the others share the rest as they did
        before. Raises BadRequest outside that range, and where there is nothing to turn.
        """
        weights = {part.name: part.weight for part in self.parts}
        if detail is not None:
            weights = self._dialled(weights, detail)
        scales = np.concatenate([np.full(part.size, weights[part.name], np.float32) for part in self.parts])
        return vectors * scales

    def with_detail(
        self, vectors: Float32[np.ndarray, "b d"], others: Float32[np.ndarray, "b d"]
    ) -> Float32[np.ndarray, "b d"]:
        """The first vectors with the part for colour and pattern of the second. Raises BadRequest without that part."""
        if DIAL not in self.columns:
            raise BadRequest(
                f"this encoder has no part {DIAL!r}, only {', '.join(self.columns)}", hint="search without detail_from"
            )
        mixed = vectors.copy()
        mixed[:, self.columns[DIAL]] = others[:, self.columns[DIAL]]
        return mixed

    def weighed(self, weights: Mapping[str, float]) -> "Encoder":
        """The same encoder with other weights; a part that is not named gets 0. They are scaled to a sum of 1.

        >>> [part.weight for part in Encoder.open().weighed({"deep": 2.0}).parts]
        [1.0, 0.0]
        """
        names = [part.name for part in self.parts]
        strange = [name for name in weights if name not in names]
        total = sum(weights.values())
        if strange or total <= 0 or min(weights.values()) < 0:
            raise BadRequest(f"weights {dict(weights)} do not fit the parts {names}", hint="give weights of at least 0")
        parts = tuple(replace(part, weight=weights.get(part.name, 0.0) / total) for part in self.parts)
        other = copy(self)
        other.metadata = replace(self.metadata, parts=parts)
        return other

    def by_part(self, products: Float32[np.ndarray, "n d"]) -> dict[str, Float32[np.ndarray, "n"]]:
        """Sums over the columns of each part: cosines, where the rows are vectors times stored vectors."""
        return {name: products[:, columns].sum(1) for name, columns in self.columns.items()}

    def foreground(self, crop: UInt8[np.ndarray, "_ _ 3"]) -> Float32[np.ndarray, "y x"]:
        """Where the encoder locates the garment, in [0, 1]; raises BadRequest where it pools over the whole crop."""
        masks = self.embedder.foreground(self._fitting(crop)[None])
        if masks is None:
            raise BadRequest("this encoder pools over the whole crop, so it has no map of the garment")
        return masks[0]

    def _fitting(self, crop: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
        preprocessing = self.preprocessing["street"]
        shape = (preprocessing.height, preprocessing.width, 3)
        if crop.dtype != np.uint8 or crop.shape != shape:
            raise BadEncoder(
                f"the encoder takes crops of uint8 {shape}, not of {crop.dtype} {crop.shape}",
                hint="cut them with image.crop and the encoder's preprocessing",
            )
        return crop

    def _dialled(self, weights: Mapping[str, float], detail: float) -> dict[str, float]:
        if not 0 <= detail <= 1:
            raise BadRequest(f"detail={detail} is outside [0, 1]", hint="0 is cut alone, 1 colour and pattern alone")
        others = {name: weight for name, weight in weights.items() if name != DIAL}
        if DIAL not in weights or not others:
            raise BadRequest(
                f"this encoder has the parts {sorted(weights)}, so there is no weight of {DIAL!r} to set",
                hint="leave the dial alone, or use an encoder with the parts deep and detail",
            )
        total = sum(others.values())
        shares = {name: weight / total if total else 1 / len(others) for name, weight in others.items()}
        return {name: share * (1 - detail) for name, share in shares.items()} | {DIAL: detail}


def columns_of(parts: Sequence[Part]) -> dict[str, slice]:
    """The columns of each part in a vector.

    >>> columns_of([Part("deep", 8, 0.5), Part("detail", 4, 0.5)])
    {'deep': slice(0, 8, None), 'detail': slice(8, 12, None)}
    """
    ends = list(accumulate(part.size for part in parts))
    return {part.name: slice(end - part.size, end) for part, end in zip(parts, ends, strict=True)}


def _metadata(session: ort.InferenceSession) -> Metadata:
    with faults("cannot read the metadata of this file"):
        text = session.get_modelmeta().custom_metadata_map.get(ENTRY)
    if text is None:
        raise BadEncoder(f"an ONNX file, but no encoder: its metadata have no entry {ENTRY!r}", hint=REMEDY)
    return Metadata.from_json(text)


def _try_out(embedder: Embedder, metadata: Metadata) -> None:
    """Two crops, noise and a ramp, give two rows of finite numbers whose parts are of unit length."""
    street = metadata.preprocessing["street"]
    noise = np.random.default_rng(0).integers(0, 256, (street.height, street.width, 3), dtype=np.uint8)
    ramp = np.linspace(0, 255, noise.size).reshape(noise.shape).astype(np.uint8)
    vectors = embedder.vectors(np.stack([noise, ramp]))
    size = sum(part.size for part in metadata.parts)
    if vectors.shape[1] != size:
        raise BadEncoder(f"an ONNX file, but no encoder: vectors of {vectors.shape[1]}, not {size}", hint=REMEDY)
    lengths = np.array([np.linalg.norm(vectors[:, part], axis=1) for part in columns_of(metadata.parts).values()])
    if not (np.abs(lengths - 1) <= UNIT).all():
        raise BadEncoder(
            f"an ONNX file, but no encoder: its parts have the lengths {np.round(lengths, 3).tolist()}, not 1",
            hint=REMEDY,
        )


def _verify(session: ort.InferenceSession, metadata: Metadata, decisive: bytes) -> None:
    """The metadata is of this computation, and the graph takes and gives what an encoder does."""
    computed = fingerprint(decisive, metadata.parts, metadata.preprocessing)
    if computed != metadata.fingerprint:
        stated = metadata.fingerprint[:12]
        raise BadEncoder(
            f"altered after it was written: fingerprint {computed[:12]}, and {stated} in its metadata",
            hint="fetch the file again, or export it again",
        )
    takes = {put.name: (put.type, put.shape[1:]) for put in session.get_inputs()}
    gives = {put.name: put.shape[1:] for put in session.get_outputs()}
    size = sum(part.size for part in metadata.parts)
    fits = all(
        takes == {"crops": ("tensor(uint8)", [preprocessing.height, preprocessing.width, 3])}
        for preprocessing in metadata.preprocessing.values()
    )
    if not fits or gives.get("vectors") != [size]:
        raise BadEncoder(f"an ONNX file, but no encoder: it takes {takes} and gives {gives}", hint=REMEDY)
