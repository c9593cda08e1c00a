"""Start the application on a cluster of Ray, and end it with the signal that ends the command."""

import logging
import signal
import threading
from collections.abc import Callable

from osoroi.cluster.plan import NAMESPACE, ClusterPlan
from osoroi.cluster.searchers import Searchers
from osoroi.cluster.serving import application
from osoroi.errors import BadRequest

log = logging.getLogger("osoroi.cluster")

LOCAL = "local"
"""In place of an address: one node on this machine, for as long as the command runs."""


def run(
    plan: ClusterPlan,
    address: str,
    host: str,
    port: int,
    *,
    ended: threading.Event | None = None,
    on_start: Callable[[Searchers], None] = lambda searchers: None,
) -> None:
    """Serve until a signal, or until ``ended`` is set. Raises BadRequest where no cluster answers at the address."""
    import ray
    from ray import serve

    connect(address)
    try:
        serve.start(http_options={"host": host, "port": port})
        serve.run(application(plan), name=plan.name, route_prefix="/")
        searchers = Searchers(plan)
        log.info("serving on http://%s:%d: %d shards, %d searchers each", host, port, plan.shards, plan.replicas)
        on_start(searchers)
        (ended or _signalled()).wait()
        serve.delete(plan.name)
        searchers.stop()
    finally:
        ray.shutdown()


def connect(address: str) -> None:
    """Join the cluster at an address."""
    import ray

    try:
        if address == LOCAL:
            ray.init(namespace=NAMESPACE, include_dashboard=False)
        else:
            ray.init(address=address, namespace=NAMESPACE, ignore_reinit_error=True)
    except (ConnectionError, ValueError) as error:
        raise BadRequest(
            f"no cluster of Ray answers at {address!r}: {error}",
            hint="start one with 'ray start --head', or give --ray local",
        ) from error


def _signalled() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    ended = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: ended.set())
    return ended
