"""The loader: order, errors in their place, bounded reading ahead, and the vectors that encoding one by one gives."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osoroi.encoder import loader
from osoroi.errors import BadDataset, BadPhoto
from osoroi.records import Box, Crop
from shop import file_of
from tiny import TinyEncoder


def crop(path: Path, box: Box | None = None) -> Crop:
    return Crop(path.stem, "p", "shop", path, box)


@pytest.fixture
def crops(tmp_path: Path) -> list[Crop]:
    """Seven crops of different colours; the third and the last cannot be read."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(7):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (30, 20, 3), np.uint8)).save(path)
        made.append(crop(path, Box(2, 3, 19, 28)))
    file_of(made[2]).write_bytes(b"no photo")
    made[6] = crop(tmp_path / "nowhere.png")
    return made


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_have_the_vectors_of_each_crop_alone_and_the_errors_of_the_others(
    crops: list[Crop], threads: int, batch: int
) -> None:
    encoder = TinyEncoder()
    reader = partial(loader.crop_pixels, preprocessing=encoder.preprocessing)
    vectors: dict[int, np.ndarray] = {}
    errors: dict[int, BadPhoto] = {}
    for encoded in loader.encode(iter(crops), encoder.encode, reader, threads=threads, batch=batch):
        vectors.update(zip(encoded.indices, encoded.vectors, strict=True))
        errors.update(encoded.errors)
        assert len(encoded.indices) + len(encoded.errors) <= batch
    assert list(vectors) == [0, 1, 3, 4, 5]
    assert list(errors) == [2, 6]
    assert "nowhere.png" in str(errors[6])
    for index, vector in vectors.items():
        np.testing.assert_array_equal(vector, encoder.encode([reader(crops[index])])[0])


def test_results_keep_the_order_of_the_items_whoever_finishes_first() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number * number

    assert list(loader.read(range(5), slow_first, threads=4)) == [(n, n * n) for n in range(5)]


def test_no_more_items_are_read_ahead_than_allowed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    before = set(threading.enumerate())
    results = loader.read(items(), abs, threads=2, ahead=3)
    assert [next(results) for _ in range(5)] == [(n, n) for n in range(5)]
    assert taken == 5 + 3
    results.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("read")], "no thread is left"


def test_an_error_of_the_input_or_of_our_own_is_raised(crops: list[Crop]) -> None:
    def rows() -> Iterator[int]:
        yield 1
        raise BadDataset("line 2: no photo")

    with pytest.raises(BadDataset, match="line 2"):
        list(loader.read(rows(), abs))
    with pytest.raises(ZeroDivisionError):
        list(loader.read([1, 0], lambda number: 1 // number, threads=2))
