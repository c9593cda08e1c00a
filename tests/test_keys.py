"""Named keys: their file, their rights, their end, and the commands that make them."""

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from osoroi.cli import main
from osoroi.cli.keys import new
from osoroi.errors import BadRequest, Busy, NotFound
from osoroi.search import Searcher
from osoroi.server import app, keyring
from osoroi.server.configuration import Sources
from osoroi.server.keys import RIGHTS, Key, hash_of, holder
from osoroi.server.settings import Settings
from shop import RED, SeeingEncoder, ThreadDecoder, fill, goods, picture


def osoroi(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def made(file: Path, name: str, *rights: str) -> str:
    done = osoroi("keys", "new", file, name, *(word for right in rights for word in ("--rights", right)))
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[tuple[TestClient, dict[str, str]]]:
    """A service with a key for each right, and the keys."""
    names = ("search", "write", "metrics")
    secrets = {name: made(tmp_path / "keys.toml", name, name) for name in names}
    encoder = SeeingEncoder()
    settings = Sources("127.0.0.1", keys_file=tmp_path / "keys.toml").load()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        application = app.make(Searcher(encoder, catalog), settings, decoder=ThreadDecoder())
        yield TestClient(application, base_url="http://shop.example"), secrets


def test_each_right_opens_its_routes_and_no_other(client):
    http, secrets = client
    opened = {}
    for name, secret in {**secrets, "none": "", "wrong": "x" * 39}.items():
        headers = {"Authorization": f"Bearer {secret}"}
        answers = [
            http.post("/v1/search", files={"photo": picture(RED)}, headers=headers),
            http.patch("/v1/products/P1", json={"price": 5.0}, headers=headers),
            http.get("/metrics", headers=headers),
            http.get("/health", headers=headers),
        ]
        opened[name] = [answer.status_code for answer in answers]
    assert opened == {
        "search": [200, 401, 401, 200],
        "write": [200, 200, 401, 200],
        "metrics": [401, 401, 200, 200],
        "none": [401, 401, 401, 200],
        "wrong": [401, 401, 401, 200],
    }


def test_the_name_of_a_key_stands_in_the_log_and_the_key_does_not(client, caplog):
    http, secrets = client
    caplog.set_level("INFO")
    http.get("/v1/products", headers={"Authorization": f"Bearer {secrets['search']}", "X-Request-ID": "abc-1"})
    http.get("/v1/products", headers={"Authorization": "Bearer wrong-and-secret"})
    lines = [record.getMessage() for record in caplog.records if record.name == "osoroi.server"]
    assert lines[0].endswith("ms id=abc-1 key=search")
    assert "key=" not in lines[1]
    assert not any(secrets["search"] in line or "secret" in line for line in lines)


def test_a_file_holds_no_key_and_is_for_its_owner_alone(tmp_path):
    secret = made(tmp_path / "keys.toml", "shop", "search")
    content = (tmp_path / "keys.toml").read_text()
    assert secret not in content
    assert hash_of(secret) in content
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "keys.toml").stat().st_mode) == 0o600


def test_after_a_rotation_both_keys_work_and_then_the_new_one_alone(tmp_path):
    file = tmp_path / "keys.toml"
    old = made(file, "shop", "search", "metrics")
    other = made(file, "other", "write")
    new = osoroi("keys", "rotate", file, "shop", "--days", 7).stdout.strip()
    keys = keyring.read(file)
    for days, works in ((0, [True, True, True]), (6.9, [True, True, True]), (7.1, [False, True, True])):
        now_s = keys[-1].created_s + days * 86400
        assert [holder(keys, key, now_s) is not None for key in (old, new, other)] == works
    assert keys[-1].rights == ("search", "metrics")
    assert osoroi("keys", "remove", file, "shop", "--expired").exit_code == 1  # none has
    assert osoroi("keys", "rotate", file, "shop", "--days", 0).exit_code == 0
    assert osoroi("keys", "remove", file, "shop", "--expired").exit_code == 0
    listed = json.loads(osoroi("keys", "list", file, "--json").stdout)
    assert [(key["name"], key["rights"], key["expires"]) for key in listed] == [
        ("other", "write", "never"),
        ("shop", "search+metrics", "never"),
    ]
    with pytest.raises(NotFound):
        keyring.rotated(keys, "nobody", days=1.0)


def test_a_key_that_has_expired_opens_nothing():
    secret, key = keyring.create("shop", ("search",), days=0.0)
    settings = Settings(keys=(key,))
    assert settings.holder(secret) is None
    assert settings.keyed
    assert not settings.permits(None, "search")


