"""A catalog moves to another encoder: searches go on, a stopped move goes on, and the switch is all or nothing."""

import io
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from archives import unpack
from osoroi import image
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.maintenance.check import check
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.catalog.opening import encoder_of, open_catalog, open_or_create, store_encoder, stored_encoder
from osoroi.cli import new_catalog
from osoroi.encoder import DEFAULT, Encoder, beside, text_tower
from osoroi.errors import BadCatalog, Busy, OtherEncoder
from osoroi.records import Box
from osoroi.search import Searcher
from shop import file_of
from shops import entry
from small_encoder import write_encoder
from tiny import SIDE, TinyEncoder

OLD, NEW = TinyEncoder("old"), TinyEncoder("new")


class Counting(TinyEncoder):
    """Turns vectors upside down, so that old and new can be told apart; counts, and stops after ``until`` crops."""

    def __init__(self, name: str = "new", until: float = float("inf")) -> None:
        super().__init__(name)
        self.encoded, self.until = 0, until

    def encode(self, crops, clues=None):
        if self.encoded + len(crops) > self.until:
            raise KeyboardInterrupt
        self.encoded += len(crops)
        return -super().encode(crops, clues)


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


def test_a_move_that_is_prepared_switches_in_a_second_run(shop):
    first = Counting()
    prepared = reencode(shop, first, prepare=True)
    assert (prepared.embedded, prepared.switched, prepared.prepared) == (10, False, True)
    with open_catalog(shop) as catalog:
        assert catalog.fingerprint == OLD.fingerprint
        catalog.put([shown(11)], fingerprint=OLD.fingerprint)
        with catalog.view() as transaction:
            following = transaction.next_encoder()
            assert following is not None
            assert following.fingerprint == first.fingerprint
    second = Counting()
    moved = reencode(shop, second)
    assert (moved.switched, second.encoded) == (True, 1), "what came in meanwhile"


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
            def encode(self, crops, clues=None):
                step, vectors = self.encoded, super().encode(crops, clues)
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
        first, second = file_of(catalog.crops("p03")[0]), file_of(catalog.crops("p04")[0])
        double = shown(5)
        again = [double.crops[0], double.crops[0].__class__("p05/1", "p05", "shop", photo((1, 2, 3)))]
        catalog.put(
            [double._replace(crops=again, vectors=np.repeat(double.vectors, 2, 0))], fingerprint=OLD.fingerprint
        )
        third = file_of(catalog.crops("p05")[1])
    first.unlink()
    second.write_bytes(photo((9, 9, 9)))
    third.unlink()
    with pytest.raises(BadCatalog, match=r"3 crops of .*'p03/0'.*'p04/0': .* is no longer the photo.*`drop`"):
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
        def encode(self, crops, clues=None):
            if self.encoded == 2:
                with pytest.raises(KeyboardInterrupt):
                    reencode(shop, Counting("third", until=4), crops_per_commit=2)
            return super().encode(crops, clues)

    with pytest.raises(Busy, match="began to move to another encoder"):
        reencode(shop, Interrupting(), crops_per_commit=2)
    reencode(shop, Counting("third"))
    with open_catalog(shop) as catalog, catalog.view() as truth:
        assert catalog.fingerprint == Counting("third").fingerprint
        assert truth.one("SELECT count(*) FROM vectors") == (10,), "the second encoder's vectors went too"


KILLED = """
import os, signal, sys
from osoroi.catalog.address import place_of
from osoroi.catalog.maintenance.reencode import reencode
from osoroi.encoder import Encoder

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

encoder = Encoder.open(sys.argv[2])
reencode(place_of(sys.argv[1]), encoder, **({"on_switch": kill} if sys.argv[3] == "after" else {"prepare": True}))
"""


