"""Downloads photos from a list of links: many hosts at once, few requests to each, resumed where it was stopped.

A photo gets its name when its file is whole, and never before. The journal has the outcome of each link, one line of
JSON each; the next run requests neither photos that are on the disk nor links that lead nowhere.
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

from osoroi import files
from osoroi.data.http import LONGEST_WAIT_S, Reply, Timeouts, fetch, suffix_of
from osoroi.errors import BadDataset

JOURNAL = "download.jsonl"


@dataclass(frozen=True)
class Policy:
    """Limits of requests to hosts. Waits after a failure double from ``backoff_s``, and hold for the whole host."""

    at_once: int = 16
    per_host: int = 2
    pause_s: float = 0.1
    tries: int = 3
    backoff_s: float = 2.0
    redirects: int = 5
    max_host_failures: int = 20
    timeouts: Timeouts = field(default_factory=Timeouts)


class Link(NamedTuple):
    """A photo's name, its current address, how many requests failed, and the addresses that redirected to it."""

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


class DownloadOutcome(NamedTuple):
    """The outcome of a link. ``again``: whether the next run should request it once more."""

    name: str
    saved: bool
    again: bool
    reason: str
    sha256: str = ""


@dataclass
class DownloadCount:
    """Counts of a run: photos that were there, saved, lost for good, failed for now, and bytes received."""

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
    """Waiting links by host, with the pauses of hosts. Not safe between threads: one thread deals them out."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.waiting: OrderedDict[str, deque[Link]] = OrderedDict()
        self.busy: Counter[str] = Counter()
        self.paused_until: dict[str, float] = {}
        self.failures: Counter[str] = Counter()

    def put(self, link: Link, *, first: bool = False) -> None:
        """Let a link wait, at the end of its host's line or in front."""
        line = self.waiting.setdefault(link.host, deque())
        line.appendleft(link) if first else line.append(link)

    def take(self, now: float) -> Link | None:
        """The next link whose host may get a request; hosts take turns. None where no host may, or no link waits."""
        for host in self.waiting:
            if self.busy[host] < self.policy.per_host and self.paused_until.get(host, 0.0) <= now:
                link = self.waiting[host].popleft()
                self.waiting.move_to_end(host)
                if not self.waiting[host]:
                    del self.waiting[host]
                self.busy[host] += 1
                self.paused_until[host] = now + self.policy.pause_s
                return link
        return None

    def done(self, link: Link, *, well: bool) -> None:
        """Count the end of a request; ``well`` says whether the host answered."""
        self.busy[link.host] -= 1
        self.failures[link.host] = 0 if well else self.failures[link.host] + 1

    def pause(self, host: str, until: float) -> None:
        """Send a host no request before ``until``."""
        self.paused_until[host] = max(until, self.paused_until.get(host, 0.0))

    def failed_too_often(self, host: str) -> bool:
        """Whether a host failed so often in a row that its other links are left to the next run."""
        return self.failures[host] >= self.policy.max_host_failures

    def next_s(self, now: float) -> float | None:
        """Seconds until the pause of some host ends; None where all that have links waiting are busy, or none has."""
        free = [self.paused_until.get(host, 0.0) for host in self.waiting if self.busy[host] < self.policy.per_host]
        return max(0.0, min(free) - now) if free else None


