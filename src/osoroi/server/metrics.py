"""What the service measures of itself: counts for Prometheus, facts for the line of a request in the log, and spans.

Labels, facts and spans are methods, routes, statuses, numbers and names of ours; never what somebody searched for.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

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


Fact = str | int | float

_facts: ContextVar[dict[str, Fact] | None] = ContextVar("facts", default=None)


class Tracing:
    """Where spans go: a tracer of OpenTelemetry, or None for nowhere."""

    tracer: Any = None


@contextmanager
def facts_of_request() -> Iterator[dict[str, Fact]]:
    """What ``note`` collects while the block runs."""
    facts: dict[str, Fact] = {}
    token = _facts.set(facts)
    try:
        yield facts
    finally:
        _facts.reset(token)


def note(**facts: Fact) -> None:
    """Add facts to the line of this request; numbers that are there already add up."""
    known = _facts.get()
    if known is not None:
        for name, value in facts.items():
            before = known.get(name)
            if isinstance(before, int | float) and isinstance(value, int | float):
                known[name] = round(before + value, 1)
            else:
                known[name] = value


@contextmanager
def stage(name: str) -> Iterator[None]:
    """One stage of answering a request: its milliseconds go to the line of the request, and a span to the trace."""
    start = time.perf_counter()
    with span(name):
        try:
            yield
        finally:
            note(**{f"{name}_ms": round(1000 * (time.perf_counter() - start), 1)})


@contextmanager
def span(name: str) -> Iterator[Any]:
    """A span of this name inside the current one; None where nothing is traced."""
    if Tracing.tracer is None:
        yield None
        return
    with Tracing.tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        yield current


@contextmanager
def request_span(method: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """The span of a request, in the trace that its headers name; None where nothing is traced."""
    if Tracing.tracer is None:
        yield None
        return
    from opentelemetry import propagate, trace

    with Tracing.tracer.start_as_current_span(
        method,
        context=propagate.extract(headers),
        kind=trace.SpanKind.SERVER,
        record_exception=False,  # a message may name what was searched for
        set_status_on_exception=False,
    ) as current:
        yield current


def finish(current: Any, method: str, route: str, status: int) -> None:
    """Say what a request's span was."""
    if current is not None:
        current.update_name(f"{method} {route}")
        current.set_attributes(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
