"""One deep network per file, one protocol: pixels in, the feature maps of every block out.

A backbone prepares its pixels itself, because its checkpoint decides how, so every backbone takes the same images.
Weights load by the names of the usual public checkpoints, from a safetensors file or a pickled state dict, and loading
never runs code from the file.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.errors import BadRun, extra

BACKBONES = {
    "efficientnet_lite0": "efficientnet_lite",
    "efficientnet_lite1": "efficientnet_lite",
    "efficientnet_lite2": "efficientnet_lite",
    "googlenet": "googlenet",
    "resnet50": "resnet",
    "vgg16": "vgg",
    "vit_tiny_patch16_224": "vit",
}
"""Name -> the module of this folder that has ``build(name) -> Backbone``."""

MEANS = (0.485, 0.456, 0.406)
"""Of red, green and blue over ImageNet, as torchvision's checkpoints expect them taken away."""

SPREADS = (0.229, 0.224, 0.225)
"""What they expect colours to be divided by then."""

IN_RUN = "model.extractor.backbone."
"""What the names of a backbone's weights begin with in the checkpoint of a run."""

COUNTER = "num_batches_tracked"
"""A number that batch normalisation keeps and never uses; old checkpoints lack it."""


class Maps(NamedTuple):
    """What a backbone gives: the output of each block, finest first, and the maps whose mean is its deep feature."""

    blocks: list[Float[Tensor, "b _ _ _"]]
    last: Float[Tensor, "b c y x"]


@runtime_checkable
class Backbone(Protocol):
    """A deep network without its classifier."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each block's map, in the order of ``Maps.blocks``."""
        ...

    @property
    def width(self) -> int:
        """Channels of ``Maps.last``."""
        ...

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        """Maps of RGB images in [0, 1]."""
        ...


@runtime_checkable
class SplitBackbone(Backbone, Protocol):
    """A backbone that runs in two halves, so that the output of the first blocks can be cached while the others are
    trained."""

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Float[Tensor, "b _ _ _"]]:
        """The maps of the first ``cut`` blocks, of which there is at least one."""
        ...

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        """From the last of these maps, what the other blocks see, and the maps behind them."""
        ...

    def upper(self, cut: int) -> list[nn.Module]:
        """What ``above`` runs."""
        ...


def build(name: str, weights: Path | None = None) -> nn.Module:
    """A backbone by name, in evaluation mode; without a file of weights it starts at random from torch's generator.

    >>> build("alexnet")
    Traceback (most recent call last):
    osoroi.errors.BadRun: no backbone is called 'alexnet'; one of: efficientnet_lite0, ...
    """
    make = (
        importlib.import_module(f"osoroi.model.backbones.{BACKBONES[name]}").build
        if name in BACKBONES
        else _of_plugin(name)
    )
    backbone: nn.Module = make(name)
    if weights is not None:
        fill(backbone, read_weights(weights), str(weights))
    return backbone.eval()


def _of_plugin(name: str) -> Callable[[str], nn.Module]:
    """What makes the backbone that another package registers under a name."""
    from osoroi import plugins

    known = (*BACKBONES, *plugins.names("backbones"))
    if name not in known:
        raise BadRun(f"no backbone is called {name!r}", hint=f"one of: {', '.join(known)}")
    make: Callable[[str], nn.Module] = plugins.load("backbones", name)
    return make


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a ``.safetensors`` file, or from a state dict that torch saved; never runs its code.

    Of a run's ``best.safetensors`` the backbone, so that a run can begin with what another one learned.
    """
    if not path.is_file():
        raise BadRun(f"no weights at {path}", hint="check the path")
    safetensors = extra("safetensors", "train")
    try:
        if path.suffix == ".safetensors":
            state = extra("safetensors.torch", "train").load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, safetensors.SafetensorError) as error:
        raise BadRun(f"{path} is no state dict of tensors", hint="save model.state_dict() alone") from error
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    of_run = {name.removeprefix(IN_RUN): value for name, value in tensors.items() if name.startswith(IN_RUN)}
    return of_run or tensors


def fill(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load every weight the module has by its name; the source may hold more (a classifier), never less."""
    wanted = {name: weights[name] for name in module.state_dict() if name in weights}
    absent = [name for name in module.state_dict() if name not in weights and not name.endswith(COUNTER)]
    if absent:
        raise BadRun(
            f"{source} lacks {len(absent)} of {len(module.state_dict())} weights, the first {absent[0]!r}",
            hint="give the checkpoint of the backbone that the recipe names",
        )
    odd = [name for name, value in wanted.items() if value.shape != module.state_dict()[name].shape]
    if odd:
        shapes = f"{tuple(wanted[odd[0]].shape)}, not {tuple(module.state_dict()[odd[0]].shape)}"
        raise BadRun(f"{source} has {odd[0]!r} of shape {shapes}", hint="give the checkpoint of this very backbone")
    module.load_state_dict(wanted)


def standardised(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Colours less ImageNet's means, over its deviations.

    >>> standardised(torch.tensor([0.485, 0.456 + 0.224, 0.406])[None, :, None, None]).flatten()
    tensor([0., 1., 0.])
    """
    means, spreads = (torch.tensor(three).to(images)[:, None, None] for three in (MEANS, SPREADS))
    return (images - means) / spreads
