"""A catalog follows its table: in one commit, never past a table cut short, and never because of one bad line."""

import contextlib
import csv
import json
import sqlite3
import threading
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from osoroi import patches, staging, sync, tables
from osoroi.catalog import Entry
from osoroi.catalog.address import place_of
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import main, new_catalog
from osoroi.encoder import KIND, Encoder
from osoroi.errors import BadRequest, Busy, CatalogUnavailable, OtherEncoder
from osoroi.file_hashes import FileHashes
from osoroi.image import cropping
from osoroi.records import Crop, Product, Row, Value
from osoroi.shop import Catalog
from tiny import TinyEmbedder, TinyEncoder

NAMES = [f"p{number}" for number in range(10)]


class Counting(TinyEmbedder):
    def __init__(self) -> None:
        self.embedded = 0

    def vectors(self, crops):
        self.embedded += len(crops)
        return super().vectors(crops)


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
def shop(tmp_path: Path, embedder: Counting):
    for place, name in enumerate(NAMES):
        Image.new("RGB", (32, 32), (20 * place, 90, 250 - 20 * place)).save(tmp_path / f"{name}.png")
    encoder = TinyEncoder(embedder=embedder)
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as storage:
        yield Catalog(storage, encoder)


def table(
    folder: Path,
    names: list[str],
    *,
    header: str = "photo,product_id,price,title",
    lines: Sequence[str] = (),
    **prices: str,
) -> Path:
    path = folder / "table.csv"
    rows = [f"{name}.png,{name},{prices.get(name, '10.50')},Title of {name}" for name in names]
    path.write_text("\n".join([header, *rows, *lines]) + "\n")
    return path


def test_a_sync_adds_changes_and_removes_in_one_commit(shop: Catalog, tmp_path: Path, embedder: Counting) -> None:
    first = shop.sync(table(tmp_path, NAMES[:9]))
    assert (first.count.added, first.count.seq) == (9, 1)
    count = shop.sync(table(tmp_path, [*NAMES[1:]], p3="7.25")).count
    assert (count.added, count.changed, count.unchanged, count.removed, count.seq) == (1, 1, 7, 1, 2)
    assert sorted(one.product_id for one in shop) == NAMES[1:]
    assert shop["p3"].price == 7.25
    assert embedder.embedded == 10
    assert shop.sync(tmp_path / "table.csv").count.seq == 2, "the same again commits nothing"


