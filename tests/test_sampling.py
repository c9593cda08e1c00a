"""Batches: what they hold, that all comes once, and that an epoch can be entered in its middle."""

import numpy as np
import pytest
import torch

from osoroi.errors import BadRun
from osoroi.recipe import Recipe
from osoroi.training import sampling
from osoroi.training.sampling import Pairs


def pairs_of(products=23, street=3, shop=2, design=None, category=None, dataset=None):
    owner = np.repeat(np.arange(products), street + shop)
    is_street = np.tile([True] * street + [False] * shop, products)
    return Pairs(
        lambda rows, epoch: (torch.from_numpy(rows.astype(np.float32)), torch.full((len(rows),), epoch)),
        owner,
        is_street,
        np.tile([*range(street), *range(shop)], products),
        np.full(products, -1) if design is None else design,
        np.full(products, -1) if category is None else category,
        np.zeros(products, np.int64) if dataset is None else dataset,
    )


def test_a_batch_has_its_street_rows_first_then_the_shop_rows_of_the_same_products():
    pairs = pairs_of()
    for batch in sampling.batches(pairs, Recipe(products=8, rows=2), epoch=4):
        half = len(batch.product) // 2
        assert batch.is_street.tolist() == [True] * half + [False] * half
        assert batch.product[:half].tolist() == batch.product[half:].tolist()
        rows = batch.images[0].long().numpy()
        assert pairs.product[rows].tolist() == batch.product.tolist()
        assert len(set(rows.tolist())) == len(rows), "a row came twice although there are enough"
        assert set(batch.images[1].tolist()) == {4}, "the epoch is told to what draws views"


def test_every_product_comes_once_an_epoch_in_batches_of_nearly_one_size():
    plan = sampling.plan(pairs_of(23), Recipe(products=8), epoch=0)
    assert sorted(len(rows) for rows in plan) == [14, 16, 16]
    products = np.concatenate([pairs_of(23).product[rows[: len(rows) // 2]] for rows in plan])
    assert sorted(products) == list(range(23))


def test_every_view_of_a_product_comes_as_often():
    pairs = pairs_of(40)
    rows = np.concatenate([np.concatenate(sampling.plan(pairs, Recipe(products=8), epoch)) for epoch in range(150)])
    views = np.bincount(pairs.view[rows][pairs.is_street[rows]])
    assert views.sum() == 40 * 150
    assert np.abs(views - 2000).max() < 4 * (6000 * (1 / 3) * (2 / 3)) ** 0.5, "four deviations of a fair draw"


def test_epochs_and_seeds_differ_and_each_is_the_same_again():
    first, second, other = (
        [rows.tolist() for rows in sampling.plan(pairs_of(), Recipe(products=8, seed=seed), epoch)]
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    )
    assert first == [rows.tolist() for rows in sampling.plan(pairs_of(), Recipe(products=8), 0)]
    assert first != second
    assert first != other


@pytest.mark.parametrize("workers", [1, 3])
def test_an_epoch_entered_in_its_middle_goes_on_with_the_same_batches(workers):
    recipe = Recipe(products=4)
    whole = [batch.images[0].tolist() for batch in sampling.batches(pairs_of(), recipe, 2, workers=workers)]
    assert whole == [rows.tolist() for rows in sampling.plan(pairs_of(), recipe, 2)]
    assert [batch.images[0].tolist() for batch in sampling.batches(pairs_of(), recipe, 2, skip=4)] == whole[4:]


def test_pure_batches_hold_one_category_and_leave_no_product_of_a_category_out():
    category = np.array([0] * 9 + [1] * 2 + [2] * 12)
    pairs = pairs_of(23, category=category)
    plan = sampling.plan(pairs, Recipe(products=6, single_category_batches=True), 0)
    assert all(len(set(category[pairs.product[rows]])) == 1 for rows in plan)
    assert sorted({int(one) for rows in plan for one in pairs.product[rows]}) == list(range(23))


def test_siblings_of_one_design_come_into_the_batch_as_wrong_answers():
    design = np.where(np.arange(24) < 12, np.arange(24) // 2, -1)  # six designs of two products, twelve of none
    pairs = pairs_of(24, design=design)

    def apart(siblings):
        recipe = Recipe(products=8, hard_negatives=siblings)
        plan = sampling.plan(pairs, recipe, 0)
        batches = [set(pairs.product[rows].tolist()) for rows in plan]
        assert all(len(batch) <= 8 for batch in batches)
        assert set().union(*batches) == set(range(24))
        return sum((one in batch) != (one ^ 1 in batch) for batch in batches for one in range(0, 12, 2))

    assert apart(4) < apart(0)


def test_a_product_with_one_side_alone_is_refused_and_counted():
    pairs = pairs_of(5, street=1, shop=1)
    lonely = Pairs(
        pairs.load, pairs.product[1:], pairs.is_street[1:], pairs.view[1:], pairs.design, pairs.category, pairs.dataset
    )
    with pytest.raises(BadRun, match="1 of 5 products have no street photo"):
        sampling.plan(lonely, Recipe(), 0)


def test_categories_of_one_product_each_give_no_pure_batch():
    with pytest.raises(BadRun, match="no batch of two"):
        sampling.plan(pairs_of(3, category=np.arange(3)), Recipe(single_category_batches=True), 0)


def test_products_without_a_design_are_no_hard_negatives_of_each_other():
    """One design of two products; the ten others have none, and their batches get nobody added."""
    design = np.array([0, 0] + [-1] * 10)
    pairs = pairs_of(12, street=1, shop=1, design=design)
    for epoch in range(20):
        plan = sampling.plan(pairs, Recipe(products=8, hard_negatives=4), epoch)
        products = [pairs.product[rows[: len(rows) // 2]].tolist() for rows in plan]
        assert [len(set(batch)) for batch in products] == [len(batch) for batch in products]
        counts = np.bincount(np.concatenate(products), minlength=12)
        assert (counts[2:] == 1).all(), "a product without a design comes once, and is nobody's hard negative"
        assert set(counts[:2].tolist()) <= {1, 2}


def test_a_batch_holds_products_of_one_dataset():
    dataset = np.array([0] * 9 + [1] * 14)
    pairs = pairs_of(23, dataset=dataset)
    plan = sampling.plan(pairs, Recipe(products=6), 0)
    assert all(len(set(dataset[pairs.product[rows]])) == 1 for rows in plan)
    assert sorted({int(one) for rows in plan for one in pairs.product[rows]}) == list(range(23))


def test_the_first_datasets_alone_keep_their_products_and_rows():
    pairs = pairs_of(7, dataset=np.array([0, 0, 0, 1, 1, 2, 2]))
    first = pairs.of_first_datasets(2)
    assert (len(first), len(first.product)) == (5, 25)
    assert first.load(np.array([24, 0]), 3)[0].tolist() == [24, 0]
    assert first.dataset.tolist() == [0, 0, 0, 1, 1]
    assert len(pairs.of_first_datasets(9)) == 7
