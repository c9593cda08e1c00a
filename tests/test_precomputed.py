"""Ready-made vectors are loaded as they are, or refused; shards of a table are exactly the table."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from osoroi import precomputed
from osoroi.catalog.opening import open_catalog, open_or_create
from osoroi.cli import main
from osoroi.errors import BadDataset, BadRequest, OtherEncoder
from osoroi.records import Product
from osoroi.tables import TableShard, open_incoming
from tiny import TinyEncoder

ENCODER = TinyEncoder()


def vectors(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((count, 2, 4))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return rows.reshape(count, 8).astype(np.float32)


def file(tmp_path, **arrays):
    path = tmp_path / "vectors.npz"
    given = {"ids": np.array(["a", "b", "a"]), "vectors": vectors(3), "fingerprint": np.array(ENCODER.fingerprint)}
    np.savez(path, allow_pickle=False, **{**given, **arrays})
    return path


def test_vectors_are_stored_as_they_are_and_once(place, tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"pixels")
    rows = precomputed.read(
        file(
            tmp_path,
            price=np.array([5, 7, 5]),
            sale=np.array([True, False, True]),
            photo=np.array([str(photo), "", ""]),
        )
    )
    with open_or_create(place, ENCODER) as catalog:
        assert precomputed.load(rows, catalog, ENCODER, name="x") == (2, 3, 1)
        assert precomputed.load(rows, catalog, ENCODER, name="x") == (2, 3, 0)
        assert catalog.get("a") == Product("a", price=5.0, attributes={"sale": True})
        assert [crop.crop_id for crop in catalog.crops("a")] == ["a/0", "a/1"]
        assert catalog.crops("a")[0].photo == photo
        assert (catalog.vectors(["a/0", "b/0", "a/1"]) == rows.vectors).all()
        assert catalog.nearest(rows.vectors[1:2] / 2, 1, where="price = 7")[0].product_id == "b"


def test_parquet_is_read_like_an_archive(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = precomputed.read(file(tmp_path))
    columns = {
        "ids": ["a", "b", "a"],
        "vectors": rows.vectors.tolist(),
        "attributes": ['{"size": 3}', None, '{"size": 3}'],
    }
    table = pa.table(columns).replace_schema_metadata({"fingerprint": ENCODER.fingerprint})
    pq.write_table(table, tmp_path / "v.parquet")
    read = precomputed.read(tmp_path / "v.parquet")
    assert (read.vectors == rows.vectors).all()
    assert (read.fingerprint, read.product_ids) == (rows.fingerprint, rows.product_ids)
    products = dict(precomputed._products(read, "v"))
    assert products["a"].product == Product("a", attributes={"size": 3.0})


@pytest.mark.parametrize(
    ("arrays", "error", "says"),
    [
        ({"fingerprint": np.array("0" * 64)}, OtherEncoder, "by encoder 000000000000"),
        ({"vectors": 2 * vectors(3)}, BadDataset, "row 0 of x has the part 'deep' of length 2.0000"),
        ({"vectors": vectors(3)[:, :4]}, BadDataset, "vectors of 4 numbers"),
        ({"price": np.array([1, 2, 3])}, BadDataset, "rows of product 'a' of x differ"),
        ({"crop_ids": np.array(["c", "d", "c"])}, BadDataset, "two rows of one crop_id"),
        ({"crop_ids": np.array(["c", "c", "d"])}, BadDataset, "'a' and 'b' of x have the same crop_id 'c'"),
        ({"price": np.array([1, np.inf, 1])}, BadDataset, "row 1 of x: product 'b' has the value inf"),
        ({"attributes": np.array(["", "{}", "no"])}, BadDataset, "row 0 has attributes that are no JSON object"),
        ({"attributes": np.array(["{}", "[1]", "{}"])}, BadDataset, "row 1 has attributes that are no JSON object"),
        ({"attributes": np.array(["{}", "[" * 99_999, "{}"])}, BadDataset, "row 1 has attributes that are no JSON"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_stored(tmp_path, arrays, error, says):
    rows = precomputed.read(file(tmp_path, **arrays))
    with open_or_create(tmp_path / "shop", ENCODER) as catalog:
        with pytest.raises(error, match=says):
            precomputed.load(rows, catalog, ENCODER, name="x")
        assert (len(catalog), catalog.seq) == (0, 0)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"ids": np.array(["a"])}, "1 ids and 3 of 'vectors'"),
        ({"vectors": np.full((3, 8), np.nan, np.float32)}, "no rows of finite numbers"),
        ({"vectors": np.float32(1)}, "no rows of finite numbers"),
        ({"price": np.array(5.0)}, "'price' of .* is no column"),
        ({"ids": np.array([["a"], ["b"], ["a"]])}, "row 0 of .* has the ids"),
        ({"ids": np.array([1, np.nan, 1])}, "row 1 of .* has the ids None"),
        ({"ids": np.array([b"a", b"\xff", b"a"])}, "row 1 of .* no UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_vectors_is_refused(tmp_path, arrays, says):
    with pytest.raises(BadDataset, match=says):
        precomputed.read(file(tmp_path, **arrays))


def test_bytes_are_text_and_nan_is_missing(tmp_path):
    given = {"ids": np.array([b"a", b"b", b"a"]), "price": np.array([np.nan, 7, np.nan])}
    products = dict(precomputed._products(precomputed.read(file(tmp_path, **given)), "x"))
    assert [entry.product for entry in products.values()] == [Product("a"), Product("b", price=7.0)]
    numbers = precomputed.read(file(tmp_path, ids=np.array([7, 8, 7])))
    assert numbers.product_ids == ["7", "8", "7"]


def test_a_table_of_photos_is_no_file_of_vectors(tmp_path):
    (tmp_path / "products.csv").write_text("product_id,photo\na,a.png\n")
    with pytest.raises(BadDataset, match="is a table of products, without vectors") as raised:
        precomputed.read(tmp_path / "products.csv")
    assert "'osoroi add CATALOG" in str(raised.value)


def test_the_command_loads_what_embed_writes(tmp_path):
    def osoroi(*words, code=0):
        run = CliRunner().invoke(main, list(map(str, words)))
        assert run.exit_code == code, run.output
        return run.output

    (tmp_path / "no.npz").write_bytes(b"no archive")
    assert "cannot be read" in osoroi("load", tmp_path / "shop", tmp_path / "no.npz", code=1)
    np.savez(tmp_path / "half.npz", ids=np.array(["a"]), vectors=vectors(1))
    assert "has no 'fingerprint'" in osoroi("load", tmp_path / "shop", tmp_path / "half.npz", code=1)
    assert "are by encoder tiny00" in osoroi("load", tmp_path / "shop", file(tmp_path), code=1)
    assert not (tmp_path / "shop").exists(), "a load that fails leaves no empty catalog"


def test_products_of_a_table_stay_products_through_embed_and_load(tmp_path):
    for at in range(3):
        Image.new("RGB", (40, 40), (80 * at, 100, 200)).save(tmp_path / f"{at}.png")
    (tmp_path / "t.csv").write_text("product_id,photo\na,0.png\na,1.png\nb,2.png\n")
    out, shop = tmp_path / "v.npz", tmp_path / "shop"
    for words in (["embed", tmp_path / "t.csv", out, "--side", "shop"], ["load", shop, out, "--json"]):
        run = CliRunner().invoke(main, list(map(str, words)))
        assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["products"] == 2
    with open_catalog(shop) as catalog:
        assert sorted(product.product_id for product in catalog.products()) == ["a", "b"]
        assert len(catalog.crops("a")) == 2


def test_shards_are_exactly_the_whole_table(tmp_path):
    table = tmp_path / "t.csv"
    lines = [f"p{at % 40},photo{at}.jpg" for at in range(100)] + ["p3,"]
    table.write_text("product_id,photo\n" + "\n".join(lines) + "\n")
    whole = open_incoming(f"table:{table}")
    every = [row.crop.crop_id for row in whole.rows()]
    seen: list[str] = []
    bad = 0
    for number in range(1, 8):
        source = open_incoming(f"table:{table}", shard=TableShard.parse(f"{number}/7"))
        rows = list(source.rows())
        assert len({row.product.product_id for row in rows}) > 0
        seen += [row.crop.crop_id for row in rows]
        bad += len(source.bad_lines)
    assert sorted(seen) == sorted(every)
    assert bad == len(whole.bad_lines) == 1


def test_a_shard_is_the_same_everywhere():
    assert [TableShard.parse("3/7").holds(name) for name in ("p0", "p1", "スカート")] == EXPECTED
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(BadRequest, match="no shard"):
            TableShard.parse(wrong)


EXPECTED = [False, True, False]


def test_an_empty_shard_is_no_error(tmp_path):
    source = tmp_path / "t.csv"
    source.write_text("product_id,photo\na,gone.jpg\n")
    outputs = [
        CliRunner().invoke(main, ["add", str(tmp_path / "shop"), str(source), "--shard", f"{at}/2", "--json"])
        for at in (1, 2)
    ]
    assert sorted(one.exit_code for one in outputs) == [0, 1]
    (fine,) = [one for one in outputs if one.exit_code == 0]
    assert json.loads(fine.stdout)["added"] == 0
