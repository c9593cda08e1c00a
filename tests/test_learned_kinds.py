"""Kinds that a catalog's own products teach: the classifier, and what it does to queries."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import osoroi
from osoroi import categories
from osoroi.catalog import Entry
from osoroi.cli import main
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.learned import learn_kinds, with_learned_kind
from osoroi.errors import BadPhoto
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.garments.posterior import part
from osoroi.image.swatch import swatch
from osoroi.records import Clues, Crop, Input, Product

BAG, SKIRT, TOP, SCARF = (NAMES.index(name) for name in ("bag", "skirt", "top", "scarf"))

COLORS = ("navy", "red", "green", "grey", "mustard", "brown")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clouds(rng: np.random.Generator, dim: int, counts: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Looks around one centre a kind, and their labels."""
    centres = rng.normal(size=(len(counts), dim))
    labels = np.repeat(list(counts), list(counts.values()))
    rows = np.repeat(centres, list(counts.values()), axis=0) + 0.5 * rng.normal(size=(len(labels), dim))
    return unit(rows), labels.astype(np.int64)


def test_likelihoods_are_those_of_gaussians_with_one_shrunk_covariance() -> None:
    looks, labels = clouds(np.random.default_rng(1), 3, {TOP: 110, BAG: 60, SKIRT: 40})
    fitted = learned.learn(looks, labels)
    assert fitted is not None
    assert fitted.columns.tolist() == sorted([TOP, BAG, SKIRT])
    scatter = np.zeros((3, 3))
    means = {}
    for kind in (TOP, BAG, SKIRT):
        rows = looks[labels == kind].astype(float)
        means[kind] = rows.mean(axis=0)
        for row in rows:
            scatter += np.outer(row - means[kind], row - means[kind])
    scatter /= len(looks)
    shrinkage = 3 / 213
    covariance = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / 3 * np.eye(3)
    inverse = np.linalg.inv(covariance)
    x = looks[5].astype(float)
    exponents = {kind: -0.5 * (x - mean) @ inverse @ (x - mean) for kind, mean in means.items()}
    said = dict(zip(fitted.columns.tolist(), fitted.likelihoods(looks[5:6])[0].tolist(), strict=True))
    assert said[TOP] - said[BAG] == pytest.approx((exponents[TOP] - exponents[BAG]) / 4, rel=1e-5)
    assert said[SKIRT] - said[BAG] == pytest.approx((exponents[SKIRT] - exponents[BAG]) / 4, rel=1e-5)


def test_pictures_and_shares_of_the_products_count_about_half() -> None:
    looks, labels = clouds(np.random.default_rng(6), 3, {TOP: 110, BAG: 60, SKIRT: 40})
    fitted = learned.learn(looks, labels)
    assert fitted is not None
    assert np.exp(2 * fitted.prior).sum() == pytest.approx(1)
    rows = np.zeros((1, max(TOP, BAG, SKIRT) + 1), np.float32)
    rows[0, TOP], rows[0, BAG], rows[0, SKIRT] = np.sqrt([0.2, 0.7, 0.1])
    after = learned.sharpened(fitted, looks[5:6], rows)[0] ** 2
    said = dict(zip(fitted.columns.tolist(), fitted.likelihoods(looks[5:6])[0].tolist(), strict=True))
    assert fitted.picture == pytest.approx(0.5 + 3 / (210 + 3))
    odds = fitted.picture * np.log(0.2 / 0.7) + said[TOP] - said[BAG] + 0.5 * np.log(110 / 60)
    assert np.log(after[TOP] / after[BAG]) == pytest.approx(odds, abs=1e-3)


def test_rare_kinds_and_few_products_teach_nothing() -> None:
    rng = np.random.default_rng(2)
    looks, labels = clouds(rng, 4, {TOP: 198, BAG: 30, SKIRT: 3})
    fitted = learned.learn(looks, labels)
    assert fitted is not None
    assert fitted.columns.tolist() == sorted([TOP, BAG])
    assert learned.learn(*clouds(rng, 4, {TOP: 60, BAG: 30})) is None
    assert learned.learn(*clouds(rng, 4, {TOP: 300})) is None
    assert learned.learn(looks, np.full(len(looks), -1)) is None


def test_what_is_known_stays_and_kinds_that_were_not_learned_keep_their_share() -> None:
    looks, labels = clouds(np.random.default_rng(3), 4, {TOP: 140, BAG: 80})
    fitted = learned.learn(looks, labels)
    assert fitted is not None
    given = np.stack([part({"top": 1.0}), part({"top": 0.5, "bag": 0.2, "scarf": 0.3})])
    after = learned.sharpened(fitted, looks[[-1, -1]], given)  # the looks are those of a bag
    assert np.array_equal(after[0], given[0])
    chances = after[1] ** 2
    assert chances[BAG] > 0.6
    assert chances[TOP] < 0.1
    assert chances[SCARF] == pytest.approx(0.3, abs=1e-6)
    assert chances.sum() == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


