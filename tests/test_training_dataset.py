"""Preparing: which products are learned from, what is kept on disk, and what a worse view is."""

import errno
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from osoroi import files, image
from osoroi.data import splits
from osoroi.errors import BadDataset, BadRun
from osoroi.training import dataset, feature_cache, selection
from osoroi.training import run as runs
from osoroi.training.selection import select
from osoroi.training.view_loader import View, ViewLoader, preprocessing
from pairs import TINY, Drawn, drawn, selecting, tiny_network

FEW = 12


class Rows:
    def __init__(self, rows):
        self.given = rows

    def rows(self):
        return iter(self.given)


def test_products_with_one_side_alone_are_left_out_and_counted():
    rows = drawn(FEW)
    train = [row for row in rows if row.crop.split == "train"]
    name = train[0].product.product_id
    lonely = [row for row in rows if not (row.product.product_id == name and row.crop.domain == "street")]
    chosen = select([Rows(lonely)], "train")
    assert chosen.dropped == 1
    assert len(chosen.products) == len({row.product.product_id for row in train}) - 1


@pytest.mark.parametrize("side", ["street", "shop"])
def test_a_split_without_pairs_says_what_was_there(side):
    rows = [row for row in drawn(FEW) if row.crop.domain == side]
    with pytest.raises(BadDataset, match=r"split 'train' has \d products, 0 of them with a street and a shop photo"):
        select([Rows(rows)], "train")


def test_one_category_alone_can_be_learned_from():
    tops = select([Drawn(54)], "train", category="tops")
    assert {product.category for product in tops.products} == {"tops"}
    assert 1 < len(tops.products) < len(select([Drawn(54)], "train").products)
    with pytest.raises(BadDataset, match="split 'train' of category 'hats' has 0 products"):
        select([Drawn(54)], "train", category="hats")


def test_a_data_set_without_splits_is_dealt_and_designs_stay_together():
    rows = [row._replace(crop=replace(row.crop, split=None)) for row in drawn(54)]
    train, val = (select([Rows(rows)], split) for split in ("train", "val"))
    assert len(train.products) + len(val.products) == 54
    assert len(val.products) < len(train.products)
    assert not {one.design_id for one in train.products} & {one.design_id for one in val.products}


def test_products_held_out_by_itself_are_those_of_nine_to_one():
    rows = [row._replace(crop=replace(row.crop, split=None)) for row in drawn(54)]
    deal = splits.dealer("9:1")
    held = {one.product_id for one in select([Rows(rows)], "val").products}
    assert held == {row.product.product_id for row in rows if deal(row.product) == "val"}


def test_features_are_computed_on_the_device_of_the_network_which_stays_there():
    network = tiny_network()
    run = feature_cache.runner(network, TINY, 10)
    assert run is not None
    crops = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
    outputs = run(crops)
    with torch.inference_mode():
        expected = network.below(torch.from_numpy(crops))
    assert all(np.allclose(one, other.numpy()) for one, other in zip(outputs, expected, strict=True))

    def elsewhere() -> None:
        away = feature_cache.runner(tiny_network().to("meta"), TINY, 10)
        assert away is not None
        away(crops)

    with pytest.raises((NotImplementedError, RuntimeError)):  # numbers of this device cannot be read
        elsewhere()
    assert {one.device.type for one in network.parameters()} == {"cpu"}


def test_a_mistake_in_the_command_leaves_no_run_behind(tmp_path):
    config = runs.RunConfig(("drawn:54",), replace(TINY, backbone="efficientnet_lite0", unfreeze_blocks=9, epochs=1))
    with pytest.raises(BadRun, match="unfreeze_blocks=9"):
        runs.run(config, tmp_path / "run", select=selecting(Drawn(54)))
    assert not (tmp_path / "run").exists()


def test_two_processes_do_not_write_one_run(tmp_path):
    recipe = replace(TINY, epochs=0, init="lda")
    config = runs.RunConfig(("drawn:54",), recipe)
    given: dict[str, Any] = {"select": selecting(Drawn(54)), "network": tiny_network(recipe)}
    with files.lock(tmp_path / "run" / "lock"), pytest.raises(BadRun, match="another process is at work"):
        runs.run(config, tmp_path / "run", **given)
    assert runs.run(config, tmp_path / "run", **given)["nDCG@5"] > 0


