"""Results -> the figures of docs/benchmarks/million.md: everything below its mark is written anew.

    python -m benchmarks.million.page --page docs/benchmarks/million.md RESULTS.json…

Results of ``run`` give tables and a plot beside the page, those of ``catalog`` two tables. The largest run and the
largest catalog are compared with what was asked.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.million.plot import ALL, Row, cell, plot, rows_of, sliders, table
from benchmarks.million.questions import KINDS, SHARES

MARK = "<!-- figures: written by benchmarks.million.page -->"
SCAN, EXACT = "osoroi scan", "osoroi exact"
TABLES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("Recall@10", "recall", ".3f", {}),
    ("CPU ms, one thread", "cpu_ms", ".2f", {}),
    ("Median ms, one thread", "p50_ms", ".2f", {}),
    ("p99 ms, two threads", "p99_ms", ".1f", {"threads": 2}),
    ("Recall@10, half of the rows replaced", "recall", ".3f", {"replaced": True}),
    ("Median ms, half of the rows replaced", "p50_ms", ".2f", {"replaced": True}),
)


def every(results: Row, field: str, **which: Any) -> list[float]:
    """The scan's figures under each filter."""
    rows = rows_of(results, **which)
    found = [cell(rows, SCAN, kind, share, field) for kind in KINDS for share in (ALL, *SHARES)]
    return [number for number in found if number is not None]


def asked(results: Row, catalog: Row | None) -> str:
    """What was asked, and what was found, line by line."""
    recalls = [cell(rows_of(results, slider=at), SCAN, "none", ALL, "recall") or 0.0 for at in (0.0, "own", 1.0)]
    scan, exact = (cell(rows_of(results), system, "none", ALL, "cpu_ms") or 0.0 for system in (SCAN, EXACT))
    built = {name: value for row in results["builds"] if row["system"] == SCAN for name, value in row.items()}
    later = every(results, "recall", replaced=True)
    loss = max((one - other for one, other in zip(every(results, "recall"), later, strict=bool(later))), default=0.0)
    memory = (
        f"{built['learn_and_write_s']:.0f} s; {built['fresh_open_s']:.2f} s; {built['beyond_map_bytes'] / 1e6:.0f} MB"
    )
    lines = [
        ("recall@10 at slider 0, the encoder's weights, 1", "≥ .998", ", ".join(f"{one:.4f}" for one in recalls)),
        ("recall@10 under every filter, at least", "≥ .99", f"{min(every(results, 'recall')):.4f}"),
        ("CPU of a query, no filter, one thread", "≤ 3 ms", f"{scan:.2f} ms"),
        ("the exact scan in the same run costs", "≥ 12 times that", f"{exact:.1f} ms, {exact / scan:.1f} times"),
        ("p99 under any filter, wall, two threads", "< 20 ms", f"{max(every(results, 'p99_ms', threads=2)):.1f} ms"),
        ("build; open; memory beyond the map", "≤ 60 s; 2 s; 300 MB", memory),
        ("recall lost when half of the rows were replaced, at most", "≤ .002", f"{max(0.0, loss):.4f}"),
    ]
    if catalog:
        seen = catalog["added, seen by another process"]["seen_ms"]
        lines.append(("added product found by another process", "< 1 s", f"{seen / 1e3:.2f} s"))
    return "\n".join(["| | asked | found |", "|---|---|---|", *(f"| {' | '.join(line)} |" for line in lines)])


def machine(results: Row) -> str:
    """When, on what and how busy each run was."""
    runs = results.get("runs") or [results]
    lines = []
    for run in runs:
        about = f"{run['machine']['cpu']}, {run['machine']['cores']} cores, load {run['load_after'][0]:.1f}"
        lines.append(f"- {run['date'][:10]}, {about}: `{run['command']}`")
    return "\n".join(lines)


def builds(results: Row) -> str:
    """What it costs each system to take everything in, and to take half of it again."""
    lines = ["| | build, s | CPU s | half replaced, s |", "|---|---:|---:|---:|"]
    for system in dict.fromkeys(row["system"] for row in results["builds"]):
        own = {name: value for row in results["builds"] if row["system"] == system for name, value in row.items()}
        numbers = [f"{own[name]:.1f}" if name in own else "" for name in ("wall_s", "cpu_s", "replacing_s")]
        lines.append(f"| {system} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def vectors(results: Row, path: Path, beside: Path) -> str:
    """The section of one run; draws its plot."""
    plot(results, beside / f"{path.stem}.svg")
    title = f"## {results['vectors']:,} vectors\n\n{machine(results)}\n\n![Recall and time]({path.stem}.svg)"
    parts = [title, sliders(results), builds(results)]
    parts += [f"{name}\n\n{table(results, field, form, **which)}" for name, field, form, which in TABLES]
    return "\n\n".join(parts)


def shop(results: Row) -> str:
    """The section of one catalog."""
    looked, filled, count = results["a process"], results["filling"], results["products"]
    costs = {
        "adding a product (without embedding)": f"{1e6 * filled['adding_s'] / count:.0f} µs",
        "one compaction": f"{filled['compaction_s']:.0f} s",
        "the folder": f"{results['file_bytes'] / 1e9:.2f} GB",
        "a fresh process opens it": _ms(looked["open"]),
        "its first search": _ms(looked["first search"]),
        "its memory beyond the map": f"{looked['beyond_map_bytes'] / 1e6:.0f} MB",
        "the next search after a change of price": _ms(looked["search after a change"]),
        "the next under a filter after a change": _ms(looked["the same filter after a change"]),
        "a product added is seen by another process": f"{results['added, seen by another process']['seen_ms']:.0f} ms",
    }
    lines = ["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in costs.items()), ""]
    lines += ["| search, ms | median | worst of 20 | CPU | asked again: median |", "|---|---:|---:|---:|---:|"]
    for name, row in looked.items():
        first = row if name == "search" else row.get("first use") if isinstance(row, dict) else None
        if first:
            again = f"{row['again']['median_ms']:.1f}" if "again" in row else ""
            numbers = " | ".join(f"{first[field]:.1f}" for field in ("median_ms", "worst_ms", "cpu_ms"))
            lines.append(f"| {'no filter' if name == 'search' else name} | {numbers} | {again} |")
    return f"## A catalog of {count:,} products\n\n{machine(results)}\n\n" + "\n".join(lines)


def _ms(row: Row) -> str:
    return f"{row['wall_ms']:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--page", type=Path, required=True)
    chosen = parser.parse_args()
    read = [(path, json.loads(path.read_text())) for path in chosen.results]
    catalogs = sorted((row for _, row in read if "products" in row), key=lambda row: -int(row["products"]))
    runs = sorted(((path, row) for path, row in read if "rows" in row), key=lambda one: -int(one[1]["vectors"]))
    sections = [asked(runs[0][1], catalogs[0] if catalogs else None)] if runs else []
    sections += [vectors(row, path, chosen.page.parent) for path, row in runs] + [shop(row) for row in catalogs]
    above = chosen.page.read_text().split(MARK)[0]
    chosen.page.write_text(f"{above}{MARK}\n\n" + "\n\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