def download(
    wanted: Iterable[Link],
    folder: Path,
    *,
    policy: Policy = Policy(),
    again: bool = False,
    on_progress: Callable[[DownloadCount], None] = lambda count: None,
) -> DownloadCount:
    """Fetch photos into ``folder``; the journal lies beside it. ``again`` retries links that led nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder.parent / JOURNAL
    there = {name.partition(".")[0] for name in os.listdir(folder)}
    lost = set() if again else {end.name for end in outcomes(journal) if not end.saved and not end.again}
    count, hosts = DownloadCount(), Hosts(policy)
    for link in wanted:
        if link.name in there:
            count.there += 1
        elif link.name in lost:
            count.lost += 1
        else:
            hosts.put(link)
    with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(policy.at_once) as pool:
        for outcome, size in _run(hosts, pool, folder, policy):
            note(file, outcome)
            count.saved += outcome.saved
            count.lost += not outcome.saved and not outcome.again
            count.failed += outcome.again
            count.bytes += size
            on_progress(count)
    return count


def _run(hosts: Hosts, pool: ThreadPoolExecutor, folder: Path, policy: Policy) -> Iterator[tuple[DownloadOutcome, int]]:
    """Deal links to threads until none is left; every outcome, with the bytes it brought."""
    in_flight: dict[Future[Reply], Link] = {}
    try:
        while hosts.waiting or in_flight:
            while len(in_flight) < policy.at_once and (link := hosts.take(time.monotonic())):
                in_flight[pool.submit(fetch, link.url, policy.timeouts)] = link
            rest = hosts.next_s(time.monotonic()) if len(in_flight) < policy.at_once else None
            if not in_flight:
                time.sleep(rest or 0.0)
            ready, _ = wait(in_flight, timeout=rest, return_when=FIRST_COMPLETED)
            for future in ready:
                link, reply = in_flight.pop(future), future.result()
                hosts.done(link, well=reply.kind != "later")
                outcome = _outcome(hosts, link, reply, folder)
                if outcome is not None:
                    yield outcome, len(reply.data)
                yield from _give_up(hosts, link.host)
    finally:
        for future in in_flight:
            future.cancel()


def _outcome(hosts: Hosts, link: Link, reply: Reply, folder: Path) -> DownloadOutcome | None:
    """The outcome of a link, or None where it goes on waiting."""
    policy, now = hosts.policy, time.monotonic()
    if reply.kind == "photo":
        return save(folder, link.name, reply.data)
    if reply.kind == "never":
        return DownloadOutcome(link.name, saved=False, again=False, reason=reply.detail)
    if reply.kind == "moved":
        if reply.detail in (*link.hops, link.url) or len(link.hops) >= policy.redirects:
            return DownloadOutcome(
                link.name, saved=False, again=False, reason=f"redirected in circles: at last to {reply.detail}"
            )
        hosts.put(Link(link.name, reply.detail, link.failed, (*link.hops, link.url)), first=True)
        return None
    delay = max(reply.wait_s, policy.backoff_s * 2**link.failed)
    if link.failed + 1 >= policy.tries or delay > LONGEST_WAIT_S:
        return DownloadOutcome(link.name, saved=False, again=True, reason=reply.detail)
    hosts.pause(link.host, now + delay)
    hosts.put(link._replace(failed=link.failed + 1), first=True)
    return None


def _give_up(hosts: Hosts, host: str) -> Iterator[tuple[DownloadOutcome, int]]:
    """The links of a host that does not answer at all: tried again in the next run."""
    if hosts.failed_too_often(host):
        for link in hosts.waiting.pop(host, ()):
            reason = f"host given up: {host} failed {hosts.failures[host]} times in a row"
            yield DownloadOutcome(link.name, saved=False, again=True, reason=reason), 0


def save(folder: Path, name: str, data: bytes) -> DownloadOutcome:
    """Write a photo under its name, whole or not at all."""
    files.write_atomically(folder / f"{name}{suffix_of(data)}", data, durable=False)
    return DownloadOutcome(name, saved=True, again=False, reason="", sha256=hashlib.sha256(data).hexdigest())


def note(journal: IO[str], outcome: DownloadOutcome) -> None:
    """Append the outcome of a link to the journal."""
    journal.write(json.dumps(outcome._asdict()) + "\n")
    journal.flush()


def outcomes(journal: Path) -> Iterator[DownloadOutcome]:
    """The last outcome of each link in earlier runs; a line that was cut off is passed over."""
    last: dict[str, DownloadOutcome] = {}
    if journal.is_file():
        with journal.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    outcome = DownloadOutcome(**files.from_json(line))
                except (ValueError, TypeError):
                    continue
                last[outcome.name] = outcome
    yield from last.values()
