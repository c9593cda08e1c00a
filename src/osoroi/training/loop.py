"""The training loop: batch -> vectors in parts -> loss -> step; with validation, checkpoints and resuming.

A run is a folder: ``last.safetensors`` (the state to resume from), ``best.safetensors`` (the network of the
epoch that is kept), ``metrics.csv``, and TensorBoard's events where that is installed.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from osoroi.errors import BadRequest, BadRun
from osoroi.recipe import Recipe
from osoroi.training import checkpoint, log, mining, sampling, validation
from osoroi.training.distributed import ALONE, HERE, Launch, World, device
from osoroi.training.learner import Learner, backward, half_precision
from osoroi.training.optimizer import StartWeights, WeightAverage, lr_factor, parameter_groups
from osoroi.training.sampling import Batch, Pairs

LAST, BEST = "last.safetensors", "best.safetensors"

OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""Words of torch's errors where memory does not suffice."""

STORED = ("epoch", "step", "total", "best", "history", "order")
"""Attributes of a run that a checkpoint stores beside tensors."""


class Step(NamedTuple):
    """How far a run is: epochs and steps done of all, the mean loss of the epoch so far, and seconds left."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    left_s: float


class Watch(NamedTuple):
    """What the first process calls as the loop proceeds: after each step, and with the metrics of each epoch."""

    on_step: Callable[[Step], None] = lambda step: None
    on_epoch: Callable[[Mapping[str, float]], None] = lambda line: None


UNWATCHED = Watch()


@dataclass
class RunState:
    """The state of a run, in its folder."""

    folder: Path
    learner: Learner
    recipe: Recipe
    pairs: Pairs
    held_out: Pairs
    device: torch.device
    world: World = ALONE
    watch: Watch = UNWATCHED
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    best: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    order: list[int] | None = None
    """The order of the products that the epoch's batches are cut from, where neighbours are mined."""

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(parameter_groups(self.learner.named_parameters(), self.recipe))
        self.steps = len(sampling.plan(self.pairs, self.recipe, 0))
        self.average = WeightAverage(self.learner.network, self.recipe.ema_decay)
        self.start = StartWeights(self.learner.network, self.recipe)
        half = half_precision(self.device, self.recipe)
        self.scaler = torch.amp.GradScaler(self.device.type) if half == torch.float16 else None

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or too many without a better one."""
        if self.epoch >= self.recipe.epochs:
            return True
        values = [line[self.recipe.monitor] for line in self.history]
        return 0 < self.recipe.patience < len(values) - values.index(max(values))

    def group_of(self, batch: int) -> tuple[bool, bool, int]:
        """Of batch number ``batch`` of an epoch: whether a step begins and ends with it, and batches of the step."""
        size = self.recipe.accumulate_batches
        first = batch - batch % size
        return batch == first, batch + 1 in (first + size, self.steps), min(size, self.steps - first)

    def save(self) -> None:
        """Write a checkpoint; raises BadRun where the weights are no numbers any more."""
        if not all(bool(torch.isfinite(one).all()) for one in self.learner.parameters()):
            raise diverged("weights are no numbers", self)
        if not self.world.is_first:
            return
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "history": self.history,
            "order": self.order,
        }
        state |= {"recipe": asdict(self.recipe), "scaler": None if self.scaler is None else self.scaler.state_dict()}
        packed = checkpoint.pack(self.learner, self.optimizer, state)
        checkpoint.write(self.folder / LAST, packed._replace(tensors=packed.tensors | self.average.tensors()))

    def resume(self) -> None:
        """Load the last checkpoint; raises BadRun where it is of another recipe or other frozen weights."""
        before = checkpoint.read(self.folder / LAST)
        if stored_recipe(before) != self.recipe:
            raise BadRun(
                f"{self.folder} was begun with another recipe: {before.state.get('recipe')}",
                hint="resume with the same `recipe` and settings, or give another `out`",
            )
        for name, one in self.learner.named_parameters():
            stored = before.tensors.get(checkpoint.MODEL + name)
            if not one.requires_grad and stored is not None and not torch.equal(stored, one.detach().cpu()):
                raise BadRun(
                    f"{self.folder} was begun with other frozen weights (first difference: {name})",
                    hint="resume with the weights and the osoroi that began it, or give another `out`",
                )
        try:
            checkpoint.unpack(before, self.learner, self.optimizer)
            self.average.load(before.tensors)
            if self.scaler is not None:
                self.scaler.load_state_dict(before.state["scaler"])
            for name in STORED:
                setattr(self, name, before.state[name])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadRun(
                f"{self.folder / LAST} lacks what training goes on from ({error!r})", hint="start the run anew"
            ) from error


def stored_recipe(before: checkpoint.Checkpoint) -> Recipe | None:
    """The recipe that a checkpoint was written with; None where it holds none, or one that is none any more."""
    try:
        return checkpoint.recipe_of(before.state["recipe"])
    except (KeyError, TypeError, ValueError, AttributeError, BadRequest):
        return None


def train(
    network: nn.Module,
    pairs: Pairs,
    held_out: Pairs,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    watch: Watch = UNWATCHED,
    on: Launch = HERE,
) -> dict[str, float]:
    """Train on pairs; the network is left with the weights of the best epoch on the held-out pairs, or of the last,
    mixed with those it started with where the recipe says so.

    Gives the metrics of that epoch, before it was mixed. Ends with the same weights, on a CPU and one thread, whether
    it was killed and resumed or not. Raises BadRun where the loss is no number any more, or memory does not suffice.
    """
    with torch.random.fork_rng(), memory_errors(recipe):
        torch.manual_seed(recipe.seed)
        where, world = device(on.device), on.world
        teachers = [each.parts for each in pairs.teachers]
        learner = Learner(network, recipe, teachers).to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        world.share_weights(learner)
        run = RunState(folder, learner, recipe, pairs, held_out, where, world, watch)
        if resume and (folder / LAST).exists():  # a run may be killed before its first step
            run.resume()
        else:
            validate(run)
            run.save()
        while not run.is_finished:
            train_epoch(run, on.save_every_s)
    best = checkpoint.read(folder / BEST)
    checkpoint.fill(network, best)
    run.start.mix(network)
    network.eval()
    return dict(best.state["metrics"])


def train_epoch(run: RunState, save_every_s: float) -> None:
    """The rest of the run's epoch, then validation."""
    if run.step == 0 and run.recipe.mined_neighbors:
        run.order = mine_order(run)
    run.learner.train()
    saved = began = time.monotonic()
    first = run.step
    loader = sampling.batches(
        run.pairs,
        run.recipe,
        run.epoch,
        skip=run.step,
        workers=workers(run.device),
        world=run.world,
        order=None if run.order is None else np.array(run.order, np.int64),
    )
    for batch in loader:
        loss = train_step(run, batch)
        run.step += 1
        run.total += loss
        done = run.epoch * run.steps + run.step
        rate_s = (time.monotonic() - began) / (run.step - first)
        left_s = rate_s * (run.recipe.epochs * run.steps - done)
        run.watch.on_step(Step(run.epoch, run.recipe.epochs, run.step, run.steps, run.total / run.step, left_s))
        if time.monotonic() - saved > save_every_s and run.group_of(run.step)[0]:
            run.save()
            saved = time.monotonic()
    run.epoch += 1
    validate(run, run.total / run.steps)
    run.step, run.total = 0, 0.0
    run.save()


