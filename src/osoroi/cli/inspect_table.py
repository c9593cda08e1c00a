"""``osoroi look``: how a table is read, everything that is wrong with it, and what adding it would change."""

import sys
from pathlib import Path
from typing import Any

import click

from osoroi import files
from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog
from osoroi.cli import options, text
from osoroi.data.readers import dataset_name, open_dataset
from osoroi.data.readers.layout import Layout
from osoroi.data.readers.table import Table
from osoroi.data.readers.table_draft import draft
from osoroi.data.tabular import tables_in
from osoroi.errors import PARTLY, BadDataset
from osoroi.tables import Incoming, missing_photos, preview, require_lines

NO_PHOTOS = "no column is one of photos, which an add needs; a sync changes prices and the like by such a table"

NAMED = 5
"""Tables of a folder that are named."""

FOLDER = "it has no table; osoroi add takes a folder of photos as it is, one product a photo"

SHOWN = 200
"""Errors that are printed; ``--json`` has all of them."""


@click.command()
@click.argument("table")
@click.argument("catalog", type=options.CATALOG, required=False)
@click.option("--recipe", help="Read the table by this recipe: one that ships, or a TOML file.")
@click.option("--write", "write", type=options.Target(), help="Write a recipe of how the table is read, to edit.")
@options.as_json
def command(table: str, catalog: Place | None, recipe: str | None, write: Path | None, as_json: bool) -> None:
    """Say how TABLE is read, with examples, and list everything that is wrong with it, by line. Changes nothing.

    With CATALOG, also what an add would change there. What is unsure stands as a question, and the recipe that --write
    gives is where to answer it. The exit code is 3 where something cannot be read.

    \b
    osoroi look products.csv
    osoroi look products.csv shop --write products.toml
    """
    name = dataset_name(table)
    reader = open_dataset(f"{name}{'&' if '?' in name else '?'}recipe={recipe}" if recipe else name)
    if not isinstance(reader, Table) and Path(table).is_dir():
        names = tables_in(Path(table))
        hint = f"name one of its tables: {', '.join(names[:NAMED])}" if names else FOLDER
        raise BadDataset(f"{table} is a folder", hint=hint)
    if not isinstance(reader, Table):
        raise BadDataset(f"{table} is no table", hint="name a CSV, Excel, JSON, XML or Parquet file")
    layout = reader.layout()
    incoming = Incoming(reader, layout)
    errors = errors_of(incoming)
    if not errors:
        require_lines(layout)
    if catalog is None and not layout.undecided and not layout.has_photos:
        errors.append((str(reader.path), NO_PHOTOS))
    if write:
        files.write_atomically(write, draft(layout).encode())
    changes: dict[str, int] = {}
    if catalog is not None and not layout.undecided:
        with open_catalog(catalog, readonly=True) as products:
            count = preview(incoming, products)
        changes = {
            "added": count.added,
            "changed": count.changed,
            "unchanged": count.unchanged,
            "not_in_table": count.removed,
        }
    if as_json:
        text.show_json(facts(layout, errors, changes))
    else:
        show(layout, errors, changes)
    if write:
        text.warn(f"recipe: {write}; use it with --recipe {write}")
    if errors or layout.undecided:
        sys.exit(PARTLY)


def errors_of(incoming: Incoming) -> list[tuple[str, str]]:
    """Every line that cannot be read and every photo that is not there: place, and what is wrong."""
    layout = incoming.layout
    assert layout is not None
    if layout.undecided:
        return []
    if not incoming.has_photos:
        incoming.changes()
        return [(error.place, error.problem) for error in incoming.bad_lines]
    missing = [(product_id, f"there is no photo at {path}") for product_id, path in missing_photos(incoming.rows())]
    lines = [(error.place, error.problem) for error in incoming.bad_lines]
    return lines + [(f"product {product_id}", problem) for product_id, problem in missing]


def show(layout: Layout, errors: list[tuple[str, str]], changes: dict[str, int]) -> None:
    """Print the columns with examples, then notes, questions and errors."""
    rows = [["column", "read as", "kind", "filled", "examples"]]
    for name, column in layout.columns.items():
        read_as = column.role if column.role != "attribute" else f"attribute {name}"
        rows.append([column.header, read_as, column.kind, f"{column.filled:,}", " | ".join(column.examples)])
    text.show(text.aligned(rows))
    text.show(f"\n{layout.lines:,} products" if layout.counts else f"\n{layout.lines:,} lines")
    for note in layout.notes:
        text.show(f"note: {note}")
    for question in layout.undecided:
        text.show(f"question: {question}")
    for place, problem in errors[:SHOWN]:
        text.show(f"error: {place}: {problem}")
    if len(errors) > SHOWN:
        text.show(f"… and {len(errors) - SHOWN:,} more; --json has all of them")
    if changes:
        text.show(
            f"an add would add {changes['added']:,}, change {changes['changed']:,} and leave "
            f"{changes['unchanged']:,} as they are; a sync would remove {changes['not_in_table']:,}"
        )
    text.show(f"{len(errors):,} errors, {len(layout.undecided)} questions")


def facts(layout: Layout, errors: list[tuple[str, str]], changes: dict[str, int]) -> dict[str, Any]:
    """All of it as plain data."""
    columns = [
        {"name": name, "header": column.header, "role": column.role, "kind": column.kind, "filled": column.filled}
        | {"examples": column.examples}
        for name, column in layout.columns.items()
    ]
    return {
        "columns": columns,
        "lines": layout.lines,
        "notes": layout.notes,
        "questions": layout.undecided,
        "errors": [{"place": place, "problem": problem} for place, problem in errors],
        "changes": changes,
    }
