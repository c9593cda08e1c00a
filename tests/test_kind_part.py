"""The part `kind`: what products and queries say of their kind, in vectors and files."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from kinds import kind_in, photo_of
from osoroi.data.synthetic.outfits import Outfits, outfits
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.metadata import EncoderMetadata
from osoroi.errors import BadEncoder, BadRequest
from osoroi.garments import part, posterior
from osoroi.garments.edges import ROWS
from osoroi.garments.kinds import NAMES
from osoroi.garments.picture import CropLogits
from osoroi.garments.profile import PLACES, Profile
from osoroi.garments.runtime import WEIGHTS
from osoroi.records import Box, Clues, Domain, Part, Preprocessing, Product
from tiny import TinyEncoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


@pytest.fixture(scope="module")
def alone() -> Outfits:
    return outfits(0, 0)


def test_the_version_belongs_to_the_network_the_table_and_the_rule_for_products() -> None:
    """Where this fails, vectors of products change: raise VERSION and write the new digest here."""
    dice = np.random.default_rng(0)
    logits = dice.normal(0, 2, 8).astype(np.float32), dice.normal(0, 2, 1000).astype(np.float32)
    chances = {kind: round(value, 4) for kind, value in posterior.product_posterior(*logits).items()}
    network = hashlib.sha256((WEIGHTS / "kind.onnx").read_bytes()).hexdigest()
    digest = hashlib.sha256(json.dumps([network, NAMES, chances]).encode()).hexdigest()
    assert (part.VERSION, digest[:16]) == ("1", "cf03ef1d48e97ae1")


def test_probabilities_of_a_picture_sum_to_one_whatever_the_logits() -> None:
    dice = np.random.default_rng(1)
    for scale in (0.0, 1.0, 20.0):
        probe, imagenet = (dice.normal(0, scale, size).astype(np.float32) for size in (8, 1000))
        assert sum(posterior.product_posterior(probe, imagenet).values()) == pytest.approx(1)


def test_bare_legs_speak_for_shorts_and_against_trousers() -> None:
    lines, places = np.zeros((len(PLACES), 3)), np.zeros(len(PLACES))
    bare, covered = (
        posterior.of_colours(Profile(lines, lines, places + skin, np.zeros(len(ROWS)))) for skin in (1.0, 0.0)
    )
    assert bare["shorts"] == pytest.approx(0.6 * 2.0)
    assert covered["shorts"] == pytest.approx(-0.6 * 2.5)
    assert bare["trousers"] == pytest.approx(-0.6 * (4 + 2))
    assert covered["trousers"] == 0


def test_a_place_that_says_nothing_leaves_the_picture_to_decide() -> None:
    row = CropLogits(np.array([0, 0, 9, 0, 0, 0, 0, 0], np.float32), np.zeros(1000, np.float32))
    chances = posterior.combined(dict.fromkeys(("top", "dress", "tie"), 0.0), row)
    assert max(chances, key=lambda kind: chances[kind]) == "dress"
    assert sum(chances.values()) == pytest.approx(1)


# -------------------------------------------------------------------- vectors


def test_a_category_decides_and_pictures_decide_where_it_is_not_understood(encoder: Encoder) -> None:
    photos = [photo_of(200)] * 3
    vectors = encoder.encode_product(photos, categories=["Women > Skirts > Midi", "New in", None])
    assert kind_in(encoder, vectors[0]) == {"skirt": pytest.approx(1)}
    assert np.array_equal(vectors[1], vectors[2])
    assert len(kind_in(encoder, vectors[1])) > 3
    start = encoder.columns[KIND].start
    assert np.array_equal(vectors[0, :start], vectors[1, :start])  # and nothing else depends on it


def test_the_place_on_the_body_tells_the_kind_of_a_query(encoder: Encoder, alone: Outfits) -> None:
    slots = {"top": ("top", "outerwear"), "trousers": ("trousers",), "shoes": ("shoes",)}
    for garment in alone.garments:
        (vector,) = encoder.encode_photos([alone.photo], "street", boxes=[garment.box])
        chances = kind_in(encoder, vector)
        assert max(chances, key=lambda kind: chances[kind]) in slots[garment.kind]
        assert vector @ vector == pytest.approx(3, abs=1e-4)  # three parts of unit length


def test_a_kind_that_is_given_is_taken_and_nobody_is_looked_for(encoder: Encoder, alone: Outfits) -> None:
    box = alone.garments[0].box
    vectors = encoder.encode_photos([alone.photo] * 2, "street", boxes=[box] * 2, kinds=["Skirts", {"hat": 0.5}])
    assert kind_in(encoder, vectors[0]) == {"skirt": pytest.approx(1)}
    assert kind_in(encoder, vectors[1]) == {"hat": pytest.approx(0.5)}
    with pytest.raises(BadRequest, match="'sofa' is no kind of garment"):
        encoder.encode_query([alone.photo], kinds=["sofa"])
    with pytest.raises(BadRequest, match="are no probabilities of kinds"):
        encoder.encode_query([alone.photo], kinds=[{"top": 0.8, "hat": 0.4}])


def test_the_slider_turns_shape_into_colour_and_leaves_the_kind_its_weight(encoder: Encoder) -> None:
    vector = np.ones((1, encoder.dim), np.float32)
    for detail in (0.0, 0.25, 1.0):
        scales = {name: float(vectors[0]) for name, vectors in _columns(encoder, encoder.weigh(vector, detail)).items()}
        assert scales == pytest.approx({"deep": 0.6 * (1 - detail), "detail": 0.6 * detail, "kind": 0.4})
    assert encoder.own_detail == pytest.approx(0.7)
    assert np.allclose(encoder.weigh(vector, 0.7), encoder.weigh(vector))


def _columns(encoder: Encoder, vectors: np.ndarray) -> dict[str, np.ndarray]:
    return {name: vectors[0, columns] for name, columns in encoder.columns.items()}


def test_against_pictures_the_kind_weighs_less_and_the_weights_still_sum_to_one(encoder: Encoder) -> None:
    vector = np.zeros((1, encoder.dim), np.float32)
    vector[:, encoder.columns["deep"].start] = vector[:, encoder.columns["detail"].start] = 1
    vector = encoder.with_kind(vector, Clues(known={"top": 1.0}))
    share = part.AGAINST_PICTURES["top"]
    for categorised, kept in ((1.0, 1.0), (0.5, (1 + share) / 2), (0.0, share)):
        weights = {
            name: float(each.max())
            for name, each in _columns(encoder, encoder.weigh(vector, categorised=categorised)).items()
        }
        assert weights["kind"] == pytest.approx(0.4 * kept)
        assert weights["detail"] == pytest.approx(0.7 * (1 - 0.4 * kept))
        assert sum(weights.values()) == pytest.approx(1)


def test_an_encoder_without_the_part_takes_no_kind_and_looks_for_nobody() -> None:
    tiny = TinyEncoder()
    assert tiny.query_clues(b"no photo at all", Box(0, 0, 5, 5)) == Clues()
    with pytest.raises(BadRequest, match="has no part 'kind'"):
        tiny.encode_query([photo_of(9)], kinds=["skirt"])


def test_metadata_with_the_part_are_of_format_2_and_without_it_as_before() -> None:
    views: dict[Domain, Preprocessing] = {"street": Preprocessing(8, 8), "shop": Preprocessing(8, 8)}
    plain = EncoderMetadata((Part("deep", 4, 1.0),), views, "r", "t", "l", "f")
    assert json.loads(plain.to_json())["format"] == 1
    assert "kinds" not in json.loads(plain.to_json())
    both = replace(plain, parts=part.with_kind(plain.parts, 0.25), kinds=part.VERSION)
    assert json.loads(both.to_json())["format"] == 2
    assert EncoderMetadata.from_json(both.to_json()) == both
    assert both.graph_parts == (Part("deep", 4, 0.75),)


def test_a_version_of_the_kinds_that_this_osoroi_does_not_have_is_refused(encoder: Encoder) -> None:
    from osoroi.encoder.metadata import demand_kinds

    demand_kinds(encoder.metadata)
    with pytest.raises(BadEncoder, match="is of version '0' of the kinds"):
        demand_kinds(replace(encoder.metadata, kinds="0"))


def test_an_attribute_kind_wins_only_where_it_is_a_name_of_a_kind() -> None:
    assert part.known_kind(Product("p", category="tops", attributes={"kind": "outerwear"})) == "outerwear"
    assert part.known_kind(Product("p", category="tops", attributes={"kind": "Cardigan"})) == "top"
    assert part.known_kind(Product("p", category="Drop 7", attributes={"kind": "Cardigan"})) == "outerwear"
