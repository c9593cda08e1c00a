"""The line a batch takes: rows -> vectors in parts -> loss -> step; with validation, checkpoints and resuming.

A run is a folder: ``last.safetensors`` (where it stands), ``best.safetensors`` (the epoch whose metric on the
validation split was best), ``metrics.csv``, and TensorBoard's events where that is installed.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from osoroi.errors import BadRun
from osoroi.model.devices import device
from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training import checkpoint, log, losses, mining, sampling, validation
from osoroi.training.sampling import Batch, Images, Pairs

LAST, BEST = "last.safetensors", "best.safetensors"

FULL = ("out of memory", "not enough memory", "can't allocate memory")
"""What torch's errors say where memory does not suffice."""

SAVED_S = 120.0
"""A run that is killed loses at most so many seconds, and a step."""


@runtime_checkable
class Trainable(Protocol):
    """A network whose vectors have parts, in two halves: ``below`` does not learn, so what it gives is kept on disk.

    ``below(crops)`` gives tensors with one row a crop, and ``above`` takes those; together they are the network. Where
    all of it learns, ``below`` gives the crops themselves.
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
    """A network and the scales of its losses: all that learns."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        assert isinstance(network, Trainable)
        self.network = network
        self.recipe = recipe
        self.log_scales = nn.Parameter(torch.full((len(network.parts) + 1,), math.log(recipe.scale)))

    def precision(self, batch: Batch) -> AbstractContextManager[None]:
        """In which the network looks at a batch."""
        return torch.autocast(batch.product.device.type, torch.bfloat16, enabled=_halves(batch.product, self.recipe))

    def loss(self, batch: Batch, draw: torch.Generator) -> Float[Tensor, ""]:
        """Of the mix of parts, and of each part alone."""
        with self.precision(batch):
            vectors = self.network.above(*batch.images)
        vectors = vectors.float()
        street, shop = vectors[batch.is_street], vectors[~batch.is_street]
        same = batch.product[batch.is_street][:, None] == batch.product[~batch.is_street]

        def one(street: Float[Tensor, "s d"], shop: Float[Tensor, "t d"], term: int) -> Float[Tensor, ""]:
            if self.recipe.loss == "info_nce":
                scale = self.log_scales[term].exp().clamp(max=self.recipe.ceiling)
                return losses.info_nce(street, shop, same, scale)
            if self.recipe.loss == "multi_similarity":
                return losses.multi_similarity(street, shop, same)
            distances = mining.squared_distances(street, shop)
            anchors, right, wrong = mining.MINERS[self.recipe.negatives](distances, same, draw)
            return losses.triplet(street[anchors], shop[right], shop[wrong], self.recipe.hinge)

        return losses.by_part(one, street, shop, self.network.parts, self.recipe.alone)


@dataclass
class Run:
    """A run under way, in its folder."""

    folder: Path
    learner: Learner
    recipe: Recipe
    pairs: Pairs
    held: Pairs
    device: torch.device
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    best: float = -1.0
    lines: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(_groups(self.learner, self.recipe))
        self.steps = len(sampling.plan(self.pairs, self.recipe, 0))

    def save(self) -> None:
        """Write down where the run stands; raises BadRun where its weights are no numbers any more."""
        if not all(bool(torch.isfinite(one).all()) for one in self.learner.parameters()):
            raise broken("weights are no numbers", self)
        state = {"epoch": self.epoch, "step": self.step, "total": self.total, "best": self.best, "lines": self.lines}
        state |= {"recipe": repr(self.recipe)}
        checkpoint.write(self.folder / LAST, checkpoint.pack(self.learner, self.optimizer, state))

    def resume(self) -> None:
        """Go back to where the run stood."""
        before = checkpoint.read(self.folder / LAST)
        if before.state["recipe"] != repr(self.recipe):
            raise BadRun(
                f"{self.folder} was begun with another recipe: {before.state['recipe']}",
                hint="resume with the same --recipe and settings, or give another --out",
            )
        for name, one in self.learner.named_parameters():
            kept = before.tensors.get(checkpoint.MODEL + name)
            if not one.requires_grad and kept is not None and not torch.equal(kept, one.detach().cpu()):
                raise BadRun(
                    f"{self.folder} was begun with other weights that do not learn (first difference: {name})",
                    hint="resume with the trunk, the probe and the osoroi that began it, or give another --out",
                )
        checkpoint.unpack(before, self.learner, self.optimizer)
        for name in ("epoch", "step", "total", "best", "lines"):
            setattr(self, name, before.state[name])


