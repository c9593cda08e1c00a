"""A table on its way into a catalog: its layout, lines that cannot be read, photos of links, and what would change."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from osoroi.catalog import Storage
from osoroi.data.cells import LINK, photos_in
from osoroi.data.download import DownloadCount
from osoroi.data.links import Links
from osoroi.data.readers import Reader, open_dataset, quoted
from osoroi.data.readers.layout import Layout
from osoroi.data.readers.line_conflicts import LineConflict
from osoroi.data.readers.table import Table, product_id_of
from osoroi.data.readers.table_changes import table_changes
from osoroi.data.tabular import BadLine, Line
from osoroi.errors import BadDataset, BadRequest
from osoroi.image.cropping import existing
from osoroi.records import Row, Value
from osoroi.sync import SyncCount, gathered, merged

LINKS = "links"
"""Folder inside a catalog for photos behind links."""


@dataclass(frozen=True)
class TableShard:
    """One of ``count`` parts of a table, by a hash of the product's id that is the same on every machine."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "TableShard":
        """The shard that ``i/n`` names, i from 1 to n. Raises BadRequest.

        >>> TableShard.parse("2/8")
        TableShard(number=2, count=8)
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise BadRequest(f"{text!r} is no shard", hint="write i/n with i from 1 to n, such as 2/8")
        return cls(int(number), int(count))

    def holds(self, product_id: str) -> bool:
        """Whether a product is of this part."""
        digest = hashlib.sha256(product_id.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


WHOLE = TableShard(1, 1)


@dataclass
class Incoming:
    """A data set on its way into a catalog, or a part of it. ``bad_lines`` are filled as its rows are read;
    ``contradicting`` and ``conflicts`` as the changes of a table without photos are."""

    reader: Reader
    layout: Layout | None = None
    bad_lines: list[BadLine] = field(default_factory=list)
    contradicting: int = 0
    conflicts: list[LineConflict] = field(default_factory=list)
    links: Links | None = None
    shard: TableShard = WHOLE
    name: str = ""  # reader, absolute path and options, for other processes
    _changes: dict[str, dict[str, Value]] | None = field(default=None, init=False, repr=False)

    @property
    def total(self) -> int | None:
        """Products, or lines that are nearly as many; None where nobody knows."""
        return None if self.layout is None else -(-self.layout.lines // self.shard.count)

    @property
    def has_photos(self) -> bool:
        """Whether it has a column of photos; a table without one changes metadata alone."""
        return self.layout is None or self.layout.has_photos

    @property
    def names_products(self) -> bool:
        """Whether its lines say whose they are: by their photos, or by a column of ids."""
        return self.layout is None or self.has_photos or "product_id" in self.layout.columns

    def rows(self) -> Iterator[Row]:
        """The rows; lines that cannot be read are in ``bad_lines``."""
        if not isinstance(self.reader, Table):
            rows = self.reader.rows()
        else:
            self.bad_lines.clear()
            photo_of = self.links.sources() if self.links else None
            rows = self.reader.rows(self._note, layout=self.layout, photo_of=photo_of)
        return rows if self.shard == WHOLE else (row for row in rows if self.shard.holds(row.product.product_id))

    def _note(self, error: BadLine) -> None:
        """Keep a line that cannot be read; each is of one shard alone."""
        if self.shard.holds(error.product_id or error.place):
            self.bad_lines.append(error)

    def spared(self) -> list[str] | None:
        """Products of lines that cannot be read, which must not be taken for removed; None where it is not known whose
        a line is, so that none may be."""
        known = [error.product_id for error in self.bad_lines if error.product_id is not None]
        return known if len(known) == len(self.bad_lines) else None

    def keep_stored(self, stored: Callable[[list[str]], Iterable[str]]) -> list[str]:
        """Read the lines of products of the catalog that look like lines of totals: ``stored`` says of some ids which
        ones the catalog has. Returns these."""
        if self.layout is None or not self.layout.total_ids:
            return []
        ids = sorted(stored(sorted(self.layout.total_ids)))
        if frozenset(ids) != self.layout.stored:
            self.layout = replace(self.layout, stored=frozenset(ids))
            self._changes = None
        return ids

    def fetch(
        self, folder: Path, *, private: bool, on_progress: Callable[[DownloadCount], None]
    ) -> DownloadCount | None:
        """Fetch the photos of links into a folder; None where there are none."""
        if self.layout is None or not self.has_photos:
            return None
        lines = (line for line in self.layout.read(lambda error: None) if self._is_of_shard(line))
        links = [photo for line in lines for photo in links_in(line)]
        if not links:
            return None
        self.links = Links(folder, private)
        return self.links.fetch(links, on_progress)

    def _is_of_shard(self, line: Line) -> bool:
        photos = photos_in(line.cells.get("photo"))
        return self.shard == WHOLE or (bool(photos) and self.shard.holds(product_id_of(line, photos[0])))

    def changes(self) -> dict[str, dict[str, Value]]:
        """Product id -> metadata that the lines of a table without photos state; those that contradict an earlier line
        of their product are in ``conflicts``. The table is read at the first call, and again where ``keep_stored`` has
        changed which lines count."""
        assert self.layout is not None
        if self._changes is None:
            self.bad_lines.clear()
            note = self.bad_lines.append
            changes = table_changes(self.layout.read(note), self.layout, note)
            self.contradicting, self.conflicts = changes.contradicting, changes.conflicts
            self._changes = changes.by_product
        return self._changes


def open_incoming(dataset: str, *, shard: TableShard = WHOLE) -> Incoming:
    """A data set on its way into a catalog, or a part of it; a table is read once to decide how."""
    reader = open_dataset(dataset)
    if not isinstance(reader, Table):
        return Incoming(reader, shard=shard, name=absolute(dataset))
    layout = reader.layout()
    if layout.undecided:
        problem = f"{reader.path}: {'; '.join(layout.undecided)}"
        raise BadDataset(
            problem,
            hint=f"'osoroi look {reader.path} --write FILE.toml' writes a recipe in which to say so",
        )
    require_lines(layout)
    incoming = Incoming(reader, layout, shard=shard, name=absolute(dataset))
    if not incoming.names_products:
        names = ", ".join(column.header for column in layout.columns.values())
        raise BadDataset(
            f"{reader.path} has no column photo, and none that is a product_id",
            hint=f"the columns are {names}; 'osoroi look {reader.path} --write FILE.toml' writes a recipe to name them",
        )
    return incoming


def absolute(dataset: str) -> str:
    """A data set whose paths are absolute, so that it means the same in another folder.

    >>> absolute("drawn:40"), absolute("table:/shop/a.csv?recipe=hm")
    ('drawn:40', 'table:/shop/a.csv?recipe=hm')
    """
    reader, _, rest = dataset.partition(":")
    path, mark, options = rest.rpartition("?")
    if not mark:
        path, options = rest, ""
    if not Path(path).exists():
        return dataset
    if reader == "table":
        options = "&".join(_absolute_option(option) for option in options.split("&"))
    return f"{reader}:{Path(path).absolute()}{mark}{options}"


def _absolute_option(option: str) -> str:
    """An option of a table; a file or folder that it names is made absolute."""
    name, equals, value = option.partition("=")
    path = unquote(value)
    is_path = (name == "photos" and path) or (name == "recipe" and path.endswith(".toml"))
    return f"{name}{equals}{quoted(str(Path(path).absolute()))}" if is_path else option


def require_lines(layout: Layout) -> None:
    """Raise BadDataset for a table of which no line can be read, or which has none."""
    if layout.lines:
        return
    path = layout.source.path
    bad: list[BadLine] = []
    deque(layout.read(bad.append), maxlen=0)
    if bad:
        raise BadDataset(f"no line of {path} can be read; the first: {bad[0].place}: {bad[0].problem}")
    below = "" if layout.source.is_typed else " below the header"
    raise BadDataset(f"{path} has no lines{below}", hint="export it again, with its products")


def links_in(line: Line) -> list[str]:
    """The links among a line's photos."""
    found = (photo for photo in photos_in(line.cells.get("photo")) if LINK.match(photo))
    return [f"https:{photo}" if photo.startswith("//") else photo for photo in found]


