"""The public API: its names, what importing costs, the types it promises, and what it does to a shop."""

import inspect
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import numpy as np
import pytest
from PIL import Image

import osoroi
from osoroi.catalog.local import LocalCatalog
from osoroi.client import Sent
from osoroi.data import products
from osoroi.errors import BadCatalog, BadDataset, BadRequest, NotFound, OtherEncoder
from osoroi.garments import Garment
from osoroi.records import Crop, PhotoLike
from osoroi.shop import Added
from shop import BLUE, GREEN, RED, SeeingEncoder, fill, goods, picture, serving
from tiny import TinyEncoder

NAMES = [
    "Box",
    "Catalog",
    "Client",
    "Encoder",
    "Hit",
    "OsoroiError",
    "Product",
    "compare",
    "create",
    "evaluate",
    "find",
    "open",
    "train",
]


def test_the_public_names_are_these() -> None:
    assert osoroi.__all__ == NAMES
    assert set(NAMES) <= set(dir(osoroi))
    for name in NAMES:
        assert getattr(osoroi, name).__name__ == name
        assert inspect.getdoc(getattr(osoroi, name))
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        osoroi.serach  # noqa: B018


def modules_after(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_the_package_imports_nothing_else_and_searching_needs_no_torch() -> None:
    assert not {"numpy", "PIL", "onnxruntime", "torch"} & modules_after("import osoroi")
    assert not {"onnxruntime", "torch"} & modules_after("import osoroi; osoroi.Box, osoroi.Hit, osoroi.OsoroiError")
    assert not {"onnxruntime", "faiss", "torch", "fastapi"} & modules_after("import osoroi; osoroi.Client")
    assert "torch" not in modules_after("import osoroi; osoroi.open, osoroi.evaluate, osoroi.compare, osoroi.find")


def test_training_without_torch_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\nimport osoroi\n"
        "try: osoroi.train\nexcept osoroi.OsoroiError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'osoroi[train]'" in run.stdout


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("open", "folder *encoder *readonly *threads"),
        ("create", "folder encoder *threads"),
        ("find", "photo *box"),
        (
            "train",
            "dataset *out *recipe *resume *feature_cache *backbone *foreground *teacher *photos *validation_share "
            "*device *track "
            "**settings",
        ),
        (
            "evaluate",
            "dataset *encoder *split *gallery *distractors *detail *sample_detail *within_category *corrupt "
            "*skip_unanswerable *find *categories *threads *top_k *on_progress",
        ),
        ("compare", "first second *metrics *seed"),
        ("Catalog.search", "photo *box *kind *k *offset *where *detail *detail_from *detail_box *like *text"),
        ("Catalog.find", "photo *box"),
        ("Catalog.add", "products *threads *on_progress"),
        ("Catalog.update", "product_id **changes"),
        ("Catalog.remove", "product_ids"),
        ("Catalog.products", "*where"),
        ("Catalog.count", "*where"),
        ("Client", "url *key *timeout_s *retries"),
        ("Client.search", "photo *box *kind *k *offset *where *detail *detail_from *detail_box *like *text"),
        ("Client.find", "photo *box"),
        ("Client.add", "products *on_progress"),
        ("Client.sync", "table *most_removed *private_links *on_progress"),
        ("Client.update", "product_id **changes"),
        ("Client.remove", "product_ids"),
        ("Client.products", "*where"),
        ("Client.count", "*where"),
        ("Encoder.open", "path *threads *providers *limit_s"),
        ("Encoder.encode_query", "photos *boxes *kinds *detail *categorised *threads"),
        ("Encoder.encode_product", "photos *boxes *categories *threads"),
    ],
)
def test_the_parameters_of_the_public_functions_are_these(function: str, parameters: str) -> None:
    """``*name`` can be given by name only."""
    target: object = osoroi
    for name in function.split("."):
        target = getattr(target, name)
    marks: dict[object, str] = {inspect.Parameter.KEYWORD_ONLY: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    given = inspect.signature(target).parameters.values()  # type: ignore[arg-type]
    assert " ".join(marks.get(each.kind, "") + each.name for each in given if each.name != "self") == parameters


OF_ONE_DOOR: dict[str, tuple[set[str], set[str]]] = {
    "search": (set(), set()),
    "add": ({"threads"}, set()),
    "sync": ({"threads"}, set()),
}
"""Method -> parameters of ``Catalog`` alone and of ``Client`` alone: a client embeds nothing."""


def test_a_client_has_the_methods_of_a_catalog_with_their_parameters_in_their_order() -> None:
    doors = [osoroi.Catalog, osoroi.Client]
    names = [{name for name, _ in inspect.getmembers(door, inspect.isfunction)} for door in doors]
    hidden = ("_", "__")
    public = [{name for name in each if not name.startswith(hidden[0]) or name.endswith(hidden[1])} for each in names]
    assert public[0] == public[1]
    for name in sorted(public[0] - {"__init__", "__repr__"}):
        here, there = (inspect.signature(getattr(door, name)).parameters for door in doors)
        only = OF_ONE_DOOR.get(name, (set[str](), set[str]()))
        assert set(here) - set(there) == only[0], name
        assert set(there) - set(here) == only[1], name
        same = [parameter for parameter in here if parameter in there]
        assert same == [parameter for parameter in there if parameter in here], name
        for parameter in same:
            mine, theirs = here[parameter], there[parameter]
            assert mine.kind == theirs.kind, (name, parameter)
            assert mine.default == theirs.default or callable(mine.default), (name, parameter)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        (tmp_path / f"{name}.png").write_bytes(picture(colour))
    return tmp_path


@pytest.fixture
def shop(folder: Path) -> Iterator[osoroi.Catalog]:
    with osoroi.create(folder / "shop", TinyEncoder()) as shop:
        shop.add([{"product_id": name, "photo": folder / f"{name}.png"} for name in ("red", "green", "blue")])
        yield shop


def test_every_public_call_has_the_type_it_promises(shop: osoroi.Catalog, folder: Path) -> None:
    """Checked by mypy as well as when it runs."""
    photo = folder / "red.png"
    assert_type(shop.search(photo), list[osoroi.Hit])
    assert_type(shop.search(str(photo), box=[0, 0, 30, 30], k=2, offset=1, detail=0.5), list[osoroi.Hit])
    assert_type(shop.search(like="red"), list[osoroi.Hit])
    assert_type(shop.search([photo, photo]), list[list[osoroi.Hit]])
    assert_type(shop.add({"product_id": "a", "photo": photo}), Added)
    assert_type(shop.update("a", price=3), osoroi.Product)
    assert_type(shop["a"], osoroi.Product)
    assert_type(shop.remove("a"), list[str])
    assert_type(len(shop), int)
    assert_type(next(iter(shop)), osoroi.Product)
    assert_type(shop.find(photo), list[Garment])
    assert_type(osoroi.find(photo), list[Garment])
    assert_type(shop.encoder, osoroi.Encoder)
    assert_type(osoroi.Box.of([1, 2, 3, 4]), osoroi.Box)


def test_every_call_of_a_client_has_the_type_that_the_catalog_has(tmp_path: Path) -> None:
    """Checked by mypy as well as when it runs."""
    encoder, photo = SeeingEncoder(), picture(RED)
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog) as address,
        osoroi.Client(address) as shop,
    ):
        assert_type(shop, osoroi.Client)
        assert_type(shop.search(photo), list[osoroi.Hit])
        assert_type(shop.search(photo, box=[0, 0, 30, 30], k=2, offset=1, detail=0.5), list[osoroi.Hit])
        assert_type(shop.search(like="P1"), list[osoroi.Hit])
        assert_type(shop.search([photo, photo]), list[list[osoroi.Hit]])
        assert_type(shop.add({"product_id": "a", "photo": photo}), Sent)
        assert_type(shop.update("a", price=3), osoroi.Product)
        assert_type(shop["a"], osoroi.Product)
        assert_type(shop.remove("a"), list[str])
        assert_type(len(shop), int)
        assert_type(next(iter(shop)), osoroi.Product)
        assert_type(shop.find(photo), list[Garment])
        assert_type(shop.count(), int)
        assert_type(shop.crops("P1"), list[Crop])


