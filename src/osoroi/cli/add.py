"""``osoroi add``: add products to a catalog."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from osoroi import ingest
from osoroi.catalog.address import Place, folder_of
from osoroi.catalog.opening import fastest
from osoroi.cli import incoming, new_catalog, options, progress, text
from osoroi.errors import PARTLY, BadDataset
from osoroi.records import Problem
from osoroi.tables import WHOLE, Shard


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("dataset")
@incoming.recipe
@incoming.private_links
@click.option("--shard", metavar="I/N", help="Add part I of N of the products, such as 2/8; by a hash of the ids.")
@options.encoder
@options.threads
@options.device
@options.measure
@options.as_json
def command(
    catalog: Place,
    dataset: str,
    recipe: str | None,
    private_links: bool,
    shard: str | None,
    encoder: Path | None,
    threads: int,
    providers: Sequence[str] | None,
    measure: bool,
    as_json: bool,
) -> None:
    """Embed the products of DATASET, a table or folder or name:path, and store them in CATALOG.

    CATALOG is created if it is missing. Adding the same data again changes nothing, and an interrupted run continues
    where it stopped. Lines and photos that cannot be read are listed at the end and in CATALOG/unreadable.csv, and the
    exit code is 3 then. Photos behind links are fetched. 'osoroi sync' also removes what the table has no longer.

    \b
    osoroi add shop products.csv
    osoroi add shop products_export.csv --recipe shopify
    osoroi add 'postgresql://user@host/db?schema=shop' products.csv --shard 2/8
    """
    part = WHOLE if shard is None else Shard.parse(shard)
    source = incoming.opened(dataset, recipe, shard=part)
    if not source.has_photos:
        raise BadDataset(
            f"{dataset} has no column of photos", hint="osoroi sync changes prices and the like by such a table"
        )
    problems: list[Problem] = []
    with new_catalog.opened(catalog, encoder, threads=threads, providers=providers) as (products, model):
        fast = fastest(model, threads=threads, bulk=True) if measure else model
        incoming.fetched(source, folder_of(catalog), private=private_links)
        with progress.counting("products", source.total) as show:
            try:
                count = ingest.add(
                    source.rows(),
                    products,
                    fast,
                    threads=threads,
                    on_problem=problems.append,
                    on_progress=lambda so_far: show(so_far.stored + so_far.left_out),
                )
            except KeyboardInterrupt:
                text.warn("what was added stays; the same command goes on from there")
                raise
        incoming.judged(products)
        if not count.stored and (part == WHOLE or count.left_out or source.bad_lines):
            raise nothing(dataset, count, [str(error.problem) for error in source.bad_lines], problems)
    incoming.left_out(folder_of(catalog), source.bad_lines, problems)
    if count.contradicting:
        text.warn(f"{count.contradicting:,} rows contradict the first row of their product, which decides")
    if as_json:
        text.show_json(asdict(count) | {"bad_lines": len(source.bad_lines)})
    else:
        text.show(
            f"{count.added} added, {count.changed} changed, {count.unchanged} unchanged, "
            f"{count.left_out} left out; {count.embedded} crops embedded, {count.unreadable} unreadable, "
            f"{count.dropped} dropped"
        )
    if source.bad_lines or problems:
        sys.exit(PARTLY)


def nothing(dataset: str, count: ingest.Count, lines: list[str], problems: list[Problem]) -> BadDataset:
    """The error for a data set of which nothing could be stored."""
    first = next(iter([*lines, *(problem.reason for problem in problems)]), "")
    return BadDataset(
        f"{dataset} gave no product with a readable shop photo ({count.unreadable} unreadable, "
        f"{count.street} street crops, {len(lines)} lines left out){f': {first}' if first else ''}",
        hint="check the paths in it, and that shop photos have the domain 'shop'",
    )
