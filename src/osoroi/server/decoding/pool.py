"""The service's side of the worker processes: who decodes what, and what happens to a photo that costs too much."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import osoroi
from osoroi import errors
from osoroi.errors import BadPhoto, OsoroiError, TooMuch
from osoroi.image import Limits, Photo, Reduced, inspect, truncation
from osoroi.records import Box, Preprocessing
from osoroi.server.decoding import ForegroundMap, Thumbnail, read_message, write_message
from osoroi.server.settings import Settings

HEAVY_PIXELS = 16_000_000
"""Photos of more pixels, or of an unknown number, leave one worker to the others."""


class Worker:
    """One worker process. ``call`` blocks its thread; ``kill`` may come from any other and makes it fail."""

    def __init__(self, memory_bytes: int, cpu_s: float) -> None:
        command = [sys.executable, "-P", "-m", "osoroi.server.decoding.worker", str(memory_bytes), str(cpu_s)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
        )
        self.cpu_s = cpu_s
        self._ready = False
        self._lock = threading.Lock()

    def call(self, head: dict[str, Any], photo: bytes) -> tuple[dict[str, Any], bytes]:
        """One task. Raises what the task raises, and BadPhoto where the process ended on it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if not self._ready:
                read_message(self._process.stdout)
                self._ready = True
            write_message(self._process.stdin, head, photo)
            values, body = read_message(self._process.stdout)
        except (EOFError, OSError, ValueError):  # ValueError: closed meanwhile
            self.kill()
            raise self._ended(photo) from None
        if "error" in values:
            kind = getattr(errors, values["error"], OsoroiError)
            raise kind(values["what"], hint=values["hint"])
        return values, body

    @property
    def alive(self) -> bool:
        """Whether the process can take another task."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process now, whatever it does."""
        with self._lock:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill the process and close its pipes; no call may be under way."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ended(self, photo: bytes) -> OsoroiError:
        if not self._ready:
            return TooMuch(
                "a decoding process did not start", hint="the machine may lack memory; try again in a moment"
            )
        if self._process.returncode == -getattr(signal, "SIGXCPU", 0):
            what = f"takes more than {self.cpu_s:g} seconds to decode"
        else:
            what = "could not be decoded: its decoder ended"
        return BadPhoto(f"the photo of {len(photo):,} bytes {what}", hint="save it again as a plain JPEG or PNG")


class DecodingPool:
    """A ``Decoder`` on ``size`` worker processes, started when they are first needed. Lives on one event loop.

    Waiting photos are taken in their order. Of those that look costly at most ``size`` - 1 are decoded at once (one, in
    a pool of one), so that an ordinary photo never waits for a costly one.
    """

    def __init__(self, size: int, limits: Limits, *, memory_bytes: int, cpu_s: float) -> None:
        self.limits = limits
        self.memory_bytes = memory_bytes
        self.cpu_s = cpu_s
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._free = asyncio.Semaphore(size)
        self._heavy = asyncio.Semaphore(max(1, size - 1))
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="decode")
        self._costly: set[Worker] = set()
        self._hurries = False
        self._closed = False

    @classmethod
    def of(cls, settings: Settings) -> "DecodingPool":
        """The pool of a service with these settings."""
        limits = Limits(pixels=settings.pixels, bytes=settings.body_bytes)
        return cls(settings.decoders, limits, memory_bytes=settings.decode_bytes, cpu_s=settings.decode_s)

    async def crop(self, photo: bytes, box: Box | None, preprocessing: Preprocessing) -> Photo:
        """See ``Decoder``."""
        values, body = await self._run("crop", photo, box=box, preprocessing=asdict(preprocessing))
        return np.frombuffer(body, np.uint8).reshape(values["shape"])

    async def reduced(self, photo: bytes, side: int) -> Reduced:
        """See ``Decoder``."""
        values, body = await self._run("reduced", photo, side=side)
        pixels = np.frombuffer(body, np.uint8).reshape(values["shape"])
        return Reduced(pixels, values["factor"], values["width"], values["height"])

    async def thumbnail(self, photo: bytes, width: int) -> Thumbnail:
        """See ``Decoder``."""
        values, jpeg = await self._run("thumbnail", photo, width=width)
        return Thumbnail(jpeg, values["width"], values["height"])

    async def saliency(
        self, photo: bytes, box: Box | None, preprocessing: Preprocessing, attention: ForegroundMap, width: int
    ) -> bytes:
        """See ``Decoder``."""
        values: dict[str, Any] = {"preprocessing": asdict(preprocessing), "attention": attention.tolist()}
        _, jpeg = await self._run("saliency", photo, box=box, width=width, **values)
        return jpeg

    def hurry(self) -> None:
        """See ``Decoder``."""
        self._hurries = True
        for worker in self._costly:
            worker.kill()

    def close(self) -> None:
        """Kill the workers. Calls under way fail."""
        self._closed = True
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    async def _run(self, task: str, photo: bytes, **values: Any) -> tuple[dict[str, Any], bytes]:
        head = {"task": task, "values": values, "limits": asdict(self.limits)}
        costly = is_costly(photo)
        async with self._turn(costly), self._worker(costly) as worker:
            job = asyncio.get_running_loop().run_in_executor(self._threads, worker.call, head, photo)
            try:
                return await asyncio.shield(job)
            except asyncio.CancelledError:
                worker.kill()  # its request was cancelled
                await asyncio.wait([job])
                job.exception()
                raise
            except OsoroiError:
                self._refuse_late(costly)
                raise

    def _refuse_late(self, costly: bool) -> None:
        """Raise TooMuch for a photo that the end of the service does not wait for."""
        if costly and self._hurries:
            raise TooMuch("the service is ending, and the photo takes long to decode", hint="try again in a moment")

    @contextlib.asynccontextmanager
    async def _turn(self, costly: bool) -> AsyncIterator[None]:
        async with self._heavy if costly else contextlib.nullcontext(), self._free:
            self._refuse_late(costly)
            yield

    @contextlib.asynccontextmanager
    async def _worker(self, costly: bool) -> AsyncIterator[Worker]:
        if self._closed:
            raise TooMuch("the service is ending", hint="try again in a moment")
        worker = self._idle.pop() if self._idle else self._start()
        if costly:
            self._costly.add(worker)
        try:
            yield worker
        finally:
            self._costly.discard(worker)
            if worker.alive and not self._closed:
                self._idle.append(worker)
            elif not self._closed:
                worker.close()
                self._workers.remove(worker)

    def _start(self) -> Worker:
        worker = Worker(self.memory_bytes, self.cpu_s)
        self._workers.append(worker)
        return worker


def is_costly(photo: bytes) -> bool:
    """Whether decoding a photo may take long, by what its head states.

    >>> is_costly(b"GIF89a" + b"\\x58\\x1b" * 2), is_costly(b"GIF89a" + b"\\x58\\x02" * 2)
    (True, False)
    """
    try:
        work = inspect.estimated_work(photo, truncation.kind_of(photo, "the photo"))
    except BadPhoto:
        return False
    return work is None or work > HEAVY_PIXELS


def _environment() -> Mapping[str, str]:
    """This process's, with this package importable and libraries of one thread each."""
    paths = [str(Path(osoroi.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    return os.environ | one | {"PYTHONPATH": os.pathsep.join(paths)}
