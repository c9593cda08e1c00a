"""``osoroi audit``: find leaks and errors in a data set."""

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
from osoroi.text import printable

GROUPS = ("leak", "broken", "note")


@click.command()
@click.argument("dataset")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice([*GROUPS, *KINDS]),
    help="End with exit code 1 if this kind of finding, or this group of kinds, has a case.",
)
@click.option(
    "--min-cosine",
    type=options.Share(-1, 1),
    default=audit.MIN_COSINE,
    show_default=True,
    help="Cosine from which two near-identical photos are the same.",
)
@click.option("--grid", type=options.Target(), help="Write examples as one picture, a kind per row.")
@click.option(
    "--examples", type=click.IntRange(0, audit.EXAMPLES), default=3, show_default=True, help="Cases to print per kind."
)
@options.encoder
@options.threads
@options.as_json
def command(
    dataset: str,
    fail_on: tuple[str, ...],
    min_cosine: float,
    grid: Path | None,
    examples: int,
    encoder: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Find leaks, errors and oddities in DATASET.

    Leaks make metrics too good: products, designs or photos that stand in two splits, and queries whose photo is in the
    gallery. Every photo is read.

    \b
    osoroi audit viton:data/viton --fail-on leak --fail-on broken --grid audit.png
    """
    model = Encoder.open(encoder, threads=threads)
    with progress.counting("crops read") as show:
        result = audit.audit(open_dataset(dataset), model, threads=threads, min_cosine=min_cosine, on_progress=show)
    if grid:
        grids.write(grid, audit.picture(result))
    if as_json:
        text.show_json(to_dict(result))
    else:
        text.show(report(result, examples))
    failed = result.failed(fail_on)
    if failed:
        text.warn(f"failed on {', '.join(each.kind for each in failed)}")
        sys.exit(1)


def report(result: Audit, examples: int) -> str:
    """Sizes of the splits, then each kind with its number of cases and some examples."""
    domains = ("street", "shop")
    sizes = [["split", *domains]]
    sizes += [
        [name, *(f"{result.splits[name].get(domain, 0):,}" for domain in domains)] for name in sorted(result.splits)
    ]
    rows = [[each.group, each.kind, f"{each.count:,}", each.meaning] for each in result.findings.values()]
    lines = [text.aligned(sizes), "", text.aligned([["", "finding", "cases", "meaning"], *rows], cell=120)]
    for each in result.findings.values():
        if each.count and examples:
            lines += ["", f"{each.kind}:", *_cases([example.text for example in each.examples], each.count, examples)]
    return "\n".join(lines)


def _cases(cases: Sequence[str], count: int, examples: int) -> list[str]:
    shown = [f"  {printable(case)}" for case in cases[:examples]]
    return shown if count <= len(shown) else [*shown, f"  … and {count - len(shown):,} more"]


def to_dict(result: Audit) -> dict[str, object]:
    """The result as plain data."""
    findings = {
        each.kind: {"group": each.group, "count": each.count, "examples": [example.text for example in each.examples]}
        for each in result.findings.values()
    }
    return {"splits": result.splits, "findings": findings}
