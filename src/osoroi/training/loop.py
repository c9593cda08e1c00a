"""The training loop: batch -> vectors in parts -> loss -> step; with validation, checkpoints and resuming.

A run is a folder: ``last.safetensors`` (the state to resume from), ``best.safetensors`` (the network of the
epoch that is kept), ``metrics.csv``, and TensorBoard's events where that is installed.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.errors import BadRun
from osoroi.model.devices import device
from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training import checkpoint, log, losses, mining, sampling, validation
from osoroi.training.optimizer import lr_factor, parameter_groups
from osoroi.training.sampling import Batch, Images, Pairs

LAST, BEST = "last.safetensors", "best.safetensors"

OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""Words of torch's errors where memory does not suffice."""

STORED = ("epoch", "step", "total", "best", "history")
"""Attributes of a run that a checkpoint stores beside tensors."""

SAVE_EVERY_S = 120.0
"""Seconds between checkpoints: a run that is killed loses no more, and a step."""


@runtime_checkable
class Trainable(Protocol):
    """A network whose vectors have parts, in two halves: ``below`` is not trained, so its output is cached on disk.

    ``below(crops)`` gives tensors with one row a crop, and ``above`` takes those; together they are the network. Where
    all of it is trained, ``below`` gives the crops themselves.
    """

    parts: tuple[Part, ...]

    def below(self, crops: Tensor) -> Images: ...

    def above(self, *images: Tensor) -> Float[Tensor, "b d"]: ...


class Step(NamedTuple):
    """How far a run is: epochs and steps done of all, the mean loss of the epoch so far, and seconds left."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    left_s: float


class Learner(nn.Module):
    """A network and the logit scales of its losses: all that is trained."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        assert isinstance(network, Trainable)
        self.network = network
        self.recipe = recipe
        self.log_scales = nn.Parameter(torch.full((len(network.parts) + 1,), math.log(recipe.logit_scale)))

    def precision(self, batch: Batch) -> AbstractContextManager[None]:
        """The context in which the network computes a batch."""
        return torch.autocast(
            batch.product.device.type, torch.bfloat16, enabled=_use_bfloat16(batch.product, self.recipe)
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        """Loss of the weighted sum of parts, and of each part alone."""
        with self.precision(batch):
            vectors = self.network.above(*batch.images)
        vectors = vectors.float()
        street, shop = vectors[batch.is_street], vectors[~batch.is_street]
        same = batch.product[batch.is_street][:, None] == batch.product[~batch.is_street]

        def loss_of(street: Float[Tensor, "s d"], shop: Float[Tensor, "t d"], term: int) -> Float[Tensor, ""]:
            if self.recipe.loss == "info_nce":
                scale = self.log_scales[term].exp().clamp(max=self.recipe.max_logit_scale)
                return losses.info_nce(street, shop, same, scale)
            if self.recipe.loss == "multi_similarity":
                return losses.multi_similarity(street, shop, same)
            distances = mining.squared_distances(street, shop)
            anchors, positives, negatives = mining.MINERS[self.recipe.negatives](distances, same, generator)
            return losses.triplet(street[anchors], shop[positives], shop[negatives], self.recipe.triplet_margin)

        return losses.by_part(loss_of, street, shop, self.network.parts, self.recipe.part_loss_weight)


@dataclass
class RunState:
    """The state of a run, in its folder."""

    folder: Path
    learner: Learner
    recipe: Recipe
    pairs: Pairs
    held_out: Pairs
    device: torch.device
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    best: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(parameter_groups(self.learner.named_parameters(), self.recipe))
        self.steps = len(sampling.plan(self.pairs, self.recipe, 0))

    def save(self) -> None:
        """Write a checkpoint; raises BadRun where the weights are no numbers any more."""
        if not all(bool(torch.isfinite(one).all()) for one in self.learner.parameters()):
            raise diverged("weights are no numbers", self)
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "history": self.history,
        }
        state |= {"recipe": repr(self.recipe)}
        checkpoint.write(self.folder / LAST, checkpoint.pack(self.learner, self.optimizer, state))

    def resume(self) -> None:
        """Load the last checkpoint; raises BadRun where it is of another recipe or other frozen weights."""
        before = checkpoint.read(self.folder / LAST)
        if before.state["recipe"] != repr(self.recipe):
            raise BadRun(
                f"{self.folder} was begun with another recipe: {before.state['recipe']}",
                hint="resume with the same --recipe and settings, or give another --out",
            )
        for name, one in self.learner.named_parameters():
            stored = before.tensors.get(checkpoint.MODEL + name)
            if not one.requires_grad and stored is not None and not torch.equal(stored, one.detach().cpu()):
                raise BadRun(
                    f"{self.folder} was begun with other frozen weights (first difference: {name})",
                    hint="resume with the weights and the osoroi that began it, or give another --out",
                )
        checkpoint.unpack(before, self.learner, self.optimizer)
        for name in STORED:
            setattr(self, name, before.state[name])


