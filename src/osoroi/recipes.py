"""The recipes that have names, and settings read from text."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from osoroi.errors import BadRequest
from osoroi.recipe import Recipe, choices

FROZEN = Recipe("frozen", epochs=40, views=4)

TOPS = "viton val with the H&M tops, nDCG@5:"
"""What the recipes were measured on (docs/experiment.md)."""

FINETUNE = replace(
    FROZEN,
    name="finetune",
    unfreeze_blocks=8,
    epochs=10,
    products=64,
    lr=5e-4,
    views=6,
    shop_views=3,
    weights=(("deep", 0.5), ("detail", 0.5)),
    cost="4,740 pairs on one core: 7 minutes to cache features, 26 to train",
    result=f"{TOPS} .890, corrupted photos .752, three seeds",
)

LORA = replace(FINETUNE, name="lora", lora_rank=8, backbone_lr=2e-3, cost="", result="")

FINETUNE_L2 = replace(FINETUNE, name="finetune-l2", l2_sp=10.0, cost="", result="")

DISTILL = replace(FINETUNE, name="distill", views=4, shop_views=2, cost="", result="")

WISE_FT = replace(FINETUNE, name="wise-ft", wise_ft=0.3, cost="", result="")

DEFAULT = Recipe(
    "default",
    unfreeze_blocks=8,
    epochs=6,
    products=96,
    lr=4e-4,
    backbone_lr=3e-4,
    color_constancy=True,
    views=2,
    shop_views=2,
    weights=(("deep", 0.4), ("detail", 0.6)),
    served_weights=(("deep", 0.3), ("detail", 0.7)),
    kind_weight=0.4,
    refit=True,
    nuisance_weight=10.0,
    lda_datasets=1,
    keep_epoch="last",
)
"""The encoder that ships, trained on composed and drawn photos (docs/model-card.md). Composed photos flatter ``deep``,
so the encoder weighs it less than the loss, and no epoch is chosen by them."""

PUBLISHED = Recipe(
    "published-both",
    network="both",
    backbone="googlenet",
    image_size=224,
    dim=256,
    init="random",
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
            cost="4,740 pairs on one core: 4 minutes to compute features, 5 seconds to fit",
            result=f"{TOPS} .797, corrupted photos .348",
        ),
        replace(
            FROZEN,
            cost="with views=1 epochs=20: 4 minutes to cache features, 1 to train",
            result=f"{TOPS} with views=1 epochs=20 .816, corrupted photos .395, three seeds",
        ),
        FINETUNE,
        LORA,
        FINETUNE_L2,
        WISE_FT,
        DISTILL,
        DEFAULT,
        replace(
            FROZEN,
            name="joined",
            network="joined",
            dim=256,
            result=f"{TOPS} with views=1 epochs=20 .812, corrupted photos .395, three seeds",
        ),
        replace(PUBLISHED, name="published-deep", network="deep", result=f"{TOPS} with epochs=6 .305, three seeds"),
        replace(
            PUBLISHED,
            name="published-shallow",
            network="shallow",
            backbone="",
            result=f"{TOPS} with epochs=6 .150, three seeds",
        ),
        replace(PUBLISHED, result=f"{TOPS} with epochs=6 .360, three seeds"),
    )
}
"""Recipes by name."""


def named(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name, with some settings changed; its name then says so, and it has no cost and result.

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
    settings = " ".join(f"{key}={value}" for key, value in changes.items())
    return replace(NAMED[name], **changes, name=f"{name} {settings}", cost="", result="")


def changed(text: str) -> tuple[str, Any]:
    """A setting and its value from ``key=value``, the value read as the default's type.

    >>> changed("epochs=3"), changed("lr=1e-4"), changed("refit=yes")
    (('epochs', 3), ('lr', 0.0001), ('refit', True))
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
    if value not in choices(key, value):
        raise BadRequest(f"{text} is not one of {', '.join(choices(key, value))}")
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
