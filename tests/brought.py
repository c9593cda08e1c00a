"""Folders with small random backbones, as people have them; and an independent account of their pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIDE, PATCH, DIM = 64, 16, 24


def clip_config(**changes: Any) -> dict[str, Any]:
    """The preprocessor_config.json of a CLIP of 64 pixels."""
    config = {
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": SIDE}, "resample": 3,
        "crop_size": {"height": SIDE, "width": SIDE}, "do_resize": True, "do_center_crop": True, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
    }  # fmt: skip
    return config | changes


def siglip_config(**changes: Any) -> dict[str, Any]:
    """The preprocessor_config.json of a SigLIP of 64 pixels."""
    config = {
        "image_processor_type": "SiglipImageProcessor", "size": {"height": SIDE, "width": SIDE}, "resample": 3,
        "do_convert_rgb": None, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255,
        "do_resize": True, "do_rescale": True, "do_normalize": True,
    }  # fmt: skip
    return config | changes


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


class Tokens:
    """A graph of patches: convolution, ReLU, and a class token that is their largest values; pooled by a linear map.

    ``vector`` computes in numpy what the graph computes.
    """

    def __init__(self, dim: int = DIM, side: int = SIDE, seed: int = 3) -> None:
        random = np.random.default_rng(seed)
        self.side, self.dim = side, dim
        self.weight = random.normal(size=(dim, 3, PATCH, PATCH)).astype(np.float32) / 16
        self.bias = random.normal(size=dim).astype(np.float32)
        self.linear = random.normal(size=(dim, dim)).astype(np.float32)

    def tokens(self, values: np.ndarray) -> np.ndarray:
        """Class token and patches [1 + n, d] of values [3 h w]."""
        channels, height, width = values.shape
        blocks = values.reshape(channels, height // PATCH, PATCH, width // PATCH, PATCH).transpose(1, 3, 0, 2, 4)
        patches = np.tensordot(blocks, self.weight, ((2, 3, 4), (1, 2, 3))) + self.bias
        flat = np.maximum(patches.reshape(-1, self.dim), 0)
        return np.concatenate([flat.max(0)[None], flat])

    def vector(self, values: np.ndarray) -> np.ndarray:
        """The output `image_embeds`."""
        return self.tokens(values)[0] @ self.linear

    def model(
        self, outputs=("image_embeds", "last_hidden_state"), *, name="pixel_values", batch="batch", sides=("h", "w"),
        opset=18, text=False, names=None,
    ) -> Any:  # fmt: skip
        """The ONNX model. ``names`` renames outputs; ``text`` adds an input of text to it."""
        tensors: dict[str, np.ndarray] = {"weight": self.weight, "bias": self.bias, "linear": self.linear}
        tensors |= {"shape": np.array([0, self.dim, -1], np.int64)}
        nodes = [
            helper.make_node("Conv", [name, "weight", "bias"], ["conv"], strides=[PATCH, PATCH]),
            helper.make_node("Relu", ["conv"], ["maps"]),
            helper.make_node("Reshape", ["maps", "shape"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["patches"], perm=[0, 2, 1]),
        ]
        if opset >= 18:
            tensors["axis"] = np.array([1], np.int64)
            nodes.append(helper.make_node("ReduceMax", ["patches", "axis"], ["class"], keepdims=1))
        else:
            nodes.append(helper.make_node("ReduceMax", ["patches"], ["class"], axes=[1], keepdims=1))
        tensors["one"] = np.array([0, self.dim], np.int64)
        nodes += [
            helper.make_node("Concat", ["class", "patches"], ["last_hidden_state"], axis=1),
            helper.make_node("Reshape", ["class", "one"], ["cls"]),
            helper.make_node("MatMul", ["cls", "linear"], ["image_embeds"]),
        ]
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, *sides])]
        outs = [
            helper.make_tensor_value_info(
                each, TensorProto.FLOAT, [batch, *(["n"] if "hidden" in each else []), self.dim]
            )
            for each in outputs
        ]
        if text:
            inputs.insert(0, helper.make_tensor_value_info("input_ids", TensorProto.INT64, [batch, "length"]))
            nodes.append(helper.make_node("Cast", ["input_ids"], ["text_embeds"], to=TensorProto.FLOAT))
            outs.insert(0, helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, [batch, "length"]))
        for old, new in (names or {}).items():
            nodes.append(helper.make_node("Identity", [old], [new]))
            for out in outs:
                out.name = new if out.name == old else out.name
        stored = [numpy_helper.from_array(value, key) for key, value in tensors.items()]
        graph = helper.make_graph(nodes, "tokens", inputs, outs, stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def save(model: Any, path: Path, *, external: bool = False) -> None:
    """Write an ONNX model, with its tensors in a file beside it where that is wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    location = f"{path.name}_data"
    onnx.save(model, str(path), save_as_external_data=external, location=location, size_threshold=64)


def values(
    photo: np.ndarray, size: tuple[int, int], mean: Any, std: Any, resample: Any = Image.Resampling.BICUBIC
) -> np.ndarray:
    """A photo squashed to height and width and normalised, in a few plain steps."""
    pixels = np.asarray(Image.fromarray(photo).resize((size[1], size[0]), resample), np.float32) / 255
    return ((pixels - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1).astype(np.float32)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
