"""Searchers as actors of Ray: placed on different nodes, started again where they die, queried all at once."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from osoroi.catalog.address import Place
from osoroi.catalog.store.settings import Shard
from osoroi.cluster.messages import ShardAnswer, ShardQuery, ShardStatus, packed, unpacked
from osoroi.cluster.plan import NAMESPACE, ClusterPlan
from osoroi.cluster.shard import ShardSearcher
from osoroi.errors import CatalogUnavailable, OsoroiError, extra
from osoroi.index import IndexHealth

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""Seconds that a search waits for a searcher before it asks the other ones of that shard, too."""

ANSWER_S = 15.0
"""Seconds until a search is given up; the service gives a request a little more."""

DOWN_S = 5.0
"""Seconds for which a searcher that failed is asked only where there is no other."""

OPEN_S = 10.0
"""Seconds that a searcher which is building its shard lets a search wait."""

RETRY_S = 1.0
"""Seconds between two attempts to open the catalog."""

WATCH_S = 2.0
"""Seconds between two checks of all searchers."""

PREPARE_S = (5.0, 60.0)
"""Seconds, at least and at most, between two looks for an encoder that the catalog is moving to."""

PREPARE_SHARE = 0.05
"""Share of a searcher's time that these looks take between both."""


class SearcherActor:
    """The actor: a shard that is opened in the background, so that it comes up while the database is away.

    It is tried again after ``retry_s``, and prepared after the first of ``prepare_s`` at least, the second at most.
    """

    def __init__(
        self, place: Place, shard: Shard, *, retry_s: float = RETRY_S, prepare_s: tuple[float, float] = PREPARE_S
    ) -> None:
        logging.basicConfig(level=logging.INFO)
        self._shard = shard
        self._retry_s = retry_s
        self._prepare_s = prepare_s
        self._opened = threading.Event()
        self._searcher: ShardSearcher | None = None
        threading.Thread(target=self._open, args=(place,), name="open", daemon=True).start()

    def _open(self, place: Place) -> None:
        while self._searcher is None:
            try:
                self._searcher = ShardSearcher(place, self._shard)
            except Exception as error:  # noqa: BLE001 - a thread that ended would leave the shard closed for good
                log.warning("shard %d cannot be opened just now: %s", self._shard.number, said_by(error))
                time.sleep(self._retry_s)
        self._opened.set()
        self._prepare(self._searcher)

    def _prepare(self, searcher: ShardSearcher) -> None:
        least_s, most_s = self._prepare_s
        wait_s = least_s
        while True:
            time.sleep(wait_s)
            before = time.monotonic()
            try:
                searcher.prepare()
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("shard %d cannot be prepared just now: %s", self._shard.number, said_by(error))
            wait_s = min(most_s, max(least_s, (time.monotonic() - before) / PREPARE_SHARE))

    def search(self, query: bytes) -> bytes:
        """See ``ShardSearcher.search``, both packed; raises CatalogUnavailable where the shard takes long to open."""
        return packed(self._ready().search(unpacked(query)))

    def status(self) -> ShardStatus:
        """See ``ShardSearcher.status``."""
        return self._ready().status()

    def health(self) -> IndexHealth | None:
        """See ``ShardSearcher.health``."""
        return self._ready().health()

    def is_open(self) -> bool:
        """Whether it can answer."""
        return self._opened.is_set()

    def _ready(self) -> ShardSearcher:
        if not self._opened.wait(OPEN_S) or self._searcher is None:
            raise CatalogUnavailable(
                f"shard {self._shard.number} of {self._shard.of} is being opened", hint="try again in a moment"
            )
        return self._searcher


