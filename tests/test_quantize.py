"""Integers are accepted only where searches find what they found before."""

import json
from pathlib import Path

import numpy as np
import pytest

from osoroi.encoder import Encoder
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadDataset, Mismatch
from osoroi.evaluation.bootstrap import Interval
from osoroi.pretrained import integers, quantize
from osoroi.pretrained.quantize import Losses, PairSource
from small_encoder import write_encoder

onnx = pytest.importorskip("onnx", reason="quantising needs the package onnx")

PAIRS = PairSource("drawn:6")


@pytest.mark.slow
def test_the_loss_is_stated_and_the_file_is_an_encoder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integers, "SENSITIVE", 1.0)  # the only convolution is the first, which is sensitive
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    made = quantize.quantize(source, out, PAIRS, pairs=PairSource("drawn:8:3"), photos=8, force=True)
    before, after = Encoder.open(source), Encoder.open(out)
    assert after.fingerprint != before.fingerprint
    loss = f"{100 * made.losses.both.mean:.2f} [{100 * made.losses.both.low:.2f}, {100 * made.losses.both.high:.2f}]"
    assert after.metadata.quantization.startswith(f"int8: hit@5 loses {loss} points, ")
    assert after.metadata.quantization.endswith(f", over {made.queries} queries of drawn:8:3")
    assert after.metadata.stands_for == (before.fingerprint if made.losses.is_accepted else "")
    operators = [node.op_type for node in onnx.load(out).graph.node]
    assert "QuantizeLinear" in operators
    crop = np.random.default_rng(0).integers(0, 256, before.preprocessing["street"].shape, np.uint8)
    cosine = float((before.encode([crop]) * after.encode([crop])).sum() / len(before.parts))
    assert 0.8 < cosine < 1.0, "integers, and still the same network"


def test_a_convolution_that_moves_the_vectors_stays_as_it_is(tmp_path: Path) -> None:
    source = write_encoder(tmp_path / "encoder.onnx")
    encoder = Encoder.open(source)
    crops = list(np.random.default_rng(0).integers(0, 256, (4, *encoder.preprocessing["street"].shape), np.uint8))
    graph = integers.in_integers(encoder, source, crops, sensitive=-1.0).graph
    assert "QuantizeLinear" not in {node.op_type for node in graph.node}


def test_what_loses_too_much_is_refused_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    monkeypatch.setattr(quantize, "MOST", -1.0)  # any loss is too much
    with pytest.raises(Mismatch, match=r"hit@5 loses .* as queries, .* as products, over 8 queries"):
        quantize.quantize(source, out, PAIRS, photos=8)
    assert not out.exists()
    lost = Interval(0.5, 0.4, 0.6)
    monkeypatch.setattr(quantize, "judged", lambda *_, **__: (Losses(lost, lost, lost), 8))
    quantize.quantize(source, out, PAIRS, photos=8, force=True)
    assert Encoder.open(out).metadata.stands_for == "", "what was forced takes nobody's place"


def test_a_loss_that_few_pairs_leave_uncertain_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    sure, wide = Interval(0.0, -0.01, 0.02), Interval(0.0, -0.6, 0.6)
    single = Interval(0.0, float("nan"), float("nan"))
    for losses in (Losses(wide, sure, sure), Losses(sure, sure, wide), Losses(sure, sure, single)):
        monkeypatch.setattr(quantize, "judged", lambda *_, found=losses, **__: (found, 4))
        with pytest.raises(Mismatch, match="more pairs"):
            quantize.quantize(source, out, PAIRS, photos=2)
    monkeypatch.setattr(quantize, "judged", lambda *_, **__: (Losses(sure, sure, sure), 4000))
    for judges, same in ((None, True), (PairSource("drawn:8:3"), False)):
        made = quantize.quantize(source, out, PAIRS, pairs=judges, photos=2)
        assert made.same_photos == same
        assert made.encoder.metadata.stands_for


def test_pairs_without_both_sides_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "in_integers", lambda *_: pytest.fail("too early"))
    source, out = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "int8.onnx"
    for lines, message in (("a,a.jpg,shop", "no street"), ("a,a.jpg,street\nb,b.jpg,shop", "a street and a shop")):
        table = tmp_path / "one.csv"
        table.write_text(f"product_id,photo,domain\n{lines}\n")
        with pytest.raises(BadDataset, match=message):
            quantize.quantize(source, out, PAIRS, pairs=PairSource(str(table)), photos=2)


def test_progress_counts_the_crops_of_all_evaluations(tmp_path: Path) -> None:
    encoder, told = Encoder.open(write_encoder(tmp_path / "encoder.onnx")), list[int]()
    quantize.judged(encoder, encoder, PAIRS, told.append)
    assert told == sorted(told)
    assert told[-1] > told[0] > 0


@pytest.mark.slow
def test_queries_and_products_are_judged_each_by_their_own_encoder(tmp_path: Path) -> None:
    """Vectors of two encoders that have nothing to do with each other: as queries or products alone they lose."""
    one, other = (Encoder.open(write_encoder(tmp_path / f"{seed}.onnx", seed)) for seed in (1, 2))
    losses, _ = quantize.judged(one, other, PairSource("drawn:12:5"))
    assert min(losses.queries.mean, losses.products.mean) > losses.both.mean
    same, queries = quantize.judged(one, one, PairSource("drawn:6"))
    assert [loss.mean for loss in same] == [0.0, 0.0, 0.0]
    assert queries > 0


def test_metadata_without_integers_stay_what_they_were() -> None:
    text = Encoder.open().metadata.to_json()
    assert not {"quantization", "stands_for"} & set(json.loads(text))
    assert EncoderMetadata.from_json(text).quantization == ""
