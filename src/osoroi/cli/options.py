"""Options that several commands share, each written once, with its range."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from osoroi import files
from osoroi.catalog.address import Place, Search, place_of
from osoroi.errors import NO_PATH, UNSET, BadRequest
from osoroi.records import Box

MAX_K = 10_000
"""Products of one search, at most."""

MAX_THREADS = 256
MAX_SEED = 2**32 - 1


class BoxType(click.ParamType[Box]):
    """``L,T,R,B`` in pixels of the upright photo."""

    name = "L,T,R,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Box:
        if isinstance(value, Box):
            return value
        numbers = str(value).split(",")
        try:
            box = Box(*(int(number) for number in numbers))
        except (TypeError, ValueError):
            self.fail(f"{value!r} is no box; write four whole numbers, left,top,right,bottom, in pixels", param, ctx)
        if not (0 <= box.left < box.right and 0 <= box.top < box.bottom):
            self.fail(f"{value!r} is an empty box; 0 <= left < right and 0 <= top < bottom", param, ctx)
        return box


class Share(click.FloatRange):
    """A number in a range; unlike click's own, refuses nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


class PathParameter(click.Path):
    """A file or folder. Refuses an empty text, which would be the working directory."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail(f"{NO_PATH}; {UNSET}", param, ctx)
        return super().convert(value, param, ctx)


class Target(PathParameter):
    """A file or folder to write. Refuses one inside a catalog: writing there could overwrite a part of it."""

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(dir_okay=folder, file_okay=not folder)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            place = place_of(os.fsdecode(value))
        except BadRequest as error:
            self.fail(str(error), param, ctx)
        if not isinstance(place, Path):
            self.fail(f"{place} is an address of PostgreSQL; name a file or folder to write", param, ctx)
        if catalog := files.catalog_around(path):
            self.fail(f"{path} is inside the catalog {catalog}; write it elsewhere", param, ctx)
        return path


class CatalogType(click.ParamType[Place]):
    """The folder of a catalog, or an address of PostgreSQL."""

    name = "catalog"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        try:
            return place_of(value)
        except BadRequest as error:
            self.fail(str(error), param, ctx)


CATALOG = CatalogType()


def searched_by(place: Place, search: Search | None) -> Place:
    """The catalog, searched as ``--search`` says. Raises UsageError for a folder."""
    if search is None:
        return place
    if isinstance(place, Path):
        if search != "scan":
            raise click.UsageError(f"--search {search} is for a catalog in PostgreSQL, and {place} is a folder")
        return place
    return replace(place, search=search)


encoder = click.option(
    "--encoder",
    type=PathParameter(),
    help="Encoder file; without it the one that ships with osoroi.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    default=1,
    show_default=True,
    help="Threads that read and encode crops.",
)


def _providers(_context: click.Context, _option: click.Parameter, device: str | None) -> Sequence[str] | None:
    if device is None:
        return None
    from osoroi.inference import DEVICES

    return DEVICES[device]


device = click.option(
    "--device",
    "providers",
    type=click.Choice(["cpu", "cuda"]),
    callback=_providers,
    help="Where the encoder runs; without it, a GPU where onnxruntime-gpu has one, and the CPU otherwise.",
)
measure = click.option(
    "--measure/--no-measure",
    envvar="OSOROI_MEASURE",
    default=True,
    show_default=True,
    help="Measure for up to two seconds which way to run the encoder is fastest here, once for each processor.",
)
box = click.option("--box", type=BoxType(), help="The garment: left,top,right,bottom in pixels of the upright photo.")
k = click.option(
    "-k", "--k", type=click.IntRange(1, MAX_K), default=10, show_default=True, help="Number of products to return."
)
search = click.option(
    "--search",
    type=click.Choice(get_args(Search)),
    help="Who searches a catalog in PostgreSQL: an index in this process (scan, the default), or pgvector there.",
)
where = click.option("--where", help="Only products that match, for instance 'category = skirts and price <= 5000'.")
detail = click.option(
    "--detail",
    type=Share(0, 1),
    help="Weight of color and pattern, 0 (shape alone) to 1 (color and pattern alone); without it the encoder's own.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SEED = click.IntRange(0, MAX_SEED)
