"""A store that speaks as much of S3 as photos need, on loopback, and fails in the ways that a test asks for."""

import contextlib
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI"

SILENCE = -1
"""The failure of a store that says nothing."""


class Store:
    """Buckets and their objects; ``failure`` is what every request meets: a status, or SILENCE until it changes;
    an answer takes ``delay_s`` seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.buckets: dict[str, dict[str, bytes]] = {"photos": {}}
        self.requests: list[str] = []
        self.failure = 0
        self.delay_s = 0.0
        self.most_at_once = 0
        self._counting = threading.Lock()
        self._at_once = 0

    @property
    def photos(self) -> dict[str, bytes]:
        """Objects of the bucket ``photos`` by the last part of their keys."""
        return {key.rpartition("/")[2]: data for key, data in self.buckets["photos"].items()}

    def spoil(self, data: bytes | None) -> None:
        """Put other bytes in the place of every object, or none."""
        objects = self.buckets["photos"]
        for key in list(objects):
            objects.pop(key) if data is None else objects.update({key: data})

    def answer(self, method: str, path: str, signed: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a request."""
        with self._counting:
            self.requests.append(method)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self._answer(method, path, signed, body)
        finally:
            with self._counting:
                self._at_once -= 1

    def _answer(self, method: str, path: str, signed: str, body: bytes) -> tuple[int, bytes]:
        time.sleep(self.delay_s)
        while self.failure == SILENCE:
            time.sleep(0.02)
        if f"Credential={KEY}/" not in signed or self.failure:
            return self.failure or 403, _error(KEY)
        address = urlsplit(path)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        objects = self.buckets.get(bucket)
        if objects is None:
            return 404, _error("NoSuchBucket")
        if method == "POST":
            names = [one.text or "" for one in ET.fromstring(body).iter() if one.tag.endswith("Key")]
            for name in names:
                objects.pop(name, None)
            deleted = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
            return 200, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        if method == "PUT":
            objects[key] = body
            return 200, b""
        if not key:
            prefix = parse_qs(address.query).get("prefix", [""])[0]
            rows = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(data)}</Size>"
                '<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>'
                for name, data in objects.items()
                if name.startswith(prefix)
            )
            return 200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
        return (200, objects[key]) if key in objects else (404, _error("NoSuchKey"))


def _error(what: str) -> bytes:
    return f"<Error><Code>{what}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode()


@contextlib.contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with the bucket ``photos``, as the environment describes it. Skips the test where obstore is missing."""
    pytest.importorskip("obstore", reason="needs the package obstore: pip install 'osoroi[bucket]'")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = store.answer(self.command, self.path, self.headers.get("authorization", ""), body)
            with contextlib.suppress(OSError):  # who asked has given up
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.send_header("etag", '"x"')
                self.send_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

        do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815 (its names)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store = Store(f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield store
    finally:
        store.failure = 0
        server.shutdown()
        thread.join()
        server.server_close()
