"""Which garment of a photo is meant, and searching by it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi.cli import main
from osoroi.data.synthetic.outfits import outfits
from osoroi.errors import BadRequest
from osoroi.garments import Garment, choose
from osoroi.garments.find import find
from osoroi.records import Box

WORN = [
    Garment(Box(0, 0, 9, 30), "dress", 0.8, 0),
    Garment(Box(0, 0, 9, 9), "outerwear", 0.9, 0),
    Garment(Box(0, 30, 9, 33), "shoes", 0.9, 0),
    Garment(Box(20, 0, 25, 9), "outerwear", 0.7, 1),
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("all", [0, 1, 2, 3]),
        ("1", [0]),
        ("4", [3]),
        ("lower", [0]),
        ("upper", [0]),
        ("feet", [2]),
        ("outerwear", [1]),
        ("jackets", [1]),
        ("ワンピース", [0]),
    ],
)
def test_a_garment_is_chosen_by_number_kind_or_place(wanted: str, numbers: list[int]) -> None:
    assert choose(WORN, wanted) == [WORN[number] for number in numbers]


@pytest.mark.parametrize("wanted", ["0", "5", "99999999999", "skirt", "head", "", "-1"])
def test_what_is_not_there_is_refused_with_a_list_of_what_is(wanted: str) -> None:
    with pytest.raises(BadRequest, match="there are: 1 dress, 2 outerwear, 3 shoes, 4 outerwear"):
        choose(WORN, wanted)


def test_searching_by_a_garment_is_searching_by_its_box(tmp_path: Path) -> None:
    photo, shop = tmp_path / "snap.png", tmp_path / "shop"
    Image.fromarray(outfits(0, 0).photo).save(photo)
    made = CliRunner().invoke(main, ["add", str(shop), "drawn:6"])
    assert made.exit_code == 0, made.output
    found = find(photo)

    def search(*options: str) -> dict[str, list[dict[str, object]]]:
        run = CliRunner().invoke(main, ["search", str(shop), str(photo), "--json", "-k", "3", *options])
        assert run.exit_code == 0, run.output
        answer: dict[str, list[dict[str, object]]] = json.loads(run.stdout)
        return answer

    lower = next(garment for garment in found if garment.kind == "trousers")
    boxed = search("--box", ",".join(map(str, lower.box)), "--kind", "trousers")["hits"]
    ids = [hit["product_id"] for hit in search("--garment", "lower")["hits"]]
    assert ids == [hit["product_id"] for hit in boxed]
    each = search("--garment", "all")["garments"]
    assert [row["kind"] for row in each] == [garment.kind for garment in found]
    assert all(len(row["hits"]) == 3 for row in each)  # type: ignore[arg-type]
    assert each[found.index(lower)]["hits"] == search("--garment", "trousers")["hits"]
    worded = search("--garment", "lower", "--text", "navy")
    boxed_words = search("--box", ",".join(map(str, lower.box)), "--kind", "trousers", "--text", "navy")
    assert [hit["product_id"] for hit in worded["hits"]] == [hit["product_id"] for hit in boxed_words["hits"]]
    assert worded["garment"]["kind"] == "trousers"  # type: ignore[call-overload]
    both = search("--garment", "all", "--text", "navy")
    assert both["garments"][found.index(lower)]["hits"] == worded["hits"]
    assert both["understood"]["colors"] == ["navy"]  # type: ignore[call-overload]
    refused = CliRunner().invoke(main, ["search", str(shop), str(photo), "--garment", "hat"])
    assert refused.exit_code == 2
    kinds = ", ".join(each.kind for each in found)
    note = f"searched by the whole photo; {len(found)} garments are in it ({kinds}): --garment all"
    for options, says in {
        ("--json",): False,
        ("--kind", "top"): False,
        ("--garment", "1"): False,
        (): True,
        ("--text", "navy"): True,
    }.items():
        told = CliRunner().invoke(main, ["search", str(shop), str(photo), "-k", "3", *options])
        assert (note in told.stderr) is says
        assert not says or told.output.index(note) < told.output.index("rank"), "said before the list"
