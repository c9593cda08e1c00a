"""Teach an encoder file to say the kinds of queries from its own maps, as the network of kinds says them.

    python tools/make_kind_head.py old.onnx new.onnx ../shared/data/clothing_cc0 --cache FOLDER --every 2 --photos 1536

The file gets nodes in its metadata (``encoder.taught``): the logits of the probe and the logarithms of the masses of
ImageNet's classes, one linear layer on the means of five maps of its backbone. It is fitted by ridge regression to what
kind.onnx says of the photos of clothing_cc0 (CC0): each photo whole, without its border, and twice a part of it,
augmented. Graph, vectors and fingerprint stay. Prints how both judge the photos of senders left out. ``--cache``
keeps what was computed, for a run that was stopped.
"""

import argparse
import csv
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from jaxtyping import Float, Float32, UInt8

from osoroi import files, image
from osoroi.encoder import Encoder, open_session
from osoroi.encoder.joining import joined
from osoroi.encoder.taught import with_nodes
from osoroi.encoder.with_kinds import OWN, PREFIX
from osoroi.garments import picture
from osoroi.garments.kinds import read_category
from osoroi.garments.runtime import read
from osoroi.records import Box
from osoroi.training.augmentation import STREET, augment

BACKBONE = "network.extractor.backbone."
BLOCKS = (7, 10, 14, 15)
"""Blocks whose maps are averaged, besides the last maps of all."""

RIDGE = 0.15
"""Weight of the squares of the layer, as a share of the number of crops; features have deviation 1."""

VIEWS = 4
LEAST_PART = 0.35
"""A part of a photo is at least so wide and high, as a share of it."""

FOLDS = 5
"""One of so many senders is left out to measure on."""

STEP = 256
"""Photos whose features are computed and kept together."""


class Crops(NamedTuple):
    """Mean maps of crops, and what the network of kinds says of them."""

    means: Float32[np.ndarray, "n d"]
    said: Float32[np.ndarray, "n k"]


def ends(graph: Any) -> list[str]:
    """The tensors that hold the maps of ``BLOCKS``, and the last maps."""
    behind = {name: node for node in graph.node for name in node.input}
    found = []
    for layer in (*(f"_blocks.{block}._project_conv" for block in BLOCKS), "_conv_head"):
        (node,) = [node for node in graph.node if f"{BACKBONE}{layer}.weight" in node.input]
        after = [each for each in graph.node if node.output[0] in each.input and each.op_type in ("Add", "Clip")]
        found.append(after[0].output[0] if after else node.output[0])
    assert all(name in behind for name in found)
    return found


def with_means(model: Any) -> str:
    """Add to a graph what averages its maps; the name of the means, side by side."""
    helper, names = onnx.helper, ends(model.graph)
    pooled = [f"{OWN}/mean{number}" for number in range(len(names))]
    model.graph.node.extend(
        helper.make_node("GlobalAveragePool", [name], [mean]) for name, mean in zip(names, pooled, strict=True)
    )
    model.graph.node.append(helper.make_node("Concat", pooled, [f"{OWN}/maps"], axis=1))
    model.graph.node.append(helper.make_node("Flatten", [f"{OWN}/maps"], [f"{OWN}/means"]))
    return f"{OWN}/means"


def nodes(model: Any, weights: Float[np.ndarray, "d k"], bias: Float[np.ndarray, "k"]) -> bytes:
    """What is added to a graph for the output ``kinds``: a linear layer on the means."""
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    before = len(model.graph.node)
    means = with_means(model)
    added = onnx.GraphProto()
    added.node.extend(model.graph.node[before:])
    added.node.append(helper.make_node("Gemm", [means, f"{OWN}/weight", f"{OWN}/bias"], [OWN]))
    for name, values in (("weight", weights), ("bias", bias)):
        added.initializer.append(from_array(values.astype(np.float32), f"{OWN}/{name}"))
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    added.output.append(helper.make_tensor_value_info(OWN, onnx.TensorProto.FLOAT, [batch, len(bias)]))
    return bytes(added.SerializeToString(deterministic=True))


