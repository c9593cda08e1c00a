"""Ports for servers that have to be told theirs."""

import random
import socket

BELOW = range(15_000, 30_000)
"""Below those that systems give to outgoing connections, one of which may take a port between choice and use."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    for _ in range(100):
        port = random.SystemRandom().choice(BELOW)  # another process with the same seed chooses the same
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")
