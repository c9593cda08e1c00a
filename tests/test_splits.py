"""Splits: dealt by design, the same for ever, and never with one product in two."""

import math
import random

import pytest

from osoroi.data.splits import checked, dealer, place
from osoroi.errors import BadDataset
from osoroi.records import Crop, Product, Row


def products(count: int, first: int = 0) -> list[Product]:
    return [Product(f"p{number}") for number in range(first, first + count)]


def row(product_id: str, split: str | None, design_id: str | None = None) -> Row:
    crop_id = f"{product_id}-{split}"
    return Row(Product(product_id, design_id=design_id), Crop(crop_id, product_id, "shop", b"", None, split))


def test_shares_hold_within_what_chance_allows() -> None:
    deal, count = dealer("7:2:1"), 5000
    dealt = [deal(product) for product in products(count)]
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        deviation = math.sqrt(count * share * (1 - share))
        assert abs(dealt.count(name) - count * share) < 4 * deviation


def test_a_product_stays_where_it_was_when_others_come_and_go() -> None:
    deal = dealer("8:1:1")
    before = {product.product_id: deal(product) for product in products(300)}
    later = products(900, first=100)
    random.Random(0).shuffle(later)
    after = {product.product_id: deal(product) for product in later}
    both = before.keys() & after.keys()
    assert len(both) == 200
    assert all(before[product_id] == after[product_id] for product_id in both)


def test_the_place_of_a_product_is_the_same_on_every_machine() -> None:
    """BLAKE2b of "('0', 'product', 'coat')", 8 bytes, top 53 bits, by b2sum -l 64."""
    assert place(Product("coat")) == (0x3417F74C0C80DC73 >> 11) / 2**53


def test_a_wider_share_of_training_moves_products_one_way_only() -> None:
    narrow, wide = dealer("8:2"), dealer("9:1")
    moved = {(narrow(product), wide(product)) for product in products(500)}
    assert moved == {("train", "train"), ("val", "train"), ("val", "val")}


def test_another_seed_deals_otherwise() -> None:
    first, second = dealer("1:1", "0"), dealer("1:1", "1")
    changed = sum(first(product) != second(product) for product in products(1000))
    assert 400 < changed < 600  # independent coins differ half of the time; deviation 16


def test_products_of_one_design_go_together_and_a_design_is_no_product() -> None:
    deal = dealer("1:1:1")
    for number in range(50):
        colours = [Product(f"{number}-{colour}", design_id=f"d{number}") for colour in ("red", "blue", "teal")]
        assert len({deal(product) for product in colours}) == 1
    assert place(Product("x")) != place(Product("y", design_id="x"))


def test_the_last_share_reaches_to_the_end() -> None:
    """Tenths do not add up to one in binary, and nothing may fall off the end."""
    deal = dealer(":".join(["0.1", "0.2", "0.7"]))
    assert {deal(product) for product in products(2000)} == {"train", "val", "test"}
    assert {dealer("0:0:1")(product) for product in products(100)} == {"test"}
    assert {dealer("0:1")(product) for product in products(100)} == {"val"}


@pytest.mark.parametrize("shares", ["", "8", "8:1:1:1", "a:b", "-1:2", "0:0", "nan:1", "inf:1", "8/1/1"])
def test_shares_that_are_none_are_refused(shares: str) -> None:
    with pytest.raises(BadDataset, match="are no shares of train:val:test; write them like 8:1:1"):
        dealer(shares)


def test_rows_that_keep_apart_pass_unchanged() -> None:
    rows = [row("a", "train", "d1"), row("b", "train", "d1"), row("c", "val"), row("a", None, "d1"), row("d1", "test")]
    assert list(checked(rows)) == rows


def test_a_product_in_two_splits_is_refused_at_the_second() -> None:
    rows = checked([row("a", "train"), row("b", "val"), row("a", "val")])
    assert [next(rows).product.product_id, next(rows).product.product_id] == ["a", "b"]
    with pytest.raises(BadDataset, match=r"product 'a' stands in train and in val \(crop 'a-val'\)"):
        next(rows)


def test_a_design_in_two_splits_is_refused() -> None:
    with pytest.raises(BadDataset, match=r"design 'd1' stands in val and in test"):
        list(checked([row("a", "val", "d1"), row("b", "test", "d1")]))
