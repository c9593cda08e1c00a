"""``osoroi find``: the garments of a photo, one line each."""

from collections.abc import Sequence
from pathlib import Path

import click

from osoroi import image
from osoroi.cli import options, text
from osoroi.garments import Garment, fields
from osoroi.garments.find import find
from osoroi.records import Box
from osoroi.report import grid as grids


@click.command()
@click.argument("photo", type=options.PathParameter())
@options.box
@click.option("--grid", type=options.Target(), help="Write the photo and a crop of each garment as one picture.")
@options.as_json
def command(photo: Path, box: Box | None, grid: Path | None, as_json: bool) -> None:
    """Find the garments that people wear and carry in PHOTO, the largest person first.

    A photo without a person shows one garment. With --box the list has that box alone, and its kind is judged.

    \b
    osoroi find snap.jpg
    osoroi find snap.jpg --json
    """
    located = find(photo, box=box)
    if grid:
        grids.write(grid, grids.sheet([row(photo, located)]))
    if as_json:
        text.show_json({"garments": [fields(garment) for garment in located]})
    else:
        text.show(table(located))


def table(located: Sequence[Garment]) -> str:
    """Garments as aligned columns: number, kind, score, person and box."""
    rows = [["no", "kind", "score", "person", "box"]]
    for number, garment in enumerate(located, start=1):
        person = "-" if garment.person is None else str(garment.person + 1)
        rows.append([str(number), garment.kind, f"{garment.score:.2f}", person, ",".join(map(str, garment.box))])
    return text.aligned(rows)


def row(photo: Path, located: Sequence[Garment]) -> list[grids.GridCell]:
    """The cells of a grid: the photo, then a crop of each garment."""
    pixels = image.read(photo)
    cells = [grids.GridCell(pixels, "photo")]
    for number, garment in enumerate(located, start=1):
        left, top, right, bottom = garment.box
        cells.append(grids.GridCell(pixels[top:bottom, left:right], f"{number} · {garment.kind}\n{garment.score:.2f}"))
    return cells
