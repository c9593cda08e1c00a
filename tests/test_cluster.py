"""The service on a real cluster of Ray and a real PostgreSQL answers as one machine, and goes on where parts die."""

import io
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

import clusters
import osoroi
import postgres
import web
from osoroi.catalog.address import place_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]
PRODUCTS = 6


def photo(number: int) -> bytes:
    """A photo of coloured squares."""
    data = io.BytesIO()
    squares = np.random.default_rng(number).integers(0, 255, (8, 6, 3), np.uint8)
    Image.fromarray(np.kron(squares, np.ones((20, 20, 1), np.uint8))).save(data, "PNG")
    return data.getvalue()


class Serving:
    """The service of a plan, on nodes that a test may kill."""

    def __init__(self, address: str, nodes: clusters.Nodes) -> None:
        from osoroi.cluster import run
        from osoroi.cluster.plan import ClusterPlan

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.nodes = nodes
        self.plan = ClusterPlan(place_of(address), shards=2, replicas=2, servers=1, cpus=0.1)
        self._ended, self._started = threading.Event(), threading.Event()

        def on_start(searchers) -> None:
            self.searchers = searchers
            self._started.set()

        def serve() -> None:
            try:
                run.run(self.plan, nodes.address, "127.0.0.1", port, ended=self._ended, on_start=on_start)
            finally:
                self._started.set()

        self._thread = threading.Thread(target=serve)
        self._thread.start()
        self._started.wait()
        self.client = web.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self.client.close()
        self._ended.set()
        self._thread.join()

    def found(self, number: int, **fields) -> list[tuple[str, float]]:
        """Products and scores for a photo; fails for any status but 200."""
        files = {"photo": ("a.png", photo(number), "image/png")}
        response = self.client.post("/v1/search", files=files, data=fields)
        assert response.status_code == 200, response.text
        return [(hit["product_id"], hit["score"]) for hit in response.json()["hits"]]

    def missing(self) -> list[str]:
        """Searchers that the service says are away."""
        return self.client.get("/health").json()["missing"]


@pytest.fixture(scope="module")
def address(postgres_url, tmp_path_factory):
    before = os.environ.get("OSOROI_CACHE")
    os.environ["OSOROI_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    address = postgres.schema_of(postgres_url)
    with osoroi.create(address) as shop:
        shop.add([(osoroi.Product(f"p{one}", price=float(one)), [photo(one)]) for one in range(PRODUCTS)])
    yield address
    postgres.drop(address)
    os.environ.pop("OSOROI_CACHE") if before is None else os.environ.update(OSOROI_CACHE=before)


@pytest.fixture(scope="module")
def serving(address):
    with clusters.nodes() as nodes:
        service = Serving(address, nodes)
        yield service
        service.stop()


def test_a_cluster_answers_as_one_machine_and_goes_on_where_searchers_die(serving, address):
    import ray

    with osoroi.open(address) as shop:
        expected = [[(hit.product_id, hit.score) for hit in shop.search(photo(one), k=4)] for one in range(PRODUCTS)]
        dear = [(hit.product_id, hit.score) for hit in shop.search(photo(0), k=2, offset=1, where="price > 2")]
    assert [serving.found(one, k=4) for one in range(PRODUCTS)] == expected
    assert serving.found(0, k=2, offset=1, where="price > 2") == dear
    for shard in (0, 1):
        ray.kill(serving.searchers._actors[shard, 0], no_restart=False)
    assert [serving.found(one, k=4) for one in range(PRODUCTS)] == expected
    end = time.monotonic() + 60
    while serving.searchers.absent() and time.monotonic() < end:
        time.sleep(0.5)
    assert serving.searchers.absent() == [], "Ray starts them again"


def test_a_searcher_that_hangs_keeps_no_search_waiting_for_long(serving):
    import ray

    about = ray.get(serving.searchers._actors[1, 1].status.remote())
    os.kill(about.process, signal.SIGSTOP)
    try:
        before = time.monotonic()
        assert [len(serving.found(one, k=4)) for one in range(PRODUCTS)] == [4] * PRODUCTS
        assert time.monotonic() - before < 60, "searches that met it asked the other one"
    finally:
        os.kill(about.process, signal.SIGCONT)


def test_what_was_put_is_found_by_the_next_search_and_what_was_removed_by_none(serving):
    files = {"photo": ("a.png", photo(99), "image/png")}
    response = serving.client.put("/v1/products/new", files=files, data={"product": '{"title": "New"}'})
    assert response.status_code == 200, response.text
    assert serving.found(99, k=1)[0][0] == "new"
    assert serving.client.delete("/v1/products/new").status_code == 200
    assert serving.found(99, k=1)[0][0] != "new"


def test_the_service_says_which_searchers_are_missing(serving):
    import ray

    end = time.monotonic() + 60
    while serving.missing() and time.monotonic() < end:
        time.sleep(0.5)
    assert "osoroi_searchers_missing 0.0" in serving.client.get("/metrics").text
    ray.kill(serving.searchers._actors[1, 1], no_restart=True)
    end = time.monotonic() + 60
    while "searcher 1 of shard 1" not in serving.missing() and time.monotonic() < end:
        time.sleep(0.5)
    assert serving.missing() == ["searcher 1 of shard 1"]
    for one in range(PRODUCTS):
        serving.found(one)
    end = time.monotonic() + 60
    while serving.missing() and time.monotonic() < end:
        serving.found(0)
        time.sleep(0.5)
    assert serving.missing() == [], "a search makes what Ray gave up"
