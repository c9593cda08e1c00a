"""Settings that cannot be followed are refused before a photo is looked at, with what is allowed."""

import math
import re
from dataclasses import fields

import pytest

from osoroi.errors import BadRequest, BadRun
from osoroi.model import build
from osoroi.model.network import Network
from osoroi.recipe import RANGES, Recipe
from osoroi.recipes import changed, named

WRONG = [
    ("frozen", "loss=infonce", "loss=infonce is not one of info_nce, triplet"),
    ("frozen", "init=close", "init=close is not one of lda, random"),
    ("frozen", "pool=crops", "pool=crops is not one of garment, crop"),
    ("frozen", "negatives=hard", "negatives=hard is not one of random, semi_hard, batch_hard"),
    ("frozen", "monitor=hit@10", "monitor=hit@10 is not one of hit@1, hit@5, nDCG@5"),
    ("frozen", "network=ours", "network=ours is not one of parts, joined"),
    ("quick", "weights=deep:.5", "weights are of deep, and the parts are deep and detail"),
    ("finetune", "network=joined", "weights are of deep and detail, and the parts are both"),
    ("quick", "weights=deep:3,detail:7", "weights are 0 or more and add up to 1"),
    ("quick", "weights=deep:1.5,detail:-.5", "weights are 0 or more and add up to 1"),
    ("frozen", "lr=nan", r"lr=nan is not in \(0, 10\]"),
    ("frozen", "seed=-1", r"seed=-1 is not in \[0, 4,294,967,295\]"),
    ("frozen", "unfreeze_blocks=-1", r"unfreeze_blocks=-1 is not in \[0, 100\]"),
    ("frozen", "hard_negatives=127", r"hard_negatives=127 is above products - 2"),
    ("frozen", "logit_scale=60", "logit_scale=60 is above max_logit_scale=50"),
    ("quick", "nuisance_weight=-1", r"nuisance_weight=-1.0 is not in \[0, 1,000\]"),
    ("quick", "single_category_batches=1", "'single_category_batches=1': single_category_batches is like False"),
    ("wise-ft", "lora_rank=8", "wise_ft mixes weights, and would mix the two factors of an adapter apart"),
    ("lora", "wise_ft=0.3", "leave it or lora_rank away"),
    ("published-both", "color_constancy=yes", "both is published as it is"),
]


@pytest.mark.parametrize(("recipe", "setting", "says"), WRONG, ids=[setting for _, setting, _ in WRONG])
def test_a_setting_that_means_nothing_is_refused_with_what_would(recipe, setting, says):
    with pytest.raises(BadRequest, match=says):
        named(recipe, dict([changed(setting)]))


NUMBERS = [one.name for one in fields(Recipe) if one.type in (int, float)]


def test_every_number_has_a_range_and_every_range_is_of_a_number():
    assert set(RANGES) == set(NUMBERS)


@pytest.mark.parametrize("setting", NUMBERS)
def test_a_number_outside_its_range_is_refused_with_the_range(setting):
    within, kind = RANGES[setting], type(getattr(Recipe(), setting))
    beyond = [math.inf, -math.inf, math.nan] if kind is float else []
    for value in (kind(within.least - 1), kind(within.most + 1), *beyond):
        with pytest.raises(BadRequest, match=f"{setting}=.* is not in {re.escape(str(within))}"):
            named("finetune", {setting: value})


def test_a_range_leaves_out_the_end_that_it_names():
    assert 0.0 not in RANGES["lr"]
    assert 10.0 in RANGES["lr"]
    assert 0.0 in RANGES["dropout"]
    assert 1.0 not in RANGES["dropout"]
    assert 1.0 in RANGES["warmup"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"image_size": 240}, r"image_size=240 is no multiple of 96.*pool=crop"),
        (
            {"unfreeze_blocks": 9},
            r"unfreeze_blocks=9 would train blocks that the foreground head .*unfreeze_blocks=8 or less",
        ),
        ({"unfreeze_blocks": 16}, r"unfreeze_blocks=16 would train blocks that the foreground head is computed from"),
        ({"dim": 1024}, r"no 1024 directions in the 793 features of detail.*dim=793 or less"),
        (
            {"backbone": "vit_tiny_patch16_224", "unfreeze_blocks": 2},
            r"vit_tiny_patch16_224 is trained as a whole or not at all",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_with_what_can(settings, says):
    with pytest.raises(BadRun, match=says):
        build.build(named("quick", settings), empty=True)


@pytest.mark.parametrize("init", ["lda", "random"])
def test_weights_that_are_given_are_those_of_the_parts_from_the_start(init):
    network = build.build(named("quick", {"weights": (("deep", 0.2), ("detail", 0.8)), "init": init}), empty=True)
    assert isinstance(network, Network)
    assert [(part.name, part.weight) for part in network.parts] == [("deep", 0.2), ("detail", 0.8)]
