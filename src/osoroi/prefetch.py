"""Photos of the next products are read while those before are embedded and committed.

What was read ahead decides nothing, as the catalog may hold something else by the time it is used: the catalog is asked
again then, and what turns out to be missing is read then.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from osoroi.catalog import Entry, Storage
from osoroi.encoder import Encoder, loader
from osoroi.errors import BadPhoto
from osoroi.image import Limits
from osoroi.records import Clues, Crop, Product

Chunk = dict[str, tuple[Product, list[Crop]]]
"""Product id -> product and its shop crops: the products of one commit."""


class ReadCrop(NamedTuple):
    """A crop with the hash of its photo, and its pixels unless the catalog had its vector when it was read."""

    crop: Crop
    pixels: loader.Pixels | None


class ChunkReader(NamedTuple):
    """Reads crops of a chunk as an encoder takes them; ``stored`` are its products that the catalog has."""

    encoder: Encoder
    limits: Limits
    stored: Mapping[str, Entry]
    clues: Mapping[str, Clues]

    @classmethod
    def of(cls, chunk: Chunk, stored: Mapping[str, Entry], encoder: Encoder, limits: Limits) -> "ChunkReader":
        """The reader of a chunk."""
        return cls(encoder, limits, stored, {name: encoder.clues_of(product) for name, (product, _) in chunk.items()})

    def read(self, crop: Crop) -> ReadCrop:
        """Hash a crop's photo, and crop its pixels unless the catalog has the vector. Raises BadPhoto."""
        loaded = loader.load(crop, limits=self.limits)  # the file is read once
        hashed = replace(crop, sha256=loaded.sha256)
        if self.has_vector(hashed):
            return ReadCrop(hashed, None)
        return ReadCrop(hashed, loader.crop_pixels(loaded, self.encoder.preprocessing, limits=self.limits))

    def has_vector(self, hashed: Crop) -> bool:
        """Whether the catalog has the vector of the same photo and box, and it can stay: a kind that is known now is
        written into it, one that no longer is needs the picture."""
        entry = self.stored.get(hashed.product_id)
        if entry is None:
            return False
        clue = self.clues[hashed.product_id]
        if clue.known is None and self.encoder.clues_of(entry.product).known is not None:
            return False
        wanted = (hashed.crop_id, hashed.sha256, hashed.box)
        return any((before.crop_id, before.sha256, before.box) == wanted for before in entry.crops)


Result = tuple[Crop, ReadCrop | BadPhoto]
"""A crop as it was given, and what came of reading it."""


class Prefetch:
    """The chunks of a run, each with the results of its crops, which are read on threads before its turn.

    Each chunk's results have to be taken before the next chunk. What the input raises is raised after the last chunk
    that it gave.
    """

    def __init__(self, chunks: Iterable[Chunk], catalog: Storage, encoder: Encoder, limits: Limits, threads: int):
        self._begun: deque[Chunk] = deque()
        self._error: Exception | KeyboardInterrupt | None = None
        crops = self._crops(chunks, catalog, encoder, limits)
        self._results = loader.read(crops, lambda item: item[1].read(item[0]), threads=threads)

    def _crops(
        self, chunks: Iterable[Chunk], catalog: Storage, encoder: Encoder, limits: Limits
    ) -> Iterator[tuple[Crop, ChunkReader]]:
        try:
            for chunk in chunks:
                reader = ChunkReader.of(chunk, catalog.entries(chunk), encoder, limits)
                self._begun.append(chunk)
                yield from ((crop, reader) for crop in crops_of(chunk))
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  raised in its turn
            self._error = error

    def __iter__(self) -> Iterator[tuple[Chunk, Iterator[Result]]]:
        with closing(self._results):
            for (crop, _), result in self._results:
                chunk = self._begun.popleft()
                yield chunk, self._of_chunk((crop, result), len(crops_of(chunk)))
        if self._error is not None:
            raise self._error

    def _of_chunk(self, first: Result, count: int) -> Iterator[Result]:
        yield first
        for (crop, _), result in islice(self._results, count - 1):
            yield crop, result


def crops_of(chunk: Chunk) -> list[Crop]:
    """The crops of a chunk, in the order of its products."""
    return [crop for _, crops in chunk.values() for crop in crops]
