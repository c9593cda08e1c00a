"""The public ``Catalog``: the products of a shop together with the encoder that made their vectors."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from osoroi import categories, ingest, patches, staging
from osoroi import sync as syncing
from osoroi.catalog import Storage
from osoroi.catalog.address import place_of
from osoroi.catalog.opening import create_catalog, encoder_of, open_catalog, store_encoder
from osoroi.data.products import ProductInput, rows_of
from osoroi.data.readers import dataset_name
from osoroi.encoder import Encoder
from osoroi.errors import BadDataset, OtherEncoder
from osoroi.garments import Garment
from osoroi.garments.find import find as find_garments
from osoroi.ingest import Count
from osoroi.records import BoxLike, Crop, Hit, Kinds, PhotoLike, Problem, Product, Value, as_value
from osoroi.search import Searcher
from osoroi.sync import Synced
from osoroi.tables import LINKS, open_incoming
from osoroi.wishes import MOST_REMOVED, K, require_fitting

if TYPE_CHECKING:
    from osoroi.words.search import WordSearch

EncoderLike = Encoder | str | os.PathLike[str]
"""An encoder, or the path of its file."""


@dataclass(frozen=True)
class Added:
    """The result of ``Catalog.add``: numbers of products and crops, and the photos that could not be read."""

    count: Count
    problems: tuple[Problem, ...]


class Catalog:
    """The products of a shop, and the encoder that made their vectors.

    ``osoroi.open`` and ``osoroi.create`` give one. Every change is durable when its method returns. Threads may share
    a catalog; other processes see its changes at their next search.
    """

    def __init__(self, storage: Storage, encoder: Encoder) -> None:
        self.storage = storage
        self.encoder = encoder
        self._searcher = Searcher(encoder, storage)

    @cached_property
    def _words(self) -> "WordSearch":
        from osoroi.words.search import WordSearch

        return WordSearch(self._searcher)

    def __repr__(self) -> str:
        return f"<osoroi.Catalog {self.storage.location}>"

    # ------------------------------------------------------------------------------------------------ search

    @overload
    def search(
        self,
        photo: PhotoLike | None = None,
        *,
        box: BoxLike | None = None,
        kind: Kinds | None = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        detail_from: PhotoLike | None = None,
        detail_box: BoxLike | None = None,
        like: str | None = None,
        text: str | None = None,
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        photo: list[Any] | tuple[Any, ...],
        *,
        box: Sequence[BoxLike | None] | None = None,
        kind: Sequence[Kinds | None] | None = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
    ) -> list[list[Hit]]: ...

    def search(  # noqa: PLR0913  the wishes of one query are plain keywords here
        self,
        photo: PhotoLike | list[Any] | tuple[Any, ...] | None = None,
        *,
        box: Any = None,
        kind: Any = None,
        k: int = K,
        offset: int = 0,
        where: str | None = None,
        detail: float | None = None,
        detail_from: PhotoLike | None = None,
        detail_box: BoxLike | None = None,
        like: str | None = None,
        text: str | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The k products most similar to the garment in a photo, best first, after the first ``offset`` of them.

        A photo is a path, bytes, an open binary file, a Pillow image or an array ``uint8 [h w 3]``. ``box`` is the
        garment in it: (left, top, right, bottom) in pixels of the upright photo; without a box the whole photo is the
        query. ``kind`` is what it is, such as ``"skirt"``, or probabilities as ``Garment.kinds`` has them; by default
        its place on the body and its picture say that. ``where`` is a filter such as
        ``"category = skirts and price <= 5000"``. ``detail`` in [0, 1] is the weight of colour and pattern; by default
        it is the encoder's. ``detail_from`` is a second photo, or a colour such as ``"#b03a2e"`` or ``"navy"``: the
        products have the shape of the first photo in that colour and pattern. ``detail_box`` is the garment in the
        second photo.

        A list of photos is one batch: it gives a list of hits for each photo, and ``box`` and ``kind`` are then lists.
        ``like`` names a product of the catalog that is the query instead of a photo. ``text`` has words such as
        ``"red floral dress"``, alone or with one photo or ``like``: products have the cut of the photo, and colour and
        kind of the words (``osoroi.words.read`` gives what is understood); scores then lie in [0, 1]. Raises BadPhoto,
        BadFilter, BadRequest and NotFound.
        """
        require_fitting(photo, box, kind, like=like, text=text, detail_from=detail_from, detail_box=detail_box)
        page: dict[str, Any] = {"k": k, "offset": offset, "where": where, "detail": detail}
        wishes = page | {"box": box, "kind": kind, "detail_from": detail_from, "detail_box": detail_box}
        one: Any = photo  # a list only where there are no words
        if text is not None:
            return self._words.search(text, one, like=like, **wishes).hits
        if like is not None:
            return self._searcher.similar(like, **page)
        if isinstance(photo, list | tuple):
            return self._searcher.search_batch(photo, boxes=box, kinds=kind, **page)
        return self._searcher.search(one, **wishes)

    def find(self, photo: PhotoLike, *, box: BoxLike | None = None) -> list[Garment]:
        """The garments in a photo, as ``osoroi.find`` gives them; each has a box to search with."""
        return find_garments(photo, box=box)

    # ------------------------------------------------------------------------------------------------ change

    def add(
        self,
        products: str | os.PathLike[str] | Mapping[str, Any] | Iterable[ProductInput],
        *,
        threads: int = 2,
        on_progress: Callable[[Count], None] = lambda count: None,
    ) -> Added:
        """Embed and store products. Adding the same products again changes nothing.

        ``products`` is a data set such as ``table:products.csv``, the path of a table or folder, or products as Python
        values: mappings with ``product_id``, ``photo`` (or ``photos``) and the columns of ``Product``, or pairs of a
        ``Product`` and its photos. A photo that cannot be read is in ``problems`` and stops nothing. Raises BadDataset
        where the data cannot be read, or no product has a readable photo.
        """
        problems: list[Problem] = []
        count = ingest.add(
            rows_of(products),
            self.storage,
            self.encoder,
            threads=threads,
            on_problem=problems.append,
            on_progress=on_progress,
        )
        if not count.stored and (count.left_out or count.street):
            why = f": {problems[0].reason}" if problems else f" ({count.street} street crops)"
            raise BadDataset(f"no product has a readable shop photo{why}")
        return Added(count, tuple(problems))

    def sync(
        self,
        table: str | os.PathLike[str],
        *,
        most_removed: float = MOST_REMOVED,
        threads: int = 2,
        private_links: bool = False,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Synced:
        """Make the catalog equal to a table or another data set: add, change and remove products, in one commit.

        Searches see all of it or nothing. A line or photo that cannot be read leaves its product as it is and stops
        nothing. A table without photos changes the columns that it has. Raises BadRequest, and changes nothing, where
        more than the share ``most_removed`` of the products would go; BadDataset where the table cannot be read.
        """
        incoming = open_incoming(dataset_name(table))
        incoming.keep_stored(self.storage.get_many)
        problems: list[Problem] = []
        folder = self.storage.folder
        if not incoming.has_photos:
            count = patches.patch(incoming.changes(), self.storage, self.encoder, lambda product_id: None)
            count.contradicting = incoming.contradicting
            return Synced(count, (), tuple(map(str, incoming.bad_lines)))
        incoming.fetch(folder / LINKS, private=private_links, on_progress=lambda count: None)
        count = syncing.sync(
            incoming.rows(),
            self.storage,
            self.encoder,
            staging=folder / staging.FILE,
            spared=incoming.spared,
            most_removed=most_removed,
            threads=threads,
            on_problem=problems.append,
            on_progress=on_progress,
        )
        return Synced(count, tuple(problems), tuple(map(str, incoming.bad_lines)))

    @cached_property
    def _marks(self) -> categories.Marks:
        return categories.Marks(self.encoder)

    def update(self, product_id: str, /, **changes: Value | int | list[str | float]) -> Product:
        """Change columns of a product, such as ``price=2900`` or ``title="Coat"``; other names are attributes.

        None removes a value. A new category changes the part ``kind`` of the vectors; nothing else of them changes.
        One that no dictionary knows is learned by the next ``add`` or ``sync``.
        Returns the changed product. Raises NotFound and BadRequest, and BadPhoto where the category is no longer known
        and the photos, which then have to tell the kind, cannot be read.
        """
        values = {name: as_value(value) for name, value in changes.items()}
        category = values.get("category")
        named = [Product(product_id, category=category)] if isinstance(category, str) else []
        with self._marks.writing(may_change_kinds=bool(categories.unread(self.encoder, named))):
            return ingest.update(self.storage, self.encoder, product_id, values)

    def remove(self, product_ids: str | Iterable[str]) -> list[str]:
        """Remove one product or several; returns the ids that were in the catalog."""
        return self.storage.remove([product_ids] if isinstance(product_ids, str) else product_ids)

    # ------------------------------------------------------------------------------------------------ read

    def __getitem__(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        return self.storage.get(product_id)

    def __contains__(self, product_id: object) -> bool:
        return isinstance(product_id, str) and product_id in self.storage.get_many([product_id])

    def __len__(self) -> int:
        return len(self.storage)

    def __iter__(self) -> Iterator[Product]:
        return self.storage.products()

    def products(self, *, where: str | None = None) -> Iterator[Product]:
        """The products that match a filter, in the order of their ids. Raises BadFilter."""
        return self.storage.products(where=where)

    def count(self, *, where: str | None = None) -> int:
        """The number of products that match a filter. Raises BadFilter."""
        return self.storage.count(where=where)

    def crops(self, product_id: str) -> list[Crop]:
        """The crops of a product's photos; raises NotFound."""
        return self.storage.crops(product_id)

    # ------------------------------------------------------------------------------------------------ close

    def close(self) -> None:
        """Release the files. A closed catalog refuses every call."""
        self.storage.close()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(
    folder: str | os.PathLike[str], *, encoder: EncoderLike | None = None, readonly: bool = False, threads: int = 1
) -> Catalog:
    """The catalog in a folder. Without ``encoder`` its encoder is the one that it keeps, or that comes with osoroi.

    ``threads`` encode photos on the CPU. Raises BadCatalog for a folder that is no catalog, and OtherEncoder where the
    vectors were made by another encoder.
    """
    place = place_of(folder)
    storage = open_catalog(place, readonly=readonly)
    try:
        opened = encoder if isinstance(encoder, Encoder) else encoder_of(storage, encoder, threads=threads)
        if encoder is None and opened.fingerprint != storage.fingerprint:
            raise OtherEncoder(
                f"the catalog {place} has vectors of encoder {storage.fingerprint[:12]}, "
                "which is not the one that comes with osoroi",
                hint="name the file of its encoder: osoroi.open(folder, encoder='mine.onnx')",
            )
        return Catalog(storage, opened)
    except BaseException:
        storage.close()
        raise


def create(folder: str | os.PathLike[str], encoder: EncoderLike | None = None, *, threads: int = 1) -> Catalog:
    """A new, empty catalog for the vectors of an encoder, by default of the one that comes with osoroi.

    Raises BadCatalog where the folder holds something already.
    """
    opened = _encoder(encoder, threads)
    place = place_of(folder)
    storage = create_catalog(
        place,
        fingerprint=opened.fingerprint,
        dim=opened.dim,
        parts=opened.parts,
        about={"recipe": opened.recipe, "training": opened.training, "licence": opened.licence},
    )
    if not isinstance(encoder, Encoder):
        store_encoder(storage, encoder)
    return Catalog(storage, opened)


def _encoder(encoder: EncoderLike | None, threads: int) -> Encoder:
    return encoder if isinstance(encoder, Encoder) else Encoder.open(encoder, threads=threads)