def vectors_of(encoder: Encoder, looks: np.ndarray, kinds: list[np.ndarray]) -> np.ndarray:
    start = encoder.columns[KIND].start
    rows = np.zeros((len(looks), encoder.dim), np.float32)
    for columns in (slice(0, start // 2), slice(start // 2, start)):
        rows[:, columns] = unit(looks[:, columns])
    rows[:, start:] = np.stack(kinds)
    return rows


def test_a_catalog_teaches_its_searches_and_forgets_with_the_next_commit(tmp_path: Path, encoder: Encoder) -> None:
    looks, labels = clouds(np.random.default_rng(4), encoder.columns[KIND].start, {TOP: 140, BAG: 80})
    rows = vectors_of(encoder, looks, [part({NAMES[label]: 1.0}) for label in labels])
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        entries = [
            Entry(Product(f"p{number}"), [Crop(f"p{number}/1", f"p{number}", "shop", b"photo")], row[None])
            for number, row in enumerate(rows)
        ]
        shop.storage.put(entries, fingerprint=encoder.fingerprint)
        unsure = rows[-1:].copy()  # a bag, of which the picture says nothing
        unsure[:, encoder.columns[KIND]] = part({"top": 0.6, "bag": 0.4})
        searcher = shop._searcher
        pixels = np.zeros((1, 1, 3), np.uint8)
        alone, on_a_body = Input(pixels), Input(pixels, Clues(evidence={"top": 0.0}))
        sure, same = searcher.with_learned_kinds([alone, on_a_body], np.concatenate([unsure, unsure]))
        assert sure[encoder.columns[KIND]][BAG] ** 2 > 0.9
        assert np.array_equal(same, unsure[0])
        classifier = learn_kinds(encoder, rows)
        assert classifier is not None
        assert np.array_equal(sure, with_learned_kind(encoder, unsure, classifier)[0])
        shop.storage.remove([f"p{number}" for number in range(130)])
        assert np.array_equal(searcher.with_learned_kinds([alone], unsure), unsure)


def test_looks_that_say_nothing_of_kinds_hardly_move_a_picture(encoder: Encoder) -> None:
    """Few products, many columns: the classifier of noise is not sure of itself."""
    rng = np.random.default_rng(7)
    start = encoder.columns[KIND].start
    looks, labels = unit(rng.normal(size=(220, start))), np.repeat([TOP, BAG], 110).astype(np.int64)
    fitted = learned.learn(looks, labels)
    assert fitted is not None
    picture = np.repeat(part({"top": 0.7, "bag": 0.3})[None], 200, axis=0)
    after = learned.sharpened(fitted, unit(rng.normal(size=(200, start))), picture) ** 2
    assert (after[:, TOP] > after[:, BAG]).mean() > 0.8


# -------------------------------------------------------------------- categories against photos


def put(shop: osoroi.Catalog, rows: np.ndarray, categories: list[str | None]) -> None:
    entries = [
        Entry(
            Product(f"p{number:03}", category=category), [Crop(f"c{number}", f"p{number:03}", "shop", b"x")], row[None]
        )
        for number, (row, category) in enumerate(zip(rows, categories, strict=True))
    ]
    shop.storage.put(entries, fingerprint=shop.encoder.fingerprint)


def test_an_unknown_category_is_learned_from_the_photos_of_its_products(tmp_path: Path, encoder: Encoder) -> None:
    tees = [{"product_id": f"v{n}", "photo": swatch(color), "category": "Vareuse"} for n, color in enumerate(COLORS)]
    columns = encoder.columns[KIND]
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add(tees[:4])
        rows = np.concatenate([entry.vectors for entry in shop.storage.entries([f"v{n}" for n in range(4)]).values()])
        assert not learned.certain(rows[:, columns]).any()  # four are too few
        assert categories.learned_kind(shop.storage, "Vareuse") is None
        shop.add(tees[4:])
        assert categories.learned_kind(shop.storage, "Vareuse") == "top"
        stored = shop.storage.entries([f"v{n}" for n in range(6)])
        assert all(np.array_equal(entry.vectors[0, columns], part({"top": 1.0})) for entry in stored.values())
        seq = shop.storage.seq
        shop.add(tees)
        assert shop.storage.seq == seq
        assert categories.learn(shop.storage, encoder, ["Vareuse"]) == {"Vareuse": "top"}
        assert shop.storage.seq == seq


def test_a_text_in_the_place_of_a_category_stops_nothing(tmp_path: Path, encoder: Encoder) -> None:
    """The products were in, and then a filter for their category was too long."""
    file = io.BytesIO()
    Image.new("RGB", (60, 80), (200, 30, 30)).save(file, "PNG")
    rows = [
        {"product_id": name, "photo": file.getvalue(), "category": 'A "long" \\ text. ' * times}
        for name, times in (("a", 2), ("b", 2_000))
    ]
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        assert shop.add(rows).count.added == 2
        assert shop.update("b", category="text " * 5_000).product_id == "b"
    run = CliRunner().invoke(main, ["info", str(tmp_path / "shop")])
    assert run.exit_code == 0, run.output


def test_categories_of_several_kinds_are_left_to_their_pictures(tmp_path: Path, encoder: Encoder) -> None:
    looks, _ = clouds(np.random.default_rng(5), encoder.columns[KIND].start, {TOP: 4, BAG: 4, SKIRT: 4})
    soft = [part({kind: 0.7}) for kind in ("top", "bag", "skirt") for _ in range(4)]
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, vectors_of(encoder, looks, soft), ['New "in" \\ now'] * 8 + [None] * 4)
        assert categories.learn(shop.storage, encoder, ['New "in" \\ now', "Sale"]) == {}
        put(shop, vectors_of(encoder, looks, soft), ['New "in" \\ now'] * 6 + [None] * 6)  # four tops, two bags
        assert categories.learn(shop.storage, encoder, ['New "in" \\ now']) == {'New "in" \\ now': "top"}
        (bag,) = shop.storage.entries(["p006"]).values()
        assert not learned.certain(bag.vectors[:, encoder.columns[KIND]])[0]


def test_photos_that_contradict_their_category_are_named(tmp_path: Path, encoder: Encoder) -> None:
    rng = np.random.default_rng(6)
    looks, labels = clouds(rng, encoder.columns[KIND].start, {TOP: 150, BAG: 150})
    order = rng.permutation(300)
    looks, labels = looks[order], labels[order]
    words = ["Bags" if label == BAG else "Blouses" for label in labels]
    wrong = int(np.flatnonzero(labels == BAG)[3])
    words[wrong] = "Blouses"
    rows = vectors_of(encoder, looks, [part({"top" if word == "Blouses" else "bag": 1.0}) for word in words])
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, rows, list(words))
        judged = categories.agreement(shop.storage)
    assert judged is not None
    assert judged.products == 300
    assert judged.share == pytest.approx(299 / 300)
    assert judged.chance == pytest.approx((151 / 300) ** 2 + (149 / 300) ** 2)
    assert judged.contradictions == [(f"p{wrong:03}", "Blouses", "top", "bag")]
    said = CliRunner().invoke(main, ["info", str(tmp_path / "shop")]).output
    assert "with 100% of 300 categories; 50% by chance" in said
    assert f"p{wrong:03}: Blouses is top, and the photo looks like bag" in said
    facts = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "shop"), "--json"]).output)
    assert [one["product_id"] for one in facts["photos_contradict"]] == [f"p{wrong:03}"]


