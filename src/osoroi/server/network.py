"""The address under which other devices of the same network find this machine."""

import socket
from collections.abc import Callable

EVERYWHERE = ("", "0.0.0.0", "::")
"""Hosts that mean all addresses of a machine."""

ELSEWHERE = ("198.51.100.1", 9)
"""An address of nobody (TEST-NET-2). Asking the system for the way there sends nothing."""


def outward() -> str | None:
    """The address of this machine towards other networks; None where it has no way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def page_for_others(host: str, port: int, address: Callable[[], str | None] = outward) -> str | None:
    """The page for a phone in the same network, where the service listens on all addresses and there is a network.

    >>> page_for_others("0.0.0.0", 8008, lambda: "192.168.1.20"), page_for_others("127.0.0.1", 8008)
    ('http://192.168.1.20:8008/', None)
    """
    found = address() if host in EVERYWHERE else None
    return None if found is None or found.startswith("127.") else f"http://{found}:{port}/"
