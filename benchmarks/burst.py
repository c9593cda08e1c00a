"""How long ``/health`` takes while many searches arrive at once, of a service whose encoder costs nothing.

    python benchmarks/burst.py --searches 140 --rounds 3

Half of the searches are the API's, half the page's. Another process asks ``/health`` every 20 ms over one connection,
so that it does not wait for this one, which sends the searches.
"""

import argparse
import asyncio
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from PIL import Image
from processes import Service

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from shop import SeeingEncoder, fill, goods

TESTS = Path(__file__).parents[1] / "tests"

WATCH = """
import http.client, select, sys, time
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
print("began", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    start = time.perf_counter()
    client.request("GET", "/health")
    client.getresponse().read()
    print(time.perf_counter() - start)
"""


def photo() -> bytes:
    """A photo of noise, 600 x 800."""
    data = io.BytesIO()
    Image.effect_noise((600, 800), 80).convert("RGB").save(data, "JPEG")
    return data.getvalue()


async def burst(url: str, count: int) -> Counter[int]:
    """So many searches at once; how many answers of each status."""
    data = photo()
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        files = {"photo": ("a.jpg", data, "image/jpeg")}
        answers = await asyncio.gather(
            *(client.post("/v1/search" if number % 2 else "/", files=files) for number in range(count))
        )
    return Counter(answer.status_code for answer in answers)


def measured(url: str, count: int) -> str:
    """One burst, in a line."""
    watch = subprocess.Popen(
        [sys.executable, "-c", WATCH, url.rpartition(":")[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout is not None
    watch.stdout.readline()
    start = time.perf_counter()
    statuses = asyncio.run(burst(url, count))
    took_s = time.perf_counter() - start
    said, _ = watch.communicate("end")
    took = [float(line) for line in said.split()]
    shown = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
    return (
        f"{shown} in {took_s:.1f} s; /health {max(took):.2f} s at most, {statistics.median(took):.3f} s in the median"
        f" of {len(took)}; load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=140)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osoroi-") as folder:
        encoder = SeeingEncoder()
        fill(Path(folder) / "shop", encoder, goods(encoder)).close()
        command = [sys.executable, str(TESTS / "tiny_service.py"), f"{folder}/shop", "--port", "0"]
        service = Service(command, Path(folder) / "log")
        try:
            for _ in range(arguments.rounds):
                print(measured(service.url, arguments.searches), flush=True)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
