"""Street photos composed from product photos: the cut, the mask, the splits, and what is refused."""

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from osoroi import image
from osoroi.data import splits
from osoroi.data.readers import open_dataset
from osoroi.data.readers.composed import CutOut, Shop, Street
from osoroi.data.synthetic import compose, segment
from osoroi.errors import BadDataset, BadPhoto
from osoroi.records import Box, Row

MAGENTA = (210, 20, 190)


def shirt(width: int = 150, height: int = 200) -> np.ndarray:
    """Where a shirt with sleeves lies in a photo: the truth that a cut is measured by."""
    mask = Image.new("1", (width, height))
    points = [(0.3, 0.2), (0.45, 0.25), (0.7, 0.2), (0.9, 0.5), (0.78, 0.55), (0.7, 0.42), (0.72, 0.85), (0.3, 0.85)]
    points += [(0.3, 0.42), (0.2, 0.55), (0.1, 0.48)]
    ImageDraw.Draw(mask).polygon([(x * width, y * height) for x, y in points], fill=1)
    return np.asarray(mask)


def photo(colour: tuple[int, int, int], background: np.ndarray) -> np.ndarray:
    """The shirt on a background, with a little noise."""
    noise = np.random.default_rng(0).normal(0, 3, background.shape)
    return np.clip(np.where(shirt()[..., None], colour, background) + noise, 0, 255).astype(np.uint8)


