"""Kinds of the products of a catalog, which follow their categories, and the service that changes them."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

import osoroi
from kinds import kind_in, photo_of, stored
from osoroi import categories, ingest
from osoroi.catalog import Entry
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.stored import StoredCatalog
from osoroi.cli import main
from osoroi.encoder import KIND, Encoder
from osoroi.errors import NotFound
from osoroi.garments.posterior import part
from osoroi.records import Hit, Product
from osoroi.search import Searcher
from osoroi.server import app, learning
from shop import ThreadDecoder, entry, file_of, fill, picture
from tiny import TinyEncoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


@pytest.fixture
def shop(tmp_path: Path, encoder: Encoder) -> osoroi.Catalog:
    shop = osoroi.create(tmp_path / "shop", encoder)
    names = (("a", "Skirts"), ("b", "スカート"), ("c", "Shoes"), ("d", "Drop 7"))
    shop.add([{"product_id": name, "photo": photo_of(200), "category": category} for name, category in names])
    return shop


def test_the_same_photo_under_other_categories_is_ranked_by_kind(shop: osoroi.Catalog) -> None:
    hits = shop.search(photo_of(200), kind="skirt")
    assert [hit.product_id for hit in hits[:2]] == ["a", "b"]
    assert hits[0].parts["kind"] == pytest.approx(1)
    assert hits[-1].product_id == "c"
    assert hits[-1].parts["kind"] == 0


def test_adding_again_changes_nothing_and_a_new_category_changes_the_kind_alone(shop: osoroi.Catalog) -> None:
    before, start = stored(shop, "c"), shop.encoder.columns[KIND].start
    again = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Shoes"}])
    assert (again.count.unchanged, again.count.embedded) == (1, 0)
    changed = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Hats"}])
    assert (changed.count.changed, changed.count.embedded) == (1, 0)
    after = stored(shop, "c")
    assert kind_in(shop.encoder, after) == {"hat": pytest.approx(1)}
    assert np.array_equal(after[:start], before[:start])
    unread = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Drop 8"}])
    assert unread.count.embedded == 1  # the picture has to tell now
    assert np.allclose(stored(shop, "c"), stored(shop, "d"), atol=1e-6)


def test_an_update_of_the_category_or_the_kind_reaches_the_vectors(shop: osoroi.Catalog) -> None:
    by_picture = stored(shop, "d")
    shop.update("d", category="Bags")
    assert kind_in(shop.encoder, stored(shop, "d")) == {"bag": pytest.approx(1)}
    shop.update("d", kind="dress")  # an attribute that is a name of a kind wins
    assert kind_in(shop.encoder, stored(shop, "d")) == {"dress": pytest.approx(1)}
    seq = shop.storage.seq
    shop.update("d", price=5)
    assert shop.storage.seq == seq + 1  # vectors that stay are not written again
    shop.update("d", category=None, kind=None)
    assert np.allclose(stored(shop, "d"), by_picture, atol=1e-6)


def once_read(shop: osoroi.Catalog, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Something happens once, right after entries were read."""
    entries = shop.storage.entries

    def reading(product_ids: Iterable[str]) -> dict[str, Entry]:
        read = entries(product_ids)
        monkeypatch.setattr(shop.storage, "entries", entries)
        meanwhile()
        return read

    monkeypatch.setattr(shop.storage, "entries", reading)


def test_metadata_that_is_put_with_another_category_changes_the_kind_in_the_same_commit(shop: osoroi.Catalog) -> None:
    storage, seq = shop.storage, shop.storage.seq
    before = storage.entries(["d"])["d"]
    bags = replace(before.product, category="Bags", attributes={"sale": True})
    assert ingest.change(storage, shop.encoder, "d", lambda _: bags) == bags
    after = storage.entries(["d"])["d"]
    assert (storage.seq, after.product) == (seq + 1, bags)
    assert (after.vectors == shop.encoder.with_kind(before.vectors, shop.encoder.clues_of(bags))).all()
    assert (after.vectors != before.vectors).any()


def test_an_update_of_the_category_loses_no_change_that_comes_between(shop: osoroi.Catalog, monkeypatch: Any) -> None:
    once_read(shop, monkeypatch, lambda: shop.storage.patch("d", {"price": 7.0}))
    shop.update("d", category="Bags")
    assert (shop["d"].price, shop["d"].category) == (7.0, "Bags")
    assert kind_in(shop.encoder, stored(shop, "d")) == {"bag": pytest.approx(1)}
    once_read(shop, monkeypatch, lambda: shop.storage.remove(["d"]))
    with pytest.raises(NotFound):
        shop.update("d", category="Hats")
    assert "d" not in shop


def test_learning_a_category_loses_no_change_that_comes_between(shop: osoroi.Catalog, monkeypatch: Any) -> None:
    names = [f"e{number}" for number in range(6)]
    rows = [{"product_id": name, "photo": photo_of(200), "category": "Drop 9"} for name in names]
    shop.add([row | {"category": "Skirts"} for row in rows])
    skirts = shop.storage.entries(names)
    words = [entry._replace(product=replace(entry.product, category="Drop 9")) for entry in skirts.values()]
    soft = part({"skirt": 0.9, "dress": 0.1})
    for one in words:
        one.vectors[:, shop.encoder.columns[KIND]] = soft
    shop.storage.put(words, fingerprint=shop.encoder.fingerprint)
    read = categories._entries

    def then(catalog: Any, ids: list[str]) -> Any:
        found = list(read(catalog, ids))
        once_read(shop, monkeypatch, lambda: (shop.storage.patch("e1", {"price": 9.0}), shop.storage.remove(["e2"])))
        return found

    monkeypatch.setattr(categories, "_entries", then)
    assert categories.learn(shop.storage, shop.encoder, ["Drop 9"]) == {"Drop 9": "skirt"}
    assert shop["e1"].price == 9.0
    assert "e2" not in shop
    for name in ("e0", "e1", "e5"):
        assert kind_in(shop.encoder, stored(shop, name)) == {"skirt": pytest.approx(1)}


