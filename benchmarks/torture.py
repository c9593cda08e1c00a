"""Kill the writer of a catalog again and again; nothing acknowledged may be lost, nothing removed may come back.

Each round forks a writer that puts, replaces, patches and removes products, compacts, moves to another encoder and
searches, and says before and after each step what it does. It is killed (SIGKILL) either at a line of our code chosen
by the seed (half of the rounds: the trace function counts lines, so that production code knows nothing of it), or after
a time chosen by the seed, wherever it is then, inside SQLite for instance. Then the catalog is opened, with no repair
step, and compared with a plain dictionary of what was acknowledged; the one step that was under way may be in it whole
or not at all. Searches have to equal a comparison with everything, and ``osoroi check`` has to find nothing.

SIGKILL leaves the operating system alive: what this shows is that every state on the way is a sound one, not that a
disk keeps what it acknowledged.

    python benchmarks/torture.py --kills 1000
"""

import argparse
import io
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from osoroi.catalog import Entry
from osoroi.catalog.local import LocalCatalog, is_catalog
from osoroi.catalog.maintenance import reencode
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.memory import memory_index, snapshots
from osoroi.encoder import Encoder
from osoroi.index import scan
from osoroi.records import Crop, Part, Preprocessing, Product

DIM = 8
SIDE = 16
STEPS = 30
LINES = 12_000
"""A round is killed at one of so many lines, if it gets there."""
TIME_S = 0.25
"""Or within so many seconds."""
OFTEN = {"put": 6, "replace": 3, "remove": 3, "patch": 3, "compact": 3, "search": 2, "reencode": 1}
SMALL = 12
"""Crops from which on a snapshot is kept here, so that there are many."""
KINDS = ((snapshots.SCAN_FROM, scan.CODED), (SMALL, scan.CODED), (SMALL, 20))
"""Crops from which on they are scanned, and have codes: catalogs are compared with everything, scanned without codes
(a snapshot and a tail), and scanned with them, in turn."""


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
    def preprocessing(self) -> dict[Any, Preprocessing]:
        return {"shop": Preprocessing(SIDE, SIDE), "street": Preprocessing(SIDE, SIDE)}

    def encode(self, crops: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "b d"]:
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
    """What a catalog has to hold: a dictionary of what was acknowledged."""

    encoder: int = 0
    products: dict[str, dict[str, Any]] = field(default_factory=dict)

    def after(self, step: dict[str, Any]) -> "Model":
        """The model one step later; the model itself stays."""
        products = dict(self.products)
        match step["do"]:
            case "put":
                products |= {one["id"]: {"price": one["price"], "crops": one["crops"]} for one in step["products"]}
            case "patch":
                products[step["id"]] = products[step["id"]] | {"price": step["price"]}
            case "remove":
                products = {name: row for name, row in products.items() if name not in step["ids"]}
            case "reencode":
                return Model(step["encoder"], products)
        return Model(self.encoder, products)


def plan(model: Model, rng: random.Random) -> dict[str, Any]:
    """The next step: something that can be done to what is there."""
    kind, held = rng.choices(list(OFTEN), list(OFTEN.values()))[0], sorted(model.products)
    if kind == "reencode":
        return {"do": "reencode", "encoder": model.encoder + 1}
    if kind in ("compact", "search"):
        return {"do": kind}
    if kind == "put" or not held:
        names = [f"p{rng.randrange(60):02}" for _ in range(rng.randint(1, 4))]
        return {"do": "put", "products": [_product(name, rng) for name in dict.fromkeys(names)]}
    if kind == "replace":
        return {"do": "put", "products": [_product(rng.choice(held), rng)]}
    if kind == "remove":
        return {"do": "remove", "ids": rng.sample(held, min(len(held), rng.randint(1, 3)))}
    return {"do": "patch", "id": rng.choice(held), "price": float(rng.randrange(100))}


def _product(name: str, rng: random.Random) -> dict[str, Any]:
    crops = {f"{name}/{place}": [rng.randrange(6) * 50 for _ in range(3)] for place in range(rng.choice([1, 1, 2, 4]))}
    return {"id": name, "price": float(rng.randrange(100)), "crops": crops}


def do(catalog: LocalCatalog, step: dict[str, Any], model: Model) -> LocalCatalog:
    """Take a step; a move to another encoder gives the catalog opened anew."""
    match step["do"]:
        case "put":
            entries = [_entry(one, model.encoder) for one in step["products"]]
            catalog.put(entries, fingerprint=Seeded(model.encoder).fingerprint)
        case "patch":
            catalog.patch(step["id"], {"price": step["price"], "attributes.cheap": step["price"] < 50})
        case "remove":
            catalog.remove(step["ids"])
        case "compact":
            catalog.compact()
        case "search":
            catalog.nearest(np.ones((1, DIM), np.float32), 5, where="price < 50")
        case "reencode":
            folder = catalog.folder
            catalog.close()
            reencode.reencode(folder, Seeded(step["encoder"]), threads=1)
            return LocalCatalog.open(folder)
    return catalog


def _entry(one: dict[str, Any], encoder: int) -> Entry:
    crops = [Crop(name, one["id"], "shop", photo(colour)) for name, colour in one["crops"].items()]
    vectors = np.stack([vector(encoder, colour) for colour in one["crops"].values()])
    attributes = {"cheap": one["price"] < 50}
    return Entry(Product(one["id"], price=one["price"], attributes=attributes), crops, vectors)


