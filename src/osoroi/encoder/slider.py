"""The slider from shape to colour: the weights of the parts for a query that sets the weight of ``detail``."""

from collections.abc import Mapping

from osoroi.encoder.metadata import DETAIL, KIND
from osoroi.errors import BadRequest


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
