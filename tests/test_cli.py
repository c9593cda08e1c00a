"""Commands as a shell sees them: what goes to stdout, what to stderr, and the exit code."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from osoroi.cli import main
from osoroi.encoder import DEFAULT, Encoder

COLOURS = {"red": (200, 20, 30), "green": (20, 160, 40), "blue": (20, 40, 200), "white": (240, 240, 240)}


def osoroi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four plain products, and a street photo of each on a patterned background."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(3)
    rows = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        shop = np.full((120, 100, 3), 255, np.uint8)
        shop[20:100, 25:75] = colour
        street = rng.integers(60, 190, (150, 110, 3)).astype(np.uint8)
        street[30:120, 30:80] = np.array(colour) * 0.9
        for domain, pixels in (("shop", shop), ("street", street)):
            Image.fromarray(pixels).save(folder / f"{name}-{domain}.png")
            box = ["30", "30", "80", "120"] if domain == "street" else [""] * 4
            price, dyed = 1000 * (place + 1), "true" if place else "false"
            rows.append([f"{name}-{domain}.png", name, domain, *box, f"{name} box", "boxes", str(price), dyed])
    head = ["photo", "product_id", "domain", "left", "top", "right", "bottom", "title", "category", "price", "dyed"]
    write(folder / "products.csv", [head, *rows])
    return folder / "products.csv"


def write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def shop(table: Path) -> Path:
    folder = table.parent / "shop"
    result = osoroi("add", folder, f"table:{table}")
    assert result.exit_code == 0, result.output
    return folder


def test_add_tells_what_went_in_and_doing_it_again_changes_nothing(table: Path, tmp_path: Path) -> None:
    first = osoroi("add", tmp_path / "shop", f"table:{table}", "--json")
    assert json.loads(first.stdout)["added"] == 4
    assert json.loads(first.stdout)["street"] == 4
    again = json.loads(osoroi("add", tmp_path / "shop", f"table:{table}", "--json").stdout)
    assert (again["added"], again["unchanged"], again["embedded"]) == (0, 4, 0)


def test_add_names_the_broken_photos_and_goes_on(table: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("no photo")
    write(tmp_path / "mixed.csv", [["photo", "product_id"], ["good.png", "g"], ["bad.jpg", "b"]])
    result = osoroi("add", tmp_path / "shop", f"table:{tmp_path / 'mixed.csv'}")
    assert result.exit_code == 3
    assert "1 added" in result.stdout
    assert "bad.jpg" in result.stderr
    with (tmp_path / "shop" / "unreadable.csv").open(encoding="utf-8") as file:
        (named,) = csv.DictReader(file)
    assert named["product_id"] == "b"
    assert "bad.jpg" in named["reason"]


def test_add_fails_where_nothing_could_be_added(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    write(tmp_path / "bad.csv", [["photo"], ["bad.jpg"]])
    result = osoroi("add", tmp_path / "shop", f"table:{tmp_path / 'bad.csv'}")
    assert result.exit_code == 1
    assert "no product with a readable shop photo" in result.stderr


def test_search_finds_the_product_of_the_colour_and_prints_json(shop: Path, table: Path) -> None:
    for name in COLOURS:
        photo = table.parent / f"{name}-street.png"
        result = osoroi("search", shop, photo, "--box", "30,30,80,120", "-k", "2", "--detail", "1", "--json")
        found = json.loads(result.stdout)
        assert [hit["rank"] for hit in found["hits"]] == [1, 2]
        assert found["hits"][0]["product_id"] == name
        assert found["hits"][0]["product"]["title"] == f"{name} box"
        assert set(found["hits"][0]["parts"]) == {"deep", "detail", "kind"}
        assert found["detail"] == 1
        assert found["encoder"] == Encoder.open().fingerprint


def test_the_slider_changes_what_counts(shop: Path, table: Path) -> None:
    photo = table.parent / "red-street.png"
    hit = {
        slider: json.loads(osoroi("search", shop, photo, "--detail", slider, "-k", "1", "--json").stdout)["hits"][0]
        for slider in ("0", "1")
    }
    for slider, name in (("0", "deep"), ("1", "detail")):  # `kind` keeps its share; this shop has no categories
        cosines, score = hit[slider]["parts"], hit[slider]["score"]
        share = (score - cosines[name]) / (cosines["kind"] - cosines[name])
        assert 0 < share < 0.48


def test_a_filter_keeps_what_matches_alone(shop: Path, table: Path) -> None:
    photo = table.parent / "red-street.png"
    result = osoroi("search", shop, photo, "--where", "price >= 3000", "--json")
    assert {hit["product_id"] for hit in json.loads(result.stdout)["hits"]} == {"blue", "white"}
    nothing = osoroi("search", shop, photo, "--where", "price > 9000")
    assert nothing.exit_code == 0
    assert "nothing in the catalog matches" in nothing.output


def test_an_offset_beyond_the_end_is_told_from_a_filter_that_nothing_matches(shop: Path, table: Path) -> None:
    photo = table.parent / "red-street.png"
    found = osoroi("search", shop, photo, "--where", "price >= 3000", "--offset", "5")
    assert "2 products match, and none is left after --offset 5" in found.stdout
    nothing = osoroi("search", shop, photo, "--where", "price > 9000", "--offset", "5")
    assert nothing.stdout == "nothing in the catalog matches\n"


def test_every_garment_has_its_list_sorted_its_filter_spelled_and_its_offset(shop: Path, table: Path) -> None:
    words: list[str | Path] = ["search", shop, table.parent / "red-shop.png", "--garment", "all"]
    ordered = osoroi(*words, "--sort", "-price", "--json")
    lists = [[hit["product"]["price"] for hit in each["hits"]] for each in json.loads(ordered.stdout)["garments"]]
    assert lists
    assert all(prices == [4000, 3000, 2000, 1000] for prices in lists)
    assert 'did you mean "boxes"?' in osoroi(*words, "--where", "category = boxs").stderr
    by_words = osoroi("search", shop, "--text", "red box", "--where", "category = boxs")
    assert 'did you mean "boxes"?' in by_words.stderr
    assert osoroi(*words, "--offset", "3").stdout.splitlines()[2].startswith("4 ")
    assert "4 products match, and none is left after --offset 9" in osoroi(*words, "--offset", "9").stdout


def test_an_unknown_column_is_an_error_that_names_the_columns(shop: Path, table: Path) -> None:
    result = osoroi("search", shop, table.parent / "red-street.png", "--where", "colour = red")
    assert result.exit_code == 1
    assert "colour" in result.stderr
    assert "price" in result.stderr


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret_on_lines_of_its_own(shop: Path) -> None:
    result = osoroi("search", shop, "--like", "red", "--where", "prices\x1b < 4000")
    assert result.exit_code == 1
    head, line, caret = result.stderr.splitlines()
    assert (line, caret) == ("  prices\\x1b < 4000", "        ^")
    assert head.startswith("error: the filter cannot be read at column 7")
    data = osoroi("remove", shop, "two\nlines")
    assert "two\\nlines" in data.stderr


def test_a_product_of_the_catalog_asks_for_more_like_it(shop: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    result = osoroi("search", shop, "--like", "red", "--where", "price < 9000", "--grid", grid, "--json")
    assert sorted(hit["product_id"] for hit in json.loads(result.stdout)["hits"]) == ["blue", "green", "white"]
    with Image.open(grid) as picture:
        assert picture.width > 4 * 160


def test_search_for_people_is_a_table_and_a_picture(shop: Path, table: Path, tmp_path: Path) -> None:
    result = osoroi("search", shop, table.parent / "red-street.png", "--grid", tmp_path / "grid.png")
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["rank", "chance", "score", "deep", "detail", "kind", "product", "title", "price"]
    assert len(lines) == 4
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 5 * 160


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["search", "no-shop", "a.jpg"], 1, "no-shop"),
        (["search", "{shop}", "no-photo.jpg"], 1, "there is no photo at no-photo.jpg"),
        (["search", "{shop}", "{photo}", "--box", "1,2,3"], 2, "four whole numbers"),
        (["search", "{shop}", "{photo}", "--box", "0,0,999,999"], 1, "does not fit"),
        (["search", "{shop}", "{photo}", "--detail", "2"], 2, "--detail"),
        (["search", "{shop}", "{photo}", "-k", "0"], 2, "-k"),
        (["search", "{shop}", "{photo}", "--like", "red"], 2, "and not both"),
        (["search", "{shop}"], 2, "give a PHOTO, --text with words, or --like"),
        (["serch", "{shop}", "{photo}"], 2, "no command 'serch'; did you mean 'search'?"),
        (["publish"], 2, "No such command 'publish'"),
        (["search", "{shop}", "--like", "red", "--box", "1,2,3,4"], 2, "--box is a garment in a PHOTO"),
        (["search", "{shop}", "--like", "nobody"], 1, "nobody"),
        (["search", "{shop}", "--text", "red", "--sort", "price"], 2, "--text goes without --sort"),
        (["search", "{shop}", "--text", "red", "--garment", "1"], 2, "--garment is one that is found in a PHOTO"),
        (["search", "{shop}", "--text", "red", "--kind", "top"], 2, "box and kind are of a garment in a photo"),
        (["search", "{shop}", "--text", "red", "--detail-box", "1,2,3,4"], 2, "detail_box is a garment in the photo"),
        (
            ["search", "{shop}", "--text", "red", "--detail", "1"],
            2,
            "detail weighs the colour and pattern of a photo",
        ),
        (["add", "{shop}", "atlas:here"], 1, "no reader is called 'atlas'"),
        (["info", "no-such-file"], 1, "there is no catalog and no encoder at no-such-file"),
        (["dance"], 2, "No such command"),
    ],
)
def test_what_is_wrong_is_said_on_stderr_with_its_exit_code(
    words: list[str], code: int, says: str, shop: Path, table: Path
) -> None:
    photo = table.parent / "red-street.png"
    result = osoroi(*(word.format(shop=shop, photo=photo) for word in words))
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


def test_a_table_without_a_line_is_called_that(tmp_path: Path) -> None:
    table = tmp_path / "products.csv"
    write(table, [["photo", "product_id", "title"]])
    commands: tuple[list[str | Path], ...] = (["look", table], ["add", tmp_path / "shop", table])
    for words in commands:
        result = osoroi(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{table} has no lines below the header" in result.stderr
    write(table, [["photo", "product_id", "title"], ["a.jpg"]])
    result = osoroi("add", tmp_path / "shop", table)
    assert result.exit_code == 1
    assert "can be read; the first: line 2: 1 values for 3 columns" in result.stderr


def test_remove_takes_products_out_and_names_those_it_does_not_hold(table: Path, tmp_path: Path) -> None:
    osoroi("add", tmp_path / "shop", f"table:{table}")
    result = osoroi("remove", tmp_path / "shop", "red", "nobody", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"removed": ["red"], "missing": ["nobody"]}
    found = osoroi("search", tmp_path / "shop", table.parent / "red-street.png", "--json")
    assert {hit["product_id"] for hit in json.loads(found.stdout)["hits"]} == {"green", "blue", "white"}


def test_info_describes_catalogs_and_encoders(shop: Path) -> None:
    catalog = json.loads(osoroi("info", shop, "--json").stdout)
    assert (catalog["products"], catalog["crops"]) == (4, 4)
    encoder = json.loads(osoroi("info", DEFAULT, "--json").stdout)
    assert encoder["fingerprint"] == catalog["fingerprint"]
    assert set(encoder["parts"]) == {"deep", "detail", "kind"}
    assert "fingerprint" in osoroi("info", DEFAULT).stdout


def test_embedded_queries_score_by_the_plain_inner_product(shop: Path, table: Path, tmp_path: Path) -> None:
    for side in ("query", "shop"):
        words = ["--side", side, *(["--categorised", "0"] if side == "query" else [])]  # boxes are no kind
        result = osoroi("embed", table, tmp_path / f"{side}.npz", *words)
        assert result.exit_code == 0, result.output
        assert ("left out: 4 street crops" in result.stderr) is (side == "shop")
    query, gallery = arrays(tmp_path / "query.npz"), arrays(tmp_path / "shop.npz")
    assert query["vectors"].dtype == np.float32
    assert query["vectors"].shape == (8, 278)
    assert query["fingerprint"] == Encoder.open().fingerprint
    assert [(str(name), int(size)) for name, size in query["parts"]] == [("deep", 128), ("detail", 128), ("kind", 22)]
    names = [str(name) for name in query["crop_ids"]]
    assert set(map(str, query["ids"])) == {"red", "green", "blue", "white"}
    asked = json.loads(
        osoroi("search", shop, table.parent / "red-street.png", "--box", "30,30,80,120", "--json").stdout
    )
    rows = {str(name): place for place, name in enumerate(gallery["crop_ids"])}
    assert len(rows) == 4, "shop photos alone"
    crop_of = {hit["crop_id"]: hit["score"] for hit in asked["hits"]}
    street = next(place for place, name in enumerate(names) if name not in crop_of)  # the first street row is red's
    for crop_id, score in crop_of.items():
        assert float(query["vectors"][street] @ gallery["vectors"][rows[crop_id]]) == pytest.approx(score, abs=1e-5)


def test_a_slider_for_shop_vectors_is_refused(table: Path, tmp_path: Path) -> None:
    result = osoroi("embed", f"table:{table}", tmp_path / "x.npz", "--side", "shop", "--detail", "1")
    assert result.exit_code == 2
    assert "--detail weighs queries" in result.stderr
