"""What several tests need: where real photos lie, and small things drawn once."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def folder_or_skip(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs the photos in {path.name}/, which are not here; set OSOROI_DATA to their folder")
    return path


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photos; the test is skipped where it is absent."""
    return folder_or_skip(DATA)


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of backbone weights beside the photos; the test is skipped where it is absent."""
    return folder_or_skip(DATA.parent / "weights")
