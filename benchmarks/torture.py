"""Kill the writer of a catalog again and again; nothing acknowledged may be lost, nothing removed may come back.

Each round forks a writer that puts, replaces, patches and removes products, compacts, moves to another encoder and
searches, and says before and after each step what it does. It also opens the catalog once more, checks it and backs it
up in its own process; at its request this process puts products and closes the catalog, or puts a backup in its place
(unpacked over it, after it was deleted, or renamed), which the writer has to notice. The writer is killed (SIGKILL)
either at a line of our code chosen by the seed (half of the rounds: the trace function counts lines, so that production
code knows nothing of it), or after a time chosen by the seed, wherever it is then, inside SQLite for instance. Then the
catalog is opened, with no repair step, and compared with a plain dictionary of what was acknowledged; the one step that
was under way may be in it whole or not at all. Searches have to equal a comparison with everything, and ``osoroi
check`` has to find nothing.

SIGKILL leaves the operating system alive: what this shows is that every state on the way is a sound one, not that a
disk keeps what it acknowledged.

    python benchmarks/torture.py --kills 1000
    python benchmarks/torture.py --kills 1000 --minutes 15 --tally torture.json   # in pieces, each the same command
"""

import contextlib
import io
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import numpy as np
from PIL import Image
from torture_steps import DIM, REQUESTS, Model, Seeded, Tally, do, plan, serve, vector

from osoroi.catalog.address import Place
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import is_catalog, open_catalog
from osoroi.catalog.store.settings import CatalogSettings
from osoroi.catalog.stored import StoredCatalog
from osoroi.index import ScanSettings

STEPS = 30
ROUNDS = 50
"""Rounds of one catalog."""
LINES = 12_000
"""A round is killed at one of so many lines, if it gets there."""
TIME_S = 0.25
"""Or within so many seconds."""
SMALL = 12
"""Crops from which on a snapshot is kept here, so that there are many."""
KINDS = (
    CatalogSettings(snapshot_from=SMALL),
    CatalogSettings(snapshot_from=SMALL, scan_from=SMALL),
    CatalogSettings(snapshot_from=SMALL, scan_from=SMALL, scan=ScanSettings(coded_from=21)),
)
"""Catalogs are compared with everything, scanned without codes (a snapshot and a tail), and with them, in turn."""


def write(
    folder: Path, model: Model, rng: random.Random, say: Callable[[str], None], hear: Callable[[], dict[str, Any]]
) -> None:
    """A writer's life: steps, each announced before and acknowledged after. ``hear`` waits for the other process."""
    encoder = Seeded(model.encoder)
    catalog: StoredCatalog = LocalCatalog.open_or_create(folder, encoder, settings=model.settings)
    for _ in range(STEPS):
        step = plan(model, rng)
        if step["do"] in REQUESTS:
            catalog.compactor.wait()
        say(json.dumps(step))
        if step["do"] in REQUESTS:
            step = hear()
        catalog = do(catalog, folder, step, model)
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


def life(folder: Path, model: Model, seed: int, saved: list[Model], *, traced: bool) -> tuple[list[str], bool]:
    """Fork a writer and kill it; what it said, and whether it was killed before its end.

    ``saved`` is the model of the last backup of this catalog; it is kept up to date.
    """
    rng = random.Random(seed)
    reading, writing = os.pipe()
    hearing, answering = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(answering)
        if traced:
            kill_at(rng.randrange(1, LINES))
        try:
            with os.fdopen(writing, "w", buffering=1) as pipe, os.fdopen(hearing) as answers:
                write(
                    folder,
                    model,
                    rng,
                    lambda text: print(text, file=pipe, flush=True),
                    lambda: json.loads(answers.readline()),
                )
        finally:  # never back into the loop of the parent; what was raised stands on stderr
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    os.close(writing)
    os.close(hearing)
    timer = threading.Timer(rng.random() * TIME_S, os.kill, (child, signal.SIGKILL))
    if not traced:
        timer.start()
    with os.fdopen(reading) as lines:
        said = conversation(folder, model, saved, lines, answering)
    os.close(answering)
    timer.cancel()
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, f"the writer failed after {said[-1:]}"
    return said, os.WIFSIGNALED(status)


def conversation(folder: Path, model: Model, saved: list[Model], lines: TextIO, answers: int) -> list[str]:
    """Hear what the writer says, and do what it asks for, until it is gone; returns all it said."""
    said: list[str] = []
    before = model
    for line in lines:
        text = line.strip()
        if text == "done":
            before = before.after(json.loads(said[-1]))
        elif (step := json.loads(text))["do"] in REQUESTS:
            text = json.dumps(serve(folder, step, before, saved))
            with contextlib.suppress(BrokenPipeError):
                os.write(answers, f"{text}\n".encode())
        said.append(text)
    return said


def survived(place: Place, model: Model, said: Sequence[str]) -> tuple[Model, str]:
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
    if not is_catalog(place):
        assert not said, "the catalog is gone"
        return before, under_way
    found = state(place, model.settings)
    assert found in (before, model), f"neither before nor after {under_way}"
    searches(place, found)
    findings = check(place, settings=model.settings)
    assert not findings, findings
    return found, under_way


def state(place: Place, settings: CatalogSettings) -> Model:
    """What a catalog holds, as a model; every vector and kept photo is compared on the way."""
    with open_catalog(place, settings=settings) as catalog:
        model = Model(settings, int(catalog.fingerprint))
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


def searches(place: Place, model: Model) -> None:
    """Searches equal a comparison with everything: distinct products, best scores, filters."""
    rng = np.random.default_rng(len(model.products))
    with open_catalog(place, readonly=True, settings=model.settings) as catalog:
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


def torture(folder: Path, tally: Tally) -> None:
    """So many kills, of one catalog after another; the tally says where they fell."""
    model, number = Model(KINDS[0]), 0
    saved: list[Model] = []
    for round_ in tally.rounds(ROUNDS):
        if round_ % ROUNDS == 1:  # so that the making of a catalog is cut too
            number, saved = round_ // ROUNDS, []
            model = Model(KINDS[number % len(KINDS)])
        traced = round_ % 2 == 0
        said, killed = life(folder / f"shop{number}", model, tally.seed * 1_000_003 + round_, saved, traced=traced)
        try:
            model, under_way = survived(folder / f"shop{number}", model, said)
        except AssertionError as error:
            raise AssertionError(
                f"round {round_} of seed {tally.seed} (traced: {traced}): {error}; said {said[-3:]}"
            ) from error
        if killed:
            tally.cut[under_way] += 1


def main() -> None:
    tally = Tally.of_command(__doc__)
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="osoroi-torture-") as folder:
        torture(Path(folder), tally)
    print(tally.text())


if __name__ == "__main__":
    main()
