"""Categories are judged while products are written: what is stored is read as the catalog reads it in the end."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient

import osoroi
from osoroi import categories, ingest, patches
from osoroi.cli import main
from osoroi.cluster import bulk
from osoroi.encoder import KIND, Encoder
from osoroi.errors import Busy
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.image.swatch import swatch
from osoroi.records import Crop, Product, Row
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.tables import TableShard
from shop import ThreadDecoder, learning_soon, picture
from tiny import TinyEncoder

COLORS = ("navy", "red", "green", "grey", "mustard", "brown")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


def kind_of(shop: osoroi.Catalog, product_id: str) -> str | None:
    """The kind that is written into a product's vector; None where its photo tells it."""
    row = shop.storage.entries([product_id])[product_id].vectors[:1, shop.encoder.columns[KIND]]
    return NAMES[int(row[0].argmax())] if learned.certain(row)[0] else None


def add(shop: osoroi.Catalog, folder: Path) -> None:
    shop.add([{"product_id": "p", "photo": swatch("red"), "category": "Bags"}])


def update(shop: osoroi.Catalog, folder: Path) -> None:
    shop.update("p", category="Bags")


def sync(shop: osoroi.Catalog, folder: Path) -> None:
    Image.fromarray(swatch("navy")).save(folder / "bag.png")
    (folder / "all.csv").write_text("product_id,photo,category\np,bag.png,Bags\n")
    shop.sync(folder / "all.csv")


def patch(shop: osoroi.Catalog, folder: Path) -> None:
    patches.patch({"p": {"category": "Bags"}}, shop.storage, shop.encoder, lambda product_id: None)


def put_by_the_service(shop: osoroi.Catalog, folder: Path) -> None:
    application = app.make(Searcher(shop.encoder, shop.storage), decoder=ThreadDecoder())
    client = TestClient(application, base_url="http://127.0.0.1")
    form = {"product": '{"title": "a bag", "category": "Bags"}'}
    answer = client.put("/v1/products/p", data=form, files={"photo": picture((9, 9, 90), width=200, height=240)})
    assert answer.status_code == 200, answer.text


