"""Encoder files: what is read, what is refused, and what the vectors promise."""

import json
import math
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from osoroi.encoder import BATCH, DEFAULT, Encoder
from osoroi.encoder.metadata import ENTRY, EncoderMetadata, computation, fingerprint
from osoroi.errors import BadEncoder, BadRequest
from osoroi.records import Domain, Part, Preprocessing

VIEWS: dict[Domain, Preprocessing] = {
    "street": Preprocessing(4, 2, margin=0.05),
    "shop": Preprocessing(4, 2, trim=True),
}
PARTS = (Part("deep", 1, 0.25), Part("detail", 2, 0.75))


NORMALIZED = (
    helper.make_node("Cast", ["crops"], ["real"], to=TensorProto.FLOAT),
    helper.make_node("ReduceMean", ["real", "axes"], ["mean"], keepdims=0),
    helper.make_node("Add", ["mean", "one"], ["above"]),
    helper.make_node("Split", ["above", "sizes"], ["first", "second"], axis=1),
    helper.make_node("LpNormalization", ["first"], ["deep"], axis=1, p=2),
    helper.make_node("LpNormalization", ["second"], ["detail"], axis=1, p=2),
)
TOGETHER = helper.make_node("Concat", ["deep", "detail"], ["vectors"], axis=1)


def tensor(name: str, *numbers: float) -> onnx.TensorProto:
    whole = all(isinstance(number, int) for number in numbers)
    return helper.make_tensor(name, TensorProto.INT64 if whole else TensorProto.FLOAT, [len(numbers)], numbers)


def tiny(tmp_path: Path, *, with_attention=False, steps=(TOGETHER,), more=(), **changes) -> Path:
    """An encoder file of crops of 4 x 2: the mean red, green and blue above 1, each part of unit length."""
    nodes = [*NORMALIZED, *steps]
    gives = [
        helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [changes.get("rows", "b"), changes.get("dim", 3)])
    ]
    held = [tensor("axes", 1, 2), tensor("one", 1.0), tensor("sizes", 1, 2), *more]
    if with_attention:
        nodes.append(helper.make_node("ReduceMax", ["real", "last"], ["attention"], keepdims=0))
        gives.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["b", 4, 2]))
        held.append(tensor("last", 3))
    takes = [helper.make_tensor_value_info("crops", changes.get("takes", TensorProto.UINT8), ["b", 4, 2, 3])]
    graph = helper.make_graph(nodes, "tiny", takes, gives, held)
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(one, 1) for one in changes.get("domains", ()))]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=changes.get("functions", ()))
    signed = changes.get("signed") or fingerprint(computation(model.SerializeToString()), PARTS, VIEWS)
    metadata = EncoderMetadata(PARTS, VIEWS, recipe="tiny", training="nothing", licence="CC0-1.0", fingerprint=signed)
    said = json.loads(metadata.to_json()) | changes.get("metadata", {})
    if not changes.get("anonymous"):
        model.metadata_props.add(key=ENTRY, value=changes.get("text", json.dumps(said)))
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def colours(*rows) -> list[np.ndarray]:
    return [np.full((4, 2, 3), row, np.uint8) for row in rows]


def test_an_encoder_file_says_what_it_is(tmp_path):
    encoder = Encoder.open(tiny(tmp_path))
    assert (encoder.parts, dict(encoder.preprocessing), encoder.dim) == (PARTS, VIEWS, 3)
    assert (encoder.recipe, encoder.training, encoder.licence) == ("tiny", "nothing", "CC0-1.0")
    assert len(encoder.fingerprint) == 64


def test_crops_keep_their_order_over_several_batches(tmp_path):
    encoder = Encoder.open(tiny(tmp_path))
    crops = colours(*([n, 2 * n, 255 - n] for n in range(2 * BATCH + 5)))
    vectors = encoder.encode(crops)
    assert vectors.dtype == np.float32
    lengths = [math.hypot(2 * n + 1, 256 - n) for n in range(2 * BATCH + 5)]
    expected = [[1, (2 * n + 1) / length, (256 - n) / length] for n, length in enumerate(lengths)]
    assert np.allclose(vectors, expected, atol=1e-6)


