"""``osoroi.Client``: the methods of a ``Catalog``, on a service that runs elsewhere. Nothing is embedded here."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from osoroi import image
from osoroi.client import upload, values
from osoroi.client.transport import Transport, understood
from osoroi.client.upload import Sent
from osoroi.data.products import ProductInput, rows_of
from osoroi.errors import BadDataset, BadRequest, NotFound
from osoroi.records import Box, BoxLike, Crop, Hit, Kinds, PhotoLike, Product, Value, as_value
from osoroi.wishes import MOST_REMOVED, K, require_fitting

if TYPE_CHECKING:
    from osoroi.garments import Garment
    from osoroi.sync import Synced

__all__ = ["Client", "RemotePhoto", "Sent"]

T = TypeVar("T")

PAGE = 200
"""Products of one request of a list."""
SHOWN_WIDTH = 1600
"""Pixels across of a photo of the service, at most."""


class RemotePhoto:
    """A photo of the service, made small; it is fetched when it is read."""

    def __init__(self, transport: Transport, crop_id: str) -> None:
        self._transport = transport
        self.crop_id = crop_id

    def read(self) -> bytes:
        """A JPEG of at most 1,600 pixels across. Raises NotFound."""
        query = {"id": self.crop_id, "width": str(SHOWN_WIDTH)}
        return self._transport.request("GET", "/v1/photo", query=query).content


class Client:
    """The products of a shop that ``osoroi serve`` serves, with the methods of ``Catalog``.

    ``url`` is the address of the service, with its prefix where it has one; ``key`` its read key or its write key. A
    request waits ``timeout_s`` seconds for an answer. Where the service is busy or cannot be reached, a request is sent
    again up to ``retries`` times. Threads may share a client. Errors are those of ``Catalog``; beside them there are
    NoKey, TooMuch, and CatalogUnavailable where nobody answers.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 60.0, retries: int = 4) -> None:
        self._transport = Transport(url, key=key, timeout_s=timeout_s, retries=retries)

    def __repr__(self) -> str:
        return f"<osoroi.Client {self._transport.url}>"

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
        """The k products most similar to the garment in a photo, best first; all of it as in ``Catalog.search``.

        The photo is sent to the service, which neither stores nor logs it. A list of photos is searched one by one. The
        service gives 200 products at most, after an ``offset`` of 1,000 at most.
        """
        require_fitting(photo, box, kind, like=like, text=text, detail_from=detail_from, detail_box=detail_box)
        if isinstance(photo, list | tuple):
            return self._batch(photo, box, kind, {"k": k, "offset": offset, "where": where, "detail": detail})
        fields: dict[str, str | bytes | None] = {
            "photo": None if photo is None else image.load(photo),
            "product_id": like,
            "text": text,
            "box": values.box_text(box),
            "kind": values.kind_text(kind),
            "k": str(k),
            "offset": str(offset),
            "where": where,
            "detail": values.number_text(detail),
            "detail_from": values.detail_of(detail_from),
            "detail_box": values.box_text(detail_box),
        }
        return self._post("/v1/search", fields, values.hits_of)

    def _batch(
        self,
        photos: Sequence[PhotoLike],
        boxes: Sequence[BoxLike | None] | None,
        kinds: Sequence[Kinds | None] | None,
        rest: Mapping[str, Any],
    ) -> list[list[Hit]]:
        each_box, each_kind = boxes or [None] * len(photos), kinds or [None] * len(photos)
        if not len(photos) == len(each_box) == len(each_kind):
            raise BadRequest(
                f"{len(photos)} photos came with {len(each_box)} boxes and {len(each_kind)} kinds",
                hint="give one or None for each",
            )
        wishes = zip(photos, each_box, each_kind, strict=True)
        return [self.search(photo, box=box, kind=kind, **rest) for photo, box, kind in wishes]

    def find(self, photo: PhotoLike, *, box: BoxLike | None = None) -> "list[Garment]":
        """The garments in a photo, as ``osoroi.find`` gives them; each has a box to search with."""
        fields = {"photo": image.load(photo), "box": values.box_text(box)}
        return self._post("/v1/find", fields, values.garments_of)

    # ------------------------------------------------------------------------------------------------ change

    def add(
        self,
        products: str | os.PathLike[str] | Mapping[str, Any] | Iterable[ProductInput],
        *,
        on_progress: Callable[[int], None] = lambda stored: None,
    ) -> Sent:
        """Send products with their photos, in every form that ``Catalog.add`` takes; each replaces the one of its id.

        What the service refuses and photos that cannot be read are in ``problems`` and stop nothing. A product whose
        photos cannot be read stays as it is. Raises BadDataset where nothing could be sent. ``on_progress`` gets the
        number of products that are stored.
        """
        sent = upload.put(upload.gathered(rows_of(products)), self._transport, on_progress)
        if not sent.stored and sent.problems:
            raise BadDataset(f"no product was stored: {sent.problems[0].reason}")
        return sent

    def sync(
        self,
        table: str | os.PathLike[str],
        *,
        most_removed: float = MOST_REMOVED,
        private_links: bool = False,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "Synced":
        """Make the service's products equal to a table or another data set, as ``Catalog.sync`` does.

        Photos that the service has are not sent again. Each product is a change of its own: searches may see some
        before the others. Photos behind links are fetched into the user's cache. Raises BadRequest, and changes
        nothing, where more than the share ``most_removed`` of the products would go.
        """
        from osoroi.catalog.address import cache_folder
        from osoroi.client import syncing
        from osoroi.data.links import name_of
        from osoroi.data.readers import dataset_name
        from osoroi.file_hashes import hashes_in
        from osoroi.tables import open_incoming

        incoming = open_incoming(dataset_name(table))
        incoming.keep_stored(lambda product_ids: [one for one in product_ids if one in self])
        if not incoming.has_photos:
            return syncing.patch(incoming.changes(), incoming, self._transport)
        cache = cache_folder()
        incoming.fetch(cache / "links", private=private_links, on_progress=lambda count: None)
        with hashes_in(cache / "hashes" / f"{name_of(self._transport.url)}.sqlite") as hashes:
            return syncing.sync(incoming, self._transport, hashes, most_removed=most_removed, on_progress=on_progress)

    def update(self, product_id: str, /, **changes: Value | int | list[str | float]) -> Product:
        """Change columns of a product, such as ``price=2900``; other names are attributes. None removes a value.

        Returns the changed product. Raises NotFound and BadRequest.
        """
        content = values.change_fields({name: as_value(value) for name, value in changes.items()})
        answer = self._transport.request(
            "PATCH",
            "/v1/product",
            query={"id": product_id},
            body=json.dumps(content).encode(),
            content_type="application/json",
        )
        with understood(self._transport.url):
            return values.product_of(answer.json())

    def remove(self, product_ids: str | Iterable[str]) -> list[str]:
        """Remove one product or several; returns the ids that were in the catalog."""
        removed = []
        for product_id in [product_ids] if isinstance(product_ids, str) else product_ids:
            try:
                self._transport.request("DELETE", "/v1/product", query={"id": product_id})
            except NotFound:
                continue
            removed.append(product_id)
        return removed

    # ------------------------------------------------------------------------------------------------ read

    def __getitem__(self, product_id: str) -> Product:
        """One product; raises NotFound."""
        return self._stored(product_id, lambda stored: values.product_of(stored["product"]))

    def __contains__(self, product_id: object) -> bool:
        try:
            return isinstance(product_id, str) and self._stored(product_id, bool)
        except NotFound:
            return False

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Product]:
        return self.products()

    def products(self, *, where: str | None = None) -> Iterator[Product]:
        """The products that match a filter, in the order of their ids. Raises BadFilter."""
        after: str | None = None
        while True:
            query = {"limit": str(PAGE), "where": where, "after": after}
            products, after = self._get("/v1/products", query, values.page_of)
            yield from products
            if after is None:
                return

    def count(self, *, where: str | None = None) -> int:
        """The number of products that match a filter. Raises BadFilter."""
        query = {"limit": "1", "total": "true", "where": where}
        return self._get("/v1/products", query, lambda page: int(page["total"]))

    def crops(self, product_id: str) -> list[Crop]:
        """The crops of a product's photos; raises NotFound. A photo is fetched when it is read, as a small JPEG, while
        the box is that of the photo as it was sent."""
        return self._stored(product_id, lambda stored: [self._crop(product_id, one) for one in stored["crops"]])

    def _crop(self, product_id: str, one: Mapping[str, Any]) -> Crop:
        photo, box = RemotePhoto(self._transport, one["crop_id"]), one["box"]
        return Crop(one["crop_id"], product_id, "shop", photo, Box(*box) if box else None)

    # ------------------------------------------------------------------------------------------------ close

    def close(self) -> None:
        """Close the connections. A closed client refuses every call."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stored(self, product_id: str, parse: Callable[[Any], T]) -> T:
        return self._get("/v1/product", {"id": product_id}, parse)

    def _get(self, path: str, query: Mapping[str, str | None], parse: Callable[[Any], T]) -> T:
        given = {name: value for name, value in query.items() if value is not None}
        answer = self._transport.request("GET", path, query=given)
        with understood(self._transport.url):
            return parse(answer.json())

    def _post(self, path: str, fields: values.Fields, parse: Callable[[Any], T]) -> T:
        body, content_type = values.form(fields)
        answer = self._transport.request("POST", path, body=body, content_type=content_type)
        with understood(self._transport.url):
            return parse(answer.json())
