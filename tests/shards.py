"""A catalog that is searched in shards, all in this process: the rules of merging without Ray."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.settings import CatalogSettings, Shard
from osoroi.catalog.stored import StoredCatalog
from osoroi.cluster.merging import ShardedSearch
from osoroi.cluster.messages import ShardAnswer, ShardQuery
from osoroi.cluster.shard import HISTORY, ShardSearcher


def nothing() -> None:
    """What is done between a search's view of the catalog and its questions to the shards, by default."""


@contextlib.contextmanager
def sharded(
    place: Place, of: int, *, between: Callable[[], object] = nothing, history: int = HISTORY, **sizes
) -> Iterator[StoredCatalog]:
    """The catalog there, searched in shards. ``between`` runs after the view of each search was taken, and then every
    shard catches up, so that it has gone further than the view."""
    settings = [CatalogSettings(shard=Shard(number, of), history=history, **sizes) for number in range(of)]
    searchers = [ShardSearcher(place, one.shard, settings=one) for one in settings]

    def ask(query: ShardQuery) -> Sequence[ShardAnswer]:
        between()
        if between is not nothing:
            for searcher in searchers:
                searcher.catch_up()
        return [searcher.search(query) for searcher in searchers]

    with contextlib.ExitStack() as stack:
        for searcher in searchers:
            stack.callback(searcher.close)
        catalog = stack.enter_context(open_catalog(place))
        catalog.search_elsewhere(ShardedSearch(ask, lambda: [searcher.health() for searcher in searchers]))
        yield catalog
