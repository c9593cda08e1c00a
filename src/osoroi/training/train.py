"""``osoroi.train``: pairs of street and shop photos become a run, and a run becomes an encoder file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from osoroi.data.readers import dataset_name
from osoroi.encoder import Encoder
from osoroi.model import export
from osoroi.recipes import named
from osoroi.training import run, trackers
from osoroi.training.distributed import Launch
from osoroi.training.selection import Datasets
from osoroi.training.view_loader import preprocessing

PathLike = str | os.PathLike[str]


class TrainedRun(NamedTuple):
    """A finished run: its folder, the name of its recipe, and metrics in [0, 1] on the products held out."""

    folder: Path
    recipe: str
    metrics: Mapping[str, float]

    def export(self, path: PathLike, *, licence: str = "unknown") -> Encoder:
        """Write the encoder file of the run; see ``export_run``."""
        return export_run(self.folder, path, licence=licence)


def train(  # noqa: PLR0913  the settings of a run are plain keywords here
    dataset: PathLike | Sequence[PathLike] = (),
    *,
    out: PathLike,
    recipe: str = "quick",
    resume: bool = False,
    feature_cache: PathLike | None = None,
    backbone: PathLike | None = None,
    foreground: PathLike | None = None,
    teacher: PathLike | Sequence[PathLike] = (),
    photos: PathLike | Sequence[PathLike] = (),
    validation_share: float | None = None,
    device: str | None = None,
    track: Sequence[str] = (),
    **settings: Any,
) -> TrainedRun:
    """Train a network to match the street photos of a data set with its shop photos.

    ``dataset`` is a data set such as ``table:pairs.csv``, the path of a table or folder, or several of them. Trains on
    the split train and measures on the split val; where there is none, or a ``validation_share`` is given, that share
    of train (a tenth) is held out by product, design and photo. ``out`` is the folder of the run. ``settings`` change
    the recipe, such as ``epochs=4``. ``backbone`` and ``foreground`` are files of weights that replace the packaged
    ones; ``backbone`` may be a folder that `osoroi encoder make` reads, whose model then gives ``deep``, or
    ``default``, to begin with the backbone of the encoder that ships.
    ``feature_cache`` is a folder of features that runs share, ``device`` one such as ``cuda:1``. ``teacher`` is an
    encoder file, or several: distillation, by the recipe ``distill``, on the pairs and on ``photos``,
    which are data sets like the others but need no pairs; then ``dataset`` may be left away. ``track``
    names trackers that get the metrics of each epoch: ``wandb``, ``mlflow``, or what a package registers. Raises
    BadDataset, BadRequest and BadRun, and MissingExtra where torch is not installed.
    """
    weights = {"backbone": backbone, "foreground": foreground}
    given: dict[str, Any] = {name: os.fspath(path) for name, path in weights.items() if path is not None}
    config = run.RunConfig(
        tuple(map(dataset_name, _listed(dataset))),
        named(recipe, settings),
        validation_share=validation_share,
        teachers=tuple(str(os.fspath(path)) for path in _listed(teacher)),
        photos=tuple(map(dataset_name, _listed(photos))),
        **given,
    )
    cache = None if feature_cache is None else Path(feature_cache)
    metrics = run.run(
        config,
        Path(out),
        select=Datasets(config).select,
        resume=resume,
        cache=cache,
        callbacks=run.Callbacks(track=trackers.named(track)),
        on=Launch(device),
    )
    return TrainedRun(Path(out), config.recipe.name, metrics)


def _listed(given: PathLike | Sequence[PathLike]) -> list[PathLike]:
    return [given] if isinstance(given, str | os.PathLike) else list(given)


def export_run(folder: PathLike, path: PathLike, *, licence: str = "unknown") -> Encoder:
    """Write the network of a run as an encoder file, and open it.

    ``licence`` says what the photos that it was trained on allow. Raises Mismatch, and writes nothing, unless the file
    gives the network's vectors on crops that the run kept; BadRun where the folder holds no finished run.
    """
    from osoroi.garments.part import with_kind

    network, config = run.load(Path(folder))
    parts = with_kind(network.parts, weight) if (weight := config.recipe.kind_weight) else network.parts
    crops, training = run.crops_of(Path(folder)), described(config, run.datasets_of(Path(folder)))
    if run.is_brought(config.backbone):
        from osoroi.training import brought

        backbone = Path(str(config.backbone))
        return brought.export(
            network, backbone, Path(path),
            parts=parts, recipe=config.recipe, training=training, licence=licence, crops=crops,
        )  # fmt: skip
    return export.export(
        network,
        Path(path),
        parts=parts,
        preprocessing=preprocessing(config.recipe),
        crops=crops,
        recipe=config.recipe.name,
        training=training,
        licence=licence,
    )


def described(config: run.RunConfig, datasets: Sequence[str]) -> str:
    """What a run learned from: data sets, photos alone, and teachers by licence, which may bind their students."""
    taught = [f"teacher {Path(path).name} ({Encoder.open(path).licence})" for path in config.teachers]
    return " + ".join([*datasets, *(f"photos of {name}" for name in config.photos), *taught])
