"""The index of the encoder that a catalog is moving to, built before the switch, so that no search waits for it.

It stands in a folder of its own beside the snapshot in use, and takes its place once the catalog has moved.
"""

import os
import shutil
from pathlib import Path

from osoroi import files
from osoroi.catalog.memory import snapshots
from osoroi.catalog.memory.memory_index import MemoryIndex
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import StoredEncoder
from osoroi.catalog.store.settings import CatalogSettings

PREFIX = "prepared-"

PENDING = 10_000
"""Crops without a vector of the next encoder, at most, with which its index is built; they are added later."""


def folder_of(folder: Path, encoder: StoredEncoder) -> Path:
    """The folder of an encoder's index inside that of a catalog or shard: a number may be given twice, to two files."""
    return folder / f"{PREFIX}{encoder.encoder}-{encoder.fingerprint[:16]}"


def index_of(transaction: ReadTransaction, encoder: StoredEncoder, settings: CatalogSettings) -> MemoryIndex | None:
    """The index of the encoder that the catalog is moving to, as of the transaction.

    A few crops may have no vector of it: others write while a searcher starts. None while those are more than
    ``PENDING``, and while another process of this machine builds it.
    """
    count = transaction.crop_count(settings.shard)
    pending = transaction.pending(encoder, settings.shard, PENDING + 1)
    if len(pending) > min(PENDING, count // 2):
        return None
    if count < settings.snapshot_from:
        return MemoryIndex.build(transaction, encoder, settings, pending=pending)
    folder = transaction.folder / settings.shard.folder
    here = folder_of(folder, encoder)
    here.mkdir(parents=True, exist_ok=True)
    with snapshots.exclusive(here) as alone:
        if not alone:
            return None
        snapshot = snapshots.read(here, encoder.encoder, settings)
        if snapshot is not None:
            memory = MemoryIndex.of_snapshot(encoder, snapshot, settings)
            if memory.follow(transaction):
                return memory
        for other in folder.glob(f"{PREFIX}*"):
            if other != here:  # of a move that was given up
                shutil.rmtree(other, ignore_errors=True)
        return MemoryIndex.build(transaction, encoder, settings, pending=pending).save(here)


def promote(folder: Path, encoder: StoredEncoder) -> None:
    """Make the snapshot that was prepared for an encoder the current one, now that the catalog has moved to it."""
    here = folder_of(folder, encoder)
    if snapshots.current(here) is None:
        return
    with snapshots.exclusive(folder) as alone:
        source = snapshots.current(here)
        if not alone or source is None:
            return
        home = folder / snapshots.FOLDER
        home.mkdir(exist_ok=True)
        os.rename(source, home / source.name)
        files.write_atomically(home / snapshots.CURRENT, source.name.encode())
        shutil.rmtree(here, ignore_errors=True)
        snapshots.clean(folder)
