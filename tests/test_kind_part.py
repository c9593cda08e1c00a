"""The part `kind`: what products and queries say of their kind, in vectors, catalogs and evaluations."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient

import osoroi
from osoroi import categories, ingest
from osoroi.catalog import Entry
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.cli import main
from osoroi.data.readers import open_dataset
from osoroi.data.synthetic.outfits import Outfits, outfits
from osoroi.encoder import KIND, Encoder
from osoroi.encoder.metadata import Metadata
from osoroi.errors import BadEncoder, BadRequest, NotFound
from osoroi.evaluation import boxes, results
from osoroi.evaluation.labels import Label, Labels
from osoroi.evaluation.results import Arm
from osoroi.garments import part, posterior
from osoroi.garments.kinds import NAMES
from osoroi.garments.picture import Row
from osoroi.garments.profile import PLACES, Profile
from osoroi.garments.runtime import WEIGHTS
from osoroi.records import Box, Clues, Part, Preprocessing, Product
from osoroi.search import Searcher
from osoroi.server import app, learning
from shop import ThreadDecoder, entry, fill, picture
from tiny import TinyEncoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open()


@pytest.fixture(scope="module")
def alone() -> Outfits:
    return outfits(0, 0)


def photo_of(red: int) -> np.ndarray:
    photo = np.full((240, 200, 3), 250, np.uint8)
    photo[40:200, 50:150] = (red, 30, 90)
    return photo


def kind_in(encoder: Encoder, vector: np.ndarray) -> dict[str, float]:
    chances = vector[encoder.columns[KIND]] ** 2
    return {name: float(chance) for name, chance in zip(NAMES, chances, strict=False) if chance > 1e-6}


def stored(shop: osoroi.Catalog, product_id: str) -> np.ndarray:
    return shop.storage.entries([product_id])[product_id].vectors[0]


# -------------------------------------------------------------------- the numbers


def test_the_version_belongs_to_the_network_the_table_and_the_rule_for_products() -> None:
    """Where this fails, vectors of products change: raise VERSION and write the new digest here."""
    dice = np.random.default_rng(0)
    logits = dice.normal(0, 2, 8).astype(np.float32), dice.normal(0, 2, 1000).astype(np.float32)
    chances = {kind: round(value, 4) for kind, value in posterior.product_posterior(*logits).items()}
    network = hashlib.sha256((WEIGHTS / "kind.onnx").read_bytes()).hexdigest()
    digest = hashlib.sha256(json.dumps([network, NAMES, chances]).encode()).hexdigest()
    assert (part.VERSION, digest[:16]) == ("1", "cf03ef1d48e97ae1")


def test_probabilities_of_a_picture_sum_to_one_whatever_the_logits() -> None:
    dice = np.random.default_rng(1)
    for scale in (0.0, 1.0, 20.0):
        probe, imagenet = (dice.normal(0, scale, size).astype(np.float32) for size in (8, 1000))
        assert sum(posterior.product_posterior(probe, imagenet).values()) == pytest.approx(1)


def test_bare_legs_speak_for_shorts_and_against_trousers() -> None:
    lines, places = np.zeros((len(PLACES), 3)), np.zeros(len(PLACES))
    bare, covered = (posterior.of_colours(Profile(lines, lines, places + skin, places)) for skin in (1.0, 0.0))
    assert bare["shorts"] == pytest.approx(0.6 * 2.0)
    assert covered["shorts"] == pytest.approx(-0.6 * 2.5)
    assert bare["trousers"] == pytest.approx(-0.6 * (4 + 2))
    assert covered["trousers"] == 0


def test_a_place_that_says_nothing_leaves_the_picture_to_decide() -> None:
    row = Row(np.array([0, 0, 9, 0, 0, 0, 0, 0], np.float32), np.zeros(1000, np.float32))
    chances = posterior.combined(dict.fromkeys(("top", "dress", "tie"), 0.0), row)
    assert max(chances, key=lambda kind: chances[kind]) == "dress"
    assert sum(chances.values()) == pytest.approx(1)


# -------------------------------------------------------------------- vectors


def test_a_category_decides_and_pictures_decide_where_it_is_not_understood(encoder: Encoder) -> None:
    photos = [photo_of(200)] * 3
    vectors = encoder.encode_product(photos, categories=["Women > Skirts > Midi", "New in", None])
    assert kind_in(encoder, vectors[0]) == {"skirt": pytest.approx(1)}
    assert np.array_equal(vectors[1], vectors[2])
    assert len(kind_in(encoder, vectors[1])) > 3
    start = encoder.columns[KIND].start
    assert np.array_equal(vectors[0, :start], vectors[1, :start])  # and nothing else depends on it


def test_the_place_on_the_body_tells_the_kind_of_a_query(encoder: Encoder, alone: Outfits) -> None:
    slots = {"top": ("top", "outerwear"), "trousers": ("trousers",), "shoes": ("shoes",)}
    for garment in alone.garments:
        (vector,) = encoder.encode_photos([alone.photo], "street", boxes=[garment.box])
        chances = kind_in(encoder, vector)
        assert max(chances, key=lambda kind: chances[kind]) in slots[garment.kind]
        assert vector @ vector == pytest.approx(3, abs=1e-4)  # three parts of unit length


def test_a_kind_that_is_given_is_taken_and_nobody_is_looked_for(encoder: Encoder, alone: Outfits) -> None:
    box = alone.garments[0].box
    vectors = encoder.encode_photos([alone.photo] * 2, "street", boxes=[box] * 2, kinds=["Skirts", {"hat": 0.5}])
    assert kind_in(encoder, vectors[0]) == {"skirt": pytest.approx(1)}
    assert kind_in(encoder, vectors[1]) == {"hat": pytest.approx(0.5)}
    with pytest.raises(BadRequest, match="'sofa' is no kind of garment"):
        encoder.encode_query([alone.photo], kinds=["sofa"])
    with pytest.raises(BadRequest, match="are no probabilities of kinds"):
        encoder.encode_query([alone.photo], kinds=[{"top": 0.8, "hat": 0.4}])


def test_the_slider_turns_shape_into_colour_and_leaves_the_kind_its_weight(encoder: Encoder) -> None:
    vector = np.ones((1, encoder.dim), np.float32)
    for detail in (0.0, 0.25, 1.0):
        scales = {name: float(vectors[0]) for name, vectors in _columns(encoder, encoder.weigh(vector, detail)).items()}
        assert scales == pytest.approx({"deep": 0.6 * (1 - detail), "detail": 0.6 * detail, "kind": 0.4})
    assert encoder.own_detail == pytest.approx(0.7)
    assert np.allclose(encoder.weigh(vector, 0.7), encoder.weigh(vector))


def _columns(encoder: Encoder, vectors: np.ndarray) -> dict[str, np.ndarray]:
    return {name: vectors[0, columns] for name, columns in encoder.columns.items()}


def test_against_pictures_the_kind_weighs_less_and_the_weights_still_sum_to_one(encoder: Encoder) -> None:
    vector = np.zeros((1, encoder.dim), np.float32)
    vector[:, encoder.columns["deep"].start] = vector[:, encoder.columns["detail"].start] = 1
    vector = encoder.with_kind(vector, Clues(known={"top": 1.0}))
    share = part.AGAINST_PICTURES["top"]
    for categorised, kept in ((1.0, 1.0), (0.5, (1 + share) / 2), (0.0, share)):
        weights = {
            name: float(each.max())
            for name, each in _columns(encoder, encoder.weigh(vector, categorised=categorised)).items()
        }
        assert weights["kind"] == pytest.approx(0.4 * kept)
        assert weights["detail"] == pytest.approx(0.7 * (1 - 0.4 * kept))
        assert sum(weights.values()) == pytest.approx(1)


# -------------------------------------------------------------------- catalogs


@pytest.fixture
def shop(tmp_path: Path, encoder: Encoder) -> osoroi.Catalog:
    shop = osoroi.create(tmp_path / "shop", encoder)
    names = (("a", "Skirts"), ("b", "スカート"), ("c", "Shoes"), ("d", "Drop 7"))
    shop.add([{"product_id": name, "photo": photo_of(200), "category": category} for name, category in names])
    return shop


def test_the_same_photo_under_other_categories_is_ranked_by_kind(shop: osoroi.Catalog) -> None:
    hits = shop.search(photo_of(200), kind="skirt")
    assert [hit.product_id for hit in hits[:2]] == ["a", "b"]
    assert hits[0].parts["kind"] == pytest.approx(1)
    assert hits[-1].product_id == "c"
    assert hits[-1].parts["kind"] == 0


def test_adding_again_changes_nothing_and_a_new_category_changes_the_kind_alone(shop: osoroi.Catalog) -> None:
    before, start = stored(shop, "c"), shop.encoder.columns[KIND].start
    again = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Shoes"}])
    assert (again.count.unchanged, again.count.embedded) == (1, 0)
    changed = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Hats"}])
    assert (changed.count.changed, changed.count.embedded) == (1, 0)
    after = stored(shop, "c")
    assert kind_in(shop.encoder, after) == {"hat": pytest.approx(1)}
    assert np.array_equal(after[:start], before[:start])
    unread = shop.add([{"product_id": "c", "photo": photo_of(200), "category": "Drop 8"}])
    assert unread.count.embedded == 1  # the picture has to tell now
    assert np.allclose(stored(shop, "c"), stored(shop, "d"), atol=1e-6)


def test_an_update_of_the_category_or_the_kind_reaches_the_vectors(shop: osoroi.Catalog) -> None:
    by_picture = stored(shop, "d")
    shop.update("d", category="Bags")
    assert kind_in(shop.encoder, stored(shop, "d")) == {"bag": pytest.approx(1)}
    shop.update("d", kind="dress")  # an attribute that is a name of a kind wins
    assert kind_in(shop.encoder, stored(shop, "d")) == {"dress": pytest.approx(1)}
    seq = shop.storage.seq
    shop.update("d", price=5)
    assert shop.storage.seq == seq + 1  # vectors that stay are not written again
    shop.update("d", category=None, kind=None)
    assert np.allclose(stored(shop, "d"), by_picture, atol=1e-6)


def once_read(shop: osoroi.Catalog, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Something happens once, right after entries were read."""
    entries = shop.storage.entries

    def reading(product_ids: Iterable[str]) -> dict[str, Entry]:
        read = entries(product_ids)
        monkeypatch.setattr(shop.storage, "entries", entries)
        meanwhile()
        return read

    monkeypatch.setattr(shop.storage, "entries", reading)


