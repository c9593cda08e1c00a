"""``osoroi doctor`` notices each thing that it looks for, and says what to do."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from osoroi.catalog.address import place_of
from osoroi.catalog.opening import create_catalog
from osoroi.cli import main
from osoroi.doctor import installation, service, stored
from osoroi.encoder import Encoder
from osoroi.server import keyring
from shop import SeeingEncoder, fill, goods, serving
from shops import create, entry


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "shop"
    encoder = Encoder.open()
    fill(folder, encoder, goods(encoder)).close()
    return folder


def doctor(*words: object) -> tuple[Result, dict[str, str]]:
    """A run, and the worst status of each name."""
    done = CliRunner().invoke(main, ["doctor", *map(str, words), "--json"])
    statuses: dict[str, str] = {}
    for finding in json.loads(done.stdout):
        statuses[finding["name"]] = max(statuses.get(finding["name"], "ok"), finding["status"], key=RANK.index)
    return done, statuses


RANK = ["ok", "warn", "fail"]


def test_a_sound_installation_and_catalog_are_ok(shop):
    done, statuses = doctor(shop)
    assert done.exit_code == 0
    names = {"osoroi", "packages", "memory", "open files", "clock", "catalog", "writable", "locks", "encoder", "port"}
    assert names <= set(statuses)
    assert statuses["encoder"] == statuses["catalog"] == statuses["photos"] == statuses["locks"] == "ok"
    plain = CliRunner().invoke(main, ["doctor", str(shop)]).stdout
    assert any(line.startswith("ok    encoder") for line in plain.splitlines())


def test_a_catalog_of_another_encoder_and_one_that_is_none_fail(tmp_path):
    encoder = SeeingEncoder()
    fill(tmp_path / "other", encoder, goods(encoder)).close()
    done, statuses = doctor(tmp_path / "other")
    assert (done.exit_code, statuses["encoder"]) == (1, "fail")
    assert "osoroi reencode" in done.stdout
    done, statuses = doctor(tmp_path / "nothing")
    assert (done.exit_code, statuses["catalog"]) == (1, "fail")
    assert statuses["packages"] == "ok"  # and the rest is looked at all the same


def test_a_catalog_in_postgresql_is_opened_and_its_password_is_never_shown(postgres_address):
    encoder = Encoder.open()
    create_catalog(place_of(postgres_address), fingerprint=encoder.fingerprint, dim=encoder.dim).close()
    done, statuses = doctor(postgres_address)
    assert (done.exit_code, statuses["catalog"], statuses["encoder"]) == (0, "ok", "ok"), done.stdout
    assert "writable" not in statuses, "what is asked of a folder"
    for address in (f"{postgres_address}_none", "postgresql://ann:pass%20word@127.0.0.1:1/shops"):
        done, statuses = doctor(address)
        assert (done.exit_code, statuses["catalog"]) == (1, "fail")
        assert "the catalog postgresql://" in done.stdout or "no catalog at postgresql://" in done.stdout
        assert "pass%20word" not in done.output
        assert "pass word" not in done.output


def test_a_folder_of_photos_that_was_moved_is_told(place, tmp_path):
    (tmp_path / "pictures").mkdir()
    paths = [tmp_path / "pictures" / f"{number}.jpg" for number in range(45)]
    for path in paths:
        path.write_bytes(path.name.encode())
    kept = entry("kept", [1, 0, 0, 0])
    with create(place, kept, *(entry(path.stem, [1, 0, 0, 0], photo=path) for path in paths)) as catalog:
        some = stored.some_photos(catalog)
        assert 10 <= len(some) <= stored.PHOTOS
        assert stored.photos(some).status == "ok"
        (tmp_path / "pictures").rename(tmp_path / "elsewhere")
        finding = stored.photos(some)
        assert (finding.status, f"{len(some)} of {len(some)}" in finding.text) == ("warn", True)
        Path(some[0]).mkdir(parents=True)
        assert f"{len(some)} of {len(some)}" in stored.photos(some).text, "a folder in its place is no photo"
        catalog.remove([path.stem for path in paths])
        assert stored.photos(stored.some_photos(catalog)).status == "ok"


def test_packages_that_are_old_or_missing_fail():
    findings = list(installation.packages(["numpy>=99", "no-such-package>=1", "click>=8", "x; extra == 'y'"]))
    assert [(one.status, one.text.split(" is ")[0]) for one in findings] == [
        ("fail", "numpy"),
        ("fail", "no-such-package"),
    ]


def test_keys_that_others_may_write_or_that_end_soon_are_told(tmp_path):
    if os.name != "posix":
        pytest.skip("modes of POSIX")
    file, now_s = tmp_path / "keys.toml", time.time()
    made = [keyring.create(name, ("search",), days=days)[1] for name, days in (("old", 0.0), ("soon", 3.0))]
    keyring.write(file, made)
    assert [(one.status, one.text.split()[0]) for one in service.keys(file, now_s + 1)] == [
        ("warn", "old"),
        ("warn", "soon"),
        ("ok", "1"),
    ]
    file.chmod(0o666)
    assert next(service.keys(file, now_s)).status == "fail"
    file.write_text("nonsense")
    done, statuses = doctor("--keys", file)
    assert (done.exit_code, statuses["settings"]) == (1, "fail")


def test_a_port_in_use_fails_unless_a_service_of_ours_is_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert service.port("127.0.0.1", other.getsockname()[1]).status == "fail"
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as url:
        finding = service.port("127.0.0.1", int(url.rpartition(":")[2]))
    assert (finding.status, "a service of osoroi answers" in finding.text) == ("ok", True)


def test_a_folder_on_another_machine_and_a_clock_turned_back_are_told(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"dev / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs4 rw 0 0\n")
    assert stored.file_system(tmp_path / "near", mounts).status == "ok"
    assert stored.file_system(tmp_path / "far" / "shop", mounts).status == "fail"
    assert stored.clock(5000.0, 1000.0).status == "warn"
    assert stored.clock(1000.0, 1000.0).status == "ok"


def test_memory_of_a_container_counts(tmp_path):
    (tmp_path / "memory.max").write_text("536870912\n")
    assert installation.available_memory(tmp_path / "memory.max") == 2**29
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = installation.available_memory(tmp_path / "memory.max")
    assert unlimited is not None
    assert unlimited > 2**29


def test_an_address_where_nothing_answers_fails():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    done, statuses = doctor("--url", f"http://127.0.0.1:{port}/")
    assert (done.exit_code, statuses["proxy"]) == (1, "fail")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, for a certificate of one's own")
def test_a_certificate_that_nobody_trusts_is_told_as_such(tmp_path):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*make.split(), *files], check=True, capture_output=True, timeout=60)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done, statuses = doctor("--url", f"https://localhost:{server.server_port}/")
    server.shutdown()
    server.server_close()
    assert (done.exit_code, statuses["TLS"], "SSL_CERT_FILE" in done.output) == (1, "fail", True)


def test_a_catalog_that_this_user_may_not_write_is_told(tmp_path):
    if os.name != "posix":
        pytest.skip("users of POSIX")
    (tmp_path / "shop").mkdir()
    code = (
        "import os, sys; from pathlib import Path; from osoroi.doctor import stored\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "print(stored.writable(Path(sys.argv[1])).status)"
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "shop").chmod(0o555)
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "shop"], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "warn"
