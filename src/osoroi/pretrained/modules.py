"""A brought backbone as a module of torch, from pixels to unit vectors: run by ONNX Runtime, or trained."""

import hashlib
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from osoroi.errors import BadRequest
from osoroi.pretrained import library
from osoroi.pretrained.folder import WEIGHTS, ModelFolder
from osoroi.pretrained.model import PretrainedModel
from osoroi.pretrained.settings import Colors, PretrainedSettings


class Vision(nn.Module):
    """What both kinds have: the size of the vector, and a digest of the files and settings that decide it."""

    digest: Tensor

    def __init__(self, folder: ModelFolder, settings: PretrainedSettings, width: int) -> None:
        super().__init__()
        self.width = width
        self.widths = (width,)
        stated = hashlib.sha256(f"{folder.sha256} {settings.fit} {settings.colors} {settings.output}".encode())
        self.register_buffer("digest", torch.tensor(list(stated.digest()), dtype=torch.uint8))


class FrozenVision(Vision):
    """A graph that ONNX Runtime runs: it has no weights to train."""

    def __init__(self, folder: ModelFolder, settings: PretrainedSettings, model: PretrainedModel) -> None:
        super().__init__(folder, settings, model.dim)
        self.model, self.colors = model, settings.colors

    def forward(self, pixels: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        rows = self.model.vectors(list(pixels.cpu().numpy()), self.colors)
        return torch.from_numpy(rows).to(pixels.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenVision":
        return self  # a session cannot be copied, and nothing in it changes


class TrainedVision(Vision):
    """A model of `transformers`, whose weights are trained."""

    def __init__(self, folder: ModelFolder, settings: PretrainedSettings) -> None:
        network = library.load(folder, settings)
        fit = settings.fit
        with torch.no_grad():
            width = network(torch.zeros(1, 3, fit.height, fit.width)).shape[1]
        super().__init__(folder, settings, width)
        self.network = network
        self.colors = settings.colors

    def forward(self, pixels: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return F.normalize(self.network(normalised(pixels, self.colors)), dim=1)


def normalised(pixels: UInt8[Tensor, "b h w 3"], colors: Colors) -> Float[Tensor, "b 3 h w"]:
    """What a model takes, of pixels of 0 to 255."""
    channels = pixels.permute(0, 3, 1, 2).float()
    if colors.bgr:
        channels = channels.flip(1)
    mean, std = (channels.new_tensor(three)[:, None, None] for three in (colors.mean, colors.std))
    return (channels * colors.scale - mean) / std


def require_trainable(folder: ModelFolder) -> None:
    """Raise BadRequest where there are only graphs, which are run and not trained."""
    if folder.weights is None:
        raise BadRequest(
            f"{folder.root} has no {WEIGHTS[0]} to fine-tune",
            hint="download its weights too, or train heads alone: `recipe` quick or frozen",
        )


def drift(network: nn.Module, stored: dict[str, Tensor]) -> bool:
    """Whether a stored network was trained with another backbone, or with other pixels for it."""
    name = next(name for name in network.state_dict() if name.endswith("backbone.digest"))
    return name not in stored or not np.array_equal(network.state_dict()[name].cpu(), stored[name])