def test_metadata_that_is_put_with_another_category_changes_the_kind_in_the_same_commit(shop: osoroi.Catalog) -> None:
    storage, seq = shop.storage, shop.storage.seq
    before = storage.entries(["d"])["d"]
    bags = replace(before.product, category="Bags", attributes={"sale": True})
    assert ingest.change(storage, shop.encoder, "d", lambda _: bags) == bags
    after = storage.entries(["d"])["d"]
    assert (storage.seq, after.product) == (seq + 1, bags)
    assert (after.vectors == shop.encoder.with_kind(before.vectors, shop.encoder.clues_of(bags))).all()
    assert (after.vectors != before.vectors).any()


def test_an_update_of_the_category_loses_no_change_that_comes_between(shop: osoroi.Catalog, monkeypatch: Any) -> None:
    once_read(shop, monkeypatch, lambda: shop.storage.patch("d", {"price": 7.0}))
    shop.update("d", category="Bags")
    assert (shop["d"].price, shop["d"].category) == (7.0, "Bags")
    assert kind_in(shop.encoder, stored(shop, "d")) == {"bag": pytest.approx(1)}
    once_read(shop, monkeypatch, lambda: shop.storage.remove(["d"]))
    with pytest.raises(NotFound):
        shop.update("d", category="Hats")
    assert "d" not in shop


