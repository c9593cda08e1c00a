"""What systemd, or another service manager that speaks its protocols, gives a process and wants to know of it."""

import os
import socket
from collections.abc import Mapping

from osoroi.errors import BadRequest

FIRST = 3
"""The first descriptor that is handed over."""


def listening_sockets(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that were handed over (``LISTEN_FDS``); none where nobody did. Raises BadRequest for another kind.

    They stay open when this process ends, so connections that come meanwhile wait for the next one.
    """
    count, process = environment.get("LISTEN_FDS", ""), environment.get("LISTEN_PID", str(os.getpid()))
    if not count.isdecimal() or process != str(os.getpid()):
        return []
    sockets = [socket.socket(fileno=FIRST + number) for number in range(int(count))]
    for one in sockets:
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
            raise BadRequest("a socket that was handed over is none of TCP", hint="use ListenStream=127.0.0.1:8008")
        one.set_inheritable(False)  # a worker that held it would keep it open
    return sockets


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell the manager: ``READY=1``, ``STOPPING=1``. Nothing where nobody wants to know."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
