"""Validation products are held out of train with everything they share photos or designs with."""

from collections import defaultdict
from pathlib import Path

import pytest

import lookalikes
from osoroi.data import splits
from osoroi.data.readers.street2shop import Street2Shop
from osoroi.errors import BadDataset, BadRequest
from osoroi.records import Crop, Product, Row
from osoroi.training import heldout


class Rows:
    def __init__(self, rows):
        self.own = rows

    def rows(self):
        return iter(self.own)


def row(product, photo, split, design=None, domain="street"):
    crop_id = f"{product}/{photo}"
    return Row(Product(product, design_id=design), Crop(crop_id, product, domain, Path(photo), split=split))


def outfits(count, split="train"):
    """Products in pairs: both stand on one street photo, and each has a shop photo of its own."""
    return [
        each
        for number in range(count)
        for each in (
            row(f"p{number}", f"street{number // 2}", split),
            row(f"p{number}", f"shop{number}", split, domain="shop"),
        )
    ]


def sides(rows):
    products, photos = defaultdict(set), defaultdict(set)
    for product, crop in rows:
        products[product.product_id].add(crop.split)
        photos[crop.photo].add(crop.split)
    return products, photos


def assert_clean(rows):
    products, photos = sides(rows)
    assert {len(each) for each in products.values()} == {1}
    assert {len(each) for each in photos.values()} == {1}


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_no_photo_and_no_product_stands_on_both_sides_and_the_share_is_kept(share):
    rows, origin = heldout.split_rows(Rows(outfits(100)), None if share == 0.1 else share)
    assert_clean(rows)
    held = {product.product_id for product, crop in rows if crop.split == "val"}
    assert len(held) == 100 * share
    assert all(f"p{int(name[1:]) ^ 1}" in held for name in held), "who wears one of them wears the other"
    assert origin == f"{share:.0%} of train by product, design and photo"


def test_products_of_one_design_stay_together():
    rows = [row(f"p{number}", f"{number}.jpg", "train", f"d{number // 3}") for number in range(60)]
    split = heldout.split_rows(Rows(rows), 0.1).rows
    held = {product.design_id for product, crop in split if crop.split == "val"}
    assert len(held) == 2
    assert not held & {product.design_id for product, crop in split if crop.split == "train"}


def test_a_split_of_that_name_is_used_and_with_a_share_it_is_not():
    given = outfits(40) + [row(f"q{number}", f"val{number}", "val") for number in range(9)]
    rows, origin = heldout.split_rows(Rows(given), None)
    assert rows == given
    assert origin == "the dataset's own val"
    rows, _ = heldout.split_rows(Rows(given), 0.2)
    assert {product.product_id[0] for product, _ in rows} == {"p"}, "the reported split neither trains nor validates"
    assert sum(crop.split == "val" for _, crop in rows) == 16


def test_test_products_stay_where_they_are():
    rows, _ = heldout.split_rows(Rows([*outfits(30), row("t", "t.jpg", "test")]), None)
    assert [product.product_id for product, crop in rows if crop.split == "test"] == ["t"]


def test_without_splits_products_fall_as_the_option_split_would_deal_them_and_photos_stay_whole():
    lonely = [row(f"p{number}", f"{number}.jpg", None) for number in range(200)]
    deal = splits.dealer("9:1")
    assert all(crop.split == deal(product) for product, crop in heldout.split_rows(Rows(lonely), None).rows)
    assert_clean(heldout.split_rows(Rows(outfits(60, None)), None).rows)


def test_photos_that_connect_all_products_are_refused():
    rows = [row(f"p{number}", "one.jpg", "train") for number in range(40)]
    with pytest.raises(BadDataset, match=r"no 4 products can be held out.*in groups of \[40\].*larger share"):
        heldout.split_rows(Rows(rows), None)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(BadRequest, match="not between 0 and 1"):
        heldout.split_rows(Rows(outfits(9)), share)


def test_components_are_those_of_a_slow_search():
    links = [(f"p{(7 * number) % 31}", f"photo {(number * number) % 43}") for number in range(24)]
    photos = defaultdict(set)
    for product, photo in links:
        photos[product].add(photo)
    expected: list[list[str]] = []
    for product in dict.fromkeys(product for product, _ in links):
        if not any(product in group for group in expected):
            group, seen = [product], set(photos[product])
            while more := [name for name in photos if name not in group and photos[name] & seen]:
                group += more
                seen |= set().union(*(photos[name] for name in more))
            expected.append(group)
    assert 1 < len(expected) < 31
    assert [sorted(group) for group in splits.connected(links)] == [sorted(group) for group in expected]


class Listed:
    def __init__(self, reader):
        self.reader = reader

    def rows(self):
        return self.reader.listed()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["kiapour", "vasily"])
def test_the_real_lists_of_street2shop_are_split_clean(street2shop_lists, protocol):
    """10,350 products, 4,991 of which are connected by outfits; without that, 1,233 street photos stood on both sides
    of vasily."""
    rows = heldout.split_rows(Listed(Street2Shop(street2shop_lists, protocol)), None).rows
    products, photos = sides(row for row in rows if row.crop.domain == "street")
    assert {len(each) for each in products.values()} == {1}
    if protocol == "kiapour":  # its own test list shares photos with its train list
        photos = {photo: each - {"test"} for photo, each in photos.items()}
    assert max(map(len, photos.values())) == 1
    sizes = {name: sum(name in each for each in products.values()) for name in ("train", "val", "test")}
    trained = sizes["train"] + sizes["val"]
    assert sizes["val"] == pytest.approx(0.1 * trained, abs=1)
    if protocol == "vasily":
        assert sizes["test"] == pytest.approx(0.1 * sum(sizes.values()), abs=1)
        categories = {product.category for product, crop in rows if crop.split == "test"}
        assert {"bags", "tops", "dresses", "skirts"} <= categories


def test_a_category_of_vasily_is_split_as_all_are(tmp_path):
    root = lookalikes.boutique(tmp_path, ("bags", "tops"), products=30)
    whole = {row.crop.crop_id: row.crop.split for row in Street2Shop(root, "vasily", ("bags", "tops")).rows()}
    bags = {row.crop.crop_id: row.crop.split for row in Street2Shop(root, "vasily", ("bags",)).rows()}
    assert bags == {name: split for name, split in whole.items() if name.startswith("bags")}
