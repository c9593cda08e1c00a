"""Where spans of OpenTelemetry go, as its own variables say. Where they say nothing, nothing is imported.

``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) says where spans go; all other ``OTEL_…`` variables mean what
OpenTelemetry says. A request is a span in the trace that its ``traceparent`` names; its stages are spans in it. They
hold the method, the route and the status, and nothing of what was searched for.
"""

import os
from collections.abc import Mapping
from typing import Any

from osoroi import __version__
from osoroi.errors import extra
from osoroi.server.metrics import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


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
