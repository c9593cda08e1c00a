"""A reverse proxy in front of a service, as small as it can be: it takes a prefix off, or leaves it, and with ``tidy``
treats paths as nginx does where ``proxy_pass`` has a path: decoded, ``//`` merged, encoded again."""

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Proxy"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        target = self.server.target(self.path)
        if target is None:
            self.send_error(404)
            return
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        upstream.request(self.command, target, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client is gone
            self._answer(answer, content)
        upstream.close()

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str, prefix: str, *, strips: bool, tidy: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        host, port = upstream.removeprefix("http://").split(":")
        self.upstream = (host, int(port))
        self.prefix, self.strips, self.tidy = prefix, strips, tidy

    def target(self, path: str) -> str | None:
        """The path that the service is asked for; None where the proxy has nothing there."""
        if path != self.prefix and not path.startswith((self.prefix + "/", self.prefix + "?")):
            return None
        if self.strips:
            path = path.removeprefix(self.prefix) or "/"
        if self.tidy:
            path, mark, query = path.partition("?")
            path = quote(re.sub("//+", "/", unquote(path))) + mark + query
        return path


@contextlib.contextmanager
def proxied(upstream: str, prefix: str, *, strips: bool, tidy: bool = False) -> Iterator[str]:
    """A proxy on a free port; gives the address of the service behind it, with the prefix."""
    proxy = Proxy(upstream, prefix, strips=strips, tidy=tidy)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}{prefix}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join(60)
