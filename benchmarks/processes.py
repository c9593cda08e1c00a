"""Services in processes of their own, and what processes use: processor seconds and resident memory, by /proc."""

import os
import signal
import subprocess
import time
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(process: int, *, ended_children: bool = False) -> float:
    """Processor seconds that a process has used so far, in all its threads; also its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if ended_children else 13])) * TICK_S


def memory_bytes(process: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(process: int) -> list[int]:
    """The children of a process that run."""
    lists = [path.read_text(encoding="ascii").split() for path in Path(f"/proc/{process}").glob("task/*/children")]
    return [int(child) for listed in lists for child in listed]


class Service:
    """A service in a process of its own; ``command`` starts it on a free port, and its log goes to the file ``log``."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log.open("w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stderr=self.log)
        self.url = self._url(log)

    def _url(self, log: Path) -> str:
        for _ in range(600):
            for line in log.read_text(encoding="utf-8").splitlines():
                if "running on" in line:
                    return line.split("running on ")[1].split()[0]
            time.sleep(0.1)
        raise SystemExit("the service did not start")

    def cpu_s(self) -> float:
        """Processor seconds so far, with those of its workers, also of those that ended."""
        return cpu_s(self.process.pid, ended_children=True) + sum(map(cpu_s, children(self.process.pid)))

    def memory_mb(self) -> float:
        """Resident memory of all processes."""
        return sum(map(memory_bytes, [self.process.pid, *children(self.process.pid)])) / 1e6

    def stop(self) -> float:
        """Seconds from SIGTERM to the end."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()
        return time.monotonic() - start
