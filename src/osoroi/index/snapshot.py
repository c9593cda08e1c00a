"""Vectors under rising keys that do not change, in memory or in one file, with a checksum for everything.

A file is: a head of one page (magic, checksum, JSON), vectors, keys, sums, rotation, variances, codes. All but the
vectors are verified when it is opened. Vectors are mapped, not read, and each is verified whenever it is used, against
a sum

.. math:: \\sum_j m_j w_j \\bmod 2^{32}

over its words :math:`w_j` with odd :math:`m_j`: no change of one word goes unseen, and of others one in four thousand
million. So a file of any size opens at once, and a bit that flips on the disk is an error, never a wrong answer.
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt32

from osoroi import files
from osoroi.errors import BadIndex
from osoroi.index.codes import Codes, Take
from osoroi.index.exact import BLOCK, marked

MAGIC = b"osoroi scan 3\n"
LEARNED = ("rotation", "variances", "codes")
PAGE = 4096
SPREAD = 8
"""Keys that take up to so many times their number have a table of their places; others are searched for."""


class Snapshot:
    """``n`` vectors in the order of their keys, in parts of these sizes; ``codes`` is None where they are too few to
    need any."""

    def __init__(
        self,
        keys: Int64[np.ndarray, "n"],
        vectors: Float32[np.ndarray, "n d"],
        parts: Sequence[int],
        codes: Codes | None,
        sums: UInt32[np.ndarray, "n"] | None = None,
        name: str = "in memory",
        mapping: mmap.mmap | None = None,
    ) -> None:
        self.keys = keys
        self.parts = tuple(int(size) for size in parts)
        self.codes = codes
        self._vectors = vectors
        self._sums = sums
        self._name = name
        self._mapping = mapping
        self._mapped_bytes = len(mapping) if mapping is not None else 0
        self._multipliers = _multipliers(vectors.shape[1])
        self._first = int(keys[0]) if len(keys) else 0
        span = int(keys[-1]) - self._first + 1 if len(keys) else 0
        self._table = np.full(span if span <= SPREAD * len(keys) else 0, -1, np.int32)
        if len(self._table):
            self._table[keys - self._first] = np.arange(len(keys))

    @property
    def dim(self) -> int:
        return int(self._vectors.shape[1])

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, places: Int64[np.ndarray, "m"]) -> Float32[np.ndarray, "m d"]:
        """Vectors at these places, verified where they come from a file."""
        self.check_size()
        vectors = self._vectors.take(places, axis=0)
        if self._sums is not None:
            wrong = _sums(vectors, self._multipliers) != self._sums[places]
            if wrong.any():
                key = int(self.keys[places[wrong][0]])
                raise BadIndex(f"the index {self._name} is damaged: the vector under key {key} is not what was written")
        return vectors

    def check_size(self) -> None:
        """Raise BadIndex where the mapped file has become shorter: to read behind its end would kill the process.

        One call of ``fstat``, less than a microsecond. See docs/decisions/0008-mapped-files.md for what remains.
        """
        if self._mapping is not None and self._mapping.size() < self._mapped_bytes:
            raise BadIndex(f"the index {self._name} is damaged: the file has become shorter since it was opened")

    def places(self, keys: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "p"]:
        """Where these keys stand, in their order; those that do not are left out."""
        if not len(self) or not len(keys):
            return np.empty(0, np.int64)
        if keys.min() < self.keys[0] or keys.max() > self.keys[-1]:
            keys = keys[(keys >= self.keys[0]) & (keys <= self.keys[-1])]
        if len(self._table):
            found = self._table[keys - self._first]
            return (found if found.min(initial=0) >= 0 else found[found >= 0]).astype(np.int64)
        found = np.searchsorted(self.keys, keys)
        return found[self.keys[found] == keys]

    def marks(self, among: Int64[np.ndarray, "m"] | Bool[np.ndarray, "m"]) -> Bool[np.ndarray, "n"]:
        """Which places hold one of these keys; perhaps a view of ``among``."""
        count = len(self)
        if among.dtype == bool and self._first >= 0 and len(self._table) == count <= len(among) - self._first:
            return among[self._first : self._first + count]  # keys without a gap
        if among.dtype == bool:
            return marked(self.keys, among)
        places = np.zeros(count, bool)
        places[self.places(among)] = True
        return places

    def blocks(self) -> Iterator[Int64[np.ndarray, "m"]]:
        """All places, a block at a time."""
        for start in range(0, len(self), BLOCK):
            yield np.arange(start, min(start + BLOCK, len(self)))

    @classmethod
    def open(cls, path: Path) -> "Snapshot":
        """Map a file; raises BadIndex for any that ``write`` did not write as it is."""
        try:
            with files.open_foreign(path) as file:
                size = os.fstat(file.fileno()).st_size
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else None
                data = memoryview(mapping if mapping is not None else b"")
        except OSError as error:
            raise BadIndex(f"the index {path} cannot be read: {error.strerror}") from error
        head = _head(path, data)
        count, dim, sections = head["count"], sum(head["parts"]), head["sections"]
        if len(data) != head["size"]:
            raise _damaged(path, f"it has {len(data)} bytes and not {head['size']}")
        part = {name: data[start : start + length] for name, (start, length, _) in sections.items()}
        for name, (_, _, checksum) in sections.items():
            if name != "vectors" and zlib.crc32(part[name]) != checksum:
                raise _damaged(path, f"its {name} are not what was written")
        codes = None
        if len(part["codes"]):
            learned = (part[name] for name in LEARNED)
            codes = Codes.from_bytes(*learned, dim=dim, error=head["error"])
        return cls(
            np.frombuffer(part["keys"], "<i8").astype(np.int64),
            np.frombuffer(part["vectors"], "<f4").reshape(count, dim),
            head["parts"],
            codes,
            np.frombuffer(part["sums"], "<u4").astype(np.uint32),
            str(path),
            mapping,
        )


def write(path: Path, keys: Int64[np.ndarray, "n"], parts: Sequence[int], take: Take, codes: Codes | None) -> None:
    """Write a file beside ``path`` and put it in its place when it is safe on the disk."""
    try:
        with files.replacing(path) as file:
            _fill(file, keys, parts, take, codes)
    except OSError as error:
        raise BadIndex(f"the index {path} cannot be written: {error.strerror}") from error


def _fill(file: IO[bytes], keys: Int64[np.ndarray, "n"], parts: Sequence[int], take: Take, codes: Codes | None) -> None:
    file.write(bytes(PAGE))
    dim, sums = sum(parts), np.empty(len(keys), np.uint32)
    for start in range(0, len(keys), BLOCK):
        places = np.arange(start, min(start + BLOCK, len(keys)))
        block = take(places)
        sums[places] = _sums(block, _multipliers(dim))
        file.write(np.ascontiguousarray(block, "<f4").data)
    sections = {"vectors": (PAGE, 4 * dim * len(keys), 0)}
    learned = codes.to_bytes() if codes else (b"",) * len(LEARNED)
    small = {"keys": keys.astype("<i8").tobytes(), "sums": sums.astype("<u4").tobytes()}
    for name, data in (small | dict(zip(LEARNED, learned, strict=True))).items():
        file.write(bytes(-file.tell() % 64))
        sections[name] = (file.tell(), len(data), zlib.crc32(data))
        file.write(data)
    error = codes.error if codes else 0.0
    about = {"count": len(keys), "parts": [int(size) for size in parts], "error": error}
    head = about | {"size": file.tell(), "sections": sections}
    text = json.dumps(head).encode().ljust(PAGE - len(MAGIC) - 4)
    file.seek(0)
    file.write(MAGIC + zlib.crc32(text).to_bytes(4, "little") + text)


def _head(path: Path, data: memoryview) -> dict[str, Any]:
    text = data[len(MAGIC) + 4 : PAGE]
    checksum = zlib.crc32(text).to_bytes(4, "little")
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : len(MAGIC) + 4] != checksum:
        raise _damaged(path, "its head is not one of a scan")
    head: dict[str, Any] = json.loads(bytes(text))
    return head


def _damaged(path: Path, what: str) -> BadIndex:
    return BadIndex(
        f"the index {path} is damaged, or no index of this kind: {what}", hint="build it again from the catalog"
    )


def _multipliers(dim: int) -> UInt32[np.ndarray, "d"]:
    """Odd numbers, the same on every machine: Knuth's multiplicative hash of 1, 2, 3, …"""
    return np.arange(1, dim + 1, dtype=np.uint32) * np.uint32(2654435761) | np.uint32(1)


def _sums(vectors: Float32[np.ndarray, "m d"], multipliers: UInt32[np.ndarray, "d"]) -> UInt32[np.ndarray, "m"]:
    words = np.ascontiguousarray(vectors, "<f4").view("<u4").astype(np.uint32, copy=False)
    return np.einsum("md,d->m", words, multipliers)
