"""Recipes: every setting of a run, with its default written once, and the recipes that have names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Literal, get_args

from osoroi.errors import BadRequest

Loss = Literal["info_nce", "triplet", "multi_similarity"]
Negatives = Literal["random", "semi_hard", "batch_hard"]
Start = Literal["closed", "random"]
Pool = Literal["garment", "crop"]

ARMS = ("deep", "shallow", "both")
"""Of the published network."""

PARTS = {"parts": ("deep", "detail"), "joined": ("both",)}
"""What the vectors of our networks consist of."""

WATCHED = ("hit@1", "hit@5", "nDCG@5")
"""What is measured on the validation split, after every epoch."""

CHOICES: dict[str, tuple[str, ...]] = {
    "network": (*PARTS, *ARMS),
    "pool": get_args(Pool),
    "start": get_args(Start),
    "loss": get_args(Loss),
    "negatives": get_args(Negatives),
    "best": WATCHED,
}
"""Settings that are words, and the words there are."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a run. ``cost`` and ``result`` say what was measured with a recipe as it is named here."""

    name: str = "custom"

    # The network
    network: str = "parts"
    """``parts``: ours, a head for ``deep`` and one for ``detail``; ``joined``: the features of both in one part;
    ``deep``, ``shallow``, ``both``: arms of the published network."""
    trunk: str = "efficientnet_lite0"
    """Empty where the network has none."""
    tuned: int = 0
    """How many of the trunk's last steps learn; 0 leaves it frozen. Statistics of batch normalisation never change."""
    pool: Pool = "garment"
    """What features are pooled over: the garment, where the probe sees it, or the crop. Trunks that no probe ships for
    pool over the crop, unless one is given."""
    side: int = 192
    """Pixels of a crop's sides, a multiple of 96."""
    margin: float = 0.05
    """By which a street box is enlarged, on every side."""
    size: int = 128
    """Numbers in each part."""
    layers: int = 1
    """Of our heads: 1, or 2 as was published, with 4,096 numbers between; these start at random."""
    shallow: bool = False
    """The published shallow convolutions, fed in Lab, as a further source of ``detail``; they learn."""
    constancy: bool = False
    """A second histogram as a source of ``detail``, of colours as if the light were white (shades of grey)."""
    weights: tuple[tuple[str, float], ...] = ()
    """Of the parts, while learning and after. Without any they are fitted out of fold; and once more on the products
    held out, where epochs have changed the heads since."""
    start: Start = "closed"
    """Heads begin in closed form, or at ``random``."""
    shrink: float = 0.3
    """Share of the within-pair scatter that is replaced by its mean diagonal."""
    blind: float = 0.0
    """How many times the closed form of ``deep`` takes what colours tell for noise: ``detail`` knows them, and the
    dial's way from shape to colour gets longer."""
    folds: int = 4
    """In which the weights of the parts are fitted: on pairs that the heads have not seen."""

    # What it looks at
    category: str = ""
    """Products of this category alone; empty takes all."""
    views: int = 1
    """Of each street photo: the first as it is, the others made worse."""
    shop_views: int = 1
    """Of each shop photo: the first as it is, the others changed a little."""

    # How it learns
    epochs: int = 0
    """0 keeps the closed form."""
    products: int = 128
    """In a batch, each with ``rows`` street and ``rows`` shop rows."""
    rows: int = 1
    siblings: int = 0
    """Of the products of a batch, how many bring a product of the same design along, as a hard wrong answer."""
    pure: bool = False
    """Batches of one category."""
    loss: Loss = "info_nce"
    """``info_nce`` in both directions, ``triplet`` hinge, or ``multi_similarity``."""
    negatives: Negatives = "semi_hard"
    """Which wrong answers the triplet loss learns from."""
    hinge: float = 0.2
    """Margin of the triplet loss, in squared distance of unit vectors."""
    alone: float = 0.5
    """How much the loss of each part alone counts beside that of the mix."""
    scale: float = 1 / 0.07
    """Of InfoNCE when it starts; it is learned."""
    ceiling: float = 50.0
    """Above which the scale does not grow."""
    lr: float = 1e-3
    """Rate of AdamW for the heads."""
    trunk_lr: float = 4e-4
    """And for the trunk's steps that learn."""
    decay: float = 0.05
    """Of weights; biases, norms and scales have none."""
    dropout: float = 0.3
    """Share of the features that a head does not see in a step."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises, before it falls as half a cosine."""
    clip: float = 1.0
    """Above which the norm of the gradient is scaled down."""
    seed: int = 0
    """Of heads at random, batches, dropout and what is drawn anew in every epoch."""
    best: str = "nDCG@5"
    """The metric on the validation split that says which epoch is kept."""

    cost: str = field(default="", compare=False, repr=False)
    result: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        numbers = {one.name: getattr(self, one.name) for one in fields(self) if one.type is float}
        weighed, parts = dict(self.weights), PARTS.get(self.network)
        problems = [
            *(
                (getattr(self, name) not in known, f"{name}={getattr(self, name)} is not one of {', '.join(known)}")
                for name, known in CHOICES.items()
            ),
            *((not isfinite(value), f"{name}={value} is no number") for name, value in numbers.items()),
            *((getattr(self, name) < 0, f"{name}={getattr(self, name)} is negative") for name in ("tuned", "seed")),
            (
                bool(weighed and parts) and set(weighed) != set(parts or ()),
                f"weights are of {' and '.join(weighed)}, and the parts are {' and '.join(parts or ())}",
            ),
            (
                bool(weighed) and not (min(weighed.values()) >= 0 and abs(sum(weighed.values()) - 1) < 1e-6),
                "weights are 0 or more and add up to 1",
            ),
            (self.size < 1 or self.side < 48, "size is 1 or more, side 48 or more"),
            (self.scale > self.ceiling, f"scale={self.scale:g} is above ceiling={self.ceiling:g}"),
            (self.epochs < 0, f"epochs={self.epochs} is negative"),
            (self.products < 2, f"products={self.products}: a batch of one product has no wrong answer"),
            (self.rows < 1, f"rows={self.rows} shows nothing"),
            (min(self.views, self.shop_views) < 1, "views and shop_views are 1 or more"),
            (
                not 0 <= self.siblings <= self.products - 2,
                f"siblings={self.siblings} is not in [0, products - 2]: two products of a batch are no siblings",
            ),
            (not 0 <= self.shrink <= 1, f"shrink={self.shrink} is not in [0, 1]"),
            (self.blind < 0, f"blind={self.blind} is negative"),
            (not 0 <= self.dropout < 1, f"dropout={self.dropout} is not in [0, 1)"),
            (self.layers not in (1, 2), f"layers={self.layers} is not 1 or 2"),
            (
                (self.layers == 2 or self.shallow) and not self.epochs,
                "layers=2 and shallow=yes need epochs to learn in",
            ),
            (
                self.network in ARMS and (self.layers == 2 or self.shallow or self.constancy),
                f"{self.network} is published as it is",
            ),
            (self.network not in ARMS and self.side % 48 > 0, f"side={self.side} is no multiple of 48"),
            (self.folds < 2, f"folds={self.folds}: pairs must be held out, so 2 or more"),
            (self.lr <= 0 or self.trunk_lr <= 0, "lr and trunk_lr are above 0"),
        ]
        wrong = [problem for is_wrong, problem in problems if is_wrong]
        if wrong:
            raise BadRequest(f"recipe {self.name!r}: {'; '.join(wrong)}")


