"""A small vision transformer over patches of 16 x 16 pixels, with timm's names: ViT-Ti/16 at 224 pixels.

Dosovitskiy et al. 2020, arXiv:2010.11929; Steiner et al. 2021, arXiv:2106.10270. Positions were learned for 14 x 14
patches; for crops of another size they are interpolated.
"""

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.model.backbones import Maps

PATCH, GRID, WIDTH, DEPTH, HEADS, WIDENED = 16, 14, 192, 12, 3, 4
MEAN, SPREAD = 0.5, 0.5
EPSILON: Final = 1e-6


def build(name: str) -> "ViT":
    """A network with random weights."""
    assert name == "vit_tiny_patch16_224"
    return ViT()


class ViT(nn.Module):
    """Twelve blocks of attention; their maps and ``last`` hold the patches, without the token of the class."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Patches()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + GRID * GRID, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.widths = (WIDTH,) * DEPTH
        self.width = WIDTH

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        tokens, (tall, wide) = self.entering(images)
        blocks = []
        for block in self.blocks:
            tokens = block(tokens)
            blocks.append(_as_maps(tokens, tall, wide))
        return Maps(blocks, _as_maps(self.norm(tokens), tall, wide))

    def entering(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b n d"], tuple[int, int]]:
        """Tokens, that of the class first, and how many patches there are in height and width."""
        patches = self.patch_embed((images - MEAN) / SPREAD)
        tall, wide = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        return tokens + self._positions(tall, wide), (tall, wide)

    def _positions(self, tall: int, wide: int) -> Float[Tensor, "1 n d"]:
        if (tall, wide) == (GRID, GRID):
            return self.pos_embed
        learned = _as_maps(self.pos_embed, GRID, GRID)
        resized = F.interpolate(learned, (tall, wide), mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], 1)


def _as_maps(tokens: Float[Tensor, "b n d"], tall: int, wide: int) -> Float[Tensor, "b d y x"]:
    count, _, width = tokens.shape
    return tokens[:, 1:].transpose(1, 2).reshape(count, width, tall, wide)


class Patches(nn.Module):
    """A token for each patch."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d y x"]:
        output: Tensor = self.proj(images)
        return output


class TransformerBlock(nn.Module):
    """Attention over all tokens, then a perceptron on each, both with residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, EPSILON)
        self.attn = Attention()
        self.norm2 = nn.LayerNorm(WIDTH, EPSILON)
        self.mlp = Thought()

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class Attention(nn.Module):
    r"""In each head :math:`\operatorname{softmax}(q k^\top / \sqrt{64})\, v`, side by side, then one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        count, length, _ = tokens.shape
        three = self.qkv(tokens).reshape(count, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = three.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return output


class Thought(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, WIDENED * WIDTH)
        self.fc2 = nn.Linear(WIDENED * WIDTH, WIDTH)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        output: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return output
