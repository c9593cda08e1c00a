"""One application of Ray Serve: servers of HTTP, an encoder that batches, and the searchers of every shard."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from osoroi.catalog.address import place_of
from osoroi.catalog.opening import open_catalog, open_encoder
from osoroi.catalog.store.settings import Settings as CatalogSettings
from osoroi.cluster.encoding import RemoteEncoder, batched
from osoroi.cluster.merging import ShardedSearch
from osoroi.cluster.plan import Plan
from osoroi.cluster.searchers import Searchers
from osoroi.errors import BadRequest, OtherEncoder
from osoroi.search import Searcher
from osoroi.server.configuration import Sources

log = logging.getLogger(__name__)

ROUTER = CatalogSettings(compacts=False)
"""Of the servers' own handles of the catalog, which hold no index."""

EVERYWHERE = "0.0.0.0"
"""Where the proxies of a config file listen, so that keys are needed."""

COUNTS = ("shards", "replicas", "servers", "encoders")
"""Numbers of a plan that a config file may say."""

ENCODER_S = 10.0
"""Seconds that the catalog may take to keep the file of an encoder once searches need it."""


class Server:
    """The deployment that answers HTTP: the application of ``osoroi serve``, over shards and a remote encoder."""

    def __init__(self, plan: Plan, encoder: Any) -> None:
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
        encoder = open_encoder(self._plan.place, None)
        catalog = open_catalog(self._plan.place, settings=ROUTER)
        try:
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

        return app.make(self._searcher(), self._plan.settings, reopen=self._searcher)


def application(plan: Plan) -> Any:
    """The application of a plan, to be run by ``serve.run``."""
    from ray import serve

    takes = {"num_cpus": plan.cpus}
    encoder = serve.deployment(
        name="encoder", num_replicas=plan.encoders, ray_actor_options=takes, max_ongoing_requests=64
    )(batched())
    server = serve.deployment(
        name="server", num_replicas=plan.servers, ray_actor_options=takes, max_ongoing_requests=256
    )(serve.ingress()(Server))
    return server.bind(plan, encoder.bind(plan.place, max(1, int(plan.cpus))))


def configured(values: dict[str, Any]) -> Any:
    """The application for ``args`` of a config file of Ray Serve, as ``planned`` reads them."""
    return application(planned(values))


def planned(values: dict[str, Any]) -> Plan:
    """The plan that a config file says; keys come from the environment.

    ``catalog`` is an address; ``shards``, ``replicas``, ``servers``, ``encoders`` and ``cpus`` are those of ``Plan``;
    ``open_reads`` lets everybody search. Raises BadRequest for any other, and without keys.
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
    return Plan(place, **{name: values[name] for name in (*COUNTS, "cpus") if name in values}, settings=settings)
