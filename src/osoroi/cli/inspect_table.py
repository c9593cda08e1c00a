"""``osoroi look``: how a table is read, everything that is wrong with it, and what adding it would change."""

import sys
from pathlib import Path
from typing import Any

import click

from osoroi import files, path_types, shared_photos
from osoroi.catalog.address import Place
from osoroi.catalog.opening import open_catalog
from osoroi.cli import incoming, options, text
from osoroi.data.readers import open_dataset
from osoroi.data.readers.layout import Layout
from osoroi.data.readers.line_conflicts import line_conflicts
from osoroi.data.readers.table import Table
from osoroi.data.readers.table_draft import draft
from osoroi.data.tabular import tables_in
from osoroi.errors import PARTLY, BadDataset
from osoroi.tables import Incoming, missing_photos, preview, require_lines

NO_PHOTOS = "no column is one of photos: 'osoroi sync' changes products of a catalog by this table, by their ids"

NOTHING_TO_READ = "no column is one of photos, and none that of a product_id"

NAMED = 5
"""Tables of a folder that are named."""

FOLDER = "it has no table; osoroi add takes a folder of photos as it is, one product a photo"

SAMPLE = 50
"""Photos that are opened without --all-photos."""

SHARED = 5
"""Photos of several products that are named."""

SHOWN = 200
"""Errors that are printed; ``--json`` has all of them."""


@click.command()
@click.argument("table")
@click.argument("catalog", type=options.CATALOG, required=False)
@incoming.recipe
@incoming.photos
@click.option("--all-photos", is_flag=True, help=f"Open every photo, not only {SAMPLE} of them.")
@click.option("--write", "write", type=options.Target(), help="Write a recipe of how the table is read, to edit.")
@options.as_json
def command(
    table: str,
    catalog: Place | None,
    recipe: str | None,
    photos: Path | None,
    all_photos: bool,
    write: Path | None,
    as_json: bool,
) -> None:
    """Say how TABLE is read, with examples, and list everything that is wrong with it, by line. Changes nothing.

    Some photos are opened, all of them with --all-photos: those that cannot be read are errors; tiny ones, those that
    stand at several products, and lines that contradict each other are warnings. With CATALOG, also what an add would
    change there, or a sync where the table has no photos. What is unsure stands as a question, and the recipe that
    --write gives is where to answer it. The exit code is 3 where something cannot be read.

    \b
    osoroi look products.csv
    osoroi look products.csv shop --write products.toml
    """
    reader = opened(table, incoming.named(table, recipe=recipe, photos=photos))
    layout = reader.layout()
    read = Incoming(reader, layout)
    errors = errors_of(read)
    warnings = warnings_of(read, errors, most=None if all_photos else SAMPLE)
    if not errors or not read.names_products:
        require_lines(layout)
    if write:
        files.write_atomically(write, draft(layout).encode())
    changes = {} if catalog is None or layout.undecided or not read.names_products else changes_of(read, catalog)
    if as_json:
        text.show_json(facts(layout, errors, warnings, changes))
    else:
        show(layout, errors, warnings, changes)
    if write:
        text.warn(f"recipe: {write}; use it with --recipe {write}")
    if errors or layout.undecided:
        sys.exit(PARTLY)


def opened(table: str, dataset: str) -> Table:
    """The reader of a table. Raises BadDataset for what is none, and for a folder."""
    reader = open_dataset(dataset)
    if isinstance(reader, Table):
        return reader
    if Path(table).is_dir():
        path_types.require(table, path_types.FOLDER, "a table", BadDataset)
        names = tables_in(Path(table))
        hint = f"name one of its tables: {', '.join(names[:NAMED])}" if names else FOLDER
        raise BadDataset(f"{table} is a folder", hint=hint)
    raise BadDataset(f"{table} is no table", hint="name a CSV, Excel, JSON, XML or Parquet file")


def changes_of(read: Incoming, catalog: Place) -> dict[str, int]:
    """How many products an add would add, change and leave, and how many a sync would remove; of a table without
    photos, how many a sync would change and leave, and how many the catalog does not have."""
    with open_catalog(catalog, readonly=True) as products:
        count = preview(read, products)
    if not read.has_photos:
        return {"changed": count.changed, "unchanged": count.unchanged, "not_in_catalog": count.left_out}
    return {
        "added": count.added,
        "changed": count.changed,
        "unchanged": count.unchanged,
        "not_in_table": count.removed,
    }


def errors_of(read: Incoming) -> list[tuple[str, str]]:
    """Every line that cannot be read and every photo that is not there: place, and what is wrong."""
    layout = read.layout
    assert layout is not None
    if layout.undecided:
        return []
    if not read.names_products:
        return [(str(layout.source.path), NOTHING_TO_READ)]
    missing = list(missing_photos(read.rows())) if read.has_photos else []
    if not read.has_photos:
        read.changes()
    lines = [(error.place, error.problem) for error in read.bad_lines]
    return lines + [(f"product {product_id}", f"there is no photo at {path}") for product_id, path in missing]


def warnings_of(read: Incoming, errors: list[tuple[str, str]], *, most: int | None) -> list[str]:
    """What is no error and spoils searches: lines that contradict each other, photos of several products, tiny photos.

    At most so many photos are opened; those that cannot be read are added to ``errors``.
    """
    if read.layout is None or read.layout.undecided:
        return []
    if not read.has_photos:
        return [*map(str, read.conflicts), *([NO_PHOTOS] if read.names_products else [])]
    assert isinstance(read.reader, Table)
    warnings = [str(one) for one in line_conflicts(read.reader, read.layout, most=SHOWN)]
    photos = shared_photos.SharedPhotos()
    checked = shared_photos.check(photos.watch(read.rows()), most=most)
    errors += [(f"product {one.product_id}", one.reason) for one in checked.unreadable]
    shared = photos.shared(least=2)
    warnings += [str(one) for one in shared[:SHARED]]
    if len(shared) > SHARED:
        warnings.append(f"{len(shared) - SHARED:,} more photos stand at several products")
    if shared:
        warnings.append(shared_photos.ADVICE)
    if checked.small:
        first = checked.small[0]
        warnings.append(f"{len(checked.small):,} photos are tiny, such as {first.photo} of {first.reason}")
    if checked.opened < checked.photos:
        warnings.append(f"{checked.opened:,} of {checked.photos:,} photos were opened; --all-photos opens all of them")
    return warnings


def show(layout: Layout, errors: list[tuple[str, str]], warnings: list[str], changes: dict[str, int]) -> None:
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
    if any("there is no photo at" in problem for _, problem in errors):
        text.show("note: photos are looked for from the folder of the table; --photos FOLDER names another")
    for warning in warnings:
        text.show(f"warning: {warning}")
    if "not_in_catalog" in changes:
        text.show(
            f"a sync would change {changes['changed']:,} and leave {changes['unchanged']:,} as they are; "
            f"{changes['not_in_catalog']:,} are not in the catalog; an add takes no table without photos"
        )
    elif changes:
        text.show(
            f"an add would add {changes['added']:,}, change {changes['changed']:,} and leave "
            f"{changes['unchanged']:,} as they are; a sync would remove {changes['not_in_table']:,}"
        )
    text.show(f"{len(errors):,} errors, {len(layout.undecided)} questions")


def facts(
    layout: Layout, errors: list[tuple[str, str]], warnings: list[str], changes: dict[str, int]
) -> dict[str, Any]:
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
        "warnings": warnings,
        "changes": changes,
    }
