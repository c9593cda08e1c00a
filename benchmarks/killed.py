"""Kill commands at random moments; the same command again brings each to the end that it has without a kill.

``torture.py`` kills the writer of a catalog at its steps. This kills what is built on it: products whose category is
learned from photos, ready-made vectors, removals, syncs, products put over HTTP, a backup that is being unpacked,
encoder files that are being made, and an experiment. A process is forked, does the work, and is killed (SIGKILL) after
a time drawn by the seed, up to the time that the whole work takes. Then what is there has to be sound, each product as
it was before or as it is to be; and the work done once more has to give what it gives without a kill, with nothing
left behind but parts of files that are not yet an hour old.

    python benchmarks/killed.py --kills 20
    python benchmarks/killed.py --kills 20 --only learn
"""

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from click.testing import CliRunner
from PIL import Image

import osoroi
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import is_catalog, open_catalog
from osoroi.cli import main as cli
from osoroi.errors import OsoroiError
from osoroi.files import PART
from osoroi.image.swatch import swatch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
COLORS = ("navy", "red", "green", "grey", "mustard", "brown")

State = dict[str, Any]


class Work(NamedTuple):
    """A work in a folder: what there is before it, the work, and what there is after it, by name."""

    prepare: Callable[[Path], None]
    do: Callable[[Path], None]
    state: Callable[[Path], State]
    acknowledged: Callable[[Path], set[str]] = lambda folder: set()
    settles: bool = False  # whether vectors are changed once more after products are there


def osoroi_(*words: object) -> None:
    """Run a command; raises what it raises, and RuntimeError for what it says."""
    run = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    if run.exit_code:
        raise RuntimeError(run.output)


def catalog_state(folder: Path) -> State:
    """Products with their crops and vectors; nothing where there is no catalog."""
    if not is_catalog(folder / "shop"):
        return {}
    with open_catalog(folder / "shop", readonly=True) as catalog:
        entries = catalog.entries(catalog.product_ids()).items()
        return {
            name: (repr(entry.product), [(crop.crop_id, crop.sha256) for crop in entry.crops], entry.vectors.tobytes())
            for name, entry in entries
        }


def table(folder: Path, count: int, *, category: str = "Vareuse", name: str = "all.csv", price: int = 0) -> Path:
    """A table of products whose photos are swatches, in the folder."""
    lines = ["product_id,photo,category,price"]
    for number in range(count):
        photo = folder / f"{COLORS[number % len(COLORS)]}.png"
        if not photo.exists():
            Image.fromarray(swatch(photo.stem)).save(photo)
        lines.append(f"v{number:02},{photo.name},{category},{price + number}")
    (folder / name).write_text("\n".join(lines))
    return folder / name


def shop_of(count: int, category: str = "Bags") -> Callable[[Path], None]:
    """A shop of so many products."""

    def prepare(folder: Path) -> None:
        osoroi_("add", folder / "shop", table(folder, count, category=category, name="before.csv"))

    return prepare


def loading(folder: Path) -> None:
    osoroi_("load", folder / "shop", folder / "v.npz")


def prepare_load(folder: Path) -> None:
    shop_of(3)(folder)
    osoroi_("embed", table(folder, 12, category="Bags"), folder / "v.npz", "--side", "shop")


def removing(folder: Path) -> None:
    with osoroi.open(folder / "shop") as shop:
        shop.remove([f"v{number:02}" for number in range(0, 24, 2)])


def syncing(folder: Path) -> None:
    osoroi_("sync", folder / "shop", table(folder, 12, price=50), "--yes")


def watching(folder: Path) -> None:
    """``sync --watch``, until the catalog is as the table says. Killed between the two, it is as the first one said: so
    the second one has more products, and those of the first as they were."""
    from osoroi.cli import sync
    from osoroi.cli.incoming import ImportOptions

    given = ImportOptions(
        folder / "shop",
        str(folder / "all.csv"),
        recipe=None,
        photos=None,
        private_links=False,
        encoder=None,
        threads=1,
        as_json=False,
    )
    task = sync.SyncTask(given, yes=True)
    table(folder, 8, price=50)
    last = sync.changed_since(folder / "all.csv", None)
    sync.once(task)
    table(folder, 12, price=50)
    sync.changed_since(folder / "all.csv", last)
    sync.once(task)


