"""Garments on posed people: where each kind hangs, sleeves that follow arms, other colours of a garment."""

import io
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from osoroi.data.readers import open_dataset
from osoroi.data.readers.composed import CutOut, Shop, Street, Wardrobe
from osoroi.data.synthetic import compose, dressing, figures, hanging, recolor
from osoroi.data.synthetic.morph import Bone, fixed, moved, sources
from osoroi.errors import BadDataset, BadPhoto
from osoroi.image.palette import oklab
from osoroi.records import Row

MAGENTA, GREEN = (210, 20, 190), (20, 170, 60)


def shirt(color: tuple[int, int, int] = MAGENTA) -> Image.Image:
    """A T-shirt of 140 pixels across the chest, its sleeves at 45 degrees; trimmed."""
    picture = Image.new("RGBA", (260, 230))
    points = [(95, 0), (165, 0), (210, 20), (259, 70), (230, 100), (200, 75), (200, 229)]
    points += [(60, 229), (60, 75), (30, 100), (0, 70), (50, 20)]
    ImageDraw.Draw(picture).polygon(points, fill=(*color, 255))
    return picture


def oblong(width: int, height: int, color: tuple[int, int, int] = MAGENTA) -> Image.Image:
    return Image.new("RGBA", (width, height), (*color, 255))


def arms(angle: float) -> figures.Stance:
    """Both arms straight, so far outwards from straight down."""
    return figures.posed(((angle, angle), (angle, angle)), (0.06, 0.06))


def test_a_point_beside_one_bone_keeps_its_place_beside_it() -> None:
    lying = ((0.0, 0.0), (1.0, 1.0))  # 45 degrees, sqrt(2) long
    worn = ((0.0, 0.0), (0.0, 2.0))  # straight down
    half_way, beside = sources(np.array([[0.0, 1.0], [0.3, 1.0]]), [Bone(lying, worn)])
    assert half_way == pytest.approx([0.5, 0.5])
    assert beside == pytest.approx([0.5 + 0.3 / np.sqrt(2), 0.5 - 0.3 / np.sqrt(2)])


def test_the_nearer_bone_decides() -> None:
    arm = Bone(((1.0, 0.0), (2.0, 0.0)), ((1.0, 0.0), (1.0, 1.0)))
    trunk = fixed((0.0, 0.0), (0.0, 3.0))
    on_trunk, on_arm = sources(np.array([[0.05, 2.0], [1.0, 0.9]]), [arm, trunk])
    assert on_trunk == pytest.approx([0.05, 2.0], abs=0.05)
    assert on_arm == pytest.approx([1.9, 0.0], abs=0.05)


def test_a_picture_that_is_moved_is_where_its_places_say() -> None:
    picture = oblong(20, 10)
    across, down = np.meshgrid(np.linspace(0, 80, 9), np.linspace(0, 60, 7))
    part, (left, top) = moved(picture, np.stack([across - 40, down - 30], axis=-1), (80, 60))
    whole = Image.new("RGBA", (80, 60))
    whole.paste(part, (left, top))
    assert whole.getchannel("A").getbbox() == (40, 30, 60, 40)
    with pytest.raises(ValueError, match="outside"):
        moved(picture, np.stack([across - 400, down], axis=-1), (80, 60))


def test_a_shirt_is_measured_by_its_chest_and_shoulders() -> None:
    x, y, scale = hanging.measured(shirt(), "tops")
    assert scale == pytest.approx(140 / hanging.CHEST, abs=1)
    assert x == pytest.approx(130, abs=2)
    assert -0.1 < y / scale < 0.2
    for side in (-1, 1):
        angle = hanging.sleeve_angle(hanging.outlined(shirt()), x, y, scale, side)
        assert angle is not None
        assert np.degrees(angle) == pytest.approx(45, abs=15)
    assert hanging.sleeve_angle(hanging.outlined(oblong(140, 230)), 70.0, 0.0, 100.0, 1) is None


@pytest.mark.parametrize("angle", [0.1, 0.5])
def test_sleeves_follow_arms(angle: float) -> None:
    pose = arms(angle)
    (worn,) = hanging.hung(shirt(), "tops", pose, np.random.default_rng(0))
    alpha = np.asarray(shirt().getchannel("A"))
    for shoulder, elbow, wrist in pose.arms:
        on_sleeve = np.array(shoulder) + 0.35 * (np.array(elbow) - shoulder)
        column, row = worn.pixels(np.array([on_sleeve]))[0].astype(int)
        assert alpha[row, column] == 255
        column, row = worn.pixels(np.array([wrist], float))[0].astype(int)
        assert not (0 <= row < 230 and 0 <= column < 260 and alpha[row, column])  # the sleeve is short


