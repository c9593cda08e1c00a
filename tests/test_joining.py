"""A joined model gives what its two models give, and computes once what both compute."""

import numpy as np
import pytest

from osoroi.encoder import DEFAULT, KIND, Encoder
from osoroi.encoder.joining import joined
from osoroi.encoder.with_kinds import PREFIX, Runs, WithKinds
from osoroi.garments import picture
from osoroi.garments.part import parts
from osoroi.garments.runtime import read
from osoroi.inference import open_session
from osoroi.records import Clues

onnx = pytest.importorskip("onnx", reason="the models of these tests are made with the package onnx")


def model(scale: float, *, half: bool = False, first: str = "Mul", output: str = "y") -> bytes:
    """(crops · scale, or crops + scale) convolved with 1 by 1, times 3."""
    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, np.float16 if half else np.float32
    weights = np.full((1, 1, 1, 1), scale, kind)
    nodes = [
        helper.make_node(first, ["crops", "scale"], ["scaled"]),
        *([helper.make_node("Cast", ["stored"], ["weights"], to=onnx.TensorProto.FLOAT)] if half else []),
        helper.make_node("Conv", ["scaled", "weights"], ["convolved"]),
        helper.make_node("Mul", ["convolved", "three"], [output]),
    ]
    tensors = {"scale": np.float32(scale), "stored" if half else "weights": weights, "three": np.float32(3)}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("crops", onnx.TensorProto.FLOAT, ["b", 1, 2, 2])],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["b", 1, 2, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


def test_what_both_compute_is_computed_once_even_where_one_stores_it_in_half_precision() -> None:
    both = joined(model(1 / 3), model(1 / 3, half=True, output="z"), "other/")
    assert both is not None
    assert [node.op_type for node in onnx.load_from_string(both).graph.node].count("Conv") == 1
    crops = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    ours, theirs = open_session(both, 1).run(["y", "other/z"], {"crops": crops})
    assert np.allclose(ours, crops / 9 * 3)
    assert np.array_equal(ours, theirs)


def test_where_the_way_parts_each_model_keeps_its_own() -> None:
    """The second adds where the first multiplies, so the convolution sees other numbers though it is the same."""
    assert joined(model(0.5), model(0.5, first="Add"), "other/") is None
    assert joined(model(0.5), model(0.25), "other/") is None


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """Smooth colours, as photos have them."""
    rng = np.random.default_rng(3)
    rows = [np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((32, 32, 1))) for _ in range(3)]
    return [row.astype(np.uint8) for row in rows]


def untaught() -> Encoder:
    """The shipped encoder as if its file did not say kinds itself."""
    encoder = Encoder.open()
    encoder.with_kinds = Runs(None, WithKinds(DEFAULT.read_bytes(), 1, None))
    return encoder


def test_the_joined_model_gives_the_encoders_vectors_and_the_networks_kinds(crops: list[np.ndarray]) -> None:
    encoder = untaught()
    vectors = encoder.encode(crops)
    alone = Encoder(encoder.embedder, encoder.metadata).encode(crops)
    graph = sum(part.size for part in encoder.metadata.graph_parts)
    assert np.allclose(vectors[:, :graph], alone[:, :graph], atol=1e-6)
    assert ((vectors * alone).sum(1) / 3).min() > 0.99999
    assert not np.array_equal(vectors[:, graph:], alone[:, graph:]), "the encoder's blocks are not rounded"


def test_known_kinds_need_no_network(crops: list[np.ndarray]) -> None:
    encoder = untaught()
    known = [Clues(known={"top": 1.0})] * 3
    assert encoder.with_kinds is not None
    assert encoder.with_kinds.joined is not None
    encoder.encode(crops, known)
    assert encoder.with_kinds.joined.opened is False
    mixed = encoder.encode(crops, [*known[:2], Clues()])
    assert encoder.with_kinds.joined.opened is True
    assert np.allclose(mixed[:2, encoder.columns[KIND]], parts(crops[:2], known[:2]))


def test_the_shipped_encoder_shares_blocks_with_the_network_of_kinds() -> None:
    theirs = read("kind.onnx")
    both = joined(DEFAULT.read_bytes(), theirs, PREFIX)
    assert both is not None
    assert len(both) - DEFAULT.stat().st_size < len(theirs)
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load_from_string(each).graph.node)
        for each in (DEFAULT.read_bytes(), theirs, both)
    ]
    assert convolutions[0] + convolutions[1] - convolutions[2] >= 24


def test_crops_of_another_size_are_not_joined() -> None:
    assert WithKinds.takes(picture.INPUT.shape, "b")
    assert not WithKinds.takes((224, 224, 3), "b")
    assert not WithKinds.takes(picture.INPUT.shape, 1)
