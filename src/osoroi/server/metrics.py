"""What the service counts of itself, as Prometheus reads it. Labels are routes, never what was asked."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the buckets of seconds."""


class Histogram:
    """Counts by upper edge, with sum and number.

    >>> seconds = Histogram()
    >>> for value in (0.004, 0.03, 99.0): seconds.observe(value)
    >>> list(seconds.lines("took_seconds", 'route="/"'))[:4]  # doctest: +NORMALIZE_WHITESPACE
    ['took_seconds_bucket{route="/",le="0.005"} 1', 'took_seconds_bucket{route="/",le="0.01"} 1',
     'took_seconds_bucket{route="/",le="0.025"} 1', 'took_seconds_bucket{route="/",le="0.05"} 2']
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(EDGES, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Cumulated buckets, sum and count."""
        comma = "," if labels else ""
        below = 0
        for edge, count in zip((*map(str, EDGES), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels}{comma}le="{edge}"}} {below}'
        braces = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{braces} {self.total:.6f}"
        yield f"{name}_count{braces} {below}"


class Counters:
    """All counts of one process."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.seconds: dict[str, Histogram] = defaultdict(Histogram)
        self.encode = Histogram()
        self.crops = 0
        self.batches = 0

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request that was answered."""
        self.requests[method, route, status] += 1
        self.seconds[route].observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch that was encoded."""
        self.batches += 1
        self.crops += size
        self.encode.observe(seconds)

    def text(self, gauges: Mapping[str, float | int]) -> str:
        """Everything counted, and ``gauges`` as they stand now."""
        lines = ["# TYPE osoroi_requests_total counter"]
        for (method, route, status), count in sorted(self.requests.items()):
            lines.append(f'osoroi_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
        lines.append("# TYPE osoroi_request_seconds histogram")
        for route, histogram in sorted(self.seconds.items()):
            lines += histogram.lines("osoroi_request_seconds", f'route="{route}"')
        lines.append("# TYPE osoroi_encode_seconds histogram")
        lines += self.encode.lines("osoroi_encode_seconds", "")
        for name, count in (("encoded_crops_total", self.crops), ("encoded_batches_total", self.batches)):
            lines += [f"# TYPE osoroi_{name} counter", f"osoroi_{name} {count}"]
        for name, value in gauges.items():
            lines += [f"# TYPE osoroi_{name} gauge", f"osoroi_{name} {value:g}"]
        return "\n".join(lines) + "\n"
