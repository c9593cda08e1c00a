"""Options that several commands share, each written once."""

from pathlib import Path
from typing import Any

import click

from osoroi.records import Box


class BoxType(click.ParamType[Box]):
    """``L,T,R,B`` in pixels of the upright photo."""

    name = "L,T,R,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Box:
        if isinstance(value, Box):
            return value
        numbers = str(value).split(",")
        try:
            left, top, right, bottom = (int(number) for number in numbers)
        except ValueError:
            self.fail(f"{value!r} is no box; write four whole numbers, left,top,right,bottom, in pixels", param, ctx)
        return Box(left, top, right, bottom)


class OutputPath(click.Path):
    """A file or folder that a command writes. One inside a catalog is refused: it could be one of the catalog's own."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from osoroi.catalog.maintenance.backup import refuse_inside_catalog

        path = super().convert(value, param, ctx)
        refuse_inside_catalog(Path(str(path)))
        return path


OUTPUT = OutputPath(path_type=Path)
OUTPUT_FILE = OutputPath(path_type=Path, dir_okay=False)

encoder = click.option(
    "--encoder",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Encoder file; without it the one that comes with osoroi.",
)
threads = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that encode crops."
)
box = click.option("--box", type=BoxType(), help="The garment: left,top,right,bottom in pixels of the upright photo.")
k = click.option("-k", "--k", type=click.IntRange(min=1), default=10, show_default=True, help="Products to find.")
where = click.option("--where", help="Only products that match, for instance 'category = skirts and price <= 5000'.")
detail = click.option(
    "--detail",
    type=click.FloatRange(0, 1),
    help="Weight of colour and pattern, 0 (shape alone) to 1 (colour and pattern alone); without it the encoder's own.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
