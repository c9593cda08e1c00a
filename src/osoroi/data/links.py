"""Photos behind the links of a table: fetched once, kept under a hash of their link, resumed where it was stopped.

Two requests a host at a time, with pauses; addresses inside a private network are refused unless they are allowed.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from osoroi import files
from osoroi.data.download import JOURNAL, DownloadCount, Link, Policy, download, outcomes
from osoroi.data.http import Timeouts
from osoroi.errors import BadPhoto
from osoroi.records import Crop

PHOTOS = "photos"


class Fetched(NamedTuple):
    """A photo that was fetched: its link, and the file that has it."""

    name: str
    path: Path

    def read(self) -> bytes:
        """The bytes; raises BadPhoto where the file is gone."""
        try:
            return files.content(self.path)
        except OSError as error:
            raise BadPhoto(f"{self.name}: its file {self.path} cannot be read", hint="add the table again") from error


def path_of(crop: Crop) -> Path | None:
    """The file of a crop's photo."""
    return crop.photo.path if isinstance(crop.photo, Fetched) else crop.photo if isinstance(crop.photo, Path) else None


class NotFetched(NamedTuple):
    """A photo behind a link that was not fetched, and why."""

    name: str
    reason: str = ""

    def read(self) -> bytes:
        """Raises BadPhoto."""
        if self.reason:
            raise BadPhoto(f"{self.name} was not fetched: {self.reason}")
        raise BadPhoto(f"{self.name} was not fetched", hint="osoroi add and osoroi sync fetch links")


@dataclass
class Links:
    """The photos of links in a folder. ``private`` allows addresses inside a private network."""

    folder: Path
    private: bool = False

    def fetch(
        self, links: Iterable[str], on_progress: Callable[[DownloadCount], None] = lambda count: None
    ) -> DownloadCount:
        """Fetch what is not there yet. A link that led nowhere is tried again."""
        timeouts = Timeouts(public_only=not self.private, purpose="product photos of a shop, for its own search")
        wanted = (Link(name_of(link), link) for link in dict.fromkeys(links))
        return download(
            wanted, self.folder / PHOTOS, policy=Policy(timeouts=timeouts), again=True, on_progress=on_progress
        )

    def sources(self) -> Callable[[str], Fetched | NotFetched]:
        """What gives the photo of a link, as far as it was fetched."""
        folder = self.folder / PHOTOS
        files = {name.partition(".")[0]: folder / name for name in os.listdir(folder)} if folder.is_dir() else {}
        reasons = {one.name: one.reason for one in outcomes(self.folder / JOURNAL) if not one.saved}

        def source(link: str) -> Fetched | NotFetched:
            name = name_of(link)
            return Fetched(link, files[name]) if name in files else NotFetched(link, reasons.get(name, ""))

        return source


def name_of(link: str) -> str:
    """The name of a link's file.

    >>> name_of("https://shop.example/a.jpg")[:12]
    'd5391c65ed48'
    """
    return hashlib.sha256(link.encode()).hexdigest()[:40]
