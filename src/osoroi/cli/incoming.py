"""What ``add``, ``sync`` and ``look`` share: options, what is said of a table, and the list of what was left out."""

import csv
import io
import re
import time
from collections.abc import Sequence
from pathlib import Path

import click

from osoroi import files
from osoroi.catalog import Storage
from osoroi.cli import text
from osoroi.data.download import Count as FetchCount
from osoroi.data.readers import dataset_name
from osoroi.data.tabular import BadLine
from osoroi.records import Problem
from osoroi.tables import LINKS, WHOLE, Incoming, Shard, open_incoming
from osoroi.text import csv_cell

UNREADABLE = "unreadable.csv"
"""Table in the catalog's folder: what the last ``add`` or ``sync`` could not read."""

SHOWN = 20
"""Problems that are printed; the table has all of them."""

PREFIX = re.compile(r"[a-z0-9]{2,}:")
"""The name of a reader, known or not, before its path."""

OFTEN_S = 10.0
"""Seconds between two lines about links."""

recipe = click.option("--recipe", help="Read the table by this recipe: one that ships, or a TOML file.")
private_links = click.option(
    "--private-links", is_flag=True, help="Fetch photos from addresses inside a private network, too."
)


def opened(dataset: str, recipe_name: str | None, *, shard: Shard = WHOLE, quiet: bool = False) -> Incoming:
    """The data set; what was decided about a table is said on stderr."""
    name = dataset if PREFIX.match(dataset) and not Path(dataset).exists() else dataset_name(dataset)
    if recipe_name:
        name += (
            "&" if "?" in name and name.rpartition("?")[2] else "" if name.endswith("?") else "?"
        ) + f"recipe={recipe_name}"
    incoming = open_incoming(name, shard=shard)
    if incoming.layout is not None and not quiet:
        for note in incoming.layout.notes:
            if note != "encoding: UTF-8":
                text.warn(note)
    return incoming


def fetched(incoming: Incoming, catalog: Path, *, private: bool) -> None:
    """Fetch the photos of links into the catalog's folder."""
    start = last = time.monotonic()

    def show(count: FetchCount) -> None:
        nonlocal last
        if time.monotonic() - last > OFTEN_S:
            last = time.monotonic()
            rate = max(count.saved + count.failed + count.lost, 1) / (last - start)
            text.warn(f"links: {count.saved:,} fetched, {count.failed + count.lost:,} failed, {rate:.1f} a second")

    count = incoming.fetch(catalog / LINKS, private=private, on_progress=show)
    if count is not None:
        text.warn(f"links: {count.there:,} were there, {count.saved:,} fetched, {count.failed + count.lost:,} failed")


def judged(catalog: Storage) -> None:
    """Say that categories are not believed, where photos contradict them."""
    if not catalog.trusts_categories():
        text.warn(
            "photos contradict the categories of these products, so their kinds are those of the photos; "
            f"osoroi info {catalog.location} says how far both agree"
        )


def left_out(catalog: Path, lines: Sequence[BadLine], problems: Sequence[Problem]) -> None:
    """Say what could not be read, and write all of it to a table in the catalog's folder."""
    path = catalog / UNREADABLE
    write_problems(path, lines, problems)
    said = [f"{error.place}: {error.problem}" for error in lines]
    said += [f"{problem.photo}: {problem.reason}" for problem in problems]
    for one in said[:SHOWN]:
        text.warn(f"left out: {one}")
    if len(said) > SHOWN:
        text.warn(f"… and {len(said) - SHOWN:,} more")
    if said:
        text.warn(f"all of them with their reasons: {path}")


def write_problems(path: Path, lines: Sequence[BadLine], problems: Sequence[Problem]) -> None:
    """Write the table of what could not be read; with no problems, remove an older one.

    Cells are safe to open in a spreadsheet.
    """
    if not lines and not problems:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("line", *Problem._fields))
    writer.writerows(
        [csv_cell(one) for one in (error.place, error.product_id or "", "", "", error.problem)] for error in lines
    )
    writer.writerows([csv_cell(one) for one in ("", *problem)] for problem in problems)
    files.write_atomically(path, table.getvalue().encode())
