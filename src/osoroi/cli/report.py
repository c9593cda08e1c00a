"""``osoroi report``: write evaluations as one HTML page."""

from pathlib import Path

import click

from osoroi.cli import options, text
from osoroi.data.readers import Reader, open_dataset
from osoroi.errors import BadDataset
from osoroi.evaluation import compare
from osoroi.report import html


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--out", required=True, type=options.Target(folder=True), help="Folder for the page, index.html.")
@click.option("--photos/--no-photos", default=True, show_default=True, help="Show queries and results.")
@click.option(
    "--queries", type=click.IntRange(1, 1000), default=6, show_default=True, help="Queries in each result grid."
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of the random sample of queries.")
def command(files: tuple[str, ...], out: Path, photos: bool, queries: int, seed: int) -> None:
    """Write evaluations as one HTML page with tables, plots and result grids.

    Each FILE is [NAME=]FILE[,FILE…], written by `osoroi evaluate --json`; several files joined by commas are seeds of
    one training. Photos are read from the data set that the first file names, and embedded: the page has no external
    resources.

    \b
    osoroi report val.json --out report
    osoroi report deep=d.json shallow=s.json both=b1.json,b2.json --out report
    """
    groups = [compare.read_seed_group(file) for file in files]
    readers: list[Reader] | None = None
    if photos:
        task = groups[0].evaluations[0].task
        readers = [open_dataset(name) for name in (task.dataset, *task.distractors)]
    try:
        path = html.write(groups, out, readers=readers, count=queries, seed=seed)
    except BadDataset as error:
        text.warn(f"no photos on the page: {error}")
        path = html.write(groups, out, count=queries, seed=seed)
    text.show(path)
