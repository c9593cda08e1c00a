"""Photos from a list of links: many hosts at once, each asked gently, begun again where it was stopped.

A photo is written under its name when it is there whole, and never before. What became of each link is kept in a
journal, one line of JSON each; in the next run, photos that are there and links that lead nowhere are not asked again.
"""

import hashlib
import json
import os
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from osoroi.data.http import LONGEST_WAIT_S, Patience, Reply, fetch, suffix_of
from osoroi.errors import BadDataset

JOURNAL = "download.jsonl"


@dataclass(frozen=True)
class Manners:
    """How hosts are treated. Waits after a failure double from ``backoff_s``, and hold for the whole host."""

    at_once: int = 16
    per_host: int = 2
    pause_s: float = 0.1
    tries: int = 3
    backoff_s: float = 2.0
    redirects: int = 5
    given_up: int = 20
    patience: Patience = field(default_factory=Patience)


class Link(NamedTuple):
    """A photo's name, where it is asked for now, how often that failed, and the places it was sent on from."""

    name: str
    url: str
    failed: int = 0
    hops: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Whose limits hold: host and port."""
        try:
            return urlsplit(self.url).netloc.lower()
        except ValueError:
            return ""


class Ending(NamedTuple):
    """What became of a link. ``again``: whether the next run should ask once more."""

    name: str
    saved: bool
    again: bool
    told: str
    sha256: str = ""


@dataclass
class Count:
    """What a run did: photos that were there, saved, lost for good, failed for now, and bytes that came."""

    there: int = 0
    lost: int = 0
    saved: int = 0
    failed: int = 0
    bytes: int = 0


def links(path: Path, wanted: Collection[int] | None = None) -> Iterator[Link]:
    """The links of ``photos.txt``: number, comma, link. Links may hold commas; there is no header."""
    if not path.is_file():
        hint = "unpack photos.tar of Street2Shop there; docs/datasets/street2shop.md shows the folder"
        raise BadDataset(f"there is no list of links {path}", hint=hint)
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            name, comma, url = line.strip().partition(",")
            if not line.strip():
                continue
            if not comma or not name.isdecimal():
                hint = "a line is a number, a comma and a link"
                raise BadDataset(f"{path}, line {number}: {line.strip()[:80]!r} is no photo's line", hint=hint)
            if wanted is None or int(name) in wanted:
                yield Link(f"{int(name):09d}", url.strip())


class Hosts:
    """Links that wait, by host: whose turn it is, and who needs a rest. Not safe between threads; one hand deals."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.waiting: OrderedDict[str, deque[Link]] = OrderedDict()
        self.busy: Counter[str] = Counter()
        self.rested: dict[str, float] = {}
        self.failures: Counter[str] = Counter()

    def put(self, link: Link, *, first: bool = False) -> None:
        """Let a link wait, at the end of its host's line or in front."""
        line = self.waiting.setdefault(link.host, deque())
        line.appendleft(link) if first else line.append(link)

    def take(self, now: float) -> Link | None:
        """The next link whose host may be asked; hosts take turns. None: nobody may be asked yet, or nothing waits."""
        for host in self.waiting:
            if self.busy[host] < self.manners.per_host and self.rested.get(host, 0.0) <= now:
                link = self.waiting[host].popleft()
                self.waiting.move_to_end(host)
                if not self.waiting[host]:
                    del self.waiting[host]
                self.busy[host] += 1
                self.rested[host] = now + self.manners.pause_s
                return link
        return None

    def done(self, link: Link, *, well: bool) -> None:
        """A host has answered, or has not."""
        self.busy[link.host] -= 1
        self.failures[link.host] = 0 if well else self.failures[link.host] + 1

    def rest(self, host: str, until: float) -> None:
        """Ask a host nothing before."""
        self.rested[host] = max(until, self.rested.get(host, 0.0))

    def gone(self, host: str) -> bool:
        """Whether a host failed so often in a row that the rest of its links need not be tried in this run."""
        return self.failures[host] >= self.manners.given_up

    def next_s(self, now: float) -> float | None:
        """Seconds until some host has rested; None where all that have links waiting are busy, or none has."""
        free = [self.rested.get(host, 0.0) for host in self.waiting if self.busy[host] < self.manners.per_host]
        return max(0.0, min(free) - now) if free else None


