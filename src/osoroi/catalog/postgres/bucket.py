"""Kept photos in a bucket of an S3-compatible store, in place of a table of the database.

A photo lies under ``PREFIX/IDENTITY/ab/SHA256``, with the identity of its catalog. A database that is restored beside
the one it was dumped from has that identity, too, so the object ``owner`` says which of them the photos belong to: no
other one sends or removes any, as each would remove what the other needs. Keys, region and endpoint come from
the environment or the machine, as AWS tools have them. What the store says of an error stays out of ours: it may
name a key.
"""

import contextlib
import re
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from typing import Any

from osoroi.catalog.store.photos import hash_of
from osoroi.errors import BadPhoto, BadRequest, CatalogUnavailable, extra

FORM = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()-]+)*)/?")

OWNER = "owner"
"""The object that says which database the photos belong to."""

DATABASE = re.compile(r"[0-9]+-[0-9]+-[0-9]+")
"""What that object holds: the numbers of a server, a database and a schema."""

AT_ONCE = 8
"""Photos that are sent or looked up at one time."""

LOOKUPS = 256
"""Photos that are looked up one by one; where there are more, the bucket is listed once in their place."""

LISTED_S = 3600
"""Seconds after which a listing is forgotten, and the lookups before it."""

TIMEOUT_S = 10
"""Seconds for one request; a request that failed in a way that may pass is made again, twice."""


def demand_form(address: str) -> None:
    """Raise BadRequest for what is no address of a bucket.

    >>> demand_form("s3://shop-photos/summer")
    """
    if not FORM.fullmatch(address):
        raise BadRequest(f"{address!r:.80} is no place for photos", hint="write s3://BUCKET or s3://BUCKET/PREFIX")


