"""Crops that arrive together are encoded together.

A free worker takes all waiting crops, up to ``batch``, and waits for no others, so a request on its own is as
fast as without the queue.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32

from osoroi.records import Input

if TYPE_CHECKING:
    from osoroi.encoder import Encoder

Vectors = Float32[np.ndarray, "b d"]


class Waiting(NamedTuple):
    """A crop with its clues, and the future of its vector."""

    input: Input
    vector: asyncio.Future[Float32[np.ndarray, "1 d"]]


class Batcher:
    """A queue before an encoder, drained by ``workers`` threads. Lives on one event loop."""

    def __init__(
        self,
        encoder: "Encoder",
        *,
        batch: int,
        workers: int = 1,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self.encoder = encoder
        self.batch = min(batch, encoder.runtime.batch) if encoder.runtime else batch
        self.on_batch = on_batch
        self._queue: deque[Waiting] = deque()
        self._free = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="encode")

    def __len__(self) -> int:
        """Crops that wait; those being encoded are not counted."""
        return len(self._queue)

    async def encode(self, crop: Input) -> Float32[np.ndarray, "1 d"]:
        """The vector of one crop. Raises what the encoder raises; a caller that is cancelled leaves the queue."""
        waiting = Waiting(crop, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start()
        return await waiting.vector

    def close(self) -> None:
        """Wait for the batches under way."""
        self._pool.shutdown()

    def _start(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)  # the loop holds tasks weakly
            task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while taken := self._take():
                await self._run(taken)
        finally:
            self._free += 1

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        while self._queue and len(taken) < self.batch:
            waiting = self._queue.popleft()
            if not waiting.vector.done():  # its request gave up
                taken.append(waiting)
        return taken

    async def _run(self, taken: Sequence[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        job = loop.run_in_executor(self._pool, self.encoder.encode_inputs, [waiting.input for waiting in taken])
        await asyncio.wait([job])
        if error := job.exception():
            for waiting in taken:
                if not waiting.vector.done():
                    waiting.vector.set_exception(error)
            return
        vectors = job.result()
        self.on_batch(len(taken), time.perf_counter() - start)
        for row, waiting in enumerate(taken):
            if not waiting.vector.done():
                waiting.vector.set_result(vectors[row : row + 1])
