"""``/v1``: what programs send and get."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from osoroi.catalog.local import LocalCatalog
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.settings import Settings
from shop import BLUE, GREEN, RED, WHITE, SeeingEncoder, ThreadDecoder, fill, goods, picture

READ, WRITE = "r" * 20, "w" * 20


def client_of(application: FastAPI, **options: Any) -> TestClient:
    return TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False, **options)


@pytest.fixture
def encoder() -> SeeingEncoder:
    return SeeingEncoder()


@pytest.fixture
def catalog(tmp_path: Path, encoder: SeeingEncoder) -> Iterator[LocalCatalog]:
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


@pytest.fixture
def client(encoder: SeeingEncoder, catalog: LocalCatalog) -> Iterator[TestClient]:
    with client_of(app.make(Searcher(encoder, catalog), decoder=ThreadDecoder())) as client:
        yield client


def search(client: TestClient, photo: bytes | None = None, **fields: str) -> Any:
    files = [("photo", ("snap.png", photo))] if photo else []
    parts = [(name, (None, value)) for name, value in fields.items()]
    return client.post("/v1/search", files=[*files, *parts] or {"photo": ("", b"")})


def found(client: TestClient, photo: bytes | None = None, **fields: str) -> list[str]:
    answer = search(client, photo, **fields)
    assert answer.status_code == 200, answer.text
    return [hit["product_id"] for hit in answer.json()["hits"]]


# -------------------------------------------------------------------- searching


def test_a_red_photo_finds_the_red_product_and_the_answer_is_that_of_search_json(client, encoder):
    answer = search(client, picture(RED), k="2").json()
    assert set(answer) == {"hits", "probability", "nothing_like_it", "encoder", "detail", "took_s"}
    assert answer["encoder"] == encoder.fingerprint
    assert answer["detail"] is None
    first = answer["hits"][0]
    assert set(first) == {
        "rank",
        "product_id",
        "score",
        "crop_id",
        "photo",
        "parts",
        "product",
        "probability",
        "other_kind",
    }
    assert client.get(first["photo"]).headers["content-type"] == "image/jpeg"
    assert (first["rank"], first["product_id"], first["crop_id"]) == (1, "P1", "P1/0")
    assert first["score"] == pytest.approx(1, abs=1e-4)  # the same pixels: both cosines are 1
    assert first["parts"] == pytest.approx({"deep": 1, "detail": 1}, abs=1e-4)
    assert first["product"]["url"] == "https://shop.example/1"
    assert len(answer["hits"]) == 2


def test_scores_are_the_weighed_cosines_computed_by_hand(client, encoder):
    """Query: left half red, right half blue, no box. TinyEncoder: both parts see the mean colour (110, 30, 110)."""
    query = np.array([1, 110 / 64 - 2, 30 / 64 - 2, 110 / 64 - 2])
    stored = np.array([1, 120 / 64 - 2, 30 / 64 - 2, 120 / 64 - 2])  # P4's first photo
    other = np.array([1, 110 / 64 - 2, 30 / 64 - 2, 130 / 64 - 2])  # its second
    cosines = [query @ one / np.linalg.norm(query) / np.linalg.norm(one) for one in (stored, other)]
    hit = search(client, picture(RED, BLUE)).json()["hits"][0]
    assert (hit["product_id"], hit["crop_id"]) == ("P4", ["P4/0", "P4/1"][int(np.argmax(cosines))])
    assert hit["score"] == pytest.approx(max(cosines), abs=2e-3)


def test_a_box_asks_for_what_is_inside_it(client):
    half_and_half = picture(RED, BLUE, width=80)
    assert found(client, half_and_half, box="0,0,40,80", k="1") == ["P1"]
    assert found(client, half_and_half, box="40,0,80,80", k="1") == ["P3"]


def test_filters_hold_as_text_and_as_json(client):
    assert found(client, picture(RED), where="category = tops and price <= 5000") == ["P3"]
    assert found(client, picture(RED), where='{"column": "sale", "=": true}') == ["P3"]
    assert set(found(client, picture(RED), where="not sale")) == {"P1", "P2", "P4", "P5"}


def test_the_slider_changes_the_score_as_its_weights_say(client):
    """Top half red, bottom blue: the tiny encoder's `deep` sees red, its `detail` purple."""
    pixels = np.zeros((80, 60, 3), np.uint8)
    pixels[:40], pixels[40:] = RED, BLUE
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert found(client, file.getvalue(), detail="0", k="1") == ["P1"]
    assert found(client, file.getvalue(), detail="1", k="1") == ["P4"]
    hits = {
        slider: search(client, file.getvalue(), detail=slider, k="5").json()["hits"] for slider in ("0", "0.25", "1")
    }
    for hit in hits["0.25"]:
        assert hit["score"] == pytest.approx(0.75 * hit["parts"]["deep"] + 0.25 * hit["parts"]["detail"], abs=1e-5)


