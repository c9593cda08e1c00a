"""Photos that a catalog keeps in a bucket: taken over from another database, and sent again where they were lost."""

import contextlib

from osoroi import files
from osoroi.catalog.address import Address, Place
from osoroi.catalog.opening import open_catalog
from osoroi.catalog.store.photos import hash_of, place
from osoroi.errors import BadPhoto, BadRequest


def own(address: Place) -> None:
    """Make the photos in the bucket those of this database; one that it was restored from sends and removes none any
    more. Raises BadRequest where the catalog has no bucket."""
    if isinstance(address, Address):
        from osoroi.catalog.postgres.catalog import PostgresCatalog

        with open_catalog(address) as catalog:
            if isinstance(catalog, PostgresCatalog) and catalog.bucket is not None:
                catalog.bucket.own()
                return
    raise BadRequest(f"the catalog {address} keeps no photos in a bucket", hint="there is nothing to take over")


def resend(address: Place) -> int:
    """Send photos that the bucket has lost, or has otherwise than they were put, and that the cache of this machine
    has; how many they were."""
    sent = 0
    if not isinstance(address, Address):
        return sent
    from osoroi.catalog.postgres.catalog import PostgresCatalog

    with open_catalog(address) as catalog:
        if not isinstance(catalog, PostgresCatalog) or (bucket := catalog.bucket) is None:
            return sent
        with catalog.view() as transaction:
            kept = transaction.all("SELECT DISTINCT sha256 FROM crops WHERE path IS NULL")
        for (sha256,) in kept:
            with contextlib.suppress(OSError):  # this machine never had it
                data = files.content(place(catalog.folder, sha256))
                if hash_of(data) != sha256:
                    continue
                try:
                    bucket.get(sha256)
                except BadPhoto:
                    bucket.put({sha256: data})
                    sent += 1
    return sent
