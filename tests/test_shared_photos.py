"""Photos that stand at many products, tiny and unreadable ones, and lines that contradict each other, before an add."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from osoroi.cli import main
from osoroi.data.links import NotFetched
from osoroi.records import Box, Crop, Domain, Product, Row, Source
from osoroi.shared_photos import ADVICE, SharedPhotos, check


def osoroi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def photo(path: Path, seed: int, side: int = 120) -> Path:
    """A photo of its own: noise, so that no two files have one size by chance alone."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def table(folder: Path, rows: Sequence[Sequence[str]]) -> Path:
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["photo", "product_id", "title", "price"], *rows])
    return folder / "products.csv"


def row(product_id: str, source: Source, *, box: Box | None = None, domain: Domain = "shop") -> Row:
    return Row(Product(product_id), Crop(f"{product_id} {source!r} {box}", product_id, domain, source, box))


def noted(*rows: Row) -> SharedPhotos:
    photos = SharedPhotos()
    assert list(photos.watch(rows)) == list(rows)
    return photos


def test_one_photo_is_one_by_its_path_its_link_and_its_bytes(tmp_path: Path) -> None:
    none, own = photo(tmp_path / "none.png", 1), photo(tmp_path / "own.png", 2)
    again = tmp_path / "again.png"
    again.write_bytes(none.read_bytes())
    altered = tmp_path / "altered.png"  # as long as the others, and another photo
    altered.write_bytes(none.read_bytes()[:-1] + b"!")
    link = NotFetched("https://shop.example/none.jpg")
    photos = noted(
        row("a", none),
        row("b", again),
        row("c", none),
        row("d", own),
        row("e", altered),
        row("f", link),
        row("g", link),
    )
    shared = photos.shared(least=2)
    assert [(one.products, one.examples) for one in shared] == [(3, ("a", "b", "c")), (2, ("f", "g"))]
    assert photos.shared(least=4) == []


def test_boxes_of_one_product_and_street_photos_count_once_or_not_at_all(tmp_path: Path) -> None:
    one = photo(tmp_path / "one.png", 1)
    rows = [row("a", one, box=Box(0, 0, 50, left + 50)) for left in range(9)]
    assert noted(*rows).shared(least=2) == []
    assert noted(row("a", one), row("b", one, domain="street")).shared(least=2) == []


def test_examples_are_few_and_the_count_is_of_all(tmp_path: Path) -> None:
    (one,) = noted(*(row(f"p{number}", tmp_path / "gone.png") for number in range(40))).shared()
    assert (one.products, one.examples) == (40, ("p0", "p1", "p2"))
    assert str(one).endswith("p0, p1, p2, …): a placeholder?")


def test_products_are_counted_once_in_whatever_order_and_under_whatever_names_their_photo_comes(tmp_path: Path) -> None:
    """Copies within one product were called as many products, and so were rows that alternate."""
    names = [tmp_path / f"{number}.png" for number in range(6)]
    for path in names:
        photo(path, 1)
    assert noted(*(row("a", path) for path in names)).shared(least=2) == []
    (two,) = noted(*(row(product_id, names[0]) for _ in range(5) for product_id in ("a", "b"))).shared(least=2)
    assert (two.products, two.examples) == (2, ("a", "b"))
    (mixed,) = noted(*(row("ab"[at % 2], path) for at, path in enumerate(names)), row("c", names[3])).shared(least=2)
    assert (mixed.products, mixed.examples, mixed.photo) == (3, ("a", "b", "c"), str(names[0]))
    assert noted(*(row("ab"[at % 2], path) for at, path in enumerate(names))).shared() == []


