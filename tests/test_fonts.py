"""Letters of other scripts in grids, drawn with the fonts of this machine: fontconfig says which scripts it has."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFont

from osoroi.cli import main
from osoroi.encoder import Encoder
from osoroi.records import Product
from osoroi.report import fonts, grid
from shop import RED, entry, fill, picture

LETTERS = {"ja": "赤い青", "ko": "한글색", "th": "สีแดง", "ru": "Жёлтый", "und-zsye": "👗👠👜"}
"""Language of fontconfig (``und-zsye`` is emoji) -> letters of its script."""


def fonts_for(language: str) -> list[Path]:
    """The font files of this machine that fontconfig holds for a language, in the folders that osoroi searches."""
    if shutil.which("fc-list") is None:
        pytest.skip("needs fontconfig")
    done = subprocess.run(["fc-list", f":lang={language}", "file"], capture_output=True, text=True, check=True)
    paths = [Path(line.rstrip(" :")) for line in done.stdout.splitlines()]
    searched = [Path(folder).expanduser() for folder in fonts.FOLDERS["linux"]]
    return [path for path in paths if any(path.is_relative_to(folder) for folder in searched)]


def ink(text: str) -> np.ndarray:
    """The caption of a grid of one cell, dark where there is ink."""
    return 255 - grid.sheet([[grid.GridCell(None, text)]])[grid.GAP + 160 :].min(axis=2)


@pytest.mark.parametrize("language", LETTERS)
def test_letters_are_drawn_with_a_font_of_this_machine(language):
    found = fonts_for(language)
    if not found:
        pytest.skip(f"this machine has no font for {language}")
    letters = LETTERS[language]
    assert fonts.missing_scripts([letters]) == []
    drawn = [ink(letter) for letter in letters if letter.isprintable()]
    box = ink("\U0010fffe")
    assert all(one.any() and not np.array_equal(one, box) for one in drawn)
    assert len({one.tobytes() for one in drawn}) == len(set(letters)), "each letter looks different"


def test_a_japanese_letter_is_the_one_that_its_font_draws():
    found = fonts_for("ja")
    if not found:
        pytest.skip("this machine has no Japanese font")
    canvas = Image.new("RGB", (60, 40), "white")
    fonts.draw(canvas, (5, 5), "赤", size=24, fill=(0, 0, 0))
    shapes = []
    for path in found:
        other = Image.new("RGB", (60, 40), "white")
        ImageDraw.Draw(other).text((5, 5), "赤", fill=(0, 0, 0), font=ImageFont.truetype(str(path), 24))
        shapes.append(np.asarray(other).tobytes())
    assert np.asarray(canvas).tobytes() in shapes


CUNEIFORM = "\U00012000\U00012001"


@pytest.fixture
def noted(caplog):
    fonts.note_missing.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records if record.name == "osoroi.report"]


def test_a_grid_says_which_scripts_have_no_font(tmp_path, noted):
    encoder, photo = Encoder.open(), picture(RED)
    (tmp_path / "a.png").write_bytes(photo)
    fill(tmp_path / "shop", encoder, [entry(encoder, Product("p", CUNEIFORM), photo)]).close()
    words = ["search", tmp_path / "shop", tmp_path / "a.png", "--grid", tmp_path / "grid.png"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "grid.png").exists()
    missing = fonts.missing_scripts([CUNEIFORM])
    assert missing in ([], ["Cuneiform"])
    assert [text.startswith("no font for Cuneiform was found") for text in noted()] == [True] * len(missing)
    assert fonts.missing_scripts(["plain"]) == []


def test_every_caption_says_it_whoever_draws_it_and_once(noted):
    """Grids of evaluations and audits have ids in their captions."""
    missing = fonts.missing_scripts([CUNEIFORM])
    for _ in range(2):
        grid.sheet([[grid.GridCell(None, f"{CUNEIFORM}\ntest"), grid.GridCell(None, "plain")]])
    assert len(noted()) == len(missing)


def test_a_command_without_logging_says_it_on_stderr():
    if not fonts.missing_scripts([CUNEIFORM]):
        pytest.skip("this machine has a font for Cuneiform")
    code = f"from osoroi.report import grid; grid.sheet([[grid.GridCell(None, {CUNEIFORM!a})]])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith(
        "no font for Cuneiform was found, and the picture shows boxes in its place; install one"
    )