@pytest.mark.parametrize(
    ("category", "size", "top", "bottom"),
    [
        ("tops", (140, 220), (-0.4, 0.4), (1.6, 3.2)),
        ("dresses", (140, 420), (-0.4, 0.4), (3.0, 5.8)),
        ("skirts", (140, 200), (1.4, 1.8), (2.8, 6.0)),
        ("pants", (140, 420), (1.4, 1.8), (4.8, 6.6)),
        ("shoes", (140, 120), (5.0, 6.5), (6.6, 7.2)),
        ("hats", (140, 90), (-2.2, -1.4), (-1.1, -0.8)),
    ],
)
def test_each_category_hangs_at_its_place(
    category: str, size: tuple[int, int], top: tuple[float, float], bottom: tuple[float, float]
) -> None:
    for seed in range(5):
        for worn in hanging.hung(oblong(*size), category, arms(0.2), np.random.default_rng(seed)):
            (_, first), (_, last) = worn.box().tolist()
            assert top[0] <= first <= top[1]
            assert bottom[0] <= last <= bottom[1]


def test_a_single_shoe_is_on_both_feet() -> None:
    left, right = hanging.hung(oblong(60, 150), "shoes", arms(0.1), np.random.default_rng(0))
    assert left.flipped
    assert not right.flipped
    assert left.box().mean(axis=0)[0] < -0.2
    assert right.box().mean(axis=0)[0] > 0.2


@pytest.mark.parametrize("category", sorted(hanging.PLACES))
def test_the_mask_is_the_garment_and_nothing_worn_along(category: str) -> None:
    other, own = oblong(150, 220, GREEN), shirt() if category == "tops" else oblong(150, 200)
    inside, covered = [], []
    for seed in range(4):
        view = dressing.photo_of(own, category, lambda *_: other, None, np.random.default_rng(seed))
        pixels, mask = np.asarray(view.picture, int), np.asarray(view.mask)
        assert pixels.shape[:2] == mask.shape
        magenta = np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1] > 30
        inside.append(magenta[mask > 250].mean())
        covered.append((mask > 127).mean())
    assert np.mean(inside) > 0.9
    assert np.mean(covered) > 0.2


def test_another_garment_is_worn_along() -> None:
    other = oblong(150, 250, GREEN)
    green = []
    for seed in range(8):
        pixels = np.asarray(
            dressing.photo_of(oblong(150, 150), "skirts", lambda *_: other, None, np.random.default_rng(seed)).picture,
            int,
        )
        green.append((pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2]) > 40).mean())
    assert np.mean(green) > 0.03


def test_another_colour_is_far_and_keeps_outline_and_pattern() -> None:
    striped = np.zeros((40, 30, 4), np.uint8)
    striped[...] = (30, 40, 90, 255)
    striped[::8, :, :3] = striped[1::8, :, :3] = (70, 80, 140)
    striped[:5] = 0
    garment = Image.fromarray(striped)
    for seed in range(10):
        other = np.asarray(recolor.recolored(garment, np.random.default_rng(seed)))
        assert (other[..., 3] == striped[..., 3]).all()
        before, after = (oklab(each[5:, :, :3].reshape(-1, 3).astype(float)) for each in (striped, other))
        assert np.linalg.norm(before.mean(axis=0) - after.mean(axis=0)) > 0.1
        assert np.corrcoef(before[:, 0], after[:, 0])[0, 1] > 0.95  # the stripes are still lighter


def table(folder: Path, count: int = 12) -> Path:
    """Photos of shirts on white, of two categories and three senders."""
    (folder / "shop").mkdir(parents=True)
    lines = ["photo,product_id,category,sender"]
    for number in range(count):
        photo = Image.new("RGB", (320, 300), (250, 250, 250))
        color = (200 - 12 * number, 20 + 15 * number, 90)
        photo.paste(shirt(color).convert("RGB"), (30, 35), shirt(color).getchannel("A"))
        photo.save(folder / f"shop/{number}.png")
        lines.append(f"shop/{number}.png,p{number},{('tops', 'skirts')[number % 2]},s{number % 3}")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    return folder / "shop.csv"


def rows(path: Path, **options: str) -> list[Row]:
    given = {"cache": str(path.parent / "cut"), "shop": "cut", "views": "1", "split": "1:1", "by": "sender", **options}
    return list(open_dataset(f"composed:{path}?" + "&".join(f"{k}={v}" for k, v in given.items())).rows())


def read(row: Row) -> np.ndarray:
    assert isinstance(row.crop.photo, Street | Shop)
    return np.asarray(Image.open(io.BytesIO(row.crop.photo.read())), int)