def carpet() -> np.ndarray:
    """Stripes of two browns."""
    stripes = (np.arange(200) // 9 % 2)[:, None, None]
    return np.where(stripes, (150, 110, 70), (96, 70, 52)) * np.ones((200, 150, 1))


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Of what is garment in either, the share that is in both."""
    height, width = found.shape
    small = np.asarray(Image.fromarray(truth).resize((width, height)))
    return float(((found > 0.5) & small).sum() / ((found > 0.5) | small).sum())


def written(folder: Path, background: np.ndarray | None = None, names: tuple[str, ...] = ("a", "b")) -> Path:
    """A table of two photos, of two designs and two senders."""
    (folder / "shop").mkdir(parents=True)
    ground = np.full((200, 150, 3), 250.0) if background is None else background
    lines = ["photo,product_id,design_id,category,sender"]
    for number, name in enumerate(names):
        Image.fromarray(photo(MAGENTA, ground)).save(folder / f"shop/{name}.png")
        lines.append(f"shop/{name}.png,{name},d{number},tops,s{number % 2}")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    return folder / "shop.csv"


def rows(table: Path, **options: str) -> list[Row]:
    given = {"cache": str(table.parent / "cut"), **options}
    return list(open_dataset(f"composed:{table}?" + "&".join(f"{k}={v}" for k, v in given.items())).rows())


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


def test_a_shirt_is_cut_from_paper_to_the_pixel_and_from_a_carpet_nearly_so() -> None:
    paper = np.full((200, 150, 3), 244.0)
    assert overlap(segment.cut(photo((60, 90, 160), paper)), shirt()) > 0.93  # drawn in by a pixel on purpose
    assert overlap(segment.cut(photo((60, 90, 160), carpet())), shirt()) > 0.93
    assert overlap(segment.cut(photo((200, 190, 180), carpet())), shirt()) > 0.93


def test_a_pale_shirt_on_pale_paper_is_cut_by_the_nearer_threshold() -> None:
    pale = np.full((200, 150, 3), 250.0)
    pixels = np.where(shirt()[..., None], 241.0, pale).astype(np.uint8)  # 9 levels apart: more than 5, less than 11
    assert overlap(segment.cut(pixels), shirt()) > 0.93


@pytest.mark.parametrize("level", [128, 250])
def test_where_nothing_stands_out_the_photo_is_named(level: int) -> None:
    with pytest.raises(BadPhoto, match=r"no garment stands out in blank\.jpg: .*; photograph it whole"):
        segment.cut(np.full((200, 150, 3), level, dtype=np.uint8), "blank.jpg")


def test_pieces_are_numbered_as_a_flood_would() -> None:
    dice = np.random.default_rng(3)
    for shape in ((7, 11), (1, 9), (12, 5)):
        found = dice.random(shape) < 0.6
        labels = segment.labelled(found)
        flooded = np.zeros(shape, dtype=int)
        for start in zip(*np.nonzero(found), strict=True):
            stack, number = [start], labels[start]
            while stack:
                y, x = stack.pop()
                if 0 <= y < shape[0] and 0 <= x < shape[1] and found[y, x] and not flooded[y, x]:
                    flooded[y, x] = number
                    stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        assert (labels == flooded).all()


def test_the_density_of_a_mixture_is_the_formula() -> None:
    roots = np.array([np.diag([1.0, 0.5, 0.25]), np.eye(3) / 3])
    mixture = segment.Mixture(np.array([0.25, 0.75]), np.array([[0.0, 0, 0], [3.0, 1, 2]]), roots)
    at = np.array([[1.0, -2.0, 4.0]])
    first = 0.25 * 0.125 * np.exp(-0.5 * (1**2 + 1**2 + 1**2))  # 1/1, -2/2, 4/4 deviations away
    second = 0.75 / 27 * np.exp(-0.5 * (2**2 + 3**2 + 2**2) / 9)
    assert mixture.log(at) == pytest.approx([np.log(first + second)])


def test_a_mixture_finds_the_two_colours_it_was_made_of() -> None:
    dice = np.random.default_rng(1)
    colours = np.concatenate([dice.normal((20, 30, 40), 2, (300, 3)), dice.normal((200, 90, 10), 2, (100, 3))])
    found = segment.mixed(colours, np.ones(400), segment.started(colours, 2), steps=5)
    order = np.argsort(found.shares)
    assert found.shares[order] == pytest.approx([0.25, 0.75], abs=0.01)
    assert found.means[order] == pytest.approx(np.array([(200, 90, 10), (20, 30, 40)]), abs=1)


def test_neighbours_of_one_colour_talk_a_pixel_round_and_those_across_an_edge_do_not() -> None:
    own = np.full((9, 9), -1.5)
    own[4, 4] = 1.5
    even, odd = np.full((9, 9, 3), 90.0), np.full((9, 9, 3), 90.0)
    even[0, 0], odd[4, 4] = 91, 240  # so that there is an edge somewhere
    assert segment.agreed(own, segment.linked(even))[4, 4] < 0.1
    assert segment.agreed(own, segment.linked(odd))[4, 4] > 0.7


def test_each_shop_photo_brings_its_street_photos_unread(tmp_path: Path) -> None:
    table = written(tmp_path)
    (tmp_path / "shop/a.png").unlink()
    found = rows(table, views="3")
    assert [(row.product.product_id, row.crop.domain) for row in found] == [
        *([("a", "shop")] + [("a", "street")] * 3),
        *([("b", "shop")] + [("b", "street")] * 3),
    ]
    assert len({row.crop.crop_id for row in found}) == 8
    assert all(row.crop.box is None for row in found)
    assert found[0].crop.photo == tmp_path / "shop/a.png"
    with pytest.raises(BadPhoto, match=r"there is no photo at .*a\.png"):
        image.read(found[1].crop.photo)


def test_some_categories_bring_other_numbers_of_street_photos(tmp_path: Path) -> None:
    table = written(tmp_path, names=("a", "b", "c"))
    table.write_text(table.read_text().replace("b,d1,tops", "b,d1,bags").replace("c,d2,tops", "c,d2,skirts"))
    found = rows(table, views="1,bags:3,skirts:0")
    streets = Counter(row.product.product_id for row in found if row.crop.domain == "street")
    assert streets == {"a": 1, "b": 3}
    more = rows(table, views="3")
    same = [row.crop.crop_id for row in more if row.product.product_id == "b"]
    assert [row.crop.crop_id for row in found if row.product.product_id == "b"] == same
    with pytest.raises(BadDataset, match="views names hats, shoes, and no product is of that category"):
        rows(table, views="1,shoes:2,hats:2")


def test_the_mask_lies_on_the_garment_and_nowhere_else(tmp_path: Path) -> None:
    inside, outside = [], []
    for row in rows(written(tmp_path), views="6"):
        if isinstance(row.crop.photo, Street):
            pixels, mask = decoded(row.crop.photo.read()), row.crop.photo.mask()
            assert mask.shape == pixels.shape[:2]
            assert 0.15 < (mask > 127).mean() < 0.95
            magenta = np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1] > 45
            inside.append(magenta[mask > 250].mean())
            outside.append(magenta[mask < 5].mean())
    assert np.mean(inside) > 0.93
    assert np.mean(outside) < 0.07


def test_a_photo_depends_on_seed_and_crop_alone(tmp_path: Path) -> None:
    table = written(tmp_path)
    first, again, other = rows(table), rows(table, views="1"), rows(table, seed="1")
    assert first[1].crop == again[1].crop
    data, twice, others = (
        [row.crop.photo.read() for row in some if isinstance(row.crop.photo, Street)] for some in (first, first, other)
    )
    assert len(set(data)) == 4
    assert twice == data
    assert others[0] != data[0]


def test_photos_come_small_and_as_jpegs(tmp_path: Path) -> None:
    for row in rows(written(tmp_path), views="5"):
        if isinstance(row.crop.photo, Street):
            photo = Image.open(io.BytesIO(row.crop.photo.read()))
            assert photo.format == "JPEG"
            assert compose.SMALL - 1 <= max(photo.size) <= compose.LARGE + 1


def test_a_cut_out_is_made_once_and_anew_when_the_photo_changes(tmp_path: Path) -> None:
    table = written(tmp_path)
    garment = CutOut(tmp_path / "shop/a.png", None, tmp_path / "cut")
    first = garment.load().tobytes()
    (file,) = (tmp_path / "cut").iterdir()
    written_ns = file.stat().st_mtime_ns
    assert garment.load().tobytes() == first
    assert file.stat().st_mtime_ns == written_ns
    Image.fromarray(photo((20, 160, 40), carpet())).save(tmp_path / "shop/a.png")
    changed = np.asarray(garment.load())
    solid = changed[changed[..., 3] > 250]
    assert np.abs(np.median(solid[:, :3], axis=0) - (20, 160, 40)).max() < 8
    assert [path.suffix for path in (tmp_path / "cut").iterdir()] == [".png", ".png"]
    assert table.is_file()


def test_a_home_photo_becomes_a_shop_photo_on_white(tmp_path: Path) -> None:
    found = rows(written(tmp_path, carpet()), shop="cut", views="0")
    assert len(found) == 2
    shop = found[0].crop.photo
    assert isinstance(shop, Shop)
    pixels, mask = decoded(shop.read()), shop.mask()
    assert mask.shape == pixels.shape[:2]
    assert pixels[mask < 5].min() > 200  # white, but for what the JPEG does at the outline
    assert np.abs(np.median(pixels[mask > 250], axis=0) - MAGENTA).max() < 8


def test_the_box_of_a_shop_photo_is_what_is_cut(tmp_path: Path) -> None:
    written(tmp_path)
    pixels = np.full((200, 300, 3), 250, dtype=np.uint8)
    pixels[:, :150], pixels[:, 150:] = photo(MAGENTA, pixels[:, :150]), photo((30, 140, 60), pixels[:, 150:])
    Image.fromarray(pixels).save(tmp_path / "two.png")
    right = np.asarray(CutOut(tmp_path / "two.png", Box(150, 0, 300, 200), tmp_path / "cut").load())
    assert np.abs(np.median(right[right[..., 3] > 250][:, :3], axis=0) - (30, 140, 60)).max() < 8


def test_scenes_are_behind_the_garment(tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    Image.new("RGB", (200, 300), (10, 60, 250)).save(tmp_path / "places/sea.png")
    table = written(tmp_path)
    blue = []
    for row in rows(table, scenes=str(tmp_path / "places"), views="4"):
        if isinstance(row.crop.photo, Street):
            pixels, mask = decoded(row.crop.photo.read()), row.crop.photo.mask()
            blue.append((pixels[mask < 5] @ [-1, -1, 2] > 150).mean())
    assert np.mean(blue) > 0.3  # the rest is who wears it


def test_designs_and_senders_stay_in_one_split(tmp_path: Path) -> None:
    names = tuple(f"p{number}" for number in range(40))
    table = written(tmp_path, names=names)
    found = rows(table, split="6:2:2", views="1")
    assert {row.crop.split for row in splits.checked(found)} == set(splits.SPLITS)
    by_sender = rows(table, split="1:1", by="sender", views="1")
    assert len({(row.product.attributes["sender"], row.crop.split) for row in by_sender}) == 2


def test_street_photos_of_the_table_stay_as_they_are(tmp_path: Path) -> None:
    table = written(tmp_path)
    text = table.read_text().splitlines()
    table.write_text("\n".join([text[0] + ",domain", text[1] + ",street", text[2] + ",shop"]) + "\n")
    found = rows(table, views="1")
    assert [(row.product.product_id, row.crop.domain) for row in found] == [
        ("a", "street"),
        ("b", "shop"),
        ("b", "street"),
    ]
    assert found[0].crop.photo == tmp_path / "shop/a.png"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": "-1"}, "views '-1' is no whole number from 0 to 99"),
        ({"views": "1,bags"}, "views=1,bags: 'bags' is no category with its number, each once"),
        ({"views": "1,tops:2,tops:3"}, "'tops:3' is no category with its number, each once"),
        ({"views": "1,tops:x"}, "views 'x' is no whole number from 0 to 99"),
        ({"seed": "x"}, "seed 'x' is no whole number"),
        ({"shop": "white"}, "shop 'white'; shop photos are taken asis, or cut out to white: cut"),
        ({"scenes": "nowhere"}, "there is no folder nowhere"),
        ({"by": "owner"}, "product 'a' has no owner; by=owner must be one of its columns"),
        ({"split": "most"}, "'most' are no shares"),
        ({"colour": "red"}, "composed has no option 'colour'"),
    ],
)
def test_what_no_option_can_mean_is_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        rows(written(tmp_path), **options)


def test_an_empty_folder_of_scenes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    with pytest.raises(BadDataset, match="holds no photos; scenes is a folder of photos of places"):
        rows(written(tmp_path), scenes=str(tmp_path / "places"))


@pytest.mark.slow
def test_the_shipped_recipes_read_the_real_tables(data: Path, tmp_path: Path) -> None:
    hm = rows(data / "hm/manifest.csv", recipe="hm_garments", views="0", cache=str(tmp_path))
    assert {row.product.category for row in hm} == {*compose.PLACES}
    with (data / "hm/manifest.csv").open() as file:
        theirs = Counter(line["category"] for line in csv.DictReader(file))
    mine = Counter(row.product.category for row in hm)
    assert mine["dresses"] == theirs["Dress"]
    assert mine["outerwear"] == theirs["Blazer"] + theirs["Coat"] + theirs["Jacket"]
    home = rows(
        data / "clothing_cc0/manifest.csv", recipe="clothing_cc0", by="sender_id", views="0", cache=str(tmp_path)
    )
    splits_of = {(row.product.attributes["sender_id"], row.crop.split) for row in home}
    assert len(splits_of) == len({sender for sender, _ in splits_of}) > 300
    assert {row.product.category for row in home} == {*compose.PLACES} - {"bags"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "composed:{data}/hm/manifest.csv?recipe=hm_garments&scenes={data}/ccp/bg&cache={here}",
        "composed:{data}/clothing_cc0/manifest.csv?recipe=clothing_cc0&shop=cut&by=sender_id&cache={here}",
    ],
)
def test_real_garments_are_worn_and_seen(data: Path, tmp_path: Path, spec: str) -> None:
    found = list(open_dataset(spec.format(data=data, here=tmp_path)).rows())[100:2500:600]
    for row in found:
        seen = image.read(row.crop.photo)
        if isinstance(row.crop.photo, Street | Shop):
            mask = row.crop.photo.mask()
            assert mask.shape == seen.shape[:2]
            assert 0.1 < (mask > 127).mean() < 0.97
