"""A run: products and a recipe become a trained network in a folder, and a folder becomes the network again.

A run's folder holds ``run.json`` (datasets, recipe, files of weights), what ``loop`` writes, ``crops.npy`` (a few crops
of the validation split that an exported file is checked on) and ``features/`` (the feature cache: large, may be
deleted), unless that is elsewhere.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from osoroi import __version__, files
from osoroi.errors import BadRequest, BadRun
from osoroi.model import build
from osoroi.recipe import Recipe
from osoroi.records import Fit, Part
from osoroi.training import checkpoint, dataset, lda, log, loop, validation
from osoroi.training.dataset import Selection
from osoroi.training.distributed import HERE, Launch, device
from osoroi.training.feature_cache import fit_of
from osoroi.training.sampling import Pairs
from osoroi.training.view_loader import View, ViewLoader

CONFIG, CROPS, FEATURES = "run.json", "crops.npy", "features"
CHECKED_CROPS = 48
"""Number of validation crops that are kept for the check of an export."""


@dataclass(frozen=True)
class RunConfig:
    """What a run begins with: datasets, recipe, and files of weights that replace the packaged ones.

    ``teachers`` are encoder files, with the ``fingerprints`` that the run finds in them, and ``photos`` datasets whose
    photos are used without pairs. ``validation_share`` is the share of train that is held out for validation; None
    takes the datasets' own val, and a tenth of train where there is none.
    """

    datasets: tuple[str, ...]
    recipe: Recipe
    backbone: str | None = None
    foreground: str | None = None
    validation_share: float | None = None
    teachers: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    version: str = __version__


@dataclass(frozen=True)
class PairCounts:
    """Numbers of products: for training, for validation, and dropped because they have photos of one domain alone.

    ``origins`` says of each dataset where its validation split comes from.
    """

    training: int
    validation: int
    dropped: int
    origins: tuple[str, ...] = ()


Select = Callable[[str], Selection]
"""Gives the products of a split: ``train`` or ``val``."""

Track = Callable[[Path, Mapping[str, Any]], AbstractContextManager[Callable[[Mapping[str, float]], None]]]
"""Begins to track the run of a folder with these settings; gives what takes a line of metrics an epoch."""


@dataclass(frozen=True)
class Callbacks:
    """What is called as a run proceeds.

    ``on_features`` gets the views done and the views of the split, ``on_unreadable`` a reason for each photo.
    ``track`` opens what gets the metrics of each epoch beside the files of the run; see ``trackers.named``.
    """

    on_counts: Callable[[PairCounts], None] = lambda counts: None
    on_features: Callable[[int, int], None] = lambda done, total: None
    on_unreadable: Callable[[list[str]], None] = lambda problems: None
    on_step: Callable[[loop.Step], None] = lambda step: None
    track: Track = lambda folder, settings: nullcontext(lambda line: None)


def run(
    config: RunConfig,
    folder: Path,
    *,
    select: Select,
    resume: bool = False,
    cache: Path | None = None,
    network: Any = None,
    callbacks: Callbacks = Callbacks(),
    on: Launch = HERE,
) -> dict[str, float]:
    """Load pairs, fit heads by LDA, train, fit heads again; the metrics on the validation split.

    ``select`` gives the products of each split, as ``selection.Datasets`` does. A folder that holds a run is only ever
    resumed. ``cache`` is a folder of features that runs share. ``network`` replaces the one that the configuration
    names. Raises BadRun and BadDataset.
    """
    recipe = config.recipe
    _check_teaching(config)
    teachers = _opened(config.teachers)
    config = replace(config, fingerprints=tuple(teacher.fingerprint for teacher in teachers))
    first, where = on.world.is_first, device(on.device)
    if first:
        _check_folder(config, folder, resume)
    selections = {split: select(split) for split in ("train", "val")}
    counts = [len(each.products) for each in selections.values()]
    dropped = sum(each.dropped for each in selections.values())
    if first:
        callbacks.on_counts(PairCounts(counts[0], counts[1], dropped, selections["val"].origins))
    if network is None:
        network = build_network(config)
    network.to(where)
    with (
        _locked(folder) if first else nullcontext(),
        loop.memory_errors(recipe),
        (callbacks if first else Callbacks()).track(folder, flat(config)) as on_epoch,
    ):
        if first and not resume:  # only now, so that a mistake in the command leaves no folder that holds a run
            files.write_atomically(folder / CONFIG, json.dumps(asdict(config), indent=1).encode())
        pairs, held_out = (
            dataset.load_pairs(
                selection,
                network,
                recipe,
                folder / FEATURES / split if cache is None else cache / _digest([*config.datasets, *config.photos]),
                augmented=split == "train",
                teachers=teachers if split == "train" else (),
                shared=cache is not None,
                on_progress=callbacks.on_features,
                on_unreadable=callbacks.on_unreadable,
            )
            for split, selection in selections.items()
        )
        if first:
            _keep_crops(selections["val"], recipe, folder, fit_of(network))
        watch = loop.Watch(callbacks.on_step, on_epoch) if first else loop.UNWATCHED
        metrics = fit(network, pairs, held_out, recipe, folder, resume=resume, watch=watch, on=on)
        return _finish(network, metrics, folder) if first else metrics


def fit(
    network: Any,
    pairs: Pairs,
    held_out: Pairs,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    watch: loop.Watch = loop.UNWATCHED,
    on: Launch = HERE,
) -> dict[str, float]:
    """Train a network in place: heads by LDA, then epochs, then heads by LDA once more where the recipe says so.

    Gives the metrics on the products that are held out, with the weights of the parts that the encoder will state.
    """
    where = device(on.device)
    network.to(where)
    paired = recipe.lda_datasets or max(set(pairs.dataset.tolist()) - pairs.unpaired, default=-1) + 1
    lda_pairs = pairs.of_first_datasets(paired) if paired else pairs  # photos alone have no better pairs
    if recipe.init == "lda":
        lda.fit(network, lda_pairs, replace(recipe, nuisance_weight=0.0) if recipe.refit else recipe)
    if recipe.epochs:
        loop.train(network, pairs, held_out, recipe, folder, resume=resume, watch=watch, on=on)
        if recipe.refit:
            lda.fit(network, lda_pairs, recipe)
        if not recipe.weights:
            sides = validation.embed(network, held_out, where)
            _weigh(network, validation.fit_weights([sides], network.parts, recipe.monitor))
    if recipe.served_weights:
        _weigh(network, dict(recipe.served_weights))
    metrics = validation.metrics(network, held_out, where)
    if not recipe.epochs:
        watch.on_epoch({"epoch": 0.0} | metrics)
    return metrics


def is_brought(backbone: str | Path | None) -> bool:
    """Whether a path is that of a brought backbone: a folder or an ONNX file, and no file of weights.

    >>> is_brought("siglip/model.onnx"), is_brought("lite2.pth"), is_brought("default"), is_brought(None)
    (True, False, False, False)
    """
    if backbone is None or Path(backbone) == build.SHIPPED:
        return False
    return Path(backbone).is_dir() or Path(backbone).suffix == ".onnx"


def build_network(config: RunConfig, *, empty: bool = False) -> Any:
    """The network that a run begins with; ``empty`` where its weights will be loaded."""
    backbone, foreground = _path(config.backbone), _path(config.foreground)
    if is_brought(config.backbone):
        from osoroi.training import brought

        assert backbone is not None
        return brought.build(config.recipe, backbone, foreground)
    return build.build(config.recipe, None if empty else backbone, foreground, empty=empty)


def load(folder: Path) -> tuple[Any, RunConfig]:
    """The network of a finished run, its adapters folded in, and what the run began with."""
    config = read_config(folder)
    stored = checkpoint.read(folder / loop.BEST)
    if "parts" not in stored.state:
        raise BadRun(f"{folder} has not finished", hint="train again with the same `out` and `resume`")
    network = build_network(config, empty=True)
    if is_brought(config.backbone):
        from osoroi.training import brought

        brought.require_same(network, checkpoint.weights(stored), Path(str(config.backbone)))
    checkpoint.fill(network, stored)
    if config.recipe.lora_rank:
        from osoroi.model import lora

        lora.fold(network)
    try:
        network.parts = tuple(Part(**part) for part in stored.state["parts"])
    except TypeError as error:
        raise BadRun(f"{folder / loop.BEST} names no parts ({error})", hint="start the run anew") from error
    return network.eval(), config


def read_config(folder: Path) -> RunConfig:
    """What a run began with; raises BadRun for a folder that holds none."""
    try:
        stored = files.from_json(files.content(folder / CONFIG))
        lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        return RunConfig(**(stored | lists | {"recipe": checkpoint.recipe_of(stored["recipe"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(
            f"{folder} holds no run ({error})", hint="give the folder of a run, the `out` of its training"
        ) from error


def datasets_of(folder: Path) -> tuple[str, ...]:
    """Datasets that a run learned from, then those of the run or encoder whose backbone it began with, each once."""
    config = read_config(folder)
    if config.backbone is not None and Path(config.backbone) == build.SHIPPED:
        return (*config.datasets, _opened([str(build.DEFAULT)])[0].metadata.training)
    before = None if config.backbone is None else Path(config.backbone).parent
    earlier = datasets_of(before) if before is not None and (before / CONFIG).is_file() else ()
    return tuple(dict.fromkeys((*config.datasets, *earlier)))


def crops_of(folder: Path) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The crops that an export of the run is checked on; raises BadRun where they cannot be read."""
    try:
        with files.open_foreign(folder / CROPS) as file:
            return list(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise BadRun(f"{folder / CROPS} holds no crops ({error})", hint="train again, into another `out`") from error


def flat(config: RunConfig) -> dict[str, Any]:
    """What a run begins with, as trackers show it: the settings of its recipe, and the rest that is not empty."""
    rest = {name: value for name, value in asdict(config).items() if name != "recipe" and value}
    stated = asdict(config.recipe) | rest
    return {name: str(value) if isinstance(value, tuple) else value for name, value in stated.items()}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is another value now, but for the version and what only describes a recipe.

    >>> differences({"name": "a", "dim": 16, "split": "val"}, {"name": "b", "dim": 32, "split": "val"})
    'dim was 16 and is 32'
    """
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    telling = [name for name in names if name not in ("name", "cost", "result", "version")] or names
    return "; ".join(f"{name} was {before.get(name)} and is {now.get(name)}" for name in telling)


def _opened(paths: Sequence[str]) -> list[Any]:
    """The encoders in files; most runs have no teacher and need nothing of encoders."""
    if not paths:
        return []
    from osoroi.encoder import Encoder

    return [Encoder.open(path) for path in paths]


def _check_teaching(config: RunConfig) -> None:
    """Raise BadRequest for teachers and photos that nothing would be learned from."""
    recipe = config.recipe
    if not config.datasets and not config.photos:
        raise BadRequest("nothing to learn from", hint="give a dataset of pairs, or photos with a teacher")
    if config.teachers and not recipe.epochs:
        raise BadRequest(f"recipe {recipe.name!r} has no epochs for a teacher", hint="take the `recipe` distill")
    if config.photos and not config.teachers:
        raise BadRequest("photos without pairs need a teacher", hint="name its encoder file as `teacher`")
    if not config.datasets and recipe.views < 2:
        raise BadRequest("photos alone need augmented views", hint="set views=2 or more")


def _weigh(network: Any, weights: dict[str, float]) -> None:
    network.parts = tuple(replace(part, weight=weights[part.name]) for part in network.parts)


def begun_otherwise(folder: Path, config: RunConfig) -> str | None:
    """In what the run in a folder began otherwise, whatever its version; None where it is the same."""
    before = read_config(folder)
    return None if replace(before, version=config.version) == config else differences(flat(before), flat(config))


def _check_folder(config: RunConfig, folder: Path, resume: bool) -> None:
    """Raise BadRun unless a new run has a folder of its own, and an old one is resumed as it began."""
    if resume:
        if (told := begun_otherwise(folder, config)) is not None:
            raise BadRun(
                f"{folder} was begun otherwise: {told}",
                hint="resume with the same datasets, recipe and settings, or give another `out`",
            )
    elif (folder / CONFIG).exists():
        raise BadRun(f"{folder} holds a run already", hint="go on with `resume`, or give another `out`")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    with files.lock(folder / "lock") as alone:
        if not alone:
            raise BadRun(f"another process is at work in {folder}", hint="wait for it, or give another `out`")
        yield


def _finish(network: Any, metrics: dict[str, float], folder: Path) -> dict[str, float]:
    """Store the network with its parts and metrics."""
    tensors = {checkpoint.MODEL + name: one for name, one in network.state_dict().items()}
    parts = [asdict(part) for part in network.parts]
    checkpoint.write(folder / loop.BEST, checkpoint.Checkpoint(tensors, {"metrics": metrics, "parts": parts}))
    if not (folder / "metrics.json").exists():
        log.write(folder, [{"epoch": 0.0} | metrics])
    return metrics


def _keep_crops(selection: Selection, recipe: Recipe, folder: Path, fit: Fit | None) -> None:
    if (folder / CROPS).exists():
        return
    views = [View(crop, product, 0) for product, crop in selection.crops]
    loader = ViewLoader(views, recipe, fit=fit)
    places = np.unique(np.linspace(0, len(views) - 1, CHECKED_CROPS).astype(int))
    loaded = [crop for place in places.tolist() for crop in loader.load_together([place]) if crop is not None]
    data = io.BytesIO()
    np.save(data, np.stack(loaded))
    files.write_atomically(folder / CROPS, data.getvalue())


def _digest(names: Sequence[str]) -> str:
    return sha256("\n".join(names).encode()).hexdigest()[:16]


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