def test_features_are_cached_and_used_again_until_something_else_is_needed(tmp_path):
    chosen, network = select([Drawn(FEW)], "train"), tiny_network()
    first = dataset.load_pairs(chosen, network, TINY, tmp_path, augmented=True)

    computed = (tmp_path / "done.json").stat().st_mtime_ns
    again = dataset.load_pairs(chosen, network, TINY, tmp_path, augmented=True)
    assert (tmp_path / "done.json").stat().st_mtime_ns == computed
    rows = np.arange(len(first.product))
    for one, two in zip(first.load(rows, 0), again.load(rows, 0), strict=True):
        assert torch.equal(one, two)
    dataset.load_pairs(chosen, network, replace(TINY, box_margin=0.2), tmp_path, augmented=True)
    assert (tmp_path / "done.json").stat().st_mtime_ns > computed


@pytest.mark.parametrize(
    "more", [{}, {"shallow": True}, {"color_constancy": True}, {"shallow": True, "color_constancy": True}]
)
@pytest.mark.parametrize("unfreeze_blocks", [0, 2, 3])
def test_what_is_kept_gives_the_vectors_of_the_whole_network(tmp_path, unfreeze_blocks, more):
    recipe = replace(TINY, unfreeze_blocks=unfreeze_blocks, **more)
    chosen, network = select([Drawn(FEW)], "train"), tiny_network(recipe, foreground=(0,))
    pairs = dataset.load_pairs(chosen, network, recipe, tmp_path, augmented=False)
    loader = ViewLoader([View(crop, product, 0) for product, crop in chosen.crops], recipe)
    crops = torch.from_numpy(np.stack([loader.load(row, 0) for row in range(6)]))
    with torch.inference_mode():
        assert torch.allclose(network.above(*pairs.load(np.arange(6), 0)), network(crops), atol=2e-3)


def test_further_views_are_worse_each_in_its_own_way_and_the_same_when_asked_again():
    crop = next(row.crop for row in drawn(FEW) if row.crop.domain == "street")
    loader = ViewLoader([View(crop, 0, number) for number in range(3)], TINY)
    plain, one, two = (loader.load(row, 0).astype(int) for row in range(3))
    assert np.abs(one - plain).mean() > 3
    assert np.abs(one - two).mean() > 3
    assert np.array_equal(one, loader.load(1, 0))
    assert not np.array_equal(one, loader.load(1, 1)), "another epoch, another view"


def test_a_photo_that_cannot_be_read_takes_its_product_with_it(tmp_path):
    rows = drawn(FEW)
    place = next(place for place, row in enumerate(rows) if row.crop.split == "train")
    rows = [*rows[:place], rows[place]._replace(crop=replace(rows[place].crop, photo=b"no photo")), *rows[place + 1 :]]
    chosen = select([Rows(rows)], "train")
    for _ in range(2):  # looked at, and as it was kept
        lost: list[str] = []
        pairs = dataset.load_pairs(chosen, tiny_network(), TINY, tmp_path, augmented=False, on_unreadable=lost.extend)
        assert len(pairs) == len(chosen.products) - 1
        assert len(pairs.product) == 2 * len(pairs)
        assert len(lost) == 1
        assert lost[0].startswith(rows[place].crop.crop_id)


@pytest.mark.parametrize("readable", [0, 1])
def test_where_the_photos_of_fewer_than_two_products_can_be_read_the_first_problem_is_told(tmp_path, readable):
    names = list(dict.fromkeys(row.product.product_id for row in drawn(FEW) if row.crop.split == "train"))
    rows = [
        row
        if row.product.product_id in names[-readable:][:readable]
        else row._replace(crop=replace(row.crop, photo=b"x"))
        for row in drawn(FEW)
    ]
    chosen = select([Rows(rows)], "train")
    with pytest.raises(BadDataset, match=r"of \d+ photos \d+ cannot be read; the first: "):
        dataset.load_pairs(chosen, tiny_network(), TINY, tmp_path, augmented=False)


