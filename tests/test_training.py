"""Training teaches products never seen, survives being killed, and says what is wrong."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from osoroi.encoder import Encoder
from osoroi.errors import BadRun
from osoroi.recipe import Recipe
from osoroi.recipes import named
from osoroi.training import checkpoint, dataset, loop, run, validation
from osoroi.training.distributed import Launch
from osoroi.training.selection import select
from pairs import TINY, Drawn, tiny_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chosen():
    return [select([Drawn(54)], split) for split in ("train", "val")]


def prepared(chosen, recipe, folder):
    network = tiny_network(recipe)
    pairs, held = (
        dataset.load_pairs(each, network, recipe, folder / name, augmented=name == "train")
        for each, name in zip(chosen, ("train", "val"), strict=True)
    )
    return network, pairs, held


@pytest.fixture(scope="module")
def frozen(chosen, tmp_path_factory):
    return prepared(chosen, TINY, tmp_path_factory.mktemp("frozen"))[1:]


def test_training_teaches_products_never_seen(frozen, tmp_path):
    pairs, held = frozen
    network = tiny_network()
    before = mean_rank(network, held)
    found = loop.train(network, pairs, held, replace(TINY, epochs=20), tmp_path)
    assert mean_rank(network, held) < 0.7 * before
    assert found["nDCG@5"] == pytest.approx(validation.metrics(network, held, CPU)["nDCG@5"])


def mean_rank(network, held):
    sides = validation.embed(network, held, CPU)
    scores = validation.score_all(sides, network.parts)
    return validation.ranks_of_products(scores, sides.street_product, sides.shop_product).mean()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "triplet"},
        {"loss": "triplet", "negatives": "batch_hard"},
        {"loss": "multi_similarity"},
        {"network": "joined"},
        {"network": "joined", "head_layers": 2},
    ],
)
def test_every_loss_lowers_itself(frozen, tmp_path, changes):
    recipe = replace(TINY, epochs=5, dropout=0.0, **changes)
    loop.train(tiny_network(recipe), frozen[0], frozen[1], recipe, tmp_path)
    losses = [line["loss"] for line in json.loads((tmp_path / "metrics.json").read_text()) if line["loss"] is not None]
    assert len(losses) == 5
    assert losses[-1] < losses[0]


def test_the_shallow_convolutions_learn_and_are_kept(chosen, tmp_path):
    recipe = replace(TINY, epochs=3, shallow=True)
    network, pairs, held = prepared(chosen, recipe, tmp_path)
    before = {name: value.clone() for name, value in network.shallow.state_dict().items()}
    loop.train(network, pairs, held, recipe, tmp_path)
    kept = checkpoint.weights(checkpoint.read(tmp_path / "last.safetensors"))
    for name in ("0.conv.weight", "1.conv.weight", "0.norm.running_mean", "1.norm.weight"):
        assert not torch.equal(kept[f"network.shallow.{name}"], before[name]), name


class Killed(BaseException):
    pass


@pytest.mark.parametrize("unfreeze_blocks", [0, 2])
@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_run_killed_at_any_step_and_resumed_ends_with_the_same_weights(chosen, tmp_path, unfreeze_blocks, after):
    recipe = replace(TINY, epochs=2, unfreeze_blocks=unfreeze_blocks)
    whole, pairs, held = prepared(chosen, recipe, tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = loop.train(whole, pairs, held, recipe, tmp_path / "a")
    steps = []

    def kill(step):
        steps.append(step)
        if len(steps) == after:
            raise Killed

    with pytest.raises(Killed):
        loop.train(
            tiny_network(recipe),
            pairs,
            held,
            recipe,
            tmp_path / "b",
            on=Launch(save_every_s=0.0),
            watch=loop.Watch(kill),
        )
    torch.randn(3)  # the world goes on
    network = tiny_network(recipe)
    again = loop.train(network, pairs, held, recipe, tmp_path / "b", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert again == first
    for name in ("metrics.csv", "last.safetensors", "best.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_only_the_blocks_above_the_cut_learn(chosen, tmp_path):
    recipe = replace(TINY, epochs=1, unfreeze_blocks=2)
    network, pairs, held = prepared(chosen, recipe, tmp_path)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loop.train(network, pairs, held, replace(recipe, monitor="hit@1"), tmp_path)
    last = checkpoint.weights(checkpoint.read(tmp_path / "last.safetensors"))
    changed = {name for name, value in before.items() if not torch.equal(value, last["network." + name])}
    assert "extractor.backbone.steps.1.weight" in changed
    assert "extractor.backbone.end.weight" in changed
    assert not {name for name in changed if "steps.0" in name or "centre" in name}


def test_the_best_epoch_is_kept_and_all_are_written_down(frozen, tmp_path):
    recipe = replace(TINY, epochs=4)
    network = tiny_network()
    found = loop.train(network, frozen[0], frozen[1], recipe, tmp_path)
    with (tmp_path / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["epoch"]) for line in lines] == [0, 1, 2, 3, 4]
    assert lines[0]["loss"] == ""
    assert found["nDCG@5"] == max(float(line["nDCG@5"]) for line in lines)
    assert json.loads((tmp_path / "metrics.json").read_text())[-1]["epoch"] == 4


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_state(frozen, tmp_path):
    pairs, held = frozen

    def spoilt(rows, epoch):
        deep, detail = pairs.load(rows, epoch)
        return deep * (np.nan if epoch == 1 else 1), detail

    with pytest.raises(BadRun, match=r"the loss is nan at step 0 of epoch 1.*lower lr"):
        loop.train(tiny_network(), replace(pairs, load=spoilt), held, TINY, tmp_path)
    network = tiny_network()
    loop.train(network, pairs, held, TINY, tmp_path, resume=True)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_weights_that_blow_up_in_a_step_are_neither_kept_nor_called_the_best(frozen, tmp_path):
    recipe = replace(TINY, epochs=60, products=128, lr=10.0, weight_decay=10.0, warmup=0.0)  # an epoch of one step
    with pytest.raises(BadRun, match=r"last.safetensors holds the last good state.*lower lr"):
        loop.train(tiny_network(recipe), frozen[0], frozen[1], recipe, tmp_path)
    for name in ("last.safetensors", "best.safetensors"):
        kept = checkpoint.weights(checkpoint.read(tmp_path / name))
        assert all(torch.isfinite(value).all() for value in kept.values()), name
    lines = json.loads((tmp_path / "metrics.json").read_text())
    assert all(line["nDCG@5"] <= 1 for line in lines)


def test_scores_that_are_no_numbers_rank_last():
    scores = np.array([[np.nan, np.nan, np.nan]], np.float32)
    assert validation.ranks_of_products(scores, np.array([1]), np.array([0, 1, 2])).tolist() == [3.0]


def test_resuming_with_another_recipe_is_refused(frozen, tmp_path):
    recipe = replace(TINY, epochs=1)
    loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path)
    with pytest.raises(BadRun, match="another recipe"):
        loop.train(tiny_network(), frozen[0], frozen[1], replace(recipe, lr=1.0), tmp_path, resume=True)


def test_a_run_that_an_older_package_began_is_resumed_with_the_defaults_of_settings_that_came_later(frozen, tmp_path):
    recipe = replace(TINY, epochs=1)
    before = loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path)
    last = checkpoint.read(tmp_path / loop.LAST)
    del last.state["recipe"]["mined_neighbors"]
    checkpoint.write(tmp_path / loop.LAST, last)
    assert loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path, resume=True) == before
    last.state["recipe"]["gone"] = 3
    checkpoint.write(tmp_path / loop.LAST, last)
    with pytest.raises(BadRun, match="another recipe"):
        loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path, resume=True)


EARLIER = (
    "Recipe(network='parts', backbone='efficientnet_lite0', unfreeze_blocks=2, lora_rank=0, pool='garment', "
    "image_size=96, box_margin=0.05, dim=8, head_layers=1, normalize_output=True, shallow=False, "
    "color_constancy=False, weights=(('deep', 0.4), ('detail', 0.6)), served_weights=(), kind_weight=0.0, "
    "init='random', shrinkage=0.3, nuisance_weight=0.0, refit=False, lda_datasets=0, folds=2, seed=0, category='', "
    "views=1, shop_views=1, products=12, rows=1, hard_negatives=0, mined_neighbors=0, single_category_batches=False, "
    "epochs=2, loss='info_nce', negatives='semi_hard', triplet_margin=0.2, part_loss_weight=0.5, "
    "deep_ignores_color=False, teacher_weight=1.0, teacher_scale=20.0, logit_scale=14.285714285714285, "
    "max_logit_scale=50.0, lr=0.003, backbone_lr=0.0004, weight_decay=0.05, l2_sp=0.0, wise_ft=0.0, dropout=0.1, "
    "warmup=0.05, grad_clip=1.0, grad_cache_rows=0, accumulate_batches=1, precision='auto', ema_decay=0.0, "
    "patience=0, monitor='nDCG@5', keep_epoch='last', name='tiny')"
)
"""The recipe in the checkpoint of a run that the code of commit 51a5c23 began: JSON holds its text."""


def begun_earlier(chosen, folder, text):
    """A recipe, its data, and a folder in which the first step was killed and the checkpoint has a recipe as text."""
    recipe = replace(TINY, epochs=2, unfreeze_blocks=2, weights=(("deep", 0.4), ("detail", 0.6)), keep_epoch="last")
    network, pairs, held = prepared(chosen, recipe, folder)
    steps = []

    def kill(step):
        steps.append(step)
        if len(steps) == 2:
            raise Killed

    with pytest.raises(Killed):
        loop.train(network, pairs, held, recipe, folder, on=Launch(save_every_s=0.0), watch=loop.Watch(kill))
    last = checkpoint.read(folder / loop.LAST)
    last.state["recipe"] = text
    checkpoint.write(folder / loop.LAST, last)
    return recipe, pairs, held


@pytest.mark.parametrize("text", [EARLIER, EARLIER.replace(" l2_sp=0.0, wise_ft=0.0,", "")])
def test_a_run_whose_checkpoint_has_its_recipe_as_text_goes_on_to_the_same_weights(chosen, tmp_path, text):
    (tmp_path / "whole").mkdir()
    recipe, pairs, held = begun_earlier(chosen, tmp_path, text)
    whole, network = tiny_network(recipe), tiny_network(recipe)
    assert loop.train(whole, pairs, held, recipe, tmp_path / "whole") == loop.train(
        network, pairs, held, recipe, tmp_path, resume=True
    )
    learned, begun = whole.state_dict(), tiny_network(recipe).state_dict()
    assert not torch.equal(learned["heads.deep.linear.weight"], begun["heads.deep.linear.weight"])
    for name, value in learned.items():
        assert torch.equal(value, network.state_dict()[name]), name


@pytest.mark.parametrize(
    "text",
    [
        EARLIER.replace("lr=0.003", "lr=0.004"),
        EARLIER.replace("seed=0", "gone=3"),
        EARLIER.replace("seed=0", "seed=int('0')"),
        EARLIER.replace("Recipe", "print"),
        EARLIER[:-1],
        "(" * 9999,
        "",
    ],
)
def test_a_text_that_is_another_recipe_or_none_is_not_taken_for_the_same(text):
    """Where this differs from the run's recipe, resuming is refused."""
    begun, other = (loop.stored_recipe(checkpoint.Checkpoint({}, {"recipe": one})) for one in (EARLIER, text))
    assert isinstance(begun, Recipe)
    assert other != begun


