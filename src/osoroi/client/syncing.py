"""The products of a service made equal to a table: what differs is sent, the rest is left alone.

A photo is known by its bytes and its box, of which the service makes the crop's id, so photos that it has are not sent,
and files that have not changed are not even read. A photo that ``osoroi add`` stored on the service's own machine
has another id, and is sent once.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from osoroi import image
from osoroi.client import upload
from osoroi.client.transport import Transport, understood
from osoroi.client.upload import Sent
from osoroi.client.values import change_fields, photos_fields, product_fields, product_of
from osoroi.data.links import path_of
from osoroi.errors import BadDataset, BadPhoto, NotFound
from osoroi.file_hashes import FileHashes, stamp_of
from osoroi.records import Crop, Problem, Product, Value, crop_id_of
from osoroi.sync import SyncCount, Synced, Wanted, gathered, removed
from osoroi.tables import Incoming

PAGE = 200
"""Products of one request of a list."""


class Stored(NamedTuple):
    """A product of the service, and the ids of its crops."""

    product: Product
    crop_ids: list[str]


class Hashed(NamedTuple):
    """A crop, the hash of its photo, and the photo where it had to be read for that."""

    crop: Crop
    sha256: str
    photo: bytes | None


def sync(
    incoming: Incoming,
    transport: Transport,
    hashes: FileHashes,
    *,
    most_removed: float,
    on_progress: Callable[[int, int], None],
) -> Synced:
    """Send what a table has and the service has not, and remove what the table has no longer.

    Each product is a change of its own, so searches may see some of them before the others. Raises BadRequest, before
    anything is sent, where more than the share ``most_removed`` of the products would go.
    """
    count, sent = SyncCount(), Sent()
    wanted = gathered(incoming.rows(), count)
    if not wanted:
        raise BadDataset("the table has no product with a shop photo", hint="nothing was changed")
    stored = {each.product.product_id: each for each in _stored(transport)}
    spared = incoming.spared()
    gone = [] if spared is None else removed(list(stored), wanted, spared, most=most_removed)
    upload.send_lines(
        _lines(wanted.values(), stored, count, sent, hashes),
        transport,
        sent,
        on_progress=lambda done: on_progress(min(done + count.unchanged, len(wanted)), len(wanted)),
    )
    for product_id in gone:
        try:
            transport.request("DELETE", "/v1/product", query={"id": product_id})
        except NotFound:
            continue
        count.removed += 1
    refused = {problem.product_id for problem in sent.problems if not problem.crop_id}
    count.added -= len(refused - stored.keys())
    count.changed -= len(refused & stored.keys())
    count.left_out += len(refused)
    return Synced(count, tuple(sent.problems), tuple(map(str, incoming.bad_lines)))


def patch(changes: Mapping[str, Mapping[str, Value]], incoming: Incoming, transport: Transport) -> Synced:
    """Send the columns of a table without photos."""
    sent = Sent()
    lines = (
        (product_id, _line({"product_id": product_id, **change_fields(fields)}))
        for product_id, fields in changes.items()
        if fields
    )
    upload.send_lines(lines, transport, sent, method="PATCH")
    count = SyncCount(changed=sent.stored, left_out=len(sent.problems), contradicting=incoming.contradicting)
    return Synced(count, tuple(sent.problems), tuple(map(str, incoming.bad_lines)))


def _stored(transport: Transport) -> Iterator[Stored]:
    after: str | None = None
    while True:
        query = {"limit": str(PAGE), "crops": "true"} | ({} if after is None else {"after": after})
        page = transport.request("GET", "/v1/products", query=query).json()
        with understood(transport.url):
            stored = [Stored(product_of(fields), page["crops"][fields["product_id"]]) for fields in page["products"]]
            after = page["next"]
        yield from stored
        if after is None:
            return


def _lines(
    wanted: Iterable[Wanted], stored: Mapping[str, Stored], count: SyncCount, sent: Sent, hashes: FileHashes
) -> Iterator[tuple[str, bytes]]:
    """The lines of products that differ: without photos where these are the same."""
    for product, crops in wanted:
        before = stored.get(product.product_id)
        photos = _hashed(product, crops, sent, hashes)
        keeps = _keeps(before, photos, crops)
        if not keeps:
            photos = _loaded(product, photos, sent)
            keeps = _keeps(before, photos, crops)
        count.unreadable += len(crops) - len(photos)
        if before is None and not photos:
            count.left_out += 1
        elif keeps and before is not None and before.product == product:
            count.unchanged += 1
        else:
            count.added += before is None
            count.changed += before is not None
            count.embedded += 0 if keeps else len(photos)
            read = [(each.crop, each.photo) for each in photos if each.photo is not None]
            carried = {} if keeps else {"photos": photos_fields(read)}
            yield product.product_id, _line(product_fields(product) | carried)


def _keeps(before: Stored | None, photos: Sequence[Hashed], crops: Sequence[Crop]) -> bool:
    """Whether the service's photos of a product stay: it has these, or not all of them can be read."""
    if before is None:
        return False
    ids = list(dict.fromkeys(crop_id_of(before.product.product_id, each.sha256, each.crop.box) for each in photos))
    return ids == before.crop_ids or len(photos) < len(crops)


def _hashed(product: Product, crops: Sequence[Crop], sent: Sent, hashes: FileHashes) -> list[Hashed]:
    """Crops with the hash of their photo; files that have not changed are not read."""
    photos = []
    for crop in crops:
        path = path_of(crop)
        known = None if path is None else hashes.of(path)
        if known is not None:
            photos.append(Hashed(crop, known, None))
            continue
        stamp = None if path is None else stamp_of(path)
        photo = _read(product, crop, sent)
        if photo is None:
            continue
        photos.append(Hashed(crop, hashlib.sha256(photo).hexdigest(), photo))
        if path is not None:
            hashes.remember(path, stamp, photos[-1].sha256)
    return photos


def _loaded(product: Product, photos: Iterable[Hashed], sent: Sent) -> list[Hashed]:
    """Those of these photos that can be read, with their bytes."""
    read = ((each, each.photo or _read(product, each.crop, sent)) for each in photos)
    return [each._replace(photo=photo) for each, photo in read if photo is not None]


def _read(product: Product, crop: Crop, sent: Sent) -> bytes | None:
    """The photo of a crop; None, and a problem, where it cannot be read."""
    try:
        return image.load(crop.photo)
    except BadPhoto as error:
        sent.problems.append(Problem(product.product_id, crop.crop_id, image.name_of(crop.photo), str(error)))
        return None


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
