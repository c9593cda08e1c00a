"""One application of Ray Serve: servers of HTTP, an encoder that batches, and the searchers of every shard."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from osoroi.catalog.address import place_of
from osoroi.catalog.opening import encoder_of, open_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.cluster.encoding import RemoteEncoder, batched
from osoroi.cluster.merging import ShardedSearch
from osoroi.cluster.plan import ClusterPlan
from osoroi.cluster.searchers import Searchers
from osoroi.errors import BadRequest, OtherEncoder
from osoroi.search import Searcher
from osoroi.server.configuration import Sources

log = logging.getLogger(__name__)

ROUTER = CatalogSettings(compacts=False)
"""Of the servers' own handles of the catalog, which hold no index."""

EVERYWHERE = "0.0.0.0"
"""Where the proxies of a config file listen, so that keys are needed."""

COUNTS = ("shards", "replicas", "servers", "encoders", "max_servers", "max_encoders")
"""Numbers of a plan that a config file may say."""

ONGOING = 4
"""Requests that each process should have in process and waiting; where there are more, another one is started."""

UP_S, DOWN_S = 5.0, 300.0
"""Seconds for which there have to be too many requests, or too few, before processes are started, or ended."""

ENCODER_S = 10.0
"""Seconds that the catalog may take to keep the file of an encoder once searches need it."""


class HttpDeployment:
    """The deployment that answers HTTP: the application of ``osoroi serve``, over shards and a remote encoder."""

    def __init__(self, plan: ClusterPlan, encoder: Any) -> None:
        logging.basicConfig(level=logging.INFO)
        self._plan = plan
        self._encoder = encoder
        self._searchers = Searchers(plan)
        self._searchers.watch()
        self._search = ShardedSearch(self._searchers.search, self._searchers.healths, self._missing)

    def _missing(self) -> list[str]:
        return [f"searcher {replica} of shard {shard}" for shard, replica in self._searchers.missing]

    def _searcher(self) -> Searcher:
        """The catalog as it is now, searched in shards, with the encoder it has now.

        Just after a move to another encoder its file is still being written to the catalog, which is waited for.
        """
        end = time.monotonic() + ENCODER_S
        while True:
            try:
                return self._opened()
            except OtherEncoder:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def _opened(self) -> Searcher:
        catalog = open_catalog(self._plan.place, settings=ROUTER)
        try:
            encoder = encoder_of(catalog)
            if encoder.fingerprint != catalog.fingerprint:
                raise OtherEncoder(
                    f"the catalog {catalog.location} has vectors of encoder {catalog.fingerprint[:12]}, and keeps no "
                    "file of that encoder",
                    hint="name the file in 'osoroi reencode' or 'osoroi add'; the catalog keeps it",
                )
            catalog.search_elsewhere(self._search)
            return Searcher(RemoteEncoder(encoder, self._encoder), catalog)
        except BaseException:
            catalog.close()
            raise

    def __serve_build_asgi_app__(self) -> FastAPI:
        from osoroi.server import app
        from osoroi.server.decoding.pool import DecodingPool

        settings = self._plan.settings
        return app.make(self._searcher(), settings, decoder=DecodingPool.of(settings), reopen=self._searcher)


def application(plan: ClusterPlan) -> Any:
    """The application of a plan, to be run by ``serve.run``."""
    from ray import serve

    takes = {"num_cpus": plan.cpus}
    encoders = replicas(plan.encoders, plan.max_encoders)
    encoder = serve.deployment(name="encoder", ray_actor_options=takes, max_ongoing_requests=64, **encoders)(batched())
    servers = replicas(plan.servers, plan.max_servers)
    server = serve.deployment(name="server", ray_actor_options=takes, max_ongoing_requests=256, **servers)(
        serve.ingress()(HttpDeployment)
    )
    return server.bind(plan, encoder.bind(plan.place, max(1, int(plan.cpus))))


def replicas(least: int, most: int) -> dict[str, Any]:
    """How many processes of a kind there are: a number, or as many as requests in process and waiting call for.

    >>> replicas(2, 0)
    {'num_replicas': 2}
    """
    if most <= least:
        return {"num_replicas": least}
    scaling = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": ONGOING, "upscale_delay_s": UP_S}
    return {"autoscaling_config": scaling | {"initial_replicas": least, "downscale_delay_s": DOWN_S}}


def configured(values: dict[str, Any]) -> Any:
    """The application for ``args`` of a config file of Ray Serve, as ``planned`` reads them."""
    return application(planned(values))


def planned(values: dict[str, Any]) -> ClusterPlan:
    """The plan that a config file says; keys come from the environment.

    ``catalog`` is an address; ``shards``, ``replicas``, ``servers``, ``encoders`` and ``cpus`` are those of
    ``ClusterPlan``; ``open_reads`` lets everybody search. Raises BadRequest for any other, and without keys.
    """
    kinds = {"catalog": str, "open_reads": bool, "cpus": float} | dict.fromkeys(COUNTS, int)
    unknown = sorted(set(values) - set(kinds))
    if unknown or "catalog" not in values:
        raise BadRequest(
            f"the config file says {', '.join(unknown) or 'no catalog'}", hint=f"it may say {', '.join(sorted(kinds))}"
        )
    values = {name: float(value) if name == "cpus" and type(value) is int else value for name, value in values.items()}
    for name, value in values.items():
        if type(value) is not kinds[name]:
            raise BadRequest(f"the config file says {name}: {value!r}", hint=f"it is a {kinds[name].__name__}")
    keys = {"read_key": os.environ.get("OSOROI_READ_KEY"), "write_key": os.environ.get("OSOROI_WRITE_KEY")}
    path = os.environ.get("OSOROI_KEYS")
    who = {**keys, "open_reads": values.get("open_reads", False)}
    settings = Sources(EVERYWHERE, who, None, Path(path) if path else None).load()
    place = place_of(values["catalog"])
    return ClusterPlan(place, **{name: values[name] for name in (*COUNTS, "cpus") if name in values}, settings=settings)
