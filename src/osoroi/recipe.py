"""A recipe: every setting of a training run, with its default written once.

A recipe has settings of three kinds, each a class of its own: of the model, of the data, of the optimiser. A function
says in its signature which of them it needs; a recipe has them all under flat names.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from osoroi.errors import BadRequest

LOSSES = ("info_nce", "triplet", "multi_similarity")
"""Losses of ours; packages register more (``plugins``)."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Negatives = Literal["random", "semi_hard", "batch_hard"]
Init = Literal["lda", "random"]
PoolingRegion = Literal["garment", "crop"]
KeepEpoch = Literal["best", "last"]

Weights = tuple[tuple[str, float], ...]
"""Weights of parts by name; 0 or more, with the sum 1. Empty where none are set."""

ARMS = ("deep", "shallow", "both")
"""Arms of the published network."""

PARTS = {"parts": ("deep", "detail"), "joined": ("both",)}
"""Parts of the vectors of our networks."""

MONITORED = ("hit@1", "hit@5", "nDCG@5")
"""Metrics that are measured on the validation split after every epoch."""

CHOICES: dict[str, tuple[str, ...]] = {
    "network": (*PARTS, *ARMS),
    "pool": get_args(PoolingRegion),
    "init": get_args(Init),
    "loss": LOSSES,
    "negatives": get_args(Negatives),
    "monitor": MONITORED,
    "keep_epoch": get_args(KeepEpoch),
    "precision": get_args(Precision),
}
"""Settings that are words, and the words that each may be; a loss may also be that of a plugin."""


def choices(setting: str, value: str) -> tuple[str, ...]:
    """The words that a setting may be. Plugins are looked for only where the value is none of ours.

    >>> choices("keep_epoch", "best")
    ('best', 'last')
    """
    own = CHOICES.get(setting, (value,))
    if setting != "loss" or value in own:
        return own
    from osoroi import plugins

    return (*own, *plugins.names("losses"))


SettingCheck = tuple[bool, str]
"""Whether something is wrong with the settings, and the message if so."""


class Range(NamedTuple):
    """The numbers that a setting may be, from ``least`` to ``most``, without the end that ``open`` names."""

    least: float
    most: float
    open: Literal["", "least", "most"] = ""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, (int, float)) or not self.least <= value <= self.most:
            return False
        return not self.open or value != getattr(self, self.open)

    def __str__(self) -> str:
        left, right = "(" if self.open == "least" else "[", ")" if self.open == "most" else "]"
        return f"{left}{_plain(self.least)}, {_plain(self.most)}{right}"


def _plain(number: float | int) -> str:
    """A number as people write it, exactly.

    >>> _plain(1_000_000), _plain(0.5)
    ('1,000,000', '0.5')
    """
    return f"{int(number):,}" if number == int(number) else str(number)


COUNT = Range(0, 1_000_000)
SHARE = Range(0, 1)
PART = Range(0, 1, "most")
RATE = Range(0, 10, "least")

