"""Drawn garments: the same every time, told apart by colour within a design, boxed where they are."""

import io
import pickle
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from osoroi import image
from osoroi.data import splits
from osoroi.data.readers import open_dataset
from osoroi.data.readers.drawn import SPLIT_OF, DrawnPhoto, sewn
from osoroi.data.synthetic import shapes, stage
from osoroi.data.synthetic.canvas import Canvas, Piece
from osoroi.data.synthetic.cloth import COLOURS, Cloth
from osoroi.data.synthetic.designs import CATEGORIES, design
from osoroi.errors import BadDataset
from osoroi.records import Product, Row


def rows(spec: str) -> list[Row]:
    return list(open_dataset(f"drawn:{spec}").rows())


def data_of(row: Row) -> bytes:
    """The file that is drawn for a row."""
    assert isinstance(row.crop.photo, DrawnPhoto)
    return row.crop.photo.read()


def pixels(row: Row) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data_of(row))).convert("RGB"), dtype=float)


def test_a_product_is_the_same_however_many_are_drawn_and_in_whatever_order() -> None:
    few, many = rows("2"), rows("12")
    assert many[: len(few)] == few
    backwards = [data_of(row) for row in reversed(few)]
    assert [data_of(row) for row in few] == backwards[::-1]


def test_another_seed_draws_others() -> None:
    assert rows("3:1") == rows("3:1")
    first, other = rows("3")[0], rows("3:1")[0]
    assert first.crop.photo != other.crop.photo
    assert data_of(first) != data_of(other)


def test_each_photo_has_chances_of_its_own() -> None:
    photos = [
        DrawnPhoto(seed, number, view) for seed in (0, 1) for number in (0, 1) for view in ("street-1", "street-2")
    ]
    assert len({photo.dice(stream).random() for photo in photos for stream in (0, 1)}) == 16


def test_rows_come_without_drawing_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(photo: DrawnPhoto) -> bytes:
        raise AssertionError(photo)

    monkeypatch.setattr(DrawnPhoto, "read", refuse)
    assert len(rows("20")) > 40


def test_a_photo_travels_and_says_its_name() -> None:
    photo = rows("13")[-1].crop.photo
    assert isinstance(photo, DrawnPhoto)
    again = pickle.loads(pickle.dumps(photo))  # noqa: S301
    assert again == photo
    assert hash(again) == hash(photo)
    assert again.read() == photo.read()
    assert image.name_of(photo) == f"drawn:0/p00012/{photo.view}"


def test_each_product_has_shop_and_street_photos_and_only_the_street_is_boxed() -> None:
    views: dict[str, list[str]] = defaultdict(list)
    for row in rows("40"):
        views[row.product.product_id].append(row.crop.domain)
        assert (row.crop.box is not None) == (row.crop.domain == "street")
        assert row.crop.crop_id.startswith(row.product.product_id)
    assert len(views) == 40
    counts = [(seen.count("shop"), seen.count("street")) for seen in views.values()]
    assert set(counts) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_boxes_hold_the_garment_as_it_is_painted() -> None:
    for number in (0, 3, 4, 9, 13, 30):
        staged = DrawnPhoto(0, number, "street-1").staged()
        pieces = tuple(piece for piece in staged.pieces if piece.own)  # nothing hides it
        paper = Image.new("RGB", (staged.camera.width, staged.camera.height))
        canvas = Canvas(staged.camera, (0.2, 0.5), np.random.default_rng(0), paper)
        stage.painted(stage.Stage(pieces, staged.camera, street=True), canvas)
        assert canvas.mask.getbbox() == pytest.approx(DrawnPhoto(0, number, "street-1").box(), abs=2)


def test_street_photos_fit_their_boxes_and_shop_photos_have_a_plain_border() -> None:
    for row in rows("5"):
        photo = image.read(row.crop.photo)
        height, width, _ = photo.shape
        if row.crop.box:
            left, top, right, bottom = row.crop.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            assert (right - left) * (bottom - top) > 0.05 * width * height
        else:
            found = image.content(photo)
            assert found.right - found.left < width or found.bottom - found.top < height


def test_products_of_a_design_differ_in_colour_alone() -> None:
    by_design: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows("40"):
        if row.crop.crop_id.endswith("shop-1"):
            by_design[row.product.design_id].append(row)
    assert {len(same) for same in by_design.values()} == {1, 2, 3, 4}
    for same in by_design.values():
        told = [(row.product.category, row.product.price, row.product.attributes["pattern"]) for row in same]
        assert len(set(told)) == 1
        assert len({row.product.attributes["colour"] for row in same}) == len(same)


def test_what_is_called_red_is_painted_red() -> None:
    plain = [row for row in rows("40") if row.product.attributes["pattern"] == "plain"]
    for row in [row for row in plain if row.crop.crop_id.endswith("shop-1")]:
        photo = pixels(row)
        garment = photo[np.abs(photo - 255).max(axis=2) > 60] if row.product.attributes["colour"] != "white" else photo
        wanted = np.array(COLOURS[str(row.product.attributes["colour"])])
        assert np.abs(np.median(garment, axis=0) - wanted).max() < 45, row.product.title


def test_splits_are_dealt_by_design_seven_one_two() -> None:
    designs = [Product("", design_id=f"d{number:05d}") for number in range(2000)]
    dealt = np.array([[SPLIT_OF(product) == name for name in splits.SPLITS] for product in designs])
    assert dealt.mean(axis=0) == pytest.approx([0.7, 0.1, 0.2], abs=0.03)  # three deviations of .01
    drawn = list(splits.checked(rows("12")))  # no design is split
    assert [row.crop.split for row in drawn] == [SPLIT_OF(row.product) for row in drawn]


