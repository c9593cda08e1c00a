"""A leak planted in each place is found, and clean data give none."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi import audit
from osoroi.cli import main
from osoroi.encoder import Encoder
from osoroi.image import phash
from osoroi.records import Box, Crop, Product, Row
from tiny import TinyEncoder


def picture(seed: int, shape=(48, 40)) -> np.ndarray:
    """Blobs of colour, others for each seed: smooth, as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))


def file(pixels: np.ndarray, kind="PNG", **options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format=kind, **options)
    return data.getvalue()


def copy(pixels: np.ndarray) -> bytes:
    """The same photo, smaller, a little darker, compressed."""
    small = Image.fromarray(pixels).resize((33, 40), Image.Resampling.BICUBIC)
    return file((np.asarray(small) * 0.95).astype(np.uint8), "JPEG", quality=70)


def row(product_id, domain, source, *, crop_id=None, split="train", design=None, box=None) -> Row:
    crop_id = crop_id or f"{domain}/{product_id}"
    return Row(Product(product_id, design_id=design), Crop(crop_id, product_id, domain, source, box, split))


def clean() -> list[Row]:
    """Twelve products, street and shop, in three splits; nothing wrong with any."""
    rows = []
    for i in range(12):
        split = ("train", "val", "test")[i % 3]
        rows.append(row(f"p{i}", "street", file(picture(i)), split=split))
        rows.append(row(f"p{i}", "shop", file(picture(100 + i)), split=split))
    return rows


class Rows:
    def __init__(self, rows) -> None:
        self.kept = rows

    def rows(self):
        yield from self.kept


def counts(*planted: Row) -> dict[str, int]:
    found = audit.audit(Rows([*clean(), *planted]), TinyEncoder())
    return {kind: finding.count for kind, finding in found.findings.items() if finding.count}


def test_clean_data_have_no_finding():
    assert counts() == {}


@pytest.mark.parametrize("other", ["val", "test"])
def test_a_product_planted_in_another_split_is_found(other):
    planted = row("p0", "street", file(picture(50)), crop_id="again", split=other)  # p0 is of train
    assert counts(planted) == {"product-in-two-splits": 1}


@pytest.mark.parametrize("other", ["val", "test"])
@pytest.mark.parametrize("domain", ["street", "shop"])
def test_a_copy_of_a_photo_planted_in_another_split_is_found(domain, other):
    seed = 0 if domain == "street" else 100  # the photos of p0, of train
    rest = "shop" if domain == "street" else "street"
    planted = [row("new", domain, copy(picture(seed)), split=other), row("new", rest, file(picture(60)), split=other)]
    assert counts(*planted) == {"photo-in-two-splits": 1}


def test_a_design_in_two_splits_is_found_and_one_within_a_split_is_a_note():
    pair = [
        row(name, domain, file(picture(seed)), split=split, design="coat")
        for name, split, seeds in (("red", "train", (61, 62)), ("blue", "val", (63, 64)))
        for domain, seed in zip(("street", "shop"), seeds, strict=True)
    ]
    assert counts(*pair) == {"design-in-two-splits": 1, "design-in-several-colours": 1}
    same = [each._replace(crop=each.crop.__class__(**(vars(each.crop) | {"split": "val"}))) for each in pair]
    assert counts(*same) == {"design-in-several-colours": 1}


def test_a_query_that_stands_in_the_gallery_is_found():
    planted = [
        row("new", "street", copy(picture(101)), split="val"),
        row("new", "shop", file(picture(65)), split="val"),
    ]
    assert counts(*planted) == {"query-in-gallery": 1}
    own = [row("new", "street", copy(picture(65)), split="val"), row("new", "shop", file(picture(65)), split="val")]
    assert counts(*own) == {"query-in-gallery": 1}


def test_one_shop_photo_under_two_products_is_a_note():
    planted = [row("twin", "street", file(picture(66))), row("twin", "shop", copy(picture(100)))]
    assert counts(*planted) == {"one-photo-two-products": 1}


def test_photos_of_one_product_may_be_alike():
    assert counts(row("p0", "shop", copy(picture(100)), crop_id="second")) == {}
    assert counts(row("p0", "street", copy(picture(0)), crop_id="second")) == {}


def test_photos_alike_in_light_and_not_in_colour_are_two():
    # The same grey values in another colour: the hash takes it for a copy, the vector does not.
    grey = picture(70).mean(axis=2, keepdims=True)
    red, green = (np.clip(grey + np.array(tint), 0, 255).astype(np.uint8) for tint in ((76, -39, 0), (-76, 39, 0)))
    assert int(phash.phash(red) ^ phash.phash(green)).bit_count() <= audit.RADIUS
    planted = [row("a", "shop", file(red)), row("b", "shop", file(green), split="val")]
    assert counts(*planted) == {"no-street-photo": 2}


