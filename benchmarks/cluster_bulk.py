"""How much faster two workers embed in bulk than one: parts as ``osoroi add --ray`` makes them, in processes.

The same photos are added by one process as one part, and by two processes at once as two parts, in turn, each time to a
new catalog in PostgreSQL. Stated are seconds of CPU of the processes and of the server, and the seconds that passed. On
idle cores nobody waits for a core, so two workers are faster by what the CPU of one alone is of that of the busier one;
what waits for the disk or for another's commit is not in it.

    python benchmarks/cluster_bulk.py --photos 192 --rounds 3
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog.address import place_of
from osoroi.catalog.opening import create_catalog, encoder_of, open_catalog
from osoroi.cluster.bulk import BulkTask
from osoroi.encoder import Encoder
from osoroi.tables import TableShard
from postgres import running, schema_of

SIDE = 800


class Worked(NamedTuple):
    """What a part took its process, without what opening the encoder takes: seconds of CPU, and those that passed."""

    embedded: int
    cpu_s: float
    wall_s: float


def work(task: BulkTask, shard: TableShard) -> Worked:
    """Add a part."""
    with open_catalog(task.place) as catalog:
        encoder_of(catalog)  # what is loaded once stays loaded
    begin, cpu = time.monotonic(), time.process_time()
    part = task.run(shard)
    return Worked(part.count.embedded, time.process_time() - cpu, time.monotonic() - begin)


def photos(folder: Path, count: int) -> Path:
    """A table of smooth photos with some edges."""
    rng = np.random.default_rng(0)
    lines = ["product_id,photo,category"]
    for number in range(count):
        small = rng.integers(0, 255, (12, 12, 3), np.uint8)
        picture = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.paste(tuple(rng.integers(0, 255, 3).tolist()), (200, 150, 600, 700))
        picture.save(folder / f"{number}.jpg", quality=90)
        lines.append(f"p{number},{number}.jpg,dress")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


def server_s(folder: Path) -> float:
    """Seconds of CPU of all processes of the server of a folder, those that ended too."""
    postmaster = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def added(pool: ProcessPoolExecutor, url: str, table: Path, workers: int) -> Sequence[Worked]:
    """Add the table to a new catalog."""
    place, encoder = place_of(schema_of(url)), Encoder.open()
    create_catalog(place, fingerprint=encoder.fingerprint, dim=encoder.dim, parts=encoder.parts).close()
    task = BulkTask(place, f"table:{table}")
    return list(pool.map(work, [task] * workers, [TableShard(one + 1, workers) for one in range(workers)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    speedups = []
    with tempfile.TemporaryDirectory(prefix="osoroi-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "pg").mkdir()
        os.environ["OSOROI_CACHE"] = f"{temporary}/cache"
        table = photos(folder, chosen.photos)
        with running(folder / "pg") as server, ProcessPoolExecutor(2, get_context("spawn")) as pool:
            list(pool.map(len, ["a", "b"]))
            for turn in range(chosen.rounds + 1):
                spent = {}
                for workers in (1, 2):
                    before = server_s(folder / "pg")
                    parts = added(pool, server.url(), table, workers)
                    assert sum(one.embedded for one in parts) == chosen.photos
                    spent[workers] = [one.cpu_s for one in parts]
                    if turn:
                        wall = max(one.wall_s for one in parts)
                        served = server_s(folder / "pg") - before
                        cpu = ", ".join(f"{one.cpu_s:.2f}" for one in parts)
                        print(f"{workers} workers: CPU {cpu} s, server {served:.2f} s, wall {wall:.1f} s", flush=True)
                if turn:  # the first round warms up
                    speedups.append(spent[1][0] / max(spent[2]))
    print(f"faster by {np.mean(speedups):.2f} [{min(speedups):.2f}, {max(speedups):.2f}] by CPU of the busier worker")


if __name__ == "__main__":
    main()
