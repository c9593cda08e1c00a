"""``osoroi sync``: make a catalog equal to a table."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import click

from osoroi import patches, staging
from osoroi import sync as syncing
from osoroi.catalog.address import Place, folder_of
from osoroi.catalog.opening import encoder_of, is_catalog, open_catalog
from osoroi.cli import incoming, new_catalog, options, progress, text
from osoroi.errors import PARTLY, BadDataset, Busy, OsoroiError
from osoroi.records import Problem
from osoroi.sync import SyncCount
from osoroi.tables import Incoming
from osoroi.wishes import MOST_REMOVED

POLL_S = 2.0
"""Seconds between two looks at a table that is watched."""


class Task(NamedTuple):
    """What one run of the command does."""

    catalog: Place
    dataset: str
    recipe: str | None
    private_links: bool
    encoder: Path | None
    threads: int
    yes: bool
    as_json: bool


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("dataset")
@incoming.recipe
@click.option("--yes", is_flag=True, help="Remove however many products the table has no longer.")
@click.option("--watch", is_flag=True, help="Stay, and sync whenever the table's file changes.")
@incoming.private_links
@options.encoder
@options.threads
@options.as_json
def command(
    catalog: Place,
    dataset: str,
    recipe: str | None,
    yes: bool,
    watch: bool,
    private_links: bool,
    encoder: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Make CATALOG equal to DATASET: add, change and remove products, in one commit.

    Searches see all of it or nothing. Where more than a fifth of the catalog would be removed, nothing happens without
    --yes. Lines and photos that cannot be read leave their products as they are; they are listed, also in
    CATALOG/unreadable.csv, and the exit code is 3 then. A table without photos changes the columns it has, by
    product_id, and removes nothing.

    \b
    osoroi sync shop products.csv
    osoroi sync shop prices.csv
    """
    task = Task(catalog, dataset, recipe, private_links, encoder, threads, yes, as_json)
    if not watch:
        if not once(task):
            sys.exit(PARTLY)
        return
    path = Path(dataset.partition(":")[2].partition("?")[0] if dataset.startswith("table:") else dataset)
    if not path.is_file():
        raise BadDataset(f"there is no table {path} to watch", hint="name a file")
    last: staging.Stamp | None = None
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


def changed_since(path: Path, last: staging.Stamp | None) -> staging.Stamp:
    """Wait until a file is another than it was, and has stopped growing."""
    before = None
    while True:
        now = staging.stamp_of(path)
        if now is not None and now != last and (now == before or last is None):
            return now
        before = now
        time.sleep(POLL_S)


def once(task: Task) -> bool:
    """Sync once; whether everything could be read."""
    source = incoming.opened(task.dataset, task.recipe)
    if not source.has_photos and not is_catalog(task.catalog):
        raise BadDataset(f"there is no catalog {task.catalog}", hint="a table without photos changes one that is there")
    problems: list[Problem] = []
    count = patched(task, source) if not source.has_photos else synced(task, source, problems)
    incoming.left_out(folder_of(task.catalog), source.bad_lines, problems)
    if source.has_photos and source.spared() is None:
        text.warn("nothing was removed: it is not known whose the lines are that cannot be read")
    if count.contradicting:
        text.warn(f"{count.contradicting:,} rows contradict the first row of their product, which decides")
    if task.as_json:
        text.show_json(asdict(count) | {"bad_lines": len(source.bad_lines)})
    else:
        text.show(
            f"{count.added} added, {count.changed} changed, {count.unchanged} unchanged, {count.removed} removed, "
            f"{count.left_out} left out; {count.embedded} crops embedded, {count.unreadable} unreadable"
        )
    return not (source.bad_lines or problems or count.left_out)


def synced(task: Task, source: Incoming, problems: list[Problem]) -> SyncCount:
    """Sync with a table that has photos."""
    with new_catalog.opened(task.catalog, task.encoder, threads=task.threads) as (products, model):
        incoming.fetched(source, folder_of(task.catalog), private=task.private_links)
        with progress.counting("products", source.total) as show:
            count = syncing.sync(
                source.rows(),
                products,
                model,
                staging=folder_of(task.catalog) / staging.FILE,
                spared=source.spared,
                most_removed=1.0 if task.yes else MOST_REMOVED,
                threads=task.threads,
                on_problem=problems.append,
                on_progress=lambda done, total: show(done),
            )
        incoming.judged(products)
        return count


def patched(task: Task, source: Incoming) -> SyncCount:
    """Change what a table without photos says."""
    changes = source.changes()
    if not changes:
        raise BadDataset(f"{task.dataset} has no line that can be read", hint="nothing was changed")
    with open_catalog(task.catalog) as products:
        model = encoder_of(products, task.encoder, threads=task.threads)
        return patches.patch(changes, products, model, lambda one: text.warn(f"not in the catalog: {one}"))
