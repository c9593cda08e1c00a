"""The multi-scale network as it was published: a deep network for the cut, two shallow paths for colour and pattern.

::

    deep       the backbone's mean, 1,024 numbers of GoogLeNet                             → L2
    fine       mean of 4 x 4 pixels    57 x 57 x 3   conv 96, 3 x 3, stride 4   15 x 15   max 5, stride 4 → 4 x 4 x 96
    coarse     mean of 8 x 8 pixels    29 x 29 x 3   conv 96, 3 x 3, stride 4    8 x 8    max 4, stride 2 → 4 x 4 x 96
               fine and coarse, flattened side by side: 3,072                              → L2
    head       deep and shallow side by side: 4,096 → linear 4,096 → ReLU → L2 → linear 256

Between convolution and maximum stand batch normalisation and ReLU. All paths see the same pixels: blue, green, red in 0
to 255 less Caffe's means, so that the zeros around a photo are the mean colour. The arms ``deep`` and ``shallow`` lack
the other's paths and are else the same, the 4,096 of the head included. Linear layers start from a normal distribution
of deviation 1/sqrt(inputs), without bias; L2 divides by the length plus 1e-5. An encoder's last 256 are brought to unit
length, since all our scores are cosines; whether they are while it is trained is a setting, and the source did not.
Wang et al. 2014, arXiv:1404.4661, had the idea of the shallow paths; sizes as published
for street and shop photos.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi.errors import BadRun
from osoroi.model import shallow
from osoroi.model.backbones import Backbone, SplitBackbone
from osoroi.model.backbones import build as build_backbone
from osoroi.model.backbones.googlenet import MEANS
from osoroi.model.network import to_images
from osoroi.model.shallow import FILTERS
from osoroi.recipe import ARMS, Recipe
from osoroi.records import Part

HIDDEN: Final = 4096

SHALLOW: Final = 2 * FILTERS * 4 * 4
"""Numbers of both shallow paths, of crops of 224 x 224."""


LENGTH_EPSILON: Final = 1e-5
"""Added to lengths that rows are divided by."""


def l2(rows: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Rows over their length plus 1e-5.

    >>> l2(torch.tensor([[3e-5, 4e-5]]))  # 5e-5 + 1e-5
    tensor([[0.5000, 0.6667]])
    """
    return rows / (rows.norm(dim=1, keepdim=True) + LENGTH_EPSILON)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer as the published framework starts it."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