def test_a_photo_has_as_many_products_as_plain_sets_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(30):  # ten contents, three of each size
        (tmp_path / f"{number}.png").write_bytes(bytes([number % 10]) * (100 + number % 10 // 3))
    pairs = [(f"p{rng.integers(40)}", int(rng.integers(30))) for _ in range(60)]
    for least in (2, 5, 8):
        shared = noted(*(row(product_id, tmp_path / f"{at}.png") for product_id, at in pairs)).shared(least)
        products = [{product_id for product_id, at in pairs if at % 10 == content} for content in range(10)]
        assert [one.products for one in shared] == sorted(
            (len(one) for one in products if len(one) >= least), reverse=True
        )


MEMORY = """
import tracemalloc
from pathlib import Path
from osoroi.records import Crop, Product, Row
from osoroi.shared_photos import SharedPhotos

def rows(first, last):
    for at in range(first, last):
        product_id, path = f"SKU-{at:07}", Path(f"/srv/shop/photos/2026/autumn/{at:07}.jpg")
        yield Row(Product(product_id), Crop(f"c{at}", product_id, "shop", path))

photos = SharedPhotos()
tracemalloc.start()
for _ in photos.watch(rows(0, 10_000)):
    pass
before = tracemalloc.get_traced_memory()[0]
for _ in photos.watch(rows(10_000, 40_000)):
    pass
noted = tracemalloc.get_traced_memory()[0]
assert photos.shared() == []
print(noted - before, tracemalloc.get_traced_memory()[1] - noted, sum(1 for _ in photos.noted()))
"""


def test_photos_are_noted_in_forty_bytes_each() -> None:
    """They were 660, in each add and sync that reads its table as a stream. In a process of its own, as threads of
    other tests need memory, too."""
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    noted, more, count = map(int, run.stdout.split())
    assert count == 40_000
    assert noted < 40 * 30_000
    assert more < 120 * count


def test_a_check_opens_a_sample_spread_over_the_table_and_each_file_once(tmp_path: Path) -> None:
    files = [photo(tmp_path / f"{number}.png", number, side=20 if number == 9 else 120) for number in range(10)]
    files[4].write_bytes(files[4].read_bytes()[:200])
    rows = [row(f"p{number}", path) for number, path in enumerate(files)] + [row("q", files[0])]
    assert (found := check(rows, most=2)).opened == 2
    assert (found.photos, found.unreadable, found.small) == (10, [], [])  # the first and the sixth
    everything = check(rows, most=None)
    assert everything.opened == 10
    assert [one.product_id for one in everything.unreadable] == ["p4"]
    assert [(one.product_id, one.reason) for one in everything.small] == [("p9", "20 x 20 pixels")]


def test_look_names_what_spoils_a_search_and_add_asks_whether_a_photo_is_a_placeholder(tmp_path: Path) -> None:
    photo(tmp_path / "none.png", 1)
    photo(tmp_path / "tiny.png", 2, side=40)
    (tmp_path / "broken.png").write_bytes(photo(tmp_path / "whole.png", 3).read_bytes()[:300])
    rows = [["none.png", f"p{number}", "Coat", "10"] for number in range(6)]
    path = table(tmp_path, [*rows, ["tiny.png", "t", "Hat", "20"], ["broken.png", "b", "Cap", "30"]])
    looked = osoroi("look", path)
    assert looked.exit_code == 3
    assert "one photo stands at 6 products" in looked.stdout
    assert "none.png at p0, p1, p2, …): a placeholder?" in looked.stdout
    assert ADVICE in looked.stdout
    assert "1 photos are tiny" in looked.stdout
    assert "40 x 40 pixels" in looked.stdout
    assert "error: product b: " in looked.stdout
    told = json.loads(osoroi("look", path, "--json").stdout)
    assert any("a placeholder?" in one for one in told["warnings"])
    commands: list[list[str | Path]] = [["add", tmp_path / "shop", path], ["sync", tmp_path / "synced", path]]
    for words in commands:
        added = osoroi(*words)
        assert added.exit_code == 3, added.stderr
        assert "one photo stands at 6 products" in added.stderr
        assert "placeholder" not in osoroi(*words).stderr, "said once, when they came in"


def test_a_sample_is_said_to_be_one(tmp_path: Path) -> None:
    for number in range(60):
        photo(tmp_path / f"{number}.png", number, side=96)
    (tmp_path / "59.png").write_bytes(b"no photo")
    path = table(tmp_path, [[f"{number}.png", f"p{number}", "Coat", "10"] for number in range(60)])
    looked = osoroi("look", path)
    assert "50 of 60 photos were opened; --all-photos opens all of them" in looked.stdout
    assert looked.exit_code == 0
    whole = osoroi("look", path, "--all-photos")
    assert "photos were opened" not in whole.stdout
    assert whole.exit_code == 3
    assert "59.png is not a photo but text" in whole.stdout


def test_prices_that_contradict_each_other_are_said_with_all_of_their_digits(tmp_path: Path) -> None:
    """From a million on both were the same number: 1.298e+06."""
    (tmp_path / "p.jsonl").write_text(
        "\n".join(
            json.dumps({"product_id": "a", "photo": f"{number}.png", "price": 1298000 + number, "weight": 12345678.5})
            for number in range(2)
        )
    )
    assert (
        "line 2 has price 1298001, and line 1 has 1298000, which decides" in osoroi("look", tmp_path / "p.jsonl").stdout
    )


def test_lines_that_contradict_each_other_are_named_with_what_differs(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"{number}.png", number)
    path = table(
        tmp_path,
        [
            ["0.png", "a", "Coat", "10"],
            ["1.png", "b", "Hat", "20"],
            ["2.png", "a", "Coat", "12"],
            ["1.png", "b", "Cap", "20"],
        ],
    )
    first = "product a: line 4 has price 12, and line 2 has 10, which decides"
    second = "product b: line 5 has title 'Cap', and line 3 has 'Hat', which decides"
    looked = osoroi("look", path)
    assert f"warning: {first}" in looked.stdout
    assert f"warning: {second}" in looked.stdout
    commands: list[list[str | Path]] = [["add", tmp_path / "shop", path], ["sync", tmp_path / "synced", path]]
    for words in commands:
        said = osoroi(*words).stderr
        assert "1 rows contradict the first row of their product, which decides" in said
        assert first in said
        assert second in said, "a line that repeats a photo, too"
