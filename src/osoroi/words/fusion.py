r"""How well a product agrees with words, and with a photo where there is one.

.. math:: s = \frac{\sum_i w_i a_i}{\sum_i w_i}

over what the query has, each in [0, 1]: kind and the text tower, where there is one (w = 4), colour (2), pattern, words
of the title and photo (1). A photo's share is its cut, or with a weight of colour and pattern both by that weight.
Whoever asks for a red skirt rather gets a skirt of another colour than red trousers. The
weight of the text tower is a guess: no real one could be measured here.
"""

from dataclasses import dataclass
from typing import Final

from osoroi.garments.part import known_kind
from osoroi.records import Product
from osoroi.words.reading import Words, nearness, stated

WEIGHTS: Final = {"kind": 4, "color": 2, "pattern": 1, "title": 1, "photo": 1, "tower": 4}


@dataclass(frozen=True)
class QueryAgreement:
    """How much a product agrees with each thing that a query has; None where the query has it not."""

    kind: float | None = None
    color: float | None = None
    pattern: float | None = None
    title: float | None = None
    photo: float | None = None
    tower: float | None = None


def agreement(
    product: Product,
    words: Words,
    *,
    kind: float | None,
    color: float | None,
    title: float,
    photo: float | None,
    tower: float | None = None,
) -> QueryAgreement:
    """Agreement by what a product says of itself; where it says nothing, by its picture.

    ``kind`` and ``color`` are what the picture gives, in [0, 1]; ``kind`` is None where the encoder cannot say, and
    ``color`` where none is wanted.
    ``tower`` is how near the picture is to the words by the encoder's own text model.
    """
    said = stated(product)
    own_kind = known_kind(product) or said.kind
    return QueryAgreement(
        kind=None if words.kind is None else _kind(words.kind, own_kind, kind),
        color=None if color is None else _color(words, said, color),
        pattern=None if words.pattern is None else float(said.pattern == words.pattern),
        title=title,
        photo=photo,
        tower=tower,
    )


def score(agreement: QueryAgreement) -> float:
    """The weighted mean over what the query has.

    >>> score(QueryAgreement(kind=1.0, title=0.5))
    0.9
    >>> score(QueryAgreement(kind=1.0, color=0.0, title=0.5)) > score(QueryAgreement(kind=0.0, color=1.0, title=0.5))
    True
    """
    weights = {name: WEIGHTS[name] for name, value in vars(agreement).items() if value is not None}
    total = sum(weights.values())
    return sum(weight * getattr(agreement, name) for name, weight in weights.items()) / total if total else 0.0


def _kind(wanted: str, own: str | None, by_picture: float | None) -> float:
    if own is not None:
        return float(own == wanted)
    return 0.0 if by_picture is None else by_picture


def _color(words: Words, said: Words, by_picture: float) -> float:
    """1 where the title or a column states a colour that is wanted, less where one is near, 0 where all are others."""
    if not said.colors or not words.colors:
        return by_picture
    return max(nearness(one, other) for one in words.colors for other in said.colors)
