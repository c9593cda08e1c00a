"""The note that a shop has nothing like it, where people read it: in the page, the API and the command line."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient

import osoroi
from browsing import Browser, choose, expect, needs_browser, opened
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import main
from osoroi.data.synthetic.outfits import outfits
from osoroi.encoder.calibration import Calibration
from osoroi.image.swatch import FASHION
from osoroi.image.swatch import swatch as tee
from osoroi.search import Searcher
from osoroi.server import app
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, serving

SURE = Calibration(slope=30.0, null=-60.0, level=0.0, spread=0.0)
DOUBTFUL = Calibration(slope=30.0, null=60.0, level=0.0, spread=0.0)
NOTE = "The shop probably does not have this very piece. These come nearest."


def judging(calibration: Calibration) -> SeeingEncoder:
    encoder = SeeingEncoder()
    encoder.metadata = replace(encoder.metadata, calibration=calibration)
    return encoder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCatalog]:
    encoder = SeeingEncoder()
    with fill(tmp_path_factory.mktemp("unlikely") / "shop", encoder, goods(encoder)) as catalog:
        yield catalog


@pytest.mark.parametrize(("calibration", "unlikely"), [(SURE, False), (DOUBTFUL, True)])
def test_the_api_says_that_there_is_nothing_like_it_and_shows_the_nearest(
    catalog: LocalCatalog, calibration: Calibration, unlikely: bool
) -> None:
    application = app.make(Searcher(judging(calibration), catalog), decoder=ThreadDecoder())
    with TestClient(application, base_url="http://127.0.0.1") as client:
        photo = {"photo": ("snap.png", picture(RED))}
        answer = client.post("/v1/search", files=photo).json()
        assert answer["nothing_like_it"] is unlikely
        assert (answer["probability"] < 0.01) is unlikely
        assert len(answer["hits"]) == 5
        filtered = client.post("/v1/search", files=photo, data={"where": "price < 9000"}).json()
        assert (filtered["nothing_like_it"], filtered["probability"]) == (False, None)


@needs_browser
@pytest.mark.parametrize("calibration", [SURE, DOUBTFUL])
def test_the_page_says_so_above_the_nearest_and_takes_it_back(
    browser: Browser, catalog: LocalCatalog, calibration: Calibration
) -> None:
    with serving(judging(calibration), catalog) as address:
        for page in opened(browser, address):
            choose(page, picture(RED))
            note = page.locator(".unlikely")
            expect(page.locator(".grid .card")).to_have_count(5)
            if calibration is SURE:
                expect(note).to_have_count(0)
                continue
            expect(note).to_have_text(NOTE)
            expect(note).to_be_visible()
            above, card = note.bounding_box(), page.locator(".grid .card").first.bounding_box()
            assert above is not None
            assert card is not None
            assert above["y"] + above["height"] <= card["y"]
            page.locator("#slider").focus()
            page.keyboard.press("End")
            expect(note).to_have_count(0)  # nothing was fitted for another weight
            page.locator("#own").click()
            expect(note).to_have_text(NOTE)
            page.locator("[data-lang=ja]").click()
            expect(note).to_have_text("まったく同じものはなさそうです。近いものから並べています。")


def test_the_command_line_says_so_on_stderr(tmp_path: Path) -> None:
    with osoroi.create(tmp_path / "shop") as shop:
        shop.add([{"product_id": name, "photo": tee(name)} for name in list(FASHION)[:14]])
    made = outfits(0, 0)
    Image.fromarray(made.photo).save(tmp_path / "snap.jpg")
    shoes = next(garment for garment in made.garments if garment.kind == "shoes")
    box = ",".join(map(str, shoes.box))
    told = CliRunner().invoke(main, ["search", str(tmp_path / "shop"), str(tmp_path / "snap.jpg"), "--box", box])
    assert told.exit_code == 0, told.output
    assert "the product itself is probably not in this catalog" in told.stderr
    assert told.stdout.startswith("rank")
    each = CliRunner().invoke(main, ["search", str(tmp_path / "shop"), str(tmp_path / "snap.jpg"), "--garment", "all"])
    assert each.exit_code == 0, each.output
    place, kind = next(line.split()[:2] for line in each.stdout.splitlines() if " shoes " in line)
    assert f"\n{place} {kind}: the product itself is probably not" in f"\n{each.stderr}"
