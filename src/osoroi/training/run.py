"""A run, from a data set and a recipe to a network that did best on products held out; and back from its folder.

A run's folder holds ``run.json`` (data set, recipe, files it began with), what ``training`` writes, ``crops.npy`` (a
few crops, to compare the exported file on) and ``seen/`` (what the frozen part saw: large, may be deleted), unless that
is kept elsewhere.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from osoroi import __version__
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRun
from osoroi.model import build
from osoroi.model.devices import device
from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training import checkpoint, closed_form, log, loop, validation
from osoroi.training import dataset as preparing

NOTES, CROPS, SEEN = "run.json", "crops.npy", "seen"
COMPARED = 48
"""Crops of products held out that are kept for the check of an export."""


@dataclass(frozen=True)
class Notes:
    """What a run began with."""

    dataset: str
    recipe: Recipe
    trunk: str | None = None
    probe: str | None = None
    version: str = __version__


@dataclass(frozen=True)
class Told:
    """What a run says on its way: pairs it learns from, pairs held out, and products that had one side alone."""

    pairs: int
    held: int
    alone: int


def run(
    notes: Notes,
    folder: Path,
    *,
    resume: bool = False,
    seen: Path | None = None,
    on_told: Callable[[Told], None] = lambda told: None,
    on_look: Callable[[int, int], None] = lambda done, total: None,
    on_lost: Callable[[list[str]], None] = lambda problems: None,
    on_step: Callable[[loop.Step], None] = lambda step: None,
) -> dict[str, float]:
    """Prepare, fit, train; the metrics on the products held out. A folder that holds a run is only ever resumed.

    ``seen`` is a folder that runs share: what the frozen half of the same network saw of the same photos is kept there
    once, whatever learns from it.
    """
    recipe = notes.recipe
    _see(notes, folder, resume)
    reader = open_dataset(notes.dataset)
    chosen, held_out = (preparing.choose(reader, split, category=recipe.category) for split in ("train", "val"))
    on_told(Told(len(chosen.products), len(held_out.products), chosen.alone + held_out.alone))
    network: Any = build.build(recipe, _path(notes.trunk), _path(notes.probe))
    with _only(folder), loop.memory(recipe):
        if not resume:  # only now, so that a mistake in the command leaves no folder that holds a run
            log.put(folder / NOTES, json.dumps(asdict(notes), indent=1).encode())
        pairs, held = (
            preparing.prepare(
                each,
                network,
                recipe,
                folder / SEEN / split if seen is None else seen / sha256(notes.dataset.encode()).hexdigest()[:16],
                worse=split == "train",
                shared=seen is not None,
                on_progress=on_look,
                on_lost=on_lost,
            )
            for each, split in ((chosen, "train"), (held_out, "val"))
        )
        _keep_crops(held_out, recipe, folder)
        if recipe.start == "closed":
            closed_form.fit(network, pairs, recipe)
        if not recipe.epochs:
            return _finish(network, validation.metrics(network, held, device()), folder)
        found = loop.train(network, pairs, held, recipe, folder, resume=resume, on_step=on_step)
        if not recipe.weights:
            sides = validation.embed(network, held, device())
            weights = validation.weigh([sides], network.parts, recipe.best)
            network.parts = tuple(replace(part, weight=weights[part.name]) for part in network.parts)
            found = found | validation.metrics(network, held, device())
        return _finish(network, found, folder)


def load(folder: Path) -> tuple[Any, Notes]:
    """The network of a finished run, and what it began with."""
    notes = read_notes(folder)
    kept = checkpoint.read(folder / loop.BEST)
    if "parts" not in kept.state:
        raise BadRun(f"{folder} has not finished", hint="go on with: osoroi train … --out … --resume")
    network: Any = build.build(notes.recipe, None, _path(notes.probe), empty=True)
    network.load_state_dict(checkpoint.weights(kept))
    network.parts = tuple(Part(**part) for part in kept.state["parts"])
    return network.eval(), notes


def read_notes(folder: Path) -> Notes:
    """What a run began with; raises BadRun for a folder that holds none."""
    try:
        told = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        told["recipe"]["weights"] = tuple((name, weight) for name, weight in told["recipe"]["weights"])
        return Notes(**(told | {"recipe": Recipe(**told["recipe"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(
            f"{folder} holds no run ({error})", hint="give a folder that `osoroi train --out` wrote"
        ) from error


def crops_of(folder: Path) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The crops that a run kept."""
    return list(np.load(folder / CROPS))


def _see(notes: Notes, folder: Path, resume: bool) -> None:
    """See that a new run has a folder of its own, and that an old one was begun as it goes on."""
    there = (folder / NOTES).exists()
    if resume:
        before = read_notes(folder)
        if replace(before, version=notes.version) != notes:
            raise BadRun(
                f"{folder} was begun otherwise: {before}",
                hint="resume with the same data set, recipe and settings, or give another --out",
            )
    elif there:
        raise BadRun(f"{folder} holds a run already", hint="go on with --resume, or give another --out")


@contextmanager
def _only(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadRun(
                f"another process is at work in {folder}", hint="wait for it, or give another --out"
            ) from error
        yield


def _finish(network: Any, found: dict[str, float], folder: Path) -> dict[str, float]:
    """Keep the network with its parts and metrics."""
    tensors = {checkpoint.MODEL + name: one for name, one in network.state_dict().items()}
    parts = [asdict(part) for part in network.parts]
    checkpoint.write(folder / loop.BEST, checkpoint.Checkpoint(tensors, {"metrics": found, "parts": parts}))
    if not (folder / "metrics.json").exists():
        log.write(folder, [{"epoch": 0.0} | found])
    return found


def _keep_crops(chosen: preparing.Chosen, recipe: Recipe, folder: Path) -> None:
    if (folder / CROPS).exists():
        return
    looks = [preparing.Look(crop, product, 0) for product, crop in chosen.crops]
    show = preparing.Shower(looks, recipe)
    places = np.unique(np.linspace(0, len(looks) - 1, COMPARED).astype(int))
    shown = [crop for crop in map(show, places.tolist()) if crop is not None]
    data = io.BytesIO()
    np.save(data, np.stack(shown))
    log.put(folder / CROPS, data.getvalue())


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