def train(
    network: nn.Module,
    pairs: Pairs,
    held_out: Pairs,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    save_every_s: float = SAVE_EVERY_S,
    on_step: Callable[[Step], None] = lambda step: None,
) -> dict[str, float]:
    """Train on pairs; the network is left with the weights of the best epoch on the held-out pairs, or of the last.

    Gives the metrics of that epoch. Ends with the same weights, on a CPU and one thread, whether it was killed and
    resumed or not. Raises BadRun where the loss is no number any more, or memory does not suffice.
    """
    with torch.random.fork_rng(), memory_errors(recipe):
        torch.manual_seed(recipe.seed)
        learner = Learner(network, recipe).to(device()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = RunState(folder, learner, recipe, pairs, held_out, device())
        if resume and (folder / LAST).exists():  # a run may be killed before its first step
            run.resume()
        else:
            validate(run)
            run.save()
        while run.epoch < recipe.epochs:
            train_epoch(run, on_step, save_every_s)
    best = checkpoint.read(folder / BEST)
    network.load_state_dict(checkpoint.weights(best))
    network.eval()
    return dict(best.state["metrics"])


def train_epoch(run: RunState, on_step: Callable[[Step], None], save_every_s: float = SAVE_EVERY_S) -> None:
    """The rest of the run's epoch, then validation."""
    run.learner.train()
    saved = began = time.monotonic()
    first = run.step
    for batch in sampling.batches(run.pairs, run.recipe, run.epoch, skip=run.step, workers=workers(run.device)):
        loss = train_step(run, batch)
        run.step += 1
        run.total += loss
        done = run.epoch * run.steps + run.step
        rate_s = (time.monotonic() - began) / (run.step - first)
        left_s = rate_s * (run.recipe.epochs * run.steps - done)
        on_step(Step(run.epoch, run.recipe.epochs, run.step, run.steps, run.total / run.step, left_s))
        if time.monotonic() - saved > save_every_s:
            run.save()
            saved = time.monotonic()
    run.epoch += 1
    validate(run, run.total / run.steps)
    run.step, run.total = 0, 0.0
    run.save()


def train_step(run: RunState, batch: Batch) -> float:
    """One step of the optimiser; gives the loss of the batch."""
    recipe, learner = run.recipe, run.learner
    factor = lr_factor(run.epoch * run.steps + run.step, recipe.epochs * run.steps, recipe.warmup)
    for group in run.optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + run.epoch * run.steps + run.step)
    loss = learner.loss(to_device(batch, run.device), generator)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise diverged(f"the loss is {value}", run)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(learner.parameters(), recipe.grad_clip)
    if not bool(torch.isfinite(norm)):
        raise diverged(f"the gradient is {float(norm)}", run)
    run.optimizer.step()
    return value


def diverged(what: str, run: RunState) -> BadRun:
    """The error of a run whose numbers have diverged."""
    return BadRun(
        f"{what} at step {run.step} of epoch {run.epoch}; {LAST} holds the last good state",
        hint="begin again with a lower lr and backbone_lr",
    )


def validate(run: RunState, loss: float = math.nan) -> None:
    """Measure on the held-out pairs, log the metrics, and store the weights if this epoch is to be kept so far."""
    run.learner.eval()
    try:
        metrics = validation.metrics(run.learner.network, run.held_out, run.device)
    except BadRun as error:
        raise diverged("vectors are no numbers", run) from error
    line = {"epoch": float(run.epoch), "loss": loss} | metrics
    run.history = [*run.history, line]
    log.write(run.folder, run.history)
    if run.recipe.keep_epoch == "last" or line[run.recipe.monitor] > run.best:
        run.best = line[run.recipe.monitor]
        tensors = {checkpoint.MODEL + name: one for name, one in run.learner.network.state_dict().items()}
        checkpoint.write(run.folder / BEST, checkpoint.Checkpoint(tensors, {"metrics": line}))


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device of the network."""
    images = tuple(one.to(device, non_blocking=True) for one in batch.images)
    return Batch(images, batch.product.to(device), batch.is_street.to(device))


def _use_bfloat16(tensor: Tensor, recipe: Recipe) -> bool:
    """Whether to train in half precision: on a GPU, and where a backbone is trained on a CPU that multiplies bfloat16.

    That takes half the time there, and many times as long on a CPU that does not."""
    return tensor.is_cuda or (recipe.unfreeze_blocks > 0 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


def workers(device: torch.device) -> int:
    """Threads that load batches."""
    return 4 if device.type == "cuda" else 1


@contextmanager
def memory_errors(recipe: Recipe) -> Iterator[None]:
    """Raise BadRun with a hint where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        message = str(error)  # torch has an error of its own for a GPU alone
        if isinstance(error, RuntimeError) and not any(words in message.lower() for words in OUT_OF_MEMORY):
            raise
        raise BadRun(
            f"too little memory for batches of {recipe.products} products",
            hint="begin again with fewer: --set products=…, and another --out",
        ) from error
