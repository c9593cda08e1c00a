"""Shorter vectors: the first numbers of a Matryoshka model, or whitening and PCA on photos of the shop."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float32

from osoroi.errors import BadRequest
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.graph import Projection

SHRINKAGE: Final = 0.1
"""Share of the mean variance that is added to each before whitening, so that directions of noise are not enlarged."""


def matryoshka_sizes(folder: ModelFolder) -> tuple[int, ...]:
    """The lengths that a model was trained to be cut to, as its configuration has them; none for other models."""
    stated = folder.config.get("matryoshka_dimensions") or folder.config.get("matryoshka_dims") or []
    return tuple(int(each) for each in stated) if isinstance(stated, list) else ()


def truncation(size: int, dim: int) -> Projection:
    """The first ``dim`` of ``size`` numbers."""
    return Projection(np.zeros(size, np.float32), np.eye(size, dim, dtype=np.float32))


def whitening(vectors: Float32[np.ndarray, "n d"], dim: int) -> Projection:
    r"""The ``dim`` directions of most variance, each divided by its deviation.

    .. math:: x \mapsto (x - \mu)\, U_d\, (\Lambda_d + \alpha \bar\lambda)^{-1/2}

    Raises BadRequest for fewer than ``2 dim`` vectors, which cannot say what their variance is.
    """
    count, size = vectors.shape
    if dim >= size:
        raise BadRequest(f"dim={dim}, and the vector has {size} numbers", hint="give a smaller `dim`, or leave it out")
    if count < 2 * dim:
        raise BadRequest(f"{count} photos say too little for {dim} numbers", hint=f"give at least {2 * dim} photos")
    centre = vectors.mean(0)
    centred = (vectors - centre).astype(np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred / count)
    order = np.argsort(variances)[::-1][:dim]
    scales = 1 / np.sqrt(variances[order] + SHRINKAGE * variances.mean())
    return Projection(centre, (directions[:, order] * scales).astype(np.float32))


def projection(
    folder: ModelFolder, size: int, dim: int, vectors: Float32[np.ndarray, "n d"] | None, sizes: Sequence[int]
) -> Projection:
    """How to shorten vectors of a model: cut where it was trained for that, else whitened on the photos' vectors."""
    if dim in sizes:
        return truncation(size, dim)
    if vectors is None:
        known = f"; it was trained to be cut to {', '.join(map(str, sizes))}" if sizes else ""
        raise BadRequest(
            f"{folder.root.name} was not trained to be cut to {dim} numbers{known}",
            hint="give photos of your shop as `photos`: they say which directions matter",
        )
    return whitening(vectors, dim)