def test_no_crops_give_no_rows(tmp_path):
    assert Encoder.open(tiny(tmp_path)).encode([]).shape == (0, 3)


def test_weights_scale_the_parts_of_a_query_and_the_slider_replaces_one(tmp_path):
    encoder = Encoder.open(tiny(tmp_path))
    vectors = np.array([[1, 2, 4]], np.float32)
    assert encoder.weigh(vectors).tolist() == [[0.25, 1.5, 3.0]]
    assert encoder.weigh(vectors, 0.5).tolist() == [[0.5, 1.0, 2.0]]
    assert encoder.weigh(vectors, 0.0).tolist() == [[1.0, 0.0, 0.0]]
    assert encoder.weigh(vectors, 1.0).tolist() == [[0.0, 2.0, 4.0]]


def test_one_inner_product_of_a_weighed_query_is_the_weighed_sum_of_cosines(tmp_path):
    encoder = Encoder.open(tiny(tmp_path))
    query, stored = np.array([[1, 0.6, 0.8]], np.float32), np.array([[-1, 0.8, 0.6]], np.float32)
    cosines = encoder.by_part(query * stored)
    assert cosines["deep"].tolist() == [-1]
    assert cosines["detail"].tolist() == pytest.approx([0.96])  # .48 + .48
    assert (encoder.weigh(query) @ stored.T).item() == pytest.approx(0.25 * -1 + 0.75 * 0.96)


def test_other_weights_make_another_encoder_of_the_same_vectors(tmp_path):
    encoder = Encoder.open(tiny(tmp_path))
    deep, both = encoder.weighed({"deep": 3.0}), encoder.weighed({"deep": 1.0, "detail": 4.0})
    assert [part.weight for part in deep.parts] == [1.0, 0.0]
    assert [part.weight for part in both.parts] == pytest.approx([0.2, 0.8])
    assert encoder.parts == PARTS
    assert deep.fingerprint == encoder.fingerprint
    assert deep.weigh(np.ones((1, 3), np.float32), 0.25).tolist() == [[0.75, 0.25, 0.25]]


@pytest.mark.parametrize("weights", [{"cut": 1.0}, {"deep": 0.0}, {"deep": 2.0, "detail": -1.0}, {}])
def test_weights_that_fit_no_part_are_refused(tmp_path, weights):
    with pytest.raises(BadRequest, match=r"do not fit the parts \['deep', 'detail'\]"):
        Encoder.open(tiny(tmp_path)).weighed(weights)


@pytest.mark.parametrize("detail", [-0.01, 1.01, float("nan")])
def test_a_slider_outside_its_range_is_refused(tmp_path, detail):
    with pytest.raises(BadRequest, match="is outside"):
        Encoder.open(tiny(tmp_path)).weigh(np.ones((1, 3), np.float32), detail)


def test_an_encoder_of_one_part_has_no_slider(tmp_path):
    metadata = EncoderMetadata((Part("both", 3, 1.0),), VIEWS, "tiny", "nothing", "CC0-1.0", fingerprint="")
    encoder = Encoder(Encoder.open(tiny(tmp_path)).embedder, metadata)
    assert encoder.weigh(np.ones((1, 3), np.float32)).tolist() == [[1, 1, 1]]
    with pytest.raises(BadRequest, match="no weight of 'detail' to set"):
        encoder.weigh(np.ones((1, 3), np.float32), 0.5)


def test_attention_is_a_map_of_the_crop_where_the_file_has_one(tmp_path):
    crop = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    found = Encoder.open(tiny(tmp_path, with_attention=True)).foreground(crop)
    assert found.tolist() == [[2, 5], [8, 11], [14, 17], [20, 23]]
    with pytest.raises(BadRequest, match="no map of the garment"):
        Encoder.open(tiny(tmp_path)).foreground(crop)


