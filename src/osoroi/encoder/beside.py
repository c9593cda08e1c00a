"""The files of an encoder that a catalog keeps beside its vectors, so that nobody has to name them again.

The encoder that ships is not copied: it is found by its fingerprint.
"""

import os
from pathlib import Path
from typing import Final

from osoroi.encoder import text_tower
from osoroi.encoder.onnx import DEFAULT

FILE: Final = "encoder.onnx"
TEXT: Final = text_tower.beside(Path(FILE)).name
"""Names among the catalog's files."""


def stored_as(given: str | os.PathLike[str] | None) -> dict[str, Path | None]:
    """The files that a catalog of this encoder keeps, by their names there; None where it keeps none of that name.

    >>> stored_as(None)
    {'encoder.onnx': None, 'encoder.onnx.text': None}
    """
    if given is None or Path(given).resolve() == DEFAULT.resolve():
        return {FILE: None, TEXT: None}
    encoder = Path(given)
    text = text_tower.beside(encoder)
    return {FILE: encoder, TEXT: text if text.is_file() else None}
