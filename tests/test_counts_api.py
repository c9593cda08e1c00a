"""Totals and facets of the API: exact under a filter, and few at a time."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from osoroi.catalog.local import LocalCatalog
from osoroi.errors import TooMuch
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.counting import Counting
from shop import GREEN, RED, SeeingEncoder, ThreadDecoder, fill, goods, picture


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


@pytest.fixture
def client(catalog: LocalCatalog) -> Iterator[TestClient]:
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    with TestClient(application, base_url="http://127.0.0.1") as client:
        yield client


def facets(client: TestClient, where: str | None = None) -> dict[str, object]:
    answer = client.get("/v1/facets", params={"where": where} if where else {}).json()
    shown = {
        one["column"]: {choice["value"]: choice["products"] for choice in one["choices"]} or (one["least"], one["most"])
        for one in answer["facets"]
    }
    return {"total": answer["total"], **shown}


def test_facets_count_the_products_that_match(client):
    assert facets(client) == {
        "total": 5,
        "category": {"skirts": 2, "tops": 2, "coats": 1},
        "price": (2900.0, 19900.0),
        "brand": {"Aoi": 2, "Nord": 2},
        "attributes.sale": {"yes": 1, "no": 1},
    }
    counted = facets(client, "brand = Aoi and price < 3500")
    assert counted["total"] == 1
    assert counted["category"] == {"skirts": 0, "tops": 1, "coats": 0}
    assert counted["attributes.sale"] == {"yes": 1, "no": 0}


def test_counts_follow_every_change(client):
    assert facets(client, "category = tops")["total"] == 2
    assert client.delete("/v1/product", params={"id": "P3"}).status_code == 200
    assert facets(client, "category = tops")["total"] == 1
    assert client.patch("/v1/product", params={"id": "P1"}, json={"category": "tops"}).status_code == 200
    assert facets(client, "category = tops")["total"] == 2


def test_a_search_and_a_list_say_how_many_match_when_they_are_asked(client):
    fields = {"k": (None, "1"), "where": (None, "price < 6000"), "total": (None, "true")}
    answer = client.post("/v1/search", files={"photo": picture(RED), **fields}).json()
    assert (len(answer["hits"]), answer["total"]) == (1, 3)
    look = client.post("/v1/search", files={"photo": picture(GREEN), "look": (None, "1"), **fields}).json()
    assert look["total"] == 3
    pages = client.get("/v1/products", params={"limit": 2, "total": True, "where": "price < 6000"}).json()
    assert (len(pages["products"]), pages["total"]) == (2, 3)
    assert "total" not in client.get("/v1/products").json()
    assert client.post("/v1/search", files={"photo": picture(RED), "total": (None, "many")}).status_code == 400


def test_a_filter_that_cannot_be_read_or_costs_too_much_is_not_counted(client):
    for where in ("price <", " or ".join(f"title = a{number}" for number in range(50))):
        assert client.get("/v1/facets", params={"where": where}).status_code == 400


def test_few_counts_wait_and_the_rest_are_refused(catalog):
    async def crowd() -> list[int]:
        hold, counted = threading.Event(), []

        async def read(work):
            def held():
                found = work(catalog)
                if found is not None:
                    counted.append(found)
                    hold.wait(60)
                return found

            return await asyncio.to_thread(held)

        counting = Counting(read, 2)
        first = [asyncio.ensure_future(counting.of(f"price > {number}")) for number in range(2)]
        while not counted:
            await asyncio.sleep(0.01)
        with pytest.raises(TooMuch, match="2 counts wait already"):
            await counting.of(None)
        assert len(counted) == 1  # one at a time
        hold.set()
        totals = [(await one).total for one in first]
        again = await counting.of("price > 1")
        return [*totals, again.total, len({id(one) for one in counted})]

    assert asyncio.run(crowd()) == [5, 5, 5, 2]  # the third is remembered
