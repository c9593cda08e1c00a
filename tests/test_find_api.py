"""``/v1/find``, and ``/v1/search`` by a garment that is found, by all, and with the colour of something else."""

import asyncio
import io
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import web
from osoroi import garments
from osoroi.catalog.local import LocalCatalog
from osoroi.data.synthetic.outfits import outfits
from osoroi.errors import NotFound
from osoroi.garments.find import find
from osoroi.image import Reduced
from osoroi.records import Box, Hit, Product
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.finding import Finder
from osoroi.server.search_request import FindRequest, SearchRequest
from osoroi.server.service import Service
from osoroi.server.settings import Settings
from shop import BLUE, GREEN, RED, SeeingEncoder, ThreadDecoder, entry, fill, goods, picture, serving

NAVY = (30, 42, 79)


@pytest.fixture(scope="module")
def snap() -> bytes:
    """Somebody in a dotted blouse, dark red trousers and shoes."""
    return png(outfits(0, 0).photo)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, snap: bytes) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    worn = entry(encoder, Product("WORN", "As worn", "coats"), snap)
    with fill(tmp_path_factory.mktemp("find") / "shop", encoder, [*goods(encoder), worn]) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def client(catalog: LocalCatalog) -> Iterator[TestClient]:
    application = app.make(Searcher(SeeingEncoder(), catalog), decoder=ThreadDecoder())
    with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, route: str, photo: bytes | None = None, **fields: str) -> Any:
    """The response to a form of a photo and fields."""
    files: list[Any] = [("photo", ("snap.png", photo))] if photo else []
    return client.post(f"/v1/{route}", files=[*files, *((name, (None, value)) for name, value in fields.items())])


def ids(hits: Sequence[dict[str, object]]) -> list[object]:
    return [hit["product_id"] for hit in hits]


# -------------------------------------------------------------------- what is found


def fields(garment: garments.Garment) -> dict[str, object]:
    return garments.fields(garment) | {"kinds": garment.kinds}


def test_the_garments_of_a_photo_are_those_that_the_package_finds(client: TestClient, snap: bytes) -> None:
    answer = post(client, "find", snap)
    assert answer.status_code == 200, answer.text
    assert answer.json()["garments"] == [fields(one) for one in find(snap)]
    assert {one["kind"] for one in answer.json()["garments"]} >= {"top", "trousers", "shoes"}


def test_a_box_is_judged_alone_and_the_photo_may_be_one_of_the_catalog(client: TestClient, snap: bytes) -> None:
    box = find(snap)[0].box
    (judged,) = post(client, "find", crop_id="WORN/0", box=",".join(map(str, box))).json()["garments"]
    assert judged == fields(find(snap, box=box)[0])


