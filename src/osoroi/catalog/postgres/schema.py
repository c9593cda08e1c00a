"""The tables of a catalog in PostgreSQL, and how an older version of them becomes the present one."""

from collections.abc import Sequence

from psycopg import sql

from osoroi.catalog.address import Address
from osoroi.catalog.postgres.connection import PostgresConnection
from osoroi.catalog.store.rows import meta_row
from osoroi.catalog.store.writer import PUT_META
from osoroi.errors import BadCatalog

TEXTS = ("product_id", "title", "category", "brand", "currency", "url", "design_id")
"""Columns of products that filters compare without capitals and width: each has a second one of folded text."""

FIRST = f"""
CREATE TABLE meta (name TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL, checksum BIGINT NOT NULL);
CREATE SEQUENCE encoder_keys;
CREATE SEQUENCE product_keys;
CREATE SEQUENCE crop_keys;
CREATE TABLE encoders (
    encoder BIGINT PRIMARY KEY, fingerprint TEXT COLLATE "C" NOT NULL UNIQUE, dim BIGINT NOT NULL,
    parts TEXT NOT NULL, about TEXT NOT NULL, since_s DOUBLE PRECISION NOT NULL, checksum BIGINT NOT NULL
);
CREATE TABLE products (
    product BIGINT PRIMARY KEY, product_id TEXT COLLATE "C" NOT NULL UNIQUE, title TEXT COLLATE "C" NOT NULL,
    category TEXT COLLATE "C", brand TEXT COLLATE "C", price DOUBLE PRECISION, currency TEXT COLLATE "C",
    url TEXT COLLATE "C", design_id TEXT COLLATE "C", attributes TEXT NOT NULL, checksum BIGINT NOT NULL,
    {", ".join(f'{name}_folded TEXT COLLATE "C"' for name in TEXTS)}
);
CREATE TABLE crops (
    crop BIGINT PRIMARY KEY, crop_id TEXT COLLATE "C" NOT NULL UNIQUE, product BIGINT NOT NULL, place BIGINT NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL, path TEXT, box TEXT, split TEXT, checksum BIGINT NOT NULL
);
CREATE INDEX crops_of_product ON crops (product, place);
-- slot = encoder * 2^40 + crop, as in the file
CREATE TABLE vectors (slot BIGINT PRIMARY KEY, vector BYTEA NOT NULL, checksum BIGINT NOT NULL);
ALTER TABLE vectors ALTER COLUMN vector SET STORAGE EXTERNAL; -- numbers at random: compression only costs time
CREATE TABLE names (name_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT COLLATE "C" NOT NULL UNIQUE,
    kinds TEXT NOT NULL);
-- attributes once more, for filters: one of text, number and flag is not NULL
CREATE TABLE facts (
    name_id BIGINT NOT NULL, product BIGINT NOT NULL, text TEXT COLLATE "C", text_folded TEXT COLLATE "C",
    number DOUBLE PRECISION, flag BOOLEAN, listed BOOLEAN NOT NULL
);
CREATE INDEX facts_of_product ON facts (product);
CREATE INDEX facts_of_name ON facts (name_id, product);
CREATE TABLE changes (
    seq BIGINT PRIMARY KEY, at_s DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,
    checksum BIGINT NOT NULL
);
CREATE TABLE photos (sha256 TEXT COLLATE "C" PRIMARY KEY, data BYTEA NOT NULL);
ALTER TABLE photos ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE files (name TEXT COLLATE "C" PRIMARY KEY, sha256 TEXT NOT NULL, data BYTEA NOT NULL);
"""

SECOND = "ALTER TABLE photos ALTER COLUMN data DROP NOT NULL; -- NULL: the photo is in the catalog's bucket"

STEPS: tuple[str, ...] = (FIRST, SECOND)
"""Step n makes version n of version n - 1; version 0 is an empty schema. Steps are only added."""

TABLES = frozenset({"meta", "encoders", "products", "crops", "vectors", "names", "facts", "changes", "photos", "files"})


def version_of(connection: PostgresConnection, schema: str) -> int:
    """The version of the tables in a schema; 0 where there are none."""
    found = connection.execute("SELECT to_regclass(?)", (f"{quoted(schema)}.meta",)).fetchone()
    if found is None or found[0] is None:
        return 0
    statement = f"SELECT value FROM {quoted(schema)}.meta WHERE name = 'version'"  # noqa: S608 (quoted)
    (row,) = connection.together(statement)  # a name may have the mark of a value in it
    return int(row[0]) if row else 0


def quoted(name: str) -> str:
    """A name as SQL has it.

    >>> quoted('my "shop"')
    '"my ""shop""\"'
    """
    return sql.Identifier(name).as_string()


def demand(address: Address, version: int, steps: Sequence[str] = STEPS) -> None:
    """Raise BadCatalog where there is no catalog of a version that this one reads."""
    if not version:
        raise BadCatalog(f"there is no catalog at {address}", hint="osoroi add CATALOG DATASET makes one")
    if version > len(steps):
        raise BadCatalog(
            f"the catalog {address} has version {version}, and this osoroi reads version {len(steps)}",
            hint="use the version of osoroi that made it, or a newer one",
        )


def upgrade(connection: PostgresConnection, version: int, steps: Sequence[str] = STEPS) -> None:
    """Inside a transaction that holds the catalog alone: take every step above ``version``."""
    for step in steps[version:]:
        connection.together(step)
    connection.execute(PUT_META, meta_row("version", str(len(steps))))