def restoring(folder: Path) -> None:
    """What the documentation says, by the system's own tar."""
    (folder / "shop").mkdir(exist_ok=True)
    os.execvp("tar", ["tar", "-xf", str(folder / "shop.tar"), "-C", str(folder / "shop")])


def prepare_backup(folder: Path) -> None:
    shop_of(24)(folder)
    with osoroi.open(folder / "shop") as shop:
        noise = np.random.default_rng(0).integers(0, 256, (24, 400, 300, 3), np.uint8)
        shop.add([{"product_id": f"n{number}", "photo": photo} for number, photo in enumerate(noise)])
    osoroi_("backup", folder / "shop", folder / "shop.tar", "--photos")
    shutil.rmtree(folder / "shop")


def putting(folder: Path) -> None:
    """Put products over HTTP, each noted once it was acknowledged, and wait until their category is learned."""
    from starlette.testclient import TestClient

    from osoroi.search import Searcher
    from osoroi.server import app
    from shop import ThreadDecoder

    with osoroi.open(folder / "shop") as shop, (folder / "acknowledged").open("a") as said:
        application = app.make(Searcher(shop.encoder, shop.storage), decoder=ThreadDecoder())
        with TestClient(application, base_url="http://127.0.0.1") as client:
            for number in range(8):
                photo = (folder / f"{COLORS[number % len(COLORS)]}.png").read_bytes()
                form = {"product": '{"category": "Vareuse"}'}
                answer = client.put(f"/v1/products/w{number}", data=form, files={"photo": photo})
                assert answer.status_code == 200, answer.text
                print(f"w{number}", file=said, flush=True)
            end = time.monotonic() + 60
            while shop.storage.unsettled():
                assert time.monotonic() < end, "never learned"
                time.sleep(0.05)


def acknowledged_puts(folder: Path) -> set[str]:
    path = folder / "acknowledged"
    return set(path.read_text().split()) if path.exists() else set()


def file_state(*names: str) -> Callable[[Path], State]:
    """Encoder files by their fingerprint."""

    def state(folder: Path) -> State:
        from osoroi.encoder import Encoder

        return {name: Encoder.open(folder / name).fingerprint for name in names if (folder / name).exists()}

    return state


def prepare_quantize(folder: Path) -> None:
    from small_encoder import write_encoder

    write_encoder(folder / "encoder.onnx")


def quantizing(folder: Path) -> None:
    osoroi_("encoder", "quantize", folder / "encoder.onnx", "--calibrate", "drawn:4", "--pairs", "drawn:4:3", "--force")


def prepare_make(folder: Path) -> None:
    from brought import Tokens, save, siglip_config, write_json

    write_json(folder / "model" / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), folder / "model" / "model.onnx")


def making(folder: Path) -> None:
    from osoroi.pretrained.make import make

    make(folder / "model", folder / "made.onnx")


def experimenting(folder: Path) -> None:
    (folder / "plan.toml").write_text(PLAN)
    osoroi_("experiment", folder / "plan.toml", "--out", folder / "out", "--device", "cpu", "--no-photos")


def outcomes(folder: Path) -> State:
    """What training and evaluation gave, without how long it took."""
    from osoroi.evaluation import results

    found: State = {}
    for path in (folder / "out" / "runs").rglob("outcome.json"):
        metrics = json.loads(path.read_text())["metrics"]
        found[str(path.relative_to(folder))] = {name: round(one, 5) for name, one in metrics.items()}
    for path in (folder / "out" / "evaluations").rglob("*.json"):
        found[str(path.relative_to(folder))] = repr(results.read(path).queries)
    return found


PLAN = """
title = "Small"
reference = "one"
columns = ["tops"]
[evaluation.drawn]
dataset = "drawn:24:9"
[[system]]
name = "one"
dataset = "drawn:54:3"
recipe = "frozen"
set = ["epochs=2", "dim=16"]
seeds = [0]
evaluations = ["drawn"]
"""


