"""Which texts name a catalog, and where its cache lies."""

from pathlib import Path

import pytest

from osoroi.catalog import opening
from osoroi.catalog.address import cache_folder, place_of
from osoroi.errors import BadRequest


@pytest.mark.parametrize("text", ["http://127.0.0.1:8008", "https://shop.example/x", "S3://bucket/shop"])
def test_an_address_of_something_else_is_no_folder(text):
    with pytest.raises(BadRequest, match="Client speaks to a server"):
        place_of(text)


def test_a_folder_may_have_a_colon():
    assert place_of("a:b") == Path("a:b")


def homeless(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_a_cache_that_is_named_needs_no_home(monkeypatch, tmp_path):
    homeless(monkeypatch)
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_without_a_home_an_encoder_runs_without_a_cache(monkeypatch):
    homeless(monkeypatch)
    monkeypatch.delenv("OSOROI_CACHE", raising=False)
    with pytest.raises(BadRequest, match="set OSOROI_CACHE"):
        cache_folder()
    assert opening.runtimes() is None
