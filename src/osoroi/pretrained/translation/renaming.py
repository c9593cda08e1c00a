"""Tensors move from the names of one library to those of another; what is missing or left over is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from osoroi.errors import BadEncoder, BadRequest
from osoroi.pretrained.translation.weights import listed

Pooling = Literal["image_embeds", "pooler_output", "cls", "mean"]
"""What the vector is: a field of what the model returns, the token of the class, or the mean of the patches."""


@dataclass(frozen=True)
class Translation:
    """A model of `transformers` as the name of its class, its configuration and its tensors; how its tokens become a
    vector; and a linear map behind it, `weight` [to from] and perhaps `bias`."""

    model: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Any]
    pool: Pooling
    skip: int = 0
    projection: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Renaming:
    """The tensors of one file: each is moved once; ``finish`` says which were missing and which are left over."""

    def __init__(self, tensors: Mapping[str, Any], path: Path) -> None:
        self.path = path
        self.rest = dict(tensors)
        self.moved: dict[str, Any] = {}
        self.missing: list[str] = []

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that has not been moved. Raises BadEncoder where there is none."""
        if name not in self.rest:
            raise BadEncoder(f"{self.path} has no {name}", hint="it is no image model of this family, or not all of it")
        return tuple(self.rest[name].shape)

    def rows(self, name: str) -> int:
        """The first side of a tensor. Raises BadEncoder for one without sides, and where there is none."""
        shape = self.shape(name)
        if not shape:
            raise BadEncoder(f"{name} of {self.path} is one number, not a matrix", hint="download the weights again")
        return shape[0]

    def require(self, name: str, shape: Sequence[int], why: str) -> None:
        """Raise BadEncoder where a tensor has another shape than its architecture says."""
        given = self.shape(name)
        if given != tuple(shape):
            raise BadEncoder(
                f"{name} of {self.path} has the shape {list(given)}, and {why} {list(shape)}",
                hint="the weights and their configuration are not of one model",
            )

    def take(self, name: str) -> Any | None:
        """A tensor by its name, taken out; None, and noted, where there is none."""
        if name not in self.rest:
            self.missing.append(name)
        return self.rest.pop(name, None)

    def move(self, name: str, to: str, change: Callable[[Any], Any] = lambda tensor: tensor) -> None:
        """One tensor to its new name."""
        tensor = self.take(name)
        if tensor is not None:
            self.moved[to] = change(tensor)

    def layer(self, name: str, to: str, *, bias: bool = True) -> None:
        """The weight of a layer, and its bias."""
        for part in ("weight", "bias") if bias else ("weight",):
            self.move(f"{name}.{part}", f"{to}.{part}")

    def split(self, name: str, to: Sequence[str]) -> None:
        """A tensor in equal parts along its first axis: fused queries, keys and values."""
        tensor = self.take(name)
        if tensor is None:
            return
        if not tensor.ndim or len(tensor) % len(to):
            raise BadEncoder(
                f"{name} of {self.path} has the shape {list(tensor.shape)}, which are not {len(to)} parts of one size",
                hint="the weights are not of this family",
            )
        for part, target in zip(tensor.chunk(len(to)), to, strict=True):
            self.moved[target] = part

    def fill(self, to: str, shape: tuple[int, ...], like: str) -> None:
        """Zeros for a weight that the vector does not depend on, of the kind of another tensor."""
        if like in self.rest:
            self.moved[to] = self.rest[like].new_zeros(shape)

    def drop(self, *names: str) -> None:
        """Leave out what has no part in the vector of a photo, such as a classifier."""
        for name in names:
            self.rest.pop(name, None)

    def finish(self) -> dict[str, Any]:
        """All tensors under their new names. Raises BadEncoder unless each was there and each was moved."""
        if self.missing:
            raise BadEncoder(
                f"{self.path} lacks weights of its architecture: {listed(self.missing)}",
                hint="download it again; if it is whole, export the model to ONNX and give that file",
            )
        if self.rest:
            raise BadEncoder(
                f"{self.path} has weights that its architecture does not have: {listed(list(self.rest))}",
                hint="its configuration may be of another model; otherwise export the model to ONNX and give that file",
            )
        return {name: tensor.contiguous() for name, tensor in self.moved.items()}


def positions(table: Any, prefix: int, grid: tuple[int, int], path: Path) -> Any:
    """Learned positions [n d], of which ``prefix`` come before those of the patches, for a grid of patches.

    Where they were learned on another grid they are resized as timm and open_clip do it: bicubic, with antialiasing.
    """
    import torch
    from torch.nn.functional import interpolate

    if table.ndim != 2:
        raise BadEncoder(
            f"{path} has positions of the shape {list(table.shape)}, not one vector a patch", hint="download it again"
        )
    if not all(grid):
        raise BadRequest(f"the photos for {path} are smaller than one patch", hint="give a larger `height` and `width`")
    count, width = table.shape[-2] - prefix, table.shape[-1]
    if count == grid[0] * grid[1]:
        return table
    side = round(max(count, 0) ** 0.5)
    if not count or side * side != count:
        raise BadEncoder(
            f"{path} has {count} positions of patches, which are no square and not {grid[0]} x {grid[1]}",
            hint="the weights and their configuration are not of one model",
        )
    maps = table[prefix:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    resized = interpolate(maps, grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:prefix], resized[0].flatten(1).T])


def fixed_pool(stated: str | None, architecture: str) -> None:
    """Raise BadRequest for a `pool` that is stated for a model whose vector is its own output."""
    if stated is not None:
        raise BadRequest(
            f"{architecture} gives one vector a photo, which cannot be pooled by {stated}", hint="leave `pool` out"
        )