WORKS = {
    "learn": Work(
        shop_of(3), lambda folder: osoroi_("add", folder / "shop", table(folder, 12)), catalog_state, settles=True
    ),
    "load": Work(prepare_load, loading, catalog_state),
    "remove": Work(shop_of(24), removing, catalog_state),
    "sync": Work(shop_of(6), syncing, catalog_state, settles=True),
    "watch": Work(shop_of(6), watching, catalog_state, settles=True),
    "restore": Work(prepare_backup, restoring, catalog_state),
    "http": Work(shop_of(6), putting, catalog_state, acknowledged_puts, settles=True),
    "quantize": Work(prepare_quantize, quantizing, file_state("encoder.int8.onnx")),
    "make": Work(prepare_make, making, file_state("made.onnx")),
    "experiment": Work(lambda folder: None, experimenting, outcomes),
}


def forked(do: Callable[[Path], None], folder: Path, kill_after_s: float | None) -> bool:
    """Do a work in a process of its own; whether it was killed before its end. Raises AssertionError where it fails."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with (folder / "log").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            do(folder)
            code = 0
        except BaseException:  # noqa: BLE001  never back into the loop of the parent
            traceback.print_exc()
        os._exit(code)
    timer = threading.Timer(kill_after_s or 0, kill, (child,))
    if kill_after_s is not None:
        timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0, (folder / "log").read_text()[-3000:]
    return killed


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def left_behind(folder: Path, before: set[str]) -> list[str]:
    """Files that are there, were not, and are no parts of files."""
    return sorted(
        name for name in names_in(folder) - before if not (name.rpartition("/")[2].startswith(".") and PART in name)
    )


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def sound(work: Work, folder: Path, before: State, after: State) -> None:
    """Whether what a kill has left is sound: products as they were or as they are to be, and all acknowledged ones."""
    try:
        found = work.state(folder)
    except OsoroiError:
        assert work.do is restoring, "only a backup that is half unpacked is refused"
        return
    whole = 1 if work.settles else None
    for name, row in found.items():
        ways = [state[name] for state in (before, after) if name in state]
        assert any(row == way or (whole and row[:1] == way[:1]) for way in ways), f"{name} is neither old nor new"
    assert work.acknowledged(folder) <= found.keys(), "an acknowledged product is lost"
    if work.do is not removing:
        assert before.keys() <= found.keys(), f"{before.keys() - found.keys()} are lost"
    if is_catalog(folder / "shop"):
        assert check(folder / "shop") == []


def tried(name: str, kills: int, seed: int, place: Path) -> str:
    """Kill one work so many times; a line of what came of it."""
    work, rng = WORKS[name], random.Random(f"{seed} {name}")
    base, whole = place / "base", place / "whole"
    base.mkdir()
    work.prepare(base)
    shutil.copytree(base, whole)
    start = time.monotonic()
    forked(work.do, whole, None)
    took_s = time.monotonic() - start
    forked(work.do, whole, None)  # again, as after a kill: it changes nothing
    before, after, names = work.state(base), work.state(whole), names_in(whole)
    assert before != after, "it does nothing"
    killed = halfway = 0
    for number in range(kills):
        folder = place / "shop"
        shutil.copytree(base, folder)
        killed += forked(work.do, folder, rng.random() * took_s)
        try:
            sound(work, folder, before, after)
            with contextlib.suppress(OsoroiError):
                halfway += work.state(folder) not in (before, after)
            forked(work.do, folder, None)
            found = work.state(folder)
            assert found == after, {key for key in {*found, *after} if found.get(key) != after.get(key)}
            assert (left := left_behind(folder, names)) == [], left
        except AssertionError as error:
            raise AssertionError(f"{name}, kill {number} of seed {seed}: {error} (see {folder})") from error
        shutil.rmtree(folder)
    return (
        f"{name}: {killed} of {kills} killed, {halfway} halfway; all sound, and brought to their end ({took_s:.1f} s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each work")
    parser.add_argument("--only", choices=sorted(WORKS), action="append")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    for name in options.only or WORKS:
        place = Path(tempfile.mkdtemp(prefix="osoroi-killed-"))  # stays where something fails
        print(tried(name, options.kills, options.seed, place), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
