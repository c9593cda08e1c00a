"""The page: its numbers, its pictures, and that it asks nobody for anything."""

import base64
import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi.cli import main
from osoroi.data.readers import open_dataset
from osoroi.errors import Mismatch
from osoroi.evaluation import compare, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.results import Arm, Data, Evaluation, Protocol, Query, Task
from osoroi.report import charts, examples, html

TOP = ("p0", "p1", "p2", "p3", "p4", "p5")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of every table row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def made(arms: Mapping[str, Sequence[float]], *, dataset="test:none", data="d", slider=False) -> Evaluation:
    """Queries 0 to 5 of categories bags and <tops>; the right product of query i is p<i>, at these ranks."""
    listed = []
    for name, ranks in arms.items():
        top = []
        for right, rank in enumerate(ranks):
            others = [product for product in TOP if product != f"p{right}"]
            top.append((*others[: int(rank) - 1], f"p{right}", *others[int(rank) - 1 :]) if rank <= 6 else TOP[:5])
        scores = tuple((0.9 - right / 100, 0.5, 0.4, 0.3, 0.2, 0.1) for right in range(len(ranks)))
        detail = float(name.removeprefix("detail=")) if name.startswith("detail=") else None
        listed.append(Arm(name, {"deep": 1.0}, detail, np.array(ranks, float)[:, None], tuple(top), scores))
    return Evaluation(
        task=Task(dataset, protocol=Protocol(split="val")),
        data=Data(data * 64, 6, 6, 0, 1, 1, 2, ("shop/x: gone",)),
        encoder="e" * 64,
        recipe="made",
        queries=tuple(Query(f"s{i}", (f"p{i}",), "bags" if i < 2 else "<tops>") for i in range(6)),
        arms=tuple(listed),
        version="0",
        command="osoroi evaluate test:none",
    )


ARMS: dict[str, list[float]] = {
    "deep": [1, 6, 6, 6, 2, 6],
    "detail": [6, 1, 1, 2, 3, 6],
    "both": [1, 1, 1, 2, 1, math.inf],
}


def page(tmp_path, *named, **more) -> str:
    named = named or (("one", made(ARMS)),)
    groups = [compare.SeedGroup(name, True, evaluations) for name, *evaluations in named]
    groups = [group._replace(evaluations=tuple(group.evaluations)) for group in groups]
    return html.write(groups, tmp_path / "out", **more).read_text()


