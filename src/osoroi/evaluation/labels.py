"""Kinds and colors of queries and products, and their shares among the first products: ``kind@k``, ``color@k``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

LABELLED = ("kind@5", "color@5")
"""Metrics of labels that an evaluation prints, where queries have them."""


class Label(NamedTuple):
    """Kind and color of a product, or of a query's first product; None where they are not known."""

    kind: str | None = None
    color: str | None = None


@dataclass(frozen=True)
class Labels:
    """Labels of the queries in their order, and of the products that any arm retrieved, by id.

    ``designs`` has the design of each relevant product that has one.
    """

    queries: tuple[Label, ...] = ()
    products: Mapping[str, Label] = field(default_factory=dict)
    designs: Mapping[str, str] = field(default_factory=dict)

    def shared(self, product_ids: Iterable[str]) -> set[str]:
        """What makes a query of these products depend on others: the products, and their designs.

        >>> sorted(Labels(designs={"red": "coat"}).shared(["red", "bag"]))
        ['design coat', 'product bag', 'product red']
        """
        names = set(product_ids)
        designs = {f"design {self.designs[name]}" for name in names & self.designs.keys()}
        return {f"product {name}" for name in names} | designs


def share_of_label(top: Sequence[Sequence[str]], labels: Labels, column: str, k: int) -> Float64[np.ndarray, "q"]:
    """Share of the first k products that have the query's label; what is not retrieved has none."""
    wanted = [getattr(label, column) for label in labels.queries] or [None] * len(top)
    known = {product for product, label in labels.products.items() if getattr(label, column) is not None}
    return np.array(
        [
            math.nan
            if label is None
            else sum(name in known and getattr(labels.products[name], column) == label for name in row[:k]) / k
            for label, row in zip(wanted, top, strict=True)
        ]
    )


def labels_of(fields: Mapping[str, Any]) -> Labels:
    """Labels as an evaluation file has them."""
    products = {name: Label(*label) for name, label in fields["products"].items()}
    return Labels(tuple(Label(*label) for label in fields["queries"]), products, fields.get("designs", {}))
