"""What shorter vectors lose is measured on pairs."""

import numpy as np
import pytest

from brought import Tokens, save, siglip_config, write_json
from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest
from osoroi.pretrained import loss
from osoroi.pretrained.make import Options, make


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "in" / "preprocessor_config.json", siglip_config())
    write_json(tmp_path / "in" / "config.json", {"matryoshka_dimensions": [24, 2]})
    save(Tokens().model(), tmp_path / "in" / "model.onnx")
    return tmp_path / "in"


def test_the_best_photo_of_a_product_counts_and_ties_rank_last():
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [0.7, 0.2, 0.1, 0.1]], np.float32)
    shop = ["b", "a", "c", "d"]
    assert loss.ranks(scores, ["c", "b"], shop).tolist() == [3, 1]
    assert loss.ranks(scores, ["a", "a"], ["b", "a", "a", "b"]).tolist() == [1, 2]


def test_the_loss_is_said_where_pairs_are_given(folder, tmp_path):
    made = make(folder, tmp_path / "out.onnx", Options(dim=2, pairs="drawn:12:3"))
    (note,) = [note for note in made.notes if "numbers" in note]
    assert note.startswith("24 -> 2 numbers, ")
    assert "nDCG@5 of deep " in note
    assert "[" in note


def test_colors_of_one_design_are_one_observation_of_the_loss(folder, tmp_path):
    """Pairs whose products are all colours of one cut give no interval; as many cuts give one."""
    rows = list(open_dataset("drawn:6:3").rows())
    for number, (_, crop) in enumerate(rows):
        (tmp_path / f"{number}.jpg").write_bytes(image.load(crop.photo))
    for name, is_one in (("one", True), ("many", False)):
        lines = ["photo,product_id,domain,design_id"]
        for number, (product, crop) in enumerate(rows):
            design = "coat" if is_one else f"cut {product.product_id}"
            lines.append(f"{number}.jpg,{product.product_id},{crop.domain},{design}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        made = make(folder, tmp_path / f"{name}.onnx", Options(dim=2, pairs=f"table:{tmp_path / name}.csv"))
        (note,) = [note for note in made.notes if "numbers" in note]
        assert ("nan" in note) == is_one


def test_pairs_without_a_shorter_vector_are_refused(folder, tmp_path):
    with pytest.raises(BadRequest, match="shorter vector"):
        make(folder, tmp_path / "out.onnx", Options(pairs="drawn:12:3"))
    assert not (tmp_path / "out.onnx").exists()
