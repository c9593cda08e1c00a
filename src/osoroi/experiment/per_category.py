"""Models of one category each, as one system: every query is answered by the model of its own category.

Scores of two models do not compare, so the evaluation must keep each query within its category (``within = true``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from osoroi.errors import BadRequest
from osoroi.evaluation import compare, results
from osoroi.evaluation.results import Arm, Evaluation


def joined(paths: Mapping[str, Path]) -> Evaluation:
    """The evaluation whose queries of each category come from that category's file; all of the same task."""
    found = {category: results.read(path) for category, path in paths.items()}
    first = next(iter(found.values()))
    if not first.task.protocol.within:
        raise BadRequest("models of one category each were evaluated among all products", hint="set within = true")
    for each in found.values():
        compare.check_comparable(first, each)
    strange = set(first.categories) - set(found)
    if strange:
        raise BadRequest(f"no model of {', '.join(sorted(strange))}", hint="train one for every category")
    arms = tuple(_arm(name.name, found, first) for name in first.plain_arms)
    return replace(first, arms=arms, encoder=named([each.encoder for each in found.values()]))


def named(encoders: Sequence[str]) -> str:
    """What the evaluation of some models has in place of an encoder's fingerprint.

    >>> named(["0123456789abcdef", "f" * 64])
    '0123456789ab+ffffffffffff'
    """
    return "+".join(each[:12] for each in encoders)


def _arm(name: str, found: Mapping[str, Evaluation], first: Evaluation) -> Arm:
    mine = {category: each.arm(name) for category, each in found.items()}
    chosen = [mine[str(query.category)] for query in first.queries]
    return replace(
        first.arm(name),
        ranks=np.stack([arm.ranks[row] for row, arm in enumerate(chosen)]),
        top=tuple(arm.top[row] for row, arm in enumerate(chosen)),
        scores=tuple(arm.scores[row] for row, arm in enumerate(chosen)),
    )
