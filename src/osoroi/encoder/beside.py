"""The encoder file that a catalog keeps beside its vectors, so that nobody has to name it again.

The encoder that ships is not copied: it is found by its fingerprint.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from osoroi import files
from osoroi.encoder import text_tower
from osoroi.encoder.metadata import stand_in
from osoroi.encoder.onnx import DEFAULT, Encoder

FILE = "encoder.onnx"
"""In the catalog's folder."""


def open_for(
    catalog: str | os.PathLike[str],
    given: str | os.PathLike[str] | None,
    *,
    threads: int = 1,
    providers: Sequence[str] | None = None,
) -> Encoder:
    """The encoder that was named, else the one that the catalog keeps, else the one that ships."""
    stored = Path(catalog) / FILE
    path = given if given is not None else stored if stored.is_file() else None
    return Encoder.open(path, threads=threads, providers=providers)


def store(catalog: Path, given: str | os.PathLike[str] | None) -> None:
    """Copy an encoder file, with its text tower and its stand-in in integers, into a catalog; for the encoder that
    ships, remove what an earlier one left."""
    target = catalog / FILE
    if given is None or Path(given).resolve() == DEFAULT.resolve():
        for path in (target, text_tower.beside(target), stand_in(target)):
            path.unlink(missing_ok=True)
        return
    if Path(given).resolve() == target.resolve():
        return
    given = Path(given)
    towers = text_tower.beside(given), text_tower.beside(target)
    for path, copy in ((given, target), towers, (stand_in(given), stand_in(target))):
        if path.is_file():
            with files.open_foreign(path) as source, files.replacing(copy) as file:
                shutil.copyfileobj(source, file)
        elif copy is not target:
            copy.unlink(missing_ok=True)  # of the encoder before
