"""The optimiser's groups: what decays, what learns at which rate; and that the loop uses them and clips gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osoroi.recipe import OptimizerSettings
from osoroi.training import loop, sampling
from osoroi.training.learner import Learner
from osoroi.training.optimizer import lr_factor, parameter_groups
from osoroi.training.sampling import Pairs
from pairs import TINY, tiny_network

SETTINGS = OptimizerSettings(lr=3e-3, backbone_lr=1e-4, weight_decay=0.1)


def learner(**changes):
    recipe = replace(TINY, unfreeze_blocks=2, **changes)
    return Learner(tiny_network(recipe), recipe)


def settings_by_name(model, settings=SETTINGS):
    groups = parameter_groups(model.named_parameters(), settings)
    by_id = {id(one): (group["lr"], group["weight_decay"]) for group in groups for one in group["params"]}
    return {name: by_id.get(id(one)) for name, one in model.named_parameters()}


def test_matrices_and_kernels_decay_and_biases_and_scales_do_not():
    found = settings_by_name(learner())
    assert found["network.heads.deep.linear.weight"] == (3e-3, 0.1)
    assert found["network.heads.deep.linear.bias"] == (3e-3, 0.0)
    assert found["log_scales"] == (3e-3, 0.0)
    assert found["network.extractor.backbone.steps.2.weight"] == (1e-4, 0.1)
    assert found["network.extractor.backbone.steps.2.bias"] == (1e-4, 0.0)


def test_frozen_parameters_are_in_no_group():
    found = settings_by_name(learner())
    assert found["network.extractor.backbone.steps.0.weight"] is None
    assert {name.rpartition(".")[0] for name, own in found.items() if own is None} == {
        "network.extractor.backbone.steps.0"
    }


def pairs_of_random_features(products=12, recipe=TINY, contrast=256):
    """One street and one shop row of each product, of what the network's frozen half gives of noise.

    The vectors of noise alone are nearly the same; noise of less contrast has a colour of its own in each row.
    """
    dice = np.random.default_rng(3)
    noise = dice.integers(0, contrast, (2 * products, 96, 96, 3))
    pixels = (noise + dice.integers(0, 257 - contrast, (2 * products, 1, 1, 3))).astype(np.uint8)
    with torch.no_grad():
        below = tiny_network(recipe).below(torch.from_numpy(pixels))
    return Pairs(
        lambda rows, epoch: tuple(one[rows] for one in below),
        np.repeat(np.arange(products), 2),
        np.tile([True, False], products),
        np.zeros(2 * products, np.int64),
        np.full(products, -1),
        np.full(products, -1),
        np.zeros(products, np.int64),
    )


def state_of(folder, **changes):
    recipe = replace(TINY, unfreeze_blocks=2, dropout=0.0, warmup=0.0, epochs=4, **changes)
    pairs = pairs_of_random_features(recipe=recipe)
    return loop.RunState(folder, Learner(tiny_network(recipe), recipe), recipe, pairs, pairs, torch.device("cpu"))


def step(state):
    """One step; by how much each parameter moved, at most."""
    before = {name: one.detach().clone() for name, one in state.learner.named_parameters()}
    state.learner.train()
    loop.train_step(state, sampling.load(state.pairs, sampling.plan(state.pairs, state.recipe, 0)[0], 0))
    return {name: float((one.detach() - before[name]).abs().max()) for name, one in state.learner.named_parameters()}


def test_a_step_moves_the_backbone_at_its_own_rate(tmp_path):
    """The first step of AdamW moves every parameter by its rate, whatever the gradient."""
    moved = step(state_of(tmp_path, lr=1e-2, backbone_lr=1e-4, weight_decay=0.0))
    assert moved["network.heads.deep.linear.weight"] == pytest.approx(1e-2, rel=0.05)
    assert moved["network.extractor.backbone.steps.2.weight"] == pytest.approx(1e-4, rel=0.05)
    assert moved["network.extractor.backbone.steps.0.weight"] == 0


def test_a_step_clips_the_gradient_to_its_norm(tmp_path):
    state = state_of(tmp_path, grad_clip=1e-3)
    step(state)
    norm = torch.stack([one.grad.norm() for one in state.learner.parameters() if one.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)
    unclipped = state_of(tmp_path, grad_clip=1e3)
    step(unclipped)
    grads = [one.grad.norm() for one in unclipped.learner.parameters() if one.grad is not None]
    assert 1e-2 < float(torch.stack(grads).norm()) < 1e3


def test_the_logit_scale_of_the_loss_has_a_ceiling():
    """With a scale far above the ceiling the loss is that at the ceiling, and has no gradient for the scale."""
    pairs = pairs_of_random_features(recipe=replace(TINY, unfreeze_blocks=2))
    batch = sampling.load(pairs, sampling.plan(pairs, TINY, 0)[0], 0)
    losses = []
    for scale in (20.0, 500.0):
        model = learner(max_logit_scale=20.0, logit_scale=10.0).eval()
        torch.nn.init.constant_(model.log_scales, float(np.log(scale)))
        loss = model.loss(model.embed(batch.images, batch.product), batch, torch.Generator())
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert not model.log_scales.grad.any()


def test_every_term_of_the_loss_has_a_scale_of_its_own():
    pairs = pairs_of_random_features(recipe=replace(TINY, unfreeze_blocks=2))
    batch = sampling.load(pairs, sampling.plan(pairs, TINY, 0)[0], 0)
    model = learner(max_logit_scale=50.0).eval()
    model.loss(model.embed(batch.images, batch.product), batch, torch.Generator()).backward()
    assert model.log_scales.shape == (3,)
    assert (model.log_scales.grad != 0).all()


def test_the_rate_rises_then_falls_to_nothing():
    rates = [lr_factor(step, 100, 0.1) for step in range(100)]
    assert rates[9] < rates[10] == 1
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001
