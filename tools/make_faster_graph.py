"""Write the nodes that `Encoder.open` runs in place of those of an encoder file; see ``encoder.faster``.

    python tools/make_faster_graph.py [ENCODER]

The network is built with the weights of the file and exported anew, by what ``osoroi export`` does today. What the file
holds, weights above all, is left out of the result; the rest is its nodes and a few constants. Names of maps that
the file's nodes for kinds read (``encoder.taught``) are those of the file.
"""

import argparse
from pathlib import Path
from typing import Any

import onnx
import torch

from osoroi.encoder import DEFAULT, Encoder
from osoroi.encoder.faster import path_of
from osoroi.model import build
from osoroi.model.backbones.efficientnet_lite import NORMS
from osoroi.model.export import OUTPUT_NAMES, WithMask, to_onnx
from osoroi.model.network import Network
from osoroi.recipe import Recipe

PREFIX = "faster/"
"""Begins the names of constants and values that the file does not have."""


def network_of(path: Path = DEFAULT) -> Network:
    """The network of an encoder file with the parts of the one that ships, with the weights that the file holds."""
    graph = onnx.load(path).graph
    held = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    network = build.build(Recipe(color_constancy=True), None, build.FOREGROUND_HEADS[Recipe.backbone])
    assert isinstance(network, Network)
    for name, head in network.heads.items():
        for key, value in head.state_dict().items():
            here = f"network.heads.{name}.{key}"
            value.copy_(held.get(here, torch.zeros(())) if key == "linear.bias" else held[here])  # none where it is 0
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.input[1].startswith(build.IN_FILE)]
    assert len(convolutions) == 49
    for node in convolutions:
        owner, _, name = node.input[1].removeprefix("network.").removesuffix(".weight").rpartition(".")
        module = network.get_submodule(owner)
        getattr(module, name).weight.data.copy_(held[node.input[1]])
        norm = getattr(module, NORMS[name])
        norm.weight.data.fill_(1)
        norm.bias.data.copy_(held[node.input[2]])
        norm.running_mean.fill_(0)
        norm.running_var.fill_(1 - norm.eps)
    return network.eval()


def maps(graph: Any) -> dict[str, str]:
    """Convolution of the backbone -> the map behind it, once added to what came before, or clipped."""
    found = {}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1].startswith(build.IN_FILE):
            after = [each for each in graph.node if node.output[0] in each.input and each.op_type in ("Add", "Clip")]
            found[node.input[1]] = after[0].output[0] if after else node.output[0]
    return found


def nodes(path: Path) -> bytes:
    """The graph without what the file holds."""
    before, graph = onnx.load(path).graph, to_onnx(WithMask(network_of(path)), _street(path), OUTPUT_NAMES).graph
    weights = {tensor.name: tensor for tensor in before.initializer}
    renamed = dict(zip(maps(graph).values(), maps(before).values(), strict=True))
    constants = []
    for tensor in graph.initializer:
        if tensor.name.startswith("network.") and tensor.name in weights:
            renamed[tensor.name] = tensor.name
        else:
            constants.append(tensor)
    kept = {"", "crops", *OUTPUT_NAMES}

    def name_of(name: str) -> str:
        return name if name in kept else renamed.get(name, PREFIX + name)

    for node in graph.node:
        node.input[:], node.output[:] = map(name_of, node.input), map(name_of, node.output)
    for tensor in constants:
        tensor.name = name_of(tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(constants)
    return bytes(graph.SerializeToString(deterministic=True))


def _street(path: Path) -> Any:
    return Encoder.open(path).preprocessing["street"]


def main() -> None:
    """Write the file, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encoder", type=Path, nargs="?", default=DEFAULT)
    path = parser.parse_args().encoder
    out = path_of(Encoder.open(path).fingerprint)
    out.parent.mkdir(exist_ok=True)
    data = nodes(path)
    out.write_bytes(data)
    print(f"{out.name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
