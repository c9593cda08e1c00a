from pathlib import Path

import numpy as np
import pytest

from osoroi.errors import BadIndex
from osoroi.index import choosing
from osoroi.index.scan import WORTH


def blocks(count: int) -> list[tuple[list[int], np.ndarray]]:
    rows = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    return [(list(range(start, min(start + 999, count))), rows[start : start + 999]) for start in range(0, count, 999)]


@pytest.mark.parametrize(("count", "kind"), [(WORTH - 1, "exact"), (WORTH, "scan")])
def test_some_thousands_are_scanned_and_fewer_compared_exactly(count: int, kind: str, tmp_path: Path) -> None:
    index = choosing.build(count, 4, blocks(count))
    assert choosing.kind_of(index) == kind == choosing.kind_for(count)
    index.save(tmp_path / "vectors")
    again = choosing.open_index(kind, tmp_path / "vectors")
    query = np.array([[0.5, -1, 2, 0]], np.float32)
    assert np.array_equal(again.nearest(query, 7).keys, index.nearest(query, 7).keys)


@pytest.mark.parametrize("announced", [1_998, 3_001])
def test_vectors_that_are_missing_or_too_many_are_an_error(announced: int) -> None:
    with pytest.raises(BadIndex, match=f"{announced} vectors were announced"):
        choosing.build(announced, 4, blocks(3_000))


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadIndex, match="no kind of index is called 'graph'; there are exact, scan"):
        choosing.open_index("graph", tmp_path)
