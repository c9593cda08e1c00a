"""How much work something was, told against a fixed piece of work beside it: no machine is slow enough to matter."""

import time

PIECES = 5


def unit_s() -> float:
    """The shortest processor time of a fixed piece of work: about 10 ms."""
    times = []
    for _ in range(PIECES):
        start = time.process_time()
        counts: dict[str, int] = {}
        for number in range(60_000):
            word = f"word{number % 7_000}"
            counts[word] = counts.get(word, 0) + 1
        times.append(time.process_time() - start)
    return min(times)


class Effort:
    """The processor time of a block in `units`. A bound lies far from what is right and far from what a fault costs."""

    def __enter__(self) -> "Effort":
        self._unit_s = unit_s()
        self._start_s = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_s = time.process_time()

    @property
    def units(self) -> float:
        return (self._end_s - self._start_s) / self._unit_s
