"""The searcher: pages of results that join, batches that equal single searches, and arguments that are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osoroi.catalog import CommittedSince
from osoroi.catalog.local import LocalCatalog
from osoroi.encoder.slider import distinctive, usual
from osoroi.errors import BadFilter, BadPhoto, BadRequest, OtherEncoder
from osoroi.search import Searcher
from shop import BLUE, RED, fill, goods, picture
from tiny import TinyEncoder


@pytest.fixture
def searcher(tmp_path: Path) -> Iterator[Searcher]:
    encoder = TinyEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield Searcher(encoder, catalog)


@pytest.mark.parametrize("where", [None, "category != tops"])
def test_pages_joined_are_the_whole_list(searcher: Searcher, where: str | None) -> None:
    whole = searcher.search(picture(RED), k=99, where=where)
    assert len(whole) == (5 if where is None else 3)
    pages = [searcher.search(picture(RED), k=2, offset=offset, where=where) for offset in (0, 2, 4, 6)]
    assert [hit.product_id for page in pages for hit in page] == [hit.product_id for hit in whole]
    assert pages[3] == []
    similar = searcher.similar("P1", k=99)
    assert searcher.similar("P1", k=1, offset=2) == similar[2:3]


def test_a_batch_gives_each_photo_the_hits_it_has_alone(searcher: Searcher) -> None:
    photos, boxes = [picture(RED, BLUE), picture(RED, BLUE), picture(BLUE)], [(0, 0, 30, 80), [30, 0, 60, 80], None]
    batch = searcher.search_batch(photos, boxes=boxes, k=3, offset=1, where="price < 9000", detail=0.8, threads=2)
    for photo, box, hits in zip(photos, boxes, batch, strict=True):
        alone = searcher.search(photo, box=box, k=3, offset=1, where="price < 9000", detail=0.8)
        assert [hit.product_id for hit in hits] == [hit.product_id for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)
    assert batch[0] != batch[1]
    assert searcher.search_batch([]) == []


def test_shape_of_one_photo_and_colour_of_another(searcher: Searcher) -> None:
    red, blue = searcher.encoder.encode_photos([picture(RED), picture(BLUE)], "street")
    mixed = searcher.search(picture(RED), k=9, detail_from=picture(BLUE))
    assert len(mixed) == 5
    for hit in mixed:
        (stored,) = searcher.catalog.vectors([hit.crop_id])
        assert hit.parts["deep"] == pytest.approx(float(stored[:4] @ red[:4]), abs=1e-5)
        assert hit.parts["detail"] == pytest.approx(float(stored[4:] @ distinct(searcher, blue[4:])), abs=1e-5)
        assert hit.score == pytest.approx(0.5 * hit.parts["deep"] + 0.5 * hit.parts["detail"], abs=1e-5)


def distinct(searcher: Searcher, detail: np.ndarray) -> np.ndarray:
    """A query's colour and pattern less what the catalog's crops share: the sum of theirs over their number + 64."""
    stored = searcher.catalog.sample(99)
    assert len(stored) >= 5
    moved = detail - stored[:, 4:].sum(axis=0) / (len(stored) + 64)
    return np.asarray(moved / np.linalg.norm(moved))


@pytest.mark.parametrize("detail", [0.0, 0.3, 1.0])
def test_the_slider_leaves_out_what_all_products_share(searcher: Searcher, detail: float) -> None:
    (red,) = searcher.encoder.encode_photos([picture(RED)], "street")
    plain = {hit.product_id: hit for hit in searcher.search(picture(RED), k=9)}
    for hit in searcher.search(picture(RED), k=9, detail=detail):
        (stored,) = searcher.catalog.vectors([hit.crop_id])
        assert hit.parts["detail"] == pytest.approx(float(stored[4:] @ distinct(searcher, red[4:])), abs=1e-5)
        assert hit.parts["deep"] == pytest.approx(plain[hit.product_id].parts["deep"])
        assert hit.score == pytest.approx((1 - detail) * hit.parts["deep"] + detail * hit.parts["detail"], abs=1e-5)


def test_a_slider_at_the_encoders_own_weight_is_not_turned(searcher: Searcher) -> None:
    own = searcher.encoder.own_detail
    assert own is not None
    plain = searcher.search(picture(RED), k=9)
    assert searcher.search(picture(RED), k=9, detail=own) == plain
    assert searcher.search_batch([picture(RED)], k=9, detail=own + 0.004) == [plain]
    assert searcher.search(picture(RED), k=9, detail=own + 0.006) != plain


def test_a_product_near_every_other_one_comes_after_those_of_the_querys_own_colour() -> None:
    shared = unit([1, 0, 0])
    rows = np.stack([shared, unit([0.6, 0.75, 0])])  # near the mean, and of the query's colour
    query = unit([0.85, 0.5, 0])[None]
    assert (query @ rows.T).argmax() == 1
    assert (np.array([[0.95, 0.3, 0]]) @ rows.T).argmax() == 0, "a weaker colour is outranked"
    weaker = unit([0.95, 0.3, 0])[None]
    mean = usual(np.repeat(unit([1, 0.1, 0])[None], 640, axis=0))
    told = distinctive(weaker, mean)
    assert np.linalg.norm(told) == pytest.approx(1)
    assert (told @ rows.T).argmax() == 1
    assert distinctive(weaker, usual(rows[:0])) == pytest.approx(weaker), "an empty catalog shares nothing"
    assert np.isfinite(distinctive(shared[None], usual(shared[None]))).all(), "the only product asks"


def unit(row: list[float]) -> np.ndarray:
    return np.array(row, np.float32) / np.float32(np.linalg.norm(row))


@pytest.mark.parametrize("color", ["#1428c8", "Navy", "青"])
def test_a_colour_by_code_or_name_is_drawn_as_a_swatch(searcher: Searcher, color: str) -> None:
    by_color = searcher.search(picture(RED), detail=1.0, detail_from=color)
    assert by_color[0].parts["detail"] == max(hit.parts["detail"] for hit in by_color)
    assert by_color[0].product_id == searcher.search(picture(BLUE), detail=1.0)[0].product_id
    assert by_color[0].product_id != searcher.search(picture(RED), detail=1.0)[0].product_id


def test_a_second_photo_that_is_neither_file_nor_colour_is_refused(searcher: Searcher) -> None:
    with pytest.raises(BadPhoto, match="'colour of the sea' is neither a photo nor a known colour; give a code"):
        searcher.search(picture(RED), detail_from="colour of the sea")


def test_an_error_of_the_first_search_names_no_inner_one_as_its_context(searcher: Searcher) -> None:
    with pytest.raises(BadFilter) as caught:
        searcher.search(picture(RED), where="nothing like a filter")
    context, contexts = caught.value.__context__, []
    while context is not None:
        contexts.append(type(context))
        context = context.__context__
    assert CommittedSince not in contexts


def test_what_cannot_be_searched_is_refused(searcher: Searcher, tmp_path: Path) -> None:
    wrongs: tuple[dict[str, Any], ...] = ({"k": 0}, {"offset": -1})
    for wrong in wrongs:
        with pytest.raises(BadRequest, match="k is at least 1, offset at least 0"):
            searcher.search(picture(RED), **wrong)
    with pytest.raises(BadRequest, match="is no box"):
        searcher.search(picture(RED), box=(1, 2, 3))
    with pytest.raises(BadPhoto, match="no photo at"):
        searcher.search_batch([picture(RED), str(tmp_path / "nowhere.jpg")])
    with pytest.raises(OtherEncoder, match="has vectors of encoder tiny"):
        Searcher(TinyEncoder("other"), LocalCatalog.open(tmp_path / "shop", readonly=True))
