"""``osoroi compare``: test whether one system is better than another on the same queries."""

import math
from collections.abc import Sequence

import click

from osoroi.cli import options, text
from osoroi.evaluation import compare
from osoroi.evaluation.compare import Difference, System
from osoroi.text import printable


@click.command()
@click.argument("ours")
@click.argument("theirs")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=compare.DEFAULT_METRICS,
    show_default=True,
    help="A metric to compare.",
)
@options.as_json
def command(ours: str, theirs: str, metrics: tuple[str, ...], as_json: bool) -> None:
    """Compare OURS with THEIRS, both written by `osoroi evaluate --json`, query by query.

    Each is [NAME=]FILE[,FILE…][:ARM]; several files are seeds of one training. The verdict is better, worse, or not
    shown.

    \b
    osoroi compare new.json old.json
    osoroi compare val.json:both val.json:deep
    osoroi compare ours=a1.json,a2.json,a3.json published=b1.json,b2.json,b3.json
    """
    first, second = compare.read_system(ours), compare.read_system(theirs)
    differences = compare.compare(first, second, metrics=metrics).differences
    if as_json:
        text.show_json([_plain(each) for each in differences])
        return
    for metric in metrics:
        text.show(printable(_spreads(metric, (first, second))))
    text.show()
    text.show(_table(differences))
    for each in differences:
        if each.category is None:
            text.show(printable(sentence(first, second, each)))


def _spreads(metric: str, systems: Sequence[System]) -> str:
    parts = []
    for system in systems:
        spread = compare.seed_spread(system, metric)
        seeds = f" ± {spread.deviation:.3f} over {len(system.evaluations)} seeds" if len(system.evaluations) > 1 else ""
        parts.append(f"{system.name} {spread.mean:.3f}{seeds}")
    return f"{metric}: " + ", ".join(parts)


def _table(differences: Sequence[Difference]) -> str:
    rows = [["metric", "category", "queries", "difference", "95% interval", "p", ""]]
    for each in differences:
        low, high = (f"{end:+.3f}" if math.isfinite(end) else "–" for end in each.interval[1:])
        category = "all" if each.category is None else each.category
        difference = f"{each.interval.mean:+.3f}"
        bounds = f"[{low}, {high}]"
        rows.append([each.metric, category, str(each.queries), difference, bounds, f"{each.p:.4f}", each.verdict])
    return text.aligned(rows)


def sentence(ours: System, theirs: System, difference: Difference) -> str:
    """The verdict in words."""
    if difference.verdict == "not shown":
        return f"{difference.metric}: no difference between {ours.name} and {theirs.name} is shown"
    return f"{difference.metric}: {ours.name} is {difference.verdict} than {theirs.name}"


def _plain(difference: Difference) -> dict[str, object]:
    mean, low, high = (end if math.isfinite(end) else None for end in difference.interval)
    fields = difference._asdict() | {"verdict": difference.verdict, "difference": mean, "low": low, "high": high}
    return {name: value for name, value in fields.items() if name != "interval"}
