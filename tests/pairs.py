"""Pairs drawn once for the tests of learning, and a tiny network of the same shape as the real one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from osoroi import image
from osoroi.data.readers import Reader, open_dataset
from osoroi.model import build
from osoroi.model.backbones import Maps
from osoroi.model.heads import Head
from osoroi.model.network import FeatureExtractor, Network
from osoroi.recipe import Recipe
from osoroi.records import Row
from osoroi.training.run import Select
from osoroi.training.selection import select

TINY = Recipe("tiny", image_size=96, dim=8, init="random", epochs=6, products=12, lr=3e-3, dropout=0.1, folds=2)


class TinyBackbone(nn.Module):
    """Three strided convolutions with random weights, in two halves."""

    widths = (6, 8, 10)
    width = 12

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, *self.widths)
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(sizes))
        self.end = nn.Conv2d(10, 12, 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        seen = self.below(images, 1)
        rest = self.above(seen[-1], 1)
        return Maps(seen + rest.blocks, rest.last)

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        return through(self.steps[:cut], images - 0.5)

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        seen = through(self.steps[cut:], maps)
        return Maps(seen, torch.tanh(self.end(seen[-1] if seen else maps)))

    def upper(self, cut: int) -> list[nn.Module]:
        return [self.steps[cut:], self.end]


def through(steps: nn.Module, maps: Tensor) -> list[Tensor]:
    seen = []
    for step in steps.children():
        maps = torch.tanh(step(maps))
        seen.append(maps)
    return seen


def tiny_network(recipe: Recipe = TINY, foreground: tuple[int, ...] | None = None) -> Network:
    """The same weights every time."""
    torch.manual_seed(7)
    extractor = FeatureExtractor(
        TinyBackbone(), blocks=(0, 2), foreground=foreground, color_constancy=recipe.color_constancy
    )
    return build.with_heads(extractor, recipe).eval()


@dataclass(frozen=True)
class Drawn:
    """Garments drawn by us, one photo a side, drawn once; every third design is held out."""

    products: int

    def rows(self) -> Iterator[Row]:
        return iter(drawn(self.products))


def linear_of(network: nn.Module, name: str) -> nn.Linear:
    """The linear layer of a head."""
    assert isinstance(network, Network)
    head = network.heads[name]
    assert isinstance(head, Head)
    return head.linear


@cache
def drawn(products: int) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for product, crop in open_dataset(f"drawn:{products}:3").rows():
        name = product.design_id or product.product_id
        split = "val" if int(name[1:]) % 3 == 2 else "train"
        if (product.product_id, crop.domain) not in rows:
            once = replace(crop, photo=image.load(crop.photo), split=split)
            rows[product.product_id, crop.domain] = Row(product, once)
    return list(rows.values())


def selecting(*readers: Reader) -> Select:
    """Selects the products of a split of these datasets."""
    return partial(select, readers)
