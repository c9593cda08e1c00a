"""What reaches a terminal: any encoding of stdout, hostile titles and ids, pipes that close, Ctrl-C, settings."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from osoroi import text
from osoroi.catalog.store import database
from osoroi.cli import main
from osoroi.cli.text import aligned, to_json
from osoroi.report import fonts, grid

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
TITLES = ["赤いドレス 👗", f"Blue{ESCAPE}", "two\nlines\r\nrank  score", "abc\u202egnp.exe"]
HOSTILE = ["\x1b", "\x07", "\x9b", "\r", "\u202e"]


def osoroi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def shell(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from osoroi.cli import main; main()", *map(str, words)]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of four products with hostile titles and prices, and one photo that cannot be read."""
    folder = tmp_path_factory.mktemp("hostile")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "product_id", "title", "price", "currency"])
        for number, title in enumerate(TITLES):
            Image.fromarray(np.full((40, 30, 3), 60 * number, np.uint8)).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", f"p{number}", title, "12345678", "JPY"])
        (folder / "=cmd.png").write_text("no photo")
        writer.writerow(["=cmd.png", "=HYPERLINK(1)", "bad", "", ""])
    result = osoroi("add", folder / "shop", f"table:{folder / 't.csv'}")
    assert result.exit_code == 3, result.output  # one photo cannot be read
    assert not any(letter in result.output for letter in HOSTILE)
    return folder / "shop"


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "cp1252", "latin-1", "utf-8"])
def test_a_search_prints_on_a_stdout_of_any_encoding(shop, encoding):
    photo = shop.parent / "0.png"
    table = shell("search", shop, photo, PYTHONIOENCODING=encoding)
    assert table.returncode == 0, table.stderr
    lines = table.stdout.decode(encoding).splitlines()
    assert len(lines) == 1 + len(TITLES)
    printed = shell("search", shop, photo, "--json", PYTHONIOENCODING=encoding).stdout.decode(encoding)
    hits = json.loads(printed)["hits"]
    assert {hit["product"]["title"] for hit in hits} >= {TITLES[0], TITLES[2]}


def test_no_control_character_of_the_data_reaches_a_terminal(shop):
    photo = shop.parent / "1.png"
    for words in (["search", shop, photo], ["info", shop], ["search", shop, "--like", f"zz{ESCAPE}"]):
        result = osoroi(*words)
        assert not any(letter in result.output for letter in HOSTILE), words
    result = osoroi("search", shop, photo, "--json")
    assert not any(letter in result.output for letter in HOSTILE)
    assert TITLES[1] in {hit["product"]["title"] for hit in json.loads(result.stdout)["hits"]}
    assert "Blue\\x1b]0;owned" in osoroi("search", shop, photo).stdout


def test_prices_have_all_their_digits(shop):
    assert "12345678 JPY" in osoroi("search", shop, shop.parent / "1.png").stdout


def test_the_table_of_unreadable_photos_holds_no_formula(shop):
    with (shop / "unreadable.csv").open(newline="", encoding="utf-8") as file:
        head, row = csv.reader(file)
    assert "product_id" in head
    assert "'=HYPERLINK(1)" in row
    assert not any(cell.startswith("=") for cell in row)


