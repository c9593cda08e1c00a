"""A cluster of Ray on this machine for tests: nodes that can be killed, without a dashboard, that end by themselves."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORE_BYTES = 100 * 2**20
STARTS = 3
"""Attempts to start a node: Ray gives up after 15 seconds, which a machine that is full can take."""


class Nodes:
    """The nodes of a cluster; the first holds its state, and stays."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self._folder = folder
        self._cluster: Any = Cluster()
        self._number = 1
        self.others: list[Any] = []
        self.add()

    @property
    def address(self) -> str:
        """Where the cluster answers."""
        return self._cluster.address

    def add(self, cpus: int = 8) -> None:
        """One more node."""
        head = {"include_dashboard": False, "temp_dir": str(self._folder)} if not self._cluster.list_all_nodes() else {}
        for attempt in range(STARTS):
            try:
                self._number += 1
                where = {"node_ip_address": f"127.0.0.{self._number}"}  # 127.0.0.1 would be the machine's own
                node = self._cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES, **where, **head)
                break
            except Exception:  # a plain one, where a node is slow to start
                if attempt + 1 == STARTS:
                    raise
                time.sleep(5)
        if not head:
            self.others.append(node)

    def kill(self) -> None:
        """End the youngest node with all that runs on it, at once."""
        self._cluster.remove_node(self.others.pop(), allow_graceful=False)

    def stop(self) -> None:
        """End all nodes, and this process's connection to them."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    """A cluster with one node. Tests are skipped, and say so, where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the package ray: pip install 'osoroi[cluster]'")
    folder = Path(tempfile.mkdtemp(prefix="osoroi-"))  # its sockets want a short path
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    before = dict(os.environ)
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_raylet_start_wait_time_s": "120",
    }
    try:
        cluster = Nodes(folder)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        os.environ.clear()
        os.environ |= before
        shutil.rmtree(folder, ignore_errors=True)