def download(
    wanted: Iterable[Link],
    folder: Path,
    *,
    manners: Manners = Manners(),
    again: bool = False,
    on_progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """Fetch photos into ``folder``; the journal lies beside it. ``again`` asks even where nothing was found before."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder.parent / JOURNAL
    there = {name.partition(".")[0] for name in os.listdir(folder)}
    lost = set() if again else {end.name for end in endings(journal) if not end.saved and not end.again}
    count, hosts = Count(), Hosts(manners)
    for link in wanted:
        if link.name in there:
            count.there += 1
        elif link.name in lost:
            count.lost += 1
        else:
            hosts.put(link)
    with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(manners.at_once) as pool:
        for ending, size in _run(hosts, pool, folder, manners):
            note(file, ending)
            count.saved += ending.saved
            count.lost += not ending.saved and not ending.again
            count.failed += ending.again
            count.bytes += size
            on_progress(count)
    return count


def _run(hosts: Hosts, pool: ThreadPoolExecutor, folder: Path, manners: Manners) -> Iterator[tuple[Ending, int]]:
    """Deal links to threads until none is left; every ending, with the bytes it brought."""
    asked: dict[Future[Reply], Link] = {}
    try:
        while hosts.waiting or asked:
            while len(asked) < manners.at_once and (link := hosts.take(time.monotonic())):
                asked[pool.submit(fetch, link.url, manners.patience)] = link
            rest = hosts.next_s(time.monotonic()) if len(asked) < manners.at_once else None
            if not asked:
                time.sleep(rest or 0.0)
            ready, _ = wait(asked, timeout=rest, return_when=FIRST_COMPLETED)
            for future in ready:
                link, reply = asked.pop(future), future.result()
                hosts.done(link, well=reply.kind != "later")
                ending = _ending(hosts, link, reply, folder)
                if ending is not None:
                    yield ending, len(reply.data)
                yield from _given_up(hosts, link.host)
    finally:
        for future in asked:
            future.cancel()


def _ending(hosts: Hosts, link: Link, reply: Reply, folder: Path) -> Ending | None:
    """What became of a link, or None where it goes on waiting."""
    manners, now = hosts.manners, time.monotonic()
    if reply.kind == "photo":
        return save(folder, link.name, reply.data)
    if reply.kind == "never":
        return Ending(link.name, saved=False, again=False, told=reply.told)
    if reply.kind == "moved":
        if reply.told in (*link.hops, link.url) or len(link.hops) >= manners.redirects:
            return Ending(link.name, saved=False, again=False, told=f"sent round and round: at last to {reply.told}")
        hosts.put(Link(link.name, reply.told, link.failed, (*link.hops, link.url)), first=True)
        return None
    delay = max(reply.wait_s, manners.backoff_s * 2**link.failed)
    if link.failed + 1 >= manners.tries or delay > LONGEST_WAIT_S:
        return Ending(link.name, saved=False, again=True, told=reply.told)
    hosts.rest(link.host, now + delay)
    hosts.put(link._replace(failed=link.failed + 1), first=True)
    return None


def _given_up(hosts: Hosts, host: str) -> Iterator[tuple[Ending, int]]:
    """The links of a host that does not answer at all: tried again in the next run."""
    if hosts.gone(host):
        for link in hosts.waiting.pop(host, ()):
            told = f"host given up: {host} failed {hosts.failures[host]} times in a row"
            yield Ending(link.name, saved=False, again=True, told=told), 0


def save(folder: Path, name: str, data: bytes) -> Ending:
    """Write a photo under its name, whole or not at all."""
    part = folder / f".{name}.part"
    part.write_bytes(data)
    os.replace(part, folder / f"{name}{suffix_of(data)}")
    return Ending(name, saved=True, again=False, told="", sha256=hashlib.sha256(data).hexdigest())


def note(journal: IO[str], ending: Ending) -> None:
    """Keep what became of a link."""
    journal.write(json.dumps(ending._asdict()) + "\n")
    journal.flush()


def endings(journal: Path) -> Iterator[Ending]:
    """What became of links in earlier runs, the last word of each; a line that was cut off says nothing."""
    last: dict[str, Ending] = {}
    if journal.is_file():
        with journal.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    ending = Ending(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                last[ending.name] = ending
    yield from last.values()
