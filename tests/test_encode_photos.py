"""Encoding photos: the vectors of the crops one would cut by hand, in order, on the provider that is there."""

from pathlib import Path

import numpy as np
import pytest

from osoroi import image
from osoroi.encoder import Encoder
from osoroi.errors import BadPhoto, BadRequest
from osoroi.inference import OnnxEmbedder
from osoroi.records import Box, Clues, Domain, Input
from tiny import TinyEncoder


def providers_of(encoder: Encoder) -> list[str]:
    assert isinstance(encoder.embedder, OnnxEmbedder)
    return encoder.embedder.session.get_providers()


def test_queries_and_products_are_encoded_from_photos_as_from_crops() -> None:
    encoder = Encoder.open()
    photos = [np.random.default_rng(seed).integers(0, 255, (90, 70, 3), np.uint8) for seed in range(3)]
    boxes = [(5, 4, 60, 80), None, [0, 0, 70.0, 90]]
    places = [Box(5, 4, 60, 80), None, Box(0, 0, 70, 90)]
    domains: tuple[Domain, Domain] = ("street", "shop")
    for domain in domains:
        encode = encoder.encode_query if domain == "street" else encoder.encode_product
        crops = [image.crop(*item, encoder.preprocessing[domain]) for item in zip(photos, places, strict=True)]
        clues = Clues(is_query=domain == "street")
        vectors = encoder.encode_inputs([Input(crop, clues) for crop in crops])
        if domain == "street":
            np.testing.assert_allclose(encode(photos, boxes=boxes, threads=2), encoder.weigh(vectors), atol=1e-6)
            np.testing.assert_allclose(
                encoder.encode_query(photos, boxes=boxes, detail=0.9), encoder.weigh(vectors, 0.9), atol=1e-6
            )
        else:
            np.testing.assert_allclose(encode(photos, boxes=boxes, threads=2), vectors, atol=1e-6)
    assert encoder.encode_product([]).shape == (0, encoder.dim)


def test_photos_that_cannot_be_encoded_are_refused(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    photo = np.zeros((30, 30, 3), np.uint8)
    with pytest.raises(BadPhoto, match=r"no photo at .*nowhere"):
        encoder.encode_query([photo, tmp_path / "nowhere.jpg", photo])
    with pytest.raises(BadRequest, match="photos is str, not a list"):
        encoder.encode_query("a.jpg")
    with pytest.raises(BadRequest, match="1 boxes do not fit 2 photos"):
        encoder.encode_product([photo, photo], boxes=[None])


def test_the_provider_is_one_that_is_there() -> None:
    assert providers_of(Encoder.open(providers=["CPUExecutionProvider"])) == ["CPUExecutionProvider"]
    assert providers_of(Encoder.open())[-1] == "CPUExecutionProvider"
    with pytest.raises(BadRequest, match=r"no execution provider .'TPU'. here; choose from .*CPUExecutionProvider"):
        Encoder.open(providers=["TPU"])
    with pytest.raises(BadRequest, match="no execution provider"):
        Encoder.open(providers=[])
