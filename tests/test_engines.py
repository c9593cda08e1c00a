"""The recipe for Qdrant on our page gives our products; the other recipes are Python, and short."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osoroi.catalog.opening import create_catalog
from osoroi.catalog.protocol import Entry
from osoroi.records import Crop, Part, Product

PAGE = Path(__file__).parents[1] / "docs/engines.md"
RECIPES = dict(re.findall(r"^## (\w+)\n.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
PARTS = (Part("deep", 6, 0.6), Part("detail", 4, 0.4))
MOST_LINES = 20


@pytest.mark.parametrize("engine", ["Qdrant", "Milvus", "OpenSearch"])
def test_a_recipe_is_short_python(engine: str) -> None:
    lines = [line for line in RECIPES[engine].splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    ast.parse(RECIPES[engine])


def test_the_recipe_for_qdrant_gives_the_products_that_we_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("qdrant_client", reason="needs the package qdrant-client").models
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 10)).astype(np.float32)
    for columns in (slice(0, 6), slice(6, 10)):
        rows[:, columns] /= np.linalg.norm(rows[:, columns], axis=1, keepdims=True)
    names = [f"p{number}" for number in np.sort(rng.integers(0, 120, 400))]  # one to many vectors a product
    weights = [np.repeat([1 - share, share], [6, 4]) for share in (0.0, 0.4, 1.0)]
    queries = np.concatenate([rows[:8] * weight for weight in weights]).astype(np.float32)
    np.savez(tmp_path / "vectors.npz", ids=names, vectors=rows)
    np.savez(tmp_path / "queries.npz", vectors=queries)
    monkeypatch.chdir(tmp_path)
    defined: dict[str, Any] = {}
    exec(RECIPES["Qdrant"], defined)
    products: Callable[..., list[tuple[str, float]]] = defined["products"]
    with create_catalog(tmp_path / "shop", fingerprint="f" * 64, dim=10, parts=PARTS) as catalog:
        for name in dict.fromkeys(names):
            own = [at for at, one in enumerate(names) if one == name]
            crops = [Crop(f"{name}/{at}", name, "shop", b"photo") for at in own]
            catalog.put([Entry(Product(name), crops, rows[own])], fingerprint="f" * 64)
        for query in queries:
            ours = catalog.nearest(query[None], 10)
            theirs = products(query, 10)
            assert [name for name, _ in theirs] == [hit.product_id for hit in ours]
            assert [score for _, score in theirs] == pytest.approx([hit.score for hit in ours], abs=1e-5)
    few = models.Filter(must=[models.FieldCondition(key="product", match=models.MatchAny(any=names[:1]))])
    assert [name for name, _ in products(queries[0], 10, few)] == names[:1], "no more than there are"
