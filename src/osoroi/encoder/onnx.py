"""An encoder: crops to vectors in parts, and the weights of the parts for a query. Runs with ONNX Runtime, no torch."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import image
from osoroi.encoder import DETAIL, KIND
from osoroi.encoder.metadata import EncoderMetadata, columns_of, scales_of
from osoroi.errors import BadEncoder, BadRequest
from osoroi.image import LIMITS, Limits
from osoroi.image.cropping import is_readable
from osoroi.inference import Embedder, OnnxEmbedder, read_model
from osoroi.records import Box, BoxLike, Clues, Domain, Input, Kinds, Part, PhotoLike, Preprocessing, Product

if TYPE_CHECKING:
    from osoroi.encoder.choice import Way
    from osoroi.encoder.with_kinds import Runs
    from osoroi.garments.part import Prediction

DEFAULT: Final = Path(__file__).parent / "default.onnx"
"""The encoder that ships."""

BATCH: Final = 16
"""Crops that run at once. More is no faster on a CPU, and takes memory."""

TRIAL_S: Final = 60.0
"""Seconds that a file may take for two crops when it is opened."""

Encode = Callable[[Sequence[Input]], Float32[np.ndarray, "b d"]]
"""What turns crops with their clues into vectors."""


class Encoder:
    """What turns crops into vectors in parts, by an ``Embedder``, and weights the parts of a query. Threads share it.

    >>> encoder = Encoder.open()
    >>> [part.name for part in encoder.parts], encoder.dim
    (['deep', 'detail', 'kind'], 278)
    >>> preprocessing = encoder.preprocessing["street"]
    >>> crop = np.zeros(preprocessing.shape, np.uint8)
    >>> encoder.encode([crop]).shape
    (1, 278)
    """

    path: Path | None = None
    """The file that the encoder was opened from."""

    model_sha256: str = ""
    """SHA-256 of the model that an opened encoder runs, which may be a faster graph than that of its file."""

    runtime: "Way | None" = None  # where ``choice`` chose it

    reads_categories: bool = True
    """Whether the category of a product says the kind of its photos."""

    def __init__(self, embedder: Embedder, metadata: EncoderMetadata, with_kinds: "Runs | None" = None) -> None:
        self.embedder = embedder
        self.metadata = metadata
        self.with_kinds = with_kinds
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
        not what its metadata says: two crops are encoded once, within ``limit_s`` seconds, by the model as it stands,
        before it is optimized, which computes its constant parts. One operation is not interrupted. The encoder that
        ships, and copies of it, then run a faster graph that gives the same vectors (``encoder.faster``).
        """
        from osoroi.encoder.trial import tried

        path = DEFAULT if path is None else Path(path)
        model = read_model(path)
        try:
            metadata, session, model = tried(model, threads, providers, limit_s)
        except BadEncoder as error:
            from osoroi import path_types

            path_types.require(path, path_types.ENCODER, "an encoder file", BadEncoder)
            raise BadEncoder(f"{path}: {error.what}", hint=error.hint) from error
        encoder = cls(OnnxEmbedder(session), metadata)
        encoder.path, encoder.model_sha256 = path, hashlib.sha256(model).hexdigest()
        if metadata.kinds:
            from osoroi.encoder.with_kinds import Runs

            encoder.with_kinds = Runs.of(session, model, (threads, providers), metadata.preprocessing["street"].shape)
        return encoder

    @property
    def fingerprint(self) -> str:
        """What a catalog remembers of its vectors: the same graph, parts and preprocessing, the same fingerprint."""
        return self.metadata.fingerprint

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order of their columns."""
        return self.metadata.parts

    @cached_property
    def has_kind(self) -> bool:
        """Whether vectors have the part ``kind``, which needs more than the pixels of a crop."""
        return bool(self.metadata.kinds)

    @property
    def own_detail(self) -> float | None:
        """Where the slider between shape (0) and colour (1) stands by itself; None where there is nothing to turn."""
        turned = {part.name: part.weight for part in self.parts if not (self.has_kind and part.name == KIND)}
        total = sum(turned.values())
        return turned[DETAIL] / total if DETAIL in turned and len(turned) > 1 and total else None

    @cached_property
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

    def encode(
        self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], clues: Sequence[Clues] | None = None
    ) -> Float32[np.ndarray, "b d"]:
        """One vector a crop, each part of unit length, unweighed; no crops give no rows.

        ``clues`` says of each crop what is known of its kind besides the pixels; without any, pictures decide. A crop's
        vector does not depend on the crops beside it (to 1e-5). Raises BadEncoder for crops of another
        size or type than the encoder takes, and for vectors that hold no numbers.
        """
        if clues is not None and len(clues) != len(crops):
            raise BadRequest(f"{len(clues)} clues do not fit {len(crops)} crops", hint="give one for each")
        known = [Clues()] * len(crops) if clues is None else clues
        vectors = np.empty((len(crops), self.dim), np.float32)
        by_graph = vectors[:, : self.columns[KIND].start] if self.has_kind else vectors
        predictions: dict[int, Prediction] = {}
        for run, places in self.with_kinds.groups(known) if self.with_kinds else [(None, list(range(len(crops))))]:
            for some in (places[start : start + BATCH] for start in range(0, len(places), BATCH)):
                taken = [self._fitting(crops[place]) for place in some]
                batch = np.stack(taken) if len(taken) > 1 else np.ascontiguousarray(taken[0])[None]
                both = run.run(batch) if run else None
                by_graph[some] = both.vectors if both else self.embedder.vectors(batch)
                if both:
                    predictions.update(zip(some, both.predictions, strict=True))
        if self.has_kind:
            from osoroi.garments.part import parts

            street = self.preprocessing["street"]
            own = [crop[: street.height, : street.width] for crop in crops]  # without a pretrained backbone's input
            vectors[:, self.columns[KIND]] = parts(own, known, predictions)
        if not np.isfinite(vectors).all():
            raise BadEncoder("the encoder gave a vector that is no number (NaN)", hint="use another encoder")
        return vectors

    def encode_inputs(self, inputs: Sequence[Input]) -> Float32[np.ndarray, "b d"]:
        """One vector for each crop with its clues, as ``encode`` gives it."""
        if not self.has_kind:
            return self.encode([each.pixels for each in inputs])
        return self.encode([each.pixels for each in inputs], [each.clues for each in inputs])

    def encode_query(
        self,
        photos: Sequence[PhotoLike],
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        kinds: Sequence[Kinds | None] | None = None,
        detail: float | None = None,
        categorised: float = 1.0,
        threads: int = 1,
    ) -> Float32[np.ndarray, "b d"]:
        """One weighted vector for each street photo: its inner product with a product's vector is the score.

        ``boxes`` has one box, or None, for each photo, and ``kinds`` what each garment is, where that is known.
        ``detail`` and ``categorised`` are as in ``weigh``. Photos are read on ``threads`` threads. Raises BadPhoto for
        the first photo that cannot be read.

        >>> photo = np.full((90, 60, 3), 200, np.uint8)
        >>> encoder = Encoder.open()
        >>> query, product = encoder.encode_query([photo], boxes=[(10, 0, 50, 90)]), encoder.encode_product([photo])
        >>> bool(-1 <= (query @ product.T).item() <= 1)
        True
        """
        vectors = self.encode_photos(photos, "street", boxes=boxes, kinds=kinds, threads=threads)
        return self.weigh(vectors, detail, categorised=categorised)

    def encode_product(
        self,
        photos: Sequence[PhotoLike],
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        categories: Sequence[str | None] | None = None,
        threads: int = 1,
    ) -> Float32[np.ndarray, "b d"]:
        """One vector for each shop photo, each part of unit length.

        ``categories`` has the shop's category of each photo; where it is None or not understood, the picture says the
        kind. Other arguments and errors are as in ``encode_query``.
        """
        kinds: list[Kinds | None] | None = None
        if categories is not None and self.has_kind:
            from osoroi.garments import read_category

            kinds = [read_category(category) if category else None for category in categories]
        return self.encode_photos(photos, "shop", boxes=boxes, kinds=kinds, threads=threads)

    def encode_photos(
        self,
        photos: Sequence[PhotoLike],
        domain: Domain,
        *,
        boxes: Sequence[BoxLike | None] | None = None,
        kinds: Sequence[Kinds | None] | None = None,
        threads: int = 1,
        encode: Encode | None = None,
    ) -> Float32[np.ndarray, "b d"]:
        """One vector for each photo of a domain, each part of unit length, by ``encode`` or ``encode_inputs``; other
        arguments are as in ``encode_query``."""
        if not isinstance(photos, list | tuple):
            raise BadRequest(f"photos is {type(photos).__name__}, not a list", hint="put a single photo into a list")
        for name, given in (("boxes", boxes), ("kinds", kinds)):
            if given is not None and len(given) != len(photos):
                raise BadRequest(f"{len(given)} {name} do not fit {len(photos)} photos", hint="one or None for each")
        from osoroi.encoder import loader

        places = [None if box is None else Box.of(box) for box in boxes or [None] * len(photos)]

        def read(item: tuple[PhotoLike, Box | None, Kinds | None]) -> Input:
            return self.input_of(item[0], item[1], domain, kind=item[2])

        rows = [np.empty((0, self.dim), np.float32)]
        items = zip(photos, places, kinds or [None] * len(photos), strict=True)
        for batch in loader.encode(items, encode or self.encode_inputs, read, threads=threads):
            for error in batch.errors.values():
                raise error
            rows.append(batch.vectors)
        return np.concatenate(rows)

    def input_of(
        self, photo: PhotoLike, box: Box | None, domain: Domain, *, kind: Kinds | None = None, limits: Limits = LIMITS
    ) -> Input:
        """The pixels of a crop and its clues: ``kind`` where it is given; of a street photo else its place on a body.

        Raises BadPhoto, and BadRequest for a word that is no kind.
        """
        if self.has_kind and is_readable(photo):
            photo = image.load(photo, limits=limits)  # what can be read once only is read twice here
        pixels = image.crop(photo, box, self.preprocessing[domain], limits=limits)
        if domain == "street" or kind is not None:
            return Input(pixels, self.query_clues(photo, box, kind=kind, limits=limits))
        return Input(pixels)

    def query_clues(
        self, photo: PhotoLike, box: Box | None, *, kind: Kinds | None = None, limits: Limits = LIMITS
    ) -> Clues:
        """What is known of the kind of a garment in a street photo besides its pixels; see ``garments.query``."""
        if not self.has_kind:
            if isinstance(kind, str):
                raise BadRequest("this encoder has no part 'kind'", hint="leave the kind away, or use another encoder")
            return Clues()
        from osoroi.garments.query import clues_of

        return clues_of(photo, box, kind=kind, limits=limits)

    def clues_of(self, product: Product) -> Clues:
        """What a product's category says of the kind of its photos; nothing where the part ``kind`` is missing."""
        if not self.has_kind:
            return Clues()
        from osoroi.garments import part

        return part.of_product(product, categories=self.reads_categories)

    def with_kind(self, vectors: Float32[np.ndarray, "b d"], clues: Clues) -> Float32[np.ndarray, "b d"]:
        """The vectors with the part of a kind that is known; else the same."""
        if not self.has_kind or clues.known is None:
            return vectors
        from osoroi.garments.posterior import part

        changed = vectors.copy()
        changed[:, self.columns[KIND]] = part(dict(clues.known))
        return changed

    def weigh(
        self, vectors: Float32[np.ndarray, "b d"], detail: float | None = None, *, categorised: float = 1.0
    ) -> Float32[np.ndarray, "b d"]:
        r"""Queries: each part scaled by its weight, so that one inner product with a stored vector is the score.

        .. math:: \text{score} = \sum_p w_p \langle q_p, x_p \rangle, \quad \sum_p w_p = 1

        ``detail`` in [0, 1] replaces the weight of the part of that name; the others share the rest as they did
        before, and ``kind`` keeps its weight. ``categorised`` is the share of the products whose kind is known from
        the shop: where it is below 1, ``kind`` weighs less for tops, dresses and outerwear, and the others more.
        Raises BadRequest outside [0, 1], and where there is nothing to turn.
        """
        scales = self.metadata.scales
        if detail is not None:
            from osoroi.encoder.slider import shifted

            scales = scales_of(self.parts, shifted({part.name: part.weight for part in self.parts}, detail))
        weighted = vectors * scales
        kind = self.parts[-1].weight  # the slider leaves it alone
        if not self.has_kind or categorised == 1 or not 0 < kind < 1:
            return weighted
        from osoroi.garments.part import share_of_weight

        columns = self.columns[KIND]
        shares = np.minimum(share_of_weight(vectors[:, columns], categorised), 1 / kind)[:, None]
        weighted[:, : columns.start] *= (1 - kind * shares) / (1 - kind)
        weighted[:, columns] *= shares
        return weighted

    def with_detail(
        self, vectors: Float32[np.ndarray, "b d"], others: Float32[np.ndarray, "b d"]
    ) -> Float32[np.ndarray, "b d"]:
        """The first vectors with the part for colour and pattern of the second. Raises BadRequest without that part."""
        if DETAIL not in self.columns:
            raise BadRequest(
                f"this encoder has no part {DETAIL!r}, only {', '.join(self.columns)}",
                hint="search without detail_from",
            )
        mixed = vectors.copy()
        mixed[:, self.columns[DETAIL]] = others[:, self.columns[DETAIL]]
        return mixed

    def weighed(self, weights: Mapping[str, float]) -> "Encoder":
        """The same encoder with other weights; a part that is not named gets 0. They are scaled to a sum of 1.

        >>> [part.weight for part in Encoder.open().weighed({"deep": 2.0}).parts]
        [1.0, 0.0, 0.0]
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
        shape = self.preprocessing["street"].shape
        if crop.dtype != np.uint8 or crop.shape != shape:
            raise BadEncoder(
                f"the encoder takes crops of uint8 {shape}, not of {crop.dtype} {crop.shape}",
                hint="cut them with image.crop and the encoder's preprocessing",
            )
        return crop
