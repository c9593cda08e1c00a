"""Every route and the right that it needs. A route that stands in no row here fails the tests."""

import itertools
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.keys import RIGHTS, Right, of
from osoroi.server.settings import Settings
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, routes_of

NEEDED: dict[tuple[str, str], Right | None] = {
    ("GET", "/"): "search",
    ("POST", "/"): "search",
    ("POST", "/results"): "search",
    ("GET", "/static"): "search",
    ("GET", "/widget.js"): "search",
    ("GET", "/openapi.json"): "search",
    ("HEAD", "/openapi.json"): "search",
    ("GET", "/health"): None,
    ("GET", "/metrics"): "metrics",
    ("POST", "/v1/find"): "search",
    ("POST", "/v1/search"): "search",
    ("POST", "/v1/saliency"): "search",
    ("GET", "/v1/products"): "search",
    ("GET", "/v1/facets"): "search",
    ("GET", "/v1/products/{product_id:path}"): "search",
    ("GET", "/v1/product"): "search",
    ("GET", "/v1/photo"): "search",
    ("GET", "/v1/photos/{crop_id:path}"): "search",
    ("PUT", "/v1/products"): "write",
    ("PATCH", "/v1/products"): "write",
    ("PUT", "/v1/products/{product_id:path}"): "write",
    ("PATCH", "/v1/products/{product_id:path}"): "write",
    ("DELETE", "/v1/products/{product_id:path}"): "write",
    ("PUT", "/v1/product"): "write",
    ("PATCH", "/v1/product"): "write",
    ("DELETE", "/v1/product"): "write",
}
"""What each route needs; None is open to everybody."""

OPENED: dict[str, set[Right | None]] = {
    "none": {None},
    "wrong": {None},
    "search": {None, "search"},
    "write": {None, "search", "write"},
    "metrics": {None, "metrics"},
}
"""What the holder of a key with one right may do."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    encoder = SeeingEncoder()
    keys = tuple(of(right * 8, right, (right,)) for right in RIGHTS)
    with fill(tmp_path_factory.mktemp("rights") / "shop", encoder, goods(encoder)) as catalog:
        yield TestClient(app.make(Searcher(encoder, catalog), Settings(keys=keys), decoder=ThreadDecoder()))


def test_every_route_has_a_right(client):
    served = {
        (method, route.path) for route in routes_of(client.app) for method in getattr(route, "methods", None) or ["GET"]
    }
    assert served == set(NEEDED)


@pytest.mark.parametrize(("method", "path"), NEEDED)
@pytest.mark.parametrize("prefix", ["", "/find"])
def test_a_route_opens_for_its_right_alone(client, method, path, prefix):
    address = path.replace("{product_id:path}", "P1").replace("{crop_id:path}", "P1%2F0")
    address = f"{prefix}{address}{'/page.css' if path == '/static' else ''}"
    service = client.app.state.service
    service.settings = Settings(keys=service.settings.keys, root_path=prefix)
    files = {"photo": picture(RED)} if method == "POST" else None
    methods = [method, "HEAD"] if method == "GET" else [method]
    for name, one in itertools.product(OPENED, methods):
        key = {"none": "", "wrong": "x" * 40}.get(name, name * 8)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = client.request(one, address, headers=headers, files=files, follow_redirects=False)
        assert (answer.status_code != 401) == (NEEDED[method, path] in OPENED[name]), (one, address, name)
        assert answer.status_code < 500


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_that_no_route_has_opens_nothing(client, method):
    for path in ("/v1/products/P1", "/metrics", "/"):
        assert client.request(method, path, headers={"Authorization": f"Bearer {'search' * 8}"}).status_code == 401
        assert client.request(method, path, headers={"Authorization": f"Bearer {'write' * 8}"}).status_code in (
            401,
            405,
        )
