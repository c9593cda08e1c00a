"""A catalog that follows a shop over days: photos behind links, a table that is watched, a folder that was meant."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from osoroi.catalog.local import LocalCatalog
from osoroi.cli import main, new_catalog
from osoroi.shop import Catalog
from photo_server import Photos
from shop import BLUE, GREEN, RED, picture
from tiny import TinyEncoder


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Catalog]:
    encoder = TinyEncoder()
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as storage:
        yield Catalog(storage, encoder)


def test_photos_behind_links_are_fetched_once_and_a_lost_one_is_tried_again(shop: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "links.csv"
    with Photos({"/red.png": picture(RED), "/blue.png": picture(BLUE)}) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        lines = [f"{base}/{color}.png,{color}" for color in ("red", "green", "blue")]
        table.write_text("photo,product_id\n" + "\n".join(lines) + "\n")
        synced = shop.sync(table, private_links=True)
        assert (synced.count.added, synced.count.left_out) == (2, 1)
        (problem,) = synced.problems
        assert problem.product_id == "green"
        assert "404" in problem.reason
        assert shop.search(picture(BLUE), k=1)[0].product_id == "blue"
        server.photos["/green.png"] = picture(GREEN)
        asked = len(server.asked)
        assert shop.sync(table, private_links=True).count.added == 1
        assert server.asked[asked:].count("/green.png") == 1
        assert not {"/red.png", "/blue.png"} & set(server.asked[asked:])
        server.shutdown()
    assert shop.sync(table, private_links=True).count.unchanged == 3, "with the server gone"


def test_links_into_a_private_network_are_refused_unless_they_are_allowed(shop: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "links.csv"
    shop.add({"product_id": "here", "photo": io.BytesIO(picture(RED))})
    with Photos({"/red.png": picture(RED)}) as server:
        (tmp_path / "here.png").write_bytes(picture(RED))
        link = f"http://127.0.0.1:{server.server_port}/red.png"
        table.write_text(f"photo,product_id\n{link},there\nhere.png,here\n")
        synced = shop.sync(table)
        server.shutdown()
    assert server.asked == []
    assert [problem.product_id for problem in synced.problems] == ["there"]
    assert "private" in synced.problems[0].reason
    assert shop.storage.product_ids() == ["here"]


def test_a_watched_table_is_followed_when_it_has_stopped_growing(
    shop: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        (tmp_path / f"{name}.png").write_bytes(picture(color))
    table = tmp_path / "products.csv"

    def written(*names: str, end: str = "") -> None:
        table.write_text("photo,product_id,price\n" + "".join(f"{name}.png,{name},5\n" for name in names) + end)

    def ids() -> list[str]:
        return shop.storage.product_ids()

    def half() -> None:
        assert ids() == ["green", "red"], "as it was at the start"
        written("red")

    def whole() -> None:
        assert ids() == ["green", "red"], "half a table is not followed"
        written("red", "green", "blue")

    def wait() -> None:
        assert ids() == ["green", "red"]

    def broken() -> None:
        assert ids() == ["blue", "green", "red"]
        written("red", "green", "blue", end="none.png,new,much\n")

    def mended() -> None:
        assert ids() == ["blue", "green", "red"], "a bad line stops nothing"
        written("red", "green", "blue", end="red.png,new,5\n")

    def end() -> None:
        assert ids() == ["blue", "green", "new", "red"]
        raise KeyboardInterrupt

    steps = iter([half, whole, wait, broken, lambda: None, mended, lambda: None, end])
    failed: list[AssertionError] = []

    def sleep(seconds: float, following: Iterator[Callable[[], None]] = steps) -> None:
        try:
            next(following)()
        except AssertionError as error:
            failed.append(error)
            raise KeyboardInterrupt from error

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(new_catalog, "encoder_of", lambda *_, **__: shop.encoder)
    written("red", "green")
    result = CliRunner().invoke(main, ["sync", str(tmp_path / "shop"), str(table), "--watch"])
    assert not failed, failed
    assert ids() == ["blue", "green", "new", "red"], result.output
    assert "2 added" in result.stdout
    assert "much" in result.stderr


def test_a_folder_is_not_looked_at_but_its_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    result = CliRunner().invoke(main, ["look", str(tmp_path / "export")])
    assert (result.exit_code, "export is an empty folder, not a table" in result.stderr) == (1, True)
    (tmp_path / "export/a.jpg").write_bytes(b"")
    result = CliRunner().invoke(main, ["look", str(tmp_path / "export")])
    assert result.exit_code != 0
    assert "export is a folder; it has no table" in result.stderr
    for name in ("prices.csv", "products.xlsx", "a.jpg"):
        (tmp_path / "export" / name).write_bytes(b"")
    result = CliRunner().invoke(main, ["look", str(tmp_path / "export")])
    assert "export is a folder; name one of its tables: prices.csv, products.xlsx" in result.stderr