class MultiscaleHead(nn.Module):
    """Linear, ReLU, L2, linear, unit length; with ``normalize_output=False`` the last only while it does not train."""

    def __init__(self, features: int, dim: int, *, dropout: float = 0.0, normalize_output: bool = True) -> None:
        super().__init__()
        self.dropout = dropout
        self.normalize_output = normalize_output
        self.hidden = linear(features, HIDDEN)
        self.last = linear(HIDDEN, dim)

    def forward(self, raw: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        hidden = l2(F.relu(self.hidden(raw)))
        output = self.last(F.dropout(hidden, self.dropout, self.training))
        return output if self.training and not self.normalize_output else F.normalize(output)


class Published(nn.Module):
    """One arm: crops of 224 x 224 to vectors of one part, which has the name of the arm.

    The last ``unfreeze_blocks`` blocks of the backbone are trained, and always shallow paths and head. ``dropout`` was
    not published.
    """

    means: Tensor

    def __init__(
        self,
        arm: str,
        backbone: nn.Module | None,
        *,
        dim: int = 256,
        unfreeze_blocks: int = 0,
        dropout: float = 0.0,
        normalize_output: bool = True,
    ) -> None:
        super().__init__()
        assert arm in ARMS
        assert (backbone is None) == (arm == "shallow")
        self.parts = (Part(arm, dim, 1.0),)
        self.backbone = backbone
        self.shallow = None if arm == "deep" else shallow.paths()
        width = 0
        if backbone is not None:
            assert isinstance(backbone, Backbone)
            width = backbone.width
            self._freeze(backbone, unfreeze_blocks)
        self.cut = None if backbone is None or not unfreeze_blocks else max(0, len(backbone.widths) - unfreeze_blocks)
        features = width + (0 if self.shallow is None else SHALLOW)
        self.head = MultiscaleHead(features, dim, dropout=dropout, normalize_output=normalize_output)
        self.register_buffer("means", torch.tensor(MEANS)[:, None, None], persistent=False)

    def _freeze(self, backbone: Backbone, unfreeze_blocks: int) -> None:
        """All but the last blocks."""
        assert isinstance(backbone, nn.Module)
        cut = max(0, len(backbone.widths) - unfreeze_blocks)
        backbone.requires_grad_(False)
        if unfreeze_blocks:
            assert not cut or isinstance(backbone, SplitBackbone), "this backbone is trained as a whole, or frozen"
            for module in backbone.upper(cut) if cut else [backbone]:
                module.requires_grad_(True)

    def forward(self, crops: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return self.embed(*self.features(crops))

    def features(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """Of each path what comes before its first weight that is always trained: the backbone's mean, averaged pixels.

        The arm ``deep`` gives the pixels too, and does not use them, so that it shares its cache with ``both``.
        """
        deep = () if self.backbone is None else (self.backbone(to_images(crops)).last.mean((2, 3)),)
        return (*deep, *self.averaged(crops))

    def averaged(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """Pixels for the shallow paths."""
        return shallow.averaged(to_images(crops).flip(1) * 255 - self.means)

    def embed(self, *features: Tensor) -> Float[Tensor, "b d"]:
        """Vectors of features that were computed before."""
        deep, averaged = (features[:1], features[1:]) if self.backbone is not None else ((), features)
        runs = [l2(mean.float()) for mean in deep]
        if self.shallow is not None:
            paths = zip(self.shallow, averaged, strict=True)
            runs.append(l2(torch.cat([path(pixels.float()) for path, pixels in paths], 1)))
        output: Tensor = self.head(torch.cat(runs, 1))
        return output

    def below(self, crops: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """What is not trained, in half precision, as it is cached; or the crops where all blocks are trained."""
        if self.cut is None:
            return tuple(one.half() for one in self.features(crops))
        if not self.cut:
            return (crops,)
        assert isinstance(self.backbone, SplitBackbone)
        maps = self.backbone.below(to_images(crops), self.cut)[-1]
        return tuple(one.half() for one in (maps, *self.averaged(crops)))

    def above(self, *images: Tensor) -> Float[Tensor, "b d"]:
        """Vectors of what ``below`` gave."""
        if self.cut is None:
            return self.embed(*images)
        if not self.cut:
            return self(*images)
        assert isinstance(self.backbone, SplitBackbone)
        deep = self.backbone.above(images[0].float(), self.cut).last.mean((2, 3))
        return self.embed(deep, *images[1:])

    def train(self, mode: bool = True) -> "Published":
        super().train(mode)
        if self.backbone is not None:
            self.backbone.eval()
        return self


def build(recipe: Recipe, weights: Path | None) -> Published:
    """The arm that a recipe names, drawn from its seed; the backbone is filled from the file, if there is one.

    >>> build(Recipe("mine", network="deep", backbone="googlenet", init="random"), None)
    Traceback (most recent call last):
    osoroi.errors.BadRun: image_size=192: the published sizes follow from 224; set image_size=224
    """
    arm = recipe.network
    if bool(recipe.backbone) != (arm != "shallow"):
        raise BadRun(f"the arm {arm!r} with backbone={recipe.backbone!r}", hint="only shallow has none")
    if recipe.image_size != 224:
        raise BadRun(f"image_size={recipe.image_size}: the published sizes follow from 224", hint="set image_size=224")
    if recipe.init != "random":
        raise BadRun("only heads of parts can be fitted by LDA", hint="set init=random")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        backbone = build_backbone(recipe.backbone, weights) if recipe.backbone else None
        network = Published(
            arm,
            backbone,
            dim=recipe.dim,
            unfreeze_blocks=recipe.unfreeze_blocks,
            dropout=recipe.dropout,
            normalize_output=recipe.normalize_output,
        )
    return network.eval()
