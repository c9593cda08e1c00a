"""The encoder file that a catalog keeps beside its vectors, so that nobody has to name it again.

The encoder that ships is not copied: it is found by its fingerprint.
"""

import os
import shutil
from pathlib import Path

from osoroi import files
from osoroi.encoder import text_tower
from osoroi.encoder.onnx import DEFAULT, Encoder

FILE = "encoder.onnx"
"""In the catalog's folder."""


def open_for(catalog: str | os.PathLike[str], given: str | os.PathLike[str] | None, *, threads: int = 1) -> Encoder:
    """The encoder that was named, else the one that the catalog keeps, else the one that ships."""
    stored = Path(catalog) / FILE
    return Encoder.open(given if given is not None else stored if stored.is_file() else None, threads=threads)


def store(catalog: Path, given: str | os.PathLike[str] | None) -> None:
    """Copy an encoder file, with its text tower, into a catalog; for the encoder that ships, remove what an earlier one
    left."""
    target = catalog / FILE
    if given is None or Path(given).resolve() == DEFAULT.resolve():
        target.unlink(missing_ok=True)
        text_tower.beside(target).unlink(missing_ok=True)
        return
    if Path(given).resolve() == target.resolve():
        return
    for path, copy in ((Path(given), target), (text_tower.beside(Path(given)), text_tower.beside(target))):
        if path.is_file():
            with files.open_foreign(path) as source, files.replacing(copy) as file:
                shutil.copyfileobj(source, file)
        elif copy is not target:
            copy.unlink(missing_ok=True)  # of the encoder before