def test_photos_without_figures_are_what_they_were(tmp_path: Path) -> None:
    street = next(row.crop.photo for row in rows(table(tmp_path)) if row.crop.domain == "street")
    assert isinstance(street, Street)
    assert street.crop_id.endswith("/street-1")
    digest = blake2b(ascii((0, street.crop_id)).encode(), digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    expected = compose.composed(street.garment.load(), "tops", None, rng)
    assert street.composed().picture.tobytes() == expected.picture.tobytes()


def test_figures_change_the_photos_and_their_names_alone(tmp_path: Path) -> None:
    path = table(tmp_path)
    plain, worn = rows(path), rows(path, figures="yes")
    assert [(row.product, row.crop.crop_id, row.crop.split) for row in plain] == [
        (row.product, row.crop.crop_id, row.crop.split) for row in worn
    ]
    one, other = (next(row for row in each if row.crop.domain == "street") for each in (plain, worn))
    assert isinstance(one.crop.photo, Street)
    assert isinstance(other.crop.photo, Street)
    assert one.crop.photo.name != other.crop.photo.name
    assert one.crop.photo.read() != other.crop.photo.read()
    assert other.crop.photo.read() == other.crop.photo.read()


def test_people_wear_along_what_is_of_their_own_split(tmp_path: Path) -> None:
    found = rows(table(tmp_path), figures="yes")
    split_of = {row.crop.photo.garment.photo: row.crop.split for row in found if isinstance(row.crop.photo, Shop)}
    assert len(set(split_of.values())) == 2
    for row in found:
        if isinstance(row.crop.photo, Street):
            assert row.crop.photo.wardrobe is not None
            worn = [one for own in row.crop.photo.wardrobe.garments.values() for one in own]
            assert {split_of[one.photo] for one in worn} == {row.crop.split}


def test_a_wardrobe_passes_over_what_cannot_be_cut_out(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60), (128, 128, 128)).save(tmp_path / "blank.png")
    blank = CutOut(tmp_path / "blank.png", None, tmp_path / "cut")
    wardrobe = Wardrobe({"tops": [blank]})
    assert wardrobe("tops", np.random.default_rng(0)) is None
    assert wardrobe("hats", np.random.default_rng(0)) is None
    (kept,) = (tmp_path / "cut").iterdir()  # so that it is not tried again, which takes half a second
    kept.write_text("as it was written")
    with pytest.raises(BadPhoto, match="as it was written"):
        blank.load()
    Image.new("RGB", (61, 60), (128, 128, 128)).save(tmp_path / "blank.png")
    with pytest.raises(BadPhoto, match=r"no garment stands out in .*blank\.png"):
        blank.load()


def test_a_rival_is_the_same_design_in_another_colour(tmp_path: Path) -> None:
    found = rows(table(tmp_path), rivals="1")
    products = {row.product.product_id: row for row in found if row.crop.domain == "shop"}
    assert len(products) == 24
    for name, row in products.items():
        if not name.endswith("/rival"):
            rival = products[f"{name}/rival"]
            assert rival.product.design_id == row.product.design_id == name
            assert rival.crop.split == row.crop.split
            own, other = (read(each) for each in (row, rival))
            assert own.shape == other.shape
            middle = own.shape[0] // 2, own.shape[1] // 2
            assert np.abs(own[middle] - other[middle]).max() > 25
    assert len({row.crop.crop_id for row in found}) == 48
    assert all(row.crop.product_id == row.product.product_id for row in found)


def test_a_share_of_the_garments_has_a_rival(tmp_path: Path) -> None:
    path = table(tmp_path, 60)
    names = {row.product.product_id for row in rows(path, rivals="0.3")}
    assert 8 <= sum(name.endswith("/rival") for name in names) <= 28  # 18, three deviations of 3.5
    assert {row.product.design_id for row in rows(path)} == {None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"figures": "two"}, "figures 'two'; figures=yes puts garments on posed people"),
        ({"rivals": "2"}, "rivals '2' is no share from 0 to 1"),
        ({"rivals": "0.5", "shop": "asis"}, "rivals=0.5 with shop=asis; other colours are of garments cut out"),
    ],
)
def test_what_no_option_can_mean_is_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        rows(table(tmp_path, 1), **options)


@pytest.mark.slow
def test_the_recipe_of_all_labels_reads_the_real_table(data: Path, tmp_path: Path) -> None:
    home = rows(
        data / "clothing_cc0/manifest.csv", recipe="clothing_cc0_all", by="sender_id", views="0", cache=str(tmp_path)
    )
    assert {row.product.category for row in home} == {*hanging.PLACES} - {"bags"}
    assert len(home) > 5000
