"""An encoder file that says the kinds of queries from its own maps; its vectors stay, and so do those of products."""

import base64

import numpy as np
import pytest

from osoroi.data.synthetic.outfits import outfits
from osoroi.encoder import DEFAULT, KIND, Encoder
from osoroi.encoder.metadata import computation, with_entry
from osoroi.encoder.taught import NAME, taught, with_nodes
from osoroi.encoder.with_kinds import OWN, OwnKinds
from osoroi.errors import BadEncoder
from osoroi.garments import picture, posterior
from osoroi.image import crop
from osoroi.inference import open_session
from osoroi.records import Clues


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


@pytest.fixture(scope="module")
def worn(encoder: Encoder) -> list[np.ndarray]:
    """Crops of the garments of four drawn people."""
    people = [outfits(5, number) for number in range(4)]
    view = encoder.preprocessing["street"]
    return [crop(person.photo, garment.box, view) for person in people for garment in person.garments]


def test_what_is_said_becomes_the_same_masses_and_probe() -> None:
    dice = np.random.default_rng(0)
    logits = picture.Logits(
        dice.normal(0, 2, (6, 8)).astype(np.float32), dice.normal(0, 3, (6, 1000)).astype(np.float32)
    )
    for before, after in zip(logits.rows, picture.of_said(picture.said_of(logits)), strict=True):
        assert after.kinds == before.kinds.tolist()
        masses = picture.masses(before.imagenet)
        assert list(after.masses) == list(masses)
        for kind, mass in masses.items():
            least = max(mass, picture.MIN_MASS)
            assert np.log(after.masses[kind] + picture.LEAST_MASS) == pytest.approx(
                np.log(least + picture.LEAST_MASS), abs=0.011
            )
        assert posterior.said_posterior(after) == pytest.approx(posterior.product_posterior(*before), abs=1e-3)


def test_what_is_said_gives_the_chances_that_logits_of_these_masses_give() -> None:
    """The logits put each mass on one class of ImageNet, in single precision, as a network of 1,000 classes would."""
    dice = np.random.default_rng(1)
    for _ in range(50):
        said = np.concatenate([dice.normal(0, 3, 8), dice.normal(-5, 2, 16)]).astype(np.float32)
        shares = np.maximum(np.exp(said[8:].astype(float)) - picture.LEAST_MASS, picture.MIN_MASS)
        imagenet = np.full(1000, -1e4, np.float32)
        imagenet[[classes[0] for classes in picture.IMAGENET.values()]] = 1.5 * np.log(shares)
        imagenet[0] = 1.5 * np.log(max(1 - shares.sum(), picture.MIN_MASS))  # a class of no kind
        (ours,) = picture.of_said(said[None])
        assert ours.masses == pytest.approx(picture.masses(imagenet), rel=1e-12)
        theirs = posterior.product_posterior(said[:8], imagenet)
        assert posterior.said_posterior(ours) == pytest.approx(theirs, rel=1e-12)
        evidence = dict.fromkeys(theirs, 0.5)
        row = picture.CropLogits(said[:8], imagenet)
        assert posterior.combined(evidence, ours) == pytest.approx(posterior.combined(evidence, row), rel=1e-9)


@pytest.mark.parametrize("said", [-50.0, 0.5, 800.0, -np.inf])
def test_masses_below_the_least_and_above_one_in_sum_stay_probabilities(said: float) -> None:
    (row,) = picture.of_said(np.array([[0.0] * 8 + [said] * 16], np.float32))
    chances = posterior.said_posterior(row)
    assert sum(chances.values()) == pytest.approx(1)
    assert min(chances.values()) >= 0


def test_what_is_no_number_stays_none() -> None:
    (row,) = picture.of_said(np.full((1, picture.SAID), np.nan, np.float32))
    assert np.isnan(posterior.part(posterior.said_posterior(row))).any()


QUERY = Clues(is_query=True)


def kinds_of(encoder: Encoder, crops: list[np.ndarray], clue: Clues) -> np.ndarray:
    return encoder.encode(crops, [clue] * len(crops))[:, encoder.columns[KIND]]


