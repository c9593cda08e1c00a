"""A catalog: whether it can be opened and fits its encoder; one in a folder, whether it is on a disk with room, too."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from osoroi import files
from osoroi.catalog.address import Place
from osoroi.catalog.opening import encoder_of, open_catalog, runtimes
from osoroi.catalog.stored import StoredCatalog
from osoroi.doctor.finding import Diagnosis
from osoroi.encoder import choice
from osoroi.errors import REENCODE
from osoroi.text import printable

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs")
"""File systems whose locks and mapped files are not to be trusted with a database."""

LEAST_FREE = 200 * 2**20
SAMPLE = 200
PHOTOS = 20
"""Photos that are looked for, at most."""

MOUNTS = Path("/proc/self/mounts")


def findings(place: Place, encoder: Path | None = None) -> Iterator[Diagnosis]:
    """Everything about one catalog."""
    with open_catalog(place, readonly=True) as catalog:
        info = catalog.info()
        yield Diagnosis("catalog", "ok", f"{len(catalog):,} products, {info.bytes / 1e6:,.1f} MB")
        yield photos(some_photos(catalog))
        yield clock(info.changed_s, time.time())
        yield fits(catalog, encoder)
    if isinstance(place, Path):
        yield writable(place)
        yield room(place, info.bytes, shutil.disk_usage(place).free)
        yield file_system(place)
        yield locks(place)


def titles(place: Place) -> list[str]:
    """Titles of some products."""
    with open_catalog(place, readonly=True) as catalog:
        return [product.title for product in islice(catalog.products(), SAMPLE)]


def some_photos(catalog: StoredCatalog) -> list[str]:
    """Paths of photos that the catalog does not keep itself, from all over it."""
    outside = "SELECT path, row_number() OVER (ORDER BY crop) AS number FROM crops WHERE path IS NOT NULL"
    with catalog.view() as transaction:
        (count,) = transaction.one("SELECT count(*) FROM crops WHERE path IS NOT NULL")
        step = max(1, -(-count // PHOTOS))
        every = f"SELECT path FROM ({outside}) AS outside WHERE number % ? = 0"  # noqa: S608
        return [path for (path,) in transaction.all(every, step)]


def photos(paths: Sequence[str]) -> Diagnosis:
    """Whether photos are still where they were when they were added."""
    if not paths:
        return Diagnosis("photos", "ok", "the catalog keeps its photos itself")
    if gone := [path for path in paths if not (os.path.isfile(path) and os.access(path, os.R_OK))]:
        text = f"{len(gone)} of {len(paths)} that were looked at cannot be read: {printable(gone[0])}"
        hint = "put them back, or add the products from where they are; pictures and `osoroi reencode` need them"
        return Diagnosis("photos", "warn", text, hint)
    return Diagnosis("photos", "ok", f"{len(paths)} that were looked at can be read")


def writable(folder: Path) -> Diagnosis:
    """Whether this user may change the catalog. A service that is only searched needs no more than reading."""
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = f"give the folder to the user that the service runs as: chown -R USER {folder.name}"
        return Diagnosis("writable", "warn", f"{user} cannot write: {error.strerror}", hint)
    return Diagnosis("writable", "ok", f"{user} can write")


def room(folder: Path, used: int, free: int) -> Diagnosis:
    """Whether the disk has room: the index is written anew beside the old one.

    >>> [room(Path("shop"), 10**9, free).status for free in (10**8, 5 * 10**8, 10**10)]
    ['fail', 'warn', 'ok']
    """
    text = f"{free / 1e9:,.1f} GB free, the catalog has {used / 1e9:,.1f} GB"
    if free < LEAST_FREE:
        return Diagnosis("disk", "fail", text, "make room: changes will fail soon")
    if free < used:
        return Diagnosis("disk", "warn", text, "have as much free as the catalog has, for compactions and reencode")
    return Diagnosis("disk", "ok", text)


def file_system(folder: Path, mounts: Path = MOUNTS) -> Diagnosis:
    """Whether the catalog lies on a disk of this machine."""
    if not mounts.is_file():
        return Diagnosis("file system", "ok", "unknown on this platform")
    place, best, kind = os.path.realpath(folder), "", "unknown"
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, one, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if (place + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, one
    if kind in NETWORK:
        hint = "keep the catalog on a disk of this machine: SQLite's locks and log do not work over a network"
        return Diagnosis("file system", "fail", kind, hint)
    return Diagnosis("file system", "ok", kind)


def locks(folder: Path) -> Diagnosis:
    """Whether a lock in this folder keeps a second one out."""
    if not os.access(folder, os.W_OK):
        return Diagnosis("locks", "ok", "not tried: the folder is not ours to write")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
        path = Path(place) / "lock"
        with files.lock(path) as first, files.lock(path) as second:
            if not first or second:
                return Diagnosis("locks", "fail", "two writers got the same lock", "use a local disk")
    return Diagnosis("locks", "ok", "a second writer is kept out")


def clock(changed_s: float | None, now_s: float) -> Diagnosis:
    """Whether the clock was turned back since the last change."""
    if changed_s is not None and changed_s > now_s + 60:
        return Diagnosis("last change", "warn", f"{changed_s - now_s:,.0f} s in the future", "set the clock")
    return Diagnosis("last change", "ok", f"{(now_s - (changed_s or now_s)) / 86400:,.1f} days ago")


def fits(catalog: StoredCatalog, given: Path | None) -> Diagnosis:
    """Whether the encoder that a service would use made the catalog's vectors."""
    encoder = encoder_of(catalog, given)
    if encoder.fingerprint != catalog.fingerprint:
        text = f"{encoder.fingerprint[:12]}, and the catalog holds vectors of {catalog.fingerprint[:12]}"
        return Diagnosis("encoder", "fail", text, REENCODE)
    encoder.encode([np.full(encoder.preprocessing["shop"].shape, 128, np.uint8)])
    runs = "; ".join(str(way) for way in choice.remembered(encoder, runtimes())) or "not measured yet"
    return Diagnosis("encoder", "ok", f"{encoder.fingerprint[:12]} made the vectors of the catalog; it runs: {runs}")
