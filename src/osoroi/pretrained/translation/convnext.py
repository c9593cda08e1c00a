"""ConvNeXt and ConvNeXt V2 in timm's names."""

from collections.abc import Mapping
from typing import Any, Final

from osoroi.errors import BadEncoder
from osoroi.pretrained.translation.renaming import Renaming, Translation

PREFIX: Final = "convnext"

SIZES: Final = {
    "atto": ((2, 2, 6, 2), 40), "femto": ((2, 2, 6, 2), 48), "pico": ((2, 2, 6, 2), 64), "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96), "small": ((3, 3, 27, 3), 96), "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192), "xlarge": ((3, 3, 27, 3), 256), "huge": ((3, 3, 27, 3), 352),
}  # fmt: skip
"""Blocks of each stage, and the width of the first; each stage is twice as wide as the one before."""

ARGUMENTS: Final = (
    "depths", "dims", "conv_mlp", "in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate",
)  # fmt: skip


def is_known(name: str) -> bool:
    """Whether a name of timm's is translated.

    >>> is_known("convnext_tiny"), is_known("convnextv2_nano"), is_known("convnext_tiny_hnf")
    (True, True, False)
    """
    family, _, size = name.partition("_")
    return family in ("convnext", "convnextv2") and size in SIZES


def translate(names: Renaming, name: str, arguments: Mapping[str, Any]) -> Translation:
    """The weights of a model of timm, whose vector is the mean of the last maps, normalised. Raises BadEncoder."""
    family, _, size = name.partition("_")
    strange = sorted(set(arguments) - set(ARGUMENTS))
    if strange:
        raise BadEncoder(f"{name} was made with {strange[0]}", hint="export the model to ONNX and give that file")
    if arguments.get("global_pool", "avg") != "avg":
        raise BadEncoder(f"{name} is pooled by {arguments['global_pool']}", hint="export the model to ONNX")
    depths, first = SIZES[size]
    depths = tuple(arguments.get("depths", depths))
    dims = tuple(arguments.get("dims", [first * 2**stage for stage in range(len(depths))]))
    names.require("stem.0.weight", (dims[0], 3, 4, 4), f"{name} has")
    names.layer("stem.0", "embeddings.patch_embeddings")
    names.layer("stem.1", "embeddings.layernorm")
    for stage, depth in enumerate(depths):
        to = f"encoder.stages.{stage}."
        for number in range(2 if stage else 0):
            names.layer(f"stages.{stage}.downsample.{number}", f"{to}downsampling_layer.{number}")
        for block in range(depth):
            _block(names, f"stages.{stage}.blocks.{block}.", f"{to}layers.{block}.", second=family == "convnextv2")
    names.layer("head.norm", "layernorm")
    names.drop("head.fc.weight", "head.fc.bias")
    config = {"hidden_sizes": list(dims), "depths": list(depths), "layer_norm_eps": 1e-6, "num_stages": len(depths)}
    model = "ConvNextV2Model" if family == "convnextv2" else "ConvNextModel"
    return Translation(model, config, names.finish(), "pooler_output")


def _block(names: Renaming, block: str, to: str, *, second: bool) -> None:
    names.layer(f"{block}conv_dw", f"{to}dwconv")
    names.layer(f"{block}norm", f"{to}layernorm")
    for number in (1, 2):
        # small models have convolutions of 1 x 1 here, which are the same linear layers
        names.move(f"{block}mlp.fc{number}.weight", f"{to}pwconv{number}.weight", lambda tensor: tensor.flatten(1))
        names.move(f"{block}mlp.fc{number}.bias", f"{to}pwconv{number}.bias")
    if second:
        for part in ("weight", "bias"):
            names.move(f"{block}mlp.grn.{part}", f"{to}grn.{part}", lambda tensor: tensor.reshape(1, 1, 1, -1))
    else:
        names.move(f"{block}gamma", f"{to}layer_scale_parameter")
