"""LookBench: street, studio and generated photos that ask for products, in Parquet files with the photos inside.

A folder with ``SUBSET/query.parquet`` and ``SUBSET/gallery.parquet`` (or several files whose names begin so), and the
distractors in ``noise``. Columns: ``image`` (bytes), ``item_ID``, ``category`` and ``main_attribute``. See
docs/datasets/lookbench.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.data.readers import Reader
from osoroi.errors import BadDataset, BadPhoto, extra
from osoroi.records import Crop, Domain, Product, Row

SUBSETS: Final = ("real_studio_flat", "aigen_studio", "real_streetlook", "aigen_streetlook")
NOISE: Final = "noise"
LABELS: Final = ("item_ID", "category", "main_attribute")


@dataclass(frozen=True)
class BenchPhoto:
    """A photo inside a Parquet file, read when it is needed."""

    path: Path
    group: int
    row: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path}, row {self.row} of group {self.group}"

    def read(self) -> bytes:
        """The bytes of the photo; raises BadPhoto where there are none."""
        cell = _images(self.path, self.group)[self.row].as_py()
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise BadPhoto(f"{self.name} holds no photo", hint="fetch the file again")
        return data


@lru_cache(maxsize=2)
def _images(path: Path, group: int) -> Any:
    """The photos of a row group; they are read in order, so few groups are held."""
    files.require_ordinary(path)
    with extra("pyarrow.parquet", "parquet").ParquetFile(path) as file:
        return file.read_row_group(group, columns=["image"]).column("image")


@dataclass(frozen=True)
class LookBench:
    """One subset; queries are street crops, galleries shop crops. With ``noise`` the distractors follow."""

    path: Path
    subset: str
    noise: bool

    def rows(self) -> Iterator[Row]:
        """Queries, gallery, distractors, in the order of their files."""
        yield from self._split(self.subset, "query", "street")
        yield from self._split(self.subset, "gallery", "shop")
        if self.noise:
            yield from self._split(NOISE, "", "shop")

    def _split(self, folder: str, stem: str, domain: Domain) -> Iterator[Row]:
        files = sorted((self.path / folder).glob(f"{stem}*.parquet"))
        if not files:
            wanted = f"{folder}/{stem or '*'}.parquet"
            raise BadDataset(f"{self.path} lacks {wanted}", hint="docs/datasets/lookbench.md shows the layout")
        for path in files:
            for place, labels, photo in _lines(path):
                item, category, attribute = labels
                product = item if folder != NOISE else f"{NOISE}/{item}"  # whatever it shows, no query asks for it
                attributes = {"main_attribute": attribute} if attribute else {}
                yield Row(
                    Product(product, category=category or None, attributes=attributes),
                    Crop(f"{folder}/{path.stem}/{place}", product, domain, photo, None, "test"),
                )


def _lines(path: Path) -> Iterator[tuple[int, tuple[str, str, str], BenchPhoto]]:
    """Number, labels and photo of each row of a file."""
    parquet, arrow = extra("pyarrow.parquet", "parquet"), extra("pyarrow", "parquet")
    try:
        files.require_ordinary(path)
        with parquet.ParquetFile(path) as file:
            missing = [name for name in ("image", *LABELS) if name not in file.schema_arrow.names]
            if missing:
                raise BadDataset(f"{path} lacks the columns {missing}", hint="docs/datasets/lookbench.md names them")
            place = 0
            for group in range(file.num_row_groups):
                columns = file.read_row_group(group, columns=list(LABELS)).to_pydict()
                for row, labels in enumerate(zip(*(columns[name] for name in LABELS), strict=True)):
                    item, category, attribute = ("" if label is None else str(label) for label in labels)
                    if not item:
                        raise BadDataset(f"{path}, row {place + 1}: no item_ID", hint="every photo needs one")
                    yield place, (item, category, attribute), BenchPhoto(path, group, row)
                    place += 1
    except (arrow.ArrowException, OSError) as error:
        raise BadDataset(f"{path} is no readable Parquet file: {error}", hint="fetch it again") from error


def open_reader(path: str, *, subset: str = "real_streetlook", noise: str = "no") -> Reader:
    """The reader of a subset; ``noise=yes`` adds the distractors."""
    if subset not in SUBSETS:
        raise BadDataset(f"lookbench has no subset {subset!r}", hint=f"subsets: {', '.join(SUBSETS)}")
    if noise not in ("yes", "no"):
        raise BadDataset(f"noise={noise!r} is neither yes nor no", hint="noise=yes adds the distractors")
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="lookbench: wants the folder of the benchmark")
    return LookBench(Path(path), subset, noise == "yes")
