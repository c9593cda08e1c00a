"""What ``add``, ``sync`` and ``look`` share: options, what is said of a table, and the list of what was left out."""

import csv
import functools
import io
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from osoroi import files, path_types
from osoroi.catalog import Storage
from osoroi.catalog.address import Place
from osoroi.cli import options, text
from osoroi.data.download import DownloadCount
from osoroi.data.readers import dataset_name, quoted
from osoroi.data.readers.line_conflicts import line_conflicts
from osoroi.data.readers.table import Table
from osoroi.data.tabular import BadLine
from osoroi.records import Problem
from osoroi.shared_photos import ADVICE, SharedPhotos
from osoroi.tables import LINKS, WHOLE, Incoming, TableShard, open_incoming
from osoroi.text import csv_cell

UNREADABLE = "unreadable.csv"
"""Table in the catalog's folder: what the last ``add`` or ``sync`` could not read."""

SHOWN = 20
"""Problems that are printed; the table has all of them."""

OPTIONS = {"private_links": "--private-links"}
"""Options that the reasons of photos name by their parameter."""

CONTRADICTIONS = 5
"""Lines that contradict each other, and photos of many products, that are named."""

OFTEN_S = 10.0
"""Seconds between two lines about links."""


def folder_of_photos(path: Path | None) -> Path | None:
    """The folder that an option names. Raises UsageError for what is no folder."""
    if path is None or path.is_dir():
        return path
    found = path_types.path_type(path)
    what = f"{path} is {found.name}" if found else f"{path} is a file" if path.exists() else f"there is no {path}"
    raise click.UsageError(f"{what}; --photos takes the folder in which the photos are")


recipe = click.option("--recipe", help="Read the table by this recipe: one that ships, a TOML file, or none.")
photos = click.option(
    "--photos",
    type=options.PathParameter(),
    callback=lambda context, option, path: folder_of_photos(path),
    help="Folder from which the table names its photos; without it the folder of the table.",
)
private_links = click.option(
    "--private-links", is_flag=True, help="Fetch photos from addresses inside a private network, too."
)


class ImportOptions(NamedTuple):
    """What ``add`` and ``sync`` are told alike: the catalog, the data set and how to read it, and the encoder."""

    catalog: Place
    dataset: str
    recipe: str | None
    photos: Path | None
    private_links: bool
    encoder: Path | None
    threads: int
    as_json: bool

    def opened(self, shard: TableShard = WHOLE) -> Incoming:
        """The data set, or a part of it; what was decided about a table is said on stderr."""
        return opened(named(self.dataset, recipe=self.recipe, photos=self.photos), shard=shard)


def with_import_options(command: Callable[..., None]) -> Callable[..., None]:
    """Declare the arguments and options of ``ImportOptions`` for a command, which gets them as its first argument.

    The command's own options are declared below this decorator.
    """

    @functools.wraps(command)
    def collected(**values: Any) -> None:
        command(ImportOptions(*(values.pop(name) for name in ImportOptions._fields)), **values)

    declarations: tuple[Callable[[Callable[..., None]], Callable[..., None]], ...] = (
        click.argument("catalog", type=options.CATALOG),
        click.argument("dataset"),
        recipe,
        photos,
        private_links,
        options.encoder,
        options.threads,
        options.as_json,
    )
    declared: Callable[..., None] = collected
    for declare in reversed(declarations):
        declared = declare(declared)
    return declared


def named(dataset: str, *, recipe: str | None, photos: Path | None) -> str:
    """A data set with the options of a table.

    >>> named("table:p.csv?sheet=A", recipe="shopify", photos=Path("pictures"))
    'table:p.csv?sheet=A&recipe=shopify&photos=pictures'
    >>> named("table:p.csv", recipe=None, photos=Path("R&D"))
    'table:p.csv?photos=R%26D'
    """
    name = dataset_name(dataset)
    for key, value in (("recipe", recipe), ("photos", photos)):
        if value:
            mark = "" if name.endswith("?") else "&" if "?" in name else "?"
            name += f"{mark}{key}={quoted(str(value))}"
    return name


