"""A garment as plain data: what ``osoroi find --json`` prints and the service sends."""

from typing import Any

from osoroi.garments.find import Garment
from osoroi.garments.kinds import BY_NAME


def fields(garment: Garment) -> dict[str, Any]:
    """One garment as JSON; ``kind_ja`` is its kind in Japanese, and ``person`` counts from 0.

    >>> from osoroi.records import Box
    >>> fields(Garment(Box(0, 9, 9, 30), "skirt", 0.81234, 0, {}, ("#b03a2e",)))
    {'kind': 'skirt', 'kind_ja': 'スカート', 'box': [0, 9, 9, 30], 'score': 0.8123, 'person': 0, 'colors': ['#b03a2e']}
    """
    return {
        "kind": garment.kind,
        "kind_ja": BY_NAME[garment.kind].japanese,
        "box": list(garment.box),
        "score": round(garment.score, 4),
        "person": garment.person,
        "colors": list(garment.colors),
    }
