"""What stands where in a cluster: how many shards, how many searchers of each, and what each takes."""

import hashlib
from dataclasses import dataclass, field

from osoroi.catalog.address import Place
from osoroi.catalog.store.settings import Shard
from osoroi.errors import BadRequest
from osoroi.server.settings import Settings

NAMESPACE = "osoroi"
"""Of the actors in Ray."""


@dataclass(frozen=True)
class ClusterPlan:
    """One catalog, searched by ``replicas`` searchers for each of ``shards``, behind ``servers`` of HTTP.

    ``cpus`` is what one process of any kind takes of a node; a searcher also has ``threads`` for searches at one time.
    Ray Serve starts up to ``max_servers`` and ``max_encoders`` where requests queue; 0 is for no more than those.
    """

    place: Place
    shards: int = 1
    replicas: int = 2
    servers: int = 2
    encoders: int = 1
    cpus: float = 1.0
    threads: int = 4
    max_servers: int = 0
    max_encoders: int = 0
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for name in ("shards", "replicas", "servers", "encoders", "threads"):
            if getattr(self, name) < 1:
                raise BadRequest(f"{getattr(self, name)} {name} serve nothing", hint="give 1 or more")
        for most, least in (("max_servers", "servers"), ("max_encoders", "encoders")):
            if getattr(self, most) and getattr(self, most) < getattr(self, least):
                raise BadRequest(
                    f"{most} is {getattr(self, most)}, and {least} {getattr(self, least)}", hint=f"give {least} or more"
                )

    @property
    def name(self) -> str:
        """A name of this catalog, this cut into shards, for what runs in Ray."""
        return f"{hashlib.sha256(str(self.place).encode()).hexdigest()[:12]}-{self.shards}"

    def searcher(self, shard: int, replica: int) -> str:
        """The name of a searcher's actor."""
        return f"searcher-{self.name}-{shard}-{replica}"

    def shard(self, number: int) -> Shard:
        """A shard of the catalog."""
        return Shard(number, self.shards)
