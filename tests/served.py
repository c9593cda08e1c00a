"""``osoroi serve`` as a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CODE = "from osoroi.cli.serve import command; command()"
TINY = str(Path(__file__).with_name("tiny_service.py"))


class Served(contextlib.AbstractContextManager["Served"]):
    """The service in a process of its own, its address and its log."""

    def __init__(
        self,
        shop: Path,
        *words: str,
        first: Callable[[], None] | None = None,
        env: Mapping[str, str] | None = None,
        listening: socket.socket | None = None,
        is_tiny: bool = False,
    ) -> None:
        """``listening`` is handed over as systemd does it, as descriptor 3. Tiny services have an encoder that costs
        nothing."""
        program = [TINY] if is_tiny else ["-c", CODE]
        command = [sys.executable, *program, str(shop), "--port", "0", *words]
        environment = {**os.environ, **(env or {})}
        if listening is not None:
            environment["LISTEN_FDS"] = "1"
            descriptor = listening.fileno()
            command = ["bash", "-c", f'exec 3<&{descriptor}; exec "$@"', "bash", *command]
        self.process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[] if listening is None else [listening.fileno()],
            preexec_fn=first,  # noqa: PLW1509
        )
        assert self.process.stderr is not None
        self.log: list[str] = []
        begun = ""
        while "running on" not in begun:
            begun = self.process.stderr.readline()
            assert begun, f"the service did not start: {self.log}"
            self.log.append(begun)
        self.url = begun.split("running on ")[1].split()[0].strip('"}')
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()))
        self._reader.start()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def ended_after(self, most_s: float) -> float:
        """Seconds from SIGTERM to the end."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(most_s)
        return time.monotonic() - start
