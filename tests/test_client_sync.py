"""``osoroi.Client.sync``: a service made equal to a table, with no photo sent twice; and categories that are learned
from products that were put."""

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import osoroi
import web
from osoroi import file_hashes, image
from osoroi.catalog import Entry
from osoroi.client.transport import Transport
from osoroi.encoder import KIND, Encoder
from osoroi.errors import BadDataset, BadPhoto, BadRequest
from osoroi.file_hashes import FileHashes
from osoroi.garments.kinds import NAMES
from osoroi.garments.posterior import part
from osoroi.records import Crop, Product, Source
from photo_server import Photos
from shop import BLUE, GREEN, RED, SeeingEncoder, fill, picture, serving


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[osoroi.Client, osoroi.Catalog]]:
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "cache"))
    encoder = SeeingEncoder()
    with (
        fill(tmp_path / "shop", encoder, []) as catalog,
        serving(encoder, catalog) as address,
        osoroi.Client(address) as client,
    ):
        yield client, osoroi.Catalog(catalog, encoder)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        (tmp_path / f"{name}.png").write_bytes(picture(color))
    return tmp_path / "products.csv"


def test_a_service_becomes_equal_to_a_table_and_photos_are_sent_once(shop, table, monkeypatch):
    client, catalog = shop
    table.write_text("product_id,photo,price\nA,red.png,10\nA,green.png,10\nB,green.png,20\nC,none.png,30\n")
    progress: list[tuple[int, int]] = []
    synced = client.sync(table, on_progress=lambda done, total: progress.append((done, total)))
    assert (synced.count.added, synced.count.left_out, synced.count.unreadable) == (2, 1, 1)
    assert [problem.product_id for problem in synced.problems] == ["C"]
    assert progress[-1][1] == 3
    assert [product.price for product in catalog] == [10, 20]
    assert len(catalog.crops("A")) == 2
    bodies: list[bytes] = []
    request = Transport.request

    def counted(self, method, path, **rest):
        if method == "PUT":
            bodies.append(rest["body"])
        return request(self, method, path, **rest)

    monkeypatch.setattr(Transport, "request", counted)
    table.write_text("product_id,photo,price\nA,red.png,11\nA,green.png,11\nB,green.png,20\n")
    count = client.sync(table).count
    assert (count.changed, count.unchanged, count.embedded) == (1, 1, 0)
    assert len(bodies) == 1
    assert b"base64" not in bodies[0], "the photos are there"
    assert catalog["A"].price == 11
    assert len(catalog.crops("A")) == 2
    table.write_text("product_id,photo,price\nA,blue.png,11\nB,green.png,20\n")
    assert client.sync(table).count.changed == 1
    assert len(catalog.crops("A")) == 1
    assert catalog.search(picture(BLUE), k=1)[0].product_id == "A"


def test_photos_that_have_not_changed_are_not_read_again(shop, table, tmp_path, monkeypatch):
    client, _ = shop
    monkeypatch.setattr(file_hashes, "hashes_in", partial(file_hashes.hashes_in, settled_ns=-1))
    table.write_text("product_id,photo\nA,red.png\nB,green.png\n")
    red = tmp_path / "red.png"
    os.utime(red, (10**9, 10**9))
    client.sync(table)
    load, read = image.load, list[Source]()

    def noted(photo: Source, **rest: Any) -> bytes:
        if isinstance(photo, Path):
            read.append(photo)
        return load(photo, **rest)

    monkeypatch.setattr(image, "load", noted)
    assert client.sync(table).count.unchanged == 2
    assert read == []
    size = red.stat().st_size
    red.write_bytes(picture(BLUE).ljust(size, b"\0"))
    os.utime(red, (10**9, 10**9))
    count = client.sync(table).count
    assert (count.changed, count.unchanged, count.embedded) == (1, 1, 1), "of the same time"
    assert read == [red]


def test_a_photo_whose_hash_is_known_and_that_cannot_be_read_leaves_its_product_alone(shop, table, monkeypatch):
    client, catalog = shop
    table.write_text("product_id,photo\nA,red.png\nB,green.png\n")
    client.sync(table)
    catalog.remove(["A", "B"])
    monkeypatch.setattr(FileHashes, "of", lambda self, path: "ab" * 32)
    load = image.load

    def fails(photo: Source, **rest: Any) -> bytes:
        if photo == table.with_name("red.png"):
            raise BadPhoto("red.png cannot be read")
        return load(photo, **rest)

    monkeypatch.setattr(image, "load", fails)
    synced = client.sync(table)
    assert (synced.count.added, synced.count.left_out, synced.count.unreadable) == (1, 1, 1)
    assert [problem.product_id for problem in synced.problems] == ["A"]
    assert [product.product_id for product in catalog] == ["B"]