def test_learning_a_category_loses_no_change_that_comes_between(shop: osoroi.Catalog, monkeypatch: Any) -> None:
    names = [f"e{number}" for number in range(6)]
    rows = [{"product_id": name, "photo": photo_of(200), "category": "Drop 9"} for name in names]
    shop.add([row | {"category": "Skirts"} for row in rows])
    skirts = shop.storage.entries(names)
    words = [entry._replace(product=replace(entry.product, category="Drop 9")) for entry in skirts.values()]
    soft = part.part({"skirt": 0.9, "dress": 0.1})
    for one in words:
        one.vectors[:, shop.encoder.columns[KIND]] = soft
    shop.storage.put(words, fingerprint=shop.encoder.fingerprint)
    read = categories._entries

    def then(catalog: Any, ids: list[str]) -> Any:
        found = list(read(catalog, ids))
        once_read(shop, monkeypatch, lambda: (shop.storage.patch("e1", {"price": 9.0}), shop.storage.remove(["e2"])))
        return found

    monkeypatch.setattr(categories, "_entries", then)
    assert categories.learn(shop.storage, shop.encoder, ["Drop 9"]) == {"Drop 9": "skirt"}
    assert shop["e1"].price == 9.0
    assert "e2" not in shop
    for name in ("e0", "e1", "e5"):
        assert kind_in(shop.encoder, stored(shop, name)) == {"skirt": pytest.approx(1)}


