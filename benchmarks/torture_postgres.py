"""Kill writers, the server and connections of a catalog in PostgreSQL; nothing acknowledged may be lost.

Each round forks one or two writers that put, replace, patch, remove, search, compact and move to another encoder, and
say before and after each step what they do. Meanwhile one of three things happens, at a time or a line of our code that
the seed chooses: a writer is killed (SIGKILL), the whole server is killed (SIGKILL) and started again, or every
connection is cut, again and again, wherever its transaction is. A round whose writer ended before it was hit does not
count. Then the catalog is opened, with no repair step, and compared with
a plain dictionary of what was acknowledged; a step that was under way or failed may be in it whole or not at all. What
was removed may not come back. Searches have to equal a comparison with everything, and ``osoroi check``, which also
looks for gaps in the numbers of commits, has to find nothing.

    python benchmarks/torture_postgres.py --kills 1000
    python benchmarks/torture_postgres.py --kills 1000 --minutes 15 --tally postgres.json   # in pieces
"""

import contextlib
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from torture import KINDS, LINES, kill_at, searches, state
from torture_steps import Model, Seeded, Tally, change, do, product_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from osoroi.catalog.address import Address
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import is_catalog, open_or_create
from osoroi.catalog.postgres.connection import Native
from osoroi.catalog.stored import StoredCatalog
from osoroi.errors import BadCatalog
from postgres import Server, drop, running, schema_of

STEPS = 12
TIME_S = 1.5
"""A writer, the server or connections are hit within so many seconds of its beginning."""
OFTEN = {"put": 6, "replace": 3, "remove": 3, "patch": 3, "compact": 1, "search": 2, "reencode": 1}
HITS = ("writer", "line", "server", "connections")
SETTLE_S = 600
"""Seconds that the server may take to notice that its clients are gone, on a machine that does much else."""
ROUNDS = 25
"""Rounds of one catalog."""


def plan(model: Model, rng: random.Random, prefix: str, *, alone: bool) -> dict[str, Any]:
    """The next step of a writer whose products begin with ``prefix``."""
    kinds = [kind for kind in OFTEN if alone or kind != "reencode"]
    kind, held = rng.choices(kinds, [OFTEN[one] for one in kinds])[0], sorted(model.products)
    if kind in ("compact", "search", "reencode"):
        return {"do": kind, "encoder": model.encoder + (kind == "reencode")}
    if kind == "put" or not held:
        names = dict.fromkeys(f"{prefix}{rng.randrange(30):02}" for _ in range(rng.randint(1, 4)))
        return {"do": "put", "products": [product_of(name, rng) for name in names]}
    return change(kind, held, rng)


@dataclass
class Writer:
    """A forked writer: what it began with, its process, and the pipe on which it says what it does."""

    model: Model
    pid: int
    pipe: int
    was_killed: bool = False

    def said(self) -> list[str]:
        """All that it said, once it has ended."""
        with os.fdopen(self.pipe) as lines:
            said = [line.strip() for line in lines]
        _, status = os.waitpid(self.pid, 0)
        self.was_killed = os.WIFSIGNALED(status)
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, f"a writer failed after {said[-1:]}"
        return said


def fork(address: Address, model: Model, seed: int, prefix: str, *, alone: bool, traced: bool) -> Writer:
    """Begin a writer."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return Writer(model, child, reading)
    os.close(reading)
    rng = random.Random(seed)
    if traced:
        kill_at(rng.randrange(1, LINES))
    code = 1
    try:
        with os.fdopen(writing, "w", buffering=1) as pipe:
            write(address, model, rng, prefix, pipe, alone=alone)
        code = 0
    except BaseException:  # noqa: BLE001  never back into the loop of the parent
        traceback.print_exc()
    os._exit(code)


def write(address: Address, model: Model, rng: random.Random, prefix: str, pipe: Any, *, alone: bool) -> None:
    """A writer's life: steps, each said before and after. It ends where the catalog fails it, and says so."""
    try:
        catalog: StoredCatalog = open_or_create(address, Seeded(model.encoder), settings=model.settings)
        for _ in range(STEPS):
            step = plan(model, rng, prefix, alone=alone)
            print(json.dumps(step), file=pipe, flush=True)
            catalog = do(catalog, address, step, model)
            print("done", file=pipe, flush=True)
            model = model.after(step)
        catalog.close()
    except BadCatalog as error:
        print(f"failed {type(error).__name__}", file=pipe, flush=True)
        os._exit(0)


def hit(how: str, server: Server, address: Address, writers: Sequence[Writer], rng: random.Random) -> None:
    """Do it to them, after a while."""
    time.sleep(rng.random() * TIME_S)
    match how:
        case "writer":
            for writer in writers:
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(writer.pid, signal.SIGKILL)
                time.sleep(rng.random() * 0.05)
        case "server":
            server.kill()
            time.sleep(rng.random() * 0.3)
            server.start()
        case "connections":
            for _ in range(rng.randint(1, 4)):
                cut(address)
                time.sleep(rng.random() * 0.1)