@pytest.mark.parametrize("form", ["path", "str", "bytes", "file", "image", "array"])
def test_a_photo_in_any_form_finds_the_same(shop: osoroi.Catalog, folder: Path, form: str) -> None:
    path = folder / "green.png"
    with path.open("rb") as file, Image.open(path) as picture_:
        forms: dict[str, PhotoLike] = {
            "path": path,
            "str": str(path),
            "bytes": path.read_bytes(),
            "file": file,
            "image": picture_,
            "array": np.asarray(Image.open(io.BytesIO(path.read_bytes()))),
        }
        hits = shop.search(forms[form], box=(0, 0, 40, 60))
    assert hits == shop.search(path, box=osoroi.Box(0, 0, 40, 60))
    assert hits[0].product_id == "green"
    assert hits[0].score == pytest.approx(1, abs=1e-4)


def test_products_come_from_tables_mappings_pairs_and_photos_in_memory(folder: Path) -> None:
    (folder / "shop.csv").write_text("photo,product_id,price\nred.png,red,10\ngreen.png,green,20\n")
    with osoroi.create(folder / "shop", TinyEncoder()) as shop:
        for products in (folder / "shop.csv", str(folder / "shop.csv"), f"table:{folder / 'shop.csv'}"):
            shop.add(products)
        assert [(product.product_id, product.price) for product in shop] == [("green", 20), ("red", 10)]
        array = np.full((40, 40, 3), 90, np.uint8)
        in_memory: list[PhotoLike] = [array, folder / "blue.png"]
        for unchanged in (0, 2):
            with (folder / "red.png").open("rb") as file:
                added = shop.add(
                    [
                        (osoroi.Product("two", title="Grey"), in_memory),
                        {"product_id": "boxed", "photos": [file], "boxes": [(0, 0, 30, 60)], "wool": True, "price": 7},
                    ]
                )
            assert (added.count.added, added.count.unchanged) == (2 - unchanged, unchanged)
        assert [crop.box for crop in shop.crops("boxed")] == [osoroi.Box(0, 0, 30, 60)]
        assert len(shop.crops("two")) == 2
        assert shop["boxed"] == osoroi.Product("boxed", price=7.0, attributes={"wool": True})
        assert shop.search(array, k=1)[0].product_id == "two"