def test_a_large_photo_has_boxes_in_its_own_pixels(client: TestClient) -> None:
    small = Image.open(io.BytesIO(png(outfits(0, 0).photo)))
    file = io.BytesIO()
    small.resize((2000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    here = post(client, "find", file.getvalue()).json()["garments"]
    expected = find(np.asarray(small))
    assert [one["kind"] for one in here] == [one.kind for one in expected]
    for one, other in zip(here, expected, strict=True):
        assert np.abs(np.array(one["box"]) / 5 - np.array(other.box)).max() < 12


def test_colours_are_those_of_the_garment(client: TestClient) -> None:
    pixels = np.full((200, 160, 3), 250, np.uint8)
    pixels[20:180, 20:140] = NAVY
    (one,) = post(client, "find", png(pixels)).json()["garments"]
    assert one["colors"] == ["#1e2a4f"]


# -------------------------------------------------------------------- searching by what is found


def test_searching_by_a_garment_is_searching_by_its_box(client: TestClient, snap: bytes) -> None:
    lower = next(one for one in find(snap) if one.kind == "trousers")
    number = str(find(snap).index(lower) + 1)
    by_box = post(client, "search", snap, box=",".join(map(str, lower.box))).json()
    for wanted in ("lower", "trousers", "パンツ", number):
        answer = post(client, "search", snap, garment=wanted)
        assert answer.status_code == 200, answer.text
        assert answer.json()["garment"] == garments.fields(lower)
        assert answer.json()["hits"] == by_box["hits"]


@pytest.mark.parametrize("fields", [{"look": "true"}, {"look": "1", "garment": "all"}, {"garment": "all"}])
def test_a_look_is_one_list_for_each_garment(client: TestClient, snap: bytes, fields: dict[str, str]) -> None:
    answer = post(client, "search", snap, k="2", **fields).json()
    rows = answer["garments"]
    assert [row["kind"] for row in rows] == [one.kind for one in find(snap)]
    for number, row in enumerate(rows, start=1):
        alone = post(client, "search", snap, garment=str(number), k="2").json()
        assert row["hits"] == alone["hits"]
        assert {name: row[name] for name in alone["garment"]} == alone["garment"]
    assert len({tuple(ids(row["hits"])) for row in rows}) > 1


def test_garments_of_a_photo_of_the_catalog_leave_its_product_out(client: TestClient, snap: bytes) -> None:
    answer = post(client, "search", crop_id="WORN/0", look="true").json()
    mine = post(client, "search", snap, look="true").json()
    for row, other in zip(answer["garments"], mine["garments"], strict=True):
        assert ids(row["hits"]) == [name for name in ids(other["hits"]) if name != "WORN"]


def test_the_next_page_is_exact_with_filters_and_several_photos_of_a_product(
    client: TestClient, catalog: LocalCatalog
) -> None:
    whole = post(client, "search", picture(RED), where="price < 9000").json()["hits"]
    pages = [
        post(client, "search", picture(RED), where="price < 9000", k="2", offset=str(offset)).json()["hits"]
        for offset in (0, 2, 4)
    ]
    assert [len(page) for page in pages] == [2, 2, 0]
    assert [hit | {"rank": 0} for page in pages for hit in page] == [hit | {"rank": 0} for hit in whole]
    assert len(catalog.crops("P4")) == 2  # one of the four, once


# -------------------------------------------------------------------- two wishes


@pytest.mark.parametrize("color", ["#1428c8", "Blue", "青"])
def test_a_colour_replaces_colour_and_pattern_and_leaves_the_shape(client: TestClient, color: str) -> None:
    hits = post(client, "search", picture(RED), detail_from=color).json()["hits"]
    application: Any = client.app
    expected = Searcher(SeeingEncoder(), application.state.service.catalog).search(picture(RED), detail_from=color)
    assert ids(hits) == [hit.product_id for hit in expected]
    assert [hit["parts"] for hit in hits] == [pytest.approx(hit.parts, abs=1e-5) for hit in expected]
    assert ids(post(client, "search", picture(RED), detail_from=color, detail="1").json()["hits"])[0] == "P3"


def test_a_second_photo_gives_colour_and_pattern_and_its_box_says_of_what(client: TestClient) -> None:
    both = picture(GREEN, BLUE, width=80)
    first = lambda answer: answer.json()["hits"][0]["product_id"]  # noqa: E731
    for box, product_id in (("0,0,40,80", "P2"), ("40,0,80,80", "P3")):
        files = {"photo": ("a.png", picture(RED)), "detail_from": ("b.png", both)}
        answer = client.post("/v1/search", files=files, data={"detail_box": box, "detail": "1"})
        assert answer.status_code == 200, answer.text
        assert first(answer) == product_id
    product = client.post(
        "/v1/search", files={"detail_from": ("b.png", picture(BLUE))}, data={"product_id": "P1", "detail": "1"}
    )
    assert first(product) == "P3"


def test_a_look_may_be_wished_for_in_one_colour(client: TestClient, snap: bytes) -> None:
    rows = post(client, "search", snap, look="true", detail_from="#14a028", detail="1").json()["garments"]
    for row in rows:  # the photo itself is of every colour
        assert next(name for name in ids(row["hits"]) if name != "WORN") == "P2"


# -------------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"garment": "99"}, 400, "no garment '99' is found in the photo; there are: 1 "),
        ({"garment": "0"}, 400, "no garment '0'"),
        ({"garment": "hat"}, 400, "no garment 'hat'"),
        ({"garment": "x" * 5000}, 400, "more than 60 characters"),
        ({"garment": "1", "box": "0,0,40,40"}, 400, "not both"),
        ({"look": "true", "box": "0,0,40,40"}, 400, "not both"),
        ({"look": "true", "garment": "1"}, 400, "leave one of them out"),
        ({"look": "perhaps"}, 400, "neither true nor false"),
        ({"detail_from": "colour of the sea"}, 400, "no colour"),
        ({"detail_from": "x" * 500_000}, 400, "no colour"),
        ({"detail_from": "navy", "detail_box": "0,0,40,40"}, 400, "detail_box is a garment in the photo"),
        ({"detail_box": "0,0,40,40"}, 400, "detail_box is a garment in the photo"),
        ({"detail_box": "0,0,40"}, 400, "detail_box='0,0,40' is no box"),
        ({"offset": "-1"}, 400, "from 0 to 1000"),
        ({"offset": "1001"}, 400, "from 0 to 1000"),
        ({"box": "0,0,9999,40"}, 422, "does not fit"),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(
    client: TestClient, snap: bytes, fields: dict[str, str], status: int, says: str
) -> None:
    answer = post(client, "search", snap, **fields)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "hint"}
    assert says in answer.json()["error"] + answer.json()["hint"]
    assert len(answer.text) < 2500


def test_a_product_without_a_photo_named_has_no_garments(client: TestClient) -> None:
    for name, value in (("garment", "1"), ("look", "true")):
        answer = post(client, "search", None, product_id="P1", **{name: value})
        assert (answer.status_code, "crop_id" in answer.json()["hint"]) == (400, True)


@pytest.mark.parametrize(
    "parts",
    [
        [("detail_from", ("a.png", picture(RED))), ("detail_from", ("b.png", picture(BLUE)))],
        [("detail_from", ("a.png", picture(RED))), ("detail_from", (None, "navy"))],
        [("detail_from", (None, "red")), ("detail_from", (None, "navy"))],
        [("garment", (None, "1")), ("garment", (None, "2"))],
        [("look", (None, "true")), ("look", (None, "false"))],
    ],
)
def test_two_of_a_kind_are_refused(client: TestClient, parts: list[Any]) -> None:
    answer = client.post("/v1/search", files=[("photo", ("snap.png", picture(RED))), *parts])
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 400), ({"crop_id": "P9/0"}, 404), ({"k": "3"}, 400), ({"product_id": "P1"}, 400)]
)
def test_find_takes_a_photo_and_nothing_it_would_not_read(
    client: TestClient, fields: dict[str, str], status: int
) -> None:
    answer = client.post(
        "/v1/find", files={name: (None, value) for name, value in fields.items()} or {"box": (None, "")}
    )
    assert answer.status_code == status, answer.text


