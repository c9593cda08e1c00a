"""Result grids of the page: selected queries down, each arm's first products across, with photos as data URIs."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from osoroi.data.readers import Reader
from osoroi.evaluation.compare import System
from osoroi.records import Crop
from osoroi.report import examples, grid
from osoroi.report.examples import ExampleCrops, ExampleKind

ACROSS = 5
"""Products shown for each arm."""

TITLES: dict[ExampleKind, str] = {
    "best": "The best: retrieved first, by the greatest lead",
    "worst": "The worst: the relevant product last, the most confident wrong product first",
    "random": "A random sample",
    "disagreement": "Where the arms disagree most",
}

THUMB = {"width": 132, "height": 176}


class GridPhoto(NamedTuple):
    """A photo as a data URI (empty where it is missing), and what it shows in words."""

    src: str
    text: str


class ResultCell(NamedTuple):
    """A product of a ranking; ``first`` starts an arm."""

    photo: GridPhoto
    relevant: bool
    first: bool


class ResultRow(NamedTuple):
    """A query, the ranks of its first relevant product in each arm, and the products of every arm."""

    query: GridPhoto
    notes: list[str]
    cells: list[ResultCell]


class ResultGrid(NamedTuple):
    """Some queries, with the names of the arms."""

    title: str
    arms: list[str]
    rows: list[ResultRow]


def grids(systems: Sequence[System], readers: Iterable[Reader], *, count: int, seed: int) -> list[ResultGrid]:
    """A grid of ``count`` queries for each way to select them."""
    evaluation = systems[0].evaluations[0]
    arms = [each.evaluations[0].arm(each.arm) for each in systems]
    selected = {kind: examples.select(arms, kind, count, seed=seed) for kind in TITLES}
    numbers = sorted({number for each in selected.values() for number in each})
    products = {product for arm in arms for number in numbers for product in arm.top[number][:ACROSS]}
    photos = Photos(examples.load_crops(readers, [evaluation.queries[number] for number in numbers], products))
    names = [each.name for each in systems]
    return [
        ResultGrid(title, names, [_row(systems, number, photos) for number in selected[kind]])
        for kind, title in TITLES.items()
    ]


def _row(systems: Sequence[System], number: int, photos: "Photos") -> ResultRow:
    query = systems[0].evaluations[0].queries[number]
    notes, cells = ["rank of the first", "relevant product:"], []
    for system in systems:
        arm = system.evaluations[0].arm(system.arm)
        rank = examples.first_relevant_rank(arm, number)
        notes.append(f"{system.name} {'–' if rank is None else rank}")
        top: list[str | None] = [*arm.top[number][:ACROSS]]
        for place, product in enumerate(top + [None] * (ACROSS - len(top))):
            relevant = product in query.product_ids
            text = "nothing" if product is None else f"{place + 1}: {product}{', relevant' if relevant else ''}"
            cells.append(ResultCell(photos.product(product, text), relevant, place == 0))
    return ResultRow(photos.query(query.crop_id, f"query: {query.crop_id}"), notes, cells)


class Photos:
    """Photos as data URIs; each is read once."""

    def __init__(self, crops: ExampleCrops) -> None:
        self._crops = crops
        self._uris: dict[tuple[str, str], str] = {}

    def query(self, crop_id: str, text: str) -> GridPhoto:
        """The photo of a query."""
        return GridPhoto(self._uri("street", crop_id, self._crops.queries.get(crop_id)), text)

    def product(self, product_id: str | None, text: str) -> GridPhoto:
        """The photo of a product."""
        return GridPhoto(self._uri("shop", product_id or "", self._crops.products.get(product_id or "")), text)

    def _uri(self, domain: str, name: str, crop: Crop | None) -> str:
        if (domain, name) not in self._uris:
            picture = None if crop is None else grid.picture_of(crop)
            data = b"" if picture is None else grid.jpeg(picture, **THUMB)
            self._uris[domain, name] = uri(data) if data else ""
        return self._uris[domain, name]


def uri(data: bytes) -> str:
    """A JPEG as a data URI."""
    return f"data:image/jpeg;base64,{b64encode(data).decode()}"