def test_a_table_cut_short_removes_nothing_unless_told(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    shop.sync(table(tmp_path, NAMES[2:]))  # two of ten are a fifth, and no more
    shop.sync(table(tmp_path, NAMES), most_removed=1.0)
    with pytest.raises(
        BadRequest, match=r"3 of 10 products are not in the table, for instance 'p0'; .* `most_removed`"
    ):
        shop.sync(table(tmp_path, NAMES[3:]))
    assert len(shop) == 10
    assert shop.sync(table(tmp_path, NAMES[3:]), most_removed=1.0).count.removed == 3


def test_a_bad_line_leaves_its_product_as_it_is_and_stops_no_other(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    synced = shop.sync(table(tmp_path, NAMES, p4="soon", p5="3.00"))
    assert [line.partition("table.csv, ")[2] for line in synced.bad_lines] == [
        "line 6: price 'soon' is no number; write it like 1234.5"
    ]
    assert (shop["p4"].price, shop["p5"].price, synced.count.removed) == (10.5, 3.0, 0)


def test_a_line_of_nobody_knows_whom_removes_nothing(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    synced = shop.sync(table(tmp_path, NAMES[1:], lines=["p0.png"], p5="3.00"))
    assert (synced.count.removed, synced.count.changed, len(shop)) == (0, 1, 10)


def test_a_photo_that_cannot_be_read_keeps_its_vector_and_its_product_follows(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    (tmp_path / "p1.png").write_bytes(b"broken, and of another size")
    synced = shop.sync(table(tmp_path, NAMES, p1="1.00"))
    assert [problem.product_id for problem in synced.problems] == ["p1"]
    assert (len(shop), shop["p1"].price) == (10, 1.0)


def test_a_table_of_prices_patches_what_it_names_and_removes_nothing(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    prices = tmp_path / "prices.csv"
    prices.write_text('sku,price,stock\np1,"¥1,299",3\nnobody,5,1\np2,x,1\np1,5,\n')
    synced = shop.sync(prices)
    assert (synced.count.changed, synced.count.left_out, len(synced.bad_lines), synced.count.seq) == (1, 1, 1, 2)
    assert synced.count.contradicting == 1
    changed = shop["p1"]
    assert (changed.price, changed.currency, changed.title, changed.attributes) == (
        1299.0,
        "JPY",
        "Title of p1",
        {"stock": 3.0},
    )
    assert len(shop) == 10


def test_a_table_of_prices_keeps_what_others_write_meanwhile(shop: Catalog, tmp_path: Path, monkeypatch) -> None:
    shop.sync(table(tmp_path, NAMES))
    apply = type(shop.storage).apply

    def then(self: LocalCatalog, entries, **rest) -> int:
        self.patch("p1", {"title": "New", "attributes.stock": 7.0})
        self.remove(["p2"])
        return apply(self, entries, **rest)

    monkeypatch.setattr(type(shop.storage), "apply", then)
    unknown: list[str] = []
    count = patches.patch({"p1": {"price": 2.0}, "p2": {"price": 2.0}}, shop.storage, shop.encoder, unknown.append)
    product = shop["p1"]
    assert (product.title, product.price, product.attributes) == ("New", 2.0, {"stock": 7.0})
    assert (count.changed, count.left_out, unknown, len(shop)) == (1, 1, ["p2"], 9)


def test_a_sync_that_was_stopped_changed_nothing_and_goes_on_without_embedding_twice(
    shop: Catalog, tmp_path: Path, embedder: Counting
) -> None:
    incoming = tables.open_incoming(f"table:{table(tmp_path, NAMES)}")
    stage = tmp_path / "shop" / staging.FILE

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync.sync(incoming.rows(), shop.storage, shop.encoder, staging=stage, on_progress=stop)
    assert (len(shop), embedder.embedded) == (0, 10)
    assert sync.sync(incoming.rows(), shop.storage, shop.encoder, staging=stage).added == 10
    assert embedder.embedded == 10


def test_a_file_that_has_not_changed_is_not_read_again_and_one_that_has_is(
    shop: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "FileHashes", partial(FileHashes, settled_ns=-1))
    shop.sync(table(tmp_path, NAMES))
    with sqlite3.connect(tmp_path / "shop" / staging.FILE) as connection:
        assert connection.execute("SELECT count(*) FROM files").fetchone() == (10,)
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (0,)
    before = shop.crops("p1")[0].sha256
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "p1.png")
    assert shop.sync(tmp_path / "table.csv").count.embedded == 1
    assert shop.crops("p1")[0].sha256 != before
    assert cropping.load(tmp_path / "p1.png")


def osoroi(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_lists_what_it_left_out_by_line_with_exit_code_3(tmp_path: Path) -> None:
    for name in NAMES[:2]:
        Image.new("RGB", (32, 32), (200, 90, 30)).save(tmp_path / f"{name}.png")
    path = table(tmp_path, NAMES[:2], lines=["p0.png,p7,soon,x", "gone.png,p8,1,y"])
    result = osoroi("sync", tmp_path / "new", path, "--json")
    assert result.exit_code == 3, result.stderr
    assert json.loads(result.stdout)["added"] == 2
    assert "line 4: price 'soon' is no number" in result.stderr
    with (tmp_path / "new" / "unreadable.csv").open(encoding="utf-8") as file:
        assert [(row["line"], row["product_id"]) for row in csv.DictReader(file)] == [("line 4", "p7"), ("", "p8")]
    assert osoroi("sync", tmp_path / "new", table(tmp_path, NAMES[:2])).exit_code == 0
    assert not (tmp_path / "new" / "unreadable.csv").exists()


@pytest.mark.parametrize("verb", ["add", "sync"])
def test_a_first_run_that_fails_leaves_nothing(tmp_path: Path, verb: str) -> None:
    path = table(tmp_path, ["gone"])
    result = osoroi(verb, tmp_path / "new", path)
    assert result.exit_code in (1, 3)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("verb", ["add", "sync"])
def test_a_first_run_that_fails_leaves_what_another_one_has_put_there_meanwhile(tmp_path: Path, verb: str) -> None:
    Image.new("RGB", (32, 32), (200, 90, 30)).save(tmp_path / "p0.png")

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # while the first run waits for its only photo, another one commits
            with LocalCatalog.open(tmp_path / "new") as other:
                vectors = np.ones((1, other.encoder.dim), np.float32)
                crops = [Crop("p0", "p0", "shop", tmp_path / "p0.png")]
                if not len(other):
                    other.put([Entry(Product("p0"), crops, vectors)], fingerprint=other.fingerprint)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "links.csv"
        path.write_text(f"photo,product_id\nhttp://127.0.0.1:{server.server_port}/p1.png,p1\n")
        result = osoroi(verb, tmp_path / "new", path, "--private-links")
        server.shutdown()
    assert result.exit_code in (1, 2), result.stderr
    with LocalCatalog.open(tmp_path / "new", readonly=True) as products:
        assert products.product_ids() == ["p0"]


def test_a_new_catalog_is_opened_once(tmp_path: Path, monkeypatch) -> None:
    def again(place: object) -> LocalCatalog:
        raise AssertionError("opened a second time")

    monkeypatch.setattr(new_catalog, "open_catalog", again)
    with new_catalog.opened(place_of(str(tmp_path / "new")), None, threads=1) as (products, _):
        assert len(products) == 0


def test_a_table_of_categories_is_refused_by_another_encoder(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    changes: dict[str, dict[str, Value | None]] = {"p1": {"category": "skirts", "price": 1.0}}
    with pytest.raises(OtherEncoder, match="not of other0"):
        patches.patch(changes, shop.storage, TinyEncoder("other"), lambda one: None)
    assert (shop["p1"].category, shop.storage.seq) == (None, 1)


def test_a_second_sync_is_refused_and_takes_no_vector_from_the_first(shop: Catalog, tmp_path: Path) -> None:
    refused: list[str] = []

    def second(done: int, total: int) -> None:  # the vectors of the first are staged, and not committed yet
        with pytest.raises(Busy) as raised:
            shop.sync(tmp_path / "table.csv")
        refused.append(str(raised.value))

    assert shop.sync(table(tmp_path, NAMES), on_progress=second).count.added == 10
    assert refused == [
        f"another sync of the catalog {tmp_path / 'shop'} is under way; nothing was changed; "
        "try again when it has finished"
    ]


def test_a_vector_of_another_photo_is_not_stored_under_the_hash_of_this_one(shop: Catalog, tmp_path: Path) -> None:
    shop.sync(table(tmp_path, NAMES))
    crop = shop.crops("p1")[0]
    Image.new("RGB", (32, 32), (1, 2, 3)).save(tmp_path / "other.png")

    def change(done: int, total: int) -> None:  # the sync has seen that p1 needs no new vector
        other = Crop(crop.crop_id, "p1", "shop", tmp_path / "other.png")
        vectors = shop.encoder.encode_photos([tmp_path / "other.png"], "shop")
        shop.storage.put([Entry(Product("p1"), [other], vectors)], fingerprint=shop.encoder.fingerprint)

    crops = [crop, Crop("p1-2", "p1", "shop", tmp_path / "p2.png")]
    with pytest.raises(Busy, match="changed the photos of product 'p1'"):
        sync.sync(
            [Row(Product("p1"), one) for one in crops],
            shop.storage,
            shop.encoder,
            staging=tmp_path / "shop" / staging.FILE,
            most_removed=1.0,
            on_progress=change,
        )
    stored = shop.storage.entries(["p1"])["p1"]
    assert np.array_equal(stored.vectors, shop.encoder.encode_photos([crop.photo for crop in stored.crops], "shop"))
    assert len(shop) == 10


HEADER = "photo,product_id,crop_id"


def crops_table(folder: Path, *lines: str) -> Path:
    path = folder / "crops.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def held(shop: Catalog) -> dict[str, list[tuple[str, bool]]]:
    """Product id -> its crop ids, and whether each has the vector of its photo."""
    return {
        product_id: [
            (crop.crop_id, np.array_equal(vector, shop.encoder.encode_photos([crop.photo], "shop")[0]))
            for crop, vector in zip(entry.crops, entry.vectors, strict=True)
        ]
        for product_id, entry in shop.storage.entries(shop.storage.product_ids()).items()
    }


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (("p1.png,x2,c1", "p2.png,y,c2"), {"x2": ["c1"], "y": ["c2"]}),
        (("p2.png,x,c2", "p1.png,y,c1"), {"x": ["c2"], "y": ["c1"]}),
        (("p1.png,x2,c1", "p2.png,x,c2", "p3.png,y,c3"), {"x": ["c2"], "x2": ["c1"], "y": ["c3"]}),
    ],
)
def test_crops_move_between_products_in_one_commit(
    shop: Catalog, tmp_path: Path, after: Sequence[str], expected: dict[str, list[str]]
) -> None:
    shop.sync(crops_table(tmp_path, "p1.png,x,c1", "p2.png,y,c2"))
    query = shop.encoder.encode_photos([tmp_path / "p1.png"], "shop")
    shop.storage.nearest(query, 1)  # an index in memory follows the commit
    assert shop.sync(crops_table(tmp_path, *after), most_removed=1.0).count.seq == 2
    assert held(shop) == {product_id: [(crop, True) for crop in crops] for product_id, crops in expected.items()}
    owner = next(product_id for product_id, crops in expected.items() if "c1" in crops)
    assert shop.storage.nearest(query, 1)[0].product_id == owner


@pytest.mark.parametrize("lines", [("p1.png,x2,c1",), ("p1.png,x,c1", "p1.png,x2,c1"), ("p1.png,x2,c1", "p1.png,x,c1")])
def test_a_crop_of_two_products_is_refused_and_changes_nothing(
    shop: Catalog, tmp_path: Path, lines: Sequence[str]
) -> None:
    shop.sync(crops_table(tmp_path, "p1.png,x,c1"))
    entries = []
    for line in lines:
        photo, product_id, crop_id = line.split(",")
        vectors = shop.encoder.encode_photos([tmp_path / photo], "shop")
        crops = [Crop(crop_id, product_id, "shop", tmp_path / photo)]
        entries.append(Entry(Product(product_id, price=1.0), crops, vectors))
    with pytest.raises(BadRequest, match=r"crop 'c1' belongs to product 'x2?' already"):
        shop.storage.apply(entries, fingerprint=shop.storage.fingerprint)
    assert (held(shop), shop["x"].price, shop.storage.seq) == ({"x": [("c1", True)]}, None, 1)


def test_the_command_that_the_refusal_names_moves_a_catalog_to_the_encoder_that_ships(
    shop: Catalog, tmp_path: Path
) -> None:
    path = table(tmp_path, NAMES[:3])
    shop.sync(path)  # as an encoder that shipped before would have
    prices = tmp_path / "prices.csv"
    prices.write_text("sku,price\np1,3\n")
    for arguments in (["sync", path], ["sync", prices], ["add", path], ["search", tmp_path / "p1.png"]):
        refused = osoroi(arguments[0], tmp_path / "shop", arguments[1])
        assert refused.exit_code == 1
        assert "'osoroi reencode CATALOG' to the encoder that ships" in refused.stderr
    assert osoroi("reencode", tmp_path / "shop").exit_code == 0
    assert osoroi("sync", tmp_path / "shop", prices).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + b"x" * 4096, "other tables"])
def test_a_file_of_vectors_that_is_damaged_is_made_anew(tmp_path, content):
    path = tmp_path / staging.FILE
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE files (other TEXT)")
    with contextlib.closing(staging.Staging(path, "f")) as stage:
        stage.put([("a", np.array([1.0], np.float32))])
        assert stage.vector("a") is not None


def test_a_file_of_vectors_that_cannot_be_made_is_an_error_in_words(tmp_path):
    with pytest.raises(CatalogUnavailable, match="in which a sync keeps its vectors"):
        staging.Staging(tmp_path / "none" / staging.FILE, "f")


def test_a_kind_that_the_table_no_longer_says_is_told_by_the_photo_again(tmp_path: Path) -> None:
    """A kind that is known is written into the vector that is there; one that is not needs the picture."""
    encoder = Encoder.open()
    Image.new("RGB", (40, 40), (200, 9, 9)).save(tmp_path / "a.png")

    def of(category: str) -> Path:
        (tmp_path / "table.csv").write_text(f"photo,product_id,category\na.png,a,{category}\n")
        return tmp_path / "table.csv"

    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as storage:
        shop = Catalog(storage, encoder)
        shop.sync(of(""))
        crop_id = storage.crops("a")[0].crop_id
        by_picture = storage.vectors([crop_id])
        shop.sync(of("Skirts"))
        said = storage.vectors([crop_id])
        assert not np.allclose(said[:, encoder.columns[KIND]], by_picture[:, encoder.columns[KIND]])
        (tmp_path / "shop" / staging.FILE).unlink(missing_ok=True)  # where the first vector may lie still
        shop.sync(of(""))
        assert np.allclose(storage.vectors([crop_id]), by_picture, atol=1e-6)
