"""Spans for OpenTelemetry, where an exporter is configured by its own variables. Otherwise nothing is imported.

``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) says where spans go; all other ``OTEL_…`` variables mean what
OpenTelemetry says. A request is a span in the trace that its ``traceparent`` names; its stages are spans in it. They
hold the method, the route and the status, and nothing of what was searched for.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from osoroi import __version__
from osoroi.errors import extra

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """Where spans go: a tracer of OpenTelemetry, or None for nowhere."""

    tracer: Any = None


def configure(environment: Mapping[str, str] = os.environ) -> bool:
    """Send spans where the environment says; returns whether it does. Raises MissingExtra."""
    if not any(environment.get(name) for name in ENDPOINTS):
        return False
    exporter = extra("opentelemetry.exporter.otlp.proto.http.trace_exporter", "telemetry").OTLPSpanExporter()
    processor = extra("opentelemetry.sdk.trace.export", "telemetry").BatchSpanProcessor(exporter)
    send_to(processor)
    return True


def send_to(processor: Any) -> None:
    """Give all spans to a span processor of OpenTelemetry."""
    resources = extra("opentelemetry.sdk.resources", "telemetry")
    provider = extra("opentelemetry.sdk.trace", "telemetry").TracerProvider(
        resource=resources.Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME", "osoroi"), "service.version": __version__}
        )
    )
    provider.add_span_processor(processor)
    Tracing.tracer = provider.get_tracer("osoroi", __version__)


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