def opened(name: str, *, shard: TableShard = WHOLE, quiet: bool = False) -> Incoming:
    """The data set; what was decided about a table is said on stderr."""
    incoming = open_incoming(name, shard=shard)
    if incoming.layout is not None and not quiet:
        for note in incoming.layout.notes:
            if note != "encoding: UTF-8":
                text.warn(note)
    return incoming


def keep_stored(incoming: Incoming, catalog: Storage) -> None:
    """Say which lines that look like lines of totals are read, as their products are in the catalog."""
    for product_id in incoming.keep_stored(catalog.get_many):
        text.warn(f"lines with the id {product_id!r} are read as a product: the catalog has it")


def fetched(incoming: Incoming, catalog: Path, *, private: bool) -> None:
    """Fetch the photos of links into the catalog's folder."""
    start = last = time.monotonic()

    def show(count: DownloadCount) -> None:
        nonlocal last
        if time.monotonic() - last > OFTEN_S:
            last = time.monotonic()
            rate = max(count.saved + count.failed + count.lost, 1) / (last - start)
            text.warn(f"links: {count.saved:,} fetched, {count.failed + count.lost:,} failed, {rate:.1f} a second")

    count = incoming.fetch(catalog / LINKS, private=private, on_progress=show)
    if count is not None:
        text.warn(f"links: {count.there:,} were there, {count.saved:,} fetched, {count.failed + count.lost:,} failed")


def same_but_for_capitals(product_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of ids that differ by capitals alone.

    >>> same_but_for_capitals(["SKU-1", "sku-1", "SKU-2"])
    [('SKU-1', 'sku-1')]
    """
    first: dict[str, str] = {}
    pairs = ((first.setdefault(one.casefold(), one), one) for one in product_ids)
    return [(one, other) for one, other in pairs if one != other]


def judged(catalog: Storage, *, added: int) -> None:
    """Say where products that were added have ids of others in other capitals, and that categories are not believed
    where photos contradict them."""
    pairs = same_but_for_capitals(catalog.product_ids()) if added else []
    if pairs:
        one, other = pairs[0]
        text.warn(
            f"{len(pairs):,} ids differ from another one by capitals alone, such as {one!r} and {other!r}; "
            "each is a product of its own"
        )
    if not catalog.trusts_categories():
        text.warn(
            "photos contradict the categories of these products, so their kinds are those of the photos; "
            f"osoroi info {catalog.location} says how far both agree"
        )


def warned(source: Incoming, photos: SharedPhotos, *, contradicting: int, new: int) -> None:
    """Say which lines contradict each other, and which photos stand at many products where any came in."""
    if contradicting:
        text.warn(f"{contradicting:,} rows contradict the first row of their product, which decides")
    for one in source.conflicts[:CONTRADICTIONS]:
        text.warn(str(one))
    if not source.has_photos:
        return
    if isinstance(source.reader, Table) and source.layout is not None and (contradicting or source.bad_lines):
        for one in line_conflicts(source.reader, source.layout, most=CONTRADICTIONS, holds=source.shard.holds):
            text.warn(str(one))
    many = photos.shared() if new else []
    for each in many[:CONTRADICTIONS]:
        text.warn(str(each))
    if many:
        text.warn(ADVICE)


def left_out(catalog: Path, lines: Sequence[BadLine], problems: Sequence[Problem]) -> None:
    """Say what could not be read, and write all of it to a table in the catalog's folder."""
    path = catalog / UNREADABLE
    write_problems(path, lines, problems)
    said = [f"{error.place}: {error.problem}" for error in lines]
    reasons = [text.with_options(one.reason, OPTIONS) for one in problems]
    said += [why if one.photo in why else f"{one.photo}: {why}" for one, why in zip(problems, reasons, strict=True)]
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
