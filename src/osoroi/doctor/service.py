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

from osoroi.doctor.finding import Diagnosis
from osoroi.server import keyring
from osoroi.server.configuration import Sources
from osoroi.server.settings import is_loopback

WAIT_S = 5.0
SOON_S = 14 * 86400.0
PHOTO_BYTES = 2 * 2**20
"""Bytes of a photo that a proxy must let pass; nginx stops at one MiB by itself."""


def port(host: str, number: int) -> Diagnosis:
    """Whether a service could listen there, or one does already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, number))
        except OSError as error:
            if "version" in _json(f"http://{f'[{host}]' if ':' in host else host}:{number}/health"):
                return Diagnosis("port", "ok", f"a service of osoroi answers on {host}:{number}")
            return Diagnosis(
                "port", "fail", f"{host}:{number}: {error.strerror}", "end what listens there, or use --port"
            )
    return Diagnosis("port", "ok", f"{host}:{number} is free")


def keys(file: Path, now_s: float) -> Iterator[Diagnosis]:
    """Whether a file of keys is private, and which keys end soon."""
    if os.name == "posix" and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o027:
        hint = f"chmod 640 {file.name}, and give it to the group of the service"
        yield Diagnosis("keys", "fail" if mode & 0o022 else "warn", f"mode {mode:o}: others may open it", hint)
    entries = keyring.read(file)
    for key in entries:
        if not key.is_valid(now_s):
            yield Diagnosis("keys", "warn", f"{key.name} has expired", "osoroi keys rotate FILE NAME, or keys remove")
        elif key.expires_s is not None and key.expires_s - now_s < SOON_S:
            days = (key.expires_s - now_s) / 86400
            yield Diagnosis("keys", "warn", f"{key.name} expires in {days:.0f} days", "osoroi keys rotate FILE NAME")
    valid = [key for key in entries if key.is_valid(now_s)]
    text = f"{len(valid)} valid, {sum(key.permits('write') for key in valid)} may write"
    if any(key.permits("search") for key in valid):
        yield Diagnosis("keys", "ok", text)
    else:
        yield Diagnosis("keys", "warn", text, "without --open-reads nobody can search")


def settings(sources: Sources) -> Iterator[Diagnosis]:
    """Whether a service would start with these settings and keys."""
    limits = sources.load()
    yield Diagnosis("settings", "ok", f"{limits.searches} searches at once, {limits.decoders} decoders")
    if sources.keys_file is not None:
        yield from keys(sources.keys_file, time.time())


class ServiceAnswer(NamedTuple):
    """What came back; status 0 for nothing, and why."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""


def through(url: str) -> Iterator[Diagnosis]:
    """What a visitor of this address gets from the proxy and the service behind it."""
    base = url if url.endswith("/") else f"{url}/"
    host = urlsplit(base).hostname or ""
    health = _get(urljoin(base, "health"), headers={"X-Request-ID": "doctor-1"})
    if health.status != 200 or "version" not in _parsed(health.body):
        yield _unreached(health)
        return
    yield Diagnosis("proxy", "ok", f"version {_parsed(health.body)['version']} answers")
    if urlsplit(base).scheme != "https" and not is_loopback(host):
        yield Diagnosis(
            "TLS", "fail", "keys and photos travel in the clear", "let the proxy speak https; see docs/deploy.md"
        )
    missing = [name for name in ("x-request-id", "content-security-policy") if name not in health.headers]
    if missing:
        yield Diagnosis(
            "headers", "warn", f"the proxy drops {', '.join(missing)}", "let it pass headers of the service"
        )
    else:
        yield Diagnosis("headers", "ok", "those of the service arrive")
    yield _metrics(base)
    yield _prefix(base)
    yield _large(base)


def _unreached(health: ServiceAnswer) -> Diagnosis:
    if "CERTIFICATE_VERIFY_FAILED" in health.reason:
        hint = "renew it, or for one of your own: SSL_CERT_FILE=its.pem osoroi doctor --url …"
        return Diagnosis("TLS", "fail", f"the certificate is not trusted here: {health.reason}", hint)
    text = f"/health answers {health.status or f'nothing: {health.reason}'}"
    return Diagnosis("proxy", "fail", text, "check the address, that the service runs, and where the proxy sends it")


def _metrics(base: str) -> Diagnosis:
    if _get(urljoin(base, "metrics")).status == 200 and not is_loopback(urlsplit(base).hostname or ""):
        return Diagnosis(
            "metrics", "warn", "everybody can read them", "use a file of keys, or close /metrics in the proxy"
        )
    return Diagnosis("metrics", "ok", "not open to everybody")


def _prefix(base: str) -> Diagnosis:
    """Whether the links of the page lead back through the proxy."""
    page = _get(base, headers={"Accept": "text/html"})
    if page.status == 401:
        return Diagnosis("page", "ok", "asks for a key")
    links = re.findall(r'(?:href|src)="([^"]*static/[^"]*)"', page.body.decode("utf-8", "replace"))
    broken = [link for link in links if _get(urljoin(base, link)).status != 200]
    if not links or broken:
        text = f"{broken[0]} leads nowhere" if broken else f"it answers {page.status} without styles"
        return Diagnosis("page", "fail", text, "give the service the path of the proxy, with --root-path")
    return Diagnosis("page", "ok", f"{len(links)} styles and scripts arrive")


def _large(base: str) -> Diagnosis:
    """A photo that is none, as large as one: the service must be who refuses it."""
    form = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    body = form + b"x" * PHOTO_BYTES + b"\r\n--b--\r\n"
    answer = _get(urljoin(base, "v1/search"), body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    if "error" in _parsed(answer.body):
        return Diagnosis("uploads", "ok", f"{PHOTO_BYTES >> 20} MiB arrive")
    hint = "nginx: client_max_body_size 33m; Caddy: request_body max_size 33MB"
    return Diagnosis("uploads", "fail", f"a photo of {PHOTO_BYTES >> 20} MiB gets {answer.status or 'no answer'}", hint)


def _get(url: str, body: bytes | None = None, *, headers: Mapping[str, str] = MappingProxyType({})) -> ServiceAnswer:
    if urlsplit(url).scheme not in ("http", "https"):
        return ServiceAnswer(0, {}, b"", "no http or https")
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            names = {name.lower(): value for name, value in answer.headers.items()}
            return ServiceAnswer(answer.status, names, answer.read(2**20))
    except urllib.error.HTTPError as error:
        with error:
            names = {name.lower(): value for name, value in error.headers.items()}
            return ServiceAnswer(error.code, names, error.read(2**20))
    except (OSError, ValueError) as error:  # nothing answers, or nothing that is HTTP
        return ServiceAnswer(0, {}, b"", str(getattr(error, "reason", error)))


def _json(url: str) -> Mapping[str, object]:
    return _parsed(_get(url).body)


def _parsed(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
