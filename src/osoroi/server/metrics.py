"""What the service counts of itself, for Prometheus. Labels are methods, routes and statuses, nothing else."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the buckets of seconds."""


class Metrics:
    """All counts of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time and open files, where the platform tells
        self._requests = Counter(
            "osoroi_requests", "Requests by route.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "osoroi_request_seconds", "Seconds of a request.", ("route",), buckets=BUCKETS_S, registry=self.registry
        )
        self._encode = Histogram(
            "osoroi_encode_seconds", "Seconds of a batch.", buckets=BUCKETS_S, registry=self.registry
        )
        self._crops = Counter("osoroi_encoded_crops", "Crops that were encoded.", registry=self.registry)
        self._gauges: dict[str, Gauge] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request that was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch that was encoded."""
        self._crops.inc(size)
        self._encode.observe(seconds)

    def text(self, gauges: Mapping[str, float | int]) -> bytes:
        """Everything that was counted, and ``gauges`` as they stand now.

        >>> b"osoroi_products 5.0" in Metrics().text({"products": 5})
        True
        """
        for name, value in gauges.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(f"osoroi_{name}", f"{name} now.", registry=self.registry)
            self._gauges[name].set(value)
        return generate_latest(self.registry)