def test_a_reader_that_leaves_a_pipe_gets_no_traceback(shop):
    words = [sys.executable, "-c", "from osoroi.cli import main; main()", "search", shop, shop.parent / "1.png"]
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(list(map(str, words)), stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert run.stderr == b""
    assert run.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_stdout_that_is_full_is_one_line(shop):
    words = [sys.executable, "-c", "from osoroi.cli import main; main()", "info", str(shop)]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == "error: No space left on device\n"


def test_memory_that_is_full_is_one_line(shop, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("osoroi.cli.info.open_catalog", full)
    run = CliRunner().invoke(main, ["info", str(shop)])
    assert (run.exit_code, run.output.count("\n")) == (1, 1)
    assert "the memory that this process may use is full" in run.output


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_prints_one_line_and_ends_with_130():
    code = (
        "import os, signal, osoroi.cli.demo as demo; from osoroi.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it\n"
        "demo.queries = lambda rows: os.kill(os.getpid(), signal.SIGINT)\n"
        "main(['demo', 'never-written'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (128 + signal.SIGINT, "interrupted\n")


@pytest.mark.parametrize(
    ("command", "function", "done"), [("add", "ingest.add", "added"), ("sync", "sync.sync", "embedded")]
)
def test_ctrl_c_says_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, function: str, done: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"osoroi.{function}", interrupted)
    result = osoroi(command, tmp_path / "shop", "drawn:6")
    assert result.exit_code == 128 + signal.SIGINT
    assert result.stderr.endswith(f"what was {done} stays; the same command goes on from there\ninterrupted\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_called_that(shop: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = osoroi("serve", shop, "--host", host, "--port", str(port))
    assert result.exit_code == 2
    assert (
        result.stderr == f"error: port {port} of {host} is taken; name another with --port; --port 0 takes a free one\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["search", "shop", "x.jpg", "-k", "0"],
        ["search", "shop", "x.jpg", "-k", "1000000000000"],
        ["search", "shop", "x.jpg", "--detail", "nan"],
        ["search", "shop", "x.jpg", "--detail", "1.5"],
        ["search", "shop", "x.jpg", "--box", "9,9,3,3"],
        ["search", "shop", "x.jpg", "--box", "-1,0,3,3"],
        ["search", "shop", "x.jpg", "--box", "1,2,3"],
        ["add", "shop", "drawn:4", "--threads", "-1"],
        ["add", "shop", "drawn:4", "--threads", "100000"],
        ["evaluate", "drawn:4", "--seed", "-1"],
        ["report", "e.json", "--out", "r", "--queries", "-1"],
        ["report", "e.json", "--out", "r", "--seed", "-1"],
        ["audit", "drawn:4", "--min-cosine", "nan"],
        ["audit", "drawn:4", "--min-cosine", "7"],
        ["audit", "drawn:4", "--examples", "-1"],
        ["demo", "d", "--products", "0"],
        ["download", "street2shop", "s", "--at-once", "0"],
        ["download", "street2shop", "s", "--per-host", "100000"],
    ],
    ids=" ".join,
)
def test_a_setting_that_means_nothing_is_refused_before_anything_is_read(words):
    result = osoroi(*words)
    assert result.exit_code == 2
    assert words[-2] in result.stderr or words[-2].strip("-") in result.stderr


def test_nothing_is_written_into_a_catalog(shop):
    kept = sorted(path.name for path in shop.rglob("*"))
    photo, inside = shop.parent / "1.png", shop / "photos" / "x"
    for words in (
        ["search", shop, photo, "--grid", shop / database.FILE],
        ["search", shop, photo, "--grid", inside],
        ["embed", "t.csv", inside, "--side", "shop"],
        ["backup", shop, inside],
        ["evaluate", "drawn:4", "--json", inside],
        ["evaluate", "drawn:4", "--run", inside],
        ["report", "e.json", "--out", inside],
        ["audit", "drawn:4", "--grid", inside],
        ["demo", shop],
    ):
        result = osoroi(*words)
        assert result.exit_code == 2, words
        assert "inside the catalog" in result.stderr, words
    assert sorted(path.name for path in shop.rglob("*")) == kept


@given(st.text())
def test_printable_text_has_no_unsafe_letter_and_can_be_encoded(raw):
    safe = text.printable(raw)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in text.BIDI for letter in safe)
    safe.encode("utf-8")
    assert text.printable(safe) == safe


@given(st.text(), st.sampled_from(["utf-8", "ascii", "cp932"]))
def test_json_says_the_same_in_every_encoding(raw, encoding):
    printed = to_json({"title": raw}, encoding=encoding)
    back = json.loads(printed.encode(encoding, "backslashreplace").decode(encoding))
    assert back == {"title": raw}
    assert not any(0x7F <= ord(letter) <= 0x9F or letter in text.BIDI for letter in printed)


@given(st.text())
def test_a_cell_of_a_table_is_never_a_formula(raw):
    cell = text.csv_cell(raw)
    assert not cell.lstrip(" ").startswith(("=", "@")) or cell.startswith("'")
    assert not cell.startswith(("+", "-")) or np.isfinite(float(cell))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_has_all_its_digits_and_no_exponent(value):
    digits = text.number(value)
    assert float(digits) == value
    assert "e" not in digits
    assert not digits.endswith(".0")


@given(st.text(), st.integers(1, 12))
def test_a_shortened_text_fits(raw, columns):
    assert text.width(text.shortened(raw, columns)) <= columns


def test_columns_of_a_table_line_up_under_wide_letters():
    first, second = aligned([["赤い", "x"], ["abcde", "y"]]).splitlines()
    assert text.width(first[: first.index("x")]) == text.width(second[: second.index("y")])
    assert aligned([["t" * 200]]) == "t" * 59 + "…"


LETTERS = {"Latin": "ä", "Cyrillic": "Ж", "Japanese": "赤", "Korean": "한", "Thai": "ก", "emoji": "👗"}


def ink(caption: str) -> np.ndarray:
    """Pixels of the caption of a grid of one cell."""
    return grid.sheet([[grid.GridCell(None, caption)]])[grid.GAP + 160 :]


@pytest.mark.parametrize("name", LETTERS)
def test_letters_are_drawn_in_a_font_that_has_them_or_are_named_as_missing(name):
    letter = LETTERS[name]
    missing = fonts.missing_scripts([letter])
    box = ink("\U0010fffe")  # in no font
    if missing:
        assert name not in ("Latin",)
        assert len(missing) == 1
    else:
        assert (ink(letter) != 255).any()
        assert not np.array_equal(ink(letter), box)


def test_a_letter_in_no_font_is_named():
    assert fonts.missing_scripts(["abc \U0001d800"]) == ["emoji"] or fonts.missing_scripts(["abc \U0001d800"]) == []
    assert fonts.missing_scripts(["plain text", "ä"]) == []
    assert len(fonts.missing_scripts(["\U00012000"])) <= 1


def test_a_long_caption_ends_with_an_ellipsis_and_stays_inside_its_cell():
    line = fonts.fit("a very long title of a product " * 20, 12, 160)
    assert line.endswith("…")
    assert fonts.length(line, 12) <= 160 < fonts.length(line[:-1] + "mm…", 12)
    assert fonts.fit("short", 12, 160) == "short"
