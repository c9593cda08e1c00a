"""Pictures of street photos with their boxes, beside them the products of each garment."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from osoroi.cli import main
from osoroi.data.synthetic.outfits import outfits
from osoroi.records import Box, Crop, Product, Row
from osoroi.report import street
from osoroi.report.grid import GAP, GREEN, RED, GridCell


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour)).all(axis=-1).sum())


def row(number: int, category: str, box: Box) -> Row:
    return Row(Product(f"p{number}", category=category), Crop(f"c{number}", f"p{number}", "street", b"", box))


def test_true_boxes_are_dashed_and_found_ones_solid_in_the_colour_of_their_match() -> None:
    photo = np.full((200, 130, 3), 90, np.uint8)
    plain = street.with_boxes(photo, [], [], set())
    assert plain.shape == (400, street.PHOTO_WIDTH, 3)
    dashed = street.with_boxes(photo, [("top", Box(10, 20, 60, 80))], [], set())
    edge = dashed[100, 24:116].mean(axis=0)  # inside the box nothing is drawn
    assert np.array_equal(edge, [90, 90, 90])
    dashes = (dashed[40, 20:120] != 90).any(axis=1)
    assert 0.3 < dashes.mean() < 0.8
    solid = street.with_boxes(photo, [], [("top", Box(10, 20, 60, 80)), ("bag", Box(70, 90, 120, 190))], {0})
    assert (solid[158, 22:118] == GREEN).all()
    assert (solid[378, 142:238] == RED).all()


def test_a_garment_that_is_missed_says_so_and_has_no_crop() -> None:
    photo = np.full((100, 100, 3), 200, np.uint8)
    photo[10:50, 10:50] = (30, 60, 190)
    rows = [row(0, "tops", Box(10, 10, 50, 50)), row(1, "shoes", Box(60, 80, 90, 98))]
    lists = {"c0": [GridCell(np.full((4, 4, 3), 7, np.uint8), "x", GREEN)], "c1": []}
    without = street.picture(photo, rows, None, lists)
    missed = street.picture(photo, rows, [("top", Box(11, 10, 50, 51)), ("bag", Box(0, 70, 20, 99))], lists)
    assert has(missed, RED) > 0
    assert has(without, RED) == 0
    right = slice(street.PHOTO_WIDTH, None)
    assert has(without[:, right], (200, 200, 200)) > 1000  # the shoes' crop, which is plain
    assert has(missed[:, right], (200, 200, 200)) < has(without[:, right], (200, 200, 200)) / 2
    assert has(missed[:, right], GREEN) == has(without[:, right], GREEN) > 100


def test_an_evaluation_that_finds_garments_draws_them_and_so_does_its_report(tmp_path: Path) -> None:
    made = outfits(0, 0)
    (tmp_path / "ccp" / "photos").mkdir(parents=True)
    Image.fromarray(made.photo).save(tmp_path / "ccp" / "photos" / "0000.jpg", quality=95)
    boxes = [
        f"0000,{garment.kind},{box.left},{box.top},{box.right - box.left},{box.bottom - box.top}"
        for garment in made.garments
        for box in [Box(*garment.box)]
        if garment.kind in ("top", "skirt", "shoes", "dress", "trousers")
    ]
    (tmp_path / "ccp" / "garments.csv").write_text("\n".join(["photo,label,left,top,width,height", *boxes]))
    Image.new("RGB", (60, 80), (20, 90, 160)).save(tmp_path / "p.png")
    (tmp_path / "shop.csv").write_text("photo,product_id,category\np.png,Skirts,Skirts\np.png,Tops,Tops\n")
    command = ["evaluate", f"ccp:{tmp_path / 'ccp'}", "--distractors", f"table:{tmp_path / 'shop.csv'}", "--find"]
    told = CliRunner().invoke(main, [*command, "--grid", str(tmp_path / "g.png"), "--json", str(tmp_path / "e.json")])
    assert told.exit_code == 0, told.output
    picture = np.asarray(Image.open(tmp_path / "g.png"))
    assert picture.shape[1] == street.PHOTO_WIDTH + GAP + 3 * (street.SIDE + GAP)  # the crop and two products
    assert has(picture[:, : street.PHOTO_WIDTH], GREEN) + has(picture[:, : street.PHOTO_WIDTH], RED) > 100
    told = CliRunner().invoke(main, ["report", str(tmp_path / "e.json"), "--out", str(tmp_path / "report")])
    assert told.exit_code == 0, told.output
    page = (tmp_path / "report" / "index.html").read_text()
    (data,) = re.findall(r'class="street" src="data:image/jpeg;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).width == 1000