def test_categories_that_say_nothing_of_the_photos_are_called_so(tmp_path: Path, encoder: Encoder) -> None:
    rng = np.random.default_rng(7)
    looks, _ = clouds(rng, encoder.columns[KIND].start, {TOP: 200, BAG: 200})
    words = ["Bags" if number % 4 < 2 else "Blouses" for number in range(400)]  # whatever the photo shows
    rows = vectors_of(encoder, looks, [part({"top" if word == "Blouses" else "bag": 1.0}) for word in words])
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, rows, list(words))
        judged = categories.agreement(shop.storage)
        assert categories.agreement(shop.storage, most=50) is None  # too few to learn from
    assert judged is not None
    assert judged.share < judged.chance + 0.1


# -------------------------------------------------------------------- categories that photos contradict as a whole


def two_clouds(encoder: Encoder) -> tuple[np.ndarray, list[str], list[str]]:
    """Looks of 120 tops and 120 bags in any order, their words, and words that say nothing of them."""
    rng = np.random.default_rng(8)
    looks, labels = clouds(rng, encoder.columns[KIND].start, {TOP: 120, BAG: 120})
    order = rng.permutation(240)
    right = ["Bags" if label == BAG else "Blouses" for label in labels[order]]
    return looks[order], right, [right[n] for n in rng.permutation(240)]


def as_said(words: list[str]) -> list[np.ndarray]:
    return [part({"bag" if word == "Bags" else "top": 1.0}) for word in words]