@pytest.mark.parametrize("lost", ["groups", "epoch", "history", "optimizer.0.step", "random.cpu", "recipe"])
def test_a_checkpoint_that_lacks_something_is_refused(frozen, tmp_path, lost):
    recipe = replace(TINY, epochs=1)
    loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path)
    before = checkpoint.read(tmp_path / loop.LAST)
    for one in (before.tensors, before.state):
        one.pop(lost, None)
    checkpoint.write(tmp_path / loop.LAST, before)
    with pytest.raises(BadRun, match=r"lacks what training goes on from|was begun with another recipe"):
        loop.train(tiny_network(), frozen[0], frozen[1], recipe, tmp_path, resume=True)


def test_resuming_with_another_trunk_is_refused(chosen, tmp_path):
    network, pairs, held = prepared(chosen, TINY, tmp_path)
    loop.train(network, pairs, held, TINY, tmp_path)
    other = tiny_network()
    with torch.no_grad():
        next(other.extractor.parameters()).add_(1.0)
    with pytest.raises(BadRun, match=r"other frozen weights.*extractor.*another `out`"):
        loop.train(other, pairs, held, TINY, tmp_path, resume=True)


def test_too_little_memory_is_said_with_what_to_change(frozen, tmp_path):
    pairs, held = frozen

    def greedy(rows, epoch):
        raise MemoryError if len(rows) < len(held.product) else pairs.load(rows, epoch)

    with pytest.raises(BadRun, match="too little memory for batches of 12 products"):
        loop.train(tiny_network(), replace(pairs, load=greedy), held, TINY, tmp_path)


