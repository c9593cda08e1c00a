"""``deep`` that learns no colors: in its own loss, products of one design are one product."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osoroi.training import losses, sampling
from osoroi.training.learner import Learner
from pairs import TINY, tiny_network
from test_sampling import pairs_of

RECIPE = replace(TINY, products=6)
DESIGN = np.array([4, 4, 2, -1, -1, 2])


def test_rows_of_a_batch_know_their_design_and_products_without_one_stand_alone():
    batch = sampling.load(pairs_of(6, street=1, shop=1, design=DESIGN), np.arange(12), 0)
    assert batch.product.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert batch.design.tolist() == [4, 4, 4, 4, 2, 2, -4, -4, -5, -5, 2, 2]


@pytest.mark.parametrize("ignores", [False, True])
def test_another_color_is_a_positive_in_the_loss_of_deep_alone(ignores):
    recipe = replace(RECIPE, deep_ignores_color=ignores)
    learner = Learner(tiny_network(recipe), recipe)
    batch = sampling.load(pairs_of(6, street=1, shop=1, design=DESIGN), np.arange(12), 0)
    vectors = torch.randn(12, 16, generator=torch.Generator().manual_seed(3))
    vectors = torch.cat([torch.nn.functional.normalize(half, dim=1) for half in vectors.split(8, 1)], 1)
    street, shop = vectors[batch.is_street], vectors[~batch.is_street]
    own, design = torch.eye(6, dtype=torch.bool), torch.eye(6, dtype=torch.bool)
    design[[0, 1, 2, 5], [1, 0, 5, 2]] = True
    scale = torch.tensor(recipe.logit_scale)
    expected = losses.info_nce(street / 2**0.5, shop / 2**0.5, own, scale)  # both parts weigh a half
    expected += 0.5 * losses.info_nce(street[:, :8], shop[:, :8], design if ignores else own, scale)
    expected += 0.5 * losses.info_nce(street[:, 8:], shop[:, 8:], own, scale)
    assert learner.pair_loss(vectors, batch, torch.Generator()).item() == pytest.approx(expected.item(), rel=1e-5)