def test_queries_are_judged_by_the_maps_of_the_shipped_encoder(encoder: Encoder, worn: list[np.ndarray]) -> None:
    assert encoder.with_kinds is not None
    assert encoder.with_kinds.own is not None
    both = encoder.with_kinds.own.run(np.stack(worn))
    assert np.allclose(both.vectors, encoder.embedder.vectors(np.stack(worn)), atol=1e-6)
    parts = [posterior.part(posterior.said_posterior(row)) for row in both.predictions if isinstance(row, picture.Said)]
    assert np.allclose(kinds_of(encoder, worn, QUERY), parts, atol=1e-6)


def test_products_are_judged_by_the_network_of_kinds_whatever_stands_beside_them(
    encoder: Encoder, worn: list[np.ndarray]
) -> None:
    """So vectors of a catalog do not depend on what an encoder file was taught."""
    clues = [Clues() if number % 2 else QUERY for number in range(len(worn))]
    mixed = encoder.encode(worn, clues)
    products, queries = encoder.encode(worn), encoder.encode(worn, [QUERY] * len(worn))
    for number, row in enumerate(mixed):
        assert np.allclose(row, (products if number % 2 else queries)[number], atol=1e-5)
    theirs = [posterior.part(posterior.product_posterior(*row)) for row in picture.logits(worn).rows]
    assert ((products[:, encoder.columns[KIND]] * theirs).sum(1) > 0.9999).all()


def test_a_query_says_about_what_a_product_says(encoder: Encoder, worn: list[np.ndarray]) -> None:
    ours, theirs = kinds_of(encoder, worn, QUERY), kinds_of(encoder, worn, Clues())
    agreement = ours @ theirs.T
    others = agreement[~np.eye(len(worn), dtype=bool)]
    assert np.diag(agreement).mean() > 0.85
    assert np.diag(agreement).mean() > others.mean() + 0.1


def test_clues_of_a_query_are_those_of_a_product_but_for_who_judges() -> None:
    from osoroi.garments.query import PICTURE_ALONE

    assert Clues() == PICTURE_ALONE  # searches recognise by it that a picture alone decides
    assert PICTURE_ALONE.is_query


def test_what_a_file_keeps_beside_its_graph_is_in_no_fingerprint() -> None:
    model = DEFAULT.read_bytes()
    whole = taught(model)
    assert len(whole) > len(model)
    assert taught(whole[len(model) :]) == whole[len(model) :]  # a file without the entry stays as it is
    for read in (taught, lambda cut: with_nodes(cut, b"")):
        with pytest.raises(BadEncoder, match="cut short"):
            read(model[: len(model) // 4])
    assert computation(model) == computation(with_nodes(model, b"\x12\x00"))


def test_nodes_that_are_taught_anew_take_the_place_of_those_before() -> None:
    """A head that is fitted for a file that has one is the head that is used."""
    model = DEFAULT.read_bytes()
    fresh = with_nodes(model, b"\x12\x00")
    assert model.count(NAME.encode()) == fresh.count(NAME.encode()) == 1
    assert taught(fresh) == fresh + bytes([0x3A, 2, 0x12, 0])
    assert computation(fresh) == computation(model)


def test_an_entry_that_is_no_base_64_is_refused() -> None:
    model = with_entry(DEFAULT.read_bytes(), "{}").replace(NAME.encode(), b"osoroi.other")
    broken = with_nodes(model, b"\x12\x00").replace(base64.b64encode(b"\x12\x00"), b"!!!=")
    with pytest.raises(BadEncoder, match=r"'osoroi.kinds' is no base 64"):
        taught(broken)


def test_an_output_of_another_size_is_refused() -> None:
    onnx = pytest.importorskip("onnx", reason="the model of this test is made with the package onnx")
    model = onnx.load(DEFAULT)
    model.graph.node.append(onnx.helper.make_node("Identity", ["vectors"], [OWN]))
    model.graph.output.append(onnx.helper.make_tensor_value_info(OWN, onnx.TensorProto.FLOAT, ["b", 256]))
    session = open_session(model.SerializeToString(), threads=1)
    with pytest.raises(BadEncoder, match=r"its output 'kinds' has the shape .*256.*, not \[b, 24\]"):
        OwnKinds.says(session)
