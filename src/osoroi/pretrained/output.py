"""Which tensor of a brought graph is the vector, and which of its inputs is the photo: by name, never by position."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.folder import TEXT_GRAPHS, ModelFolder
from osoroi.pretrained.refusals import integer
from osoroi.pretrained.settings import VectorOutput

VECTORS: Final = ("image_embeds", "image_embeddings", "embedding", "image_features", "l2norm_image_embeddings",
                  "pooler_output")  # fmt: skip
"""Names of outputs that are one vector a photo, in the order in which they are preferred."""

TOKENS: Final = "last_hidden_state"

BY_CLASS: Final = ("dinov2", "dinov2_with_registers", "dinov3_vit", "vit", "clip_vision_model", "deit", "beit")
"""Families whose vector is the token of the class."""

BY_MEAN: Final = ("convnext", "convnextv2", "dinov3_convnext", "resnet", "mobilevit", "vit_mae", "ijepa", "swin")
"""Families whose vector is the mean of the patches."""

TEXT_INPUTS: Final = ("input_ids", "attention_mask", "text", "token_type_ids")

FLOATS: Final = {1: "float32", 10: "float16"}
"""Element types of ONNX that an image may have."""


class Picture(NamedTuple):
    """The input that takes photos: its name, its element type, and what is fixed of [batch, 3, height, width]."""

    name: str
    element: int
    shape: tuple[int | None, ...]


class PooledOutput(NamedTuple):
    """The output that becomes the part: its name, its dimensions, and how it is pooled."""

    name: str
    rank: int
    pool: str
    skip: int


def picture_of(inputs: Sequence[Any], folder: ModelFolder) -> Picture:
    """The one input of a graph that is a photo. Raises BadEncoder where there is another, or none."""
    images = [each for each in inputs if len(each.type.tensor_type.shape.dim) == 4]
    others = [each.name for each in inputs if each not in images]
    texts = [name for name in others if name in TEXT_INPUTS or "ids" in name]
    name = relative(folder)
    if texts:
        raise BadEncoder(
            f"{name} also wants {', '.join(texts)}: it is a model of photos and text", hint=_instead(folder)
        )
    if len(images) != 1 or others:
        stated = ", ".join(f"{each.name} {_shape(each)}" for each in inputs) or "nothing"
        raise BadEncoder(f"{name} takes {stated}, not one photo [batch, 3, height, width]", hint="give the image model")
    (image,) = images
    element = image.type.tensor_type.elem_type
    if element not in FLOATS:
        raise BadEncoder(
            f"{name} takes numbers of ONNX type {element}, not floats", hint="export it without its pixels"
        )
    shape = _shape(image)
    if shape[1] not in (3, None):
        raise BadEncoder(f"{name} takes {shape[1]} colours, not channels first and 3", hint="export it with [b 3 h w]")
    return Picture(image.name, element, shape)


def name_of(outputs: Sequence[str], stated: VectorOutput, folder: ModelFolder, tensors: Container[str]) -> str:
    """The output that is the vector; one that is asked for may be any tensor of the graph. Raises BadRequest."""
    if stated.name is not None:
        if stated.name not in tensors:
            raise BadRequest(f"there is no output {stated.name!r}", hint=f"there are {', '.join(outputs)}")
        return stated.name
    name = next((each for each in (*VECTORS, TOKENS) if each in outputs), None)
    if name is None:
        raise BadRequest(
            f"none of the outputs of {relative(folder)} ({', '.join(outputs)}) has a name that is known",
            hint=f"say which `output` is the vector; known are {', '.join((*VECTORS, TOKENS))}",
        )
    return name


def vector_of(name: str, shape: Sequence[int], stated: VectorOutput, folder: ModelFolder) -> PooledOutput:
    """How an output of a shape, the batch first, becomes one vector a photo. Raises BadRequest."""
    rank = len(shape)
    if rank == 2:
        return PooledOutput(name, 2, "none", 0)
    pool = stated.pool or ("mean" if rank == 4 else _pool(folder.model_type))
    if rank not in (3, 4) or pool == "none" or (rank == 4 and pool == "cls"):
        raise BadRequest(f"the output {name} has the shape {list(shape)}, and no vector a photo", hint="choose another")
    if not pool:
        raise BadRequest(
            f"the output {name} has a vector for each token, and {folder.model_type or 'this model'} is not known here",
            hint="say with `pool` whether its vector is that of the class (cls) or the mean of the patches (mean)",
        )
    return PooledOutput(name, rank, pool, skipped(stated, folder))


def _pool(model_type: str) -> str:
    return "cls" if model_type in BY_CLASS else "mean" if model_type in BY_MEAN else ""


def skipped(stated: VectorOutput, folder: ModelFolder) -> int:
    """Tokens before the patches: the class, if there is one, and the registers that the configuration counts."""
    if folder.model_type in ("siglip", "siglip_vision_model", "swin", "ijepa"):
        return 0
    registers = folder.config.get("num_register_tokens") or 0
    return stated.skip + (integer(folder.config, "num_register_tokens", 0, relative(folder)) if registers else 0)


def _instead(folder: ModelFolder) -> str:
    """What to use in place of a model that also reads text."""
    beside = next((name for name in ("onnx/vision_model.onnx", "vision_model.onnx", "visual/model.onnx")
                   if (folder.root / name).is_file()), None)  # fmt: skip
    if beside:
        return f"use {beside}, which lies beside it (`file` {beside})"
    text = next((name for name in TEXT_GRAPHS if (folder.root / name).is_file()), None)
    where = "onnx/vision_model.onnx" if folder.model.parent.name == "onnx" or text else "vision_model.onnx"
    return (
        f"download or export its image half, usually {where}; "
        "or name the output that depends on the photo alone as `output` (such as image_embeds)"
    )


def _shape(value: Any) -> tuple[int | None, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)


def relative(folder: ModelFolder) -> str:
    """The model's file, as seen from the folder."""
    model: Path = folder.model
    return model.relative_to(folder.root).as_posix() if model.is_relative_to(folder.root) else model.name