def test_photos_that_cost_too_much_or_are_none_are_refused_wherever_they_come(tmp_path: Path) -> None:
    encoder = SeeingEncoder()
    huge = png(np.zeros((3000, 3000, 3), np.uint8))
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, Settings(pixels=4_000_000, decoders=2), processes=True) as url,
    ):
        for bad in (huge, b"no photo"):
            forms: list[tuple[str, dict[str, Any]]] = [
                ("find", {"photo": bad}),
                ("search", {"photo": bad, "garment": (None, "1")}),
                ("search", {"photo": picture(RED), "detail_from": ("b.png", bad)}),
            ]
            for route, files in forms:
                assert web.post(f"{url}/v1/{route}", files=files, timeout=60).status_code == 422
        assert web.post(f"{url}/v1/find", files={"photo": picture(RED)}, timeout=60).status_code == 200


# -------------------------------------------------------------------- many at once


class HeldFind:
    """One garment, the whole photo, once ``go_on`` is set; remembers how many photos were in work at once."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.running, self.most, self.calls = 0, 0, 0
        self._lock = threading.Lock()

    def __call__(self, photo: Reduced, *, box: Box | None = None) -> list[garments.Garment]:
        with self._lock:
            self.running, self.calls = self.running + 1, self.calls + 1
            self.most = max(self.most, self.running)
        self.go_on.wait(60)
        with self._lock:
            self.running -= 1
        return [garments.Garment(Box(0, 0, photo.width, photo.height), "top", 1.0, None)]


def test_at_most_so_many_photos_are_searched_for_garments_and_the_loop_goes_on() -> None:
    async def ask() -> None:
        jobs = [asyncio.ensure_future(finder.find(photo)) for _ in range(6)]
        while held.running < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert held.calls == 2, "the others wait, and so does no task of this loop"
        held.go_on.set()
        await asyncio.gather(*jobs)

    photo = Reduced(np.zeros((40, 30, 3), np.uint8), 1, 30, 40)
    held = HeldFind()
    finder = Finder(2, find=held)
    asyncio.run(asyncio.wait_for(ask(), 60))
    assert (held.most, held.calls) == (2, 6)
    finder.close()


def test_a_photo_whose_request_gave_up_before_its_turn_is_not_searched() -> None:
    async def ask() -> None:
        first = asyncio.ensure_future(finder.find(photo))
        second = asyncio.ensure_future(finder.find(photo))
        while held.running < 1:
            await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait([second])
        held.go_on.set()
        await first

    photo = Reduced(np.zeros((40, 30, 3), np.uint8), 1, 30, 40)
    held = HeldFind()
    finder = Finder(1, find=held)
    asyncio.run(asyncio.wait_for(ask(), 60))
    finder.close()
    assert held.calls == 1


def test_the_networks_are_loaded_once() -> None:
    async def ask() -> None:
        for _ in range(3):
            finder.warm()
        await finder.find(Reduced(np.zeros((40, 30, 3), np.uint8), 1, 30, 40))

    loads: list[int] = []
    finder = Finder(1, find=lambda photo, box=None: [], load=lambda: loads.append(1))
    asyncio.run(ask())
    finder.close()
    assert loads == [1]


class FailingAtOne(Service):
    """Finds two garments; searching for the first fails, and for the second takes for ever."""

    cancelled = 0

    async def find(self, request: SearchRequest | FindRequest) -> Sequence[garments.Garment]:
        return [garments.Garment(Box(0, 0, 9, side), "top", 1.0, 0, {}) for side in (9, 10)]

    async def search(self, request: SearchRequest) -> list[Hit]:
        if request.box == Box(0, 0, 9, 9):
            raise NotFound("nothing here")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return []


def test_where_the_search_for_one_garment_fails_nobody_waits_for_the_others(catalog: LocalCatalog) -> None:
    async def ask() -> int:
        service = FailingAtOne(Searcher(SeeingEncoder(), catalog), Settings(), ThreadDecoder())
        with pytest.raises(NotFound, match="nothing here"):
            await service.search_each(SearchRequest(photo=b"any"))
        await asyncio.sleep(0)  # the cancelled one has its turn
        service.close()
        return service.cancelled

    assert asyncio.run(ask()) == 1


@pytest.mark.parametrize("name", ["photo", "detail_from"])
def test_a_photo_of_no_bytes_is_called_empty_and_a_file_that_was_not_chosen_is_none(client, snap, name):
    photo = [("photo", ("snap.png", snap))] if name != "photo" else []
    answer = client.post("/v1/search", files=[*photo, (name, ("zero.png", b""))])
    assert (answer.status_code, answer.json()["error"]) == (400, f"the photo in the field '{name}' is empty")
    answer = client.post("/v1/search", files=[*photo, (name, ("", b""))])
    assert answer.status_code == (400 if name == "photo" else 200)
    assert answer.json().get("error", "here is none").endswith("here is none")