def write(folder: Path, model: Model, rng: random.Random, say: Callable[[str], None]) -> None:
    """A writer's life: steps, each announced before and acknowledged after."""
    encoder = Seeded(model.encoder)
    catalog = LocalCatalog.open_or_create(folder, encoder)
    for _ in range(STEPS):
        step = plan(model, rng)
        say(json.dumps(step))
        catalog = do(catalog, step, model)
        say("done")
        model = model.after(step)
    catalog.close()


def kill_at(line: int) -> None:
    """Kill this process when so many lines of the catalog's and the index's code have run, in whatever thread."""
    ran = [0]

    def local(frame: FrameType, event: str, _: Any) -> Any:
        ran[0] += 1
        if ran[0] >= line:
            os.kill(os.getpid(), signal.SIGKILL)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        return local if "osoroi/catalog" in name or "osoroi/index" in name else None

    threading.settrace(trace)
    sys.settrace(trace)


def life(folder: Path, model: Model, seed: int, *, traced: bool) -> tuple[list[str], bool]:
    """Fork a writer and kill it; what it said, and whether it was killed before its end."""
    rng = random.Random(seed)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        if traced:
            kill_at(rng.randrange(1, LINES))
        try:
            with os.fdopen(writing, "w", buffering=1) as pipe:
                write(folder, model, rng, lambda text: print(text, file=pipe, flush=True))
        finally:  # never back into the loop of the parent; what was raised stands on stderr
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    os.close(writing)
    if not traced:
        time.sleep(rng.random() * TIME_S)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as lines:
        said = lines.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, f"the writer failed after {said[-1:]}"
    return said, os.WIFSIGNALED(status)


def survived(folder: Path, model: Model, said: Sequence[str]) -> tuple[Model, str]:
    """Open and compare; the state that was found, and the step that was cut. Raises AssertionError."""
    under_way = "open"
    before = model
    for line in said:
        if line == "done":
            before, under_way = model, "between"
        else:
            step = json.loads(line)
            before, model, under_way = model, model.after(step), step["do"]
    if said and said[-1] == "done":
        before = model
    if not is_catalog(folder):
        assert not said, "the catalog is gone"
        return before, under_way
    found = state(folder)
    assert found in (before, model), f"neither before nor after {under_way}"
    searches(folder, found)
    findings = check(folder)
    assert not findings, findings
    return found, under_way


def state(folder: Path) -> Model:
    """What a catalog holds, as a model; every vector and kept photo is compared on the way."""
    with LocalCatalog.open(folder) as catalog:
        model = Model(int(catalog.fingerprint))
        for product in catalog.products():
            crops = {}
            for crop in catalog.crops(product.product_id):
                assert isinstance(crop.photo, Path)
                with Image.open(io.BytesIO(crop.photo.read_bytes())) as picture:
                    colour = list(np.asarray(picture.convert("RGB"))[0, 0].tolist())
                stored = catalog.vectors([crop.crop_id])[0]
                assert np.array_equal(stored, vector(model.encoder, colour)), f"{crop.crop_id} has another's vector"
                crops[crop.crop_id] = colour
            assert product.attributes["cheap"] == (product.price is not None and product.price < 50)
            model.products[product.product_id] = {"price": product.price, "crops": crops}
    return model


def searches(folder: Path, model: Model) -> None:
    """Searches equal a comparison with everything: distinct products, best scores, filters."""
    rng = np.random.default_rng(len(model.products))
    with LocalCatalog.open(folder, readonly=True) as catalog:
        for where, (least, most) in {"": (-1, 999), "cheap": (-1, 50), "price > 80": (81, 999)}.items():
            query = rng.standard_normal((1, DIM)).astype(np.float32)
            best = {
                name: max(float(vector(model.encoder, colour) @ query[0]) for colour in row["crops"].values())
                for name, row in model.products.items()
                if least <= row["price"] < most
            }
            if where == "cheap" and "attributes.cheap" not in catalog.columns():
                continue
            hits = catalog.nearest(query, 7, where=where)
            assert len({hit.product_id for hit in hits}) == len(hits) == min(7, len(best)), "not distinct, or not all"
            assert np.allclose([hit.score for hit in hits], sorted(best.values(), reverse=True)[:7], atol=1e-5)
            assert all(abs(best[hit.product_id] - hit.score) < 1e-5 for hit in hits)


def torture(folder: Path, kills: int, seed: int) -> Counter[str]:
    """So many kills, of one catalog after another; where they fell."""
    memory_index.SNAPSHOT_FROM = SMALL
    reencode.CHUNK = 4
    cut: Counter[str] = Counter()
    model, number, round_ = Model(), 0, 0
    while cut.total() < kills:
        round_ += 1
        if round_ % 50 == 1:  # so that the making of a catalog is cut too
            number, model = number + 1, Model()
            snapshots.SCAN_FROM, scan.CODED = KINDS[number % len(KINDS)]
        traced = round_ % 2 == 0
        said, killed = life(folder / f"shop{number}", model, seed * 1_000_003 + round_, traced=traced)
        try:
            model, under_way = survived(folder / f"shop{number}", model, said)
        except AssertionError as error:
            raise AssertionError(
                f"round {round_} of seed {seed} (traced: {traced}): {error}; said {said[-3:]}"
            ) from error
        if killed:
            cut[under_way] += 1
    return cut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="osoroi-torture-") as folder:
        cut = torture(Path(folder), arguments.kills, arguments.seed)
    where = ", ".join(f"{count} {name}" for name, count in cut.most_common())
    took_s = time.monotonic() - start
    print(f"{cut.total()} of {arguments.kills} kills survived in {took_s:.0f} s; cut: {where}")


if __name__ == "__main__":
    main()