def test_photos_alike_but_for_a_fine_pattern_are_two():
    # Stripes two pixels wide keep hash and mean colours as they are; the pixels that are left at 48 x 48 differ.
    plain = picture(70).astype(int) // 2 + 64
    striped = plain + np.where(np.arange(40) // 2 % 2, 40, -40)[:, None]
    plain, striped = plain.astype(np.uint8), striped.astype(np.uint8)
    assert int(phash.phash(plain) ^ phash.phash(striped)).bit_count() <= audit.RADIUS
    planted = [row("a", "shop", file(plain)), row("b", "shop", file(striped), split="val")]
    assert counts(*planted) == {"no-street-photo": 2}


def test_broken_things_are_each_found():
    assert counts(row("p0", "shop", b"no photo", crop_id="x")) == {"unreadable-photo": 1}
    outside = row("p0", "street", file(picture(71)), crop_id="x", box=Box(0, 0, 41, 48))
    empty = row("p0", "street", file(picture(72)), crop_id="y", box=Box(5, 5, 5, 9))
    assert counts(outside, empty) == {"box-outside-photo": 2}
    assert counts(row("lone", "street", file(picture(73)))) == {"no-shop-photo": 1}
    gone = [row("lone", "street", file(picture(73))), row("lone", "shop", b"")]
    assert counts(*gone) == {"no-shop-photo": 1, "unreadable-photo": 1}
    assert counts(row("p0", "street", file(picture(74)), crop_id="street/p3")) == {"duplicate-id": 1}
    assert counts(row("quiet", "shop", file(picture(75)))) == {"no-street-photo": 1}


def test_a_street_crop_of_several_products_is_no_duplicate():
    source = file(picture(76))
    both = [row(name, "street", source, crop_id="look") for name in ("p0", "p3")]
    assert counts(*both) == {}
    assert counts(*both, both[0]) == {"duplicate-id": 1}


def test_two_boxes_of_one_photo_are_two_crops():
    wide = np.concatenate([picture(80), picture(81)], axis=1)
    left = row("p0", "street", file(wide), crop_id="left", box=Box(0, 0, 40, 48))
    right = row("p1", "street", file(wide), crop_id="right", box=Box(40, 0, 80, 48), split="val")
    assert counts(left, right) == {}


def test_hashes_survive_copying_and_tell_photos_apart():
    hashes = np.array([phash.phash(picture(i)) for i in range(300)], dtype=np.uint64)
    copies = [phash.phash(np.asarray(Image.open(io.BytesIO(copy(picture(i)))))) for i in range(300)]
    moved = [int(one ^ other).bit_count() for one, other in zip(hashes, copies, strict=True)]
    assert np.mean(np.array(moved) <= audit.RADIUS) > 0.98
    assert len(phash.near(hashes, audit.RADIUS)) == 0


@pytest.mark.parametrize("radius", [0, 1, 9, 64])
def test_near_pairs_are_those_of_a_slow_loop(radius):
    draw = np.random.default_rng(radius)
    hashes = draw.integers(0, 2**63, 40, dtype=np.uint64)
    hashes[20:] = hashes[:20] ^ (np.uint64(1) << draw.integers(0, 60, 20).astype(np.uint64))
    hashes[5] = hashes[6]
    slow = [
        [i, j] for i in range(40) for j in range(i + 1, 40) if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= radius
    ]
    assert phash.near(hashes, radius).tolist() == slow


def test_no_hashes_have_no_pairs():
    assert phash.near(np.empty(0, np.uint64), 8).shape == (0, 2)


@pytest.fixture
def leaky(tmp_path, monkeypatch) -> str:
    monkeypatch.setattr(Encoder, "open", lambda path, threads: TinyEncoder())
    lines = [
        {"photo": "a.png", "product_id": "a", "split": "train"},
        {"photo": "b.jpg", "product_id": "b", "split": "val"},
    ]
    (tmp_path / "a.png").write_bytes(file(picture(1)))
    (tmp_path / "b.jpg").write_bytes(copy(picture(1)))
    (tmp_path / "shop.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return f"table:{tmp_path}/shop.jsonl"


def test_the_command_prints_counts_and_fails_only_on_what_it_is_told(leaky, tmp_path):
    run = CliRunner().invoke(main, ["audit", leaky, "--grid", str(tmp_path / "grid.png")])
    assert run.exit_code == 0, run.output
    assert ["leak", "photo-in-two-splits", "1"] in [line.split()[:3] for line in run.stdout.splitlines()]
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > 3 * 160  # a label and the two photos
    for fail_on, code in (("leak", 1), ("photo-in-two-splits", 1), ("broken", 0), ("product-in-two-splits", 0)):
        assert CliRunner().invoke(main, ["audit", leaky, "--fail-on", fail_on]).exit_code == code
    told = json.loads(CliRunner().invoke(main, ["audit", leaky, "--json"]).stdout)
    assert told["splits"] == {"train": {"shop": 1}, "val": {"shop": 1}}
    assert told["findings"]["photo-in-two-splits"]["count"] == 1
