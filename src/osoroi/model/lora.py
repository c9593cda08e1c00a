r"""Low-rank adapters (LoRA): a layer keeps its weight W and uses :math:`W + B A`, with thin matrices A and B.

Linear layers, the projections of attention among them, and convolutions of 1 x 1 get one. B starts at 0, so that the
network starts as it was. Hu et al. 2021, arXiv:2106.09685, with alpha = rank.
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """The weight of a layer with an adapter of a rank."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        leaving, entering = weight.shape[:2]
        self.first = nn.Parameter(weight.new_empty(rank, entering).normal_(std=entering**-0.5))
        self.second = nn.Parameter(weight.new_zeros(leaving, rank))

    def forward(self, weight: Float[Tensor, "o i *k"]) -> Float[Tensor, "o i *k"]:
        return weight + (self.second @ self.first).view_as(weight)


def adapt(module: nn.Module, rank: int) -> int:
    """Train adapters in place of what a module would train; the number of layers that got one.

    A layer whose weights are frozen gets none. Adapters are drawn from torch's generator.
    """
    layers = [layer for layer in _layers(module) if layer.weight.requires_grad]
    module.requires_grad_(False)
    for layer in layers:
        adapter = LowRank(layer.weight.detach(), rank)
        parametrize.register_parametrization(layer, "weight", adapter)
    return len(layers)


def fold(module: nn.Module) -> None:
    """Add every adapter to the weight of its layer, in place: the same network, of as many layers as at first."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def _layers(module: nn.Module) -> Iterator[nn.Linear | nn.Conv2d]:
    for layer in module.modules():
        pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
        if isinstance(layer, nn.Linear) or pointwise:
            yield layer  # type: ignore[misc]
