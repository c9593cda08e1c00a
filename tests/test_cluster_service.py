"""What the service and its command do about a cluster, without one: attempts, what is missing, what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import web
from osoroi.catalog.address import place_of
from osoroi.catalog.local import LocalCatalog
from osoroi.cli.serve import command
from osoroi.cluster.plan import ClusterPlan
from osoroi.errors import BadRequest, CatalogUnavailable
from osoroi.search import Searcher
from osoroi.server import app, run
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, serving


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


class Faltering:
    """An index outside the process that is away for the first search, and whose searchers are named as missing."""

    def __init__(self, catalog: LocalCatalog, failures: int) -> None:
        self.catalog, self.failures = catalog, failures

    def nearest(self, catalog, query, k, where, without):
        if self.failures:
            self.failures -= 1
            raise CatalogUnavailable("the catalog cannot be reached")
        return self.catalog.nearest(query, k, where=where, without=without)

    def health(self) -> None:
        return None

    def missing(self) -> list[str]:
        return ["searcher 1 of shard 0"]


def test_a_search_that_lost_its_connection_is_done_once_more_and_health_names_what_is_missing(catalog):
    with LocalCatalog.open(catalog.folder) as router:
        router.search_elsewhere(Faltering(catalog, failures=3))
        with serving(SeeingEncoder(), router) as url, web.Client(base_url=url) as client:
            statuses = [client.post("/v1/search", files={"photo": picture(RED)}).status_code for _ in range(3)]
            assert statuses == [503, 200, 200], "the first met two failures, the second one"
            health = client.get("/health")
            assert (health.status_code, health.json()["missing"]) == (200, ["searcher 1 of shard 0"])
            assert "osoroi_searchers_missing 1.0" in client.get("/metrics").text


def test_the_service_runs_on_asyncio_whatever_is_installed_beside_it(catalog):
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    assert run.config(application, "127.0.0.1", 0).loop == "asyncio", "uvloop has transports of its own"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shop", "--ray", "auto"], "is a folder of this machine"),
        (["postgresql://db/shops", "--ray", "auto", "--encoder", "FILE"], "the encoder that the catalog keeps"),
        (["postgresql://db/shops", "--ray", "auto", "--encoders", "FILE"], "the encoder that the catalog keeps"),
    ],
)
def test_a_cluster_takes_nothing_that_only_this_machine_has(arguments, says, tmp_path):
    file = tmp_path / "encoder.onnx"
    file.touch()
    pytest.importorskip("psycopg", reason="needs the package psycopg: pip install 'osoroi[postgres]'")
    words = ["serve", "--port", "0", *(str(file) if word == "FILE" else word for word in arguments)]
    with pytest.raises(BadRequest, match=says):
        CliRunner().invoke(command, words[1:], catch_exceptions=False)


def test_a_cluster_starts_more_processes_where_requests_queue():
    serving = pytest.importorskip(
        "osoroi.cluster.serving", reason="needs the package ray: pip install 'osoroi[cluster]'"
    )
    pytest.importorskip("ray.serve", reason="needs the package ray: pip install 'osoroi[cluster]'")
    plan = ClusterPlan(place_of("postgresql://db/shops"), servers=2, max_servers=5, encoders=3)
    server = serving.application(plan)._bound_deployment
    scaling = server._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (2, 5, serving.ONGOING)
    encoder = server.init_args[1]._bound_deployment
    assert (encoder.num_replicas, encoder._deployment_config.autoscaling_config) == (3, None)
    with pytest.raises(BadRequest, match="max_servers is 1, and servers 2"):
        ClusterPlan(place_of("postgresql://db/shops"), servers=2, max_servers=1)


@pytest.mark.parametrize("name", ["shards", "replicas", "servers", "encoders", "threads"])
def test_a_cluster_has_at_least_one_of_everything(name):
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(BadRequest, match=f"0 {name}"):
        ClusterPlan(place_of("postgresql://db/shops"), **settings)
