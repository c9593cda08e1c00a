"""What stands in ``deploy/``: every file is checked, by its own program where that is installed."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from starlette.testclient import TestClient

import web
from archives import unpack
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.cli import main
from osoroi.errors import BadRequest
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.settings import Settings
from ports import free_port
from served import Served
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, serving
from test_operations import load, until

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files of Linux")


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is absent."""
    path = shutil.which(name) or shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}/usr/sbin")
    if path is None:
        pytest.skip(f"needs the program {name}")
    return path


def passes(*command: str | Path, env: dict[str, str] | None = None) -> None:
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **(env or {})}
    )
    assert run.returncode == 0, run.stdout + run.stderr


# -------------------------------------------------------------------- metrics


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What /metrics says after a search and a page."""
    encoder = SeeingEncoder()
    with fill(tmp_path_factory.mktemp("metrics") / "shop", encoder, goods(encoder)) as catalog:
        application = app.make(Searcher(encoder, catalog), decoder=ThreadDecoder())
        with TestClient(application, base_url="http://127.0.0.1") as client:
            assert client.post("/v1/search", files={"photo": picture(RED)}).status_code == 200
            assert client.get("/").status_code == 200
            assert client.post("/results", files={"photo": picture(RED)}).status_code == 200
            return client.get("/metrics").text


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((DEPLOY / "grafana/osoroi.json").read_text())
    return alerts + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_alerts_and_dashboards_name_metrics_and_routes_that_exist(exposed):
    assert len(expressions()) > 25
    for expression in expressions():
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", expression)
        names = re.findall(r"\b(?:osoroi|process)_\w+", bare)
        assert names or "up" in bare
        assert all(re.search(rf"^{name}(?:\{{| )", exposed, re.MULTILINE) for name in names), expression
        for values in re.findall(r'route=~?"([^"]*)"', expression):
            assert all(f'route="{value}"' in exposed for value in values.split("|")), expression
        for label in re.findall(r"by \((\w+)\)", expression):
            assert label in ("le", "job") or f"{label}=" in exposed


def test_the_rules_of_prometheus_are_rules(tmp_path):
    passes(program("promtool"), "check", "rules", DEPLOY / "prometheus/alerts.yml")
    config = (DEPLOY / "prometheus/prometheus.yml").read_text().replace("/run/secrets/metrics_key", "/dev/null")
    (tmp_path / "prometheus.yml").write_text(config.replace("alerts.yml", str(DEPLOY / "prometheus/alerts.yml")))
    passes(program("promtool"), "check", "config", tmp_path / "prometheus.yml")


# -------------------------------------------------------------------- files


def test_hadolint_has_no_complaint_about_the_dockerfile():
    passes(program("hadolint"), DEPLOY / "Dockerfile")


def instructions() -> list[tuple[str, str]]:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line and line[0] not in "# "]


def test_the_steps_of_the_dockerfile_work_one_by_one(tmp_path):
    """What is copied is enough to build the package from, and the last lines are a call that `osoroi serve` accepts."""
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for words in (shlex.split(value) for name, value in instructions() if name == "COPY" and "--from" not in value):
        for source in words[:-1]:
            assert f"!{source}" in allowed
            target = tmp_path / words[-1] / source if words[-1].endswith("/") else tmp_path / words[-1]
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, target)
    run = next(value for name, value in instructions() if name == "RUN")
    assert "pip install --no-cache-dir --constraint constraints.txt '.[heif,telemetry]'" in run
    wheel = "pip wheel --no-deps --no-build-isolation --wheel-dir wheels ."
    subprocess.run([sys.executable, "-m", *wheel.split()], cwd=tmp_path, check=True, capture_output=True, timeout=200)
    (built,) = (tmp_path / "wheels").glob("osoroi-*.whl")
    assert built.stat().st_size > 10**6  # with the encoder
    (entry,) = (json.loads(value) for name, value in instructions() if name == "ENTRYPOINT")
    (words,) = (json.loads(value) for name, value in instructions() if name == "CMD")
    assert entry == ["osoroi"]
    (tmp_path / "keys").touch()
    accepted = [str(tmp_path / "keys") if word == "/run/secrets/keys" else word for word in words]
    accepts(accepted)
    assert [value for name, value in instructions() if name == "USER"] == ["10001"]


def accepts(words: list[str]) -> None:
    """Whether the command line can be parsed; nothing is run."""
    command = main.get_command(click.Context(main), words[0])
    assert command is not None
    command.make_context(words[0], words[1:]).close()


def test_the_health_check_of_the_image_tells_a_service_from_none(tmp_path):
    check = next(value for name, value in instructions() if name == "HEALTHCHECK").split("CMD ")[1]
    words = [sys.executable, *json.loads(check)[1:]]
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as url:
        port = url.rpartition(":")[2]
        healthy = [word.replace("8008", port) for word in words]
        assert subprocess.run(healthy, check=False, timeout=60).returncode == 0
    assert subprocess.run(healthy, check=False, stderr=subprocess.DEVNULL, timeout=60).returncode != 0


def test_compose_names_files_that_exist_and_locks_the_services_down(tmp_path):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).exists(), volume
        if name.startswith("search"):
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
        else:
            assert re.search(r":v?[0-9]+\.[0-9]+", service.get("image", "")) or name == "backup"
    words = compose["services"]["backup"]["entrypoint"][1:]
    accepts([word.replace("/backups", str(tmp_path)) for word in words])


def test_the_cluster_of_compose_calls_the_command_as_it_is():
    compose = yaml.safe_load((DEPLOY / "cluster/compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"database", "first", "other", "serve"}
    assert {secret for service in services.values() for secret in service["secrets"]} == set(compose["secrets"])
    for name in ("first", "other", "serve"):
        assert (services[name]["cap_drop"], services[name]["environment"]["RAY_AUTH_MODE"]) == (["ALL"], "token")
        shell = services[name]["command"][2].replace("$$", "$")
        passes("sh", "-n", "-c", shell)
        program, *words = shlex.split(shell.rpartition("exec ")[2])
        if program == "osoroi":
            accepts(words)
        else:
            assert (program, words[0], words[-1]) == ("ray", "start", "--block")


def test_the_service_of_kuberay_names_an_application_and_arguments_that_exist(monkeypatch):
    from osoroi.cluster import serving as cluster

    document = yaml.safe_load((DEPLOY / "cluster/kuberay.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", "RayService")
    spec = document["spec"]
    (application,) = yaml.safe_load(spec["serveConfigV2"])["applications"]
    module, name = application["import_path"].split(":")
    assert getattr(sys.modules[module], name) is cluster.configured
    for unset in ("OSOROI_READ_KEY", "OSOROI_KEYS"):
        monkeypatch.delenv(unset, raising=False)
    monkeypatch.setenv("OSOROI_WRITE_KEY", "w" * 16)
    plan = cluster.planned(application["args"])
    assert (plan.shards, plan.replicas, plan.settings.open_reads, plan.settings.keyed) == (4, 2, True, True)
    groups = [spec["rayClusterConfig"]["headGroupSpec"], *spec["rayClusterConfig"]["workerGroupSpecs"]]
    room = sum(group.get("replicas", 0) * 8 for group in groups)
    assert room >= (plan.shards * plan.replicas + plan.servers + plan.encoders) * plan.cpus
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
    wrong = {"shard": 4}, {"shards": "4"}, {"shards": 0}, {"open_reads": 1}
    for values in wrong:
        with pytest.raises(BadRequest, match=r"file says shard;|shards: '4'; it is a int|0 shards|open_reads: 1"):
            cluster.planned({"catalog": "postgresql:///shops", "open_reads": True} | values)
    with pytest.raises(BadRequest, match="no catalog"):
        cluster.planned({})
    monkeypatch.delenv("OSOROI_WRITE_KEY")
    with pytest.raises(BadRequest):
        cluster.planned({"catalog": "postgresql:///shops"})


@pytest.mark.parametrize("name", ["Caddyfile", "prefix.Caddyfile"])
def test_caddy_reads_its_files(name):
    file = DEPLOY / "caddy" / name
    passes(caddy(), "validate", "--adapter", "caddyfile", "--config", file, env={"SITE": ":8443"})


def caddy() -> str:
    path = program("caddy")
    version = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    if [int(number) for number in re.findall(r"\d+", version)[:2]] < [2, 7]:
        pytest.skip("needs Caddy 2.7 or newer")
    return path


def test_systemd_reads_the_units(tmp_path):
    analyze = program("systemd-analyze")
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("osoroi@.service", "osoroi@blue.service")
        text = re.sub(r"/opt/osoroi/\S+/bin/osoroi", "/bin/true", text)
        (tmp_path / unit.name.replace("@.", "@blue.")).write_text(text)
    passes(analyze, "verify", *sorted(tmp_path.iterdir()), env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"})


@pytest.mark.parametrize(("unit", "words"), [("osoroi@.service", 2), ("osoroi-backup.service", 1)])
def test_the_units_call_the_command_as_it_is(unit, words, tmp_path):
    line = re.search(r"^ExecStart=(.*)$", (DEPLOY / "systemd" / unit).read_text(), re.MULTILINE)
    assert line is not None
    command = shlex.split(line[1])
    command = shlex.split(command[2]) if command[0] == "/bin/sh" else command
    call = command[next(place for place, word in enumerate(command) if word.endswith("/osoroi")) + 1 :]
    (tmp_path / "f").touch()
    accepts([str(tmp_path / "f") if word.startswith(("/etc", "/var/backups")) else word for word in call])


def test_every_setting_that_a_file_may_set_stands_in_the_documentation():
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    names = [one.name for one in fields(Settings) if one.type in (int, float)]
    assert len(names) > 20
    assert not [name for name in names if f"`{name}`" not in page]


# -------------------------------------------------------------------- backup


def test_the_restore_drill_brings_back_the_same_answers(tmp_path):
    """Backup, everything gone, the photos of the table too, restore: the same products, scores and photos."""
    encoder = SeeingEncoder()
    folder, photos, tar = tmp_path / "shop", tmp_path / "photos", tmp_path / "backup.tar"
    photos.mkdir()
    entries = goods(encoder)
    for number, crop in enumerate(crop for entry in entries for crop in entry.crops):
        (photos / f"{number}.png").write_bytes(crop.photo)
    named = iter(sorted(photos.iterdir(), key=lambda path: int(path.stem)))
    entries = [
        entry._replace(crops=[type(crop)(**{**vars(crop), "photo": next(named)}) for crop in entry.crops])
        for entry in entries
    ]
    fill(folder, encoder, entries).close()

    def answers() -> list[Any]:
        with LocalCatalog.open(folder) as catalog, serving(encoder, catalog) as url:
            found = web.post(f"{url}/v1/search", files={"photo": picture(RED)}, timeout=60).json()
            thumbnails = [web.get(url + f"/v1/photos/{hit['crop_id']}", timeout=60) for hit in found["hits"]]
            listed = web.get(f"{url}/v1/products", timeout=60).json()
        found.pop("took_s")
        return [found, listed, [(one.status_code, one.content) for one in thumbnails]]

    before = answers()
    assert backup(folder, tar, photos=True).missing == 0
    shutil.rmtree(folder)
    shutil.rmtree(photos)
    unpack(tar, folder)
    assert answers() == before
    assert all(status == 200 for status, _ in before[2])


# -------------------------------------------------------------------- proxies


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("behind") / "shop"
    encoder = SeeingEncoder()
    fill(folder, encoder, goods(encoder)).close()
    return folder


@contextmanager
def running(*command: str | Path, port: int, env: dict[str, str]) -> Iterator[str]:
    """A proxy on a port of this machine."""
    with tempfile.TemporaryFile() as log, ExitStack() as stack:
        process = subprocess.Popen(command, env={**os.environ, **env}, stderr=log, stdout=subprocess.DEVNULL)
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)
        end = time.monotonic() + 60
        while True:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command[0]} ended at once"
            assert time.monotonic() < end
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def by_caddy(name: str, services: list[str], tmp_path: Path) -> Iterator[str]:
    port = free_port()
    env = {"SITE": f"http://127.0.0.1:{port}", "SERVICES": " ".join(services), "HOME": str(tmp_path)}
    file = DEPLOY / "caddy" / name
    with running(caddy(), "run", "--adapter", "caddyfile", "--config", file, port=port, env=env) as url:
        yield url


@contextmanager
def by_nginx(name: str, services: list[str], tmp_path: Path) -> Iterator[str]:
    """The file as it stands, with our ports, without TLS and without a limit on searches, in an nginx of its own."""
    nginx, port = program("nginx"), free_port()
    text = (DEPLOY / "nginx" / name).read_text()
    for number, service in zip((8008, 8009), services, strict=False):
        text = text.replace(f"127.0.0.1:{number}", service)
    text = re.sub(r"\s+ssl_\w+ [^;]*;", "", text).replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = re.sub(r"server \{\s*listen 80;.*?\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*limit_(req|conn) [^;]*;", "", text)
    if "server {" not in text:
        text = f"server {{ listen 127.0.0.1:{port}; {text} }}"
    paths = "".join(
        f"{one}_temp_path {tmp_path}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{config} http {{ access_log off; {paths} {text} }}")
    with running(nginx, "-e", "stderr", "-c", tmp_path / "nginx.conf", port=port, env={}) as url:
        yield url


PROXIES = pytest.mark.parametrize(("proxy", "file"), [(by_caddy, "Caddyfile"), (by_nginx, "osoroi.conf")])


@PROXIES
def test_services_behind_a_proxy_are_replaced_one_by_one_and_no_search_fails(proxy, file, shop, tmp_path):
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        services = [stack.enter_context(Served(shop, "--port", str(port), is_tiny=True)) for port in ports]
        url = stack.enter_context(proxy(file, [f"127.0.0.1:{port}" for port in ports], tmp_path))
        with load(url, clients=3) as results:
            for place, port in enumerate(ports):
                before = results["200"]
                until(partial(lambda before: results["200"] > before + 15, before), 90)
                services[place].ended_after(60)
                before = results["200"]
                until(partial(lambda before: results["200"] > before + 10, before), 90)
                services[place] = stack.enter_context(Served(shop, "--port", str(port), is_tiny=True))
            before = results["200"]
            until(lambda: results["200"] > before + 15, 90)
            after = dict(results)
        assert set(after) == {"200"}
        assert web.get(f"{url}/metrics").status_code == 404
        large = web.post(f"{url}/v1/search", files={"photo": b"x" * 2**21}, timeout=60)
        assert (large.status_code, "x-request-id" in large.headers) == (422, True)
        beyond = b"x" * 36 * 10**6  # the proxy refuses it; of what is less, a proxy may lose the service's early answer
        assert web.post(f"{url}/v1/search", files={"photo": beyond}, timeout=60).status_code == 413


@pytest.mark.parametrize(("proxy", "file"), [(by_caddy, "prefix.Caddyfile"), (by_nginx, "prefix.conf")])
def test_under_a_path_of_the_shop_the_page_and_its_parts_arrive(proxy, file, tmp_path):
    encoder = SeeingEncoder()
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, Settings(root_path="/find")) as service,
        proxy(file, [service.removeprefix("http://")], tmp_path) as url,
    ):
        checks = doctor(f"{url}/find/")
        assert [(name, status) for name, status, *_ in checks] == [
            *(("proxy", "ok"), ("headers", "ok"), ("metrics", "ok"), ("page", "ok"), ("uploads", "ok"))
        ]
        assert web.get(f"{url}/find").status_code in (301, 302)
        answer = web.post(f"{url}/find/v1/search", files={"photo": picture(RED)}, timeout=60)
        assert answer.json()["hits"][0]["product_id"] == "P1"


def doctor(url: str) -> list[tuple[str, ...]]:
    from osoroi.doctor import service

    return list(service.through(url))
