"""Adding a table on all nodes: parts of it as tasks of Ray, each of which adds its products as one machine would.

A part is chosen by a hash of the product's id. A task that was lost with its node runs again elsewhere, and finds in
the catalog what it had committed; so does a run that was stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from osoroi import categories, ingest
from osoroi.catalog.address import Place, folder_of
from osoroi.catalog.opening import encoder_of, fastest, open_catalog
from osoroi.cluster.run import connect
from osoroi.cluster.searchers import cause_of
from osoroi.data.tabular import BadLine
from osoroi.errors import Busy, CatalogUnavailable, extra
from osoroi.records import Problem
from osoroi.tables import LINKS, WHOLE, Incoming, TableShard, open_incoming

TASKS_PER_WORKER = 4
"""Parts for each task that runs at one time, so that nobody waits long for the last one."""

LINES_PER_TASK = 256
"""Lines of a table that are worth a task."""

RETRIES = 5
"""How often a part is begun again whose node or worker died, or whose catalog could not be reached."""


@dataclass(frozen=True)
class TablePart:
    """What became of a part of a table."""

    count: ingest.Count
    bad_lines: Sequence[BadLine]
    problems: Sequence[Problem]


@dataclass(frozen=True)
class BulkTask:
    """How each part is added: with the catalog's own encoder, by so many threads."""

    place: Place
    dataset: str
    private_links: bool = False
    threads: int = 1
    providers: Sequence[str] | None = None
    measure: bool = False

    def settle(self) -> None:
        """Settle once what the parts have written."""
        with open_catalog(self.place) as catalog:
            encoder = encoder_of(catalog, threads=self.threads, providers=self.providers)
            categories.settle(catalog, categories.reader(catalog, encoder), [], changed=0)

    def run(self, shard: TableShard) -> TablePart:
        """Add a part, on the node where this is called; the kinds of its products are left to ``settle``."""
        source, problems = open_incoming(self.dataset, shard=shard), list[Problem]()
        with open_catalog(self.place) as catalog:
            source.keep_stored(catalog.get_many)
            source.fetch(folder_of(self.place) / LINKS, private=self.private_links, on_progress=lambda count: None)
            encoder = encoder_of(catalog, threads=self.threads, providers=self.providers)
            if self.measure:
                encoder = fastest(encoder, threads=self.threads, bulk=True)
            count = ingest.add(
                source.rows(),
                catalog,
                encoder,
                threads=self.threads,
                settles=False,
                on_problem=problems.append,
            )
        return TablePart(count, source.bad_lines, problems)


def add(
    task: BulkTask,
    source: Incoming,
    address: str,
    *,
    lines_per_task: int = LINES_PER_TASK,
    on_progress: Callable[[int], None] = lambda done: None,
) -> TablePart:
    """Add a table to a catalog that is there. ``on_progress`` gets the products done so far, part by part.

    A part that was begun again counts what its first attempt had stored as unchanged, and not as embedded.
    """
    ray = extra("ray", "cluster")
    connect(address)
    try:
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // task.threads)
        lines = -(-source.total // lines_per_task) if source.total else TASKS_PER_WORKER * workers
        of = max(1, min(TASKS_PER_WORKER * workers, lines))
        run = ray.remote(BulkTask.run).options(
            num_cpus=task.threads,
            num_gpus=int(any("CUDA" in one for one in task.providers or ())),
            max_retries=RETRIES,
            retry_exceptions=[Busy, CatalogUnavailable],
            scheduling_strategy="SPREAD",
        )
        waiting = [run.remote(task, WHOLE if of == 1 else TableShard(number, of)) for number in range(1, of + 1)]
        parts: list[TablePart] = []
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                parts += ray.get(done)
            except ray.exceptions.RayError as error:
                for one in waiting:
                    ray.cancel(one)
                raise failure(error) from None
            on_progress(sum(part.count.stored + part.count.left_out for part in parts))
        task.settle()
        return together(parts)
    finally:
        ray.shutdown()


def failure(error: Any) -> BaseException:
    """The error of ours for what Ray raises of a part: what the part raised, or the loss of its worker or node."""
    if hasattr(error, "cause"):  # a RayTaskError
        return cause_of(error)
    kind, what = type(error).__name__, str(error).partition("\n")[0]
    return CatalogUnavailable(
        f"a part of the table was lost again and again with its worker or node ({kind}: {what})",
        hint="what was committed stays; add the table again, with fewer `threads` if memory ran out",
    )


def together(parts: Sequence[TablePart]) -> TablePart:
    """What became of all parts.

    >>> one, other = ingest.Count(added=2, embedded=3), ingest.Count(added=1)
    >>> counts = together([TablePart(one, (), ()), TablePart(other, (), ())]).count
    >>> counts.added, counts.embedded
    (3, 3)
    """
    counts = ingest.Count(*(sum(numbers) for numbers in zip(*(astuple(part.count) for part in parts), strict=True)))
    lines = [line for part in parts for line in part.bad_lines]
    return TablePart(counts, lines, [problem for part in parts for problem in part.problems])