def test_every_category_comes_early_and_is_sold_as_a_shop_sells() -> None:
    products = {row.product.product_id: row.product for row in rows("20")}.values()
    assert {product.category for product in products} == {*CATEGORIES.values()} - {"jumpsuits", "shoes", "hats"}
    for product in products:
        assert product.currency == "JPY"
        assert product.price is not None
        assert product.price % 100 == 90
        assert product.brand
        assert product.title.lower().startswith(str(product.attributes["colour"]))
        assert isinstance(product.attributes["in_stock"], bool)


def test_all_kinds_are_drawn_only_where_they_are_wanted() -> None:
    every = [row for row in rows("30:0?kinds=all") if row.crop.domain == "shop"]
    assert {row.product.category for row in every} == {*CATEGORIES.values()}
    names = {row.crop.photo.name for row in every if isinstance(row.crop.photo, DrawnPhoto)}
    usual = {row.crop.photo.name for row in rows("30:0") if isinstance(row.crop.photo, DrawnPhoto)}
    assert not names & usual  # a cache must not take one for the other


@pytest.mark.parametrize(("kind", "first", "last"), [("shoes", 4.5, 7.0), ("hat", -2.0, -0.5), ("jumpsuit", 1.0, 4.0)])
def test_further_kinds_are_worn_where_they_belong(kind: str, first: float, last: float) -> None:
    """The pit of the neck is at 0, the ankles at 6.5."""
    photos = [row.crop.photo for row in rows("60:3?kinds=all") if row.crop.domain == "street"]
    people = [photo for photo in photos if isinstance(photo, DrawnPhoto) and photo.design()[0].kind == kind]
    assert len(people) > 2
    for photo in people:
        pieces = photo.staged().pieces
        own = np.concatenate([piece.outline for piece in pieces if piece.own])[:, 1]
        assert first <= (own.min() + own.max()) / 2 <= last
        if kind == "hat":  # over the hair
            assert [piece.own for piece in pieces].index(True) > len(pieces) // 2


def test_an_unknown_choice_of_kinds_is_refused() -> None:
    with pytest.raises(BadDataset, match="kinds 'shoes'; kinds=all draws jumpsuits, shoes and hats, too"):
        rows("3?kinds=shoes")


def test_products_are_counted_off_over_designs_without_gap() -> None:
    seen = [sewn(number) for number in range(100)]
    assert seen == sorted(set(seen))
    assert {at for at, _ in seen} == set(range(40))  # 20 products for every 8 designs


@pytest.mark.parametrize("path", ["0", "-3", "1.5", "ten", "5:", "5:x", "5:1:1", "٣"])
def test_what_is_no_number_of_products_is_refused(path: str) -> None:
    with pytest.raises(BadDataset, match="is no number of products to draw; write drawn:200"):
        open_dataset(f"drawn:{path}")


def test_patterns_part_the_cloth_where_their_period_says() -> None:
    v = np.array([[0.0, 0.1, 0.2, 0.3, 0.4]])
    stripes = Cloth((0, 0, 0), pattern="stripes", size=0.4)  # half of .4 about each multiple of it
    assert stripes.share(v * 0, v, 1e-6)[0] == pytest.approx([1, 0.5, 0, 0.5, 1])
    gingham = Cloth((0, 0, 0), pattern="gingham", size=0.5)  # period .8 * .5 = .4 both ways
    assert gingham.share(v, v * 0, 1e-6)[0] == pytest.approx([1, 0.75, 0.5, 0.75, 1])
    dots = Cloth((0, 0, 0), pattern="dots", size=0.4)  # about (0, 0) and (.2, .2), none about (.4, .2)
    assert dots.share(np.array([[0.0, 0.2, 0.4]]), np.array([[0.0, 0.2, 0.2]]), 1e-6).tolist() == [[1, 1, 0]]


def test_a_camera_sees_back_what_it_sees() -> None:
    dice = np.random.default_rng(5)
    camera = shapes.shaken(shapes.aimed((-1.0, 0.0, 1.0, 3.0), (300, 400), 0.8), dice, turn=0.2, tilt=0.15, shift=0.05)
    seen = camera.sees(np.array([[0.4, 1.1]]))
    world = camera.world(seen[:, 0], seen[:, 1])
    assert world[:, 0, 0] == pytest.approx([0.4, 1.1], abs=1e-4)


def test_a_flat_piece_covers_its_pixels_and_nothing_else() -> None:
    camera = shapes.Camera(np.diag([10.0, 10.0, 1.0]), 60, 40)
    canvas = Canvas(camera, (0.0, 0.5), np.random.default_rng(0), Image.new("RGB", (60, 40)))
    square = np.array([(1.0, 1.0), (3.0, 1.0), (3.0, 2.5), (1.0, 2.5)])
    canvas.paint(Piece(square, Cloth((200, 100, 50)), roundness=0.0))
    painted = np.asarray(canvas.picture)
    assert painted[12, 20].tolist() == [200, 100, 50]
    assert painted[5, 20].tolist() == painted[12, 35].tolist() == [0, 0, 0]
    assert np.asarray(canvas.mask).sum() / 255 == pytest.approx(20 * 15, rel=0.05)


def test_a_design_is_told_in_words() -> None:
    titles = [design(0, number).title(0) for number in range(80)]
    assert len(set(titles)) > 70
    assert not any("  " in title or title.endswith(" ") for title in titles)
