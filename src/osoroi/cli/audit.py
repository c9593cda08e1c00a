"""``osoroi audit``: what is wrong with a data set."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from osoroi import audit
from osoroi.audit import KINDS, Audit
from osoroi.cli import options, progress, text
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.report import grid as grids

GROUPS = ("leak", "broken", "note")


@click.command()
@click.argument("dataset")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice([*GROUPS, *KINDS]),
    help="End with exit code 1 where such a finding, or one of such a group, has a case.",
)
@click.option("--like", default=audit.LIKE, show_default=True, help="Cosine from which two photos are the same.")
@click.option("--grid", type=options.OUTPUT, help="Write examples as one picture, a finding a row.")
@click.option("--examples", default=3, show_default=True, help="Cases to print of each finding.")
@options.encoder
@options.threads
@options.as_json
def command(
    dataset: str,
    fail_on: tuple[str, ...],
    like: float,
    grid: Path | None,
    examples: int,
    encoder: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Look for leaks, broken things and odd things in DATASET.

    Leaks are what makes numbers too good: products, designs or photos that stand in two splits, queries that stand
    in the gallery. Every photo is read.

    \b
    osoroi audit viton:data/viton --fail-on leak --fail-on broken --grid audit.png
    """
    with progress.counting("crops read") as show:
        found = audit.audit(
            open_dataset(dataset), Encoder.open(encoder, threads=threads), threads=threads, like=like, on_progress=show
        )
    if grid:
        grids.write(grid, audit.picture(found))
    click.echo(json.dumps(plain(found), ensure_ascii=False) if as_json else told(found, examples))
    failed = found.failed(fail_on)
    if failed:
        click.echo(f"failed on {', '.join(each.kind for each in failed)}", err=True)
        sys.exit(1)


def told(found: Audit, examples: int) -> str:
    """Sizes, then each finding that has a case, with some of them."""
    domains = ("street", "shop")
    sizes = [["split", *domains]]
    sizes += [[name, *(str(found.splits[name].get(domain, 0)) for domain in domains)] for name in sorted(found.splits)]
    rows = [[each.group, each.kind, str(each.count), each.meaning] for each in found.findings.values()]
    lines = [text.aligned(sizes), "", text.aligned([["", "finding", "cases", "meaning"], *rows])]
    for each in found.findings.values():
        if each.count and examples:
            lines += ["", f"{each.kind}:", *_cases([example.told for example in each.examples], each.count, examples)]
    return "\n".join(lines)


def _cases(cases: Sequence[str], count: int, examples: int) -> list[str]:
    shown = [f"  {case}" for case in cases[:examples]]
    return shown if count <= len(shown) else [*shown, f"  … and {count - len(shown):,} more"]


def plain(found: Audit) -> dict[str, object]:
    """All of it as plain data."""
    findings = {
        each.kind: {"group": each.group, "count": each.count, "examples": [example.told for example in each.examples]}
        for each in found.findings.values()
    }
    return {"splits": found.splits, "findings": findings}