def train(
    network: nn.Module,
    pairs: Pairs,
    held: Pairs,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
) -> dict[str, float]:
    """Learn from pairs, keep the epoch that did best on those held out, and leave the network with its weights.

    Gives the metrics of that epoch. Ends with the same weights, on a CPU and one thread, whether it was killed and
    resumed or not. Raises BadRun where the loss is no number any more, or memory does not suffice.
    """
    with torch.random.fork_rng(), memory(recipe):
        torch.manual_seed(recipe.seed)
        learner = Learner(network, recipe).to(device()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = Run(folder, learner, recipe, pairs, held, device())
        if resume and (folder / LAST).exists():  # a run may be killed before it has learned anything
            run.resume()
        else:
            validate(run)
            run.save()
        while run.epoch < recipe.epochs:
            one_epoch(run, on_step)
    kept = checkpoint.read(folder / BEST)
    network.load_state_dict(checkpoint.weights(kept))
    network.eval()
    return dict(kept.state["metrics"])


def one_epoch(run: Run, on_step: Callable[[Step], None]) -> None:
    """The rest of the run's epoch, then validation."""
    run.learner.train()
    saved = began = time.monotonic()
    first = run.step
    for batch in sampling.batches(run.pairs, run.recipe, run.epoch, skip=run.step, workers=workers(run.device)):
        loss = learn(run, batch)
        run.step += 1
        run.total += loss
        done = run.epoch * run.steps + run.step
        rate_s = (time.monotonic() - began) / (run.step - first)
        left_s = rate_s * (run.recipe.epochs * run.steps - done)
        on_step(Step(run.epoch, run.recipe.epochs, run.step, run.steps, run.total / run.step, left_s))
        if time.monotonic() - saved > SAVED_S:
            run.save()
            saved = time.monotonic()
    run.epoch += 1
    validate(run, run.total / run.steps)
    run.step, run.total = 0, 0.0
    run.save()


def learn(run: Run, batch: Batch) -> float:
    """One step; its loss."""
    recipe, learner = run.recipe, run.learner
    rate = _rate(run.epoch * run.steps + run.step, recipe.epochs * run.steps, recipe.warmup)
    for group in run.optimizer.param_groups:
        group["lr"] = group["full"] * rate
    draw = torch.Generator().manual_seed(recipe.seed * 1_000_003 + run.epoch * run.steps + run.step)
    loss = learner.loss(moved(batch, run.device), draw)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise broken(f"the loss is {value}", run)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(learner.parameters(), recipe.clip)
    if not bool(torch.isfinite(norm)):
        raise broken(f"the gradient is {float(norm)}", run)
    run.optimizer.step()
    return value


def broken(what: str, run: Run) -> BadRun:
    """What is raised where learning has gone astray."""
    return BadRun(
        f"{what} at step {run.step} of epoch {run.epoch}; {LAST} holds the last good state",
        hint="begin again with a lower lr and trunk_lr",
    )


def validate(run: Run, loss: float = math.nan) -> None:
    """Ask the products held out, write the line down, keep the weights if they are the best so far."""
    run.learner.eval()
    try:
        found = validation.metrics(run.learner.network, run.held, run.device)
    except BadRun as error:
        raise broken("vectors are no numbers", run) from error
    line = {"epoch": float(run.epoch), "loss": loss} | found
    run.lines = [*run.lines, line]
    log.write(run.folder, run.lines)
    if line[run.recipe.best] > run.best:
        run.best = line[run.recipe.best]
        tensors = {checkpoint.MODEL + name: one for name, one in run.learner.network.state_dict().items()}
        checkpoint.write(run.folder / BEST, checkpoint.Checkpoint(tensors, {"metrics": line}))


def _groups(learner: Learner, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by rate and decay: trunks learn slowly; biases, norms and scales do not decay."""
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            rate = recipe.trunk_lr if "trunk." in name else recipe.lr
            found.setdefault((rate, recipe.decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "full": rate, "weight_decay": decay}
        for (rate, decay), parameters in found.items()
    ]


def _rate(step: int, steps: int, warmup: float) -> float:
    """Share of the full rate: a straight line up, then half a cosine down."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch where the network is."""
    images = tuple(one.to(device, non_blocking=True) for one in batch.images)
    return Batch(images, batch.product.to(device), batch.is_street.to(device))


def _halves(somewhere: Tensor, recipe: Recipe) -> bool:
    """Whether to learn in half precision: on a GPU, and where a trunk learns on a CPU that multiplies bfloat16 itself,
    which takes half the time there and many times as long elsewhere."""
    return somewhere.is_cuda or (recipe.tuned > 0 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


def workers(device: torch.device) -> int:
    """Threads that load batches."""
    return 4 if device.type == "cuda" else 1


@contextmanager
def memory(recipe: Recipe) -> Iterator[None]:
    """Too little memory in clear words."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = str(error)  # torch has an error of its own for a GPU alone
        if isinstance(error, RuntimeError) and not any(words in told.lower() for words in FULL):
            raise
        raise BadRun(
            f"too little memory for batches of {recipe.products} products",
            hint="begin again with fewer: --set products=…, and another --out",
        ) from error