@pytest.mark.parametrize(
    "crop",
    [np.zeros((2, 4, 3), np.uint8), np.zeros((4, 2, 3), np.uint8)[:, :1], np.zeros((8, 4, 3), np.uint8)],
)
def test_a_crop_of_another_size_is_refused_with_both_sizes(tmp_path, crop):
    with pytest.raises(BadEncoder, match=r"takes crops of uint8 \(4, 2, 3\), not of uint8"):
        Encoder.open(tiny(tmp_path)).encode([crop])


def test_the_weights_of_the_parts_are_not_in_the_fingerprint_but_all_else_is():
    one = fingerprint(b"g", PARTS, VIEWS)
    heavier = (Part("deep", 1, 0.9), Part("detail", 2, 0.1))
    renamed = (Part("deep", 1, 0.25), Part("shallow", 2, 0.75))
    resized = (Part("deep", 2, 0.25), Part("detail", 1, 0.75))
    views: dict[Domain, Preprocessing] = {"street": VIEWS["street"], "shop": Preprocessing(4, 2, trim=False)}
    assert fingerprint(b"g", heavier, VIEWS) == one
    others = [fingerprint(b"h", PARTS, VIEWS), fingerprint(b"g", renamed, VIEWS), fingerprint(b"g", resized, VIEWS)]
    assert len({one, *others, fingerprint(b"g", PARTS, views)}) == 5


def test_the_walk_finds_the_graph_that_the_onnx_package_finds(tmp_path):
    model = tiny(tmp_path).read_bytes()
    assert computation(model) == onnx.load_model_from_string(model).graph.SerializeToString()


def scaled(factor: float) -> onnx.FunctionProto:
    """A local function ``own.F``, which a graph calls and does not hold."""
    constant = helper.make_node("Constant", [], ["c"], value_float=factor)
    product = helper.make_node("Mul", ["x", "c"], ["y"])
    return helper.make_function("own", "F", ["x"], ["y"], [constant, product], [helper.make_opsetid("", 18)])


CALL = (
    helper.make_node("Concat", ["deep", "detail"], ["both"], axis=1),
    helper.make_node("F", ["both"], ["vectors"], domain="own"),
)


def test_the_fingerprint_covers_the_functions_of_a_file(tmp_path):
    plus, minus = (
        Encoder.open(tiny(tmp_path, steps=CALL, functions=[scaled(factor)], domains=["own"])) for factor in (1.0, -1.0)
    )
    assert (plus.encode(colours([9, 9, 9])) == -minus.encode(colours([9, 9, 9]))).all()
    assert plus.fingerprint != minus.fingerprint
    altered = tiny(tmp_path, steps=CALL, functions=[scaled(-1.0)], domains=["own"], signed=plus.fingerprint)
    with pytest.raises(BadEncoder, match="altered after it was written"):
        Encoder.open(altered)


def test_the_fingerprint_covers_the_versions_of_the_operators(tmp_path):
    path = tiny(tmp_path)
    model = onnx.load(path)
    model.opset_import[0].version = 19
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadEncoder, match="altered after it was written"):
        Encoder.open(path)


def external(name: str) -> onnx.TensorProto:
    """A tensor of three numbers in a file beside."""
    made = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "12")):
        made.external_data.add(key=key, value=value)
    return made


@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph", "sparse"])
def test_tensors_in_other_files_are_refused_wherever_they_lie(tmp_path, monkeypatch, place):
    (tmp_path / "weights.bin").write_bytes(np.ones(3, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would find them
    constant = helper.make_node("Constant", [], ["w"], value=external("w"))
    path = tiny(tmp_path)
    model = onnx.load(path)
    if place == "initializer":
        model.graph.initializer.append(external("w"))
    elif place == "attribute":
        model.graph.node.append(constant)
    elif place == "sparse":
        model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=external("w"), dims=[3]))
    else:
        branch = helper.make_graph(
            [constant], "branch", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [3])]
        )
        model.graph.node.append(helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadEncoder, match=r"tiny\.onnx: an ONNX file that keeps tensors in another file"):
        Encoder.open(path)


