"""What a filter costs a walk of pgvector's graph: a look-up for each vector that is met, or a list of all that match.

Vectors are drawn near centres, two of them a product. Printed are the share of the nearest that is found, which is the
same in both ways, and the CPU of the server for a query.

    python benchmarks/pgvector_filter.py --products 30000 --queries 30
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import psycopg
from processes import cpu_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog.postgres.pgvector import SETTINGS
from osoroi.catalog.postgres.rows import halfvec_text
from postgres import running

DIM = 48
WIDTH = 64
WAYS = {
    "a list": "product = ANY(ARRAY(SELECT product FROM products WHERE price < %s))",
    "look-ups": "EXISTS (SELECT 1 FROM products WHERE products.product = halves.product AND price < %s OFFSET 0)",
}


def drawn(products: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors of unit length near centres."""
    centres = rng.standard_normal((300, DIM))
    vectors = centres[rng.integers(300, size=2 * products)] + 0.7 * rng.standard_normal((2 * products, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(connection: psycopg.Connection[tuple[object, ...]], vectors: np.ndarray) -> None:
    """The tables of a catalog, as far as a walk needs them, and the graph."""
    connection.execute("CREATE EXTENSION vector")
    connection.execute("CREATE TABLE products (product BIGINT PRIMARY KEY, price FLOAT8)")
    connection.execute(
        "INSERT INTO products SELECT at, random() * 100 FROM generate_series(0, %s) AS at", (len(vectors) // 2 - 1,)
    )
    connection.execute(f"CREATE TABLE halves (crop BIGINT PRIMARY KEY, product BIGINT, vector halfvec({DIM}))")
    with connection.cursor().copy("COPY halves FROM STDIN") as copy:
        for at, vector in enumerate(vectors):
            copy.write_row((at, at // 2, halfvec_text(vector)))
    connection.execute("SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '200MB'")
    connection.execute("CREATE INDEX ON halves USING hnsw (vector halfvec_ip_ops)")
    connection.execute("ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=30_000)
    parser.add_argument("--queries", type=int, default=30)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = drawn(chosen.products, rng)
    queries = vectors[rng.integers(len(vectors), size=chosen.queries)] + 0.3 * rng.standard_normal(DIM)
    with running() as server, psycopg.connect(server.url(), autocommit=True) as connection:
        fill(connection, vectors)
        connection.execute(f"{SETTINGS.replace('LOCAL ', '')}; SET hnsw.ef_search = {WIDTH}".encode())
        process = connection.info.backend_pid
        rows = connection.execute("SELECT price FROM products ORDER BY product").fetchall()
        price = np.repeat(np.array([one for (one,) in rows], float), 2)
        for limit in (90, 50, 10, 2):
            for name, condition in WAYS.items():
                statement = f"SELECT crop FROM halves WHERE {condition} ORDER BY vector <#> %s::halfvec LIMIT {WIDTH}"  # noqa: S608
                shares, before = [], cpu_s(process)
                for query in queries.astype(np.float32):
                    found = connection.execute(statement.encode(), (limit, halfvec_text(query))).fetchall()
                    scores = np.where(price < limit, vectors @ query, -np.inf)
                    shares.append(len({crop for (crop,) in found} & set(np.argsort(-scores)[:WIDTH].tolist())) / WIDTH)
                cpu_ms = 1000 * (cpu_s(process) - before) / len(queries)
                print(f"{limit}% match, {name}: {np.mean(shares):.3f} found, {cpu_ms:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