def preview(incoming: Incoming, catalog: Storage) -> SyncCount:
    """What adding a table would do, by its metadata and the names of its photos, none of which is read.

    ``removed`` counts products that the table does not have: a sync would remove them.
    """
    count = SyncCount()
    incoming.keep_stored(catalog.get_many)
    if not incoming.has_photos:
        for product_id, changes in incoming.changes().items():
            before = catalog.get_many([product_id]).get(product_id)
            count.left_out += before is None
            if before is not None:
                same = merged(before.product, changes) == before.product
                count.unchanged += same
                count.changed += not same
        return count
    wanted = gathered(incoming.rows(), count)
    for product_id, one in wanted.items():
        before = catalog.get_many([product_id]).get(product_id)
        if before is None:
            count.added += 1
            continue
        same = before.product == one.product
        same = same and [crop.crop_id for crop in before.crops] == [crop.crop_id for crop in one.crops]
        count.unchanged += same
        count.changed += not same
    count.removed = sum(product_id not in wanted for product_id in catalog.product_ids())
    return count


def missing_photos(rows: Iterator[Row]) -> Iterator[tuple[str, str]]:
    """Product and path of photos that are not there."""
    for product, crop in rows:
        if isinstance(crop.photo, Path) and not existing(crop.photo).is_file():
            yield product.product_id, str(crop.photo)