BOTH = helper.make_node("Concat", ["deep", "detail"], ["both"], axis=1)
NOT_A_NUMBER = (
    helper.make_node("Sub", ["both", "both"], ["nought"]),
    helper.make_node("Div", ["nought", "nought"], ["vectors"]),
)
WRONG = {
    "not a number": ((BOTH, *NOT_A_NUMBER), (), "lengths"),
    "too long": ((BOTH, helper.make_node("Mul", ["both", "two"], ["vectors"])), (tensor("two", 2.0),), "lengths"),
    "one part too long": ((helper.make_node("Concat", ["deep", "second"], ["vectors"], axis=1),), (), "lengths"),
    "two rows a crop": (
        (BOTH, helper.make_node("Concat", ["both", "both"], ["vectors"], axis=0)),
        (),
        r"2 crops give vectors of float32 \[4, 3\]",
    ),
    "one row for all": (
        (BOTH, helper.make_node("ReduceMean", ["both", "rows"], ["vectors"])),
        (tensor("rows", 0),),
        r"2 crops give vectors of float32 \[1, 3\]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_vectors_that_are_not_what_the_file_says_are_refused_when_it_is_opened(tmp_path, name):
    steps, more, message = WRONG[name]
    with pytest.raises(BadEncoder, match=rf"tiny\.onnx: .*{message}"):
        Encoder.open(tiny(tmp_path, steps=steps, more=more, rows=None))


def test_a_file_that_never_ends_is_stopped(tmp_path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["b", 3]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, ["b", 3]),
        ],
    )
    steps = [BOTH, helper.make_node("Loop", ["", "yes", "both"], ["vectors"], body=body)]
    path = tiny(tmp_path, steps=steps, more=[helper.make_tensor("yes", TensorProto.BOOL, [], [True])])
    start = time.monotonic()
    with pytest.raises(BadEncoder, match=r"tiny\.onnx: two crops took longer than 0\.3 s"):
        Encoder.open(path, limit_s=0.3)
    assert time.monotonic() - start < 25


def test_a_file_whose_constants_take_for_ever_is_refused_before_they_are_computed_while_loading(tmp_path):
    """3,000 products of matrices of 512 x 512 are a minute; ONNX Runtime computes constants when it optimizes."""
    chain = [helper.make_node("ConstantOfShape", ["shape"], ["m0"])]
    chain += [helper.make_node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(3_000)]
    chain += [helper.make_node("ReduceMax", ["m3000"], ["none"], keepdims=0)]  # 0
    path = tiny(
        tmp_path,
        steps=[BOTH, *chain, helper.make_node("Add", ["both", "none"], ["vectors"])],
        more=[tensor("shape", 512, 512)],
    )
    start = time.monotonic()
    with pytest.raises(BadEncoder, match=r"tiny\.onnx: two crops took longer than 0\.5 s"):
        Encoder.open(path, limit_s=0.5)
    assert time.monotonic() - start < 25


def test_a_pipe_or_a_device_is_no_encoder(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        with pytest.raises(BadEncoder, match="not an ordinary file"):
            Encoder.open(path)


def test_a_vector_that_is_no_number_is_an_error_of_ours(tmp_path):
    class Broken:
        def vectors(self, crops):
            return np.full((len(crops), 3), np.nan, np.float32)

        def foreground(self, crops):
            return None

    metadata = Encoder.open(tiny(tmp_path)).metadata
    with pytest.raises(BadEncoder, match="no number"):
        Encoder(Broken(), metadata).encode(colours([1, 2, 3]))


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": [{"name": "deep", "size": 1, "weight": 0.5}, {"name": "deep", "size": 2, "weight": 0.5}]},
        {"parts": [{"name": "deep", "size": 1, "weight": 0.5}, {"name": "detail", "size": 2, "weight": 0.9}]},
        {"views": {"street": {"height": 0, "width": 2}, "shop": {"height": 4, "width": 2}}},
        {"views": {"street": {"height": 4, "width": 2, "margin": -1}, "shop": {"height": 4, "width": 2}}},
        {"views": {"street": {"height": 4, "width": 2, "trim": "no"}, "shop": {"height": 4, "width": 2}}},
        {"views": {"street": {"height": 4, "width": 2, "other": 1}, "shop": {"height": 4, "width": 2}}},
    ],
)
def test_metadata_that_mean_nothing_are_refused(tmp_path, changes):
    with pytest.raises(BadEncoder, match="metadata cannot be read"):
        Encoder.open(tiny(tmp_path, metadata=changes))


