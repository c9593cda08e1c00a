"""HTTP by hand: what no client library sends."""

import contextlib
import socket
from collections.abc import Iterator

TIMEOUT_S = 60.0
"""Seconds without a byte after which a test fails; none waits for them to pass."""


def raw(url: str, data: bytes) -> bytes:
    """What comes back for these bytes until the service closes the connection. Raises TimeoutError."""
    with connected(url) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


@contextlib.contextmanager
def connected(url: str, *, window: int | None = None) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.settimeout(TIMEOUT_S)
        if window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.connect((host, int(port)))
        yield connection


def post(photo: bytes, path: bytes = b"/") -> bytes:
    body = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' + photo + b"\r\n--b--\r\n"
    return (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: %d\r\n\r\n" % (path, len(body)) + body
    )
