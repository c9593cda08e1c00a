"""``osoroi add``: products into a catalog."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import click

from osoroi import files, ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options, progress
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset
from osoroi.ingest import Problem

UNREADABLE = "unreadable.csv"
"""Inside the catalog's folder: what the last ``add`` could not read."""

SHOWN = 20
"""Problems that go to the terminal; the file has them all."""


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("dataset")
@options.encoder
@options.threads
@options.as_json
def command(catalog: Path, dataset: str, encoder: Path | None, threads: int, as_json: bool) -> None:
    """Embed the products of DATASET (name:path) and store them in CATALOG, which is made where it is not there.

    Adding the same again changes nothing, and a run that was stopped goes on where it was. Photos that cannot be
    read are listed at the end and in CATALOG/unreadable.csv.

    \b
    osoroi add shop table:products.csv
    """
    rows = open_dataset(dataset).rows()
    model = Encoder.open(encoder, threads=threads)
    problems: list[Problem] = []
    with LocalCatalog.open_or_create(catalog, model) as products, progress.counting("products") as show:
        count = ingest.add(
            rows,
            products,
            model,
            threads=threads,
            on_problem=problems.append,
            on_progress=lambda so_far: show(so_far.stored + so_far.left_out),
        )
    write_problems(catalog / UNREADABLE, problems)
    for problem in problems[:SHOWN]:
        click.echo(f"left out: {problem.photo}: {problem.reason}", err=True)
    if len(problems) > SHOWN:
        click.echo(f"… and {len(problems) - SHOWN} more", err=True)
    if problems:
        click.echo(f"all of them with their reasons: {catalog / UNREADABLE}", err=True)
    if count.contradicting:
        click.echo(f"{count.contradicting} rows contradict the first row of their product, which decides", err=True)
    if as_json:
        click.echo(json.dumps(asdict(count)))
    else:
        click.echo(
            f"{count.added} added, {count.changed} changed, {count.unchanged} unchanged, "
            f"{count.left_out} left out; {count.embedded} crops embedded, {count.unreadable} unreadable, "
            f"{count.dropped} dropped"
        )
    if not count.stored:
        raise BadDataset(
            f"{dataset} gave no product with a readable shop photo ({count.unreadable} unreadable, "
            f"{count.street} street crops)",
            hint="check the paths in it, and that shop photos have the domain 'shop'",
        )


def write_problems(path: Path, problems: list[Problem]) -> None:
    """Write what could not be read as a table, or remove an older one where everything could."""
    if not problems:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Problem._fields)
    writer.writerows(problems)
    files.write_atomically(path, text.getvalue().encode())
