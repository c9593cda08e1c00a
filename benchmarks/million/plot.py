"""Results of ``run`` -> tables in Markdown, and a plot."""

import importlib
from pathlib import Path
from typing import Any

from benchmarks.million.questions import KINDS, SHARES

Row = dict[str, Any]
ALL = 1.0
TITLES = {"independent": "does not care", "along": "goes along with the query", "against": "goes against it"}


def rows_of(results: Row, *, replaced: bool = False, threads: int = 1, slider: float | str = "own") -> list[Row]:
    return [
        row
        for row in results["rows"]
        if (row["replaced"], row["threads"], row["slider"]) == (replaced, threads, slider)
    ]


def systems(results: Row) -> list[str]:
    return list(dict.fromkeys(row["system"] for row in results["rows"]))


def cell(rows: list[Row], system: str, kind: str, share: float, field: str) -> float | None:
    """One number, or None where it was not measured; a filter of share 1 is none."""
    kind = "none" if share == ALL else kind
    found = [row[field] for row in rows if (row["system"], row["filter"], row["share"]) == (system, kind, share)]
    return found[0] if found else None


def table(results: Row, field: str, form: str, *, replaced: bool = False, threads: int = 1) -> str:
    """Markdown: one line for a system and a kind of filter, one column for a share."""
    rows = rows_of(results, replaced=replaced, threads=threads)
    lines = ["| | filter | 100% | " + " | ".join(f"{100 * share:g}%" for share in SHARES) + " |"]
    lines.append("|---|---|" + "---:|" * (len(SHARES) + 1))
    for system in dict.fromkeys(row["system"] for row in rows):
        for kind in KINDS:
            numbers = [cell(rows, system, kind, share, field) for share in (ALL, *SHARES)]
            cells = ["" if number is None else format(number, form) for number in numbers]
            lines.append(f"| {system} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sliders(results: Row) -> str:
    """Markdown: recall without a filter at every weighting."""
    lines = ["| no filter | slider 0 | the encoder's weights | slider 1 |", "|---|---:|---:|---:|"]
    for system in systems(results):
        found = [cell(rows_of(results, slider=slider), system, "none", ALL, "recall") for slider in (0.0, "own", 1.0)]
        lines.append(f"| {system} | " + " | ".join("" if one is None else f"{one:.4f}" for one in found) + " |")
    return "\n".join(lines)


def plot(results: Row, path: Path) -> None:
    """Recall and CPU time against the share that a filter allows, a column for each kind of filter."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams["svg.fonttype"] = "none"
    rows = rows_of(results)
    figure, axes = pyplot.subplots(2, len(KINDS), figsize=(11, 6), sharex=True, sharey="row")
    for column, kind in enumerate(KINDS):
        for line, (field, title) in enumerate((("recall", "recall@10"), ("p50_ms", "ms a query (median)"))):
            axis = axes[line][column]
            for system in systems(results):
                points = [(100 * one, cell(rows, system, kind, one, field)) for one in (ALL, *SHARES)]
                known = [(share, number) for share, number in points if number is not None]
                width = 2.5 if system == "osoroi scan" else 1
                axis.plot(*zip(*known, strict=True), marker="o", ms=3, lw=width, label=system)
            axis.set_xscale("log")
            axis.set_yscale("log" if field != "recall" else "linear")
            axis.set_ylabel(title if column == 0 else "")
            axis.set_title(f"a filter that {TITLES[kind]}" if line == 0 else "", fontsize=10)
            axis.set_xlabel("% of the vectors allowed" if line == 1 else "")
            axis.grid(alpha=0.3)
    axes[0][0].invert_xaxis()
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(f"{results['vectors']:,} vectors made from real embeddings, 256 numbers each")
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, metadata={"Date": None})
