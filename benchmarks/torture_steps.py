"""The steps of the torture: a model of what a catalog has to hold, what a writer does to both, the tally of kills."""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi import files
from osoroi.catalog import Entry
from osoroi.catalog.address import Place
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance import reencode
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.encoder import Encoder
from osoroi.errors import Busy, CatalogReplaced
from osoroi.records import Clues, Crop, Part, Preprocessing, Product

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from archives import unpack

DIM = 8
SIDE = 16
OFTEN = {
    "put": 6,
    "replace": 3,
    "remove": 3,
    "patch": 3,
    "compact": 3,
    "search": 2,
    "reencode": 1,
    "second handle": 3,
    "other": 3,
    "backup": 1,
    "restore": 1,
}
REQUESTS = ("other", "backup", "restore")
"""Steps that the process which kills takes for the writer."""


class Seeded(Encoder):
    """An encoder whose vector of a crop of one colour is drawn by that colour and the encoder's number."""

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def fingerprint(self) -> str:
        return f"{self.number:064}"

    @property
    def dim(self) -> int:
        return DIM

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part("deep", DIM, 1.0),)

    @property
    def has_kind(self) -> bool:
        return False

    @property
    def preprocessing(self) -> dict[Any, Preprocessing]:
        return {"shop": Preprocessing(SIDE, SIDE), "street": Preprocessing(SIDE, SIDE)}

    def encode(
        self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], clues: Sequence[Clues] | None = None
    ) -> Float32[np.ndarray, "b d"]:
        rows = [vector(self.number, [int(one) for one in crop[0, 0]]) for crop in crops]
        return np.array(rows, np.float32).reshape(len(crops), DIM)