FROZEN = Recipe("frozen", epochs=40, views=4)

TOPS = "viton val with the H&M tops, nDCG@5:"
"""What the recipes were measured on (docs/experiment.md)."""

FINETUNE = replace(
    FROZEN,
    name="finetune",
    tuned=8,
    epochs=10,
    products=64,
    lr=5e-4,
    views=6,
    shop_views=3,
    weights=(("deep", 0.5), ("detail", 0.5)),
    cost="4,740 pairs on one core: 7 minutes to look, 26 to learn",
    result=f"{TOPS} .890, spoilt photos .752, three seeds",
)

PUBLISHED = Recipe(
    "published-both",
    network="both",
    trunk="googlenet",
    side=224,
    size=256,
    start="random",
    epochs=24,
    loss="triplet",
    negatives="random",
    dropout=0.0,
)
"""The network of ``published``; its arms are trained alike."""

NAMED: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "quick",
            cost="4,740 pairs on one core: 4 minutes to look, 5 seconds to fit",
            result=f"{TOPS} .797, spoilt photos .348",
        ),
        replace(
            FROZEN,
            cost="with views=1 epochs=20: 4 minutes to look, 1 to learn",
            result=f"{TOPS} with views=1 epochs=20 .816, spoilt photos .395, three seeds",
        ),
        FINETUNE,
        replace(
            FROZEN,
            name="joined",
            network="joined",
            size=256,
            result=f"{TOPS} with views=1 epochs=20 .812, spoilt photos .395, three seeds",
        ),
        replace(PUBLISHED, name="published-deep", network="deep", result=f"{TOPS} with epochs=6 .305, three seeds"),
        replace(
            PUBLISHED,
            name="published-shallow",
            network="shallow",
            trunk="",
            result=f"{TOPS} with epochs=6 .150, three seeds",
        ),
        replace(PUBLISHED, result=f"{TOPS} with epochs=6 .360, three seeds"),
    )
}
"""Recipes by name."""