def test_a_search_knows_the_share_of_products_with_a_kind_and_notices_changes(shop: osoroi.Catalog) -> None:
    assert shop._searcher.kinds().categorised == pytest.approx(3 / 4)
    shop.update("d", category="Bags")
    assert shop._searcher.kinds().categorised == 1


def test_reencode_gives_the_kinds_of_the_categories(tmp_path: Path, encoder: Encoder) -> None:
    old = osoroi.create(tmp_path / "shop", TinyEncoder())
    old.add(
        [{"product_id": "a", "photo": photo_of(200), "category": "Skirts"}, {"product_id": "b", "photo": photo_of(9)}]
    )
    old.close()
    assert reencode(tmp_path / "shop", encoder).switched
    with osoroi.open(tmp_path / "shop") as shop:
        assert kind_in(encoder, stored(shop, "a")) == {"skirt": pytest.approx(1)}
        assert len(kind_in(encoder, stored(shop, "b"))) > 3


def test_info_says_how_categories_are_read(shop: osoroi.Catalog) -> None:
    run = CliRunner().invoke(main, ["info", str(shop.storage.location), "--json"])
    assert json.loads(run.stdout)["kinds"] == {
        "skirt": {"Skirts": 1, "スカート": 1},
        "shoes": {"Shoes": 1},
        "by_picture": {"Drop 7": 1},
    }
    told = CliRunner().invoke(main, ["info", str(shop.storage.location)]).stdout
    assert re.search(r"^by picture +Drop 7: 1$", told, re.MULTILINE)


# -------------------------------------------------------------------- files


def test_an_encoder_without_the_part_takes_no_kind_and_looks_for_nobody() -> None:
    tiny = TinyEncoder()
    assert tiny.query_clues(b"no photo at all", Box(0, 0, 5, 5)) == Clues()
    with pytest.raises(BadRequest, match="has no part 'kind'"):
        tiny.encode_query([photo_of(9)], kinds=["skirt"])


def test_metadata_with_the_part_are_of_format_2_and_without_it_as_before() -> None:
    views = dict.fromkeys(("street", "shop"), Preprocessing(8, 8))
    plain = Metadata((Part("deep", 4, 1.0),), views, "r", "t", "l", "f")
    assert json.loads(plain.to_json())["format"] == 1
    assert "kinds" not in json.loads(plain.to_json())
    both = replace(plain, parts=part.with_kind(plain.parts, 0.25), kinds=part.VERSION)
    assert json.loads(both.to_json())["format"] == 2
    assert Metadata.from_json(both.to_json()) == both
    assert both.graph_parts == (Part("deep", 4, 0.75),)


