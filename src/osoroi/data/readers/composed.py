"""Street photos composed from product photos: the garment is cut out and put on a drawn person in a scene.

``composed:shop.csv`` reads product photos as ``table:shop.csv`` does (a folder too), and adds street photos to each::

    composed:data/hm/manifest.csv?recipe=hm_garments&scenes=data/ccp/bg
    composed:data/clothing_cc0/manifest.csv?recipe=clothing_cc0&shop=cut&by=sender_id

The first asks about real garments of several categories, among others of the same design in other colours, for research
only as are its photos. The second is drawn and CC0: anybody may train on it.

Options: ``recipe`` as of ``table``; ``scenes``, a folder of photos of places (without it places are drawn); ``views``,
street photos for each shop photo (2); ``shop``: ``asis`` or ``cut``, cut out to white, which is what a photo taken at
home needs to look like a shop's; ``split``, shares of train, val and test dealt by design (8:1:1), or by the column
``by``, so that no sender's carpet stands in two; ``seed``; ``cache``, the folder where cut-outs are kept (a folder of
yours among the temporary files). A photo is composed when it is read, from the seed, its crop's id and its view alone;
it is already trimmed to the garment, so it comes without a box.
"""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from osoroi import image
from osoroi.data import splits
from osoroi.data.readers import Reader, table
from osoroi.data.readers.folder import contents
from osoroi.data.synthetic import compose, segment
from osoroi.errors import BadDataset
from osoroi.records import Box, Product, Row

CUTOUT_SIZE = 320
"""Longer side of a cut-out that is kept, in pixels."""

FORM = "3"
"""Changes when cut-outs are made otherwise: those kept before are then made anew."""


@dataclass(frozen=True)
class CutOut:
    """The garment of a photo, cut out once and kept."""

    photo: Path
    box: Box | None
    cache: Path

    def load(self) -> Image.Image:
        """The garment, RGBA, trimmed; raises BadPhoto where none stands out."""
        state = self.photo.stat() if self.photo.is_file() else None
        identity = ascii((FORM, str(self.photo.absolute()), self.box, state and (state.st_size, state.st_mtime_ns)))
        kept = self.cache / f"{blake2b(identity.encode(), digest_size=12).hexdigest()}.png"
        if not kept.is_file():
            self.keep(kept)
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


@dataclass(frozen=True)
class Street:
    """One composed photo."""

    garment: CutOut
    category: str | None
    scenes: tuple[Path, ...]
    seed: int
    crop_id: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"composed:{self.seed}/{self.crop_id} of {self.garment.photo}"

    def composed(self) -> compose.View:
        """The photo and the garment's mask, of one size."""
        digest = blake2b(ascii((self.seed, self.crop_id)).encode(), digest_size=16).digest()
        dice = np.random.default_rng(int.from_bytes(digest, "big"))
        scene = None
        if self.scenes:
            scene = Image.fromarray(image.read(self.scenes[int(dice.integers(len(self.scenes)))]))
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
        return f"the cut-out of {self.garment.photo}"

    def framed(self) -> compose.View:
        """The photo and the garment's mask, of one size."""
        garment = self.garment.load()
        room = max(garment.size) // 12
        size = garment.width + 2 * room, garment.height + 2 * room
        view = compose.View(Image.new("RGB", size, (255, 255, 255)), Image.new("L", size))
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


@dataclass(frozen=True)
class Composed:
    """The rows of a table, with street photos."""

    shop: Reader
    scenes: tuple[Path, ...]
    views: int
    cut: bool
    seed: int
    cache: Path
    assign: Callable[[Product], str]

    def rows(self) -> Iterator[Row]:
        """Each shop photo, then its street photos; street photos of the table itself as they are."""
        for found in self.shop.rows():
            row = found._replace(crop=replace(found.crop, split=found.crop.split or self.assign(found.product)))
            if row.crop.domain == "street" or not isinstance(row.crop.photo, Path):
                yield row
                continue
            garment = CutOut(row.crop.photo, row.crop.box, self.cache)
            yield row._replace(crop=replace(row.crop, photo=Shop(garment), box=None)) if self.cut else row
            for number in range(1, self.views + 1):
                crop_id = f"{row.crop.crop_id}/street-{number}"
                photo = Street(garment, row.product.category, self.scenes, self.seed, crop_id)
                yield Row(row.product, replace(row.crop, crop_id=crop_id, domain="street", photo=photo, box=None))


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
) -> Reader:
    """The reader of a table or folder of product photos; see the module for what the options are.

    >>> open_reader("shop.csv", views="many")
    Traceback (most recent call last):
    osoroi.errors.BadDataset: views 'many' is no whole number from 0 to 99; write it like views=2
    """
    counts = {}
    for name, text, most in (("views", views, 99), ("seed", seed, 2**32)):
        if not (text.isascii() and text.isdigit() and int(text) <= most):
            raise BadDataset(f"{name} {text!r} is no whole number from 0 to {most}", hint=f"write it like {name}=2")
        counts[name] = int(text)
    if shop not in ("asis", "cut"):
        raise BadDataset(f"shop {shop!r}", hint="shop photos are taken asis, or cut out to white: cut")
    places = tuple(Path(scenes) / name for name in contents(existing_folder(scenes))[0]) if scenes else ()
    if scenes and not places:
        raise BadDataset(f"{scenes} holds no photos", hint="scenes is a folder of photos of places")
    where = Path(cache) if cache else Path(tempfile.gettempdir()) / f"osoroi-cut-outs-{os.getuid()}"
    rows = table.open_reader(path, recipe=recipe)
    return Composed(rows, places, counts["views"], shop == "cut", counts["seed"], where, splitter(split, by))


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
