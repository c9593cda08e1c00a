"""Street photos composed from product photos: the garment is cut out and put on a drawn person in a scene.

``composed:shop.csv`` reads product photos as ``table:shop.csv`` does (a folder too), and adds street photos to each::

    composed:data/hm/manifest.csv?recipe=hm_garments&scenes=data/ccp/bg
    composed:data/clothing_cc0/manifest.csv?recipe=clothing_cc0&shop=cut&by=sender_id

The first queries real garments of several categories, among others of the same design in other colours, for research
only as are its photos. The second is drawn and CC0: anybody may train on it.

With ``figures=yes`` somebody wears the garment where its category belongs (``hanging.PLACES``), with other garments of
the same split, hands, hair and bags before it; a category without a place hangs alone as before. ``rivals=0.3`` adds
another colour of three in ten garments, as a product of the same design.

Options: ``recipe`` as of ``table``; ``scenes``, a folder of photos of places (without it places are drawn); ``views``,
street photos for each shop photo (2), other numbers for some categories behind it (``views=1,bags:8,skirts:4``), so
that a category of few products has queries enough; ``shop``: ``asis`` or ``cut``, cut out to white, which is what a
photo taken at home needs to look like a shop's; ``split``, shares of train, val and test dealt by design (8:1:1), or by
the column ``by``, so that no sender's carpet stands in two; ``seed``; ``cache``, the folder where cut-outs are kept (a
folder of yours among the temporary files). A photo is composed when it is read, from the seed, its crop's id and its
view alone; it is already trimmed to the garment, so it comes without a box.
"""

import io
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi import files, image
from osoroi.data import splits
from osoroi.data.readers import Reader, table
from osoroi.data.readers.folder import contents
from osoroi.data.synthetic import compose, dressing, hanging, recolor, segment
from osoroi.errors import BadDataset, BadPhoto
from osoroi.records import Box, Product, Row

CUTOUT_SIZE = 320
"""Longer side of a cut-out that is kept, in pixels."""

MOST_VIEWS = 99
"""Most street photos of a shop photo."""

FORM = "3"
"""Changes when cut-outs are made otherwise: those kept before are then made anew."""


@dataclass(frozen=True)
class CutOut:
    """The garment of a photo, cut out once and kept."""

    photo: Path
    box: Box | None
    cache: Path
    color: str = ""
    """Draws another colour of the garment; empty leaves its own."""

    def load(self) -> Image.Image:
        """The garment, RGBA, trimmed; raises BadPhoto where none stands out."""
        garment = self.from_cache()
        return recolor.recolored(garment, dice_of("color", self.color)) if self.color else garment

    def from_cache(self) -> Image.Image:
        """The garment in its own colour, from the cache."""
        state = self.photo.stat() if self.photo.is_file() else None
        identity = ascii((FORM, str(self.photo.absolute()), self.box, state and (state.st_size, state.st_mtime_ns)))
        kept = self.cache / f"{blake2b(identity.encode(), digest_size=12).hexdigest()}.png"
        refused = kept.with_suffix(".txt")
        if refused.is_file():
            raise BadPhoto(refused.read_text(encoding="utf-8"))
        if not kept.is_file():
            try:
                self.keep(kept)
            except BadPhoto as error:
                if state is not None:
                    refused.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    files.write_atomically(refused, str(error).encode())
                raise
        return Image.open(kept).convert("RGBA")

    def keep(self, path: Path) -> None:
        """Cut it out and write it, whole or not at all."""
        photo = image.read(self.photo)
        if self.box:
            left, top, right, bottom = self.box
            photo = photo[top:bottom, left:right].copy()
        garment = segment.lifted(photo, str(self.photo), CUTOUT_SIZE)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            garment.save(file, "PNG", compress_level=1)
        os.replace(file.name, path)


