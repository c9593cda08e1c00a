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


def coming(fingerprint: str) -> tuple[str, str, str]:
    """The names of an encoder's files while a catalog moves to it: they are there before searches need them.

    >>> coming("0123456789abcdef" * 4)[0]
    'encoder-0123456789abcdef.onnx'
    """
    encoder = Path(FILE).with_stem(f"{Path(FILE).stem}-{fingerprint[:16]}")
    return encoder.name, text_tower.beside(encoder).name, stand_in(encoder).name


def stored_as(given: str | os.PathLike[str] | None) -> dict[str, Path | None]:
    """The files that a catalog of this encoder keeps, by their names there; None where it keeps none of that name.

    >>> stored_as(None)
    {'encoder.onnx': None, 'encoder.onnx.text': None, 'encoder.int8.onnx': None}
    """
    if given is None or Path(given).resolve() == DEFAULT.resolve():
        return dict.fromkeys(NAMES)
    return dict(zip(NAMES, paths_of(Path(given)), strict=True))


def paths_of(encoder: Path) -> tuple[Path, Path | None, Path | None]:
    """An encoder file, and the text tower and the stand-in that lie beside it; None for what does not."""
    text, integers = text_tower.beside(encoder), stand_in(encoder)
    return encoder, text if text.is_file() else None, integers if integers.is_file() else None
