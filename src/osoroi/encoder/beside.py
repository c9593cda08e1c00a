"""The files of an encoder that a catalog keeps beside its vectors, so that nobody has to name them again.

The encoder that ships is not copied: it is found by its fingerprint.
"""

import os
from pathlib import Path
from typing import Final

from osoroi.encoder import text_tower
from osoroi.encoder.metadata import stand_in
from osoroi.encoder.onnx import DEFAULT

FILE: Final = "encoder.onnx"
TEXT: Final = text_tower.beside(Path(FILE)).name
INTEGERS: Final = stand_in(Path(FILE)).name
NAMES: Final = (FILE, TEXT, INTEGERS)
"""Names among the catalog's files: the encoder, its text tower, its stand-in in integers."""


def stored_as(given: str | os.PathLike[str] | None) -> dict[str, Path | None]:
    """The files that a catalog of this encoder keeps, by their names there; None where it keeps none of that name.

    >>> stored_as(None)
    {'encoder.onnx': None, 'encoder.onnx.text': None, 'encoder.int8.onnx': None}
    """
    if given is None or Path(given).resolve() == DEFAULT.resolve():
        return dict.fromkeys(NAMES)
    encoder = Path(given)
    others = {TEXT: text_tower.beside(encoder), INTEGERS: stand_in(encoder)}
    return {FILE: encoder} | {name: path if path.is_file() else None for name, path in others.items()}
