"""Crops to pixels to vectors: read on threads, encoded in batches, and a photo that cannot be read stops nothing.

This is the one way in which the package embeds many photos: ``ingest``, ``reencode``, ``audit``, ``evaluation`` and the
commands use it.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import image
from osoroi.errors import BadPhoto
from osoroi.image import LIMITS, Limits
from osoroi.records import Crop, Domain, Preprocessing

BATCH = 64
"""Crops of one batch of vectors. As many again are read while a batch is encoded."""

Pixels = UInt8[np.ndarray, "h w 3"]
"""The input of an encoder."""

T = TypeVar("T")
R = TypeVar("R")


class EncodedCrops(NamedTuple):
    """Crops that were encoded together, under their indices in the input; and the errors of those without pixels."""

    indices: list[int]
    vectors: Float32[np.ndarray, "n d"]
    errors: dict[int, BadPhoto]


class NamedBytes(NamedTuple):
    """The bytes of a photo under the name of their file, which error messages give."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """The bytes."""
        return self.data


def load(crop: Crop, *, limits: Limits = LIMITS) -> Crop:
    """The crop with the bytes of its photo and their hash, so that the file is read once. Raises BadPhoto."""
    data = image.load(crop.photo, limits=limits)
    return replace(crop, photo=NamedBytes(image.name_of(crop.photo), data), sha256=hashlib.sha256(data).hexdigest())


def crop_pixels(crop: Crop, preprocessing: Mapping[Domain, Preprocessing], *, limits: Limits = LIMITS) -> Pixels:
    """The encoder's input for a crop, preprocessed as photos of its domain are. Raises BadPhoto."""
    return image.crop(crop.photo, crop.box, preprocessing[crop.domain], limits=limits)


def read(
    items: Iterable[T], reader: Callable[[T], R], *, threads: int = 1, ahead: int = BATCH
) -> Generator[tuple[T, R | BadPhoto]]:
    """Each item with what ``reader`` returns for it on one of the threads, in the order of the items.

    A BadPhoto that ``reader`` raises is returned in place of the result; every other error is raised here. At most
    ``ahead`` items are taken from the input before their turn, so memory is bounded and the input may be endless.

    >>> def halve(number: int) -> int:
    ...     if number % 2:
    ...         raise BadPhoto(f"{number} is odd")
    ...     return number // 2
    >>> [(number, str(half)) for number, half in read([4, 5, 6], halve, threads=2)]
    [(4, '2'), (5, '5 is odd'), (6, '3')]
    """
    pending: deque[tuple[T, Future[R | BadPhoto]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(_attempt, reader, item)))
                if len(pending) > ahead:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:  # the caller stopped, or something was raised
            for _, future in pending:
                future.cancel()


def encode(
    items: Iterable[T],
    encoder: Callable[[list[R]], Float32[np.ndarray, "n d"]],
    reader: Callable[[T], R],
    *,
    threads: int = 1,
    batch: int = BATCH,
) -> Iterator[EncodedCrops]:
    """The vectors of all items that can be read, ``batch`` items at a time, in the order of the items.

    ``encoder`` is the method ``encode_inputs`` of an encoder, or ``encode`` where ``reader`` gives pixels alone.
    ``reader`` gives the input of an item, or raises BadPhoto. No items give no batches; a batch of unreadable
    crops has no vectors.
    """
    rows = enumerate(read(items, reader, threads=threads, ahead=batch))
    while chunk := list(islice(rows, batch)):
        inputs = {index: result for index, (_, result) in chunk if not isinstance(result, BadPhoto)}
        errors = {index: result for index, (_, result) in chunk if isinstance(result, BadPhoto)}
        yield EncodedCrops(list(inputs), encoder(list(inputs.values())), errors)


def _attempt(reader: Callable[[T], R], item: T) -> R | BadPhoto:
    try:
        return reader(item)
    except BadPhoto as error:
        return error