def cut(address: Address) -> None:
    """End every other connection to the server."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address.conninfo, autocommit=True) as one:
        one.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


def settle(address: Address) -> None:
    """Wait until the server has done all that writers sent before they ended.

    What a killed one sent last may be committed after its death, which is right: it was never acknowledged, and holds
    its products until then. But the state of a catalog is read here in several transactions.
    """
    end = time.monotonic() + SETTLE_S
    others = (
        "SELECT pid, state, wait_event_type, wait_event, left(query, 80) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with connected(address, end) as one:
        while rows := one.execute(others).fetchall():
            assert time.monotonic() < end, f"a connection of a writer that has ended stays open: {rows}"
            time.sleep(0.02)


def connected(address: Address, end: float) -> Native:
    """A connection, once the server answers: on a machine that does much else it may take long."""
    while True:
        try:
            return psycopg.connect(address.conninfo, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def believed(writer: Writer, said: Sequence[str]) -> tuple[Model, Model, str]:
    """What a writer's half of the catalog has to be: before or after its last step, and that step."""
    model = before = writer.model
    under_way = "open"
    for line in said:
        if line == "done":
            before, under_way = model, "between"
        elif not line.startswith("failed"):
            step = json.loads(line)
            before, model, under_way = model, model.after(step), step["do"]
    return before, model, under_way


def survived(address: Address, lives: Sequence[tuple[Writer, list[str], str]], model: Model) -> tuple[Model, list[str]]:
    """Open and compare; the state that was found, and the steps that were cut. Raises AssertionError."""
    cut_at = []
    settle(address)
    if not is_catalog(address):
        assert not any(line == "done" for _, said, _ in lives for line in said), "the catalog is gone"
        return model, ["open"]
    found = state(address, model.settings)
    for writer, said, prefix in lives:
        before, after, under_way = believed(writer, said)
        mine = {name: row for name, row in found.products.items() if name.startswith(prefix)}
        differing = {name for name in {*mine, *before.products} if mine.get(name) != before.products.get(name)}
        assert mine in (before.products, after.products), (
            f"{prefix}: neither before nor after {under_way}: {[(name, mine.get(name)) for name in sorted(differing)]}"
        )
        assert found.encoder in (before.encoder, after.encoder), "another encoder"
        cut_at.append(under_way)
    searches(address, found)
    findings = check(address, settings=model.settings)
    assert not findings, findings
    return found, cut_at


def half(model: Model, prefix: str) -> Model:
    """The part of a model that one writer has."""
    products = {name: row for name, row in model.products.items() if name.startswith(prefix)}
    return Model(model.settings, model.encoder, products)


def torture(server: Server, tally: Tally) -> None:
    """So many hits, of one catalog after another; the tally says what was hit, and where."""
    model = Model(KINDS[0])
    text = schema_of(server.url())
    for round_ in tally.rounds(ROUNDS):
        if round_ % ROUNDS == 1:
            drop(text)
            text, model = schema_of(server.url()), Model(KINDS[round_ // ROUNDS % len(KINDS)])
        address, rng = Address.parse(text), random.Random(tally.seed * 1_000_003 + round_)
        how = HITS[round_ % len(HITS)]
        prefixes = rng.choice([("p",), ("a", "b")]) if is_catalog(address) else ("p",)
        alone = len(prefixes) == 1
        writers = [
            fork(address, half(model, one), rng.randrange(2**32), one, alone=alone, traced=how == "line")
            for one in prefixes
        ]
        with ThreadPoolExecutor(1) as pool:
            hitting = pool.submit(hit, how, server, address, writers, rng)
            lives = [(writer, writer.said(), prefix) for writer, prefix in zip(writers, prefixes, strict=True)]
            hitting.result()
        others = {name: row for name, row in model.products.items() if not name.startswith(prefixes)}
        try:
            found, cut_at = survived(address, lives, model)
            assert {name: row for name, row in found.products.items() if not name.startswith(prefixes)} == others
        except AssertionError as error:
            said = [said[-3:] for _, said, _ in lives]
            raise AssertionError(f"round {round_} of seed {tally.seed} ({how}): {error}; said {said}") from error
        model = found
        if how in ("server", "connections") or any(writer.was_killed for writer in writers):
            tally.cut[f"{how} in {cut_at[0]}"] += 1
    drop(text)


def main() -> None:
    tally = Tally.of_command(__doc__)
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="osoroi-torture-") as folder, running() as server:
        os.environ["OSOROI_CACHE"] = folder
        torture(server, tally)
    print(tally.text())


if __name__ == "__main__":
    main()