RANGES = {
    "unfreeze_blocks": Range(0, 100),
    "lora_rank": Range(0, 1_024),
    "image_size": Range(48, 2_016),
    "box_margin": SHARE,
    "dim": Range(1, 65_536),
    "head_layers": Range(1, 2),
    "kind_weight": PART,
    "shrinkage": SHARE,
    "nuisance_weight": Range(0, 1_000),
    "lda_datasets": COUNT,
    "folds": Range(2, 100),
    "seed": Range(0, 2**32 - 1),
    "views": Range(1, 1_000),
    "shop_views": Range(1, 1_000),
    "products": Range(2, 1_000_000),
    "rows": Range(1, 1_000),
    "hard_negatives": COUNT,
    "mined_neighbors": COUNT,
    "epochs": COUNT,
    "triplet_margin": Range(0, 4),
    "part_loss_weight": Range(0, 1_000),
    "logit_scale": Range(0, 10_000, "least"),
    "max_logit_scale": Range(0, 10_000, "least"),
    "lr": RATE,
    "backbone_lr": RATE,
    "weight_decay": Range(0, 10),
    "dropout": PART,
    "warmup": SHARE,
    "grad_clip": Range(0, 1_000_000, "least"),
    "grad_cache_rows": COUNT,
    "accumulate_batches": Range(1, 1_000_000),
    "ema_decay": PART,
    "patience": COUNT,
    "teacher_weight": Range(0, 1_000, "least"),
    "teacher_scale": Range(0, 10_000, "least"),
    "l2_sp": Range(0, 1_000),
    "wise_ft": PART,
}
"""Settings that are numbers, and the range of each. Vectors of unit length lie at most 4 apart in squared distance."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Settings of the model: what is trained, and how it starts."""

    network: str = "parts"
    """Kind of network. ``parts`` has a head for ``deep`` and one for ``detail``; ``joined`` has one head for all
    features; ``deep``, ``shallow`` and ``both`` are arms of the published network."""
    backbone: str = "efficientnet_lite0"
    """Name of the deep network that computes the feature maps. Empty for a network without one."""
    unfreeze_blocks: int = 0
    """Number of backbone blocks that are trained, counted from the last; 0 freezes the backbone. Statistics of batch
    normalisation never change."""
    lora_rank: int = 0
    """Rank of the adapters (LoRA) that are trained beside the linear layers and 1 x 1 convolutions of the unfrozen
    blocks, whose own weights then stay as they are; 0 trains those weights."""
    pool: PoolingRegion = "garment"
    """What features are pooled over: the foreground mask of the garment, or the whole crop. Backbones that have no
    packaged foreground head pool over the crop, unless a head is given."""
    image_size: int = 192
    """Height and width of the encoder's input in pixels, a multiple of 48."""
    box_margin: float = 0.05
    """Share of its size by which the box of a street photo is enlarged on every side."""
    dim: int = 128
    """Number of dimensions of each part."""
    head_layers: int = 1
    """Number of linear layers of a head: 1, or 2 as was published, with 4,096 dimensions between them. Heads of two
    layers start at random."""
    normalize_output: bool = True
    """Bring the last layer of a published arm to unit length in training too. Encoders always do; the source did in
    neither."""
    shallow: bool = False
    """Add the published shallow convolutions, fed with Lab colours, as a further source of ``detail``. They are
    trained."""
    color_constancy: bool = False
    """Add a second color histogram as a source of ``detail``, of the colors under white light (shades of gray)."""
    weights: Weights = ()
    """Weights of the parts in the loss and in the encoder. Without any they are fitted on held-out folds of the
    training pairs, and once more on the validation split where epochs have changed the heads."""
    served_weights: Weights = ()
    """Weights of the parts in the encoder, where they differ from those in the loss."""
    kind_weight: float = 0.0
    """Weight of the part ``kind`` in the encoder, which is not trained; 0 leaves the part away. The others share the
    rest."""
    init: Init = "lda"
    """How heads start: fitted by LDA, or at random."""
    shrinkage: float = 0.3
    """Share of the within-pair scatter that LDA replaces by its mean diagonal."""
    nuisance_weight: float = 0.0
    """Weight in LDA of what colors predict of ``deep``, which counts as noise then. ``detail`` knows colors already;
    the greater the weight, the wider is the range from shape to color at query time."""
    refit: bool = False
    """Fit the heads by LDA once more after the epochs, on features of the fine-tuned backbone. ``nuisance_weight`` then
    applies to that fit alone."""
    lda_datasets: int = 0
    """Number of datasets, from the first, that LDA is fitted on; 0 takes all."""
    folds: int = 4
    """Number of folds in which the weights of the parts are fitted, on pairs that the heads were not fitted on."""
    seed: int = 0
    """Seed of random heads, of batches, of dropout, and of views that are drawn anew in every epoch."""

    def model_problems(self) -> list[SettingCheck]:
        """What may be wrong with these settings."""
        parts = PARTS.get(self.network)
        return [
            *(problem for each in (self.weights, self.served_weights) for problem in _weight_problems(each, parts)),
            (self.lora_rank > 0 and not self.unfreeze_blocks, "lora_rank adapts unfrozen blocks: set unfreeze_blocks"),
            (
                self.network not in ARMS and self.image_size % 48 > 0,
                f"image_size={self.image_size} is no multiple of 48",
            ),
            (
                self.network in ARMS
                and (self.head_layers == 2 or self.shallow or self.color_constancy or self.lora_rank > 0),
                f"{self.network} is published as it is",
            ),
            (
                not self.normalize_output and self.network not in ARMS,
                "normalize_output=no is a setting of the published arms",
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Settings of the data: the crops that are trained on, and how they make batches."""

    category: str = ""
    """Category of the products that are trained on; empty takes all."""
    views: int = 1
    """Number of views of each street photo. The first is plain, the others are augmented."""
    shop_views: int = 1
    """Number of views of each shop photo. The first is plain, the others are augmented a little."""
    products: int = 128
    """Number of products in a batch."""
    rows: int = 1
    """Number of street rows, and of shop rows, of each product in a batch."""
    hard_negatives: int = 0
    """Number of products in a batch for which another product of the same design is added, as a hard negative."""
    mined_neighbors: int = 0
    """Number of products, near each other by the network's own vectors at the start of an epoch, that stand in one
    batch together, as hard negatives from the whole training set; 0 draws batches at random."""
    single_category_batches: bool = False
    """Make batches of products of one category each."""

    def data_problems(self) -> list[SettingCheck]:
        """What may be wrong with these settings."""
        return [
            (self.mined_neighbors == 1, "mined_neighbors=1: 0 for none, or 2 and more"),
            (
                self.hard_negatives > max(self.products - 2, 0),
                f"hard_negatives={self.hard_negatives} is above products - 2: two products come without one",
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Settings of the optimiser: what is minimised, and in which steps."""

    epochs: int = 0
    """Number of epochs; 0 keeps the heads that LDA gave."""
    loss: str = "info_nce"
    """Loss: ``info_nce`` in both directions, ``triplet`` with a margin, ``multi_similarity``, or the name under which
    an installed package registers one."""
    negatives: Negatives = "semi_hard"
    """Miner that chooses the negative of each triplet."""
    triplet_margin: float = 0.2
    """Margin of the triplet loss, in squared distance of unit vectors."""
    part_loss_weight: float = 0.5
    """Weight of the loss of each part alone, added to the loss of their weighted sum."""
    deep_ignores_color: bool = False
    """In the loss of ``deep`` alone, count products of one design as the same product, so that it learns fewer colors.
    The loss of the weighted sum still tells them apart."""
    teacher_weight: float = 1.0
    """Weight of distillation in the loss, beside that of pairs, where teachers are given."""
    teacher_scale: float = 20.0
    """Scale of the similarities (inverse temperature) under which the student's neighbours should be the teachers'."""
    logit_scale: float = 1 / 0.07
    """Scale of the logits of InfoNCE (inverse temperature) at the start; it is trained."""
    max_logit_scale: float = 50.0
    """Greatest scale of the logits of InfoNCE."""
    lr: float = 1e-3
    """Learning rate of AdamW for the heads."""
    backbone_lr: float = 4e-4
    """Learning rate of AdamW for the backbone blocks that are trained."""
    weight_decay: float = 0.05
    """Weight decay of AdamW. Biases, parameters of normalisation and scales have none."""
    l2_sp: float = 0.0
    """Weight of half the squared distance of the backbone's weights from those it started with (L2-SP), in place of
    weight decay; 0 lets them go anywhere."""
    wise_ft: float = 0.0
    """Share of the start in the trained weights, heads included, that are mixed once training has ended (WiSE-FT)."""
    dropout: float = 0.3
    """Share of the features that are dropped before a head in training."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises. It then falls along half a cosine."""
    grad_clip: float = 1.0
    """Greatest norm of the gradient; a longer one is scaled down to it."""
    grad_cache_rows: int = 0
    """Number of rows whose activations are in memory at once; 0 takes the whole batch. The loss and its gradients stay
    those of the whole batch, at the cost of a second forward pass (GradCache)."""
    accumulate_batches: int = 1
    """Number of batches whose gradients are averaged for one step of the optimiser."""
    precision: Precision = "auto"
    """Numbers that the network is trained in. ``auto`` is bfloat16 where that is fast, else float16 with scaled losses
    on a GPU, else float32."""
    ema_decay: float = 0.0
    """Decay of an exponential moving average of the weights, which is then what is validated and kept; 0 keeps the
    weights themselves."""
    patience: int = 0
    """Number of epochs without a better ``monitor`` after which training stops; 0 never stops early."""
    monitor: str = "nDCG@5"
    """Metric on the validation split that decides which epoch is best."""
    keep_epoch: KeepEpoch = "best"
    """Epoch that is kept: the best by ``monitor``, or the last."""

    def optimizer_problems(self) -> list[SettingCheck]:
        """What may be wrong with these settings."""
        return [
            (
                self.patience > 0 and self.keep_epoch == "last",
                "patience stops at a worse epoch, which keep_epoch=last would keep",
            ),
            (
                self.logit_scale > self.max_logit_scale,
                f"logit_scale={self.logit_scale:g} is above max_logit_scale={self.max_logit_scale:g}",
            ),
        ]


@dataclass(frozen=True)
class Recipe(OptimizerSettings, DataSettings, ModelSettings):
    """All settings of a run. ``cost`` and ``result`` say what was measured with the recipe of this name.

    >>> Recipe(dim=64).dim, Recipe().dim
    (64, 128)
    """

    name: str = "custom"
    cost: str = field(default="", compare=False, repr=False)
    result: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        problems = [
            *(
                (getattr(self, name) not in known, f"{name}={getattr(self, name)} is not one of {', '.join(known)}")
                for name, known in ((name, choices(name, getattr(self, name))) for name in CHOICES)
            ),
            *(
                (getattr(self, name) not in within, f"{name}={getattr(self, name)} is not in {within}")
                for name, within in RANGES.items()
            ),
            *self.model_problems(),
            *self.data_problems(),
            *self.optimizer_problems(),
            ((self.l2_sp > 0 or self.wise_ft > 0) and not self.epochs, "l2_sp and wise_ft need epochs"),
            (
                self.wise_ft > 0 and self.lora_rank > 0,
                "wise_ft mixes weights, and would mix the two factors of an adapter apart: leave it or lora_rank away",
            ),
            (self.l2_sp > 0 and not self.unfreeze_blocks, "l2_sp ties unfrozen blocks: set unfreeze_blocks"),
            (
                (self.head_layers == 2 or self.shallow) and not self.epochs,
                "head_layers=2 and shallow=yes need epochs to be trained in",
            ),
            (
                self.refit and not (self.epochs and self.unfreeze_blocks),
                "refit=yes needs epochs in which blocks of the backbone are trained",
            ),
            (self.refit and self.head_layers == 2, "refit=yes fits heads of one layer"),
            (
                self.grad_cache_rows > 0 and (self.shallow or self.network in ("shallow", "both")),
                "grad_cache_rows would give the batch normalisation of shallow paths the statistics of a part",
            ),
            (
                not self.normalize_output and self.loss != "triplet",
                f"normalize_output=no needs loss=triplet: {self.loss} takes cosines",
            ),
        ]
        wrong = [message for is_wrong, message in problems if is_wrong]
        if wrong:
            raise BadRequest(f"recipe {self.name!r}: {'; '.join(wrong)}")


def _weight_problems(weights: Weights, parts: tuple[str, ...] | None) -> list[SettingCheck]:
    if not weights:
        return []
    given = dict(weights)
    return [
        (
            parts is not None and set(given) != set(parts),
            f"weights are of {' and '.join(given)}, and the parts are {' and '.join(parts or ())}",
        ),
        (
            not (min(given.values()) >= 0 and abs(sum(given.values()) - 1) < 1e-6),
            "weights are 0 or more and add up to 1",
        ),
    ]
