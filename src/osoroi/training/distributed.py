"""Where a training runs: on one device, or on several by one process a device, as torchrun starts them.

Each process has a slice of every batch, and knows all vectors of it. So the loss is that of the whole batch, and the
gradients that the slices give are summed: the result is that of one process with the same batches, but for the order in
which numbers are added.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn

from osoroi.errors import BadRequest, BadRun


class World(NamedTuple):
    """The number of this process and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def own(self, rows: int) -> slice:
        """This process' slice of the rows of a batch; slices differ by one row at most.

        >>> [World(rank, 3).own(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size)

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """All rows of which ``own`` is this process' slice; without gradients."""
        if self.size == 1:
            return own
        every = own.new_zeros(rows, *own.shape[1:])
        every[self.own(rows)] = own
        torch.distributed.all_reduce(every)
        return every

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their sums over processes; one that a process lacks counts as 0."""
        if self.size == 1:
            return
        trained = [one for one in parameters if one.requires_grad]
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in trained])
        torch.distributed.all_reduce(flat)
        for one, gradient in zip(trained, torch.split(flat, [one.numel() for one in trained]), strict=True):
            one.grad = gradient.view_as(one).clone()

    def share_weights(self, module: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        if self.size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, 0)
        return values[0]


ALONE = World()
"""One process."""


@dataclass(frozen=True)
class Launch:
    """Where a run is trained: the name of a device (None: a GPU where there is one), and the processes that share.

    A checkpoint is written every ``save_every_s`` seconds: a run that is killed loses no more, and a step.
    """

    device: str | None = None
    world: World = ALONE
    save_every_s: float = 120.0


HERE = Launch()
"""One process, on a GPU where there is one."""


def device(name: str | None = None) -> torch.device:
    """The device of a name such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; without one, a GPU where there is one.

    Raises BadRequest for a device that is not there.

    >>> device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise BadRequest(f"there is no device {name!r} ({reason:.100})", hint="try cpu, cuda, cuda:1 or mps") from error
    return chosen


@contextmanager
def world() -> Iterator[World]:
    """The processes that torchrun started, joined while the context lasts; one alone without torchrun.

    Each process takes the GPU of its local number where there are GPUs, and speaks by NCCL; else by gloo.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield ALONE
        return
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise BadRun(
                f"process {local} has no GPU: there are {torch.cuda.device_count()}",
                hint="start as many processes as there are GPUs: 'torchrun --nproc-per-node …'",
            )
        torch.cuda.set_device(local)
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
