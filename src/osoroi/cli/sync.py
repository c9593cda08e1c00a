"""``osoroi sync``: make a catalog equal to a table."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import click

from osoroi import patches, staging
from osoroi import sync as syncing
from osoroi.catalog.address import folder_of
from osoroi.catalog.opening import encoder_of, is_catalog, open_catalog
from osoroi.cli import incoming, new_catalog, progress, text
from osoroi.errors import PARTLY, BadDataset, Busy, OsoroiError
from osoroi.file_hashes import Stamp, stamp_of
from osoroi.records import Problem
from osoroi.shared_photos import SharedPhotos
from osoroi.sync import SyncCount
from osoroi.tables import Incoming
from osoroi.wishes import MOST_REMOVED

POLL_S = 2.0
"""Seconds between two looks at a table that is watched."""


class SyncTask(NamedTuple):
    """What one run of the command does."""

    given: incoming.ImportOptions
    yes: bool = False


@click.command()
@incoming.with_import_options
@click.option("--yes", is_flag=True, help="Remove however many products the table has no longer.")
@click.option("--watch", is_flag=True, help="Stay, and sync whenever the table's file changes.")
def command(given: incoming.ImportOptions, yes: bool, watch: bool) -> None:
    """Make CATALOG equal to DATASET: add, change and remove products, in one commit.

    Searches see all of it or nothing. Where more than a fifth of the catalog would be removed, nothing happens without
    --yes. Lines and photos that cannot be read leave their products as they are; they are listed, also in
    CATALOG/unreadable.csv, and the exit code is 3 then. A table without photos changes the columns it has, by
    product_id, and removes nothing.

    \b
    osoroi sync shop products.csv
    osoroi sync shop prices.csv
    """
    task = SyncTask(given, yes)
    if not watch:
        if not once(task):
            sys.exit(PARTLY)
        return
    name = given.dataset
    path = Path(name.partition(":")[2].partition("?")[0] if name.startswith("table:") else name)
    if not path.is_file():
        raise BadDataset(f"there is no table {path} to watch", hint="name a file")
    last: Stamp | None = None
    while True:
        last = changed_since(path, last)
        try:
            once(task)
        except Busy as error:
            text.warn(f"error: {error}")
            last = None  # the same table once more
            time.sleep(POLL_S)
        except OsoroiError as error:
            text.warn(f"error: {error}")


def changed_since(path: Path, last: Stamp | None) -> Stamp:
    """Wait until a file is another than it was, and has stopped growing."""
    before = None
    while True:
        now = stamp_of(path)
        if now is not None and now != last and (now == before or last is None):
            return now
        before = now
        time.sleep(POLL_S)


def once(task: SyncTask) -> bool:
    """Sync once; whether everything could be read."""
    given = task.given
    source = given.opened()
    if not source.has_photos and not is_catalog(given.catalog):
        raise BadDataset(
            f"there is no catalog {given.catalog}", hint="a table without photos changes one that is there"
        )
    problems: list[Problem] = []
    photos = SharedPhotos()
    count = patched(given, source) if not source.has_photos else synced(task, source, problems, photos)
    incoming.left_out(folder_of(given.catalog), source.bad_lines, problems)
    if source.has_photos and source.spared() is None:
        text.warn("nothing was removed: it is not known whose the lines are that cannot be read")
    incoming.warned(source, photos, contradicting=count.contradicting, new=count.added + count.changed)
    if given.as_json:
        text.show_json(asdict(count) | {"bad_lines": len(source.bad_lines)})
    else:
        text.show(
            f"{count.added} added, {count.changed} changed, {count.unchanged} unchanged, {count.removed} removed, "
            f"{count.left_out} left out; {count.embedded} crops embedded, {count.unreadable} unreadable"
        )
    return not (source.bad_lines or problems or count.left_out)


def synced(task: SyncTask, source: Incoming, problems: list[Problem], photos: SharedPhotos) -> SyncCount:
    """Sync with a table that has photos, which are noted."""
    given = task.given
    with new_catalog.opened(given.catalog, given.encoder, threads=given.threads) as (products, model):
        incoming.keep_stored(source, products)
        incoming.fetched(source, folder_of(given.catalog), private=given.private_links)
        with progress.counting("products", source.total) as show:
            try:
                count = syncing.sync(
                    photos.watch(source.rows()),
                    products,
                    model,
                    staging=folder_of(given.catalog) / staging.FILE,
                    spared=source.spared,
                    most_removed=1.0 if task.yes else MOST_REMOVED,
                    threads=given.threads,
                    on_problem=problems.append,
                    on_progress=lambda done, total: show(done),
                )
            except KeyboardInterrupt:
                text.warn("what was embedded stays; the same command goes on from there")
                raise
        incoming.judged(products, added=count.added)
        return count


def patched(given: incoming.ImportOptions, source: Incoming) -> SyncCount:
    """Change what a table without photos says."""
    with open_catalog(given.catalog) as products:
        incoming.keep_stored(source, products)
        changes = source.changes()
        if not changes:
            raise BadDataset(f"{given.dataset} has no line that can be read", hint="nothing was changed")
        model = encoder_of(products, given.encoder, threads=given.threads)
        unknown: list[str] = []
        count = patches.patch(changes, products, model, unknown.append)
        held = {one.casefold(): one for one in products.product_ids()} if unknown else {}
    for product_id in unknown:
        near = held.get(product_id.casefold())
        text.warn(f"not in the catalog: {product_id}" + (f"; it has {near}, in other capitals" if near else ""))
    count.contradicting = source.contradicting
    return count
