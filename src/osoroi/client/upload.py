"""Products -> batches of lines for a service, and the answers to them."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from osoroi import image
from osoroi.client.transport import Transport, understood
from osoroi.client.values import photos_fields, product_fields
from osoroi.errors import BadPhoto, CatalogUnavailable
from osoroi.records import Crop, Problem, Product, Row

LINES = 100
"""Lines of one batch; a batch ends earlier where it would have more than BYTES."""
BYTES = 16 * 2**20
"""Bytes of one batch, unless one product alone has more."""

NDJSON = "application/x-ndjson"


@dataclass
class Sent:
    """The result of ``Client.add``: the number of products that the service has stored, and what it has not.

    A problem is a photo that cannot be read here, or a product that the service refused.
    """

    stored: int = 0
    problems: list[Problem] = field(default_factory=list)


def gathered(rows: Iterable[Row]) -> list[tuple[Product, list[Crop]]]:
    """Products with their shop crops, in the order of their first row, which decides their metadata."""
    products: dict[str, tuple[Product, dict[str, Crop]]] = {}
    for row in rows:
        if row.crop.domain == "shop":
            crops = products.setdefault(row.product.product_id, (row.product, {}))[1]
            crops.setdefault(row.crop.crop_id, row.crop)
    return [(product, list(crops.values())) for product, crops in products.values()]


def put(
    products: Iterable[tuple[Product, list[Crop]]],
    transport: Transport,
    on_progress: Callable[[int], None],
    *,
    most: int = LINES,
) -> Sent:
    """Send products with the photos that can be read, ``most`` in a batch; products without one are left out."""
    sent = Sent()
    send_lines(_lines(products, sent), transport, sent, on_progress=on_progress, most=most)
    return sent


def send_lines(
    lines: Iterable[tuple[str, bytes]],
    transport: Transport,
    sent: Sent,
    *,
    method: Literal["PUT", "PATCH"] = "PUT",
    on_progress: Callable[[int], None] = lambda stored: None,
    most: int = LINES,
) -> None:
    """Send lines, each with its product id, in batches of ``most``; what becomes of them is added to ``sent``."""
    for batch in _batches(lines, most):
        _send(batch, transport, sent, method)
        on_progress(sent.stored)


def _lines(products: Iterable[tuple[Product, list[Crop]]], sent: Sent) -> Iterator[tuple[str, bytes]]:
    """The id and the line of each product that has a photo."""
    for product, crops in products:
        photos: list[tuple[Crop, bytes]] = []
        for crop in crops:
            try:
                photos.append((crop, image.load(crop.photo)))
            except BadPhoto as error:
                name = image.name_of(crop.photo)
                sent.problems.append(Problem(product.product_id, crop.crop_id, name, str(error)))
        if photos:
            line: dict[str, Any] = product_fields(product) | {"photos": photos_fields(photos)}
            yield product.product_id, json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _batches(lines: Iterable[tuple[str, bytes]], most: int) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    for line in lines:
        if batch and (len(batch) >= most or sum(len(each) for _, each in batch) + len(line[1]) > BYTES):
            yield batch
            batch = []
        batch.append(line)
    if batch:
        yield batch


def _send(batch: list[tuple[str, bytes]], transport: Transport, sent: Sent, method: str) -> None:
    """Send a batch, and once more the lines for which the service had no room."""
    waits = transport.waits()
    while batch:
        body = b"".join(line for _, line in batch)
        answer = transport.request(method, "/v1/products", body=body, content_type=NDJSON)
        answers = answer.lines()
        if len(answers) != len(batch):
            raise CatalogUnavailable(
                f"{transport.url} answered {len(answers)} of {len(batch)} lines", hint="send the products again"
            )
        wait_s = next(waits, None)
        busy = []
        for line, one in zip(batch, answers, strict=True):
            with understood(transport.url):
                status = one["status"]
                reason = "" if status == 200 else f"{one['error']}; {one['hint']}"
            if status == 200:
                sent.stored += 1
            elif status == 503 and wait_s is not None:
                busy.append(line)
            else:
                sent.problems.append(Problem(line[0], "", "", reason))
        if busy and wait_s is not None:
            transport.again(wait_s)
        batch = busy
