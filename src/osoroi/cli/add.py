"""``osoroi add``: add products to a catalog."""

import csv
import io
from dataclasses import asdict
from pathlib import Path

import click

from osoroi import files, ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import options, progress, text
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset
from osoroi.ingest import Problem
from osoroi.text import csv_cell

UNREADABLE = "unreadable.csv"
"""Table in the catalog's folder: what the last ``add`` could not read."""

SHOWN = 20
"""Problems that are printed; the table has all of them."""


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("dataset")
@options.encoder
@options.threads
@options.as_json
def command(catalog: Path, dataset: str, encoder: Path | None, threads: int, as_json: bool) -> None:
    """Embed the products of DATASET (name:path) and store them in CATALOG, which is created if it is missing.

    Adding the same data again changes nothing, and an interrupted run continues where it stopped. Photos that cannot be
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
        text.warn(f"left out: {problem.photo}: {problem.reason}")
    if len(problems) > SHOWN:
        text.warn(f"… and {len(problems) - SHOWN:,} more")
    if problems:
        text.warn(f"all of them with their reasons: {catalog / UNREADABLE}")
    if count.contradicting:
        text.warn(f"{count.contradicting:,} rows contradict the first row of their product, which decides")
    if as_json:
        text.show_json(asdict(count))
    else:
        text.show(
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
    """Write the table of what could not be read; with no problems, remove an older one.

    Cells are safe to open in a spreadsheet.
    """
    if not problems:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(Problem._fields)
    writer.writerows([csv_cell(cell) for cell in problem] for problem in problems)
    files.write_atomically(path, table.getvalue().encode())