@pytest.fixture
def moved_by_files(address, place, tmp_path):
    """A shop of an encoder that it keeps, another encoder file with a tower beside it, and a way to move it there."""
    first, second = (write_encoder(tmp_path / f"{seed}.onnx", seed) for seed in (1, 2))
    text_tower.beside(second).write_bytes(b"words")
    encoder = Encoder.open(first)
    with open_or_create(place, encoder) as catalog:
        vectors = encoder.encode([image.crop(photo((9, 99, 199)), None, encoder.preprocessing["shop"])])
        catalog.put([entry("p00", vectors[0].tolist(), photo=photo((9, 99, 199)))], fingerprint=encoder.fingerprint)
        store_encoder(catalog, first)

    def move(when: str, path=second) -> int:
        words = [sys.executable, "-c", KILLED, address, str(path), when]
        return subprocess.run(words, check=False).returncode

    return move


def stored_fingerprint(place) -> tuple[str, str]:
    with open_catalog(place, readonly=True) as catalog:
        return catalog.fingerprint, encoder_of(catalog).fingerprint


def test_a_move_that_is_killed_at_its_switch_leaves_the_catalog_with_its_encoder(moved_by_files, place, tmp_path):
    assert moved_by_files("after") == -signal.SIGKILL
    wanted = Encoder.open(tmp_path / "2.onnx")
    assert stored_fingerprint(place) == (wanted.fingerprint, wanted.fingerprint)
    with open_catalog(place) as catalog:
        stored = stored_encoder(catalog)
        assert stored is not None
        assert text_tower.beside(stored).read_bytes() == b"words"
    assert not reencode(place, wanted).switched, "the same command again"
    with open_catalog(place) as catalog:
        assert stored_encoder(catalog) == catalog.folder / beside.FILE
        assert [catalog.fetch_file(name) for name in beside.coming(wanted.fingerprint)] == [None] * 3
    assert stored_fingerprint(place) == (wanted.fingerprint, wanted.fingerprint)


def test_a_move_to_the_encoder_that_ships_that_is_killed_leaves_the_catalog_with_it(moved_by_files, place):
    assert moved_by_files("after", DEFAULT) == -signal.SIGKILL
    assert len(set(stored_fingerprint(place))) == 1
    reencode(place, Encoder.open())
    with open_catalog(place) as catalog:
        assert stored_encoder(catalog) is None


def test_add_keeps_the_encoder_of_a_catalog_whose_maker_was_killed_before(place, tmp_path):
    first, other = (write_encoder(tmp_path / f"{seed}.onnx", seed) for seed in (1, 2))
    open_or_create(place, Encoder.open(first)).close()
    with new_catalog.opened(place, other, threads=1) as (catalog, _):
        assert stored_encoder(catalog) is None, "which is not the catalog's"
    with new_catalog.opened(place, first, threads=1) as (catalog, encoder):
        stored = stored_encoder(catalog)
        assert stored is not None
        assert stored.read_bytes() == first.read_bytes()
        assert encoder.fingerprint == catalog.fingerprint


def test_files_of_a_move_that_is_given_up_go(moved_by_files, place, tmp_path):
    assert moved_by_files("before") == 0
    second, third = Encoder.open(tmp_path / "2.onnx"), Encoder.open(write_encoder(tmp_path / "3.onnx", 3))
    with open_catalog(place) as catalog:
        assert catalog.fetch_file(beside.coming(second.fingerprint)[0]) is not None
        assert encoder_of(catalog).fingerprint == catalog.fingerprint
    reencode(place, third)
    with open_catalog(place) as catalog:
        names = [*beside.coming(second.fingerprint), *beside.coming(third.fingerprint)]
        assert [catalog.fetch_file(name) for name in names] == [None] * 6
    assert stored_fingerprint(place) == (third.fingerprint, third.fingerprint)


@pytest.mark.parametrize("address", ["folder"], indirect=True)  # PostgreSQL has backups of its own
def test_a_backup_after_a_move_that_was_killed_has_its_encoder(moved_by_files, place, tmp_path):
    moved_by_files("after")
    assert backup(place, tmp_path / "shop.tar").encoder
    unpack(tmp_path / "shop.tar", tmp_path / "again")
    assert stored_fingerprint(tmp_path / "again") == stored_fingerprint(place)
    assert len(set(stored_fingerprint(place))) == 1
