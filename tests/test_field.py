"""The table of the seed experiment by one command, on a small Street2Shop look-alike in its real format."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import lookalikes
from osoroi.cli import main

CATEGORIES = ("bags", "skirts", "tops")


@pytest.fixture(scope="module")
def boutique(tmp_path_factory) -> Path:
    return lookalikes.boutique(tmp_path_factory.mktemp("street2shop"), CATEGORIES)


def osoroi(*words) -> str:
    run = CliRunner().invoke(main, [str(word) for word in words])
    assert run.exit_code == 0, run.output
    return run.stdout


@pytest.fixture(scope="module")
def evaluated(boutique) -> Path:
    """As published: the test list asks, within its category, the shop photos of products not in train."""
    file = boutique / "kiapour.json"
    dataset = f"street2shop:{boutique}?category={','.join(CATEGORIES)}"
    osoroi("evaluate", dataset, "--split", "test", "--within-category", "--json", file)
    return file


def test_every_category_and_arm_gets_its_numbers(evaluated):
    told = json.loads(evaluated.read_text())
    assert set(told["categories"]) == set(CATEGORIES)
    for arms in told["categories"].values():
        assert set(arms) == {"deep", "detail", "both", "all"}
    assert len(told["queries"]) == 3 * 4 * 2  # every third of 12 products, two street crops each
    assert told["data"]["products"] == 3 * (4 + 1)  # one a category that nobody asks for
    assert told["data"]["crops"] == 3 * (4 + 1) * 2
    assert told["metrics"]["both"]["hit@5"][0] == 1  # five products a category
    assert told["metrics"]["both"]["hit@1"][0] > 0.5  # one in five by chance


def test_within_a_category_no_answer_is_of_another(evaluated):
    told = json.loads(evaluated.read_text())
    for arm in told["arms"]:
        for (_, products, category), top in zip(told["queries"], arm["top"], strict=True):
            assert {product.split("/")[0] for product in (*products, *top)} == {category}
            assert len(top) == 5


def test_the_report_has_the_table_of_the_seed_and_the_photos(evaluated, tmp_path):
    osoroi("report", evaluated, "--out", tmp_path, "--queries", 2)
    page = (tmp_path / "index.html").read_text()
    heads = re.findall(r'<th scope="col">(\w+)<br><small>(\d+) queries', page)
    assert heads == [("all", "24"), ("bags", "8"), ("skirts", "8"), ("tops", "8")] * 2  # Recall@5, nDCG@5
    assert re.findall(r'<th scope="row">(\w+)</th>', page)[:3] == ["deep", "detail", "both"]
    assert page.count("data:image/jpeg;base64,") > 3 * 2 * (1 + 3 * 5) - 1
    assert 'class="gone"' not in page


def test_the_numbers_can_be_made_again(evaluated):
    assert "32 numbers" in osoroi("evaluate", "--check", evaluated)


def test_products_dealt_anew_and_mixed_can_be_asked_too(boutique):
    dataset = f"street2shop:{boutique}?category={','.join(CATEGORIES)}&protocol=vasily"
    printed = osoroi("evaluate", dataset, "--split", "test", "--by", "category")
    assert "split test" in printed