# -------------------------------------------------------------------- evaluation


def test_kind_at_k_is_the_share_of_the_first_k_and_what_is_not_retrieved_counts_as_wrong() -> None:
    top = (("a", "b", "c"), ("b",), ())
    arm = Arm("all", {}, None, np.full((3, 1), np.inf), top, ((), (), ()))
    products = {"a": Label("top", "red"), "b": Label("skirt", "red"), "c": Label(None, "blue")}
    labels = Labels((Label("top", "red"), Label("skirt", None), Label("top", "red")), products)
    values = results.values(arm, ["kind@2", "kind@3", "color@2"], labels)
    assert values[:, 0].tolist() == [1 / 2, 1 / 2, 0]
    assert values[:, 1].tolist() == [1 / 3, 1 / 3, 0]
    assert values[[0, 2], 2].tolist() == [1, 0]
    assert np.isnan(values[1, 2])  # a query without a color


def test_a_found_box_matches_one_true_box_and_right_kinds_are_counted_apart() -> None:
    true = [("top", Box(0, 0, 10, 10)), ("skirt", Box(0, 10, 10, 20)), ("shoes", Box(0, 20, 10, 24))]
    found = [("outerwear", Box(0, 0, 10, 9)), ("top", Box(0, 0, 10, 6)), ("skirt", Box(0, 11, 10, 20))]
    lines = boxes.summary([boxes.count(found, true)])
    assert [round(lines[name].mean, 4) for name in ("recall", "precision", "right kind")] == [0.6667, 0.6667, 0.3333]
    assert (lines["recall of shoes"].mean, lines["precision of top"].mean) == (0, 0)


def boxes_folder(folder: Path) -> Path:
    (folder / "photos").mkdir(parents=True)
    rows = ["photo,label,left,top,width,height"]
    for number in range(2):
        made = outfits(0, number)
        Image.fromarray(made.photo).save(folder / "photos" / f"{number:04}.jpg", quality=95)
        rows += [
            f"{number:04},{garment.kind},{left},{top},{right - left},{bottom - top}"
            for garment in made.garments
            for left, top, right, bottom in [garment.box]
            if garment.kind in ("top", "skirt", "shoes", "dress")
        ]
    rows.append("0001,hair,1,2,3,4")
    (folder / "garments.csv").write_text("\n".join(rows))
    return folder


def test_boxes_of_garments_are_queries_whose_product_is_their_photo(tmp_path: Path) -> None:
    rows = list(open_dataset(f"ccp:{boxes_folder(tmp_path / 'ccp')}").rows())
    assert {row.crop.split for row in rows if row.product.product_id == "0000"} == {"test"}
    assert {row.crop.split for row in rows if row.product.product_id == "0001"} == {"val"}
    first = outfits(0, 0).garments[0]
    assert (rows[0].product.category, rows[0].crop.box) == (first.kind, first.box)
    assert "hair" not in {row.product.category for row in rows}


def test_evaluate_tells_kinds_and_with_find_how_boxes_were_found(tmp_path: Path) -> None:
    folder = boxes_folder(tmp_path / "ccp")
    shop = tmp_path / "shop.csv"
    names = ["Skirts", "Tops", "Shoes", "Dresses"]
    Image.fromarray(photo_of(120)).save(tmp_path / "p.png")
    shop.write_text("photo,product_id,category\n" + "".join(f"p.png,{name},{name}\n" for name in names))
    run = osoroi.evaluate(f"ccp:{folder}", distractors=[shop], find=True)
    assert results.shown(run) == ("kind@5",)
    assert run.boxes["recall"].mean > 0.5
    kinds = results.values(run.arm("all"), ["kind@1"], run.labels)[:, 0]
    for top, label, share in zip(run.arm("all").top, run.labels.queries, kinds, strict=True):
        assert share == (bool(top) and run.labels.products[top[0]].kind == label.kind)  # a missed garment counts as 0
    results.save(run, tmp_path / "run.json")
    again = results.read(tmp_path / "run.json")
    assert again.labels == run.labels
    assert again.boxes["precision"] == pytest.approx(run.boxes["precision"], abs=1e-6)
    given = osoroi.evaluate(f"ccp:{folder}", distractors=[shop])
    assert not given.boxes
    assert (
        results.means(given, "all", ["kind@1"])["kind@1"].mean > results.means(given, "both", ["kind@1"])["kind@1"].mean
    )


