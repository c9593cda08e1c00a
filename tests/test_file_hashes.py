"""Hashes of files that are kept: what a damaged, locked or full disk costs, and which changes of files are seen."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from osoroi.file_hashes import Stamp, hashes_in, stamp_of


def old(path: Path) -> Stamp:
    """The stamp of a file, as if it had been written long ago."""
    stamp = stamp_of(path)
    assert stamp is not None
    return stamp._replace(mtime_ns=0, ctime_ns=0)


def test_hashes_that_cannot_be_saved_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "hashes.sqlite"
    with caplog.at_level(logging.WARNING), closing(sqlite3.connect(file)) as other, hashes_in(file) as hashes:
        hashes._connection.execute("PRAGMA busy_timeout = 0")
        hashes.remember(tmp_path, old(tmp_path), "ab")
        other.execute("BEGIN IMMEDIATE")
    assert "were not saved (database is locked)" in caplog.text


def test_hashes_that_cannot_be_saved_hide_no_error(tmp_path: Path) -> None:
    def stop() -> None:
        with hashes_in(tmp_path / "hashes.sqlite") as hashes:
            hashes._connection.execute("DROP TABLE files")
            hashes.remember(tmp_path, old(tmp_path), "ab")
            raise InterruptedError("the caller's own")

    with pytest.raises(InterruptedError, match="the caller's own"):
        stop()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "hashes.sqlite"
    file.write_bytes(b"no database at all" * 100)
    photo = tmp_path / "a.png"
    photo.write_bytes(b"a")
    with hashes_in(file, settled_ns=-1) as hashes:
        hashes.remember(photo, stamp_of(photo), "ab")
    with hashes_in(file) as hashes:
        assert hashes.of(photo) == "ab"


def test_a_photo_of_the_same_size_and_time_is_another_all_the_same(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"a")
    os.utime(photo, (10**9, 10**9))
    with hashes_in(tmp_path / "hashes.sqlite", settled_ns=-1) as hashes:
        hashes.remember(photo, stamp_of(photo), "ab")
    with hashes_in(tmp_path / "hashes.sqlite") as hashes:
        assert hashes.of(photo) == "ab"
    other = tmp_path / "b.png"
    other.write_bytes(b"b")
    os.utime(other, (10**9, 10**9))
    other.rename(photo)
    with hashes_in(tmp_path / "hashes.sqlite") as hashes:
        assert hashes.of(photo) is None


def test_a_file_that_changed_just_now_is_read_again_whatever_time_it_states(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"a")
    os.utime(photo, (10**9, 10**9))
    with hashes_in(tmp_path / "hashes.sqlite") as hashes:
        hashes.remember(photo, stamp_of(photo), "ab")
    with hashes_in(tmp_path / "hashes.sqlite") as hashes:
        assert hashes.of(photo) is None


def test_a_table_of_an_older_version_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "hashes.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)")
    with hashes_in(file) as hashes:
        hashes.remember(tmp_path, old(tmp_path), "ab")
    with closing(sqlite3.connect(file)) as connection:
        assert len(connection.execute("SELECT * FROM files").fetchall()) == 1