def mine_order(run: RunState) -> list[int]:
    """An order of the products in which neighbours by the network's own shop vectors stand together."""
    run.learner.eval()
    order: list[int] = []
    if run.world.is_first:
        with run.average.applied(run.learner.network):
            embeddings = validation.embed(run.learner.network, run.pairs, run.device)
        roots = np.concatenate([np.full(each.size, each.weight**0.5) for each in run.learner.network.parts])
        sums = np.zeros((len(run.pairs), embeddings.shop.shape[1]), np.float32)
        np.add.at(sums, embeddings.shop_product, embeddings.shop * roots.astype(np.float32))
        vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(min=1e-9)
        rng = np.random.default_rng([run.recipe.seed, run.epoch, 1])
        order = mining.near_order(vectors, run.recipe.mined_neighbors, rng).tolist()
    shared: list[int] = run.world.from_first(order)
    return shared


def train_step(run: RunState, batch: Batch) -> float:
    """Gradients of one batch, and a step of the optimiser where its batches are complete; gives the loss."""
    recipe = run.recipe
    begins, ends, batches = run.group_of(run.step)
    number = run.epoch * run.steps + run.step
    if begins:
        run.optimizer.zero_grad(set_to_none=True)
    if run.world.size > 1:  # else all processes would drop the same features
        torch.manual_seed((recipe.seed * 1_000_003 + number) * run.world.size + run.world.rank)
    loss = backward(
        run.learner,
        to_device(batch, run.device),
        torch.Generator().manual_seed(recipe.seed * 1_000_003 + number),
        scaler=run.scaler,
        world=run.world,
        share=1 / batches,
    )
    value = float(loss)
    if not math.isfinite(value):
        raise diverged(f"the loss is {value}", run)
    if ends:
        _optimize(run, number)
    return value


