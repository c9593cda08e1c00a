"""``osoroi embed``: write the vectors of a table of photos as arrays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.cli import options, progress, text
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder, loader
from osoroi.errors import BadRequest
from osoroi.records import Input, Row

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
@click.option(
    "--categorised",
    type=options.Share(0, 1),
    default=1.0,
    show_default=True,
    help="Share of the products whose kind the shop's categories say; queries weigh the part kind by it.",
)
@options.threads
@options.device
def command(
    table: str,
    out: Path,
    side: str,
    encoder: Path | None,
    detail: float | None,
    categorised: float,
    threads: int,
    providers: Sequence[str] | None,
) -> None:
    """Write one vector for each row of TABLE (a file, or name:path) to OUT.npz.

    The file has the arrays ids [n] of products, crop_ids [n], vectors float32 [n d], parts (names and sizes) and
    fingerprint. A photo that cannot be read is reported on stderr, and has no row. With --side shop street crops have
    none either, so that 'osoroi load' takes such a file as it is.

    \b
    osoroi embed queries.csv queries.npz --side query
    """
    if side == "shop" and detail is not None:
        raise BadRequest("--detail weighs queries, and --side is shop", hint="leave --detail out, or use --side query")
    model = Encoder.open(encoder, threads=threads, providers=providers)
    product_ids: list[str] = []
    crop_ids: list[str] = []

    street = 0

    def numbered(rows: Iterable[Row]) -> Iterator[Row]:
        nonlocal street
        for row in rows:
            if side == "shop" and row.crop.domain == "street":
                street += 1
                continue
            product_ids.append(row.product.product_id)
            crop_ids.append(row.crop.crop_id)
            yield row

    def read(row: Row) -> Input:
        crop = row.crop
        if side == "query":
            return model.input_of(crop.photo, crop.box, "street")
        return model.input_of(crop.photo, crop.box, "shop", kind=model.clues_of(row.product).known)

    rows = numbered(open_dataset(table).rows())
    done: list[int] = []
    vectors: list[Float32[np.ndarray, "b d"]] = []
    with progress.counting("crops") as show:
        for batch in loader.encode(rows, model.encode_inputs, read, threads=threads, batch=BATCH):
            done += [int(index) for index in batch.indices]
            vectors.append(
                model.weigh(batch.vectors, detail, categorised=categorised) if side == "query" else batch.vectors
            )
            for index, error in batch.errors.items():
                text.warn(f"left out: {crop_ids[index]}: {error}")
            show(len(done))
    if street:
        text.warn(f"left out: {street:,} street crops, which are no shop photos of their products")
    if not done:
        raise BadRequest(f"{table} gave no crop that could be read", hint="see the reasons above")
    parts = np.array([(part.name, part.size) for part in model.parts], dtype=[("name", "U32"), ("size", "i8")])
    arrays = {
        "ids": np.array([product_ids[index] for index in done]),
        "crop_ids": np.array([crop_ids[index] for index in done]),
        "vectors": np.concatenate(vectors),
        "parts": parts,
    }
    with files.replacing(out) as file:
        np.savez(file, allow_pickle=False, **arrays, fingerprint=np.array(model.fingerprint))
    text.warn(f"{len(done):,} vectors of {model.dim} numbers: {out}")