def kinds_in(shop: osoroi.Catalog) -> np.ndarray:
    entries = shop.storage.entries(sorted(shop.storage.product_ids()))
    return np.concatenate([entry.vectors[:1, shop.encoder.columns[KIND]] for entry in entries.values()])


def test_categories_that_photos_contradict_are_believed_no_longer_until_they_agree(
    tmp_path: Path, encoder: Encoder
) -> None:
    looks, right, shuffled = two_clouds(encoder)
    unsure = vectors_of(encoder, looks[:1], [part({"top": 0.6, "bag": 0.4})])

    def embed(crops: Sequence[Crop]) -> np.ndarray:
        return np.repeat(unsure, len(crops), axis=0)

    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, vectors_of(encoder, looks, as_said(right)), list(right))
        assert categories.review(shop.storage, encoder, embed=embed).reads_categories
        assert shop.storage.trusts_categories()
        assert learned.certain(kinds_in(shop)).all()

        put(shop, vectors_of(encoder, looks, as_said(shuffled)), list(shuffled))
        assert not categories.review(shop.storage, encoder, embed=embed).reads_categories
        assert not learned.certain(kinds_in(shop)).any()
    with osoroi.open(tmp_path / "shop", encoder=encoder) as shop:
        assert not shop.storage.trusts_categories()
        shop.update("p000", category="Bags")  # is not believed either
        assert not learned.certain(kinds_in(shop)).any()
        shop.update("p001", kind="bag")  # the attribute is
        assert np.flatnonzero(learned.certain(kinds_in(shop))).tolist() == [1]
        assert categories.learn(shop.storage, categories.reader(shop.storage, encoder), ["Bags"]) == {}
        said = CliRunner().invoke(main, ["info", str(tmp_path / "shop")]).output
        assert "categories are not believed" in said

        put(shop, vectors_of(encoder, looks, [unsure[0, encoder.columns[KIND]]] * 240), list(right))
        assert categories.review(shop.storage, encoder, embed=embed).reads_categories
        assert shop.storage.trusts_categories()
        assert np.array_equal(kinds_in(shop), np.stack(as_said(right)))


def test_a_photo_that_cannot_be_read_keeps_the_kind_of_its_category(
    tmp_path: Path, encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    looks, _, shuffled = two_clouds(encoder)

    def embed(crops: Sequence[Crop]) -> np.ndarray:
        if crops[0].product_id == "p007":
            raise BadPhoto("it is gone")
        return vectors_of(encoder, looks[: len(crops)], [part({"top": 0.6, "bag": 0.4})] * len(crops))

    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, vectors_of(encoder, looks, as_said(shuffled)), list(shuffled))
        categories.review(shop.storage, encoder, embed=embed)
        assert np.flatnonzero(learned.certain(kinds_in(shop))).tolist() == [7]
    assert "p007 keeps the kind of its category: it is gone" in caplog.text


def test_few_new_products_are_no_reason_to_judge_all_categories_anew(tmp_path: Path, encoder: Encoder) -> None:
    looks, _, shuffled = two_clouds(encoder)
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, vectors_of(encoder, looks, as_said(shuffled)), list(shuffled))
        assert not categories.settle(shop.storage, encoder, [], changed=23)
        assert shop.storage.trusts_categories()


def test_add_and_sync_judge_the_categories_of_many_new_products_and_say_so(tmp_path: Path, encoder: Encoder) -> None:
    looks, _, shuffled = two_clouds(encoder)
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put(shop, vectors_of(encoder, looks, as_said(shuffled)), list(shuffled))  # their photos cannot be read
    Image.fromarray(swatch("navy")).save(tmp_path / "tee.png")
    lines = [f"n{n:02},tee.png,{word}" for n, word in enumerate(shuffled[:27])]
    (tmp_path / "new.csv").write_text("\n".join(["product_id,photo,category", *lines]))
    for command in ("add", "sync"):
        arguments = [str(tmp_path / "shop"), str(tmp_path / "new.csv"), *(["--yes"] if command == "sync" else [])]
        done = CliRunner().invoke(main, [command, *arguments])
        assert done.exit_code == 0, done.output
        assert "photos contradict the categories of these products" in done.stderr
        with osoroi.open(tmp_path / "shop", encoder=encoder) as shop:
            assert not shop.storage.trusts_categories()
            new = [
                row
                for name, row in zip(sorted(shop.storage.product_ids()), kinds_in(shop), strict=True)
                if name[0] == "n"
            ]
            assert not learned.certain(np.stack(new)).any()
            assert len({row.tobytes() for row in new}) == 1  # one photo, one kind, whatever the category