def _optimize(run: RunState, number: int) -> None:
    """One step of the optimiser, after batch number ``number`` of the run."""
    recipe, parameters = run.recipe, list(run.learner.parameters())
    factor = lr_factor(number, recipe.epochs * run.steps, recipe.warmup)
    for group in run.optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
    run.world.sum_gradients(list(run.learner.network.parameters()))
    if run.scaler is not None:
        run.scaler.unscale_(run.optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, recipe.grad_clip)
    if run.scaler is not None:
        run.scaler.step(run.optimizer)  # not where gradients overflowed; the scale is then halved
        run.scaler.update()
    elif bool(torch.isfinite(norm)):
        run.optimizer.step()
    else:
        raise diverged(f"the gradient is {float(norm)}", run)
    run.start.pull(run.learner.network, factor)
    run.average.update(run.learner.network, number)


class Diverged(BadRun):
    """A run whose loss, gradient, weights or vectors are no numbers any more."""


def diverged(what: str, run: RunState) -> Diverged:
    """The error of a run whose numbers have diverged."""
    return Diverged(
        f"{what} at step {run.step} of epoch {run.epoch}; {LAST} holds the last good state",
        hint="begin again with a lower lr and backbone_lr",
    )


def validate(run: RunState, loss: float = math.nan) -> None:
    """Measure on the held-out pairs, log the metrics, and store the weights if this epoch is to be kept so far.

    The first process measures and writes, with the average of the weights where there is one.
    """
    run.learner.eval()
    line: dict[str, float] = {}
    if run.world.is_first:
        with run.average.applied(run.learner.network):
            try:
                metrics = validation.metrics(run.learner.network, run.held_out, run.device)
            except BadRun as error:
                raise diverged("vectors are no numbers", run) from error
            line = {"epoch": float(run.epoch), "loss": loss} | metrics
            log.write(run.folder, [*run.history, line])
            run.watch.on_epoch(line)
            if _is_kept(run, line):
                tensors = {checkpoint.MODEL + name: one for name, one in run.learner.network.state_dict().items()}
                checkpoint.write(run.folder / BEST, checkpoint.Checkpoint(tensors, {"metrics": line}))
    line = run.world.from_first(line)
    if _is_kept(run, line):
        run.best = line[run.recipe.monitor]
    run.history = [*run.history, line]


def _is_kept(run: RunState, line: dict[str, float]) -> bool:
    return run.recipe.keep_epoch == "last" or line[run.recipe.monitor] > run.best


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device of the network."""
    images = tuple(one.to(device, non_blocking=True) for one in batch.images)
    teachers = tuple(one.to(device) for one in batch.teachers)
    product, design = batch.product.to(device), batch.design.to(device)
    return Batch(images, product, design, batch.is_street.to(device), teachers, batch.is_paired)


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
            hint="begin again with fewer `products`, and another `out`",
        ) from error
