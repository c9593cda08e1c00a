"""What is wrong with a folder of open_clip or timm is said in a sentence, before anything is exported."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from brought import SIDE, Tokens, save, siglip_config, write_json
from foreign_weights import save_weights, timm_vit, write_open_clip, write_timm
from osoroi.cli import main
from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained import library
from osoroi.pretrained.folder import open_folder
from osoroi.pretrained.make import Options, settings_of
from osoroi.pretrained.translation import network
from osoroi.pretrained.translation.layout import layout_of

torch = pytest.importorskip("torch")

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
VISION = {"image_size": SIDE, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}


def translated(folder: Path, **stated):
    opened = open_folder(folder)
    return network.translated(opened, layout_of(opened), settings_of(opened, Options(stated=stated)))


def refused(folder: Path) -> str:
    """What the command prints of a folder that it refuses."""
    outcome = CliRunner().invoke(main, ["encoder", "make", "--backbone", str(folder), "--out", str(folder / "o.onnx")])
    assert outcome.exit_code in (1, 2)
    assert isinstance(outcome.exception, SystemExit)  # no traceback
    assert not (folder / "o.onnx").exists()
    return outcome.stderr


def vit(folder: Path, tensors=None, architecture="vit_tiny_patch16_224", **more) -> Path:
    write_timm(folder, timm_vit() if tensors is None else tensors, architecture, model_args=SMALL, **more)
    return folder


def test_fused_queries_keys_and_values_are_split_in_this_order(tmp_path):
    tensors = timm_vit()
    given = translated(vit(tmp_path, tensors)).tensors
    for number, name in enumerate(("query", "key", "value")):
        part = tensors["blocks.1.attn.qkv.weight"][32 * number : 32 * (number + 1)]
        assert torch.equal(given[f"encoder.layer.1.attention.attention.{name}.weight"], part)
    assert torch.equal(given["encoder.layer.0.output.dense.weight"], tensors["blocks.0.mlp.fc2.weight"])
    assert not any("head" in name for name in given)  # the classifier has no part in the vector


def test_what_the_configuration_leaves_out_is_what_the_name_says(tmp_path):
    """deit_small is 384 wide, of 12 blocks and 6 heads; nothing but the name says so."""
    tensors = timm_vit(depth=12, width=384)
    write_timm(tmp_path, tensors, "deit_small_patch16_224")
    config = translated(tmp_path).config
    assert (config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]) == (384, 12, 6)
    assert config["layer_norm_eps"] == 1e-6


def test_half_precision_is_read(tmp_path):
    vit(tmp_path, {name: tensor.to(torch.bfloat16) for name, tensor in timm_vit().items()})
    assert {tensor.dtype for tensor in translated(tmp_path).tensors.values()} == {torch.float32}


def test_missing_weights_are_named(tmp_path):
    tensors = timm_vit()
    del tensors["blocks.1.mlp.fc2.bias"]
    assert "lacks weights of its architecture: blocks.1.mlp.fc2.bias" in refused(vit(tmp_path, tensors))


def test_a_file_that_ends_before_its_last_block_is_refused(tmp_path):
    said = refused(vit(tmp_path, {name: each for name, each in timm_vit().items() if "blocks.1." not in name}))
    assert "blocks.1.attn.proj.bias" in said
    assert "and 8 more" in said


def test_weights_that_are_left_over_are_named(tmp_path):
    tensors = timm_vit() | {"blocks.0.attn.q_norm.weight": torch.ones(16), "fc_norm.weight": torch.ones(32)}
    assert "does not have: blocks.0.attn.q_norm.weight, fc_norm.weight" in refused(vit(tmp_path, tensors))


def test_weights_of_another_width_are_refused(tmp_path):
    said = refused(vit(tmp_path, timm_vit(width=48)))
    assert "patch_embed.proj.weight" in said
    assert "[48, 3, 16, 16]" in said
    assert "[32, 3, 16, 16]" in said


def test_queries_that_are_no_third_are_refused(tmp_path):
    tensors = timm_vit() | {"blocks.0.attn.qkv.bias": torch.ones(97)}
    assert "[97], which are not 3 parts of one size" in refused(vit(tmp_path, tensors))


def test_positions_that_are_no_square_are_refused(tmp_path):
    tensors = timm_vit() | {"pos_embed": torch.ones(1, 16, 32)}
    assert "15 positions of patches, which are no square" in refused(vit(tmp_path, tensors))


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    vit(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "no whole safetensors file" in refused(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    assert "no whole safetensors file" in refused(tmp_path)
    path.write_bytes(b"")
    assert "no whole safetensors file" in refused(tmp_path)


def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(tmp_path):
    vit(tmp_path)
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1111\nsize 813000000\n"
    )
    said = refused(tmp_path)
    assert "is a pointer of Git LFS" in said
    assert "git lfs pull" in said


def test_a_text_model_alone_is_refused(tmp_path):
    write_open_clip(tmp_path, {"transformer.resblocks.0.ln_1.weight": torch.ones(4)}, {"vision_cfg": VISION})
    said = refused(tmp_path)
    assert "has no image half" in said
    assert "ln_final.weight, logit_scale, text_projection, transformer.resblocks.0.ln_1.weight" in said


def test_weights_of_open_clip_need_their_configuration(tmp_path):
    save_weights(tmp_path / "open_clip_model.safetensors", {"visual.proj": torch.ones(4, 4)})
    assert "nothing in" in refused(tmp_path)
    write_json(tmp_path / "preprocess_cfg.json", {"size": SIDE})
    assert "add its open_clip_config.json" in refused(tmp_path)


@pytest.mark.parametrize(
    ("vision", "named"),
    [
        ({"timm_model_name": "fastvit_mci0", "timm_pool": "avg", "timm_proj": None}, "fastvit_mci0"),
        ({"timm_model_name": "vit_base_mci_224", "timm_pool": "token", "timm_proj": None}, "vit_base_mci_224"),
        ({"timm_model_name": "eva02_base_patch16_clip_224", "timm_proj": None}, "eva02_base_patch16_clip_224"),
        ({"timm_model_name": "convnext_large", "timm_proj": "mlp"}, "timm_proj='mlp'"),
        (VISION | {"layers": [3, 4, 6, 3]}, "ResNet"),
        (VISION | {"attentional_pool": True}, "attentional_pool=True"),
        (VISION | {"no_ln_pre": True}, "no_ln_pre=True"),
        (VISION | {"pool_type": "avg"}, "pool_type='avg'"),
        (VISION | {"a_field_of_tomorrow": 3}, "a_field_of_tomorrow=3"),
    ],
)
def test_image_halves_that_are_not_known_are_refused_by_their_name(tmp_path, vision, named):
    write_open_clip(tmp_path, {"visual.conv1.weight": torch.ones(32, 3, 16, 16)}, {"vision_cfg": vision})
    said = refused(tmp_path)
    assert named in said
    assert "export the image half to ONNX" in said


@pytest.mark.parametrize(
    "name", ["fastvit_sa12", "swin_tiny_patch4_window7_224", "vit_giant_patch14_224", "vit_base_patch16_224_miil",
             "vit_base_patch16_reg4_gap_256", "deit_small_distilled_patch16_224", "convnext_xxlarge"],
)  # fmt: skip
def test_architectures_of_timm_that_are_not_known_are_refused_by_their_name(tmp_path, name):
    write_timm(tmp_path, timm_vit(), name)
    said = refused(tmp_path)
    assert name in said
    assert "ONNX" in said


def test_arguments_that_are_not_followed_are_named(tmp_path):
    write_timm(tmp_path, timm_vit(), "vit_tiny_patch16_224", model_args=SMALL | {"qk_norm": True})
    assert "was made with qk_norm=True" in refused(tmp_path)


def test_a_projection_that_is_not_stated_is_refused(tmp_path):
    vision = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "none"}
    tensors = {f"visual.trunk.{name}": tensor for name, tensor in timm_vit().items() if not name.startswith("head")}
    write_open_clip(tmp_path, tensors | {"visual.head.proj.weight": torch.ones(8, 32)}, {"vision_cfg": vision})
    assert "has a linear map behind vit_tiny_patch16_224, and timm_proj is 'none'" in refused(tmp_path)


def test_a_pool_is_an_option_where_there_are_tokens_alone(tmp_path):
    assert translated(vit(tmp_path / "a")).pool == "cls"
    assert translated(tmp_path / "a", pool="mean").pool == "mean"
    assert translated(vit(tmp_path / "b", global_pool="avg")).pool == "mean"
    with pytest.raises(BadRequest, match="cannot be pooled by map"):
        translated(vit(tmp_path / "c", global_pool="map"))
    write_timm(tmp_path / "d", {}, "convnext_tiny")
    with pytest.raises(BadRequest, match="leave `pool` out"):
        translated(tmp_path / "d", pool="cls")


def test_the_weights_of_code_of_a_repository_are_passed_over(tmp_path):
    """FashionSigLIP's folder: model.safetensors is for its own class, open_clip's file lies beside it."""
    write_open_clip(tmp_path, {"visual.proj": torch.ones(2, 2)}, {"vision_cfg": VISION})
    save_weights(tmp_path / "model.safetensors", {"model.visual.proj": torch.ones(2, 2)})
    write_json(tmp_path / "config.json", {"model_type": "siglip"})
    assert open_folder(tmp_path).model.name == "model.safetensors"
    own = {"model_type": "siglip", "open_clip_model_name": "hf-hub:Marqo/marqo-fashionSigLIP"}
    write_json(tmp_path / "config.json", own | {"auto_map": {"AutoModel": "marqo_fashionSigLIP.MarqoFashionSigLIP"}})
    folder = open_folder(tmp_path)
    assert folder.model.name == "open_clip_model.safetensors"
    assert layout_of(folder)[:2] == ("open_clip", "visual.")
    (tmp_path / "open_clip_model.safetensors").unlink()
    assert layout_of(open_folder(tmp_path))[:2] == ("open_clip", "model.visual.")


def test_weights_beside_a_graph_that_cannot_be_read_do_not_stop_it(tmp_path):
    """Only the check by the model is not made: the graph is what runs."""
    write_json(tmp_path / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), tmp_path / "model.onnx")
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    folder = open_folder(tmp_path)
    with pytest.raises(BadEncoder, match="Git LFS"):
        library.load(folder, settings_of(folder, Options()))
    outcome = CliRunner().invoke(
        main, ["encoder", "make", "--backbone", str(tmp_path), "--out", str(tmp_path / "o.onnx")]
    )
    assert outcome.exit_code == 0, outcome.output


def test_the_licence_of_timm_is_in_its_configuration(tmp_path):
    from osoroi.pretrained import card

    vit(tmp_path, license="apache-2.0")
    assert json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]["license"] == "apache-2.0"
    assert card.licence_of(open_folder(tmp_path)) == "apache-2.0"
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\nlibrary_name: timm\n---\n")
    assert card.licence_of(open_folder(tmp_path)) == "cc-by-nc-4.0"


def test_positions_grow_with_the_input_as_timm_has_it(tmp_path):
    """A constant table stays constant, and what rises from left to right still rises; the class keeps its own."""
    tensors = timm_vit()
    grid = np.tile(np.arange(4, dtype=np.float32)[None, :, None], (4, 1, 32)).reshape(1, 16, 32)
    tensors["pos_embed"] = torch.cat([torch.full((1, 1, 32), 9.0), torch.from_numpy(grid)], 1)
    vit(tmp_path, tensors)
    given = translated(tmp_path, height=128, width=128).tensors["embeddings.position_embeddings"]
    assert given.shape == (1, 65, 32)
    assert (given[0, 0] == 9).all()
    rows = given[0, 1:, 0].reshape(8, 8)
    assert torch.allclose(rows, rows[:1].expand(8, 8), atol=1e-5)
    assert (rows[0].diff() > 0).all()
