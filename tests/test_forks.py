"""A process with an open catalog is forked, as multiprocessing does: nothing acknowledged is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from osoroi.catalog.address import place_of
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.opening import open_catalog
from osoroi.errors import BadCatalog
from shops import create, entry, found, put

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from osoroi.catalog.local import LocalCatalog
from shops import entry, put
with LocalCatalog.open(Path(sys.argv[2])) as catalog:
    put(catalog, entry(sys.argv[3], [1, 0, 0, 0]))
"""


def another_process_puts(shop: Path, name: str) -> None:
    """Opens, writes and closes as the last one that it knows of, which folds the log and deletes it."""
    subprocess.run([sys.executable, "-c", OTHER, str(Path(__file__).parent), str(shop), name], check=True)


def in_child(work: Callable[[], None]) -> int:
    """Fork, and do some work in the child; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001, nothing may leave the child
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended(child: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def ids(shop: Path) -> list[str]:
    with LocalCatalog.open(shop, readonly=True) as catalog:
        return [product.product_id for product in catalog.products()]


def test_a_child_writes_while_its_parent_has_closed_and_others_come_and_go(tmp_path):
    shop = tmp_path / "shop"
    catalog = create(shop, entry("p1", [1, 0, 0, 0]))
    hold, go = os.pipe()

    def work() -> None:
        os.read(hold, 1)
        put(catalog, entry("p2", [1, 0, 0, 0]))
        another_process_puts(shop, "p3")
        put(catalog, entry("p4", [1, 0, 0, 0]))
        assert len(catalog) == 4
        catalog.close()

    child = in_child(work)
    catalog.close()
    os.write(go, b"x")
    ended(child)
    another_process_puts(shop, "p5")
    assert ids(shop) == ["p1", "p2", "p3", "p4", "p5"]
    assert check(shop) == []


def test_parent_and_children_use_one_catalog_at_the_same_time(tmp_path):
    shop = tmp_path / "shop"
    with create(shop, entry("p", [1, 0, 0, 0])) as catalog:
        assert found(catalog) == "p"

        def work(number: int) -> None:
            for step in range(5):
                put(catalog, entry(f"c{number}{step}", [1, 0, 0, 0]))
            assert "p" in found(catalog)

        children = [in_child(partial(work, number)) for number in range(3)]
        for step in range(5):
            put(catalog, entry(f"m{step}", [1, 0, 0, 0]))
        for child in children:
            ended(child)
        assert len(catalog) == 1 + 5 + 15
    assert check(shop) == []


def test_a_child_of_a_process_that_is_reading_says_why_it_cannot(tmp_path):
    shop = tmp_path / "shop"
    with create(shop, entry("p1", [1, 0, 0, 0])) as catalog:

        def work() -> None:
            with pytest.raises(BadCatalog, match="was in use when this process was forked"):
                put(catalog, entry("p2", [1, 0, 0, 0]))
            with pytest.raises(BadCatalog, match="was in use when this process was forked"):
                LocalCatalog.open(shop)
            catalog.close()

        with catalog.view():
            ended(in_child(work))
        another_process_puts(shop, "p2")
        put(catalog, entry("p3", [1, 0, 0, 0]))
    assert ids(shop) == ["p1", "p2", "p3"]


@pytest.mark.parametrize("inside", ["commit", "index"])
def test_a_child_of_a_process_whose_other_thread_is_at_work_says_so_and_does_not_hang(tmp_path, inside):
    shop = tmp_path / "shop"
    begun, done = threading.Event(), threading.Event()
    with create(shop, entry("p1", [1, 0, 0, 0])) as catalog:
        found(catalog)

        def thread() -> None:
            with catalog.commit("x") if inside == "commit" else catalog._lock.exclusive(), catalog.view():
                begun.set()
                done.wait(120)

        def work() -> None:
            signal.alarm(90)
            for use in (lambda: put(catalog, entry("p2", [1, 0, 0, 0])), lambda: found(catalog)):
                with pytest.raises(BadCatalog, match="was in use when this process was forked"):
                    use()
            began = time.monotonic()
            catalog.close()
            assert time.monotonic() - began < 60

        other = threading.Thread(target=thread)
        other.start()
        begun.wait()
        try:
            ended(in_child(work))
        finally:
            done.set()
            other.join()
        put(catalog, entry("p3", [1, 0, 0, 0]))
    assert ids(shop) == ["p1", "p3"]


def test_a_child_leaves_the_connections_to_postgresql_to_its_parent(postgres_address):
    with create(place_of(postgres_address), entry("p1", [1, 0, 0, 0])) as catalog:

        def work() -> None:
            with pytest.raises(BadCatalog, match="was opened before this process was forked"):
                len(catalog)
            catalog.close()
            with open_catalog(place_of(postgres_address)) as own:
                put(own, entry("p2", [1, 0, 0, 0]))

        ended(in_child(work))
        put(catalog, entry("p3", [1, 0, 0, 0]))
        assert len(catalog) == 3
