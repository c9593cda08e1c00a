"""Heads in closed form, and the weights of the parts on pairs that the heads have not seen: seconds, and no epochs."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64, Int64

from osoroi.model.devices import device
from osoroi.model.heads import STILL, Head, Noise, Source, discriminant
from osoroi.model.network import Backbone, Features, Network
from osoroi.recipe import Recipe
from osoroi.training import validation
from osoroi.training.sampling import Pairs
from osoroi.training.validation import Sides

SHARED = {"last": 1.0, "histogram": 1.0, "grid": 1.0, "relit histogram": 1.0}
"""How far a source shares one spread."""

OTHERS = 0.3
"""The same for the means and deviations of blocks."""

BATCH = 64

PROBE_EPOCHS, PROBE_RATE, PROBE_DECAY = 10, 2e-3, 0.05
"""The loss of the probe hardly falls after the sixth epoch of 2,000 crops; of fewer it is shown more."""

PROBE_STEPS = 250
"""At least so many steps."""


class Raw(NamedTuple):
    """Features of pairs, row i of both sides of one product, and that product's number."""

    street: dict[str, Float64[np.ndarray, "n _"]]
    shop: dict[str, Float64[np.ndarray, "n _"]]
    product: Int64[np.ndarray, "n"]

    def of(self, rows: Bool[np.ndarray, "n"]) -> "Raw":
        """Some of the pairs."""
        street, shop = ({name: raw[rows] for name, raw in side.items()} for side in (self.street, self.shop))
        return Raw(street, shop, self.product[rows])


def fit(network: Network, pairs: Pairs, recipe: Recipe) -> None:
    """Give a network the heads of these pairs, and its parts the weights that rank best where the heads have not been.

    For the weights the products are dealt into folds, designs together; each fold is ranked among its own products by
    heads of the others. Products of one design alone tell nothing of weights, and leave them equal.
    """
    raw = gather(network, pairs)
    weights = dict(recipe.weights)
    if not weights and len(network.parts) == 1:
        weights = {network.parts[0].name: 1.0}
    if not weights:
        fold = folds(pairs, recipe)[raw.product]
        found = [
            embed(heads_of(network, raw.of(fold != number), recipe), raw.of(fold == number))
            for number in range(int(fold.max()) + 1 if fold.any() else 0)
        ]
        weights = validation.weigh(found, network.parts, recipe.best)
    for name, head in heads_of(network, raw, recipe).items():
        started: Any = network.heads[name]
        started.begin(head)
    network.parts = tuple(replace(part, weight=weights[part.name]) for part in network.parts)


def fit_probe(
    backbone: Backbone, maps: Float32[np.ndarray, "n c y x"], masks: Float32[np.ndarray, "n y x"], *, seed: int = 0
) -> float:
    """Teach a backbone's probe where garments are: masks in [0, 1], by cross entropy, at a rate that falls to nothing.

    Gives the mean absolute error on the last tenth, which is not learned from.
    """
    probe, held = backbone.probe, max(1, len(maps) // 10)
    assert probe is not None
    seen, wanted = torch.from_numpy(maps[:-held]), torch.from_numpy(masks[:-held])
    probe.centre.copy_(seen.mean((0, 2, 3)))
    probe.spread.copy_(seen.std((0, 2, 3)) + STILL)
    probe.requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        probe.first.reset_parameters()
        probe.last.reset_parameters()
    optimizer = torch.optim.AdamW(probe.parameters(), PROBE_RATE, weight_decay=PROBE_DECAY)
    draw = torch.Generator().manual_seed(seed)
    epochs = max(PROBE_EPOCHS, -(-PROBE_STEPS * BATCH // len(seen)))
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = PROBE_RATE * (1 - epoch / epochs)
        for rows in torch.split(torch.randperm(len(seen), generator=draw), BATCH):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy(probe.attend(seen[rows]), wanted[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    probe.requires_grad_(False)
    with torch.inference_mode():
        return float((probe.attend(torch.from_numpy(maps[-held:])) - torch.from_numpy(masks[-held:])).abs().mean())


def heads_of(network: Network, raw: Raw, recipe: Recipe) -> dict[str, Head]:
    """A head in closed form for each part."""
    heads = {}
    for part in network.parts:
        sources = [Source(name, size, SHARED.get(name, OTHERS)) for name, size in network.backbone.sources(part.name)]
        sides = raw.street[part.name], raw.shop[part.name]
        noise = _colours(network, raw, recipe.blind) if part.name == "deep" and recipe.blind else None
        heads[part.name] = discriminant(*sides, part.size, sources=sources, shrink=recipe.shrink, noise=noise)
    return heads


def _colours(network: Network, raw: Raw, times: float) -> Noise | None:
    """The histograms of pairs, as what ``deep`` should not tell; nothing where no part knows them."""
    if "detail" not in raw.street:
        return None
    names, sizes = zip(*network.backbone.sources("detail"), strict=True)
    first = sum(sizes[: names.index("histogram")])
    columns = slice(first, first + sizes[names.index("histogram")])
    return Noise(raw.street["detail"][:, columns], raw.shop["detail"][:, columns], times)


def folds(pairs: Pairs, recipe: Recipe) -> Int64[np.ndarray, "p"]:
    """A fold for each product, the same for all of one design; no more folds than there are designs."""
    alone = -1 - np.arange(len(pairs))
    _, group = np.unique(np.where(pairs.design < 0, alone, pairs.design), return_inverse=True)
    draw = np.random.default_rng(recipe.seed)
    designs = int(group.max()) + 1
    return (draw.permutation(designs) % min(recipe.folds, designs))[group].astype(np.int64)


def embed(heads: dict[str, Head], raw: Raw) -> Sides:
    """Vectors of pairs, every street row asking among all shop rows."""
    with torch.no_grad():
        street, shop = (
            np.concatenate([head(torch.from_numpy(side[name]).float()).numpy() for name, head in heads.items()], 1)
            for side in (raw.street, raw.shop)
        )
    return Sides(street, raw.product, shop, raw.product)


def gather(network: Network, pairs: Pairs) -> Raw:
    """Features of one row for each street view, beside a shop view of the same product, taken in turn."""
    street, shop = pairs.rows(is_street=True), pairs.rows(is_street=False)
    asks = np.concatenate(street)
    answers = np.concatenate([np.resize(right, len(ask)) for ask, right in zip(street, shop, strict=True)])
    sides = [_features(network, pairs, rows) for rows in (asks, answers)]
    return Raw(sides[0], sides[1], pairs.product[asks])


def _features(network: Network, pairs: Pairs, rows: Int64[np.ndarray, "n"]) -> dict[str, Float64[np.ndarray, "n _"]]:
    """Features of rows, each computed once however often it comes."""
    each, where = np.unique(rows, return_inverse=True)
    found: list[Features] = []
    network.to(device())
    with torch.inference_mode():
        for some in np.array_split(each, -(-len(each) // BATCH)):
            found.append(network.raw(*(one.to(device()) for one in pairs.look(some, 0))))
    names = [part.name for part in network.parts]
    return {name: torch.cat([getattr(raw, name) for raw in found]).double().cpu().numpy()[where] for name in names}
