"""A server of sockets that stands before another one, each session on a thread of its own."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod


class TcpFront(ABC):
    """Listens on ``port`` of loopback for a ``server`` behind it, until it is closed."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @abstractmethod
    def session(self, client: socket.socket) -> None:
        """Serve one client."""

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self.session, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
