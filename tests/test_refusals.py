"""Odd configurations and weights that somebody brings end in a sentence that names the file, never in a traceback."""

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from brought import Tokens, save, siglip_config, write_json
from foreign_weights import save_weights, timm_vit, write_open_clip, write_timm
from osoroi import files
from osoroi.cli import main
from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.folder import open_folder
from osoroi.pretrained.make import Options, settings_of
from osoroi.pretrained.refusals import integer, refused, room
from osoroi.pretrained.translation import network, weights
from osoroi.pretrained.translation.layout import layout_of

torch = pytest.importorskip("torch")

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
VISION = {"image_size": 64, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
CLIP = {"visual.conv1.weight": (32, 3, 16, 16), "visual.proj": (32, 24), "visual.positional_embedding": (17, 32),
        "visual.class_embedding": (32,)}  # fmt: skip


def told(folder: Path) -> str:
    """What is said of a folder; it has to be an error of ours, before transformers is needed."""
    outcome = CliRunner().invoke(main, ["encoder", "make", "--backbone", str(folder), "--out", str(folder / "o.onnx")])
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    assert outcome.exit_code in (1, 2)
    assert "install" not in outcome.stderr
    return outcome.stderr


def timm_folder(folder: Path, tensors: dict | None = None, **config) -> Path:
    write_timm(folder, timm_vit() | (tensors or {}), "vit_tiny_patch16_224", model_args=SMALL)
    stated = json.loads((folder / "config.json").read_text())
    pixels = config.pop("pretrained_cfg", {})
    arguments = config.pop("arguments", {})
    stated |= {"pretrained_cfg": stated["pretrained_cfg"] | pixels, "model_args": SMALL | arguments} | config
    write_json(folder / "config.json", stated)
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_args": ["a"]}, "model_args=['a']"),
        ({"model_args": "a"}, "model_args='a'"),
        ({"arguments": {"embed_dim": "big"}}, "embed_dim='big'"),
        ({"arguments": {"embed_dim": None}}, "[192, 3, 16, 16]"),  # as absent: the size of the name
        ({"arguments": {"patch_size": [16, 16]}}, "patch_size=[16, 16]"),
        ({"arguments": {"act_layer": ["gelu"]}}, "activation ['gelu']"),
        ({"arguments": {"num_heads": 0}}, "num_heads=0"),
        ({"arguments": {"depth": True}}, "depth=True"),
        ({"pretrained_cfg": {"input_size": 224}}, "input_size 224"),
        ({"pretrained_cfg": {"input_size": [224, 224]}}, "input_size [224, 224]"),
        ({"pretrained_cfg": {"crop_pct": "x"}}, "config.json cannot be followed"),
        ({"pretrained_cfg": {"crop_mode": ["x"]}}, "config.json cannot be followed"),
        ({"pretrained_cfg": {"input_size": [3, 8, 8]}}, "smaller than one patch"),
    ],
)
def test_odd_configurations_of_timm(tmp_path, config, words):
    assert words in told(timm_folder(tmp_path, **config))


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("blocks.0.mlp.fc1.weight", torch.tensor(1.0), "blocks.0.mlp.fc1.weight of"),
        ("pos_embed", torch.tensor(1.0), "pos_embed of"),
        ("pos_embed", torch.ones(1, 17, 30), "[1, 17, 30]"),
        ("norm.weight", torch.tensor([float("nan")] * 32), "(NaN or infinity) in norm.weight"),
        ("norm.weight", torch.tensor([float("-inf")] * 32), "(NaN or infinity) in norm.weight"),
        ("norm.weight", torch.ones(32, dtype=torch.int32), "int32 in norm.weight"),
        ("cls_token", torch.ones(1, 1, 32, dtype=torch.complex64), "complex64 in cls_token"),
    ],
)
def test_odd_weights_of_timm(tmp_path, name, tensor, words):
    said = told(timm_folder(tmp_path, {name: tensor}))
    assert words in said
    assert "model.safetensors" in said


@pytest.mark.parametrize(
    ("config", "shapes", "words"),
    [
        ({"embed_dim": None}, {}, "[32, 512]"),
        ({"embed_dim": "x"}, {}, "embed_dim='x'"),
        ({"vision_cfg": VISION | {"head_width": 0}}, {}, "head_width=0"),
        ({"vision_cfg": VISION | {"layers": "x"}}, {}, "layers='x'"),
        ({}, {"visual.positional_embedding": (32,)}, "positions of the shape [32]"),
    ],
)
def test_odd_folders_of_open_clip(tmp_path, config, shapes, words):
    tensors = {name: torch.ones(shape) for name, shape in (CLIP | shapes).items()}
    write_open_clip(tmp_path, tensors, {"embed_dim": 24, "vision_cfg": VISION} | config)
    assert words in told(tmp_path)


