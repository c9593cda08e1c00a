"""``osoroi embed``: write the vectors of a table of photos as arrays."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
import numpy as np
from jaxtyping import Float32, UInt8

from osoroi import files, image
from osoroi.cli import options, progress, text
from osoroi.data.readers import READERS, open_dataset
from osoroi.encoder import Encoder
from osoroi.errors import BadPhoto, BadRequest
from osoroi.records import Row

BATCH = 32


@click.command()
@click.argument("table")
@click.argument("out", metavar="OUT.npz", type=options.Target())
@click.option(
    "--side",
    type=click.Choice(["query", "shop"]),
    required=True,
    help="query: street crops, weighted, so that the plain inner product with a shop vector is the score.",
)
@options.encoder
@options.detail
@options.threads
def command(table: str, out: Path, side: str, encoder: Path | None, detail: float | None, threads: int) -> None:
    """Write one vector for each row of TABLE (a file, or name:path) to OUT.npz.

    The file has the arrays ids [n], vectors float32 [n d], parts (names and sizes) and fingerprint. A photo that cannot
    be read is reported on stderr, and has no row.

    \b
    osoroi embed queries.csv queries.npz --side query
    """
    if side == "shop" and detail is not None:
        raise BadRequest("--detail weighs queries, and --side is shop", hint="leave --detail out, or use --side query")
    model = Encoder.open(encoder, threads=threads)
    dataset = table if table.partition(":")[0] in READERS else f"table:{table}"
    ids: list[str] = []
    vectors: list[Float32[np.ndarray, "b d"]] = []
    with progress.counting("crops") as show:
        for names, crops in _batches(iter(open_dataset(dataset).rows()), model, side):
            batch = model.encode(crops)
            vectors.append(model.weigh(batch, detail) if side == "query" else batch)
            ids.extend(names)
            show(len(ids))
    if not ids:
        raise BadRequest(f"{table} gave no crop that could be read", hint="see the reasons above")
    parts = np.array([(part.name, part.size) for part in model.parts], dtype=[("name", "U32"), ("size", "i8")])
    arrays = {"ids": np.array(ids), "vectors": np.concatenate(vectors), "parts": parts}
    with files.replacing(out) as file:
        np.savez(file, allow_pickle=False, **arrays, fingerprint=np.array(model.fingerprint))
    text.warn(f"{len(ids):,} vectors of {model.dim} numbers: {out}")


def _batches(
    rows: Iterator[Row], model: Encoder, side: str
) -> Iterator[tuple[list[str], list[UInt8[np.ndarray, "h w 3"]]]]:
    """Crop ids and pixels, BATCH at a time; unreadable photos are reported and skipped."""
    preprocessing = model.preprocessing["street" if side == "query" else "shop"]
    while chunk := list(islice(rows, BATCH)):
        names, crops = [], []
        for _, crop in chunk:
            try:
                crops.append(image.crop(crop.photo, crop.box, preprocessing))
                names.append(crop.crop_id)
            except BadPhoto as error:
                text.warn(f"left out: {image.name_of(crop.photo)}: {error}")
        if crops:
            yield names, crops