def views(path: Path, number: int, encoder: Encoder) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The crops of one photo: whole, without its border, and parts of it, augmented."""
    photo = image.read(path)
    height, width, _ = photo.shape
    yield image.crop(photo, None, picture.INPUT)
    yield image.crop(photo, None, encoder.preprocessing["shop"])
    for view in range(2, VIEWS):
        dice = np.random.default_rng([number, view])
        size = dice.uniform(LEAST_PART, 1, 2)
        left, top = dice.uniform(0, 1 - size) * (width, height)
        right, bottom = (left, top) + size * (width, height)
        box = Box(int(left), int(top), max(int(left) + 8, int(right)), max(int(top) + 8, int(bottom)))
        yield augment(image.crop(photo, box, picture.INPUT), STREET, dice)


def computed(model: bytes, crops: list[UInt8[np.ndarray, "h w 3"]]) -> Crops:
    """Means and what the network of kinds says, from a joined model of both."""
    session = open_session(model, threads=1)
    means, said = [], []
    for start in range(0, len(crops), 16):
        batch = {"crops": np.stack(crops[start : start + 16])}
        one, probe, imagenet = session.run([f"{OWN}/means", f"{PREFIX}probe", f"{PREFIX}imagenet"], batch)
        means.append(one)
        said.append(picture.said_of(picture.Logits(probe, imagenet)))
    return Crops(np.concatenate(means), np.concatenate(said))


def features(encoder: Encoder, path: Path, photos: list[Path], cache: Path) -> Crops:
    """Of every view of every photo, photos in order; what the cache has is not computed again."""
    both = joined(path.read_bytes(), read("kind.onnx"), PREFIX)
    assert both is not None, "the encoder shares no block with the network of kinds"
    model = onnx.load_from_string(both)
    means = onnx.helper.make_tensor_value_info(with_means(model), onnx.TensorProto.FLOAT, None)
    model.graph.output.append(means)
    cache = cache / encoder.fingerprint[:12]
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for start in range(0, len(photos), STEP):
        some = photos[start : start + STEP]
        part = cache / f"{zlib.crc32(repr([photo.name for photo in some]).encode()):08x}.npz"
        if not part.exists():
            crops = [crop for number, photo in enumerate(some, start) for crop in views(photo, number, encoder)]
            whole = io.BytesIO()
            np.savez(whole, **computed(model.SerializeToString(), crops)._asdict())
            files.write_atomically(part, whole.getvalue())
            print(f"{min(start + STEP, len(photos))} of {len(photos)} photos", flush=True)
        with np.load(part) as arrays:
            found.append(Crops(arrays["means"], arrays["said"]))
    return Crops(np.concatenate([one.means for one in found]), np.concatenate([one.said for one in found]))


def fit(crops: Crops) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, "k"]]:
    """Weights and bias of the ridge regression."""
    centre, spread, mean = crops.means.mean(0), crops.means.std(0) + 1e-3, crops.said.mean(0)
    standard = (crops.means - centre) / spread
    square = standard.T @ standard + RIDGE * len(standard) * np.eye(standard.shape[1])
    weights = np.linalg.solve(square, standard.T @ (crops.said - mean)) / spread[:, None]
    return weights, mean - centre @ weights


def balanced_accuracy(said: Float[np.ndarray, "n k"], kinds: list[str]) -> float:
    """Mean over the probe's kinds of the share of crops whose largest logit is their kind's."""
    truth, best = np.array(kinds), np.array(picture.PROBED)[said[:, : len(picture.PROBED)].argmax(1)]
    return float(np.mean([(best[truth == kind] == kind).mean() for kind in sorted(set(kinds))]))


def main() -> None:
    """Fit the layer and write the new file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("data", type=Path, help="folder of clothing_cc0")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="use one photo in so many")
    parser.add_argument("--photos", type=int, help="and so many of them, the first ones")
    arguments = parser.parse_args()
    encoder = Encoder.open(arguments.old, limit_s=600.0)
    with (arguments.data / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:: arguments.every][: arguments.photos]
    crops = features(encoder, arguments.old, [arguments.data / row["path"] for row in rows], arguments.cache)
    kinds = [read_category(row["category"]) or "" for row in rows]
    held_out = np.array([zlib.crc32(row["sender_id"].encode()) % FOLDS == 0 for row in rows])
    train = np.repeat(~held_out, VIEWS)
    weights, bias = fit(Crops(crops.means[train], crops.said[train]))
    judged = np.array([out and kind in picture.PROBED for out, kind in zip(held_out, kinds, strict=True)])
    whole = np.arange(len(rows))[judged] * VIEWS
    truth = [kinds[number] for number in np.flatnonzero(judged)]
    guess = crops.means[whole] @ weights + bias
    print(f"{len(truth)} photos of other senders, balanced accuracy: network of kinds "
          f"{balanced_accuracy(crops.said[whole], truth):.3f}, head {balanced_accuracy(guess, truth):.3f}")  # fmt: skip
    added = nodes(onnx.load(arguments.old), *fit(crops))
    files.write_atomically(arguments.new, with_nodes(arguments.old.read_bytes(), added))
    print(arguments.new, Encoder.open(arguments.new).fingerprint[:12])


if __name__ == "__main__":
    main()
