"""What is trained, a network and the logit scales of its losses: batch to vectors, vectors to loss, loss to gradients.

A loss of pairs needs the vectors of the whole batch at once, but not all activations. So where a batch does not fit
into memory, or lies on several devices, vectors are computed in parts without gradients, the loss gives the gradient
of each vector, and the parts are computed again, this time with it (GradCache: Gao et al. 2021, arXiv:2101.06983).
Dropout is drawn once for both times.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from osoroi.recipe import Recipe
from osoroi.records import Part
from osoroi.training import losses, mining
from osoroi.training.distributed import ALONE, World
from osoroi.training.sampling import Batch, Images


@runtime_checkable
class Trainable(Protocol):
    """A network whose vectors have parts, in two halves: ``below`` is not trained, so its output is cached on disk.

    ``below(crops)`` gives tensors with one row a crop, and ``above`` takes those; together they are the network. Where
    all of it is trained, ``below`` gives the crops themselves.
    """

    parts: tuple[Part, ...]

    def below(self, crops: Tensor) -> Images: ...

    def above(self, *images: Tensor) -> Float[Tensor, "b d"]: ...


PairLoss = Callable[[Float[Tensor, "s d"], Float[Tensor, "t d"], Bool[Tensor, "s t"]], Float[Tensor, ""]]
"""A loss of street rows, shop rows, and which of them show the same product: what a plugin registers."""


class Learner(nn.Module):
    """A network and the logit scales of its losses: all that is trained. ``teachers`` has the parts of each teacher."""

    def __init__(self, network: nn.Module, recipe: Recipe, teachers: Sequence[tuple[Part, ...]] = ()) -> None:
        super().__init__()
        assert isinstance(network, Trainable)
        self.network = network
        self.recipe = recipe
        self.teachers = tuple(teachers)
        self.log_scales = nn.Parameter(torch.full((len(network.parts) + 1,), math.log(recipe.logit_scale)))

    def precision(self, tensor: Tensor) -> AbstractContextManager[None]:
        """The context in which the network computes."""
        half = half_precision(tensor.device, self.recipe)
        return torch.autocast(tensor.device.type, half or torch.bfloat16, enabled=half is not None)

    def embed(self, images: Images, product: Int64[Tensor, "_"]) -> Float[Tensor, "b d"]:
        """Vectors of images, on the device of ``product``."""
        with self.precision(product):
            vectors: Tensor = self.network.above(*images)
        return vectors.float()

    def loss(self, vectors: Float[Tensor, "b d"], batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        """The loss of pairs where the batch has some, and that of distillation where there are teachers."""
        if not batch.teachers:
            return self.pair_loss(vectors, batch, generator)
        distilled = self.recipe.teacher_weight * self.distillation(vectors, batch)
        return distilled + self.pair_loss(vectors, batch, generator) if batch.is_paired else distilled

    def distillation(self, vectors: Float[Tensor, "b d"], batch: Batch) -> Float[Tensor, ""]:
        """Relational loss of the weighted sum of parts and of each part alone; a part's teacher is the teachers' part
        of its name."""
        names = [None, *(part.name for part in self.network.parts)]

        def loss_of(student: Float[Tensor, "b d"], _: Tensor, term: int) -> Float[Tensor, ""]:
            taught = [
                similarities(own, parts, names[term]) for own, parts in zip(batch.teachers, self.teachers, strict=True)
            ]
            return losses.relational(student, torch.stack(taught), self.recipe.teacher_scale)

        return losses.by_part(loss_of, vectors, vectors, self.network.parts, self.recipe.part_loss_weight)

    def pair_loss(self, vectors: Float[Tensor, "b d"], batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        """Loss of the weighted sum of parts, and of each part alone."""
        recipe = self.recipe
        street, shop = vectors[batch.is_street], vectors[~batch.is_street]
        names = [None, *(part.name for part in self.network.parts)]

        def loss_of(street: Float[Tensor, "s d"], shop: Float[Tensor, "t d"], term: int) -> Float[Tensor, ""]:
            label = batch.design if recipe.deep_ignores_color and names[term] == "deep" else batch.product
            same = label[batch.is_street][:, None] == label[~batch.is_street]
            if recipe.loss == "info_nce":
                scale = self.log_scales[term].exp().clamp(max=recipe.max_logit_scale)
                return losses.info_nce(street, shop, same, scale)
            if recipe.loss == "multi_similarity":
                return losses.multi_similarity(street, shop, same)
            if recipe.loss == "triplet":
                distances = mining.squared_distances(street, shop)
                anchors, positives, negatives = mining.MINERS[recipe.negatives](distances, same, generator)
                return losses.triplet(street[anchors], shop[positives], shop[negatives], recipe.triplet_margin)
            from osoroi import plugins

            loaded: PairLoss = plugins.load("losses", recipe.loss)
            return loaded(street, shop, same)

        return losses.by_part(loss_of, street, shop, self.network.parts, recipe.part_loss_weight)


def similarities(vectors: Float[Tensor, "b d"], parts: Sequence[Part], part: str | None = None) -> Float[Tensor, "b b"]:
    """Scores of all rows with each other: of one part, or where the teacher has none of that name, weighted."""
    names = [each.name for each in parts]
    if part in names:
        start = sum(each.size for each in parts[: names.index(part)])
        own = vectors[:, start : start + parts[names.index(part)].size]
        return own @ own.T
    roots = torch.cat([vectors.new_full((each.size,), each.weight**0.5) for each in parts])
    return (vectors * roots) @ (vectors * roots).T


PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Name in a recipe -> what half precision is; None for whole precision."""


