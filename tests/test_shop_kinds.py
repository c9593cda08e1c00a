"""An evaluation judges kinds as a catalog with the same products does."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import osoroi
from osoroi.catalog import Entry
from osoroi.encoder import KIND, Encoder
from osoroi.evaluation import evaluate, shop_kinds
from osoroi.evaluation.queries import EvaluationSet
from osoroi.evaluation.ranking import Gallery, GalleryWriter
from osoroi.evaluation.results import Protocol, Task
from osoroi.garments import learned
from osoroi.garments.kinds import NAMES
from osoroi.garments.posterior import part
from osoroi.image.swatch import swatch
from osoroi.records import Crop, Input, Product, Row

COLORS = ("navy", "red", "green", "grey", "mustard", "brown")


def tee(color: str) -> bytes:
    """A photo of a T-shirt."""
    data = io.BytesIO()
    Image.fromarray(swatch(color)).save(data, "PNG")
    return data.getvalue()


class Rows:
    def __init__(self, rows: Sequence[Row]) -> None:
        self.given = rows

    def rows(self) -> Iterator[Row]:
        yield from self.given


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


def shop_rows(category: str) -> list[Row]:
    return [
        Row(Product(f"p{n}", category=category), Crop(f"p{n}/1", f"p{n}", "shop", tee(color), None, "val"))
        for n, color in enumerate(COLORS)
    ]


def scores(rows: list[Row], encoder: Encoder, *, categories: bool = True) -> list[tuple[str, float]]:
    query = Row(rows[1].product, Crop("street", "p1", "street", tee("red"), None, "val"))
    task = Task("rows", (), None, Protocol(categories=categories))
    found = evaluate.evaluate_readers([Rows([*rows, query])], encoder, task)
    (arm,) = [arm for arm in found.arms if arm.name == "all"]
    return [(name, round(score, 4)) for name, score in zip(arm.top[0], arm.scores[0], strict=True)]


def test_a_word_that_no_dictionary_knows_counts_as_it_does_in_a_catalog(tmp_path, encoder: Encoder) -> None:
    rows = shop_rows("Vareuse")  # six photos of tops
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        shop.add(
            [{"product_id": row.product.product_id, "photo": row.crop.photo, "category": "Vareuse"} for row in rows]
        )
        hits = [(hit.product_id, round(hit.score, 4)) for hit in shop.search(tee("red"))]
    learned_scores = scores(rows, encoder)
    assert learned_scores == hits
    assert scores(rows, encoder, categories=False) != hits
    few = [row._replace(product=replace(row.product, category=f"Vareuse {n}")) for n, row in enumerate(rows)]
    assert scores(few, encoder) == scores(rows, encoder, categories=False)  # no word has enough products


def gallery_of(rows: np.ndarray, writer: GalleryWriter) -> Gallery:
    writer.append(range(len(rows)), rows)
    return writer.gallery()


def test_queries_of_which_only_a_picture_speaks_are_judged_as_a_search_judges_them(tmp_path, encoder: Encoder) -> None:
    rng = np.random.default_rng(4)
    start = encoder.columns[KIND].start
    labels = np.repeat(["top", "bag"], [140, 80])
    centres = {"top": rng.normal(size=start), "bag": rng.normal(size=start)}
    rows = np.zeros((220, encoder.dim), np.float32)
    for row, label in zip(rows, labels, strict=True):
        looks = centres[label] + 0.5 * rng.normal(size=start)
        row[:start], row[start:] = looks / np.linalg.norm(looks) * np.sqrt(2), part({label: 1.0})
    queries = rows[[0, -1, -1]].copy()
    queries[:, start:] = part({"top": 0.6, "bag": 0.4})
    with osoroi.create(tmp_path / "shop", encoder) as shop:
        entries = [
            Entry(Product(f"p{n:03}"), [Crop(f"p{n:03}/1", f"p{n:03}", "shop", b"photo")], row[None])
            for n, row in enumerate(rows)
        ]
        shop.storage.put(entries, fingerprint=encoder.fingerprint)
        searched = shop._searcher.with_learned_kinds([Input(np.zeros((1, 1, 3), np.uint8))] * 2, queries[:2])
    with GalleryWriter(encoder.dim) as writer:
        gallery = gallery_of(rows, writer)
        taught = shop_kinds.taught(gallery, encoder, queries, [0, 1])
        assert np.array_equal(shop_kinds.taught(gallery, encoder, queries, []), queries)
    assert np.allclose(taught[:2], searched, atol=1e-6)
    assert np.array_equal(taught[2], queries[2])
    assert taught[1, start + NAMES.index("bag")] ** 2 > 0.9


def test_words_are_learned_from_one_photo_a_product_and_written_to_all_of_them(encoder: Encoder) -> None:
    found = EvaluationSet(Protocol())
    rows = np.zeros((11, encoder.dim), np.float32)
    rows[:, encoder.columns[KIND]] = part({"skirt": 0.7, "dress": 0.3})
    rows[5:10, encoder.columns[KIND]] = part({"bag": 1 / 3, "hat": 1 / 3, "top": 1 / 3})
    keys = []
    for number in range(11):
        product = Product(f"p{number % 10}", category="Kokoshnik" if 5 <= number < 10 else "Falda larga")
        keys.append(found.register(Row(product, Crop(f"c{number}", product.product_id, "shop", b"", None, None))))
    with GalleryWriter(encoder.dim) as writer:
        writer.append(keys, rows)  # the last crop is the second one of p0
        gallery = writer.gallery()
        assert shop_kinds.learn_words(gallery, encoder, found) == {"Falda larga": "skirt"}
        kinds = np.asarray(gallery.vectors[:, encoder.columns[KIND]])
    assert learned.certain(kinds).tolist() == [True] * 5 + [False] * 5 + [True]


def test_categories_that_photos_contradict_are_not_believed(encoder: Encoder) -> None:
    rng = np.random.default_rng(9)
    start = encoder.columns[KIND].start
    kinds = np.repeat(["skirt", "bag"], 150)
    centres = {kind: rng.normal(size=start) for kind in ("skirt", "bag")}
    rows = np.zeros((300, encoder.dim), np.float32)
    for row, kind in zip(rows, kinds, strict=True):
        row[:start] = centres[kind] + 0.5 * rng.normal(size=start)
    order = rng.permutation(300)
    verdicts = []
    for words in (kinds[order], kinds):  # right, and in any order
        found = EvaluationSet(Protocol())
        keys = [
            found.register(Row(Product(f"p{n}", category=str(word)), Crop(f"c{n}", f"p{n}", "shop", b"", None, None)))
            for n, word in enumerate(words)
        ]
        with GalleryWriter(encoder.dim) as writer:
            writer.append(keys, rows[order])
            verdicts.append(shop_kinds.are_believed(writer.gallery(), encoder, found))
    assert verdicts == [True, False]


def test_categories_that_no_dictionary_knows_are_believed(encoder: Encoder) -> None:
    """There is nothing that photos could contradict."""
    found = EvaluationSet(Protocol())
    keys = [
        found.register(Row(Product(f"p{n}", category="Zorbs"), Crop(f"c{n}", f"p{n}", "shop", b"", None, None)))
        for n in range(3)
    ]
    with GalleryWriter(encoder.dim) as writer:
        writer.append(keys, np.eye(3, encoder.dim, dtype=np.float32))
        assert shop_kinds.are_believed(writer.gallery(), encoder, found)


def test_a_gallery_whose_categories_are_not_believed_is_told_by_its_photos(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = shop_rows("Skirts")  # six photos of tops
    believed = scores(rows, encoder)
    monkeypatch.setattr(shop_kinds, "are_believed", lambda *_: False)  # six are too few to judge by
    assert scores(rows, encoder) == scores(rows, encoder, categories=False) != believed
