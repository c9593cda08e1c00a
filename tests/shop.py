"""A small shop to serve: plain garments of a known colour, so that what must be found is known without an encoder."""

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from PIL import Image

from osoroi import image
from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.stored import StoredCatalog
from osoroi.encoder import Encoder
from osoroi.garments import Garment
from osoroi.image import Limits, Reduced
from osoroi.records import Box, Crop, Preprocessing, Product
from osoroi.search import Searcher
from osoroi.server import app, run
from osoroi.server.decoding import Decoder, ForegroundMap, Thumbnail, tasks
from osoroi.server.decoding.pool import DecodingPool
from osoroi.server.finding import Finder
from osoroi.server.learning import CategoryLearning
from osoroi.server.settings import Settings
from tiny import TinyEncoder

RED, GREEN, BLUE, WHITE = (200, 20, 20), (20, 160, 40), (20, 40, 200), (250, 250, 250)


class SeeingEncoder(TinyEncoder):
    """Looks at the left half."""

    def foreground(self, crop: np.ndarray) -> np.ndarray:
        return np.array([[1.0, 0.0]], np.float32)


def picture(*stripes: tuple[int, int, int], width: int = 60, height: int = 80, kind: str = "PNG") -> bytes:
    """A photo of upright stripes of equal width, left to right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for place, colour in enumerate(stripes):
        pixels[:, place * width // len(stripes) : (place + 1) * width // len(stripes)] = colour
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def entry(encoder: Encoder, product: Product, *photos: bytes) -> Entry:
    crops = [
        Crop(f"{product.product_id}/{place}", product.product_id, "shop", photo) for place, photo in enumerate(photos)
    ]
    pixels = [image.crop(photo, None, encoder.preprocessing["shop"]) for photo in photos]
    return Entry(product, crops, encoder.encode(pixels))


def goods(encoder: Encoder) -> list[Entry]:
    """Five products; P4 has two photos."""
    made = [
        (Product("P1", "Red skirt", "skirts", "Aoi", 3900.0, "JPY", "https://shop.example/1"), [picture(RED)]),
        (Product("P2", "Green skirt", "skirts", "Nord", 5900.0, "JPY"), [picture(GREEN)]),
        (Product("P3", "Blue top", "tops", "Aoi", 2900.0, "JPY", attributes={"sale": True}), [picture(BLUE)]),
        (Product("P4", "Purple top", "tops", "Nord", 7900.0), [picture((120, 30, 120)), picture((110, 30, 130))]),
        (Product("P5", "Grey coat", "coats", price=19900.0, attributes={"sale": False}), [picture((90, 90, 90))]),
    ]
    return [entry(encoder, product, *photos) for product, photos in made]


def file_of(crop: Crop) -> Path:
    """The file of a crop whose photo is one."""
    assert isinstance(crop.photo, Path)
    return crop.photo


def fill(folder: Path, encoder: Encoder, entries: Sequence[Entry]) -> LocalCatalog:
    catalog = LocalCatalog.open_or_create(folder, encoder)
    if entries:
        catalog.put(entries, fingerprint=encoder.fingerprint)
    return catalog


class ThreadDecoder:
    """A decoder on the threads of the test: no process to wait for."""

    def __init__(self) -> None:
        self.limits = Limits(bytes=32 * 2**20)

    async def run(self, task: str, photo: bytes, **values: Any) -> tuple[dict[str, Any], bytes]:
        return await asyncio.to_thread(tasks.run, task, photo, values, self.limits)

    async def crop(self, photo: bytes, box: Box | None, preprocessing: Preprocessing) -> image.Photo:
        head, pixels = await self.run("crop", photo, box=box, preprocessing=asdict(preprocessing))
        return np.frombuffer(pixels, np.uint8).reshape(head["shape"])

    async def reduced(self, photo: bytes, side: int) -> Reduced:
        head, body = await self.run("reduced", photo, side=side)
        pixels = np.frombuffer(body, np.uint8).reshape(head["shape"])
        return Reduced(pixels, head["factor"], head["width"], head["height"])

    async def thumbnail(self, photo: bytes, width: int) -> Thumbnail:
        head, jpeg = await self.run("thumbnail", photo, width=width)
        return Thumbnail(jpeg, head["width"], head["height"])

    async def saliency(
        self, photo: bytes, box: Box | None, preprocessing: Preprocessing, attention: ForegroundMap, width: int
    ) -> bytes:
        values = {"box": box, "preprocessing": asdict(preprocessing), "attention": attention, "width": width}
        return (await self.run("saliency", photo, **values))[1]

    def hurry(self) -> None:
        pass

    def close(self) -> None:
        pass


def routes_of(application: FastAPI) -> list[Any]:
    """Every route of the service, those of included routers too."""

    def walk(routes: Sequence[Any]) -> Iterator[Any]:
        for route in routes:
            if hasattr(route, "path"):
                yield route
            else:  # a router that was included
                yield from walk(route.original_router.routes)

    return list(walk(application.router.routes))


def learning_soon(application: FastAPI) -> FastAPI:
    """A service that learns the categories of products in no time, and not two seconds after the first one."""
    service = application.state.service
    service.learning = CategoryLearning(service.write, wait_s=0.05)
    return application


@contextlib.contextmanager
def serving(
    encoder: Encoder,
    catalog: StoredCatalog,
    settings: Settings | None = None,
    *,
    processes: bool = False,
    reopen: Callable[[], Searcher] | None = None,
    finder: Finder | None = None,
    learns_soon: bool = False,
) -> Iterator[str]:
    """The service on a free port of this machine, in a thread; gives its address. With ``processes`` photos are decoded
    in worker processes, as they are outside of tests."""
    decoder: Decoder = DecodingPool.of(settings or Settings()) if processes else ThreadDecoder()
    application = app.make(Searcher(encoder, catalog), settings, decoder=decoder, reopen=reopen, finder=finder)
    if learns_soon:
        learning_soon(application)
    server = run.Server(application, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive(), "the service did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the service did not stop"


@contextlib.contextmanager
def serving_finds(folder: Path, garments: Sequence[Garment]) -> Iterator[str]:
    """The service on the products of ``goods``, which finds these garments in every photo; gives its address."""
    encoder = SeeingEncoder()

    def find(photo: Reduced, *, box: Box | None = None) -> list[Garment]:
        return list(garments)

    with (
        fill(folder, encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, finder=Finder(1, find=find, load=lambda: None)) as address,
    ):
        yield address