def test_a_cache_that_cannot_be_written_says_so(shop, table, tmp_path):
    client, _ = shop
    (tmp_path / "cache").write_text("a file")
    table.write_text("product_id,photo\nA,red.png\n")
    with pytest.raises(BadRequest, match="set OSOROI_CACHE to another folder"):
        client.sync(table)


def test_photos_behind_links_are_fetched_here_and_sent(shop, table):
    client, catalog = shop
    with Photos({"/red.png": picture(RED), "/blue.png": picture(BLUE)}) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        table.write_text(f"product_id,photo\nA,{base}/red.png\nB,{base}/blue.png\nC,{base}/none.png\n")
        refused = client.sync(table)
        assert (refused.count.added, refused.count.left_out, server.asked) == (0, 3, [])
        assert all("private" in problem.reason for problem in refused.problems)
        synced = client.sync(table, private_links=True)
        assert (synced.count.added, synced.count.left_out) == (2, 1)
        asked = len(server.asked)
        assert client.sync(table, private_links=True).count.unchanged == 2
        assert set(server.asked[asked:]) == {"/none.png"}
        server.shutdown()
    assert catalog.search(picture(BLUE), k=1)[0].product_id == "B"


def test_products_that_are_gone_are_removed_within_a_limit_and_bad_lines_spare_theirs(shop, table):
    client, catalog = shop
    table.write_text("product_id,photo,price\nA,red.png,10\nB,green.png,20\n")
    client.sync(table)
    table.write_text("product_id,photo,price\nA,red.png,10\n")
    with pytest.raises(BadRequest, match="1 of 2 products are not in the table, for instance 'B'"):
        client.sync(table)
    table.write_text("product_id,photo,price\nA,red.png,10\nB,green.png,much\n")
    synced = client.sync(table, most_removed=1.0)
    assert (synced.count.removed, len(synced.bad_lines), len(catalog)) == (0, 1, 2)
    table.write_text("product_id,photo,price\nA,red.png,10\n")
    assert client.sync(table, most_removed=1.0).count.removed == 1
    assert list(catalog) == [catalog["A"]]
    table.write_text("product_id,photo\n")
    with pytest.raises(BadDataset, match="no lines"):
        client.sync(table)


def test_a_table_of_prices_changes_prices(shop, table):
    client, catalog = shop
    table.write_text("product_id,photo,price,title\nA,red.png,10,Skirt\n")
    client.sync(table)
    table.write_text("product_id,price\nA,7\nX,8\nA,9\n")
    synced = client.sync(table)
    assert (synced.count.changed, synced.count.left_out, synced.count.contradicting) == (1, 1, 1)
    assert [problem.product_id for problem in synced.problems] == ["X"]
    assert (catalog["A"].price, catalog["A"].title) == (7, "Skirt")


def test_lists_name_the_photos_of_each_product_where_that_is_asked(shop, table):
    client, catalog = shop
    table.write_text("product_id,photo\nA,red.png\nB,green.png\n")
    client.sync(table)
    url = client._transport.url
    page = web.get(f"{url}/v1/products", params={"crops": "true", "limit": 1}).json()
    assert page["crops"] == {"A": [crop.crop_id for crop in catalog.crops("A")]}
    assert (page["next"], "crops" in web.get(f"{url}/v1/products").json()) == ("A", False)


def test_a_category_that_no_dictionary_knows_is_learned_from_products_that_are_put(tmp_path, monkeypatch):
    encoder = Encoder.open()
    kinds = encoder.columns[KIND]
    rows = np.random.default_rng(5).normal(size=(6, encoder.dim)).astype(np.float32)
    rows[:, kinds] = part({"bag": 0.8, "top": 0.2})
    entries = [
        Entry(Product(f"p{n}", category="Zorbs"), [Crop(f"p{n}/1", f"p{n}", "shop", picture(RED))], row[None])
        for n, row in enumerate(rows)
    ]
    with fill(tmp_path / "shop", encoder, entries) as catalog, serving(encoder, catalog, learns_soon=True) as address:
        answer = web.patch(f"{address}/v1/product?id=p0", json={"category": "Zorbs"})
        assert answer.status_code == 200, answer.text

        async def learned() -> None:
            while catalog.entries(["p5"])["p5"].vectors[0, kinds][NAMES.index("bag")] < 1:
                await asyncio.sleep(0.02)

        asyncio.run(asyncio.wait_for(learned(), 60))