def test_a_flipped_bit_anywhere_in_the_graph_is_noticed(tmp_path):
    path = tiny(tmp_path)
    model = path.read_bytes()
    start = model.index(computation(model))
    for at in range(start, start + len(computation(model)), 7):
        path.write_bytes(model[:at] + bytes([model[at] ^ 4]) + model[at + 1 :])
        with pytest.raises(BadEncoder, match=r"tiny\.onnx"):
            Encoder.open(path)


def test_a_file_altered_after_it_was_written_says_so(tmp_path):
    path = tiny(tmp_path)
    model = onnx.load(path)
    model.graph.name = "other"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadEncoder, match="altered after it was written"):
        Encoder.open(path)


@pytest.mark.parametrize(
    "content", [b"no model", b"\x08\x0a", bytes(1000), b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 40, b"\x3a\x05hello"]
)
def test_a_file_that_is_no_onnx_model_is_refused_by_name(tmp_path, content):
    path = tmp_path / "coat.jpg"
    path.write_bytes(content)
    with pytest.raises(BadEncoder, match=r"coat\.jpg: .*give a file that `osoroi export` wrote"):
        Encoder.open(path)


def test_an_empty_file_is_no_encoder(tmp_path):
    path = tmp_path / "coat.jpg"
    path.touch()
    with pytest.raises(BadEncoder, match=r"coat\.jpg is an empty file, not an encoder file; export, copy"):
        Encoder.open(path)


def test_a_graph_of_nonsense_is_refused_by_name(tmp_path):
    path = tmp_path / "odd.onnx"
    path.write_bytes(b"\x08\x0a\x3a\x02\x12\x00")  # a graph that gives nothing
    with pytest.raises(BadEncoder, match=r"odd\.onnx: ONNX Runtime cannot run this file"):
        Encoder.open(path)


def test_a_name_that_is_no_unicode_is_refused_and_nothing_is_printed(tmp_path, capfd):
    """Each name in its turn, signed anew, so that nothing but the name is wrong with the file."""
    whole, prefix = tiny(tmp_path).read_bytes(), b"\x72"  # field 14, the metadata, comes last
    model = onnx.ModelProto.FromString(whole)
    card = model.metadata_props[0].value
    del model.metadata_props[:]
    bare = model.SerializeToString()
    for name in (b"crops", b"vectors", b"ReduceMean"):
        broken = bare.replace(name, name[:-1] + b"\xa1")
        assert broken != bare
        signed = json.dumps(json.loads(card) | {"fingerprint": fingerprint(computation(broken), PARTS, VIEWS)})
        entry = onnx.ModelProto(
            metadata_props=[onnx.StringStringEntryProto(key=ENTRY, value=signed)]
        ).SerializeToString()
        assert entry[:1] == prefix
        path = tmp_path / "odd.onnx"
        path.write_bytes(broken + entry)
        with pytest.raises(BadEncoder, match=r"odd\.onnx: .*(ONNX Runtime|no encoder)"):
            Encoder.open(path)
    said = capfd.readouterr()
    assert said.out == ""  # ONNX Runtime's fallback prints there
    assert "Traceback" not in said.err