def half_precision(device: torch.device, recipe: Recipe) -> torch.dtype | None:
    """What to train in: None is float32.

    ``auto`` is bfloat16 on a GPU that computes it and float16 on one that does not; on a CPU, bfloat16 where a backbone
    is trained and the CPU multiplies it, which takes half the time there, and many times as long where it does not.
    """
    if recipe.precision != "auto":
        return PRECISIONS[recipe.precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type != "cpu":
        return None
    native = recipe.unfreeze_blocks > 0 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if native else None


class _RandomState(NamedTuple):
    """The states of torch's generators."""

    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls) -> "_RandomState":
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


def backward(
    learner: Learner,
    batch: Batch,
    generator: torch.Generator,
    *,
    scaler: Any = None,
    world: World = ALONE,
    share: float = 1.0,
) -> Float[Tensor, ""]:
    """Add the gradients of a batch's loss, times ``share``, to those of the parameters; gives the loss.

    ``batch`` holds the images of this process' slice. ``scaler`` is torch's, for half precision.
    """

    def scaled(loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        return share * (loss if scaler is None else scaler.scale(loss))

    rows = learner.recipe.grad_cache_rows
    count = len(batch.images[0])
    if world.size == 1 and not 0 < rows < count:
        loss = learner.loss(learner.embed(batch.images, batch.product), batch, generator)
        scaled(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    parts = _parts(batch.images, rows)
    states, own = [], []
    with torch.no_grad():
        for part in parts:
            states.append(_RandomState.now())
            own.append(learner.embed(part, batch.product))
    vectors = world.gather(torch.cat(own), len(batch.product)).requires_grad_()
    loss = learner.loss(vectors, batch, generator)
    scaled(loss).backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    gradients = torch.split(vectors.grad[world.own(len(vectors))], [len(part[0]) for part in parts])
    after = _RandomState.now()
    for part, state, gradient in zip(parts, states, gradients, strict=True):
        state.restore()
        torch.autograd.backward(learner.embed(part, batch.product), gradient)
    after.restore()
    return loss.detach()


def _parts(images: Images, rows: int) -> list[Images]:
    """Images in parts of so many rows; all in one where it is 0."""
    size = rows or len(images[0])
    columns = [torch.split(one, size) for one in images]
    return list(zip(*columns, strict=True))
