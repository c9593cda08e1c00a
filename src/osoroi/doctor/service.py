"""How a service is started: its port, keys and settings; and what comes through the proxy before it."""

import json
import os
import re
import socket
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from osoroi.doctor.finding import Finding
from osoroi.server import keyring
from osoroi.server.configuration import Sources
from osoroi.server.settings import is_loopback

WAIT_S = 5.0
SOON_S = 14 * 86400.0
PHOTO_BYTES = 2 * 2**20
"""Bytes of a photo that a proxy must let pass; nginx stops at one MiB by itself."""


def port(host: str, number: int) -> Finding:
    """Whether a service could listen there, or one does already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, number))
        except OSError as error:
            if "version" in _json(f"http://{f'[{host}]' if ':' in host else host}:{number}/health"):
                return Finding("port", "ok", f"a service of osoroi answers on {host}:{number}")
            return Finding(
                "port", "fail", f"{host}:{number}: {error.strerror}", "end what listens there, or use --port"
            )
    return Finding("port", "ok", f"{host}:{number} is free")


def keys(file: Path, now_s: float) -> Iterator[Finding]:
    """Whether a file of keys is private, and which keys end soon."""
    if os.name == "posix" and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o027:
        hint = f"chmod 640 {file.name}, and give it to the group of the service"
        yield Finding("keys", "fail" if mode & 0o022 else "warn", f"mode {mode:o}: others may open it", hint)
    entries = keyring.read(file)
    for key in entries:
        if not key.is_valid(now_s):
            yield Finding("keys", "warn", f"{key.name} has expired", "osoroi keys rotate FILE NAME, or keys remove")
        elif key.expires_s is not None and key.expires_s - now_s < SOON_S:
            days = (key.expires_s - now_s) / 86400
            yield Finding("keys", "warn", f"{key.name} expires in {days:.0f} days", "osoroi keys rotate FILE NAME")
    valid = [key for key in entries if key.is_valid(now_s)]
    text = f"{len(valid)} valid, {sum(key.permits('write') for key in valid)} may write"
    if any(key.permits("search") for key in valid):
        yield Finding("keys", "ok", text)
    else:
        yield Finding("keys", "warn", text, "without --open-reads nobody can search")


def settings(sources: Sources) -> Iterator[Finding]:
    """Whether a service would start with these settings and keys."""
    limits = sources.load()
    yield Finding("settings", "ok", f"{limits.searches} searches at once, {limits.decoders} decoders")
    if sources.keys_file is not None:
        yield from keys(sources.keys_file, time.time())


class Answer(NamedTuple):
    """What came back; status 0 for nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def through(url: str) -> Iterator[Finding]:
    """What a visitor of this address gets from the proxy and the service behind it."""
    base = url if url.endswith("/") else f"{url}/"
    host = urlsplit(base).hostname or ""
    health = _get(urljoin(base, "health"), headers={"X-Request-ID": "doctor-1"})
    if health.status != 200 or "version" not in _parsed(health.body):
        text = f"/health answers {health.status or 'nothing'}"
        yield Finding("proxy", "fail", text, "check the address, that the service runs, and where the proxy sends it")
        return
    yield Finding("proxy", "ok", f"version {_parsed(health.body)['version']} answers")
    if urlsplit(base).scheme != "https" and not is_loopback(host):
        yield Finding(
            "TLS", "fail", "keys and photos travel in the clear", "let the proxy speak https; see docs/deploy.md"
        )
    missing = [name for name in ("x-request-id", "content-security-policy") if name not in health.headers]
    if missing:
        yield Finding("headers", "warn", f"the proxy drops {', '.join(missing)}", "let it pass headers of the service")
    else:
        yield Finding("headers", "ok", "those of the service arrive")
    yield _metrics(base)
    yield _prefix(base)
    yield _large(base)


def _metrics(base: str) -> Finding:
    if _get(urljoin(base, "metrics")).status == 200 and not is_loopback(urlsplit(base).hostname or ""):
        return Finding(
            "metrics", "warn", "everybody can read them", "use a file of keys, or close /metrics in the proxy"
        )
    return Finding("metrics", "ok", "not open to everybody")


def _prefix(base: str) -> Finding:
    """Whether the links of the page lead back through the proxy."""
    page = _get(base, headers={"Accept": "text/html"})
    if page.status == 401:
        return Finding("page", "ok", "asks for a key")
    links = re.findall(r'(?:href|src)="([^"]*static/[^"]*)"', page.body.decode("utf-8", "replace"))
    broken = [link for link in links if _get(urljoin(base, link)).status != 200]
    if not links or broken:
        text = f"{broken[0]} leads nowhere" if broken else f"it answers {page.status} without styles"
        return Finding("page", "fail", text, "give the service the path of the proxy, with --root-path")
    return Finding("page", "ok", f"{len(links)} styles and scripts arrive")


def _large(base: str) -> Finding:
    """A photo that is none, as large as one: the service must be who refuses it."""
    form = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    body = form + b"x" * PHOTO_BYTES + b"\r\n--b--\r\n"
    answer = _get(urljoin(base, "v1/search"), body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    if "error" in _parsed(answer.body):
        return Finding("uploads", "ok", f"{PHOTO_BYTES >> 20} MiB arrive")
    hint = "nginx: client_max_body_size 33m; Caddy: request_body max_size 33MB"
    return Finding("uploads", "fail", f"a photo of {PHOTO_BYTES >> 20} MiB gets {answer.status or 'no answer'}", hint)


def _get(url: str, body: bytes | None = None, *, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
    if urlsplit(url).scheme not in ("http", "https"):
        return Answer(0, {}, b"")
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, names, answer.read(2**20))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, {name.lower(): value for name, value in error.headers.items()}, error.read(2**20))
    except (OSError, ValueError):  # nothing answers, or nothing that is HTTP
        return Answer(0, {}, b"")


def _json(url: str) -> Mapping[str, object]:
    return _parsed(_get(url).body)


def _parsed(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
