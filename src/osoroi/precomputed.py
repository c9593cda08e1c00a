"""Vectors that were made elsewhere, by the catalog's encoder -> a catalog: nothing is embedded, no photo is read.

A file is a NumPy archive (npz) or a Parquet table. It has a row for each vector, and says by which encoder it was made.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.catalog import Entry, Storage
from osoroi.catalog.store.validation import demand
from osoroi.data.products import COLUMNS
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset, BadRequest, OtherEncoder, extra
from osoroi.records import Crop, Product, Value, as_value

PRODUCTS_PER_COMMIT = 256

UNIT = 1e-3
"""By how much the length of a part may differ from 1."""

OURS = frozenset({"ids", "vectors", "fingerprint", "parts", "crop_ids", "photo"})
"""Arrays of a file that are no columns of products."""


FORMATS = "vectors are read from an npz archive of NumPy or from a Parquet file (.parquet)"


class Precomputed(NamedTuple):
    """Rows of a file: products, ids of crops, paths of photos (None where a vector has none), and vectors."""

    fingerprint: str
    product_ids: Sequence[str]
    crop_ids: Sequence[str] | None
    photos: Sequence[str | None]
    columns: Mapping[str, Sequence[Value]]
    vectors: Float32[np.ndarray, "n d"]


def read(path: Path) -> Precomputed:
    """The rows of an npz or Parquet file. Raises BadDataset for a file that is none, or lacks what it must have."""
    if path.suffix != ".parquet":  # whose columns say whether it has vectors
        from osoroi import path_types

        if path_types.path_type(path) == path_types.TABLE:
            hint = f"'osoroi add CATALOG {path}' embeds and stores the products of a table"
            raise BadDataset(f"{path} is a table of products, without vectors", hint=hint)
        path_types.require(path, path_types.VECTORS, "a file of vectors", BadDataset)
    if not path.exists():
        raise BadDataset(f"there is no file {path}", hint=FORMATS)
    try:
        arrays = _of_parquet(path) if path.suffix == ".parquet" else _of_npz(path)
        vectors = np.array(arrays["vectors"], np.float32)
        product_ids = _ids(arrays["ids"], "ids", path)
        fingerprint = str(_decoded(arrays["fingerprint"]))
    except KeyError as error:
        raise BadDataset(
            f"{path} has no {error}", hint="it needs ids, vectors and fingerprint, as 'osoroi embed --side shop' writes"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        reason = "an array holds Python objects, not text or numbers" if "allow_pickle" in str(error) else error
        raise BadDataset(f"{path} cannot be read: {reason}", hint=FORMATS) from error
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise BadDataset(f"the vectors of {path} are no rows of finite numbers", hint="write an array [n, d]")
    columns = {name: _column(values, name, path) for name, values in arrays.items() if name not in OURS}
    crop_ids = None if "crop_ids" not in arrays else _ids(arrays["crop_ids"], "crop_ids", path)
    paths = _column(arrays.get("photo", [None] * len(product_ids)), "photo", path)
    photos = [str(one) if one else None for one in paths]
    for name, values in {"vectors": vectors, "crop_ids": crop_ids, "photo": photos, **columns}.items():
        if values is not None and len(values) != len(product_ids):
            raise BadDataset(f"{path} has {len(product_ids)} ids and {len(values)} of {name!r}", hint="one for each id")
    return Precomputed(fingerprint, product_ids, crop_ids, photos, columns, vectors)


def _ids(values: Any, name: str, path: Path) -> list[str]:
    """Ids as text. Raises BadDataset for one that is missing, or is itself a list."""
    ids = _column(values, name, path)
    for row, one in enumerate(ids):
        if one is None or isinstance(one, tuple | dict):
            raise BadDataset(f"row {row} of {path} has the {name} {one!r:.60}", hint="an id is a text or a number")
    return [str(one) for one in values] if all(isinstance(one, int) for one in values) else [str(one) for one in ids]


def _column(values: Any, name: str, path: Path) -> list[Any]:
    """The values of a column, one for each row."""
    if not isinstance(values, list):
        raise BadDataset(f"{name!r} of {path} is no column: {values!r:.60}", hint="it has one value for each id")
    column = []
    for row, one in enumerate(values):
        try:
            column.append(_value(one))
        except UnicodeDecodeError as error:
            raise BadDataset(f"row {row} of {path} has {name} that are no UTF-8: {one!r:.60}") from error
    return column


def _value(one: Any) -> Any:
    """A value as it is stored: bytes are text in UTF-8, and NaN, as pandas writes it, is missing."""
    value = as_value(_decoded(one))
    return None if isinstance(value, float) and math.isnan(value) else value


def _decoded(one: Any) -> Any:
    return one.decode() if isinstance(one, bytes) else one


def _of_npz(path: Path) -> dict[str, Any]:
    arrays = files.arrays(path)
    return {name: array if name == "vectors" else array.tolist() for name, array in arrays.items()}


def _of_parquet(path: Path) -> dict[str, Any]:
    """The columns of a table; its metadata, or a column, says the fingerprint."""
    parquet = extra("pyarrow.parquet", "parquet")
    with files.open_foreign(path) as file:
        table = parquet.read_table(file)
    arrays: dict[str, Any] = {name: table.column(name).to_pylist() for name in table.column_names}
    stated = (table.schema.metadata or {}).get(b"fingerprint")
    if stated is not None:
        arrays["fingerprint"] = stated.decode()
    elif isinstance(arrays.get("fingerprint"), list):
        (arrays["fingerprint"],) = set(arrays["fingerprint"]) or {""}
    return arrays


class Loaded(NamedTuple):
    """What a load did: products and vectors of the file, and commits that changed anything."""

    products: int
    vectors: int
    commits: int


def load(
    rows: Precomputed,
    catalog: Storage,
    encoder: Encoder,
    *,
    name: str,
    on_progress: Callable[[int], None] = lambda products: None,
) -> Loaded:
    """Store every product of a file with exactly these vectors. Loading the same again changes nothing.

    Raises, before anything is stored, OtherEncoder for vectors of another encoder, and BadDataset for vectors whose
    parts are not of unit length, for a product whose rows contradict each other, and for values that no catalog stores.
    """
    if rows.fingerprint != catalog.fingerprint:
        raise OtherEncoder(
            f"the vectors of {name} are by encoder {rows.fingerprint[:12] or 'unknown'}, and the catalog "
            f"{catalog.location} has vectors of {catalog.fingerprint[:12]}",
            hint="make them by the catalog's encoder: 'osoroi embed --side shop' writes such a file",
        )
    _demand_unit(rows.vectors, encoder, name)
    products = dict(_products(rows, name))
    before, commits, ids = catalog.seq, 0, list(products)
    for start in range(0, len(ids), PRODUCTS_PER_COMMIT):
        chunk = ids[start : start + PRODUCTS_PER_COMMIT]
        seq = catalog.put([products[one] for one in chunk], fingerprint=catalog.fingerprint)
        commits, before = commits + (seq > before), seq
        on_progress(start + len(chunk))
    return Loaded(len(products), len(rows.vectors), commits)


def _demand_unit(vectors: Float32[np.ndarray, "n d"], encoder: Encoder, name: str) -> None:
    """Raise BadDataset for vectors that are not in parts of unit length."""
    if vectors.shape[1] != encoder.dim:
        raise BadDataset(f"{name} has vectors of {vectors.shape[1]} numbers", hint=f"the encoder makes {encoder.dim}")
    for part, columns in encoder.columns.items():
        lengths = np.linalg.norm(vectors[:, columns], axis=1)
        if (wrong := np.flatnonzero(np.abs(lengths - 1) > UNIT)).size:
            raise BadDataset(
                f"row {wrong[0]} of {name} has the part {part!r} of length {lengths[wrong[0]]:.4f}",
                hint="parts have length 1; vectors of queries are weighted, so use 'osoroi embed --side shop'",
            )


def _products(rows: Precomputed, name: str) -> Iterator[tuple[str, Entry]]:
    """Products with their crops and vectors, each once. Raises BadDataset where two rows contradict each other."""
    places: dict[str, list[int]] = {}
    owners: dict[str, str] = {}  # crop -> its product
    for at, product_id in enumerate(rows.product_ids):
        places.setdefault(product_id, []).append(at)
    for product_id, of in places.items():
        product = _product(rows, of[0])
        if any(_product(rows, at) != product for at in of[1:]):
            raise BadDataset(f"the rows of product {product_id!r} of {name} differ in its columns", hint="say it once")
        crops = [_crop(rows, at, number, product_id) for number, at in enumerate(of)]
        if len({crop.crop_id for crop in crops}) < len(crops):
            raise BadDataset(f"product {product_id!r} of {name} has two rows of one crop_id", hint="each needs its own")
        for crop in crops:
            if owners.setdefault(crop.crop_id, product_id) != product_id:
                raise BadDataset(
                    f"products {owners[crop.crop_id]!r} and {product_id!r} of {name} have the same crop_id "
                    f"{crop.crop_id!r}",
                    hint="each crop belongs to one product",
                )
        entry = Entry(product, crops, rows.vectors[of])
        try:
            demand(entry, rows.vectors.shape[1])
        except BadRequest as error:
            raise BadDataset(f"row {of[0]} of {name}: {error}", hint="correct the file") from error
        yield product_id, entry


def _crop(rows: Precomputed, at: int, number: int, product_id: str) -> Crop:
    crop_id = rows.crop_ids[at] if rows.crop_ids is not None else f"{product_id}/{number}"
    photo = rows.photos[at]
    return Crop(crop_id, product_id, "shop", b"" if photo is None else Path(photo))


def _product(rows: Precomputed, at: int) -> Product:
    """The product of a row: its columns, and all others as attributes; attributes may be one column of JSON."""
    values = {name: column[at] for name, column in rows.columns.items() if column[at] is not None}
    attributes = {name: value for name, value in values.items() if name not in COLUMNS and name != "attributes"}
    listed = values.get("attributes")
    if listed is not None:
        try:
            attributes |= {key: _value(value) for key, value in files.from_json(str(listed)).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise BadDataset(f"row {at} has attributes that are no JSON object: {listed!r:.60}") from error
    columns: dict[str, Any] = {name: value for name, value in values.items() if name in COLUMNS}
    return Product(**{**columns, "product_id": rows.product_ids[at]}, attributes=attributes)
