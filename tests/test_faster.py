"""The faster graph of the encoder that ships: the same vectors, by other nodes over the file's own weights."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from osoroi.encoder import DEFAULT, Encoder, open_session
from osoroi.encoder.faster import faster, path_of
from osoroi.encoder.metadata import read_metadata
from osoroi.encoder.taught import taught
from osoroi.encoder.trial import tried
from osoroi.inference import OnnxEmbedder
from osoroi.records import Clues

SIDE = 192
PLAIN = 3
"""Crops of one colour, the last ones."""

FINGERPRINT = read_metadata(open_session(DEFAULT.read_bytes(), threads=1)).fingerprint


def crops() -> np.ndarray:
    """Noise of several sizes, a ramp, black, white and a plain colour: what pooling and colours find hardest."""
    random = np.random.default_rng(5)
    blocks = [random.integers(0, 256, (n, n, 3)) for n in (1, 2, 6, 24, 64, SIDE)]
    noise = [np.kron(block, np.ones((SIDE // len(block),) * 2 + (1,))) for block in blocks]
    ramp = np.linspace(0, 255, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3)
    plain = [np.full((SIDE, SIDE, 3), colour) for colour in ((0, 0, 0), (255, 255, 255), (200, 30, 60))]
    return np.stack([*noise, ramp, *plain]).astype(np.uint8)


def outputs(model: bytes, names: list[str]) -> list[np.ndarray]:
    return open_session(model, threads=1).run(names, {"crops": crops()})


@pytest.mark.parametrize(("name", "slack"), [("vectors", 5e-6), ("attention", 1e-5), ("kinds", 1e-3)])
def test_the_faster_graph_gives_the_vectors_masks_and_kinds_of_the_file(name, slack):
    model = DEFAULT.read_bytes()
    other = faster(model, FINGERPRINT)
    assert other is not None
    (ours,), (theirs,) = outputs(taught(other), [name]), outputs(taught(model), [name])
    np.testing.assert_allclose(ours[:-PLAIN], theirs[:-PLAIN], rtol=0, atol=slack)
    np.testing.assert_allclose(ours[-PLAIN:], theirs[-PLAIN:], rtol=0, atol=20 * slack)  # deviations of next to nothing


def test_the_faster_graph_has_fewer_operations_and_no_weight_that_the_file_lacks():
    other = onnx.load_from_string(faster(DEFAULT.read_bytes(), FINGERPRINT) or b"")
    before = onnx.load(DEFAULT)
    assert len(other.graph.node) < 0.8 * len(before.graph.node)
    held = {one.name: one.SerializeToString() for one in before.graph.initializer}
    weights = [one for one in other.graph.initializer if one.name.startswith("network.")]
    assert len(weights) > 100
    assert all(held[one.name] == one.SerializeToString() for one in weights)
    assert path_of(FINGERPRINT).stat().st_size < 200_000


def test_a_copy_of_the_file_under_another_name_runs_it_too(tmp_path):
    copy = tmp_path / "encoder.onnx"
    copy.write_bytes(DEFAULT.read_bytes())
    encoder = Encoder.open(copy)
    assert isinstance(encoder.embedder, OnnxEmbedder)
    assert {output.name for output in encoder.embedder.session.get_outputs()} == {"vectors", "attention", "kinds"}
    assert tried(copy.read_bytes(), 1, None, 60.0).model == faster(copy.read_bytes(), FINGERPRINT)


def altered(swap: bool) -> bytes:
    """The packaged nodes with both parts the other way round, or with an operation that nobody knows."""
    graph = onnx.GraphProto.FromString(path_of(FINGERPRINT).read_bytes())
    last = next(node for node in graph.node if "vectors" in node.output)
    if swap:
        last.input[:] = reversed(last.input)
    else:
        last.op_type = "Unheard"
    return graph.SerializeToString()


@pytest.mark.parametrize(("swap", "said"), [(True, "differs by"), (False, "does not run here")])
def test_a_graph_that_gives_something_else_is_not_run(tmp_path, caplog, swap, said):
    path_of(FINGERPRINT, tmp_path).write_bytes(altered(swap))
    model = DEFAULT.read_bytes()
    with caplog.at_level(logging.WARNING, "osoroi"):
        found = tried(model, 1, None, 60.0, graphs=tmp_path)
    assert found.model == model
    assert said in caplog.text
    ours = found.session.run(["vectors"], {"crops": crops()})[0]
    np.testing.assert_array_equal(ours, outputs(taught(model), ["vectors"])[0])


@pytest.mark.parametrize("left", [0, 1, 30_000, -1, None])
def test_a_damaged_graph_leaves_the_file_to_run_by_its_own(tmp_path, caplog, left):
    """So much of the packaged nodes is left; None for a text in their place."""
    nodes = path_of(FINGERPRINT).read_bytes()
    path_of(FINGERPRINT, tmp_path).write_bytes(
        b"version https://git-lfs.example/spec/v1\n" if left is None else nodes[:left]
    )
    model = DEFAULT.read_bytes()
    with caplog.at_level(logging.WARNING, "osoroi"):
        assert tried(model, 1, None, 60.0, graphs=tmp_path).model == model
    assert "the faster graph" in caplog.text


def test_a_graph_that_cannot_be_read_leaves_the_file_to_run_by_its_own(tmp_path, caplog, monkeypatch):
    path_of(FINGERPRINT, tmp_path).write_bytes(path_of(FINGERPRINT).read_bytes())
    monkeypatch.setattr("osoroi.files.content", unreadable)
    with caplog.at_level(logging.WARNING, "osoroi"):
        assert tried(DEFAULT.read_bytes(), 1, None, 60.0, graphs=tmp_path).model == DEFAULT.read_bytes()
    assert "Permission denied" in caplog.text


def unreadable(path: Path) -> bytes:
    """Reading as somebody who may not."""
    raise PermissionError(13, "Permission denied", str(path))


def test_another_encoder_has_no_faster_graph():
    assert faster(DEFAULT.read_bytes(), "0" * 64) is None


def test_products_of_unknown_kind_still_share_their_blocks_with_the_network_of_kinds():
    encoder = Encoder.open()
    vectors = encoder.encode(list(crops()[:2]), [Clues()] * 2)
    assert encoder.with_kinds is not None
    assert encoder.with_kinds.joined is not None
    assert encoder.with_kinds.joined.run(crops()[:2]) is not None
    np.testing.assert_allclose(vectors[:, :256], encoder.embedder.vectors(crops()[:2]), rtol=0, atol=1e-5)
