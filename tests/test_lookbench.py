"""LookBench on a look-alike: its layout, what counts as a match, and the whole command."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import lookbench
from PIL import Image

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.errors import BadDataset

arrow = pytest.importorskip("pyarrow", reason="the look-alike is written with pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

Line = tuple[str, str | None, str | None]


def photo(number: int) -> bytes:
    """A plain colour of its own, as a PNG."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), tuple(int(value) for value in np.random.default_rng(number).integers(0, 256, 3))).save(
        file, "PNG"
    )
    return file.getvalue()


def write(path: Path, lines: list[Line], first: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": photo(first + number), "path": f"{number}.png"} for number in range(len(lines))]
    columns = dict(zip(("item_ID", "category", "main_attribute"), map(list, zip(*lines, strict=True)), strict=True))
    parquet.write_table(arrow.table({"image": images, **columns}), path, row_group_size=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Queries look as the gallery's photos of the same number: a finds itself, b its neighbour, c a distractor."""
    gallery: list[Line] = [("a", "dress", "red"), ("x", "dress", "blue"), ("b", "skirt", "blue"), ("c", "hat", "red")]
    write(tmp_path / "real_streetlook/gallery.parquet", gallery, 0)
    write(tmp_path / "real_streetlook/query.parquet", [("a", "dress", "red"), ("b", "dress", "blue")], 0)
    write(tmp_path / "noise/train-00000.parquet", [("a", "shoes", None), ("z", "hat", "red"), ("y", None, None)], 9)
    return tmp_path


def test_queries_ask_the_gallery_is_asked_and_noise_is_nobodys_item(root: Path) -> None:
    rows = list(open_dataset(f"lookbench:{root}?noise=yes").rows())
    assert [row.crop.domain for row in rows] == ["street"] * 2 + ["shop"] * 7
    assert [row.product.product_id for row in rows[6:]] == ["noise/a", "noise/z", "noise/y"]
    assert rows[0].product.attributes == {"main_attribute": "red"}
    assert [image.load(row.crop.photo) for row in rows[2:6]] == [photo(number) for number in range(4)], (
        "over row groups"
    )
    assert len({row.crop.crop_id for row in rows}) == 9
    assert len(list(open_dataset(f"lookbench:{root}").rows())) == 6


def test_exact_is_the_item_fine_the_main_attribute_too_and_coarse_the_category() -> None:
    vectors = np.eye(3, dtype=np.float32)
    query = lookbench.Side(vectors[:1], ["a"], ["dress"], ["red"])
    gallery = lookbench.Side(vectors, ["b", "c", "a"], ["dress", "dress", "hat"], ["red", "blue", "red"])
    rights = {match: lookbench.same(query, gallery, match)[0].tolist() for match in lookbench.MATCHES}
    assert rights["exact"] == [False, False, True]
    assert rights["fine"] == [True, False, False]
    assert rights["coarse"] == [True, True, False]


def test_ndcg_is_over_the_best_order_of_all_that_count() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], np.float32)
    right = np.array([False, True, False, False, False, True])
    gain, best = 1 / np.log2(3), 1 + 1 / np.log2(3)  # the sixth is not among the first five
    assert lookbench.values(scores, right) == pytest.approx((0.0, 1.0, gain / best))
    assert lookbench.values(scores, np.zeros(6, bool)) == (0.0, 0.0, 0.0)


def test_one_command_gives_every_figure(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    lookbench.main([str(root), "--subset", "real_streetlook", "--json", str(out)])
    found = json.loads(out.read_text())
    alone = {match: [column[0] for column in columns] for match, columns in found["real_streetlook"].items()}
    assert alone["exact"][0] == 0.5  # a finds a; b looks like x
    assert alone["fine"][:2] == [1.0, 1.0]
    assert alone["coarse"][:2] == [1.0, 1.0]
    assert set(found) == {"real_streetlook", "real_streetlook + noise"}
    assert capsys.readouterr().out.count("\n") == 2 + 6


def test_what_is_missing_or_unknown_is_named(root: Path) -> None:
    with pytest.raises(BadDataset, match="no subset 'street'"):
        open_dataset(f"lookbench:{root}?subset=street")
    with pytest.raises(BadDataset, match=r"lacks aigen_studio/query\.parquet"):
        list(open_dataset(f"lookbench:{root}?subset=aigen_studio").rows())
    with pytest.raises(BadDataset, match="neither yes nor no"):
        open_dataset(f"lookbench:{root}?noise=1")
    parquet.write_table(arrow.table({"image": ["x"], "item_ID": ["a"]}), root / "real_streetlook/query.parquet")
    with pytest.raises(BadDataset, match=r"lacks the columns \['category', 'main_attribute'\]"):
        list(open_dataset(f"lookbench:{root}").rows())