@pytest.fixture
def photos(tmp_path) -> str:
    """A data set with the photos of those queries and products, each in its own colour; p5 has none."""
    lines = [["photo", "product_id", "crop_id", "domain", "split"]]
    for i in range(6):
        for kind, shade in (("s", 40 * i), ("p", 40 * i + 20)):
            Image.fromarray(np.full((20, 16, 3), (shade, 0, 0), np.uint8)).save(tmp_path / f"{kind}{i}.png")
            lines.append([f"{kind}{i}.png", f"p{i}", f"{kind}{i}", "street" if kind == "s" else "shop", "val"])
    (tmp_path / "p5.png").unlink()
    with (tmp_path / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return f"table:{tmp_path}/shop.csv"


def test_the_page_asks_nobody_for_anything(tmp_path, photos):
    text = page(tmp_path, readers=[open_dataset(photos)])
    parsed = Elements(text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "poster", "data", "background", "action"):
            assert name not in attributes or (tag, name) == ("img", "src"), (tag, name)
    assert all(
        (attributes["src"] or "").startswith("data:image/jpeg;base64,")
        for tag, attributes in parsed.tags
        if tag == "img"
    )
    assert "url(" not in text
    assert "@import" not in text
    policy = next(each["content"] for tag, each in parsed.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_table_has_an_arm_a_row_and_a_category_a_column(tmp_path):
    rows = Elements(page(tmp_path)).rows
    assert [cell.strip() for cell in rows[0]] == ["arm", "all6 queries", "<tops>4 queries", "bags2 queries"]
    told = {row[0]: [re.sub(r"\[.*", "", cell, flags=re.DOTALL) for cell in row[1:]] for row in rows[1:4]}
    # hit@5: deep finds queries 0 and 4, detail 1 to 4, both all but the last.
    assert told == {"deep": [".333", ".250", ".500"], "detail": [".667", ".750", ".500"], "both": [".833", ".750", "1"]}
    gains = {row[0]: row[1] for row in rows[5:8]}  # nDCG@5
    assert gains["both"].startswith(f"{(4 + 1 / math.log2(3)) / 6:.3f}".lstrip("0"))


def test_the_best_of_a_column_is_marked(tmp_path):
    text = page(tmp_path)
    first = text[text.index("<tbody>") : text.index("</tbody>")]
    best = re.findall(r'<td class="best">([.\d]+)<', first)
    assert best == [".750", ".833", ".750", "1"]  # detail and both share a column


def test_text_of_the_data_is_escaped(tmp_path):
    text = page(tmp_path)
    assert "<tops>" not in text
    assert "&lt;tops&gt;" in text


def test_no_text_of_a_file_becomes_markup(tmp_path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    one = made({f"{name}{evil}": ranks for name, ranks in ARMS.items()})
    one = replace(
        one,
        task=Task(evil, (evil,), protocol=Protocol(split=evil)),
        recipe=evil,
        command=evil,
        version=evil,
        encoder=evil,
        data=replace(one.data, fingerprint=evil),
        queries=tuple(query._replace(category=evil) for query in one.queries),
    )
    text = page(tmp_path, (evil, one), (f"b{evil}", one))
    tags = {tag for tag, _ in Elements(text).tags}
    assert not tags & {"script", "img"}
    assert "alert(1)" in text


def test_unreadable_photos_and_the_command_are_said(tmp_path):
    text = page(tmp_path)
    assert "1 query photos, 2 gallery photos; 1 queries are unanswerable and count as misses" in text
    assert "<code>osoroi evaluate test:none</code>" in text


def test_result_grids_show_the_first_five_of_each_arm_and_frame_the_right_one(tmp_path, photos):
    text = page(tmp_path, readers=[open_dataset(photos)], count=2)
    random = text[text.index("A random sample") : text.index("Where the arms disagree")]
    rows = Elements(random).rows[1:]
    assert [len(row) for row in rows] == [1 + 3 * 5] * 2
    chosen = examples.select(made(ARMS).arms, "random", 2)
    expected = sum(ranks[number] <= 5 for ranks in ARMS.values() for number in chosen)
    assert sum("✓" in cell for row in rows for cell in row) == expected
    assert random.count(" relevant") - random.count(", relevant") >= expected
    photo, number = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="query: s(\d)"', random)[0]
    pixel = np.asarray(Image.open(io.BytesIO(base64.b64decode(photo))))[10, 8]
    assert abs(int(pixel[0]) - 40 * int(number)) < 6


def test_a_photo_that_is_gone_leaves_a_grey_field_that_names_the_product(tmp_path, photos):
    text = page(tmp_path, readers=[open_dataset(photos)])
    assert re.search(r'<div class="gone" title="\d: p5[",]', text)


def test_queries_are_chosen_by_what_their_title_says():
    arms = made(ARMS).arms
    # Found first by `both`: 0, 1, 2, 4; the lead .9 - i/100 - .5 falls with i.
    assert examples.select(arms, "best", 3) == [0, 1, 2]
    # Never found: 5; at rank 2: 3.
    assert examples.select(arms, "worst", 5) == [5, 3]
    # nDCG@5 differs by 1 in 0, 1, 2 (0 against 1), by .63 in 3 (0 against rank 2), by .5 in 4 (1 against rank 3).
    assert examples.select(arms, "disagreement", 9) == [0, 1, 2, 3, 4, 5]
    assert examples.select(arms, "random", 3, seed=1) == examples.select(arms, "random", 3, seed=1)
    assert len(examples.select(arms, "random", 99)) == 6


def test_several_trainings_and_seeds_each_get_a_row(tmp_path):
    other = made({"both": [2, 2, 2, 2, 2, 2]})
    text = page(tmp_path, ("ours", made(ARMS), made(ARMS)), ("published", other))
    rows = Elements(text).rows
    assert [row[0] for row in rows[1:5]] == ["ours deep", "ours detail", "ours both", "published"]
    assert "2 seeds; nDCG@5 ± 0.000 between them" in text
    assert "Is ours both better?" in text
    assert text.count("minus published") >= 2


def test_evaluations_of_other_data_are_not_put_on_one_page(tmp_path):
    with pytest.raises(Mismatch, match="data"):
        page(tmp_path, ("a", made(ARMS)), ("b", made(ARMS, data="x")))


def test_the_slider_is_drawn_where_it_was_sampled(tmp_path):
    steps: dict[str, list[float]] = {f"detail={step / 10:.1f}": [1 + step] * 6 for step in range(11)}
    assert "over the detail weight" in page(tmp_path, ("one", made(ARMS | steps)))
    assert "over the detail weight" not in page(tmp_path)


def test_a_line_of_a_plot_goes_where_its_numbers_say():
    points = [Interval(0.0, 0.0, 0.0), Interval(0.25, 0.2, 0.3), Interval(0.5, 0.4, 0.5)]
    svg = charts.lines([charts.Series("a", [1, 10, 100], points)], title="t", x="k", ticks=[1, 10, 100], log=True)
    pairs = [tuple(map(float, pair.split(","))) for pair in re.findall(r'<polyline points="([^"]+)"', svg)[0].split()]
    xs, ys = zip(*pairs, strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)  # powers of ten stand evenly
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert ys[0] == charts.HEIGHT - charts.BOTTOM
    assert ys[2] == charts.TOP  # .5 is the next tenth above all


def test_a_difference_is_drawn_right_of_zero_where_the_first_is_better():
    rows = [("up", Interval(0.1, 0.05, 0.15), True), ("down", Interval(-0.1, -0.2, math.nan), False)]
    svg = charts.differences([*rows[:1], ("down", Interval(-0.1, -0.2, 0.02), False)], title="t", x="x")
    zero = float(re.findall(r'class="zero" x1="([\d.]+)"', svg)[0])
    up, down = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg))
    assert up - zero == pytest.approx(zero - down, abs=0.2)
    assert up > zero
    assert svg.index('fill="#fff"') > svg.index("up")


def test_the_command_writes_the_page_and_goes_on_without_photos(tmp_path, photos):
    results.save(made(ARMS, dataset=photos), tmp_path / "one.json")
    run = CliRunner().invoke(main, ["report", str(tmp_path / "one.json"), "--out", str(tmp_path / "a")])
    assert run.exit_code == 0, run.output
    assert run.stdout.strip() == str(tmp_path / "a" / "index.html")
    assert "data:image/jpeg" in (tmp_path / "a" / "index.html").read_text()
    gone = replace(made(ARMS), task=Task(f"table:{tmp_path}/gone.csv", protocol=Protocol(split="val")))
    results.save(gone, tmp_path / "two.json")
    run = CliRunner().invoke(main, ["report", str(tmp_path / "two.json"), "--out", str(tmp_path / "b")])
    assert run.exit_code == 0, run.output
    assert "no photos on the page" in run.stderr
    assert "The photos were not available" in (tmp_path / "b" / "index.html").read_text()


def test_the_page_opens_with_its_pictures_and_without_errors_or_requests(tmp_path, photos, browser):
    """In a real browser, where there is one."""
    page(tmp_path, readers=[open_dataset(photos)])
    told: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: told.append(message.text))
    tab.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else told.append(request.url))
    tab.goto((tmp_path / "out" / "index.html").as_uri())
    broken = tab.evaluate("[...document.images].filter(image => !image.complete || !image.naturalWidth).length")
    wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    tab.close()
    assert told == []
    assert broken == 0
    assert wide <= 0
