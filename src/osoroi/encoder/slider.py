"""The slider from shape to colour: the weights of the parts for a query that sets the weight of ``detail``."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float32

from osoroi.encoder import DETAIL, KIND
from osoroi.errors import BadRequest

FEW: Final = 64
"""The mean over so many products is shrunk by half: it knows little of the others."""


def usual(rows: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "d"]:
    r"""What products have in common in one part: their mean, times n / (n + ``FEW``); zeros without products.

    >>> usual(np.ones((64, 2), np.float32)).tolist()
    [0.5, 0.5]
    """
    return (rows.sum(axis=0) / np.float32(len(rows) + FEW)).astype(np.float32)


def distinctive(rows: Float32[np.ndarray, "b d"], usual: Float32[np.ndarray, "d"]) -> Float32[np.ndarray, "b d"]:
    r"""Queries' part less what all products have in common, of unit length again.

    .. math:: q' = (q - \mu) / |q - \mu|

    Some products are near every query, as they are near the mean; less of it, the query's own colour decides. Rows
    are unit vectors and :math:`|\mu| < 1`, so nothing is divided by 0. One inner product is still the score.
    """
    moved = rows - usual
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def shifted(weights: Mapping[str, float], detail: float) -> dict[str, float]:
    """Weights with the share ``detail``, in [0, 1], for the part of that name; the others share the rest as before.

    ``kind`` keeps its weight. Raises BadRequest outside [0, 1], and where there is nothing to shift.

    >>> shifted({"deep": 0.18, "detail": 0.42, "kind": 0.4}, 1.0)
    {'deep': 0.0, 'detail': 0.6, 'kind': 0.4}
    """
    if not 0 <= detail <= 1:
        raise BadRequest(f"detail={detail} is outside [0, 1]", hint="0 is cut alone, 1 colour and pattern alone")
    fixed = {KIND: weights[KIND]} if KIND in weights else {}
    others = {name: weight for name, weight in weights.items() if name != DETAIL and name not in fixed}
    if DETAIL not in weights or not others:
        raise BadRequest(
            f"this encoder has the parts {sorted(weights)}, so there is no weight of {DETAIL!r} to set",
            hint="leave the slider alone, or use an encoder with the parts deep and detail",
        )
    total, left = sum(others.values()), 1 - sum(fixed.values())
    shares = {name: weight / total if total else 1 / len(others) for name, weight in others.items()}
    return {name: share * (1 - detail) * left for name, share in shares.items()} | {DETAIL: detail * left} | fixed