def judged_before_its_commit(storage: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have categories judged otherwise between what the next commit has read and the commit; which commit it was."""
    judged: list[str] = []
    for name in ("put", "put_if_unchanged", "patch", "apply"):
        commit = getattr(storage, name)

        def late(*given: Any, name: str = name, commit: Callable[..., Any] = commit, **named: Any) -> Any:
            if not judged:
                judged.append(name)
                storage.trust_categories(not storage.trusts_categories())
            return commit(*given, **named)

        monkeypatch.setattr(storage, name, late)
    return judged


@pytest.mark.parametrize("believed", [True, False])
@pytest.mark.parametrize("write", [add, update, sync, patch, put_by_the_service])
def test_what_is_written_while_categories_are_judged_is_read_as_they_are_then(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], believed: bool
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add([{"product_id": "p", "photo": swatch("red"), "category": "Skirts"}])
        shop.storage.trust_categories(believed)
        judged = judged_before_its_commit(shop.storage, monkeypatch)
        write(shop, tmp_path)
        assert judged
        assert shop.storage.trusts_categories() is not believed
        assert (shop["p"].category, kind_of(shop, "p")) == ("Bags", None if believed else "bag")


def vareuses(count: int = 6) -> list[dict[str, Any]]:
    """Tops of a category that no dictionary knows."""
    return [{"product_id": f"v{n}", "photo": swatch(COLORS[n]), "category": "Vareuse"} for n in range(count)]


def test_a_move_to_another_encoder_learns_the_categories_that_no_dictionary_knows(tmp_path: Path) -> None:
    with osoroi.create(tmp_path / "shop", TinyEncoder()) as shop:
        shop.add([*vareuses(), {"product_id": "b", "photo": swatch("red"), "category": "Bags"}])
    for _ in range(2):  # the second one finds nothing to move, and nothing to learn
        done = CliRunner().invoke(main, ["reencode", str(tmp_path / "shop")])
        assert done.exit_code == 0, done.output
        with osoroi.open(tmp_path / "shop") as shop:
            assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
            assert kind_of(shop, "b") == "bag"


def test_categories_that_are_believed_again_are_learned_again(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add(vareuses())
        believed = categories.Agreement(6, 1.0, 0.1, [])
        for judgement, kind in ((believed._replace(share=0.1), None), (believed, "top")):
            monkeypatch.setattr(categories, "agreement", lambda catalog, judgement=judgement: judgement)
            categories.review(shop.storage, encoder)
            assert [kind_of(shop, f"v{n}") for n in range(6)] == [kind] * 6
            vectors = np.concatenate([entry.vectors for entry in shop.storage.entries(["v0", "v5"]).values()])
            assert np.allclose((vectors[:, encoder.columns[KIND]] ** 2).sum(axis=1), 1, atol=1e-3)


# -------------------------------------------------------------------- a writer that is stopped before kinds are settled


class Stopped(BaseException):
    """In place of a signal that ends the process."""


def stopped_before_it_settles(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the work until its products are committed, and no further."""
    with monkeypatch.context() as patch:

        def settle(*_: Any, **__: Any) -> bool:
            raise Stopped

        patch.setattr(categories, "settle", settle)
        with pytest.raises(Stopped):
            work()


@pytest.mark.parametrize("again", ["add", "sync", "another table"])
def test_what_a_stopped_run_did_not_learn_the_next_one_learns(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        lines = []
        for tee in vareuses():
            Image.fromarray(tee["photo"]).save(tmp_path / f"{tee['product_id']}.png")
            lines.append(f"{tee['product_id']},{tee['product_id']}.png,Vareuse")
        (tmp_path / "all.csv").write_text("\n".join(["product_id,photo,category", *lines]))
        first = shop.sync if again == "sync" else shop.add
        stopped_before_it_settles(lambda: first(tmp_path / "all.csv"), monkeypatch)
        assert [kind_of(shop, f"v{n}") for n in range(6)] == [None] * 6
        if again == "another table":
            shop.add([{"product_id": "b", "photo": swatch("red"), "category": "Bags"}])
        else:
            first(tmp_path / "all.csv")
        assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
        assert not shop.storage.unsettled()
        seq = shop.storage.seq
        shop.add(tmp_path / "all.csv")
        assert shop.storage.seq == seq


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Grows by one with each review of a catalog's categories, which does nothing."""
    times: list[bool] = []

    def review(catalog: Any, encoder: Encoder) -> Encoder:
        times.append(True)
        return encoder

    monkeypatch.setattr(categories, "review", review)
    return times


def test_what_a_stopped_run_did_not_judge_the_next_one_judges(
    tmp_path: Path, encoder: Encoder, judged: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        bags = [{"product_id": f"b{n}", "photo": swatch("red"), "category": "Bags"} for n in range(3)]
        stopped_before_it_settles(lambda: shop.add(bags), monkeypatch)
        shop.add(bags)
        assert judged == [True]
        shop.add(bags)
        assert judged == [True], "once"


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it is so at some time within a minute."""
    end = time.monotonic() + 60
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def settled(shop: osoroi.Catalog) -> bool:
    """Whether a service settles the kinds of what it wrote."""
    return comes_true(lambda: not shop.storage.unsettled())


def client_of(shop: osoroi.Catalog) -> TestClient:
    application = learning_soon(app.make(Searcher(shop.encoder, shop.storage), decoder=ThreadDecoder()))
    return TestClient(application, base_url="http://127.0.0.1")


def test_what_a_stopped_service_did_not_learn_the_next_one_learns(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        stopped_before_it_settles(lambda: shop.add(vareuses()), monkeypatch)
        with client_of(shop) as client:
            form = {"product": '{"category": "No such word"}'}
            photo = {"photo": picture((9, 9, 90), width=200, height=240)}
            assert client.put("/v1/products/p", data=form, files=photo).status_code == 200
            assert settled(shop)
        assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
        assert not shop.storage.unsettled()


def test_what_a_run_writes_while_another_ends_is_learned_by_the_next_one(tmp_path: Path, encoder: Encoder) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        rows: list[Row] = []
        for tee in vareuses():
            product, saved = Product(tee["product_id"], category="Vareuse"), tmp_path / f"{tee['product_id']}.png"
            Image.fromarray(tee["photo"]).save(saved)
            rows.append(Row(product, Crop(product.product_id, product.product_id, "shop", saved)))

        def progress(count: ingest.Count) -> None:
            if count.stored == 1:  # another one begins and ends
                shop.add([{"product_id": "b", "photo": swatch("red"), "category": "Bags"}])
            if count.stored == len(rows):
                raise Stopped

        with pytest.raises(Stopped):
            ingest.add(rows, shop.storage, shop.encoder, products_per_commit=1, on_progress=progress)
        assert shop.storage.unsettled()
        shop.add([{"product_id": "b", "photo": swatch("red"), "category": "Bags"}])
        assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
        assert not shop.storage.unsettled()


def test_a_service_judges_what_a_stopped_run_did_not(
    tmp_path: Path, encoder: Encoder, judged: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        bags = [{"product_id": f"b{n}", "photo": swatch("red"), "category": "Bags"} for n in range(3)]
        stopped_before_it_settles(lambda: shop.add(bags), monkeypatch)
        with client_of(shop) as client:
            assert client.patch("/v1/products/b0", json={"category": "No such word"}).status_code == 200
            assert settled(shop)
        assert judged == [True]


@pytest.mark.parametrize("by", ["PATCH", "PUT", "update", "a table of prices", "sync"])
def test_metadata_that_is_changed_before_a_service_or_run_is_stopped_is_learned_by_the_next(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add([{**tee, "category": "No such word"} for tee in vareuses(1)])
        assert not shop.storage.unsettled()
        with client_of(shop) as client:
            if by == "PATCH":
                assert client.patch("/v1/products/v0", json={"category": "Vareuse"}).status_code == 200
            elif by == "PUT":
                line, kind = b'{"product_id": "v0", "category": "Vareuse"}', {"content-type": "application/x-ndjson"}
                put = client.put("/v1/products", content=line, headers=kind)
                assert put.json()["status"] == 200, put.text
        if by == "update":
            shop.update("v0", category="Vareuse")
        elif by == "a table of prices":
            changes = {"v0": {"category": "Vareuse"}}
            stopped_before_it_settles(
                lambda: patches.patch(changes, shop.storage, encoder, lambda product_id: None), monkeypatch
            )
        elif by == "sync":
            Image.fromarray(swatch(COLORS[0])).save(tmp_path / "v0.png")
            table = tmp_path / "all.csv"
            for word in ("No such word", "Vareuse"):
                table.write_text(f"product_id,photo,category\nv0,v0.png,{word}\n")
                if word == "No such word":
                    shop.sync(table)
            stopped_before_it_settles(lambda: shop.sync(table), monkeypatch)
        assert shop["v0"].category == "Vareuse"
        assert shop.storage.unsettled()
        shop.add(vareuses(1))
        assert not shop.storage.unsettled()


def test_a_table_of_prices_has_its_new_categories_learned(tmp_path: Path, encoder: Encoder) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add([{**tee, "category": None} for tee in vareuses()])
        (tmp_path / "words.csv").write_text("product_id,category\n" + "".join(f"v{n},Vareuse\n" for n in range(6)))
        shop.sync(tmp_path / "words.csv")
        assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
        assert not shop.storage.unsettled()


def test_a_put_that_fails_keeps_no_catalog_unsettled(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        put, fails = shop.storage.put, [True]

        def failing(*given: Any, **named: Any) -> int:
            if fails.pop():
                raise Busy("others write", hint="try again")
            return put(*given, **named)

        monkeypatch.setattr(shop.storage, "put", failing)
        with client_of(shop) as client:
            form, photo = {"product": '{"category": "Vareuse"}'}, picture((9, 9, 90), width=200, height=240)
            assert client.put("/v1/products/p", data=form, files={"photo": photo}).status_code == 503
            assert settled(shop)
            assert "p" not in shop


def test_a_category_whose_learning_failed_is_learned_with_the_next_one(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_: list[list[str]] = []

    def learn(catalog: Any, encoder: Encoder, words: Any) -> dict[str, str]:
        learned_.append(sorted(words))
        if len(learned_) == 1:
            raise Busy("others write", hint="try again")
        return {}

    def more_than(times: int) -> Callable[[], bool]:
        return lambda: len(learned_) > times

    monkeypatch.setattr(categories, "learn", learn)
    with osoroi.create(tmp_path / "shop", encoder) as shop, client_of(shop) as client:
        for number, word in enumerate(("Vareuse", "Caban de nuit")):
            form, photo = {"product": f'{{"category": "{word}"}}'}, picture((9, 9, 90), width=200, height=240)
            assert client.put(f"/v1/products/p{number}", data=form, files={"photo": photo}).status_code == 200
            assert comes_true(more_than(number))
        assert settled(shop)
        assert learned_.count(["Vareuse"]) == 2


def test_parts_of_a_table_are_settled_once_all_are_added(tmp_path: Path, encoder: Encoder) -> None:
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        table = tmp_path / "all.csv"
        table.write_text("product_id,photo,category\n" + "".join(f"v{n},v{n}.png,Vareuse\n" for n in range(6)))
        for tee in vareuses():
            Image.fromarray(tee["photo"]).save(tmp_path / f"{tee['product_id']}.png")
        task = bulk.BulkTask(tmp_path / "shop", f"table:{table}")
        assert sum(task.run(TableShard(number, 2)).count.added for number in (1, 2)) == 6
        assert [kind_of(shop, f"v{n}") for n in range(6)] == [None] * 6
        assert shop.storage.unsettled()
        task.settle()
        assert [kind_of(shop, f"v{n}") for n in range(6)] == ["top"] * 6
        assert not shop.storage.unsettled()