def test_a_photo_that_cannot_be_read_is_a_problem_and_no_product_at_all_an_error(folder: Path) -> None:
    with osoroi.create(folder / "shop", TinyEncoder()) as shop:
        good, bad = ({"product_id": name, "photo": folder / name} for name in ("red.png", "none.png"))
        added = shop.add([good, bad])
        assert (added.count.added, added.count.left_out) == (1, 1)
        assert added.problems[0].product_id == "none.png"
        with pytest.raises(BadDataset, match="no product has a readable shop photo: there is no photo at"):
            shop.add(bad)
        assert shop.add([]).count.stored == 0


@pytest.mark.parametrize(
    ("product", "message"),
    [
        ({"photo": "a.jpg"}, "not complete; give product_id and photo"),
        ({"product_id": "a"}, "not complete"),
        ({"product_id": "a", "photos": []}, "has no photo"),
        ({"product_id": "a", "photo": "a.jpg", "photos": ["b.jpg"]}, "has photo and photos"),
        ({"product_id": "a", "photos": ["a.jpg", "b.jpg"], "boxes": [None]}, "1 boxes do not fit 2 photos"),
        ({"product_id": "a", "photos": ["a.jpg", "b.jpg"], "box": (1, 2, 3, 4)}, "1 boxes do not fit 2 photos"),
        (osoroi.Product("a"), "Product is no product"),
        (("a", "a.jpg"), "tuple is no product"),
    ],
)
def test_what_is_no_product_is_refused(product: object, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        list(products.rows([product]))


def test_a_shop_is_a_container_of_products(shop: osoroi.Catalog) -> None:
    assert "red" in shop
    assert "purple" not in shop
    assert 3 not in shop
    assert shop.update("red", price=2900, title="Red", sale=True).attributes == {"sale": True}
    assert shop["red"].price == 2900
    assert [product.product_id for product in shop.products(where="price > 100")] == ["red"]
    assert (shop.count(), shop.count(where="sale = true"), len(shop)) == (3, 1, 3)
    assert shop.remove(["red", "purple"]) == ["red"]
    assert shop.remove("green") == ["green"]
    assert [product.product_id for product in shop] == ["blue"]
    with pytest.raises(NotFound):
        shop["red"]
    with pytest.raises(NotFound):
        shop.update("red", price=1)


def test_a_list_is_a_batch_and_like_is_a_product(shop: osoroi.Catalog, folder: Path) -> None:
    red, blue = folder / "red.png", folder / "blue.png"
    batch = shop.search([red, blue], k=2, box=[None, (0, 0, 30, 30)])
    assert [hits[0].product_id for hits in batch] == ["red", "blue"]
    assert [len(hits) for hits in batch] == [2, 2]
    assert [hit.product_id for hit in shop.search(like="red", k=9)] == [
        hit.product_id for hit in shop.search(red, k=9)[1:]
    ]
    for wrong in ({}, {"photo": red, "like": "red"}, {"like": "red", "box": (0, 0, 9, 9)}):
        with pytest.raises(BadRequest, match=r"like=|leave them out"):
            shop.search(**wrong)


def test_a_batch_refuses_like(shop: osoroi.Catalog, folder: Path) -> None:
    with pytest.raises(BadRequest):
        shop.search([folder / "red.png"], like="red")  # type: ignore[call-overload]


def test_opening_uses_the_encoder_that_comes_with_osoroi_where_it_fits(folder: Path) -> None:
    with osoroi.create(folder / "ours") as shop:
        fingerprint = shop.encoder.fingerprint
        shop.add({"product_id": "red", "photo": folder / "red.png"})
    with osoroi.open(str(folder / "ours"), readonly=True) as shop:
        assert shop.encoder.fingerprint == fingerprint == osoroi.Encoder.open().fingerprint
        assert [hit.product_id for hit in shop.search(folder / "red.png")] == ["red"]
        with pytest.raises(BadCatalog, match="opened for reading"):
            shop.remove("red")
    with pytest.raises(BadCatalog, match="closed"):
        shop.search(folder / "red.png")
    with pytest.raises(BadCatalog):
        osoroi.create(folder / "ours")
    osoroi.create(folder / "theirs", TinyEncoder()).close()
    with pytest.raises(OtherEncoder, match=r"encoder tiny.*which is not the one that comes.*encoder='mine.onnx'"):
        osoroi.open(folder / "theirs")
    with osoroi.open(folder / "theirs", encoder=TinyEncoder()) as shop:
        assert len(shop) == 0
    with pytest.raises(OtherEncoder, match="queries would be made by"):
        osoroi.open(folder / "theirs", encoder=TinyEncoder("third"))
    assert isinstance(shop.storage, LocalCatalog)
