"""Whether the service's memory levels off: mixed searches from eight clients, a costly photo now and then.

    python benchmarks/plateau.py --searches 2000

Prints the resident memory of the service's own process and of all with its workers, a line for each twentieth, and
fails (exit code 1) where the last tenth has more than 1.15 times what the service had after the first fifth.
"""

import argparse
import concurrent.futures
import io
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from bombs import small_shop
from PIL import Image
from processes import Service, memory_bytes

from costly_photos import COSTLY, REFUSED

CLIENTS = 8
GROWTH = 1.15
COSTLY_EACH = 40
"""Every so many searches one is by a costly photo, and another by one that is refused."""
SIZES = ((240, 320), (600, 800), (800, 1200), (1500, 2000), (3000, 2000))
CHEAP = ("JPEG of 50 MP", "JPEG of 9 MP, 70 scans more", "BMP of 49 MP in runs")


def photos() -> list[bytes]:
    """Photos of several sizes and formats, with something in them."""
    rng, made = np.random.default_rng(0), []
    for width, height in SIZES:
        small = Image.fromarray(rng.integers(0, 255, (12, 9, 3), dtype=np.uint8))
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
        for kind in ("JPEG", "PNG", "WEBP") if width < 1500 else ("JPEG",):
            file = io.BytesIO()
            picture.save(file, kind)
            made.append(file.getvalue())
    return made


def status(client: httpx.Client, number: int, shots: list[bytes], bombs: list[bytes]) -> int:
    """The status of one request; 0 where the service let the connection go, as it does with clients that are slow."""
    try:
        return request(client, number, shots, bombs)
    except httpx.TransportError:
        return 0


def request(client: httpx.Client, number: int, shots: list[bytes], bombs: list[bytes]) -> int:
    """One request of a mixture; its status."""
    dice = random.Random(number)
    if number % COSTLY_EACH in (0, 1):
        return client.post("/v1/search", files={"photo": dice.choice(bombs)}).status_code
    if number % 11 == 2:
        return client.get("/", params={"product": "p", "below": str(number)}).status_code
    if number % 29 == 3:
        return client.post("/results", files={"photo": dice.choice(shots)}).status_code
    fields = {"k": str(1 + number % 50)} | ({"where": f"price <= {number}"} if number % 5 == 0 else {})
    return client.post("/v1/search", files={"photo": dice.choice(shots)}, data=fields).status_code


def resident_mb(service: Service) -> float:
    """Resident memory of the service's own process."""
    return memory_bytes(service.process.pid) / 1e6


def main() -> int:
    """Run it and compare the end with the beginning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=2000)
    count = parser.parse_args().searches
    shots, levels = photos(), list[float]()
    bombs = [COSTLY[name]() for name in CHEAP] + [make() for name, (make, _) in REFUSED.items() if "30 MiB" not in name]
    with tempfile.TemporaryDirectory() as place:
        service = small_shop(Path(place))
        try:
            print(f"at the start {resident_mb(service):.0f} MB")
            block, statuses = max(1, count // 20), Counter[int]()
            before = service.cpu_s()
            with (
                concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool,
                httpx.Client(base_url=service.url, timeout=90) as client,
            ):
                for first in range(0, count, block):
                    numbers = range(first, min(first + block, count))
                    statuses.update(pool.map(lambda number: status(client, number, shots, bombs), numbers))
                    levels.append(resident_mb(service))
                    used = f"{service.memory_mb():.0f} MB, {service.cpu_s() - before:.0f} CPU s"
                    print(f"{numbers.stop} requests: {levels[-1]:.0f} MB; with its workers {used}", flush=True)
            print(f"answers: {dict(statuses)}")
        finally:
            service.stop()
    after, end = levels[len(levels) // 5], max(levels[-max(1, len(levels) // 10) :])
    print(f"after a fifth {after:.0f} MB, at the end {end:.0f} MB, {end / after:.2f} times (at most {GROWTH})")
    return int(end > GROWTH * after or 500 in statuses)


if __name__ == "__main__":
    sys.exit(main())