def test_lists_in_place_of_settings_of_open_clip(tmp_path):
    write_open_clip(tmp_path, {"visual.proj": torch.ones(2, 2)}, {"vision_cfg": VISION})
    for content in ({"preprocess_cfg": [1]}, {"preprocess_cfg": {}, "model_cfg": [1]}):
        write_json(tmp_path / "open_clip_config.json", content)
        assert "open_clip_config.json has" in (said := told(tmp_path))
        assert "_cfg=[1], which is no settings by name" in said


def test_odd_weights_beside_a_good_graph_do_not_stop_it(tmp_path):
    """Counters and text halves may be anything; the graph is what runs."""
    timm_folder(tmp_path, arguments={"embed_dim": None})
    write_json(tmp_path / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), tmp_path / "model.onnx")
    out = tmp_path / "o.onnx"
    outcome = CliRunner().invoke(main, ["encoder", "make", "--backbone", str(tmp_path), "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert "model.safetensors, did not check it" in outcome.stderr


def test_counters_and_what_lies_beside_may_be_other_numbers(tmp_path):
    counted = {"bn.num_batches_tracked": torch.tensor(3), "text_model.a": torch.tensor([float("nan")])}
    save_weights(tmp_path / "w.safetensors", counted | {"half": torch.ones(2, dtype=torch.float16)})
    read = weights.read(tmp_path / "w.safetensors", "", beside=("text_model.",))
    assert read["bn.num_batches_tracked"].item() == 3
    assert read["half"].dtype == torch.float32
    with pytest.raises(BadEncoder, match=r"in text_model\.a"):
        weights.read(tmp_path / "w.safetensors", "")


def test_a_tensor_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    class Broken:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def keys(self):
            return ["a"]

        def get_tensor(self, name):
            raise RuntimeError(f"no {name}\nmore")

    monkeypatch.setattr(weights, "opened", lambda _: Broken())
    with pytest.raises(BadEncoder, match=r"w cannot be read \(RuntimeError: no a\)"):
        weights.read(tmp_path / "w", "")


def test_errors_of_the_system_and_ours_pass():
    with pytest.raises(OSError, match="full"), refused("x", "y"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(MemoryError), refused("x", "y"):
        raise MemoryError
    with pytest.raises(BadEncoder, match=r"^x y \(KeyError: 'a'\)"), refused("x", "y"):
        raise KeyError("a")
    with pytest.raises(BadEncoder, match=r"z=1\.5"):
        integer({"z": 1.5}, "z", 1, "c")


def test_a_full_disk_is_named_with_what_to_do(tmp_path, monkeypatch):
    """Errors of writing name no file: the command said `No space left on device` alone."""
    with pytest.raises(OSError, match="hint") as raised, room("there", "hint"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "there")
    with pytest.raises(OSError, match="no such") as raised, room("there", "hint"):
        raise OSError(errno.ENOENT, "no such")
    assert raised.value.filename is None
    write_json(tmp_path / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), tmp_path / "model.onnx")
    write, out = files.write_atomically, tmp_path / "o.onnx"

    def full(where):
        def written(path, *rest, **more):
            if where(path):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(path, *rest, **more)

        monkeypatch.setattr(files, "write_atomically", written)
        return CliRunner().invoke(main, ["encoder", "make", "--backbone", str(tmp_path), "--out", str(out)]).stderr

    assert f"error: {out}: No space left on device; free some room, or write it to another disk" in full(
        lambda p: p == out
    )
    assert "set TMPDIR to a folder on a disk with more room" in full(lambda p: p != out)


def test_a_folder_that_is_right_is_translated(tmp_path):
    """The tables above change one field each of what is fine."""
    folder = open_folder(timm_folder(tmp_path))
    assert network.translated(folder, layout_of(folder), settings_of(folder, Options())).model == "ViTModel"


def test_the_folder_of_a_run_in_place_of_a_backbone_is_told_with_its_weights(tmp_path):
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(BadRequest, match="there is no model in"):
        open_folder(tmp_path)
    (tmp_path / "last.safetensors").touch()
    with pytest.raises(BadRequest, match="is a run of osoroi train") as raised:
        open_folder(tmp_path)
    assert raised.value.hint == f"to begin with its backbone, name {tmp_path / 'best.safetensors'}"
