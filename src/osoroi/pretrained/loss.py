"""What shorter vectors lose, measured on pairs: each street photo is a query among the shop photos."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest
from osoroi.evaluation.bootstrap import bootstrap_means, cluster_ids
from osoroi.evaluation.labels import Labels
from osoroi.evaluation.metrics import by_name
from osoroi.pretrained.graph import Projection
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.settings import PretrainedSettings
from osoroi.records import Domain, Preprocessing

MOST: Final = 2000
"""Products of the pairs that are measured on."""

METRICS: Final = ("hit@5", "nDCG@5")


def measured(
    brought: PretrainedModel,
    stated: PretrainedSettings,
    views: dict[Domain, Preprocessing],
    projection: Projection,
    pairs: str,
) -> str:
    """The loss of a projection on a data set of pairs, with its 95% interval, as a sentence. Raises BadRequest."""
    vectors, products, designs = _embedded(brought, stated, views, pairs)
    street, shop = (np.array(products[domain]) for domain in ("street", "shop"))
    own = np.isin(street, shop)
    if own.sum() < 2:
        raise BadRequest(f"{pairs} has {own.sum()} street photos whose product has a shop photo", hint="give pairs")
    queries, gallery = vectors["street"][own], vectors["shop"]
    whole = ranks(queries @ gallery.T, street[own], shop)
    short = ranks(projection(queries) @ projection(gallery).T, street[own], shop)
    before, after = (np.stack([by_name(name, each[:, None]) for name in METRICS], 1) for each in (whole, short))
    labels = Labels(designs=designs)
    cluster = cluster_ids([labels.shared([product]) for product in street[own].tolist()])
    intervals = bootstrap_means(after - before, cluster)
    changes = [
        f"{name} of deep {old:.3f} -> {old + mean:.3f} ({100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}])"
        for name, old, (mean, low, high) in zip(METRICS, before.mean(0), intervals, strict=True)
    ]
    return f"{queries.shape[1]} -> {projection.matrix.shape[1]} numbers, {len(queries)} queries: {', '.join(changes)}"


def _embedded(
    brought: PretrainedModel, stated: PretrainedSettings, views: dict[Domain, Preprocessing], pairs: str
) -> tuple[dict[str, Float32[np.ndarray, "_ d"]], dict[str, list[str]], dict[str, str]]:
    """Vectors of the street and of the shop photos of the first products, the product of each, and the designs that are
    known."""
    vectors: dict[str, list[np.ndarray]] = {"street": [], "shop": []}
    products: dict[str, list[str]] = {"street": [], "shop": []}
    known: set[str] = set()
    designs: dict[str, str] = {}
    for product, crop in open_dataset(pairs).rows():
        if len(known) == MOST and product.product_id not in known:
            continue
        known.add(product.product_id)
        if product.design_id is not None:
            designs[product.product_id] = product.design_id
        view = replace(views[crop.domain], fit=stated.fit)
        pixels = image.crop(crop.photo, crop.box, view)[view.height :, : stated.fit.width]
        vectors[crop.domain].append(brought.vectors([pixels], stated.colors)[0])
        products[crop.domain].append(product.product_id)
    none = np.empty((0, brought.dim), np.float32)
    return {domain: np.stack(own) if own else none for domain, own in vectors.items()}, products, designs


def ranks(
    scores: Float32[np.ndarray, "q g"], wanted: Sequence[str] | np.ndarray, shop: Sequence[str] | np.ndarray
) -> Float64[np.ndarray, "q"]:
    """The rank of each query's product, by the best photo of each product.

    >>> ranks(np.array([[0.9, 0.8, 0.7]], np.float32), ["b"], ["a", "a", "b"])
    array([2.])
    """
    names, column = np.unique(np.asarray(shop), return_inverse=True)
    best = np.full((len(scores), len(names)), -np.inf, np.float32)
    for place, product in enumerate(column):
        best[:, product] = np.maximum(best[:, product], scores[:, place])
    own = best[np.arange(len(scores)), np.searchsorted(names, np.asarray(wanted))]
    return (best >= own[:, None]).sum(1).astype(np.float64)
