"""``osoroi compare``: is one system better than another, on the same queries?"""

import json
import math
from collections.abc import Sequence

import click

from osoroi.cli import options, text
from osoroi.evaluation import compare
from osoroi.evaluation.compare import Difference, System


@click.command()
@click.argument("ours")
@click.argument("theirs")
@click.option(
    "--metric", "metrics", multiple=True, default=("hit@5", "nDCG@5"), show_default=True, help="A metric to compare."
)
@options.as_json
def command(ours: str, theirs: str, metrics: tuple[str, ...], as_json: bool) -> None:
    """Compare OURS with THEIRS, both written by `osoroi evaluate --json`, query by query.

    Each is [NAME=]FILE[,FILE…][:ARM]; several files are seeds of one training. Says plainly: better, worse, or not
    shown.

    \b
    osoroi compare new.json old.json
    osoroi compare val.json:both val.json:deep
    osoroi compare ours=a1.json,a2.json,a3.json published=b1.json,b2.json,b3.json
    """
    first, second = compare.open_system(ours), compare.open_system(theirs)
    found = compare.compare(first, second, metrics)
    if as_json:
        click.echo(json.dumps([_plain(each) for each in found], ensure_ascii=False))
        return
    for metric in metrics:
        click.echo(_spreads(metric, (first, second)))
    click.echo()
    click.echo(_table(found))
    for each in found:
        if each.category is None:
            click.echo(sentence(first, second, each))


def _spreads(metric: str, systems: Sequence[System]) -> str:
    told = []
    for system in systems:
        spread = compare.spread(system, metric)
        seeds = f" ± {spread.deviation:.3f} over {len(system.evaluations)} seeds" if len(system.evaluations) > 1 else ""
        told.append(f"{system.name} {spread.mean:.3f}{seeds}")
    return f"{metric}: " + ", ".join(told)


def _table(found: Sequence[Difference]) -> str:
    rows = [["metric", "category", "queries", "difference", "95% interval", "p", ""]]
    for each in found:
        low, high = (f"{side:+.3f}" if math.isfinite(side) else "–" for side in each.interval[1:])
        category = "all" if each.category is None else each.category
        difference = f"{each.interval.mean:+.3f}"
        bounds = f"[{low}, {high}]"
        rows.append([each.metric, category, str(each.queries), difference, bounds, f"{each.p:.4f}", each.verdict])
    return text.aligned(rows)


def sentence(ours: System, theirs: System, difference: Difference) -> str:
    """What is shown, in words."""
    if difference.verdict == "not shown":
        return f"{difference.metric}: no difference between {ours.name} and {theirs.name} is shown"
    return f"{difference.metric}: {ours.name} is {difference.verdict} than {theirs.name}"


def _plain(difference: Difference) -> dict[str, object]:
    mean, low, high = (side if math.isfinite(side) else None for side in difference.interval)
    told = difference._asdict() | {"verdict": difference.verdict, "difference": mean, "low": low, "high": high}
    return {name: value for name, value in told.items() if name != "interval"}