def test_a_search_knows_the_share_of_products_with_a_kind_and_notices_changes(shop: osoroi.Catalog) -> None:
    assert shop._searcher.facts().categorised == pytest.approx(3 / 4)
    shop.update("d", category="Bags")
    assert shop._searcher.facts().categorised == 1


def test_a_search_after_a_change_is_that_of_somebody_who_comes_anew(shop: osoroi.Catalog) -> None:
    def anew() -> list[Hit]:
        somebody = Searcher(shop.encoder, shop.storage)
        somebody.facts()  # looked up beforehand, so that this search does not depend on seeing that they are old
        return somebody.search(photo_of(120), k=4)

    before = shop.search(photo_of(120), k=4)
    assert shop.search(photo_of(120), k=4) == before == anew(), "without a change it is the same again"
    shop.update("d", category="Bags")
    after = shop.search(photo_of(120), k=4)
    assert after == anew()
    assert [hit.score for hit in after] != [hit.score for hit in before], "all have a kind now, so that it weighs more"


def test_a_second_search_asks_the_database_once(shop: osoroi.Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[StoredCatalog] = []
    begin = StoredCatalog.view

    def view(catalog: StoredCatalog) -> Any:
        views.append(catalog)
        return begin(catalog)

    shop.search(photo_of(120), k=4)
    monkeypatch.setattr(StoredCatalog, "view", view)
    shop.search(photo_of(120), k=4)
    assert len(views) == 1


def test_reencode_gives_the_kinds_of_the_categories(tmp_path: Path, encoder: Encoder) -> None:
    old = osoroi.create(tmp_path / "shop", TinyEncoder())
    old.add(
        [{"product_id": "a", "photo": photo_of(200), "category": "Skirts"}, {"product_id": "b", "photo": photo_of(9)}]
    )
    old.close()
    assert reencode(tmp_path / "shop", encoder).switched
    with osoroi.open(tmp_path / "shop") as shop:
        assert kind_in(encoder, stored(shop, "a")) == {"skirt": pytest.approx(1)}
        assert len(kind_in(encoder, stored(shop, "b"))) > 3


def test_info_says_how_categories_are_read(shop: osoroi.Catalog) -> None:
    run = CliRunner().invoke(main, ["info", str(shop.storage.location), "--json"])
    assert json.loads(run.stdout)["kinds"] == {
        "skirt": {"Skirts": 1, "スカート": 1},
        "shoes": {"Shoes": 1},
        "by_picture": {"Drop 7": 1},
    }
    told = CliRunner().invoke(main, ["info", str(shop.storage.location)]).stdout
    assert re.search(r"^by picture +Drop 7: 1$", told, re.MULTILINE)


# -------------------------------------------------------------------- the service


class CountingDecoder(ThreadDecoder):
    """Counts the crops that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.crops = 0

    async def crop(self, *arguments: Any) -> Any:
        self.crops += 1
        return await super().crop(*arguments)


def test_a_category_that_the_service_no_longer_understands_is_told_by_the_photo_in_a_worker(
    encoder: Encoder, tmp_path: Path
) -> None:
    """And where the photo is gone, nothing is changed."""
    decoder = CountingDecoder()
    goods = [entry(encoder, Product("p", category="skirts"), picture((200, 20, 20), width=200, height=240))]
    with fill(tmp_path / "shop", encoder, goods) as catalog:
        client = TestClient(app.make(Searcher(encoder, catalog), decoder=decoder), base_url="http://127.0.0.1")
        assert client.patch("/v1/products/p", json={"price": 1.0}).status_code == 200
        assert client.patch("/v1/products/p", json={"category": "hats"}).status_code == 200
        assert decoder.crops == 0
        assert client.patch("/v1/products/p", json={"category": "New in"}).status_code == 200
        assert decoder.crops == 1
        (crop,) = catalog.crops("p")
        expected = encoder.encode_photos([crop.photo], "shop")
        assert np.allclose(catalog.vectors([crop.crop_id]), expected, atol=1e-6)
        client.patch("/v1/products/p", json={"category": "hats"})
        file_of(crop).unlink()
        assert client.patch("/v1/products/p", json={"category": "New in"}).status_code == 404
        assert catalog.get("p").category == "hats"


def test_a_large_category_is_not_judged_for_each_product_and_the_product_gets_its_kind(
    shop: osoroi.Catalog, monkeypatch: Any
) -> None:
    judged: list[int] = []

    def learn(*_: object) -> dict[str, str]:
        judged.append(1)
        return {"Drop 9": "skirt"}

    monkeypatch.setattr(categories, "learn", learn)
    shop.add([{"product_id": f"e{n}", "photo": photo_of(200), "category": "Drop 9"} for n in range(12)])
    judged.clear()
    learner = learning.CategoryLearning(lambda work: work(), large=1)  # type: ignore[arg-type, return-value]
    learner._learn(shop.storage, shop.encoder, "Drop 9", {"e0"})
    learner._learn(shop.storage, shop.encoder, "Drop 9", {"e1", "gone"})
    assert judged == [1]
    assert kind_in(shop.encoder, stored(shop, "e1")) == {"skirt": pytest.approx(1)}