class Bucket:
    """The photos of one catalog in a bucket; ``owner`` names its database. Nothing is sent before it is used."""

    def __init__(self, address: str, identity: str, owner: str, *, timeout_s: float = TIMEOUT_S) -> None:
        demand_form(address)
        self.address = address
        self.owner = owner
        self._identity = identity
        self._timeout_s = timeout_s
        self._since_s = time.monotonic()
        self._lookups = 0
        self._listed: set[int] = set()  # a hash of the name and the size of each photo

    @cached_property
    def _store(self) -> Any:
        match = FORM.fullmatch(self.address)
        assert match is not None
        seconds = timedelta(seconds=self._timeout_s)
        try:
            return extra("obstore.store", "bucket").S3Store(
                match[1],
                prefix=f"{match[2].strip('/')}/{self._identity}".strip("/"),
                client_options={"timeout": seconds, "connect_timeout": seconds / 2, "allow_http": True},
                retry_config={"max_retries": 2, "retry_timeout": 3 * seconds},
            )
        except self._errors.BaseError:
            raise CatalogUnavailable(
                f"photos cannot be had: the bucket {self.address} cannot be used as the environment describes it",
                hint="see AWS_REGION, AWS_ENDPOINT_URL and the other settings of AWS",
            ) from None

    @cached_property
    def _errors(self) -> Any:
        return extra("obstore.exceptions", "bucket")

    def demand(self) -> None:
        """Raise CatalogUnavailable where the bucket is not there, or may not be read."""
        with self._explained("listed"):
            next(iter(self._client.list(self._store, chunk_size=1)), None)

    @cached_property
    def _client(self) -> Any:
        return extra("obstore", "bucket")

    def demand_owner(self) -> None:
        """Raise CatalogUnavailable where the photos belong to another database; those of nobody are ours from now."""
        found = None
        with self._explained("stored or removed"), contextlib.suppress(FileNotFoundError):
            found = bytes(self._client.get(self._store, OWNER).bytes()).decode(errors="replace")
        if found is None or not DATABASE.fullmatch(found):
            self.own()
        elif not _is_same(found, self.owner):
            raise CatalogUnavailable(
                "photos cannot be stored or removed: this database is a copy of another one, which they belong to, in "
                f"{self.address}",
                hint="'osoroi copy' makes a catalog with photos of its own; where the other database is gone for good, "
                "'osoroi check --own-photos' takes them over",
            )

    def own(self) -> None:
        """Make this database the one that the photos belong to; every other one sends and removes none from then on."""
        with self._explained("stored"):
            self._client.put(self._store, OWNER, self.owner.encode(), use_multipart=False)

    def put(self, photos: Mapping[str, bytes]) -> None:
        """Store photos under their hashes; they are durable once this has returned."""
        if photos:
            self.demand_owner()

        def put(one: tuple[str, bytes]) -> None:
            with self._explained("stored"):
                self._client.put(self._store, _key(one[0]), one[1], use_multipart=False)

        if len(photos) == 1:
            put(*photos.items())
        elif photos:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="photos") as pool:
                list(pool.map(put, photos.items()))

    def lacking(self, photos: Mapping[str, bytes]) -> dict[str, bytes]:
        """Those of these photos that are not there, or of another size. Each is one request, but those that
        ``list_ahead`` has seen."""
        unsure = [name for name, data in photos.items() if hash((name, len(data))) not in self._listed]
        if not unsure:
            return {}
        self._lookups += len(unsure)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="photos") as pool:
            sizes = list(pool.map(self._size, unsure))
        return {name: photos[name] for name, size in zip(unsure, sizes, strict=True) if size != len(photos[name])}

    def list_ahead(self) -> None:
        """List the photos where many were looked up in the last hour; those that are there need no request any more.

        Called between commits: it takes one request for a thousand photos, and nobody should wait for a lock as long.
        """
        if time.monotonic() - self._since_s > LISTED_S:
            self._since_s, self._lookups, self._listed = time.monotonic(), 0, set()
        elif self._lookups >= LOOKUPS and not self._listed:
            rows = (row for chunk in self._rows() for row in chunk)
            self._listed = {hash((_name(row), int(row["size"]))) for row in rows}

    def _size(self, sha256: str) -> int | None:
        with self._explained("stored"), contextlib.suppress(FileNotFoundError):
            return int(self._client.head(self._store, _key(sha256))["size"])
        return None

    def get(self, sha256: str) -> bytes:
        """A photo; raises BadPhoto where it is not there or not what was put, CatalogUnavailable for anything else."""
        data = None
        with self._explained("read"), contextlib.suppress(FileNotFoundError):
            data = bytes(self._client.get(self._store, _key(sha256)).bytes())
        if data is None:
            self.demand()  # there is a bucket, and we may know what is in it
            raise BadPhoto(
                f"the kept photo {_key(sha256)} is not in {self.address}",
                hint="put the product with its photos, or restore the bucket",
            )
        if hash_of(data) != sha256:
            raise BadPhoto(
                f"the kept photo {_key(sha256)} in {self.address} is not what was put",
                hint="put the product with its photos, or restore the bucket",
            )
        return data

    def hashes(self) -> Iterator[list[str]]:
        """The photos that are there, some hundred at a time."""
        for chunk in self._rows():
            yield [name for name in map(_name, chunk) if name != OWNER]

    def _rows(self) -> Iterator[list[Any]]:
        """What the store says of each object, some hundred at a time."""
        with self._explained("listed"):
            yield from self._client.list(self._store, chunk_size=1000)

    def delete(self, hashes: Collection[str]) -> None:
        """Remove photos; those that are not there are none."""
        if hashes:
            self.demand_owner()
            with self._explained("removed"):
                self._client.delete(self._store, [_key(one) for one in hashes])

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Say in our words what went wrong. What stands before the colon goes to users of a service."""
        try:
            yield
        except (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError):
            raise CatalogUnavailable(
                f"photos cannot be {what}: the bucket {self.address} refuses the key, or there is none",
                hint="see AWS_ACCESS_KEY_ID and what that key may do",
            ) from None
        except FileNotFoundError:
            raise CatalogUnavailable(
                f"photos cannot be {what}: there is no bucket {self.address}", hint="make it, or see AWS_ENDPOINT_URL"
            ) from None
        except (self._errors.BaseError, OSError):
            raise CatalogUnavailable(
                f"photos cannot be {what} just now: the bucket {self.address} does not answer as it should",
                hint="see whether it exists, and AWS_ENDPOINT_URL, and try again",
            ) from None


def _is_same(one: str, other: str) -> bool:
    """Whether two names are of one database; a role that may not know the number of its server says 0.

    >>> _is_same("77-5-9", "77-5-9"), _is_same("77-5-9", "0-5-9"), _is_same("77-5-9", "77-5-10")
    (True, True, False)
    """
    return all(
        mine == theirs or "0" in (mine, theirs) for mine, theirs in zip(one.split("-"), other.split("-"), strict=True)
    )


def _name(row: Any) -> str:
    return str(row["path"]).rpartition("/")[2]


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
