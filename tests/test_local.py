"""The catalog in a folder: what may stand there, and how it is made."""

import sqlite3
import threading
import time

import pytest

from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.memory.rwlock import ReadWriteLock
from osoroi.errors import BadCatalog, BadRequest
from osoroi.records import Part
from shops import DIM, ENCODER, create
from waiting import LONG_S, until


def test_whoever_changes_the_index_waits_for_searches_and_they_for_him():
    gate, order, begun = ReadWriteLock(), [], threading.Event()

    def change() -> None:
        with gate.exclusive():
            order.append("changing")
            time.sleep(0.1)
            order.append("changed")

    def search() -> None:
        begun.set()
        with gate.shared():
            order.append("searched")

    changing, searching = threading.Thread(target=change), threading.Thread(target=search)
    with gate.shared(), gate.shared():
        changing.start()
        until(lambda: gate._waiting)
        searching.start()  # comes later, and does not keep the change waiting
        assert begun.wait(LONG_S)
        time.sleep(0.1)
        order.append("first searches end")
    changing.join()
    searching.join()
    assert order == ["first searches end", "changing", "changed", "searched"]


def test_a_change_that_is_interrupted_while_it_waits_lets_searches_pass(monkeypatch):
    gate, searched = ReadWriteLock(), threading.Event()

    def interrupted(_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(gate._changed, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt), gate.exclusive():
        pass

    def search() -> None:
        with gate.shared():
            searched.set()

    threading.Thread(target=search, daemon=True).start()
    assert searched.wait(LONG_S)


def test_a_search_that_an_interrupt_kept_from_leaving_keeps_no_change_waiting():
    gate, changed = ReadWriteLock(), threading.Event()
    passage = gate.shared()
    passage.__enter__()  # and nobody calls __exit__
    del passage

    def change() -> None:
        with gate.exclusive():
            changed.set()

    threading.Thread(target=change, daemon=True).start()
    assert changed.wait(LONG_S)


def test_a_folder_that_is_no_catalog_is_refused_and_nothing_in_it_touched(tmp_path):
    folder = tmp_path / "photos"
    with pytest.raises(BadCatalog, match="there is no catalog at"):
        LocalCatalog.open(folder)
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"pixels")
    with pytest.raises(BadCatalog, match=r"holds no catalog\.sqlite"):
        LocalCatalog.open(folder)
    with pytest.raises(BadCatalog, match="holds something else"):
        create(folder)
    other = tmp_path / "other"
    other.mkdir()
    for content in (b"", b"SQLite format 3\0", b"not SQLite at all" * 20):
        (other / "catalog.sqlite").write_bytes(content)
        with pytest.raises(BadCatalog, match="does not begin like one"):
            LocalCatalog.open(other)
        assert (other / "catalog.sqlite").read_bytes() == content
    (other / "catalog.sqlite").unlink()
    with sqlite3.connect(other / "catalog.sqlite") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(BadCatalog, match="no catalog of osoroi"):
        LocalCatalog.open(other)
    assert [path.name for path in (*folder.iterdir(), *other.iterdir())] == ["a.jpg", "catalog.sqlite"]


def test_a_newer_format_is_refused_and_not_touched(tmp_path):
    create(tmp_path / "shop").close()
    path = tmp_path / "shop" / "catalog.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BadCatalog, match=r"has format 2, and this osoroi reads format 1"):
        LocalCatalog.open(tmp_path / "shop")
    assert path.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "shop").iterdir()) == ["catalog.id", "catalog.sqlite"]


def test_a_catalog_is_created_once_and_whole(tmp_path, monkeypatch):
    parts = (Part("deep", 3, 0.5), Part("detail", 1, 0.5))
    with pytest.raises(BadRequest, match="do not make vectors of 5"):
        LocalCatalog.create(tmp_path / "shop", fingerprint=ENCODER, dim=5, parts=parts)
    (tmp_path / "shop").mkdir()  # an empty folder may be taken
    with LocalCatalog.create(
        tmp_path / "shop", fingerprint=ENCODER, dim=DIM, parts=parts, about={"recipe": "x"}
    ) as made:
        assert (made.encoder.parts, made.encoder.about, made.fingerprint) == (parts, {"recipe": "x"}, ENCODER)
    with pytest.raises(BadCatalog, match=r"a catalog at .* already"):
        create(tmp_path / "shop")
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BadCatalog, match="No space left"):
        create(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