def named(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name, with some settings changed; then it says so, and forgets cost and result.

    >>> named("quick").epochs
    0
    >>> named("quick", {"seed": 3}).name, named("quick", {"seed": 3}).seed
    ('quick seed=3', 3)
    >>> named("slow")
    Traceback (most recent call last):
    osoroi.errors.BadRequest: no recipe is called 'slow'; one of: quick, frozen, finetune, ...
    """
    if name not in NAMED:
        raise BadRequest(f"no recipe is called {name!r}", hint=f"one of: {', '.join(NAMED)}")
    if not changes:
        return NAMED[name]
    told = " ".join(f"{key}={value}" for key, value in changes.items())
    return replace(NAMED[name], **changes, name=f"{name} {told}", cost="", result="")


def changed(text: str) -> tuple[str, Any]:
    """A setting and its value from ``key=value``, the value read as the default's type.

    >>> changed("epochs=3"), changed("lr=1e-4"), changed("pure=yes")
    (('epochs', 3), ('lr', 0.0001), ('pure', True))
    >>> changed("weights=deep:.4,detail:.6")
    ('weights', (('deep', 0.4), ('detail', 0.6)))
    >>> changed("epoch=3")
    Traceback (most recent call last):
    osoroi.errors.BadRequest: a recipe has no setting 'epoch'; see docs/recipes.md
    """
    key, equals, value = text.partition("=")
    known = {one.name: one.default for one in fields(Recipe) if one.name not in ("name", "cost", "result")}
    if not equals or key not in known:
        raise BadRequest(f"a recipe has no setting {key!r}", hint="see docs/recipes.md")
    if value not in CHOICES.get(key, (value,)):
        raise BadRequest(f"{text} is not one of {', '.join(CHOICES[key])}")
    try:
        return key, _read(known[key], value)
    except (ValueError, KeyError) as error:
        raise BadRequest(f"{text!r}: {key} is like {known[key]!r}") from error


def _read(default: object, value: str) -> Any:
    if isinstance(default, bool):
        return {"yes": True, "true": True, "no": False, "false": False}[value.lower()]
    if isinstance(default, tuple):
        pairs = [pair.split(":") for pair in value.split(",") if pair]
        return tuple((name, float(weight)) for name, weight in pairs)
    kind: Any = type(default)
    return kind(value)
