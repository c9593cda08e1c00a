"""What several tests need: where real photos lie, and small things drawn once."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

import postgres
from osoroi.catalog.address import Place, place_of

if TYPE_CHECKING:
    from browsing import Browser, Page

settings.register_profile("busy", deadline=None)  # an example takes as long as a busy machine needs
settings.load_profile("busy")

os.environ["OSOROI_MEASURE"] = "no"  # what is chosen by measuring would differ from run to run

DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def folder_or_skip(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs the photos in {path.name}/, which are not here; set OSOROI_DATA to their folder")
    return path


@pytest.fixture(scope="session", autouse=True)
def encoders_tried_once() -> Iterator[None]:
    """Hundreds of tests open the encoder that ships. A process of tests tries the same bytes once and shares the
    sessions: a trial takes half a second. Files that are refused are tried anew each time, others under
    another limit or a patched part of the trial. Tests of the trial call the function that stood there before."""
    from onnxruntime import InferenceSession

    from osoroi.encoder import trial, with_kinds
    from osoroi.encoder.joining import joined
    from osoroi.inference import open_session

    tried = trial.tried
    known: dict[object, trial.Tried] = {}

    def tried_once(model: bytes, threads: int, providers: Sequence[str] | None, limit_s: float) -> trial.Tried:
        parts = [vars(trial)[name] for name in ("faster", "open_session", "try_out", "verify")]
        key = (model, threads, None if providers is None else tuple(providers), limit_s, *parts)
        if key not in known:
            if len(known) > 3:
                del known[next(iter(known))]
            known[key] = tried(model, threads, providers, limit_s)
        return known[key]

    shared = lru_cache(3)(open_session)

    def open_once(model: bytes, threads: int, providers: Sequence[str] | None) -> InferenceSession:
        return shared(model, threads, None if providers is None else tuple(providers))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "tried", tried_once)
        patch.setattr(with_kinds, "joined", lru_cache(3)(joined))
        patch.setattr(with_kinds, "open_session", open_once)
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photos; the test is skipped where it is absent."""
    return folder_or_skip(DATA)


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of backbone weights beside the photos; the test is skipped where it is absent."""
    return folder_or_skip(DATA.parent / "weights")


@pytest.fixture(scope="session")
def street2shop_lists(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real pair files of Street2Shop as its reader wants them, without photos; the lists of shop photos lack
    products without a street photo."""
    meta = data / "street2shop_meta/json"
    if not meta.is_dir():
        pytest.skip("needs the pair files of Street2Shop, which are not here")
    root = tmp_path_factory.mktemp("street2shop")
    (root / "images").mkdir()
    (root / "meta/json").mkdir(parents=True)
    for path in meta.iterdir():
        (root / "meta/json" / path.name.replace(".partial", "")).symlink_to(path.resolve())
    return root


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL server, without a schema; the test is skipped where there is none."""
    with postgres.server_url() as url:
        yield url


@pytest.fixture
def postgres_address(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address of PostgreSQL where no catalog stands; whatever is made there goes."""
    monkeypatch.setenv("OSOROI_CACHE", str(tmp_path / "cache"))
    address = postgres.schema_of(postgres_url)
    yield address
    postgres.drop(address)


@pytest.fixture(params=["folder", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a catalog can be made, as a user writes it: a folder, and a schema of PostgreSQL."""
    return str(tmp_path / "shop") if request.param == "folder" else request.getfixturevalue("postgres_address")


@pytest.fixture
def place(address: str) -> Place:
    """Where a catalog can be made."""
    return place_of(address)


@pytest.fixture(scope="session")
def goods_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service on the five products of ``shop.goods``. A test that changes them puts them back."""
    from shop import SeeingEncoder, fill, goods, serving

    encoder = SeeingEncoder()
    with (
        fill(tmp_path_factory.mktemp("goods") / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog) as url,
    ):
        yield url


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A real browser; the test is skipped where there is none, or no playwright."""
    from browsing import BROWSER, NEEDED, chromium

    if BROWSER is None:
        pytest.skip(NEEDED)
    yield from chromium()


@pytest.fixture(scope="module")
def page_url(goods_url: str) -> str:
    """The address that ``page`` opens; a module whose page shows another shop overrides it."""
    return goods_url


@pytest.fixture
def page_options() -> dict[str, Any]:
    """What the browser is told of ``page``, such as its ``viewport``; a module may override it."""
    return {}


@pytest.fixture
def page(browser: "Browser", page_url: str, page_options: dict[str, Any]) -> "Iterator[Page]":
    """The page of a shop, opened; an error in one of its scripts fails the test."""
    from browsing import opened

    yield from opened(browser, page_url, **page_options)