def test_runs_that_differ_in_seed_and_loss_share_features(tmp_path):
    chosen, network = select([Drawn(FEW)], "train"), tiny_network()
    first = dataset.load_pairs(chosen, network, TINY, tmp_path, augmented=True, shared=True)
    other = replace(TINY, seed=5, loss="triplet", epochs=9, dim=4, dropout=0.5)

    (done,) = tmp_path.glob("*/done.json")
    computed = done.stat().st_mtime_ns
    again = dataset.load_pairs(chosen, tiny_network(other), other, tmp_path, augmented=True, shared=True)
    assert done.stat().st_mtime_ns == computed
    rows = np.arange(len(first.product))
    assert torch.equal(first.load(rows, 0)[1], again.load(rows, 0)[1])
    dataset.load_pairs(chosen, network, replace(TINY, box_margin=0.2), tmp_path, augmented=True, shared=True)
    assert len(list(tmp_path.glob("*/done.json"))) == 2, "another view is kept beside the first"


def test_another_backbone_or_another_photo_never_gets_cached_features_of_the_first(tmp_path):
    chosen, network = select([Drawn(FEW)], "train"), tiny_network()
    dataset.load_pairs(chosen, network, TINY, tmp_path, augmented=False, shared=True)
    with torch.no_grad():
        network.extractor.backbone.steps[0].weight[0] += 1
    dataset.load_pairs(chosen, network, TINY, tmp_path, augmented=False, shared=True)
    moved = [(product, replace(crop, crop_id=f"other {crop.crop_id}")) for product, crop in chosen.crops]
    dataset.load_pairs(replace(chosen, crops=moved), network, TINY, tmp_path, augmented=False, shared=True)
    assert len(list(tmp_path.glob("*/done.json"))) == 3


def test_features_without_color_constancy_are_not_taken_for_those_with_it():
    recipe = replace(TINY, color_constancy=True)
    assert feature_cache.frozen(tiny_network(), TINY) != feature_cache.frozen(tiny_network(recipe), recipe)


def test_views_drawn_anew_follow_the_seed_and_cached_views_do_not(tmp_path):
    chosen, whole = select([Drawn(FEW)], "train"), replace(TINY, unfreeze_blocks=3, views=2)
    kept = replace(TINY, unfreeze_blocks=0, views=2)
    for recipe, same in ((whole, False), (kept, True)):
        seen = [
            dataset.load_pairs(chosen, tiny_network(recipe), each, tmp_path / f"{same}{each.seed}", augmented=True)
            for each in (recipe, replace(recipe, seed=1))
        ]
        rows = np.flatnonzero(seen[0].view == 1)[:4]
        assert torch.equal(seen[0].load(rows, 0)[0], seen[1].load(rows, 0)[0]) == same


def test_runs_share_a_feature_cache(tmp_path):
    recipe = replace(TINY, epochs=0, init="lda")
    computed: list[int] = []

    def run(folder, cache=None):
        callbacks = runs.Callbacks(on_features=lambda done, total: computed.append(done))
        given: dict[str, Any] = {
            "select": selecting(Drawn(54)),
            "network": tiny_network(recipe),
            "cache": cache,
            "callbacks": callbacks,
        }
        return runs.run(runs.RunConfig(("drawn:54",), recipe), tmp_path / folder, **given)

    alone, first = run("alone"), run("one", tmp_path / "cache")
    computed.clear()
    assert alone == first == run("two", tmp_path / "cache")
    assert not computed
    assert not (tmp_path / "one" / "features").exists()
    assert len(list((tmp_path / "cache").glob("*/*/done.json"))) == 2


def test_several_datasets_are_one_and_names_mean_others_in_each():
    rows = drawn(54)
    one, both = select([Rows(rows)], "train"), select([Rows(rows), Rows(rows)], "train")
    count = len(one.products)
    assert len(both.products) == 2 * count
    assert both.dataset == [0] * count + [1] * count
    assert both.crops[len(one.crops) :] == [(number + count, crop) for number, crop in one.crops]


