"""AdamW for a network: which parameters get which learning rate and weight decay, and how the rate rises and falls."""

import math
from collections.abc import Iterable
from typing import Any

from torch import nn

from osoroi.recipe import OptimizerSettings

BACKBONE: str = "backbone."
"""Part of the names of a backbone's parameters."""


def parameter_groups(named: Iterable[tuple[str, nn.Parameter]], settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Groups for torch's optimisers, of the parameters that are trained.

    Parameters of a backbone have a rate of their own. Weight decay applies to matrices and kernels; biases, parameters
    of normalisation and scales, which have one dimension, do not decay. ``full_lr`` of a group is the rate that
    ``lr_factor`` scales.

    >>> head = nn.Linear(2, 2)
    >>> groups = parameter_groups(head.named_parameters(), OptimizerSettings(weight_decay=0.1))
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.1), (1, 0.0)]
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            lr = settings.backbone_lr if BACKBONE in name else settings.lr
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
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
