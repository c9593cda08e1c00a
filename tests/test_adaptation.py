"""A backbone that is trained a little: adapters, and weights that stay near those it started with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from osoroi.errors import BadRequest
from osoroi.model import lora
from osoroi.recipe import Recipe
from osoroi.recipes import named
from osoroi.training import loop
from osoroi.training.optimizer import StartWeights
from pairs import TINY, linear_of, tiny_network
from test_optimizer import pairs_of_random_features

RECIPE = replace(TINY, unfreeze_blocks=2, dropout=0.0, epochs=4, backbone_lr=3e-2, precision="float32")


def mixed_layers():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 7, 1), nn.Flatten(), nn.Linear(28, 4))


def test_an_adapter_starts_as_nothing_and_is_folded_into_the_weight():
    network, images = mixed_layers(), torch.randn(2, 3, 4, 4)
    before, weight = network(images), network[3].weight.detach().clone()
    assert lora.adapt(network, 2) == 2  # not the convolution of 3 x 3
    assert torch.equal(network(images), before)
    adapter = network[3].parametrizations.weight[0]
    with torch.no_grad():
        adapter.second.copy_(torch.arange(8.0).view(4, 2))
    product = torch.arange(8.0).view(4, 2) @ adapter.first.detach()
    adapted = network(images)
    lora.fold(network)
    assert torch.allclose(network[3].weight, weight + product)
    assert torch.allclose(network(images), adapted, atol=1e-5)
    assert set(network.state_dict()) == set(mixed_layers().state_dict())


def test_a_frozen_layer_gets_no_adapter_and_only_adapters_are_trained():
    network = mixed_layers()
    network[1].requires_grad_(False)
    assert lora.adapt(network, 2) == 1
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    assert trained == {"3.parametrizations.weight.0.first", "3.parametrizations.weight.0.second"}


def trained(folder, **changes):
    """The network before and after a run on noise, as state dicts."""
    recipe = replace(RECIPE, **changes)
    network = tiny_network(recipe)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    pairs = pairs_of_random_features(recipe=recipe)
    loop.train(network, pairs, pairs, replace(recipe, keep_epoch="last"), folder)
    return before, network.state_dict()


def distance(before, after, where):
    return sum(float((before[name] - after[name]).square().sum()) for name in before if where in name) ** 0.5


def test_training_moves_adapters_and_heads_alone(tmp_path):
    before, after = trained(tmp_path, lora_rank=2)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "extractor.backbone.end.parametrizations.weight.0.second" in changed
    assert all("parametrizations.weight.0" in name or name.startswith("heads.") for name in changed)


def test_the_weight_of_the_distance_holds_the_backbone_near_its_start(tmp_path):
    far, near = (
        distance(before, after, "backbone.")
        for name, changes in (("far", {}), ("near", {"l2_sp": 20.0}))
        for before, after in [trained(tmp_path / name, **changes)]
    )
    assert 0 < near < 0.5 * far


def test_a_pull_is_a_step_along_the_gradient_of_the_distance():
    network = tiny_network(RECIPE)
    start = StartWeights(network, replace(RECIPE, l2_sp=2.0, backbone_lr=0.05))
    end = network.extractor.backbone.end
    assert isinstance(end, nn.Conv2d)
    weight, head = end.weight, linear_of(network, "deep").weight
    origin, bias = weight.detach().clone(), head.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
        head.add_(1.0)
    start.pull(network, factor=0.5)
    assert torch.allclose(weight, origin + 1 - 0.5 * 0.05 * 2.0)
    assert torch.allclose(head, bias + 1)  # heads go where they want


def test_the_end_is_mixed_with_the_start(tmp_path):
    before, after = trained(tmp_path / "plain")
    _, mixed = trained(tmp_path / "mixed", wise_ft=0.25)
    for name in ("extractor.backbone.end.weight", "heads.deep.linear.weight"):
        assert torch.allclose(mixed[name], 0.75 * after[name] + 0.25 * before[name], atol=1e-6)


@pytest.mark.parametrize("name", ["lora", "finetune-l2", "wise-ft"])
def test_the_recipes_differ_from_finetune_in_how_far_they_go(name):
    recipe, plain = named(name), named("finetune")
    assert (recipe.lora_rank, recipe.l2_sp, recipe.wise_ft) != (plain.lora_rank, plain.l2_sp, plain.wise_ft)
    assert replace(recipe, name="", lora_rank=0, l2_sp=0.0, wise_ft=0.0, backbone_lr=0.1) == replace(
        plain, name="", backbone_lr=0.1
    )


@pytest.mark.parametrize(
    "changes",
    [{"lora_rank": 4}, {"l2_sp": 1.0, "epochs": 2}, {"wise_ft": 0.5}, {"wise_ft": 1.0, "epochs": 2}],
    ids=str,
)
def test_settings_that_would_do_nothing_are_refused(changes):
    with pytest.raises(BadRequest, match=next(iter(changes))):
        Recipe(**changes)


def test_a_run_with_adapters_resumes_to_the_same_weights(tmp_path):
    recipe = replace(RECIPE, lora_rank=2, l2_sp=1.0, keep_epoch="last")
    _, whole = trained(tmp_path / "whole", lora_rank=2, l2_sp=1.0)
    pairs = pairs_of_random_features(recipe=recipe)

    class Killed(Exception):
        pass

    def kill(step):
        if step.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        loop.train(tiny_network(recipe), pairs, pairs, recipe, tmp_path / "killed", watch=loop.Watch(kill))
    again = tiny_network(recipe)
    loop.train(again, pairs, pairs, recipe, tmp_path / "killed", resume=True)
    for name, one in again.state_dict().items():
        assert np.array_equal(one.numpy(), whole[name].numpy()), name