@pytest.mark.parametrize("augmented", [False, True])
def test_the_validation_pairs_are_plain_and_only_training_pairs_are_augmented(tmp_path, augmented):
    """The recipe asks for three views; without augmentation every crop comes once, as the encoder will crop it."""
    recipe = replace(TINY, views=3, shop_views=2, unfreeze_blocks=3)
    selection = select([Drawn(FEW)], "val")
    pairs = dataset.load_pairs(selection, tiny_network(recipe), recipe, tmp_path, augmented=augmented)
    plain = np.stack([image.crop(c.photo, c.box, preprocessing(recipe)[c.domain]) for _, c in selection.crops])
    assert torch.equal(pairs.load(np.flatnonzero(pairs.view == 0), 5)[0], torch.from_numpy(plain))
    streets = sum(crop.domain == "street" for _, crop in selection.crops)
    shops = len(selection.crops) - streets
    assert len(pairs.view) == (3 * streets + 2 * shops if augmented else streets + shops)
    if augmented:
        worse = pairs.load(np.flatnonzero((pairs.view == 1) & pairs.is_street), 5)[0].numpy()
        assert np.abs(worse.astype(int) - plain[[c.domain == "street" for _, c in selection.crops]]).mean() > 5


def test_a_run_validates_on_plain_views_of_the_held_out_products(tmp_path):
    """The whole network is trained, so that crops are loaded in every epoch: those of val are the plain ones."""
    recipe = replace(TINY, epochs=1, views=3, shop_views=3, unfreeze_blocks=3)
    counts: list[tuple[int, int]] = []
    products: list[runs.PairCounts] = []
    callbacks = runs.Callbacks(products.append, on_features=lambda done, total: counts.append((done, total)))
    config = runs.RunConfig(("drawn:54",), recipe)
    runs.run(config, tmp_path, select=selecting(Drawn(54)), network=tiny_network(recipe), callbacks=callbacks)
    totals = list(dict.fromkeys(total for _, total in counts))
    train, val = (len(select([Drawn(54)], split).crops) for split in ("train", "val"))
    assert totals == [3 * train, val]
    selections = [select([Drawn(54)], split) for split in ("train", "val")]
    assert [products[0].training, products[0].validation] == [len(each.products) for each in selections]
    assert products[0].training > products[0].validation > 0


def test_a_cached_array_has_all_its_blocks_before_it_is_filled(tmp_path):
    """A mapped page without a block on a full disk kills the process; a file without blocks is refused at once."""
    array = feature_cache.new_array(tmp_path / "features0.npy", np.dtype(np.float16), (3000, 40))
    state = (tmp_path / "features0.npy").stat()
    assert state.st_blocks * 512 >= 2 * 3000 * 40
    array[7] = 3
    array.flush()
    stored = np.load(tmp_path / "features0.npy")
    assert stored.shape == (3000, 40)
    assert (stored[7] == 3).all()
    assert not stored[:7].any()


def test_a_full_disk_under_the_feature_cache_is_said_with_the_file(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(BadRun, match=r"features0.npy cannot be written \(No space left on device\); make room"):
        feature_cache.fill(tmp_path, [[0]], lambda rows: [np.zeros((2, 2, 3), np.uint8)], lambda crops: [crops])


def test_the_plain_border_of_a_shop_photo_is_looked_for_once_and_views_stay_the_same(monkeypatch):
    crop = next(row.crop for row in drawn(FEW) if row.crop.domain == "shop")
    views = [View(crop, 0, number) for number in (1, 2)]
    fresh = [ViewLoader(views, TINY).load(row, epoch) for epoch in (0, 1) for row in (0, 1)]
    content, photos = image.content, []

    def counted(photo):
        photos.append(photo.shape)
        return content(photo)

    monkeypatch.setattr(image, "content", counted)
    loader = ViewLoader(views, TINY)
    again = [loader.load(row, epoch) for epoch in (0, 1) for row in (0, 1)]
    assert len(photos) == 1
    for one, other in zip(fresh, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(again[0], again[2]), "each epoch draws its own changes"


def test_photos_alone_are_learned_from_and_validated_on_where_there_are_no_pairs():
    pairs, photos = Drawn(3), Drawn(4)
    assert selection.sources([pairs], [photos], "val") == ([pairs], frozenset())
    assert selection.sources([pairs], [photos], "train") == ([pairs, selection.SinglePhotos(photos, "train")], {1})
    assert selection.sources([], [photos], "val") == ([selection.SinglePhotos(photos, None)], {0})
