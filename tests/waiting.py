"""Waiting for what must come, as long as a busy machine needs; never for what a fixed time hopes for."""

import time
from collections.abc import Callable

import web

LONG_S = 60.0
"""Seconds after which a test fails that waits for what must come."""


def until(condition: Callable[[], object], what: str = "what must come") -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {LONG_S:g} s"
        time.sleep(0.01)


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes on this machine, as busy as it is now."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def gauge(url: str, name: str) -> float:
    """A number of a service's /metrics: ``searches_inside``, ``upload_bytes``, ``connections``, …"""
    lines = web.get(f"{url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"osoroi_{name} ")).split()[1])
