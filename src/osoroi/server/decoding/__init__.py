"""Photos are decoded in worker processes that can be killed: a file that costs too much takes a worker with it, not the
service. ``tasks`` are what a worker can do, ``saliency`` draws its map, ``worker`` is its process, ``pool`` the
service's side.
"""

import json
import struct
from typing import IO, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from osoroi.image import Limits, Photo, Reduced
from osoroi.records import Box, Preprocessing

LENGTHS = struct.Struct(">IQ")
"""The head of a message between the service and a worker: the lengths of its JSON and of its bytes, which follow."""

ForegroundMap = Float32[np.ndarray, "y x"]
"""How much the encoder's foreground head weighs each place of its input."""


class Thumbnail(NamedTuple):
    """A photo made small, as JPEG, and the size in pixels of the upright photo it was made from."""

    jpeg: bytes
    width: int
    height: int


@runtime_checkable
class Decoder(Protocol):
    """What the service asks of pixels. All raise BadPhoto for a photo that cannot be read or costs too much.

    A call that is cancelled stops working.
    """

    limits: Limits

    async def crop(self, photo: bytes, box: Box | None, preprocessing: Preprocessing) -> Photo:
        """The encoder's input."""
        ...

    async def reduced(self, photo: bytes, side: int) -> Reduced:
        """The upright photo with at most ``side`` pixels on its longer side, as ``image.reduced`` gives it."""
        ...

    async def thumbnail(self, photo: bytes, width: int) -> Thumbnail:
        """The upright photo as a JPEG of at most ``width`` pixels across."""
        ...

    async def saliency(
        self, photo: bytes, box: Box | None, preprocessing: Preprocessing, attention: ForegroundMap, width: int
    ) -> bytes:
        """The upright photo as a JPEG of at most ``width`` pixels across; what has no attention is faded."""
        ...

    def hurry(self) -> None:
        """Give up the photos that look costly, since the service is ending. Their calls raise TooMuch."""
        ...

    def close(self) -> None:
        """End the workers. Calls under way fail."""
        ...


def read_message(file: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """The next message; raises EOFError where the other side is gone."""
    lengths = _exactly(file, LENGTHS.size)
    head, body = LENGTHS.unpack(lengths)
    return json.loads(_exactly(file, head)), _exactly(file, body)


def _exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def write_message(file: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    """Write one message whole; raises OSError where the other side is gone."""
    text = json.dumps(head).encode()
    file.write(LENGTHS.pack(len(text), len(body)) + text)
    file.write(body)
    file.flush()
