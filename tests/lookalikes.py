"""Small data sets drawn in the exact formats of the field's: the same files, names and quirks, our own pictures."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

Corner = tuple[int, int, int, int]
"""Left, top, width, height."""


class Pairs(NamedTuple):
    """One category of Street2Shop: street pairs of train and test, then the shop photos of products."""

    train: Collection[tuple[int, int, Corner]] = ()
    test: Collection[tuple[int, int, Corner]] = ()
    shop: Collection[tuple[int, int]] = ()


def draw(path: Path, look: int, *, at: Corner | None = None, size: tuple[int, int] = (120, 160)) -> None:
    """A garment whose colours and stripes depend on ``look``: alone on white, or ``at`` a place in a busy scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        photo = Image.open(path).convert("RGB")
    else:
        photo = Image.new("RGB", size, "white" if at is None else "grey")
        if at is not None:
            brush = ImageDraw.Draw(photo)
            for line in range(0, size[1], 9):
                brush.line((0, line, size[0], size[1] - line), fill=(line % 255, 90, 160), width=3)
    left, top, width, height = at or (size[0] // 8, size[1] // 8, size[0] * 3 // 4, size[1] * 3 // 4)
    brush = ImageDraw.Draw(photo)
    ground = tuple((look * step + 40) % 256 for step in (53, 97, 151))
    stripe = tuple((look * step + 90) % 256 for step in (29, 71, 13))
    brush.rectangle((left, top, left + width - 1, top + height - 1), fill=ground)
    gap = 4 + look % 5 * 3
    for place in range(0, width if look % 2 else height, gap):
        upright, level = (
            (left + place, top, left + place, top + height - 1),
            (left, top + place, left + width - 1, top + place),
        )
        brush.line(upright if look % 2 else level, fill=stripe, width=2)
    photo.save(path, "JPEG" if path.suffix in ("", ".jpg", ".jpeg") else None)


def street2shop(
    root: Path, categories: Mapping[str, Pairs], *, dead: Collection[int] = (), suffix: str = ".jpg"
) -> Path:
    """``photos/photos.txt``, ``meta/json/*.json`` and ``images/000000023.jpg``; photos in ``dead`` have no file."""
    meta, links = root / "meta" / "json", dict[int, str]()
    meta.mkdir(parents=True, exist_ok=True)
    (root / "images").mkdir(exist_ok=True)
    for category, pairs in categories.items():
        for split, asked in (("train", pairs.train), ("test", pairs.test)):
            told = [
                {
                    "photo": photo,
                    "product": product,
                    "bbox": {"width": width, "top": top, "left": left, "height": height},
                }
                for photo, product, (left, top, width, height) in asked
            ]
            (meta / f"{split}_pairs_{category}.json").write_text(json.dumps(told))
        shown = [{"photo": photo, "product": product} for photo, product in pairs.shop]
        (meta / f"retrieval_{category}.json").write_text(json.dumps(shown))
        looks = {product: look(category, product) for *_, product in pairs.shop}
        looks |= {product: look(category, product) for _, product, _ in (*pairs.train, *pairs.test)}
        for photo, product, corner in (*pairs.train, *pairs.test):
            links[photo] = f"http://example.com/street,{photo}.jpg"
            if photo not in dead and corner[2] and corner[3]:
                draw(root / "images" / f"{photo:09d}{suffix}", looks[product], at=corner)
        for photo, product in pairs.shop:
            links[photo] = f"http://example.com/{photo}.jpg"
            if photo not in dead:
                draw(root / "images" / f"{photo:09d}{suffix}", looks[product])
    (root / "photos").mkdir(exist_ok=True)
    lines = (f"{photo:09d},{link}\n" for photo, link in sorted(links.items()))
    (root / "photos" / "photos.txt").write_text("".join(lines))
    return root


def look(category: str, product: int) -> int:
    """What a product looks like: the same number in another category is another product."""
    return product + 37 * len(category) + ord(category[0])


def boutique(root: Path, categories: Collection[str] = ("bags", "skirts", "tops"), products: int = 12) -> Path:
    """A Street2Shop of several categories large enough to be asked: two street and two shop photos a product.

    Every third product is of the test lists; one more a category is asked for by nobody.
    """
    told = {}
    for place, category in enumerate(categories):
        first = 1000 * place
        street = [
            (first + 10 * product + side, product, (20 + 5 * side, 30 + product, 70, 90 - 8 * side))
            for product in range(products)
            for side in (1, 2)
        ]
        shop = [(500_000 + first + 10 * product + side, product) for product in range(products + 1) for side in (1, 2)]
        train = [pair for pair in street if pair[1] % 3]
        told[category] = Pairs(train, [pair for pair in street if not pair[1] % 3], shop)
    return street2shop(root, told)


def listing(path: Path, header: str | None, lines: Iterable[str], count: int | None = None) -> None:
    """A list of DeepFashion: a count, a line of names, then the entries."""
    entries = list(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = [str(len(entries) if count is None else count), *([] if header is None else [header])]
    path.write_text("\n".join((*head, *entries)) + "\n")


def sides(corner: Corner) -> Corner:
    """Left, top, right, bottom."""
    left, top, width, height = corner
    return left, top, left + width, top + height


def inshop(root: Path, entries: Mapping[str, tuple[str, str, Corner]], *, items: Collection[str] | None = None) -> Path:
    """``Eval``, ``Anno`` and ``Img`` of the In-shop benchmark: photo -> item, status and garment."""
    listing(
        root / "Eval/list_eval_partition.txt",
        "image_name item_id evaluation_status",
        (f"{name}    {item}    {status}" for name, (item, status, _) in entries.items()),
    )
    listing(
        root / "Anno/list_bbox_inshop.txt",
        "image_name clothes_type pose_type x_1 y_1 x_2 y_2",
        (f"{name} 3 1 {' '.join(f'{side:03d}' for side in sides(corner))}" for name, (*_, corner) in entries.items()),
    )
    held = sorted({item for item, _, _ in entries.values()}) if items is None else items
    listing(root / "Anno/list_item_inshop.txt", None, held)
    for name, (item, _, corner) in entries.items():
        draw(root / "Img" / name, int(item[3:]), at=corner, size=(256, 256))
    return root


def consumer2shop(
    root: Path, pairs: Iterable[tuple[str, str, str, str]], *, listed: str = "comsumer_", stored: str = "comsumer_"
) -> Path:
    """``Eval``, ``Anno`` and ``Img`` of Consumer-to-shop: lines of consumer photo, shop photo, item, status.

    ``listed`` and ``stored`` say how the list of boxes and the files spell ``consumer_``.
    """
    lines = list(pairs)
    names = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    listing(root / "Eval/list_eval_partition.txt", names, (" ".join(line) for line in lines))
    photos: dict[str, tuple[int, str]] = {}
    for consumer, shop, item, _ in lines:
        photos[consumer] = (2, item)
        photos[shop] = (1, item)
    listing(
        root / "Anno/list_bbox_consumer2shop.txt",
        "image_name clothes_type source_type x_1 y_1 x_2 y_2",
        (f"{name.replace('comsumer_', listed)} 1 {source} 010 020 090 140" for name, (source, _) in photos.items()),
    )
    for name, (source, item) in photos.items():
        path = root / "Img" / name.replace("comsumer_", stored)
        draw(path, int(item[3:]), at=(10, 20, 80, 120) if source == 2 else None)
    return root


class Garment(NamedTuple):
    """One item of a DeepFashion2 photo."""

    category_id: int
    style: int
    corner: Corner = (10, 20, 80, 100)


NAMES = ("", "short sleeve top", "long sleeve top", "short sleeve outwear", "long sleeve outwear", "vest", "sling")
"""What the first six category ids of DeepFashion2 are called."""


def deepfashion2(root: Path, photos: Mapping[str, tuple[str, int, Collection[Garment]]]) -> Path:
    """``train/000001`` -> source, pair_id and garments, as ``image/*.jpg`` and ``annos/*.json``."""
    for name, (source, pair_id, garments) in photos.items():
        folder, number = name.split("/")
        told: dict[str, object] = {"source": source, "pair_id": pair_id}
        for place, (category_id, style, (left, top, width, height)) in enumerate(garments, start=1):
            told[f"item{place}"] = {
                "segmentation": [[left, top, left + width, top, left, top + height]],
                "scale": 2,
                "viewpoint": 2,
                "zoom_in": 1,
                "landmarks": [left, top, 2],
                "style": style,
                "bounding_box": list(sides((left, top, width, height))),
                "category_id": category_id,
                "occlusion": 1,
                "category_name": NAMES[category_id],
            }
            photo = root / folder / "image" / f"{number}.jpg"
            draw(photo, pair_id + 11 * category_id + style, at=(left, top, width, height), size=(200, 200))
        path = root / folder / "annos" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told))
    return root
