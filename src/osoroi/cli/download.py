"""``osoroi download``: fetch the photos of a public data set from their original links."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from osoroi import files
from osoroi.cli import options, progress, text
from osoroi.data import coverage, download
from osoroi.data.coverage import Coverage
from osoroi.data.download import JOURNAL, DownloadCount, Policy
from osoroi.data.readers import street2shop
from osoroi.errors import BadDataset
from osoroi.records import Source
from osoroi.text import printable

REPORT = "coverage.json"
"""File in FOLDER: what the last run did, and which photos exist."""

SHOWN = 8
"""Reasons that are printed; the report has all of them."""


@click.command()
@click.argument("dataset", type=click.Choice(["street2shop"]))
@click.argument("folder", type=options.PathParameter())
@click.option("--category", default="", help="Only photos of these categories, separated by commas; without it all.")
@click.option(
    "--at-once",
    default=Policy.at_once,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Parallel downloads.",
)
@click.option("--per-host", default=Policy.per_host, show_default=True, type=click.IntRange(1, 64), help="Per host.")
@click.option("--again", is_flag=True, help="Also retry links that failed for good before.")
@click.option("--report-only", is_flag=True, help="Download nothing; only report which photos exist.")
@options.as_json
def command(dataset: str, folder: Path, category: str, report_only: bool, as_json: bool, **how: Any) -> None:
    """Fetch the photos that FOLDER/photos/photos.txt lists into FOLDER/images, and report the coverage of DATASET.

    Requests per host are limited. An interrupted run continues where it stopped. FOLDER/download.jsonl has the outcome
    of each link, FOLDER/coverage.json the photos and queries that exist by category and split.

    \b
    osoroi download street2shop s2s --category bags,belts
    """
    if not folder.is_dir():
        raise BadDataset(f"there is no folder {folder}", hint=f"docs/datasets/{dataset}.md says what must be in it")
    (folder / "images").mkdir(exist_ok=True)
    lists = None
    if category or (folder / "meta" / "json").is_dir():
        lists = street2shop.Street2Shop(folder, categories=street2shop.categories_of(category, folder))
    numbers = {street2shop.number_of(row.crop) for row in lists.listed()} if lists and category else None
    count = DownloadCount() if report_only else fetch(folder, numbers, how)
    coverage = cover(lists, folder) if lists else []
    report = {**asdict(count), "reasons": reasons(folder), "coverage": [line._asdict() for line in coverage]}
    files.write_atomically(folder / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    if as_json:
        text.show_json(report)
    else:
        text.show(printed(count, report["reasons"], coverage))
    if not lists:
        text.warn(f"no coverage: {folder / 'meta' / 'json'} is missing; unpack meta.zip")
    if not report_only and not count.there + count.saved:
        raise BadDataset("no photo could be downloaded", hint=f"{folder / JOURNAL} has the reason for each link")


def fetch(folder: Path, numbers: Collection[int] | None, how: dict[str, Any]) -> DownloadCount:
    """Download the photos of these numbers, or all that are listed, with a progress bar."""
    policy = Policy(at_once=how["at_once"], per_host=how["per_host"])
    wanted = download.links(folder / "photos" / "photos.txt", numbers)
    with progress.counting("photos") as show:

        def done(count: DownloadCount) -> None:
            show(count.saved + count.lost + count.failed)

        return download.download(wanted, folder / "images", policy=policy, again=how["again"], on_progress=done)


def cover(lists: street2shop.Street2Shop, folder: Path) -> list[Coverage]:
    """Photos that exist by category and split. Downloaded photos have been decoded already."""
    saved = {outcome.name for outcome in download.outcomes(folder / JOURNAL) if outcome.saved}

    def check(photo: Source) -> bool:
        return (isinstance(photo, Path) and photo.stem in saved) or coverage.is_readable(photo)

    with progress.counting("photos checked") as show:
        return coverage.coverage(lists.listed(), check=check, on_progress=show)


def reasons(folder: Path) -> dict[str, int]:
    """Reasons why links gave no photo, the most frequent first."""
    counted = Counter(_kind(outcome.reason) for outcome in download.outcomes(folder / JOURNAL) if not outcome.saved)
    return dict(counted.most_common())


def _kind(reason: str) -> str:
    return reason if reason.startswith("HTTP ") else reason.partition(":")[0]


def printed(count: DownloadCount, why: dict[str, Any], coverage: list[Coverage]) -> str:
    """The report as text."""
    lines = [
        f"{count.saved} saved, {count.there} were there, {count.lost} lost, {count.failed} failed for now; "
        f"{count.bytes / 1e6:.1f} MB"
    ]
    lines += [f"  {number} x {printable(reason)}" for reason, number in list(why.items())[:SHOWN]]
    if coverage:
        rows = [tuple(str(cell) for cell in line) for line in coverage]
        lines.append(text.aligned([Coverage._fields, *rows]))
    return "\n".join(lines)
