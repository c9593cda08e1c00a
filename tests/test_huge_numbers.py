"""Whole numbers that no float holds, numbers of more digits than Python reads, and nesting without end: refused."""

import json
from collections.abc import Callable

import pytest

from osoroi.client import values
from osoroi.data.products import rows_of
from osoroi.data.readers import open_dataset
from osoroi.data.readers.table_recipe import read_recipe
from osoroi.errors import BadRequest, OsoroiError
from osoroi.experiment import plan
from osoroi.pretrained.settings import from_toml
from osoroi.records import Box, as_value
from osoroi.server import configuration, keyring
from osoroi.server.search_request import kind_of
from shop import RED, SeeingEncoder, fill, picture
from shops import create, entry

HUGE = "9" * 400


def test_probabilities_of_kinds_that_no_float_holds_are_refused():
    for value in (HUGE, "-" + HUGE, "9" * 5000, "1e400", "NaN"):
        with pytest.raises(BadRequest, match="no probabilities of kinds"):
            kind_of(f'{{"skirt": {value}}}')


def test_a_box_of_huge_numbers_is_no_box():
    with pytest.raises(BadRequest, match="is no box"):
        Box.of([0, 0, int(HUGE), 3])


def test_a_product_with_a_huge_number_is_refused(tmp_path):
    encoder = SeeingEncoder()
    for fields in ({"price": int(HUGE)}, {"wool": int(HUGE)}, {"sizes": [38, int(HUGE)]}):
        (row,) = rows_of([{"product_id": "p", "photo": picture(RED), **fields}])
        one = entry("p", [0.0] * encoder.dim)
        with fill(tmp_path / "shop", encoder, []) as catalog, pytest.raises(BadRequest, match="has the value inf"):
            catalog.put([one._replace(product=row.product)], fingerprint=encoder.fingerprint)


def test_a_change_to_a_huge_number_is_refused(tmp_path):
    with create(tmp_path / "shop", entry("p", [1, 0, 0, 0])) as catalog:
        for value in (as_value(int(HUGE)), float("nan")):
            with pytest.raises(BadRequest, match="finite"):
                catalog.patch("p", {"attributes.a": value})


def test_a_huge_number_in_json_lines_is_text_as_it_is_in_csv(tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{{"photo": "a.jpg", "product_id": "p", "serial": {HUGE}}}\n')
    (tmp_path / "a.csv").write_text(f"photo,product_id,serial\na.jpg,p,{HUGE}\n")
    for name in ("a.jsonl", "a.csv"):
        (row,) = open_dataset(f"table:{tmp_path / name}").rows()
        assert row.product.attributes == {"serial": HUGE}


def test_an_answer_with_huge_numbers_gives_infinite_ones():
    product = values.product_of({"product_id": "p", "price": None, "attributes": {"n": int(HUGE)}})
    assert product.attributes["n"] == float("inf")


TOML = (
    f"answer_s = {HUGE}",
    f"searches = {HUGE}",
    "searches = " + "1" * 5000,
    "searches = " + "[" * 100_000,
    'a = "\xff',
)
READERS: dict[str, Callable] = {
    "settings": configuration.limits_in,
    "keys": keyring.read,
    "recipe": lambda path: read_recipe(str(path)),
    "plan": plan.read,
    "backbone": from_toml,
}


@pytest.mark.parametrize("reader", READERS)
def test_toml_beyond_what_python_reads_is_an_error_of_ours(tmp_path, reader):
    path = tmp_path / "file.toml"
    for content in TOML:
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(OsoroiError, match=r"file\.toml"):
            READERS[reader](path)


def test_the_service_refuses_them_all(tmp_path):
    """Each number in each place of a request where one may stand: an error of the request, never of the service."""
    from starlette.testclient import TestClient

    from osoroi.search import Searcher
    from osoroi.server import app
    from shop import ThreadDecoder, goods

    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        application = app.make(Searcher(encoder, catalog), decoder=ThreadDecoder())
        with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            for number in (HUGE, "-" + HUGE, "9" * 5000, "1e400", "NaN", "-Infinity", "-1", "0.5", "1_0", "\u0663", ""):
                photo = {"photo": ("a.png", picture(RED))}
                for name in ("k", "offset", "detail", "box", "detail_box"):
                    text = f"0,0,{number},{number}" if "box" in name else number
                    answer = client.post("/v1/search", files=photo, data={name: text, "detail_from": "navy"})
                    assert answer.status_code in (200, 400, 422), (name, number, answer.text)
                    assert client.get("/", params={name: text, "above": number, "crop": "P1/0"}).status_code < 500
                kind = {"kind": f'{{"skirt": {number}}}'}
                assert client.post("/v1/search", files=photo, data=kind).status_code in (200, 400)
                for where in (f"price < {number}", f'{{"column": "price", "<": {number}}}', f"sale in ({number})"):
                    assert client.get("/v1/products", params={"where": where, "limit": 3}).status_code in (200, 400)
                assert client.get("/v1/products", params={"limit": number}).status_code in (200, 400)
                assert client.get("/v1/photo", params={"id": "P1/0", "width": number}).status_code in (200, 400)
                for body in (f'{{"price": {number}}}', f'{{"attributes": {{"a": [{number}]}}}}'):
                    assert client.patch("/v1/products/P1", content=body).status_code in (200, 400)
                    lines = f'{{"product_id": "P1", {body[1:]}'
                    answer = client.patch(
                        "/v1/products", content=lines, headers={"Content-Type": "application/x-ndjson"}
                    )
                    assert json.loads(answer.text)["status"] in (200, 400)
