"""A catalog moves to another encoder: searches go on, a stopped move goes on, and the switch is all or nothing."""

import io

import numpy as np
import pytest
from PIL import Image

from osoroi import image
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.opening import open_catalog, open_or_create
from osoroi.errors import BadCatalog, Busy, OtherEncoder
from osoroi.records import Box
from osoroi.search import Searcher
from shops import entry
from tiny import SIDE, TinyEncoder

OLD, NEW = TinyEncoder("old"), TinyEncoder("new")


class Counting(TinyEncoder):
    """Turns vectors upside down, so that old and new can be told apart; counts, and stops after ``until`` crops."""

    def __init__(self, name: str = "new", until: float = float("inf")) -> None:
        super().__init__(name)
        self.encoded, self.until = 0, until

    def encode(self, crops):
        if self.encoded + len(crops) > self.until:
            raise KeyboardInterrupt
        self.encoded += len(crops)
        return -super().encode(crops)


def photo(colour) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (SIDE * 2, SIDE), colour).save(data, format="PNG")
    return data.getvalue()


def shown(place: int, **values):
    """A product whose one photo has a colour of its own, with the old encoder's vector."""
    data, box = photo((8 * place, 255 - 9 * place, 40)), Box(0, 0, SIDE, SIDE)
    vector = OLD.encode([image.crop(data, box, OLD.preprocessing["shop"])])[0]
    return entry(f"p{place:02}", vector.tolist(), photo=data, box=box, **values)


@pytest.fixture
def shop(place):
    with open_or_create(place, OLD) as catalog:
        catalog.put([shown(place) for place in range(10)], fingerprint=OLD.fingerprint)
    return place


def test_every_crop_gets_a_new_vector_and_the_old_ones_go(shop):
    new = Counting()
    moved = reencode(shop, new)
    assert (moved.embedded, moved.dropped, moved.switched, new.encoded) == (10, (), True, 10)
    with open_catalog(shop) as catalog:
        assert (catalog.fingerprint, catalog.encoder.parts) == (new.fingerprint, new.parts)
        expected = [-shown(place).vectors[0] for place in range(10)]
        assert np.array_equal(catalog.vectors([f"p{place:02}/0" for place in range(10)]), expected)
        hits = Searcher(new, catalog).search(photo((16, 255 - 18, 40)), k=3)
        assert hits[0].product_id == "p02"
        with catalog.view() as truth:
            assert truth.one("SELECT count(*) FROM vectors") == (10,)
    assert check(shop) == []
    assert not reencode(shop, Counting()).switched, "once is enough"
    with pytest.raises(OtherEncoder):
        Searcher(OLD, open_catalog(shop))


@pytest.mark.parametrize("until", [0, 3, 7])
def test_a_move_that_was_stopped_goes_on_without_embedding_twice(shop, until):
    first, second = Counting(until=until), Counting()
    with pytest.raises(KeyboardInterrupt):
        reencode(shop, first, crops_per_commit=2)
    with open_catalog(shop) as catalog:
        assert catalog.fingerprint == OLD.fingerprint
        assert Searcher(OLD, catalog).search(photo((16, 255 - 18, 40)), k=1)[0].product_id == "p02"
    assert check(shop) == []
    reencode(shop, second, crops_per_commit=2)
    assert first.encoded + second.encoded == 10


def test_searches_and_writes_go_on_and_the_switch_waits_for_what_came_in(shop):
    with open_catalog(shop) as other:
        searcher = Searcher(OLD, other)

        class Busybody(Counting):
            def encode(self, crops):
                step, vectors = self.encoded, super().encode(crops)
                if step == 0:
                    other.remove(["p00"])  # whose vector is just being made
                    other.put([shown(11)], fingerprint=OLD.fingerprint)
                if step == 8:
                    changed = shown(12)._replace(product=shown(1).product)
                    crops = [c.__class__("p01/0", "p01", "shop", c.photo, c.box) for c in changed.crops]
                    other.put([changed._replace(crops=crops)], fingerprint=OLD.fingerprint)  # moved already, now stale
                assert searcher.search(photo((16, 255 - 18, 40)), k=1)[0].product_id == "p02"
                return vectors

        new = Busybody()
        reencode(shop, new, crops_per_commit=4)
        with pytest.raises(OtherEncoder, match=r"moved from encoder old0+ to new0+"):
            searcher.search(photo((0, 0, 0)))
        with pytest.raises(OtherEncoder):
            other.put([shown(13)], fingerprint=OLD.fingerprint)
    with open_catalog(shop) as catalog:
        assert [product.product_id for product in catalog.products()] == [
            f"p{place:02}" for place in [*range(1, 10), 11]
        ]
        assert np.array_equal(catalog.vectors(["p01/0", "p11/0"]), [-shown(12).vectors[0], -shown(11).vectors[0]])
    assert check(shop) == []


@pytest.mark.parametrize("address", ["folder"], indirect=True)  # PostgreSQL keeps photos where files cannot go
def test_a_photo_that_is_gone_or_changed_keeps_the_old_encoder_unless_it_is_dropped(shop):
    with open_catalog(shop) as catalog:
        first, second = catalog.crops("p03")[0].photo, catalog.crops("p04")[0].photo
        double = shown(5)
        again = [double.crops[0], double.crops[0].__class__("p05/1", "p05", "shop", photo((1, 2, 3)))]
        catalog.put(
            [double._replace(crops=again, vectors=np.repeat(double.vectors, 2, 0))], fingerprint=OLD.fingerprint
        )
        third = catalog.crops("p05")[1].photo
    first.unlink()
    second.write_bytes(photo((9, 9, 9)))
    third.unlink()
    with pytest.raises(BadCatalog, match=r"3 crops of .*'p03/0'.*'p04/0': .* is no longer the photo.*--drop"):
        reencode(shop, Counting())
    with open_catalog(shop) as catalog:
        assert (len(catalog), catalog.fingerprint) == (10, OLD.fingerprint)
    moved = reencode(shop, Counting(), drop=True)
    assert [one.crop_id for one in moved.dropped] == ["p03/0", "p04/0", "p05/1"]
    with open_catalog(shop) as catalog:
        assert (len(catalog), [crop.crop_id for crop in catalog.crops("p05")]) == (8, ["p05/0"])
    assert check(shop) == []


def test_a_move_to_a_third_encoder_gives_up_the_one_begun(shop):

    class Interrupting(Counting):
        def encode(self, crops):
            if self.encoded == 2:
                with pytest.raises(KeyboardInterrupt):
                    reencode(shop, Counting("third", until=4), crops_per_commit=2)
            return super().encode(crops)

    with pytest.raises(Busy, match="began to move to another encoder"):
        reencode(shop, Interrupting(), crops_per_commit=2)
    reencode(shop, Counting("third"))
    with open_catalog(shop) as catalog, catalog.view() as truth:
        assert catalog.fingerprint == Counting("third").fingerprint
        assert truth.one("SELECT count(*) FROM vectors") == (10,), "the second encoder's vectors went too"