@pytest.mark.parametrize("says", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory. Tried", "shape"])
def test_torchs_own_words_for_too_little_memory_are_known_and_others_are_left_alone(says):
    with (
        pytest.raises(RuntimeError if says == "shape" else BadRun, match="shape" if says == "shape" else "too little"),
        loop.memory_errors(TINY),
    ):
        raise RuntimeError(says)


def test_progress_counts_steps_and_time_left_to_nothing(frozen, tmp_path):
    said: list[loop.Step] = []
    loop.train(tiny_network(), frozen[0], frozen[1], replace(TINY, epochs=2), tmp_path, watch=loop.Watch(said.append))
    assert [(one.epoch, one.step) for one in said] == [
        (epoch, step + 1) for epoch in range(2) for step in range(said[0].steps)
    ]
    assert said[-1].left_s == 0
    assert said[0].left_s > 0


def test_a_run_names_the_data_of_the_run_it_began_with(tmp_path: Path) -> None:
    """An encoder states what it learned from, because that decides who may use it."""
    first, second = tmp_path / "first", tmp_path / "second"
    backbone = str(first / "best.safetensors")
    for folder, datasets, begins in ((first, ("a", "b"), None), (second, ("c", "a"), backbone)):
        folder.mkdir()
        config = run.RunConfig(datasets, named("quick"), backbone=begins)
        (folder / run.CONFIG).write_text(json.dumps(asdict(config)), encoding="utf-8")
    assert run.datasets_of(second) == ("c", "a", "b")
    (first / run.CONFIG).unlink()
    assert run.datasets_of(second) == ("c", "a")


def test_a_run_that_begins_with_the_encoder_that_ships_names_its_data_too(tmp_path: Path) -> None:
    config = run.RunConfig(("a",), named("quick"), backbone="default")
    (tmp_path / run.CONFIG).write_text(json.dumps(asdict(config)), encoding="utf-8")
    assert run.datasets_of(tmp_path) == ("a", Encoder.open().metadata.training)
