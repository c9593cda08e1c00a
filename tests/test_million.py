"""The benchmark of a million, at a few hundred: it runs, goes on where it was, and its oracle agrees with ``exact``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
MARK = "<!-- figures: written by benchmarks.million.page -->"


def real(path: Path) -> Path:
    """Vectors in two parts, as ``benchmarks.million.embed`` writes them."""
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((12, 16))
    shop, street = (kinds[rng.integers(0, 12, count)] + 0.5 * rng.standard_normal((count, 16)) for count in (400, 80))
    units = [
        np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(rows, [12], axis=1)], 1)
        for rows in (shop, street)
    ]
    about: dict[str, Any] = {
        "parts": np.array([12, 4]),
        "weights": np.array([0.4, 0.6]),
        "fingerprint": np.array("f" * 64),
    }
    np.savez(path, shop=units[0].astype("f4"), street=units[1].astype("f4"), **about)
    return path


def run(module: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.million.{module}", str(real(tmp_path / "real.npz")), *arguments]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_systems_run_one_after_another_into_one_file(tmp_path: Path) -> None:
    few = ("--vectors", "3000", "--queries", "60")
    run("run", tmp_path, *few, "--systems", "exact")
    first = json.loads((tmp_path / "out.json").read_text())
    (tmp_path / "out.json").write_text(json.dumps(first | {"rows": [*first["rows"], {"system": "osoroi scan"}]}))
    assert run("run", tmp_path, *few, "--systems", "exact,scan").stdout.count("osoroi exact") == 0
    results = json.loads((tmp_path / "out.json").read_text())
    assert [len(results["runs"]), results["finished"]] == [2, ["osoroi exact", "osoroi scan"]]
    assert results["rows"][: len(first["rows"])] == first["rows"]
    scanned = [row for row in results["rows"] if row["system"] == "osoroi scan"]
    assert {(row["threads"], row["replaced"]) for row in scanned} == {(1, False), (2, False), (1, True)}
    assert min(row["recall"] for row in results["rows"]) > 0.99
    assert max(row["recall"] for row in results["rows"]) == 1.0
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    page.write_text(f"# Words stay\n\n{MARK}\nold figures\n")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.million.page", tmp_path / "out.json", "--page", page], cwd=ROOT, check=True
    )
    assert page.read_text().startswith(f"# Words stay\n\n{MARK}\n\n| | asked | found |")
    assert "old figures" not in page.read_text()
    assert "| osoroi scan | against | 1.000 |" in page.read_text()


def test_a_whole_catalog_is_measured(tmp_path: Path) -> None:
    run("catalog", tmp_path, "--vectors", "200", "--queries", "60")
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["added, seen by another process"]["seen_ms"] > 0
    assert results["a process"]["half, never asked before"]["again"]["median_ms"] > 0
