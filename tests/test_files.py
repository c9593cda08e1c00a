"""Files written in one step, and locks that end with their process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from osoroi import files


def test_a_reader_finds_the_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    with files.replacing(path) as file:
        file.write(b"half of the")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b" new")
    assert path.read_bytes() == b"half of the new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"old")

    def write() -> None:
        with files.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_what_a_killed_process_left_is_removed_by_the_next_write_and_what_is_young_stays(tmp_path: Path) -> None:
    path = tmp_path / "odd [name]*.json"
    old, young, other = (tmp_path / name for name in (f".{path.name}.1.part", f".{path.name}.2.part", ".else.3.part"))
    for part in (old, young, other):
        part.write_bytes(b"half")
    before = time.time() - files.STALE_S - 1
    os.utime(old, (before, before))
    os.utime(other, (before, before))
    files.write_atomically(path, b"{}")
    assert {one.name for one in tmp_path.iterdir()} == {path.name, young.name, other.name}


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_stay_those_of_the_file_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"old")
    path.chmod(0o640)
    files.write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_hash_is_that_of_all_blocks(tmp_path: Path) -> None:
    import hashlib

    data = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_a_lock_keeps_other_processes_out_and_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time, pathlib; from osoroi import files\n"
        "with files.lock(pathlib.Path(sys.argv[1])) as mine:\n"
        "    print(mine, flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "True"
        with files.lock(path) as mine:
            assert not mine
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with files.lock(path, wait_s=60.0) as mine:
        assert mine


def test_a_lock_waits_for_the_time_it_is_given(tmp_path: Path) -> None:
    with files.lock(tmp_path / "lock"):
        start = time.monotonic()
        with files.lock(tmp_path / "lock", wait_s=0.3) as mine:
            assert not mine
        assert 0.2 < time.monotonic() - start < 60


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_root_replaces_stays_its_owners_and_readable_to_its_group(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    files.write_atomically(path, b"new")
    state = path.stat()
    assert (path.read_bytes(), state.st_uid, state.st_gid, state.st_mode & 0o777) == (b"new", 12345, 23456, 0o640)
