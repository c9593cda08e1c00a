"""What a step of training costs beside the bare network's forward and backward pass on the same batch.

    python benchmarks/step.py [--json FILE] [--rounds 5] [--recipes frozen finetune whole]

Both sides take turns in one process: so many steps of ours as `osoroi train` takes them (loader, views augmented
where the recipe draws them anew, mining, loss, clipping, AdamW), then as many bare passes over one batch that lies
ready. Photos are drawn garments in JPEG files of 312 x 416 pixels; the backbone is EfficientNet-Lite0. ``cpu`` ratios
are of the process's CPU time, which no busy neighbour changes; ``wall`` ratios are of the clock, where a second core
or a GPU lets the loader hide. `bare + step` adds AdamW's own step to the bare side: with a frozen backbone the passes
are so short that it counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.model import build
from osoroi.recipe import Recipe
from osoroi.recipes import named
from osoroi.training import loop, sampling
from osoroi.training.dataset import load_pairs
from osoroi.training.distributed import device
from osoroi.training.learner import Learner
from osoroi.training.sampling import Batch, Pairs
from osoroi.training.selection import select

PRODUCTS = 24
RECIPES: dict[str, dict[str, Any]] = {
    "frozen": {},
    "finetune": {},
    "whole": {"unfreeze_blocks": 99, "products": 16, "pool": "crop"},
}
"""What a benchmark changes in a recipe; ``whole`` is ``finetune`` with the whole backbone trained."""

STEPS = {"frozen": 16, "finetune": 2, "whole": 2}
"""At least so many in a turn."""


def photos(folder: Path) -> str:
    """A data set of drawn products in files, one photo a side."""
    lines, there = ["photo,product_id,domain,split"], set()
    for product, crop in open_dataset(f"drawn:{PRODUCTS}:5").rows():
        key = (product.product_id, crop.domain)
        if key not in there:
            there.add(key)
            name = f"{product.product_id}-{crop.domain}.jpg"
            (folder / name).write_bytes(image.load(crop.photo))
            lines.append(f"{name},{product.product_id},{crop.domain},train")
    (folder / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    return f"table:{folder / 'pairs.csv'}"


def settings(name: str) -> Recipe:
    """The recipe as it is named, but for what makes one batch fit in memory."""
    recipe = named("finetune" if name == "whole" else name, RECIPES[name])
    return replace(recipe, init="random", epochs=1000)


def repeated(pairs: Pairs, times: int) -> Pairs:
    """The same photos as those of more products, so that an epoch has more steps than photos were drawn for."""
    count, views = len(pairs), len(pairs.product)
    return replace(
        pairs,
        load=lambda rows, epoch: pairs.load(rows % views, epoch),
        product=np.concatenate([pairs.product + count * time for time in range(times)]),
        is_street=np.tile(pairs.is_street, times),
        view=np.tile(pairs.view, times),
        design=np.tile(pairs.design, times),
        category=np.tile(pairs.category, times),
        dataset=np.tile(pairs.dataset, times),
    )


def begun(name: str, dataset: str, folder: Path) -> loop.RunState:
    """A run that is ready for its first step, with so many steps in an epoch."""
    recipe = settings(name)
    selection = select([open_dataset(dataset)], "train")
    network: Any = build.build(recipe).to(device())
    pairs = load_pairs(selection, network, recipe, folder / name, augmented=True)
    learner = Learner(network, recipe).to(device())
    learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pairs = repeated(pairs, -(-STEPS[name] * recipe.products // len(pairs)))
    return loop.RunState(folder, learner, recipe, pairs, pairs, device())


def ours(run: loop.RunState) -> int:
    """One epoch of steps; how many."""
    run.learner.train()
    workers = loop.workers(run.device)
    for batch in sampling.batches(run.pairs, run.recipe, run.epoch, workers=workers):
        loop.train_step(run, batch)
        run.step += 1
    run.epoch, run.step = run.epoch + 1, 0
    return run.steps


def bare(run: loop.RunState, batch: Batch, steps: int, optimizer: torch.optim.Optimizer | None) -> None:
    """As many passes of the network, forward and backward, and steps where there is an optimizer."""
    run.learner.train()
    for _ in range(steps):
        run.learner.zero_grad(set_to_none=True)
        with run.learner.precision(batch.product):
            vectors = run.learner.network.above(*batch.images)
        vectors.float().sum().backward()  # type: ignore[no-untyped-call]
        if optimizer is not None:
            optimizer.step()


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, time.process_time() - cpu


def measure(name: str, dataset: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Medians over rounds, the first left out; milliseconds a step, and ratios of ours to the bare side."""
    run = begun(name, dataset, folder)
    batch = loop.to_device(sampling.load(run.pairs, sampling.plan(run.pairs, run.recipe, 0)[0], 0), run.device)
    still = torch.optim.AdamW([one for one in run.learner.parameters() if one.requires_grad], 0.0, weight_decay=0.0)
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(run),
        "bare": lambda: bare(run, batch, run.steps, None),
        "bare + step": lambda: bare(run, batch, run.steps, still),
    }
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rounds + 1):
        for side, work in sides.items():
            times[side].append(timed(work, run.device))
    found = {
        side: {
            clock: 1000 * float(np.median([one[place] for one in each[1:]])) / run.steps
            for place, clock in enumerate(("wall", "cpu"))
        }
        for side, each in times.items()
    }
    ratios = {
        clock: {side: found["ours"][clock] / found[side][clock] for side in ("bare", "bare + step")}
        for clock in ("wall", "cpu")
    }
    return {"rows": len(batch.product), "device": str(run.device), "ms": found, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        dataset = photos(Path(folder))
        for name in arguments.recipes:
            results[name] = found = measure(name, dataset, Path(folder), arguments.rounds)
            for clock, ratios in found["ratio"].items():
                beside = ", ".join(
                    f"{ratio:.2f} of {side} ({found['ms'][side][clock]:.1f} ms)" for side, ratio in ratios.items()
                )
                print(f"{name} ({found['rows']} rows, {found['device']}), {clock}: "
                      f"{found['ms']['ours'][clock]:.1f} ms a step, {beside}", flush=True)  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