def test_a_small_file_is_opened_in_little_memory(tmp_path):
    """Not the 2 GB that an ONNX file may have; a file above those is refused by its size, unread."""
    tiny(tmp_path)
    code = (
        "import resource, sys; from osoroi.encoder import Encoder\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28)); print(Encoder.open(sys.argv[1]).dim)"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    command = [sys.executable, "-c", code, str(tmp_path / "tiny.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr[-500:]
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(BadEncoder, match="larger than 2,147,483,647 bytes"):
        Encoder.open(tmp_path / "large.onnx")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(BadEncoder, match="no encoder can be read at"):
            Encoder.open(path)


def test_an_onnx_file_without_a_card_is_no_encoder(tmp_path):
    with pytest.raises(BadEncoder, match="an ONNX file, but no encoder: its metadata have no entry 'osoroi'"):
        Encoder.open(tiny(tmp_path, anonymous=True))


def test_a_newer_format_asks_for_a_newer_osoroi(tmp_path):
    with pytest.raises(BadEncoder, match="has format 3, and this one reads formats 1–2; install a newer osoroi"):
        Encoder.open(tiny(tmp_path, metadata={"format": 3}))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 1}', "null", '{"format": 1, "parts": [{"name": "deep", "size": 0, "weight": 2}]}'],
)
def test_a_card_that_is_not_ours_is_refused(tmp_path, text):
    with pytest.raises(BadEncoder, match="metadata cannot be read"):
        Encoder.open(tiny(tmp_path, text=text))


def test_a_graph_that_takes_or_gives_something_else_is_no_encoder(tmp_path):
    with pytest.raises(BadEncoder, match="an ONNX file, but no encoder: it takes"):
        Encoder.open(tiny(tmp_path, takes=TensorProto.INT8))


# The encoder that ships


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return Encoder.open()


@pytest.fixture(scope="module")
def crops(shipped) -> list[np.ndarray]:
    """Noise at several scales: neither flat nor alike."""
    random = np.random.default_rng(3)
    side = shipped.preprocessing["street"].height
    made = []
    for coarse in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 4, 8, 16, 32, 64, 2, 3):
        block = random.integers(0, 256, (coarse, coarse, 3))
        made.append(np.kron(block, np.ones((side // coarse, side // coarse, 1))).astype(np.uint8))
    return made


def test_the_encoder_that_ships_fits_in_16_megabytes_and_has_the_three_parts():
    encoder = Encoder.open()
    assert DEFAULT.stat().st_size <= 16e6
    assert [part.name for part in encoder.parts] == ["deep", "detail", "kind"]
    assert sum(part.weight for part in encoder.parts) == pytest.approx(1)
    assert encoder.preprocessing["shop"].trim
    assert encoder.preprocessing["street"].margin == 0.05


def test_every_part_has_unit_length(shipped, crops):
    vectors = shipped.encode(crops)
    for name, squares in shipped.by_part(vectors * vectors).items():
        assert squares == pytest.approx(1, abs=1e-5), name


def test_a_crop_has_the_same_vector_whatever_is_beside_it(shipped, crops):
    together = shipped.encode(crops)
    alone = np.concatenate([shipped.encode([crop]) for crop in crops])
    backwards = shipped.encode(crops[::-1])[::-1]
    assert np.abs(together - alone).max() <= 1e-5
    assert np.abs(together - backwards).max() <= 1e-5
    assert np.abs(together[0] - together[1]).max() > 0.01  # and not the same for every crop


def test_threads_do_not_change_a_vector(shipped, crops):
    assert np.abs(Encoder.open(threads=2).encode(crops[:4]) - shipped.encode(crops[:4])).max() <= 1e-5


def test_the_file_that_ships_names_no_file_of_the_machine_that_made_it():
    model = DEFAULT.read_bytes()
    assert not [word for word in (b"/home", b"/work", b"/tmp", b"site-packages") if word in model]
    assert struct.pack("<f", 0.0) in model  # the search looks at the whole file


def test_onnx_runtime_reads_the_card_by_itself():
    session = ort.InferenceSession(DEFAULT)
    assert json.loads(session.get_modelmeta().custom_metadata_map["osoroi"])["format"] == 2