def vector(number: int, colour: Sequence[int]) -> Float32[np.ndarray, "d"]:
    """Of unit length, and the same whenever it is asked for."""
    drawn = np.random.default_rng([number, *colour]).standard_normal(DIM).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def photo(colour: Sequence[int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (colour[0], colour[1], colour[2])).save(data, format="PNG")
    return data.getvalue()


@dataclass
class Model:
    """What a catalog has to hold: a dictionary of what was acknowledged; and the settings it is opened with."""

    settings: CatalogSettings
    encoder: int = 0
    products: dict[str, dict[str, Any]] = field(default_factory=dict)

    def after(self, step: dict[str, Any]) -> "Model":
        """The model one step later; the model itself stays."""
        products = dict(self.products)
        match step["do"]:
            case "restore":
                return replace(self, encoder=step["encoder"], products=step["products"])
            case "put" | "other":
                products |= {one["id"]: {"price": one["price"], "crops": one["crops"]} for one in step["products"]}
            case "patch":
                products[step["id"]] = products[step["id"]] | {"price": step["price"]}
            case "remove":
                products = {name: row for name, row in products.items() if name not in step["ids"]}
            case "reencode":
                return replace(self, encoder=step["encoder"], products=products)
        return replace(self, products=products)


@dataclass
class Tally:
    """Kills that were survived, and the round they have come to. A file keeps them, so that a run of several pieces
    goes on with the next catalog."""

    kills: int
    seed: int = 1
    path: Path | None = None
    minutes: float = float("inf")
    round_: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    @classmethod
    def of_command(cls, text: str | None) -> "Tally":
        """The tally that the command line asks for."""
        parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--kills", type=int, default=1000)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
        parser.add_argument("--tally", type=Path, help="file of the kills so far; the same command goes on from it")
        options = parser.parse_args()
        tally = cls(options.kills, options.seed, options.tally, options.minutes)
        if tally.path is not None and tally.path.is_file():
            before = json.loads(tally.path.read_text())
            assert before["seed"] == tally.seed, f"{tally.path} is of seed {before['seed']}"
            tally.round_, tally.cut, tally.took_s = before["round"], Counter(before["cut"]), before["took_s"]
        return tally

    def rounds(self, per_catalog: int) -> Iterator[int]:
        """The numbers of rounds until there are enough kills, or the time is over; they begin with a new catalog."""
        start, before_s = time.monotonic(), self.took_s
        self.round_ = -(-self.round_ // per_catalog) * per_catalog
        while self.cut.total() < self.kills and time.monotonic() - start < 60 * self.minutes:
            self.round_ += 1
            yield self.round_
            self.took_s = before_s + time.monotonic() - start
            if self.path is not None:
                content = {"seed": self.seed, "round": self.round_, "cut": self.cut, "took_s": self.took_s}
                files.write_atomically(self.path, json.dumps(content).encode(), durable=False)

    def text(self) -> str:
        """The result in a line."""
        where = ", ".join(f"{count} {name}" for name, count in self.cut.most_common())
        return f"{self.cut.total()} of {self.kills} kills survived in {self.took_s:.0f} s; cut: {where}"


def plan(model: Model, rng: random.Random) -> dict[str, Any]:
    """The next step: something that can be done to what is there."""
    kind, held = rng.choices(list(OFTEN), list(OFTEN.values()))[0], sorted(model.products)
    if kind in ("compact", "search", "second handle", "backup", "reencode", "restore"):
        return {"do": kind, "encoder": model.encoder + (kind == "reencode"), "how": rng.choice(list(REPLACE))}
    if kind in ("put", "other") or not held:
        names = [f"p{rng.randrange(60):02}" for _ in range(rng.randint(1, 4))]
        made = [product_of(name, rng) for name in dict.fromkeys(names)]
        return {"do": "other" if kind == "other" else "put", "products": made}
    return change(kind, held, rng)


def change(kind: str, held: Sequence[str], rng: random.Random) -> dict[str, Any]:
    """A step that replaces, removes or patches products that are held."""
    if kind == "replace":
        return {"do": "put", "products": [product_of(rng.choice(held), rng)]}
    if kind == "remove":
        return {"do": "remove", "ids": rng.sample(held, min(len(held), rng.randint(1, 3)))}
    return {"do": "patch", "id": rng.choice(held), "price": float(rng.randrange(100))}


def product_of(name: str, rng: random.Random) -> dict[str, Any]:
    crops = {f"{name}/{place}": [rng.randrange(6) * 50 for _ in range(3)] for place in range(rng.choice([1, 1, 2, 4]))}
    return {"id": name, "price": float(rng.randrange(100)), "crops": crops}


def delete_and_unpack(tar: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    unpack(tar, folder)


def rename_and_unpack(tar: Path, folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.{time.monotonic_ns()}")
    os.rename(folder, aside)
    unpack(tar, folder)
    shutil.rmtree(aside)


REPLACE = {"in place": unpack, "deleted": delete_and_unpack, "renamed": rename_and_unpack}


def serve(folder: Path, step: dict[str, Any], model: Model, saved: list[Model]) -> dict[str, Any]:
    """Do in this process what the writer asks for; returns the step with what it makes of the catalog.

    ``saved`` is the model of the last backup, or empty.
    """
    tar = folder.with_name("backup.tar")
    match step["do"]:
        case "other":
            entries = [entry_of(one, model.encoder) for one in step["products"]]
            with LocalCatalog.open(folder, settings=model.settings) as catalog:
                catalog.put(entries, fingerprint=catalog.fingerprint)
        case "backup":
            backup(folder, tar)
            saved[:] = [model]
        case "restore" if saved:
            REPLACE[step["how"]](tar, folder)
            return step | {"encoder": saved[0].encoder, "products": saved[0].products}
        case "restore":
            return step | {"encoder": model.encoder, "products": model.products, "how": "nothing"}
    return step


def do(catalog: StoredCatalog, place: Place, step: dict[str, Any], model: Model) -> StoredCatalog:
    """Take a step; a move to another encoder and a restored backup give the catalog opened anew."""
    match step["do"]:
        case "put":
            entries = [entry_of(one, model.encoder) for one in step["products"]]
            catalog.put(entries, fingerprint=Seeded(model.encoder).fingerprint)
        case "patch":
            catalog.patch(step["id"], {"price": step["price"], "attributes.cheap": step["price"] < 50})
        case "remove":
            catalog.remove(step["ids"])
        case "compact":
            catalog.compact()
        case "search":
            catalog.nearest(np.ones((1, DIM), np.float32), 5, where="price < 50")
        case "second handle":
            second_handle(catalog.folder, model)
        case "restore" if step["how"] != "nothing":
            refused(catalog)
            catalog.close()
            return open_catalog(place, settings=model.settings)
        case "reencode":
            catalog.close()
            encoder = Seeded(step["encoder"])
            reencode.reencode(place, encoder, threads=1, crops_per_commit=4, settings=model.settings)
            return open_catalog(place, settings=model.settings)
    return catalog


def second_handle(folder: Path, model: Model) -> None:
    """Open and close in this process all that a shop may open beside its service."""
    for readonly in (True, False):
        with LocalCatalog.open(folder, readonly=readonly, settings=model.settings) as other:
            assert {product.product_id for product in other.products()} == set(model.products), "handles disagree"
    assert not check(folder, settings=model.settings), "a sound catalog is called damaged"
    tar = folder.with_name(f"second{os.getpid()}.tar")
    with contextlib.suppress(Busy):  # a compaction is under way
        backup(folder, tar)
    tar.unlink(missing_ok=True)


def refused(catalog: StoredCatalog) -> None:
    """A handle whose folder another catalog stands in acknowledges nothing and answers nothing."""
    entry = entry_of({"id": "lost", "price": 1.0, "crops": {"lost/0": [0, 0, 0]}}, 0)
    for call in (
        lambda: catalog.put([entry], fingerprint=catalog.fingerprint),
        lambda: catalog.remove(["p00"]),
        lambda: catalog.nearest(np.ones((1, DIM), np.float32), 5),
        catalog.check_identity,
    ):
        try:
            call()
        except CatalogReplaced:
            continue
        raise AssertionError("another catalog stood there, and nobody noticed")


def entry_of(one: dict[str, Any], encoder: int) -> Entry:
    crops = [Crop(name, one["id"], "shop", photo(colour)) for name, colour in one["crops"].items()]
    vectors = np.stack([vector(encoder, colour) for colour in one["crops"].values()])
    attributes = {"cheap": one["price"] < 50}
    return Entry(Product(one["id"], price=one["price"], attributes=attributes), crops, vectors)