class Searchers:
    """All searchers of a plan. Threads may share it; each process that asks has one of its own."""

    def __init__(self, plan: ClusterPlan) -> None:
        self._ray = ray = extra("ray", "cluster")
        errors = ray.exceptions
        self._gone = (errors.RayActorError, errors.NodeDiedError, errors.WorkerCrashedError)
        self._plan = plan
        self._kind = ray.remote(SearcherActor)
        self._groups = [self._group(shard) for shard in range(plan.shards)]
        self._actors = {
            (shard, replica): self._actor(shard, replica)
            for shard in range(plan.shards)
            for replica in range(plan.replicas)
        }
        self._failed: dict[tuple[int, int], float] = {}  # searcher -> when it failed last
        self._turn = 0
        self.missing: list[tuple[int, int]] = []  # as of the last check

    def _group(self, shard: int) -> Any:
        """Room for the searchers of a shard, on different nodes where there are as many."""
        from ray.util.placement_group import placement_group

        name = f"shard-{self._plan.name}-{shard}"
        try:
            return self._ray.util.get_placement_group(name)
        except ValueError:  # there is none of this name
            bundles = [{"CPU": self._plan.cpus}] * self._plan.replicas
            return placement_group(bundles, strategy="SPREAD", name=name, lifetime="detached")

    def _actor(self, shard: int, replica: int) -> Any:
        """The actor of this name, made where there is none."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        where = PlacementGroupSchedulingStrategy(self._groups[shard], placement_group_bundle_index=replica)
        options = {
            "name": self._plan.searcher(shard, replica),
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "lifetime": "detached",
            "max_restarts": -1,
            "enable_task_events": False,  # a record of each search would cost as much as the message
            "max_concurrency": self._plan.threads,
            "num_cpus": self._plan.cpus,
            "scheduling_strategy": where,
        }
        return self._kind.options(**options).remote(self._plan.place, self._plan.shard(shard))

    def search(self, query: ShardQuery) -> Sequence[ShardAnswer]:
        """The answer of every shard. A searcher that fails is replaced by another of its shard."""
        self._turn += 1
        data = packed(query)
        sent = {shard: self._send(shard, self._order(shard)[0], data) for shard in range(self._plan.shards)}
        try:
            return [unpacked(one) for one in self._ray.get([ref for _, ref in sent.values()], timeout=PATIENCE_S)]
        except (*self._gone, self._ray.exceptions.GetTimeoutError):
            return self._search_others(data, sent)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, CatalogUnavailable):
                return self._search_others(data, sent)
            raise cause_of(error) from None

    def _send(self, shard: int, replica: int, query: bytes) -> tuple[int, Any]:
        return replica, self._actors[shard, replica].search.remote(query)

    def _order(self, shard: int) -> list[int]:
        """The searchers of a shard, in turn, those that failed lately last."""
        now = time.monotonic()
        count = self._plan.replicas
        in_turn = [(self._turn + at) % count for at in range(count)]
        return sorted(in_turn, key=lambda replica: self._failed.get((shard, replica), -DOWN_S) > now - DOWN_S)

    def _search_others(self, query: bytes, sent: dict[int, tuple[int, Any]]) -> list[ShardAnswer]:
        """What was not answered at once, from whichever searcher answers first."""
        end = time.monotonic() + ANSWER_S
        waiting = {ref: (shard, replica) for shard, (replica, ref) in sent.items()}
        asked = [replica for replica, _ in sent.values()]
        answers: dict[int, ShardAnswer] = {}
        patience_s = 0.0  # it has been waited already
        while len(answers) < self._plan.shards:
            done, _ = self._ray.wait(list(waiting), timeout=patience_s)
            patience_s = PATIENCE_S
            for ref in done:
                shard, replica = waiting.pop(ref)
                answer = self._answer(ref, shard, replica)
                if answer is not None:
                    answers.setdefault(shard, answer)
            if time.monotonic() > end:
                missing = [shard for shard in range(self._plan.shards) if shard not in answers]
                raise CatalogUnavailable(
                    f"no searcher of shards {missing} of {self._plan.shards} answers", hint="try again in a moment"
                )
            under_way = Counter(shard for shard, _ in waiting.values())
            for shard in set(range(self._plan.shards)) - set(answers):
                if under_way[shard] < (1 if done else min(2, self._plan.replicas)):
                    self._failed[shard, asked[shard]] = time.monotonic()  # or it hangs
                    asked[shard] = next((one for one in self._order(shard) if one != asked[shard]), asked[shard])
                    replica, ref = self._send(shard, asked[shard], query)
                    waiting[ref] = (shard, replica)
        return [answers[shard] for shard in range(self._plan.shards)]

    def _answer(self, ref: Any, shard: int, replica: int) -> ShardAnswer | None:
        """An answer; None where the searcher failed, which is noted."""
        try:
            return unpacked(self._ray.get(ref))
        except self._gone as error:
            self._failed[shard, replica] = time.monotonic()
            log.warning("searcher %d of shard %d failed: %s", replica, shard, type(error).__name__)
            if isinstance(error, self._ray.exceptions.ActorDiedError):  # for good: Ray starts others again by itself
                self._actors[shard, replica] = self._actor(shard, replica)
            time.sleep(0.05)
        except self._ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, CatalogUnavailable):
                raise cause_of(error) from None
            self._failed[shard, replica] = time.monotonic()
            time.sleep(0.05)
        return None

    def watch(self) -> None:
        """Check again and again which searchers answer, on a thread that ends with the process."""
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                self.missing = self.absent()
            except self._ray.exceptions.RayError as error:
                log.warning("the searchers cannot be checked just now: %s", error)
            time.sleep(WATCH_S)

    def absent(self) -> list[tuple[int, int]]:
        """Searchers that do not answer now, as shard and replica."""
        asked = {one: actor.is_open.remote() for one, actor in self._actors.items()}
        done, _ = self._ray.wait(list(asked.values()), num_returns=len(asked), timeout=PATIENCE_S)
        ready = set(done)
        return [one for one, ref in asked.items() if ref not in ready or not self._is_open(ref)]

    def _is_open(self, ref: Any) -> bool:
        try:
            return bool(self._ray.get(ref))
        except self._ray.exceptions.RayError:
            return False

    def statuses(self) -> list[ShardStatus]:
        """What every searcher says of itself, the replicas of a shard one after another."""
        return self._ray.get([actor.status.remote() for actor in self._actors.values()])

    def healths(self) -> list[IndexHealth | None]:
        """How well the index of each shard finds, as one searcher of it says; it reads all vectors."""
        return self._ray.get(
            [self._actors[shard, self._order(shard)[0]].health.remote() for shard in range(self._plan.shards)]
        )

    def stop(self) -> None:
        """End every searcher, and give back their places."""
        for actor in self._actors.values():
            self._ray.kill(actor, no_restart=True)
        for group in self._groups:
            self._ray.util.remove_placement_group(group)


def said_by(error: Exception) -> str:
    """An error in one line of a log."""
    return str(error) if isinstance(error, OsoroiError) else f"{type(error).__name__}: {error}"


def cause_of(error: Any) -> BaseException:
    """The error of this package that a task raised, or what Ray makes of it."""
    return error.cause if isinstance(error.cause, OsoroiError) else error