def test_more_like_this_leaves_the_product_itself_out(client):
    assert "P4" not in found(client, product_id="P4")
    assert found(client, crop_id="P4/1", k="1") == found(client, product_id="P4", k="1")
    assert "P1" not in found(client, crop_id="P1/0", box="0,0,30,40")


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({}, 400, "one of photo, crop_id and product_id"),
        ({"product_id": "P1", "crop_id": "P1/0"}, 400, "crop_id and product_id"),
        ({"product_id": "P1", "k": "0"}, 400, "from 1 to 200write it like k=10"),
        ({"product_id": "P1", "k": "201"}, 400, "from 1 to 200write it like k=10"),
        ({"product_id": "P1", "k": "1_0"}, 400, "from 1 to 200write it like k=10"),
        ({"product_id": "P1", "offset": "-1"}, 400, "write it like offset=0"),
        ({"product_id": "P1", "detail": "nan"}, 400, "from 0 to 1"),
        ({"product_id": "P1", "detail": "1.1"}, 400, "from 0 to 1"),
        ({"product_id": "P1", "box": "1,2,3,4"}, 400, "crop_id"),
        ({"crop_id": "P1/0", "box": "1,2,3"}, 400, "left,top,right,bottom"),
        ({"crop_id": "P1/0", "box": "0,0,999,20"}, 422, "does not fit"),
        ({"product_id": "P1", "where": "colour = red"}, 400, "no column 'colour'"),
        ({"product_id": "P1", "where": "price <="}, 400, "expected a value"),
        ({"product_id": "P1", "topk": "5"}, 400, "no field is called 'topk'"),
        ({"product_id": "P9"}, 404, "no product 'P9'"),
        ({"crop_id": "../../etc/passwd"}, 404, "no crop"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_the_one_form(client, fields, status, says):
    answer = search(client, **fields)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "hint"}
    assert says in answer.json()["error"] + answer.json()["hint"]
    assert answer.json()["hint"]