def test_open_reads_open_searching_and_not_the_metrics():
    secret, key = keyring.create("shop", ("metrics",))
    settings = Settings(keys=(key,), open_reads=True)
    assert [settings.permits(None, right) for right in RIGHTS] == [True, False, False]
    assert settings.permits(settings.holder(secret), "metrics")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("key = 3", r"something other than \[\[key\]\]"),
        ("[[key]]", "key 1 of .* needs a name and a sha256"),
        ('[[key]]\nname = "a"\nsha256 = "00"\nrights = ["search"]', "no SHA-256"),
        ('[[key]]\nname = "a b"\nsha256 = "{0}"\nrights = ["search"]', "'a b' is no name of a key"),
        ('[[key]]\nname = "a"\nsha256 = "{0}"\nrights = []', "rights other than search, write, metrics"),
        ('[[key]]\nname = "a"\nsha256 = "{0}"\nrights = "search"', "needs rights, as a list"),
        ('[[key]]\nname = "a"\nsha256 = "{0}"\nrights = ["root"]', "rights other than"),
        ('[[key]]\nname = "a"\nsha256 = "{0}"\nrights = ["search"]\nexpires = 2027-01-01', "no time with a zone"),
        ('[[key]]\nname = "a"\nsha256 = "{0}"\nrights = ["search"]\nexpired = 1', "'expired', which means nothing"),
        (
            '[[key]]\nname = "a"\nsha256 = "{0}"\nrights = ["search"]\nexpires = 9999-12-31T23:59:59-12:00',
            "expires of key 1 of .* is not between 1970 and 9999",
        ),
        ("\x00", "are no TOML"),
        ("", "hold no key"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, content, says):
    (tmp_path / "keys.toml").write_text(content.format("0" * 64))
    with pytest.raises(BadRequest, match=says):
        Sources("127.0.0.1", keys_file=tmp_path / "keys.toml").load()


def test_keys_come_from_a_file_or_the_environment_and_not_from_both():
    key = Key("a", "0" * 64, ("search",))
    with pytest.raises(BadRequest, match="from a file, or as a read key and a write key"):
        Settings(keys=(key,), read_key="r" * 16, write_key="w" * 16)


def test_more_keys_than_a_file_may_hold_are_refused_before_it_is_written(tmp_path):
    file = tmp_path / "keys.toml"
    keyring.write(file, [Key(f"n{number}", "0" * 64, ("search",)) for number in range(keyring.MOST_KEYS)])
    for words in (("new", file, "more"), ("rotate", file, "n1")):
        refused = osoroi("keys", *words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "would be 201; 200 is the most; remove some: osoroi keys remove" in refused.stderr
    assert osoroi("keys", "remove", file, "n1").exit_code == 0
    made(file, "more", "search")


def test_a_file_of_too_many_keys_is_put_right_by_the_command(tmp_path):
    file = tmp_path / "keys.toml"
    most = keyring.MOST_KEYS
    keyring.write(file, [Key(f"n{number}", "0" * 64, ("search",)) for number in range(most + 2)])
    with pytest.raises(BadRequest, match="are 202; 200 is the most; remove some: osoroi keys remove"):
        Sources("127.0.0.1", keys_file=file).load()
    assert len(json.loads(osoroi("keys", "list", file, "--json").stdout)) == most + 2
    assert osoroi("keys", "new", file, "more").exit_code == 2
    for number in range(2):  # the first leaves too many still
        assert osoroi("keys", "remove", file, f"n{number}").exit_code == 0
    assert len(Sources("127.0.0.1", keys_file=file).load().keys) == most


def test_two_changes_at_once_are_both_kept(tmp_path, monkeypatch):
    file = tmp_path / "keys.toml"
    made(file, "first", "search")
    reads, inside = keyring.read, threading.Event()

    def slow(place: Path, **options: Any) -> tuple[Key, ...]:
        keys = reads(place, **options)
        inside.set()
        time.sleep(0.3)
        return keys

    monkeypatch.setattr(keyring, "read", slow)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(lambda: new.callback(file, "one", ("search",), None))  # type: ignore[misc]
        assert inside.wait(60)
        other = threads.submit(lambda: new.callback(file, "other", ("search",), None))  # type: ignore[misc]
        one.result()
        other.result()
    assert {key.name for key in reads(file)} == {"first", "one", "other"}


def test_a_change_that_another_one_keeps_waiting_says_so(tmp_path):
    again = keyring.changing(tmp_path / "keys.toml", wait_s=0.05)
    with keyring.changing(tmp_path / "keys.toml"), pytest.raises(Busy, match="another process changes the keys"), again:
        pass
    assert osoroi("keys", "new", tmp_path / "none" / "keys.toml", "a").exit_code == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "keys.toml").symlink_to(tmp_path / "real.toml")
    made(tmp_path / "keys.toml", "a", "search")
    made(tmp_path / "keys.toml", "b", "search")
    assert (tmp_path / "keys.toml").is_symlink()
    assert len(keyring.read(tmp_path / "real.toml")) == 2


def test_a_second_key_of_a_name_is_said_to_be_one(tmp_path):
    made(tmp_path / "keys.toml", "a", "search")
    done = osoroi("keys", "new", tmp_path / "keys.toml", "a")
    assert done.exit_code == 0
    assert f"there are 2 keys called a now; to replace one: osoroi keys rotate {tmp_path}" in done.stderr


def test_the_examples_of_serve_that_open_reads_have_a_key_for_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSOROI_WRITE_KEY", raising=False)
    monkeypatch.delenv("OSOROI_KEYS", raising=False)
    lines = [line for line in osoroi("serve", "--help").output.splitlines() if line.startswith("  osoroi serve ")]
    assert lines
    assert all("--keys" in line for line in lines if "--open-reads" in line)
    with pytest.raises(BadRequest) as refused:
        Settings(open_reads=True)
    assert "OSOROI_WRITE_KEY" in str(refused.value)
    assert "--keys" in str(refused.value)
