"""Heads fitted by LDA, and the weights of the parts fitted on pairs that the heads were not fitted on: no epochs."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from osoroi.model.heads import FeatureSource, Head, Nuisance, fit_lda
from osoroi.model.network import Features, Network
from osoroi.recipe import Recipe
from osoroi.training import validation
from osoroi.training.sampling import Pairs
from osoroi.training.validation import Embeddings

SHARED_VARIANCE = {"last": 1.0, "histogram": 1.0, "grid": 1.0, "color-constant histogram": 1.0}
"""How far the features of a source share one variance."""

SHARED_VARIANCE_OF_BLOCKS = 0.3
"""The same for the means and deviations of blocks."""

BATCH = 64


class PairFeatures(NamedTuple):
    """Features of pairs by part; row i of both domains shows one product, of this number."""

    street: dict[str, Float64[np.ndarray, "n _"]]
    shop: dict[str, Float64[np.ndarray, "n _"]]
    product: Int64[np.ndarray, "n"]

    def of(self, rows: Bool[np.ndarray, "n"]) -> "PairFeatures":
        """Some of the pairs."""
        street, shop = ({name: own[rows] for name, own in side.items()} for side in (self.street, self.shop))
        return PairFeatures(street, shop, self.product[rows])


def fit(network: Network, pairs: Pairs, recipe: Recipe) -> None:
    """Fit a network's heads by LDA in place, and the weights of its parts where the recipe sets none.

    For the weights the products are dealt into folds, designs together; the products of each fold are ranked by heads
    of the others. Products of one design alone leave the weights equal.
    """
    features = gather(network, pairs)
    weights = dict(recipe.weights)
    if not weights and len(network.parts) == 1:
        weights = {network.parts[0].name: 1.0}
    if not weights:
        fold = folds(pairs, recipe)[features.product]
        held_out = [
            embed(fit_heads(network, features.of(fold != number), recipe), features.of(fold == number))
            for number in range(int(fold.max()) + 1 if fold.any() else 0)
        ]
        weights = validation.fit_weights(held_out, network.parts, recipe.monitor)
    for name, fitted in fit_heads(network, features, recipe).items():
        head: Any = network.heads[name]
        head.init_from(fitted)
    network.parts = tuple(replace(part, weight=weights[part.name]) for part in network.parts)


def fit_heads(network: Network, features: PairFeatures, recipe: Recipe) -> dict[str, Head]:
    """A head for each part, fitted by LDA."""
    heads = {}
    for part in network.parts:
        sources = [
            FeatureSource(name, size, SHARED_VARIANCE.get(name, SHARED_VARIANCE_OF_BLOCKS))
            for name, size in network.extractor.sources(part.name)
        ]
        sides = features.street[part.name], features.shop[part.name]
        has_nuisance = part.name == "deep" and recipe.nuisance_weight
        nuisance = _colors(network, features, recipe.nuisance_weight) if has_nuisance else None
        heads[part.name] = fit_lda(*sides, part.size, sources=sources, shrinkage=recipe.shrinkage, nuisance=nuisance)
    return heads


def _colors(network: Network, features: PairFeatures, weight: float) -> Nuisance | None:
    """The histograms of pairs, on which ``deep`` should not depend; None where no part has them."""
    if "detail" not in features.street:
        return None
    names, sizes = zip(*network.extractor.sources("detail"), strict=True)
    first = sum(sizes[: names.index("histogram")])
    columns = slice(first, first + sizes[names.index("histogram")])
    return Nuisance(features.street["detail"][:, columns], features.shop["detail"][:, columns], weight)


def folds(pairs: Pairs, recipe: Recipe) -> Int64[np.ndarray, "p"]:
    """A fold for each product, the same for all of one design; no more folds than there are designs."""
    own = -1 - np.arange(len(pairs))
    _, group = np.unique(np.where(pairs.design < 0, own, pairs.design), return_inverse=True)
    rng = np.random.default_rng(recipe.seed)
    designs = int(group.max()) + 1
    return (rng.permutation(designs) % min(recipe.folds, designs))[group].astype(np.int64)


def embed(heads: dict[str, Head], features: PairFeatures) -> Embeddings:
    """Vectors of pairs; every street row is a query, and the gallery is all shop rows."""
    with torch.no_grad():
        street, shop = (
            np.concatenate([head(torch.from_numpy(side[name]).float()).numpy() for name, head in heads.items()], 1)
            for side in (features.street, features.shop)
        )
    return Embeddings(street, features.product, shop, features.product)


def gather(network: Network, pairs: Pairs) -> PairFeatures:
    """Features of each street view, beside those of a shop view of the same product; shop views are taken in turn."""
    street, shop = pairs.rows(is_street=True), pairs.rows(is_street=False)
    queries = np.concatenate(street)
    partners = np.concatenate([np.resize(own, len(rows)) for rows, own in zip(street, shop, strict=True)])
    sides = [_features(network, pairs, rows) for rows in (queries, partners)]
    return PairFeatures(sides[0], sides[1], pairs.product[queries])


def _features(network: Network, pairs: Pairs, rows: Int64[np.ndarray, "n"]) -> dict[str, Float64[np.ndarray, "n _"]]:
    """Features of rows, each computed once however often it comes."""
    distinct, where = np.unique(rows, return_inverse=True)
    computed: list[Features] = []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for some in np.array_split(distinct, -(-len(distinct) // BATCH)):
            computed.append(network.features(*(images.to(device) for images in pairs.load(some, 0))))
    names = [part.name for part in network.parts]
    return {name: torch.cat([getattr(one, name) for one in computed]).double().cpu().numpy()[where] for name in names}
