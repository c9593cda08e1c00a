"""Archives of backups, unpacked as `tar -xf FILE -C FOLDER` does."""

import tarfile
from pathlib import Path
from typing import Any

SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 before 3.11.4 knows no other way than its own."""


def unpack(file: Path, folder: Path) -> None:
    """Into a folder, which is made. Python writes into files that are there, where GNU replaces them."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(file) as archive:
        archive.extractall(folder, **SAFELY)
