"""``osoroi.train``: pairs of street and shop photos become a run, and a run becomes an encoder file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from osoroi.data.readers import dataset_name
from osoroi.encoder import Encoder
from osoroi.model import export
from osoroi.recipes import named
from osoroi.training import run
from osoroi.training.distributed import Place
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
    dataset: PathLike | Sequence[PathLike],
    *,
    out: PathLike,
    recipe: str = "quick",
    resume: bool = False,
    feature_cache: PathLike | None = None,
    backbone: PathLike | None = None,
    foreground: PathLike | None = None,
    validation_share: float | None = None,
    device: str | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a network to match the street photos of a data set with its shop photos.

    ``dataset`` is a data set such as ``table:pairs.csv``, the path of a table or folder, or several of them. Trains on
    the split train and measures on the split val; where there is none, or a ``validation_share`` is given, that share
    of train (a tenth) is held out by product, design and photo. ``out`` is the folder of the run. ``settings`` change
    the recipe, such as ``epochs=4``. ``backbone`` and ``foreground`` are files of weights that replace the packaged
    ones, ``feature_cache`` is a folder of features that runs share, ``device`` one such as ``cuda:1``. Raises
    BadDataset, BadRequest and BadRun, and MissingExtra where torch is not installed.
    """
    datasets = [dataset] if isinstance(dataset, str | os.PathLike) else list(dataset)
    weights = {"backbone": backbone, "foreground": foreground}
    config = run.RunConfig(
        tuple(dataset_name(one) for one in datasets),
        named(recipe, settings),
        validation_share=validation_share,
        **{name: os.fspath(path) for name, path in weights.items() if path is not None},
    )
    cache = None if feature_cache is None else Path(feature_cache)
    metrics = run.run(config, Path(out), resume=resume, cache=cache, on=Place(device))
    return TrainedRun(Path(out), config.recipe.name, metrics)


def export_run(folder: PathLike, path: PathLike, *, licence: str = "unknown") -> Encoder:
    """Write the network of a run as an encoder file, and open it.

    ``licence`` says what the photos that it was trained on allow. Raises Mismatch, and writes nothing, unless the file
    gives the network's vectors on crops that the run kept; BadRun where the folder holds no finished run.
    """
    from osoroi.garments.part import with_kind

    network, config = run.load(Path(folder))
    return export.export(
        network,
        Path(path),
        parts=with_kind(network.parts, weight) if (weight := config.recipe.kind_weight) else network.parts,
        preprocessing=preprocessing(config.recipe),
        crops=run.crops_of(Path(folder)),
        recipe=config.recipe.name,
        training=" + ".join(run.datasets_of(Path(folder))),
        licence=licence,
    )
