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


@pytest.fixture(scope="session")
def street2shop_lists(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real pair files of Street2Shop as its reader wants them, without photos; the lists of shop photos lack
    products without a street photo."""
    meta = data / "street2shop_meta/json"
    if not meta.is_dir():
        pytest.skip("needs the pair files of Street2Shop, which are not here")
    root = tmp_path_factory.mktemp("street2shop")
    (root / "images").mkdir()
    (root / "meta/json").mkdir(parents=True)
    for path in meta.iterdir():
        (root / "meta/json" / path.name.replace(".partial", "")).symlink_to(path.resolve())
    return root