def dice_of(*identity: int | str) -> np.random.Generator:
    """The random numbers of something that has a name."""
    digest = blake2b(ascii(identity).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


@dataclass(frozen=True)
class Wardrobe:
    """The garments of one split by category, for people to wear along; calling it draws one."""

    garments: Mapping[str, list[CutOut]] = field(default_factory=dict)

    def __call__(self, category: str, dice: np.random.Generator) -> Image.Image | None:
        """A garment of a category; None where there is none, or it cannot be cut out."""
        there = self.garments.get(category)
        if not there:
            return None
        try:
            return there[int(dice.integers(len(there)))].load()
        except BadPhoto:
            return None


@dataclass(frozen=True)
class Street:
    """One composed photo; with a wardrobe, of somebody who wears the garment and others of it."""

    garment: CutOut
    category: str | None
    scenes: tuple[Path, ...]
    seed: int
    crop_id: str
    wardrobe: Wardrobe | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        how = "" if self.wardrobe is None else " worn"
        return f"composed:{self.seed}/{self.crop_id} of {self.garment.photo}{how}"

    def composed(self) -> compose.ComposedView:
        """The photo and the garment's mask, of one size."""
        dice = dice_of(self.seed, self.crop_id)
        scene = None
        if self.scenes:
            scene = Image.fromarray(image.read(self.scenes[int(dice.integers(len(self.scenes)))]))
        if self.wardrobe is not None and self.category in hanging.PLACES:
            return dressing.photo_of(self.garment.load(), self.category, self.wardrobe, scene, dice)
        return compose.composed(self.garment.load(), self.category, scene, dice)

    def read(self) -> bytes:
        """The JPEG."""
        return compose.phone_photo(self.composed().picture, self.seed, self.crop_id)

    def mask(self) -> UInt8[np.ndarray, "h w"]:
        """How much of each pixel of the photo is garment: 255 of it all, 0 of what lies around or before it."""
        return np.asarray(self.composed().mask).copy()


@dataclass(frozen=True)
class Shop:
    """A garment cut out to white."""

    garment: CutOut

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the cut-out of {self.garment.photo}{f', {self.garment.color}' if self.garment.color else ''}"

    def framed(self) -> compose.ComposedView:
        """The photo and the garment's mask, of one size."""
        garment = self.garment.load()
        room = max(garment.size) // 12
        size = garment.width + 2 * room, garment.height + 2 * room
        view = compose.ComposedView(Image.new("RGB", size, (255, 255, 255)), Image.new("L", size))
        view.picture.paste(garment.convert("RGB"), (room, room), garment.getchannel("A"))
        view.mask.paste(garment.getchannel("A"), (room, room))
        return view

    def read(self) -> bytes:
        """The JPEG."""
        file = io.BytesIO()
        self.framed().picture.save(file, "JPEG", quality=92)
        return file.getvalue()

    def mask(self) -> UInt8[np.ndarray, "h w"]:
        """How much of each pixel of the photo is garment, from 0 to 255."""
        return np.asarray(self.framed().mask).copy()


class ViewCounts(NamedTuple):
    """Street photos for each shop photo: of most categories, and of those that have a number of their own."""

    most: int
    own: Mapping[str, int]

    def of(self, category: str | None) -> int:
        """The number of a category."""
        return self.own.get(category or "", self.most)


@dataclass(frozen=True)
class Composed:
    """The rows of a table, with street photos."""

    shop: Reader
    scenes: tuple[Path, ...]
    views: ViewCounts
    cut: bool
    seed: int
    cache: Path
    assign: Callable[[Product], str]
    figures: bool = False
    rivals: float = 0.0

    def rows(self) -> Iterator[Row]:
        """Each shop photo, then its street photos, then those of its rival; street photos of the table as they are."""
        wardrobes = self.wardrobes() if self.figures else {}
        absent = set(self.views.own)
        for row in self.rows_in_splits():
            absent.discard(row.product.category or "")
            if row.crop.domain == "street" or not isinstance(row.crop.photo, Path):
                yield row
                continue
            garment = CutOut(row.crop.photo, row.crop.box, self.cache)
            wardrobe = wardrobes.get(row.crop.split or "")
            if dice_of("rival", row.product.product_id).random() >= self.rivals:
                yield from self.photos(row, garment, wardrobe)
                continue
            design = row.product.design_id or row.product.product_id
            own = row._replace(product=replace(row.product, design_id=design))
            yield from self.photos(own, garment, wardrobe)
            name = f"{row.product.product_id}/rival"
            product = replace(own.product, product_id=name)
            rival = Row(product, replace(row.crop, crop_id=f"{row.crop.crop_id}/rival", product_id=name))
            yield from self.photos(rival, replace(garment, color=name), wardrobe)
        if absent:
            problem = f"views names {', '.join(sorted(absent))}, and no product is of that category"
            raise BadDataset(problem, hint="write categories as the recipe of the table does")

    def photos(self, row: Row, garment: CutOut, wardrobe: Wardrobe | None) -> Iterator[Row]:
        """A shop photo and its street photos."""
        yield row._replace(crop=replace(row.crop, photo=Shop(garment), box=None)) if self.cut else row
        for number in range(1, self.views.of(row.product.category) + 1):
            crop_id = f"{row.crop.crop_id}/street-{number}"
            photo = Street(garment, row.product.category, self.scenes, self.seed, crop_id, wardrobe)
            yield Row(row.product, replace(row.crop, crop_id=crop_id, domain="street", photo=photo, box=None))

    def rows_in_splits(self) -> Iterator[Row]:
        """The rows of the table, each in a split."""
        for found in self.shop.rows():
            yield found._replace(crop=replace(found.crop, split=found.crop.split or self.assign(found.product)))

    def wardrobes(self) -> dict[str, Wardrobe]:
        """The garments of the shop's photos, for each split."""
        garments: dict[str, dict[str, list[CutOut]]] = defaultdict(lambda: defaultdict(list))
        for product, crop in self.rows_in_splits():
            if crop.domain == "shop" and isinstance(crop.photo, Path) and product.category in hanging.PLACES:
                garments[crop.split or ""][product.category].append(CutOut(crop.photo, crop.box, self.cache))
        return {split: Wardrobe(own) for split, own in garments.items()}


def open_reader(  # noqa: PLR0913, every option is a keyword
    path: str,
    *,
    recipe: str = "",
    scenes: str = "",
    views: str = "2",
    shop: str = "asis",
    split: str = "8:1:1",
    by: str = "",
    seed: str = "0",
    cache: str = "",
    figures: str = "no",
    rivals: str = "0",
) -> Reader:
    """The reader of a table or folder of product photos; see the module for what the options are.

    >>> open_reader("shop.csv", views="many")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: views 'many' is no whole number from 0 to 99; write it like views=2
    """
    counts, drawn_from = view_counts(views), whole_number("seed", seed, 2**32)
    if shop not in ("asis", "cut"):
        raise BadDataset(f"shop {shop!r}", hint="shop photos are taken asis, or cut out to white: cut")
    if figures not in ("yes", "no"):
        raise BadDataset(f"figures {figures!r}", hint="figures=yes puts garments on posed people")
    share = share_of(rivals)
    if share and shop != "cut":
        raise BadDataset(f"rivals={rivals} with shop={shop}", hint="other colours are of garments cut out: shop=cut")
    places = tuple(Path(scenes) / name for name in contents(existing_folder(scenes))[0]) if scenes else ()
    if scenes and not places:
        raise BadDataset(f"{scenes} holds no photos", hint="scenes is a folder of photos of places")
    where = Path(cache) if cache else Path(tempfile.gettempdir()) / f"osoroi-cut-outs-{os.getuid()}"
    rows = table.open_reader(path, recipe=recipe)
    deal = splitter(split, by)
    return Composed(rows, places, counts, shop == "cut", drawn_from, where, deal, figures == "yes", share)


def whole_number(name: str, text: str, most: int) -> int:
    """The number of an option, from 0 to ``most``; raises BadDataset."""
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise BadDataset(f"{name} {text!r} is no whole number from 0 to {most}", hint=f"write it like {name}=2")
    return int(text)


def view_counts(text: str) -> ViewCounts:
    """The option ``views``: a number, and behind it those of some categories.

    >>> view_counts("1,bags:8,skirts:4").of("skirts"), view_counts("1,bags:8").of("tops"), view_counts("2").of(None)
    (4, 1, 2)
    >>> view_counts("1,8")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: views=1,8: '8' is no category with its number, each once; write it like views=1,bags:8
    """
    most, *entries = text.split(",")
    own: dict[str, int] = {}
    for entry in entries:
        category, colon, number = entry.rpartition(":")
        if not colon or not category or category in own:
            problem = f"views={text}: {entry!r} is no category with its number, each once"
            raise BadDataset(problem, hint="write it like views=1,bags:8")
        own[category] = whole_number("views", number, MOST_VIEWS)
    return ViewCounts(whole_number("views", most, MOST_VIEWS), own)


def share_of(text: str) -> float:
    """A share from 0 to 1.

    >>> share_of("0.3")
    0.3
    >>> share_of("3")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: rivals '3' is no share from 0 to 1; write it like rivals=0.3
    """
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise BadDataset(f"rivals {text!r} is no share from 0 to 1", hint="write it like rivals=0.3")
    return share


def existing_folder(path: str) -> Path:
    """The path of a folder that is there."""
    if not Path(path).is_dir():
        raise BadDataset(f"there is no folder {path}", hint="scenes is a folder of photos of places")
    return Path(path)


def splitter(shares: str, by: str) -> Callable[[Product], str]:
    """What deals products to splits: by design, or by an attribute.

    >>> deal = splitter("1:1", "sender")
    >>> products = [Product(str(number), attributes={"sender": "anna"}) for number in range(9)]
    >>> len(set(map(deal, products)))
    1
    """
    deal = splits.dealer(shares)
    if not by:
        return deal

    def together(product: Product) -> str:
        if by not in product.attributes:
            raise BadDataset(f"product {product.product_id!r} has no {by}", hint=f"by={by} must be one of its columns")
        return deal(replace(product, design_id=f"{by} {product.attributes[by]}"))

    return together
