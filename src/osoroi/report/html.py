"""Evaluations as one HTML page: tables, plots and result grids, without a request to anywhere."""

import math
import os
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from osoroi.data.readers import Reader
from osoroi.evaluation import compare
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import Difference, Named, System
from osoroi.evaluation.metrics import STANDARD
from osoroi.evaluation.results import Evaluation
from osoroi.records import Crop
from osoroi.report import charts, examples, grid
from osoroi.report.charts import Series
from osoroi.report.examples import Exhibits, Kind

SEED = {
    "hit@5": "hit@5, which the literature prints as Recall@5: a right product among the first five",
    "nDCG@5": "nDCG@5, its ideal over all right products",
}
"""The two metrics of the seed experiment's table."""

CURVE = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
TICKS = (1, 2, 5, 10, 20, 50)

ACROSS = 5
"""Answers shown of each arm."""

ARMS = 3
"""Arms that a result grid has room for."""

GRIDS: dict[Kind, str] = {
    "best": "The best: found first, by the greatest lead",
    "worst": "The worst: the right product last, the surest wrong answer first",
    "random": "A random sample",
    "disagreement": "Where the arms disagree most",
}

THUMB = {"width": 132, "height": 176}


def write(
    named: Sequence[Named], folder: Path, *, readers: Iterable[Reader] | None = None, count: int = 6, seed: int = 0
) -> Path:
    """Write ``folder/index.html`` in one step; returns its path. Without ``readers`` it has no photos.

    All must have been asked the same (else Mismatch). The main arm of the first is the one that the others are compared
    with.
    """
    for each in named:
        compare.same(named[0].evaluations[0], each.evaluations[0])
    systems = compare.systems(named)
    body = [
        _heading(named),
        *(_seed_table(systems, metric) for metric in SEED),
        _all_metrics(systems),
        _plots(systems, named),
        _differences(_main(systems, named), systems),
        _grids(_shown(systems, named), readers, count, seed),
        _made(named),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path, beside = folder / "index.html", folder / "index.html.part"
    beside.write_text(_page("".join(body)), encoding="utf-8")
    os.replace(beside, path)
    return path


def _page(body: str) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>osoroi: evaluation</title><style>{style}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def _main(systems: Sequence[System], named: Sequence[Named]) -> System:
    """The first training's arm with its own weights."""
    return next(
        each
        for each in systems
        if each.arm == named[0].evaluations[0].main and each.evaluations == named[0].evaluations
    )


def _shown(systems: Sequence[System], named: Sequence[Named]) -> list[System]:
    """The arms of the grids: the first training's, then each other's main arm, as many as there is room for."""
    first = [each for each in systems if each.evaluations == named[0].evaluations]
    others = [each for each in systems if each not in first and each.arm == each.evaluations[0].main]
    return [*first, *others][:ARMS]


def _heading(named: Sequence[Named]) -> str:
    first = named[0].evaluations[0]
    data, protocol = first.data, first.task.protocol
    facts = {
        "Data": " + ".join([first.task.dataset, *first.task.distractors]),
        "Asked": f"{len(first.queries):,} street crops of {protocol.split or 'all splits'}"
        + (f", spoilt (seed {protocol.spoil})" if protocol.spoil is not None else ""),
        "Among": f"{data.products:,} products in {data.crops:,} photos"
        + (", each query among its own category" if protocol.within else ""),
        "Unreadable": f"{data.unreadable_queries:,} photos that ask, {data.unreadable_crops:,} of the gallery; "
        f"{data.unanswerable:,} queries cannot be answered and are "
        + ("left out" if protocol.leave_out else "counted as misses"),
        "Intervals": "95%, bootstrap over products",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    return f"<h1>Street photo to product: how often the right one came</h1><dl>{rows}</dl>"


def _seed_table(systems: Sequence[System], metric: str) -> str:
    """The table of the seed experiment: an arm a row, a category a column."""
    first = systems[0].evaluations[0]
    categories = [None, *(first.categories if len(first.categories) > 1 else [])]
    columns = [[each.means([metric], category)[0] for each in systems] for category in categories]
    heads = "".join(
        f'<th scope="col">{escape(category or _all(first))}<br><small>{first.of(category).sum():,} queries</small></th>'
        for category in categories
    )
    body = "".join(
        f'<tr><th scope="row">{escape(each.name)}</th>' + "".join(_cell(column, row) for column in columns) + "</tr>"
        for row, each in enumerate(systems)
    )
    table = f'<thead><tr><th scope="col">arm</th>{heads}</tr></thead><tbody>{body}</tbody>'
    return (
        f"<h2>{metric} by category and arm</h2><p class=soft>{escape(SEED[metric])}. The highest of a column is bold."
        f'</p><div class="wide"><table>{table}</table></div>'
    )


def _all(evaluation: Evaluation) -> str:
    """What the column over all queries is called: all, or the only category there is."""
    return evaluation.categories[0] if len(evaluation.categories) == 1 else "all"


def _all_metrics(systems: Sequence[System]) -> str:
    found = [each.means(STANDARD) for each in systems]
    heads = "".join(f'<th scope="col">{name}</th>' for name in STANDARD)
    rows = []
    for number, each in enumerate(systems):
        cells = "".join(_cell([row[column] for row in found], number) for column in range(len(STANDARD)))
        rows.append(f'<tr><th scope="row">{escape(each.name)}{_seeds(each)}</th>{cells}</tr>')
    head = f'<thead><tr><th scope="col">arm</th>{heads}</tr></thead>'
    return f'<h2>All metrics</h2><div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def _seeds(system: System) -> str:
    if len(system.evaluations) == 1:
        return ""
    spread = compare.spread(system, "nDCG@5")
    return f"<br><small>{len(system.evaluations)} seeds; nDCG@5 ± {spread.deviation:.3f} between them</small>"


def _cell(column: Sequence[Interval], row: int) -> str:
    interval = column[row]
    best = ' class="best"' if len(column) > 1 and interval.mean == max(each.mean for each in column) else ""
    return f"<td{best}>{_number(interval.mean)}<small>{_bounds(interval)}</small></td>"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def _bounds(interval: Interval) -> str:
    return f"[{_number(interval.low)}, {_number(interval.high)}]"


def _plots(systems: Sequence[System], named: Sequence[Named]) -> str:
    curve = [Series(each.name, CURVE, each.means([f"hit@{k}" for k in CURVE])) for each in systems]
    told = "hit@k: a right product among the first k"
    plots = [_figure(told, charts.lines(curve, title=told, x="k", ticks=TICKS, log=True))]
    dial = [series for each in named for series in _dial(each, alone=len(named) == 1)]
    if dial:
        told = f"{' and '.join(SEED)} over the detail dial: 0 is cut alone, 1 colour and pattern alone"
        plots.append(_figure(told, charts.lines(dial, title=told, x="detail", ticks=(0, 0.2, 0.4, 0.6, 0.8, 1))))
    return f'<h2>Plots</h2><div class="plots">{"".join(plots)}</div>'


def _dial(named: Named, *, alone: bool) -> list[Series]:
    steps = compare.systems([named], dial=True)
    at = [each.evaluations[0].arm(each.arm).detail or 0.0 for each in steps]
    names = [metric if alone else f"{named.name} {metric}" for metric in SEED] if steps else []
    points = zip(*(each.means(list(SEED)) for each in steps), strict=True)
    return [Series(name, at, list(line)) for name, line in zip(names, points, strict=True)]


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"


def _differences(main: System, systems: Sequence[System]) -> str:
    """The main arm against each other, over all and by category: plots, then all numbers."""
    others = [each for each in systems if each != main]
    if not others:
        return ""
    plots, rows = [], []
    for other in others:
        found = compare.compare(main, other, list(SEED))
        for metric in SEED:
            mine = [each for each in found if each.metric == metric]
            told = f"{metric}: {main.name} minus {other.name}"
            bars = [(each.category or "all", each.interval, each.verdict != "not shown") for each in mine]
            plots.append(_figure(told, charts.differences(bars, title=told, x="right: the first is better")))
            rows += [_difference_row(main, other, each) for each in mine]
    heads = "".join(
        f'<th scope="col">{name}</th>' for name in ("metric", "arms", "category", "difference", "p", "shown")
    )
    return (
        f"<h2>Is {escape(main.name)} better?</h2><p class=soft>Paired on the same queries. A dot is filled where p, "
        "by random signs of whole products and over categories corrected by Holm, is below .05.</p>"
        f'<div class="plots">{"".join(plots)}</div><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _difference_row(main: System, other: System, each: Difference) -> str:
    low, high = (f"{side:+.3f}" if math.isfinite(side) else "–" for side in each.interval[1:])
    cells = [
        each.metric,
        f"{main.name} against {other.name}",
        each.category or "all",
        f"{each.interval.mean:+.3f} [{low}, {high}]",
        f"{each.p:.4f}",
        each.verdict,
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _grids(systems: Sequence[System], readers: Iterable[Reader] | None, count: int, seed: int) -> str:
    """Result grids: queries down, each arm's first five across."""
    if readers is None:
        return "<h2>Results</h2><p>The photos were not there when this page was made.</p>"
    evaluation = systems[0].evaluations[0]
    arms = [each.evaluations[0].arm(each.arm) for each in systems]
    chosen = {kind: examples.choose(arms, kind, count, seed=seed) for kind in GRIDS}
    numbers = sorted({number for each in chosen.values() for number in each})
    products = {product for arm in arms for number in numbers for product in arm.top[number][:ACROSS]}
    photos = Pictures(examples.fetch(readers, [evaluation.queries[number] for number in numbers], products))
    parts = []
    for kind, title in GRIDS.items():
        rows = "".join(_result(evaluation, systems, number, photos) for number in chosen[kind])
        heads = "".join(f'<th scope="colgroup" colspan="{ACROSS}" class="start">{escape(s.name)}</th>' for s in systems)
        table = f'<thead><tr><th scope="col">asked</th>{heads}</tr></thead><tbody>{rows}</tbody>'
        empty = "<p class=soft>No query is such a case.</p>"
        parts.append(f"<h3>{title}</h3>" + (f'<table class="results">{table}</table>' if rows else empty))
    return f"<h2>Results</h2><p class=soft>Right products are framed and ticked.</p>{''.join(parts)}"


def _result(evaluation: Evaluation, systems: Sequence[System], number: int, photos: "Pictures") -> str:
    query = evaluation.queries[number]
    ranks = []
    cells = []
    for each in systems:
        arm = each.evaluations[0].arm(each.arm)
        rank = examples.found_at(arm, number)
        ranks.append(f"{each.name} {'not found' if rank is None else rank}")
        for place in range(ACROSS):
            product = arm.top[number][place] if place < len(arm.top[number]) else None
            right = product in query.product_ids
            kind = " ".join(["start"] * (place == 0) + ["right"] * right)
            told = "nothing" if product is None else f"{place + 1}: {product}{', right' if right else ''}"
            picture = photos.product(product, told)
            cells.append(f'<td class="{kind}">{picture}<small>{"✓" if right else "&nbsp;"}</small></td>')
    asked = photos.asked(query.crop_id, f"asked: {query.crop_id}")
    note = "<br>".join(map(escape, ["right at", *ranks]))
    return f"<tr><td>{asked}<small>{note}</small></td>{''.join(cells)}</tr>"


class Pictures:
    """Photos as data URIs, each read once."""

    def __init__(self, crops: Exhibits) -> None:
        self._crops = crops
        self._made: dict[str, str | None] = {}

    def asked(self, crop_id: str, told: str) -> str:
        """The photo of a query."""
        return self._tag(f"street {crop_id}", self._crops.asked.get(crop_id), told)

    def product(self, product_id: str | None, told: str) -> str:
        """The photo of a product."""
        return self._tag(f"shop {product_id}", self._crops.products.get(product_id or ""), told)

    def _tag(self, name: str, crop: Crop | None, told: str) -> str:
        if name not in self._made:
            picture = None if crop is None else grid.picture_of(crop)
            data = None if picture is None else grid.jpeg(picture, **THUMB)
            self._made[name] = None if data is None else f"data:image/jpeg;base64,{b64encode(data).decode()}"
        told = escape(told, quote=True)
        made = self._made[name]
        return f'<div class="gone" title="{told}"></div>' if made is None else f'<img src="{made}" alt="{told}">'


def _made(named: Sequence[Named]) -> str:
    """How to make the numbers again."""
    rows = []
    for each in named:
        for evaluation in each.evaluations:
            facts = [each.name, evaluation.encoder[:12], evaluation.recipe, evaluation.version]
            cells = "".join(f"<td>{escape(fact)}</td>" for fact in facts)
            rows.append(f"<tr>{cells}<td><code>{escape(evaluation.command)}</code></td></tr>")
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("name", "encoder", "recipe", "osoroi", "command"))
    data = named[0].evaluations[0].data.fingerprint
    return (
        f"<h2>Made by</h2><p class=soft>Data {data[:12]} (ids, categories and boxes). <code>osoroi evaluate --check "
        "FILE</code> makes the numbers of a file again.</p>"
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
