"""From a photo of somebody to its lists of products: seconds and processor time, of the service and in a browser.

    OMP_NUM_THREADS=1 python benchmarks/page.py                 # a drawn shop of 500 products
    OMP_NUM_THREADS=1 python benchmarks/page.py --catalog shop  # a catalog of one's own
    OMP_NUM_THREADS=1 python benchmarks/page.py --browser       # also from the drop to what people see

Photos are drawn people, 800 x 1,200 pixels. The first one warms everything up and is not counted. Processor time is
that of the service with its decoding processes; the medians of all photos are printed.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import processes
from PIL import Image

from osoroi import ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.data.readers import open_dataset
from osoroi.data.synthetic.outfits import outfits
from osoroi.encoder import Encoder
from osoroi.server.pages.routes import NEXT

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from shop import serving


def cpu_s() -> float:
    """Processor seconds of this process and its children that run."""
    return time.process_time() + sum(map(processes.cpu_s, processes.children(os.getpid())))


def snap(number: int) -> bytes:
    """The photo of one drawn person."""
    file = io.BytesIO()
    Image.fromarray(outfits(5, number, size=(800, 1200)).photo).save(file, "JPEG", quality=92)
    return file.getvalue()


def streamed(client: httpx.Client, photo: bytes) -> dict[str, float]:
    """One photo, as the page sends it: to the end of the first list, and of all."""
    start, used, first, text = time.perf_counter(), cpu_s(), 0.0, b""
    with client.stream("POST", "/results", files={"photo": photo}, data={"others": "1"}) as answer:
        for piece in answer.iter_raw():
            text += piece
            first = first or (time.perf_counter() - start if NEXT in text else 0.0)
    wall, cpu = time.perf_counter() - start, cpu_s() - used
    lists = max(1, text.count(NEXT))
    return {"lists": lists, "first_ms": 1000 * (first or wall), "all_ms": 1000 * wall, "cpu_ms": 1000 * cpu}


def found(client: httpx.Client, photo: bytes) -> dict[str, float]:
    """Finding its garments alone."""
    start, used = time.perf_counter(), cpu_s()
    client.post("/v1/find", files={"photo": photo}).raise_for_status()
    return {"find_ms": 1000 * (time.perf_counter() - start), "find_cpu_ms": 1000 * (cpu_s() - used)}


def seen(url: str, photos: list[bytes]) -> list[dict[str, float]]:
    """In a browser: from choosing the file to the first list, and to the last one."""
    from playwright.sync_api import expect, sync_playwright

    rows = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for photo in photos:
            page = browser.new_page()
            page.goto(url)
            start = time.perf_counter()
            page.set_input_files("#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo})
            expect(page.locator("#garments .garment, .outcome[data-searching=yes]").first).to_be_visible()
            rows.append({"browser_first_ms": 1000 * (time.perf_counter() - start)})
            page.wait_for_load_state("networkidle")
            page.close()
        browser.close()
    return rows


@contextlib.contextmanager
def shop(path: Path | None, encoder: Encoder) -> Iterator[LocalCatalog]:
    """The catalog to search in."""
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "shop"
            with LocalCatalog.open_or_create(path, encoder) as catalog:
                ingest.add(open_dataset("drawn:500").rows(), catalog, encoder)
        with LocalCatalog.open(path) as catalog:
            yield catalog


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    encoder, photos = Encoder.open(), [snap(number) for number in range(options.photos + 1)]
    with shop(options.catalog, encoder) as catalog, serving(encoder, catalog, processes=True) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            rows = [streamed(client, photo) | found(client, photo) for photo in photos][1:]
        rows += seen(url, photos[:4])[1:] if options.browser else []
    names = dict.fromkeys(name for row in rows for name in row)
    medians = {name: round(statistics.median([row[name] for row in rows if name in row]), 1) for name in names}
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
