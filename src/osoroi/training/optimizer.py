"""AdamW for a network: which parameters get which learning rate and weight decay, how the rate rises and falls, and
the average of the weights that it gives, and the weights it started from."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from osoroi.recipe import OptimizerSettings

BACKBONE: str = "backbone."
"""Part of the names of a backbone's parameters."""


def parameter_groups(named: Iterable[tuple[str, nn.Parameter]], settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Groups for torch's optimisers, of the parameters that are trained.

    Parameters of a backbone have a rate of their own. Weight decay applies to matrices and kernels; biases, parameters
    of normalisation and scales, which have one dimension, do not decay, nor does a backbone that is tied to its start.
    ``full_lr`` of a group is the rate that ``lr_factor`` scales.

    >>> head = nn.Linear(2, 2)
    >>> groups = parameter_groups(head.named_parameters(), OptimizerSettings(weight_decay=0.1))
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.1), (1, 0.0)]
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            lr = settings.backbone_lr if BACKBONE in name else settings.lr
            tied = settings.l2_sp > 0 and BACKBONE in name
            decay = settings.weight_decay if parameter.ndim > 1 and not tied else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "full_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]


def lr_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate at a step: a straight line up, then half a cosine down to 0.

    >>> [round(lr_factor(step, 10, 0.2), 2) for step in (0, 1, 2, 6, 10)]
    [0.33, 0.67, 1.0, 0.5, 0.0]
    """
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


AVERAGE = "average."
"""What the names of its tensors begin with in a checkpoint."""


class WeightAverage:
    r"""The exponential moving average (EMA) of everything in a network's state that is trained or measured.

    .. math:: a \leftarrow d\,a + (1 - d)\,w, \qquad d = \min\big(\text{decay}, (1 + t) / (10 + t)\big)

    after step t, so that the first steps, from weights at random, are soon forgotten. With a decay of 0 there is no
    average, and nothing is done.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        if decay:
            frozen = {name for name, one in network.named_parameters() if not one.requires_grad}
            self.average = {
                name: one.detach().clone()
                for name, one in network.state_dict().items()
                if name not in frozen and one.is_floating_point()
            }

    def update(self, network: nn.Module, step: int) -> None:
        """Take the weights after a step, counted from 0."""
        if not self.average:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        with torch.no_grad():
            for name, one in self.average.items():
                one.lerp_(state[name], 1 - decay)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """The network with the average as its weights; without an average, as it is."""
        state = network.state_dict()
        before = {name: state[name].clone() for name in self.average}
        try:
            for name, one in self.average.items():
                state[name].copy_(one)
            yield
        finally:
            for name, one in before.items():
                state[name].copy_(one)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint stores."""
        return {AVERAGE + name: one for name, one in self.average.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take what a checkpoint stores."""
        for name, one in self.average.items():
            one.copy_(tensors[AVERAGE + name])


class StartWeights:
    r"""The weights that a network started with, and two ways to end near them.

    ``pull`` follows each step with decay towards the start, :math:`w \leftarrow w - \eta\lambda (w - w_0)`: the
    gradient of :math:`\tfrac\lambda2 |w - w_0|^2`, decoupled as in AdamW (L2-SP: Li et al. 2018, arXiv:1802.01483).
    ``mix`` takes :math:`(1 - \alpha) w + \alpha w_0` at the end (WiSE-FT: Wortsman et al. 2022, arXiv:2109.01903).
    """

    def __init__(self, network: nn.Module, settings: OptimizerSettings) -> None:
        self.settings = settings
        wanted = settings.l2_sp > 0 or settings.wise_ft > 0
        trained = [(name, one) for name, one in network.named_parameters() if one.requires_grad and wanted]
        self.start = {name: one.detach().clone() for name, one in trained}

    @torch.no_grad()
    def pull(self, network: nn.Module, factor: float) -> None:
        """After a step at ``factor`` of the full rate, move the backbone's weights towards the start."""
        if not self.settings.l2_sp:
            return
        share = min(1.0, factor * self.settings.backbone_lr * self.settings.l2_sp)
        for name, one in network.named_parameters():
            if BACKBONE in name and name in self.start:
                one.lerp_(self.start[name].to(one.device), share)

    @torch.no_grad()
    def mix(self, network: nn.Module) -> None:
        """Mix the trained weights with the start."""
        if not self.settings.wise_ft:
            return
        for name, one in network.named_parameters():
            if name in self.start:
                one.lerp_(self.start[name].to(one.device), self.settings.wise_ft)
