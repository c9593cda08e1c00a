"""``osoroi add``: add products to a catalog."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import click

from osoroi import ingest
from osoroi.catalog.address import Place, folder_of
from osoroi.catalog.opening import fastest
from osoroi.cli import incoming, new_catalog, options, progress, text
from osoroi.data.tabular import BadLine
from osoroi.errors import PARTLY, BadDataset, BadRequest, extra
from osoroi.records import Problem
from osoroi.shared_photos import SharedPhotos
from osoroi.tables import WHOLE, Incoming, TableShard


class AddTask(NamedTuple):
    """What one run of the command does."""

    given: incoming.ImportOptions
    shard: TableShard
    ray_address: str | None
    providers: Sequence[str] | None
    measure: bool


@click.command()
@incoming.with_import_options
@click.option("--shard", metavar="I/N", help="Add part I of N of the products, such as 2/8; by a hash of the ids.")
@click.option(
    "--ray",
    "ray_address",
    metavar="ADDRESS",
    help="Embed on all nodes of a cluster of Ray: its address, as 10.0.0.5:6379, or auto, or local. CATALOG is in "
    "PostgreSQL, and every node reads DATASET and its photos at the same paths.",
)
@options.device
@options.measure
def command(
    given: incoming.ImportOptions,
    shard: str | None,
    ray_address: str | None,
    providers: Sequence[str] | None,
    measure: bool,
) -> None:
    """Embed the products of DATASET, a table or folder or name:path, and store them in CATALOG.

    CATALOG is created if it is missing. Adding the same data again changes nothing, and an interrupted run continues
    where it stopped. Lines and photos that cannot be read are listed at the end and in CATALOG/unreadable.csv, and the
    exit code is 3 then. Photos behind links are fetched. 'osoroi sync' also removes what the table has no longer.

    \b
    osoroi add shop products.csv
    osoroi add shop products_export.csv --recipe shopify
    osoroi add 'postgresql://user@host/db?schema=shop' products.csv --shard 2/8
    osoroi add 'postgresql://user@host/db?schema=shop' /mnt/shop/products.csv --ray auto
    """
    part = WHOLE if shard is None else TableShard.parse(shard)
    if ray_address is not None:
        demand_cluster(given.catalog, shard)
    source = given.opened(part)
    if not source.has_photos:
        raise BadDataset(
            f"{given.dataset} has no column of photos", hint="osoroi sync changes prices and the like by such a table"
        )
    problems: list[Problem] = []
    photos = SharedPhotos()
    count = added(AddTask(given, part, ray_address, providers, measure), source, problems, photos)
    incoming.left_out(folder_of(given.catalog), source.bad_lines, problems)
    incoming.warned(source, photos, contradicting=count.contradicting, new=count.added + count.changed)
    if given.as_json:
        text.show_json(asdict(count) | {"bad_lines": len(source.bad_lines)})
    else:
        text.show(
            f"{count.added} added, {count.changed} changed, {count.unchanged} unchanged, "
            f"{count.left_out} left out; {count.embedded} crops embedded, {count.unreadable} unreadable, "
            f"{count.dropped} dropped"
        )
    if source.bad_lines or problems:
        sys.exit(PARTLY)


def added(task: AddTask, source: Incoming, problems: list[Problem], photos: SharedPhotos) -> ingest.Count:
    """Store the products, here or on a cluster; photos that cannot be read go to ``problems``, all shop photos to
    ``photos``. Raises BadDataset where nothing could be stored."""
    given, ray_address = task.given, task.ray_address
    writing = new_catalog.opened(given.catalog, given.encoder, threads=given.threads, providers=task.providers)
    with writing as (products, model):
        incoming.keep_stored(source, products)
        fast = fastest(model, threads=given.threads, bulk=True) if task.measure and ray_address is None else model
        if ray_address is None:
            incoming.fetched(source, folder_of(given.catalog), private=given.private_links)
        with progress.counting("products", source.total) as show:
            try:
                if ray_address is not None:
                    count = on_ray(task, source, ray_address, problems, show)
                else:
                    count = ingest.add(
                        photos.watch(source.rows()),
                        products,
                        fast,
                        threads=given.threads,
                        on_problem=problems.append,
                        on_progress=lambda so_far: show(so_far.stored + so_far.left_out),
                    )
            except KeyboardInterrupt:
                text.warn("what was added stays; the same command goes on from there")
                raise
        incoming.judged(products, added=count.added)
        if not count.stored and (task.shard == WHOLE or count.left_out or source.bad_lines):
            raise nothing(given.dataset, count, source.bad_lines, problems)
    return count


def demand_cluster(catalog: Place, shard: str | None) -> None:
    """Raise BadRequest for what cannot be added on several machines."""
    if isinstance(catalog, Path):
        raise BadRequest(
            f"the catalog {catalog} is a folder of this machine", hint="give an address: postgresql://…?schema=…"
        )
    if shard is not None:
        raise BadRequest("--ray makes parts by itself", hint="leave out --shard")


def on_ray(
    task: AddTask, source: Incoming, address: str, problems: list[Problem], show: Callable[[int], None]
) -> ingest.Count:
    """Embed everything on a cluster, whose nodes read the table by themselves."""
    extra("ray", "cluster")
    from osoroi.cluster import bulk

    given = task.given
    job = bulk.BulkTask(given.catalog, source.name, given.private_links, given.threads, task.providers, task.measure)
    done = bulk.add(job, source, address, on_progress=show)
    source.bad_lines = list(done.bad_lines)
    problems += done.problems
    return done.count


def nothing(dataset: str, count: ingest.Count, lines: list[BadLine], problems: list[Problem]) -> BadDataset:
    """The error for a data set of which nothing could be stored, with the hint of a line where lines are why."""
    photos = "check the paths in it, and that shop photos have the domain 'shop'"
    reasons = [(text.with_options(problem.reason, incoming.OPTIONS), photos) for problem in problems]
    refused = [(error.problem, error.hint or photos) for error in lines]
    ordered = reasons + refused if len(reasons) > len(refused) else refused + reasons
    first, hint = next(iter(ordered), ("", photos))
    return BadDataset(
        f"{dataset} gave no product with a readable shop photo ({count.unreadable} unreadable, "
        f"{count.street} street crops, {len(lines)} lines left out){f': {first}' if first else ''}",
        hint=hint,
    )