def test_no_answer_says_where_the_shop_keeps_its_files(client, catalog):
    (catalog.folder / "photos").rename(catalog.folder / "elsewhere")
    answers = [
        search(client, crop_id="P1/0", box="0,0,20,20"),
        search(client, product_id="no such"),
        client.get("/v1/photos/P1%2F0"),
        client.get("/v1/products/none"),
        client.get("/", params={"crop": "P1/0"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    for answer in answers:
        assert str(catalog.folder.parent) not in answer.text


# -------------------------------------------------------------------- products


def put(client: TestClient, product_id: str, *photos: bytes, headers: dict[str, str] | None = None, **fields: object):
    files = [("photo", ("p.png", photo)) for photo in photos] + [
        (name, (None, value if isinstance(value, str) else json.dumps(value))) for name, value in fields.items()
    ]
    return client.put(f"/v1/products/{product_id}", files=files, headers=headers)


def test_what_is_put_is_found_and_what_is_deleted_is_gone(client):
    pink = picture((250, 120, 180))
    answer = put(client, "pink%2F1", pink, pink, product={"title": "Pink", "price": 10, "attributes": {"size": 38}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["product"]["attributes"] == {"size": 38.0}
    (crop,) = answer.json()["crops"]  # the same photo twice is one photo
    assert client.get(crop["photo"]).headers["content-type"] == "image/jpeg"
    assert found(client, pink, k="1", where="size = 38") == ["pink/1"]
    assert client.get("/v1/products/pink%2F1").json() == {
        "product": answer.json()["product"],
        "crops": answer.json()["crops"],
    }
    again = put(client, "pink%2F1", pink, product={"title": "Pink", "price": 10, "attributes": {"size": 38}})
    assert again.json()["seq"] == answer.json()["seq"]  # the same again is no change
    assert client.delete("/v1/products/pink%2F1").json() == {"removed": ["pink/1"]}
    assert client.delete("/v1/products/pink%2F1").status_code == 404
    assert client.get("/v1/products/pink%2F1").status_code == 404
    assert "pink/1" not in found(client, pink)


def test_putting_replaces_photos_and_boxes_choose_their_part(client):
    photo = picture(WHITE, GREEN, width=80)
    answer = put(client, "P1", photo, box="40,0,80,80", product={"title": "Now green"})
    assert answer.json()["crops"][0]["box"] == [40, 0, 80, 80]
    hits = search(client, picture(GREEN)).json()["hits"]
    assert {hits[0]["product_id"], hits[1]["product_id"]} == {"P1", "P2"}  # both are plain green now
    assert hits[1]["score"] == pytest.approx(1, abs=1e-3)
    assert client.get("/v1/products/P1").json()["product"]["price"] is None


def test_a_photo_that_cannot_be_read_changes_nothing(client):
    before = client.get("/v1/products/P1").json()
    answer = put(client, "P1", picture(GREEN), b"no photo at all", product={"title": "Broken"})
    assert answer.status_code == 422
    assert client.get("/v1/products/P1").json() == before


@pytest.mark.parametrize(
    ("photos", "fields", "says"),
    [
        (0, {"product": {"title": "none"}}, "needs a photo"),
        (1, {"product": {"colour": "red"}}, "colour"),
        (1, {"product": {"price": -1}}, "price"),
        (1, {"product": {"attributes": {"": 1}}}, "attributes"),
        (1, {"product": "{"}, "JSON"),
        (1, {"product": {"title": "a\r\nSet-Cookie: b"}}, "title"),
        (1, {"box": "1,2"}, "left,top,right,bottom"),
        (1, {"price": "3"}, "no field is called 'price'"),
        (2, {"box": "0,0,20,20"}, "one box for each photo"),
    ],
)
def test_a_product_that_makes_no_sense_is_refused(client, photos, fields, says):
    answer = put(client, "X", *[picture(RED), picture(BLUE)][:photos], **fields)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"] + answer.json()["hint"]
    assert client.get("/v1/products/X").status_code == 404


def test_patching_changes_what_is_sent_and_leaves_the_rest(client):
    answer = client.patch("/v1/products/P3", json={"price": 1900, "attributes": {"stock": 4, "sale": None}})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["price"], answer.json()["title"]) == (1900, "Blue top")
    assert found(client, picture(BLUE), where="price < 2000 and stock = 4") == ["P3"]
    assert found(client, picture(BLUE), where="sale") == []
    assert client.patch("/v1/products/P9", json={"price": 1}).status_code == 404
    assert client.patch("/v1/products/P3", json={}).status_code == 400
    assert client.patch("/v1/products/P3", content=b"[]").status_code == 400


def test_pages_show_every_product_once_in_the_order_of_ids(client):
    ids, after = [], None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = client.get("/v1/products", params=params).json()
        ids += [product["product_id"] for product in page["products"]]
        after = page["next"]
        if after is None:
            break
    assert ids == ["P1", "P2", "P3", "P4", "P5"]
    few = client.get("/v1/products", params={"where": "price <= 5000"}).json()["products"]
    assert [product["product_id"] for product in few] == ["P1", "P3"]
    assert client.get("/v1/products", params={"limit": 0}).status_code == 400


# -------------------------------------------------------------------- photos


def test_thumbnails_are_small_jpegs_that_a_browser_asks_for_once(client):
    put(client, "big", picture(RED, GREEN, width=900, height=1200))
    url = client.get("/v1/products/big").json()["crops"][0]["photo"]
    answer = client.get(f"{url}&width=200")
    assert Image.open(io.BytesIO(answer.content)).size == (240, 320)  # 200 is rounded up to a width that is kept
    assert answer.headers["content-type"] == "image/jpeg"
    tag = answer.headers["etag"]
    again = client.get(f"{url}&width=200", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{url}&width=640").headers["etag"] != tag
    assert client.get(f"{url}&width=2000").status_code == 400
    assert client.get("/v1/photos/nothing").status_code == 404


def test_the_same_photo_small_is_what_pillow_makes_of_it(client):
    """Left red, right green, whatever the way through resizing and JPEG."""
    put(client, "two", picture(RED, GREEN, width=900, height=1200))
    url = client.get("/v1/products/two").json()["crops"][0]["photo"]
    pixels = np.asarray(Image.open(io.BytesIO(client.get(url).content))).astype(int)
    assert np.abs(pixels[20, 20] - RED).max() < 12
    assert np.abs(pixels[20, -20] - GREEN).max() < 12


def test_what_the_foreground_head_passes_over_fades(client):
    """The encoder of these tests looks at the left half."""
    for answer in (
        client.get("/v1/photos/P1%2F0", params={"saliency": "true"}),
        client.post("/v1/saliency", files={"photo": ("snap.png", picture(RED))}),
    ):
        assert answer.status_code == 200, answer.text
        pixels = np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)
        assert np.abs(pixels[40, 4] - RED).max() < 25
        assert pixels[40, -4].min() > 190
    left = client.post("/v1/saliency", files={"photo": ("s.png", picture(RED))}, data={"box": "0,0,30,80"})
    pixels = np.asarray(Image.open(io.BytesIO(left.content))).astype(int)
    assert pixels[40, 40].min() > 190  # outside the box nothing is saliency at


# -------------------------------------------------------------------- keys, names, methods


def test_reading_and_writing_need_different_keys(encoder, catalog):
    settings = Settings(read_key=READ, write_key=WRITE)
    with client_of(app.make(Searcher(encoder, catalog), settings, decoder=ThreadDecoder())) as client:
        bearer = lambda key: {"Authorization": f"Bearer {key}"}  # noqa: E731
        statuses = [
            [client.get("/v1/products/P1", headers=headers).status_code,
             put(client, "N", picture(RED), headers=headers).status_code,
             client.get("/", headers=headers).status_code]
            for headers in ({}, bearer("x" * 20), bearer(READ), bearer(WRITE))
        ]  # fmt: skip
        assert statuses == [[401, 401, 401], [401, 401, 401], [200, 401, 200], [200, 200, 200]]
        assert client.get("/health").status_code == 200
        assert client.get("/", auth=("anyone", READ)).status_code == 200
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.headers["www-authenticate"].startswith("Basic")
        assert client.get("/v1/products").headers["www-authenticate"] == "Bearer"


def test_a_shop_for_everybody_is_written_with_a_key_alone(encoder, catalog):
    settings = Settings(write_key=WRITE, open_reads=True)
    with client_of(app.make(Searcher(encoder, catalog), settings, decoder=ThreadDecoder())) as client:
        assert found(client, picture(RED), k="1") == ["P1"]
        assert client.delete("/v1/products/P1").status_code == 401
        assert client.delete("/v1/products/P1", headers={"Authorization": f"Bearer {WRITE}"}).status_code == 200


def test_without_keys_other_names_of_this_machine_are_refused(client):
    """A page elsewhere whose name is made to lead here would otherwise read and write as if it were ours."""
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/health", headers={"Host": "localhost:8008"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/health", 405),
        ("GET", "/v1/search", 405),
        ("OPTIONS", "/v1/products", 405),
    ],
)
def test_what_the_framework_refuses_has_the_one_form_too(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "hint"}


def test_a_mistake_of_ours_tells_the_client_nothing(client, encoder, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(encoder, "weigh", broken)
    answer = search(client, picture(RED))
    assert answer.status_code == 500
    assert answer.json()["error"] == "the service made a mistake"
    assert "secret" not in answer.text


# -------------------------------------------------------------------- what watches and describes it


def test_health_and_metrics_say_what_happened(client):
    search(client, picture(RED))
    search(client, b"no photo")
    health = client.get("/health").json()
    assert (health["products"], health["runtime"]) == (5, "not measured")
    lines = client.get("/metrics").text.splitlines()
    assert 'osoroi_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in lines
    assert 'osoroi_requests_total{method="POST",route="/v1/search",status="422"} 1.0' in lines
    assert "osoroi_encoded_crops_total 1.0" in lines
    assert "osoroi_products 5.0" in lines
    assert 'osoroi_request_seconds_count{route="/v1/search"} 2.0' in lines


def test_the_openapi_document_names_every_route_and_the_one_error(client):
    document = client.get("/openapi.json").json()
    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        ("post", "/v1/search"), ("post", "/v1/find"),
            ("post", "/v1/saliency"), ("get", "/v1/photos/{crop_id}"), ("get", "/v1/products"),
        ("get", "/v1/products/{product_id}"), ("put", "/v1/products/{product_id}"), ("get", "/health"),
        ("patch", "/v1/products/{product_id}"), ("delete", "/v1/products/{product_id}"), ("get", "/metrics"),
        ("get", "/v1/facets"), ("get", "/v1/photo"), ("put", "/v1/products"), ("patch", "/v1/products"),
        ("get", "/v1/product"), ("put", "/v1/product"), ("patch", "/v1/product"), ("delete", "/v1/product"),
    }  # fmt: skip
    error = document["paths"]["/v1/search"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/ErrorResponse"}
