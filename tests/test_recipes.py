"""Settings that cannot be followed are refused before a photo is looked at, with what is allowed."""

import pytest

from osoroi.errors import BadRequest, BadRun
from osoroi.model import build
from osoroi.recipe import changed, named

WRONG = [
    ("frozen", "loss=infonce", "loss=infonce is not one of info_nce, triplet"),
    ("frozen", "start=close", "start=close is not one of closed, random"),
    ("frozen", "pool=crops", "pool=crops is not one of garment, crop"),
    ("frozen", "negatives=hard", "negatives=hard is not one of random, semi_hard, batch_hard"),
    ("frozen", "best=hit@10", "best=hit@10 is not one of hit@1, hit@5, nDCG@5"),
    ("frozen", "network=ours", "network=ours is not one of parts, joined"),
    ("quick", "weights=deep:.5", "weights are of deep, and the parts are deep and detail"),
    ("finetune", "network=joined", "weights are of deep and detail, and the parts are both"),
    ("quick", "weights=deep:3,detail:7", "weights are 0 or more and add up to 1"),
    ("quick", "weights=deep:1.5,detail:-.5", "weights are 0 or more and add up to 1"),
    ("frozen", "lr=nan", "lr=nan is no number"),
    ("frozen", "seed=-1", "seed=-1 is negative"),
    ("frozen", "tuned=-1", "tuned=-1 is negative"),
    ("frozen", "siblings=127", r"siblings=127 is not in \[0, products - 2\]"),
    ("frozen", "scale=60", "scale=60 is above ceiling=50"),
    ("quick", "blind=-1", "blind=-1.0 is negative"),
    ("quick", "pure=1", "'pure=1': pure is like False"),
    ("published-both", "constancy=yes", "both is published as it is"),
]


@pytest.mark.parametrize(("recipe", "setting", "says"), WRONG, ids=[setting for _, setting, _ in WRONG])
def test_a_setting_that_means_nothing_is_refused_with_what_would(recipe, setting, says):
    with pytest.raises(BadRequest, match=says):
        named(recipe, dict([changed(setting)]))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"side": 240}, r"side=240 is no multiple of 96.*pool=crop"),
        ({"tuned": 9}, r"tuned=9 would teach blocks that the probe looks at.*tuned=8 or less"),
        ({"tuned": 16}, r"tuned=16 would teach blocks that the probe looks at"),
        ({"size": 1024}, r"no 1024 directions in the 793 features of detail.*size=793 or less"),
        ({"trunk": "vit_tiny_patch16_224", "tuned": 2}, r"vit_tiny_patch16_224 learns as a whole or not at all"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_with_what_can(settings, says):
    with pytest.raises(BadRun, match=says):
        build.build(named("quick", settings), empty=True)


@pytest.mark.parametrize("start", ["closed", "random"])
def test_weights_that_are_given_are_those_of_the_parts_from_the_start(start):
    network = build.build(named("quick", {"weights": (("deep", 0.2), ("detail", 0.8)), "start": start}), empty=True)
    assert [(part.name, part.weight) for part in network.parts] == [("deep", 0.2), ("detail", 0.8)]