def test_a_version_of_the_kinds_that_this_osoroi_does_not_have_is_refused(encoder: Encoder) -> None:
    from osoroi.encoder.metadata import demand_kinds

    demand_kinds(encoder.metadata)
    with pytest.raises(BadEncoder, match="is of version '0' of the kinds"):
        demand_kinds(replace(encoder.metadata, kinds="0"))


def test_an_attribute_kind_wins_only_where_it_is_a_name_of_a_kind() -> None:
    assert part.known_kind(Product("p", category="tops", attributes={"kind": "outerwear"})) == "outerwear"
    assert part.known_kind(Product("p", category="tops", attributes={"kind": "Cardigan"})) == "top"
    assert part.known_kind(Product("p", category="Drop 7", attributes={"kind": "Cardigan"})) == "outerwear"


# -------------------------------------------------------------------- the service


class CountingDecoder(ThreadDecoder):
    """Counts the crops that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.crops = 0

    async def crop(self, *arguments: Any) -> Any:
        self.crops += 1
        return await super().crop(*arguments)


def test_a_category_that_the_service_no_longer_understands_is_told_by_the_photo_in_a_worker(
    encoder: Encoder, tmp_path: Path
) -> None:
    """And where the photo is gone, nothing is changed."""
    decoder = CountingDecoder()
    goods = [entry(encoder, Product("p", category="skirts"), picture((200, 20, 20), width=200, height=240))]
    with fill(tmp_path / "shop", encoder, goods) as catalog:
        client = TestClient(app.make(Searcher(encoder, catalog), decoder=decoder), base_url="http://127.0.0.1")
        assert client.patch("/v1/products/p", json={"price": 1.0}).status_code == 200
        assert client.patch("/v1/products/p", json={"category": "hats"}).status_code == 200
        assert decoder.crops == 0
        assert client.patch("/v1/products/p", json={"category": "New in"}).status_code == 200
        assert decoder.crops == 1
        (crop,) = catalog.crops("p")
        expected = encoder.encode_photos([crop.photo], "shop")
        assert np.allclose(catalog.vectors([crop.crop_id]), expected, atol=1e-6)
        client.patch("/v1/products/p", json={"category": "hats"})
        Path(crop.photo).unlink()
        assert client.patch("/v1/products/p", json={"category": "New in"}).status_code == 404
        assert catalog.get("p").category == "hats"


def test_a_large_category_is_not_judged_for_each_product_and_the_product_gets_its_kind(
    shop: osoroi.Catalog, monkeypatch: Any
) -> None:
    judged: list[int] = []
    monkeypatch.setattr(learning, "LARGE", 1)
    monkeypatch.setattr(categories, "learn", lambda *_: judged.append(1) or {"Drop 9": "skirt"})
    shop.add([{"product_id": f"e{n}", "photo": photo_of(200), "category": "Drop 9"} for n in range(12)])
    judged.clear()
    learner = learning.CategoryLearning(lambda work: work())  # type: ignore[arg-type, return-value]
    learner._learn(shop.storage, shop.encoder, {"Drop 9": {"e0"}})
    learner._learn(shop.storage, shop.encoder, {"Drop 9": {"e1", "gone"}})
    assert judged == [1]
    assert kind_in(shop.encoder, stored(shop, "e1")) == {"skirt": pytest.approx(1)}
