"""What is written about the service: the OpenAPI document, docs/api.md, and the clients in docs/serve.md."""

import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from osoroi.data.synthetic.outfits import outfits
from osoroi.garments.find import find
from osoroi.search import Searcher
from osoroi.server import app
from osoroi.server.settings import Settings
from shop import BLUE, RED, SeeingEncoder, ThreadDecoder, fill, goods, picture, serving

schemathesis = pytest.importorskip("schemathesis", reason="needs the Python package schemathesis")


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return json.dumps(value).encode() + b"\n"


ROOT = Path(__file__).parents[1]
KEY = "k" * 20


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    encoder = SeeingEncoder()
    with fill(tmp_path_factory.mktemp("api") / "shop", encoder, goods(encoder)) as catalog:
        application = app.make(Searcher(encoder, catalog), decoder=ThreadDecoder())
        yield schemathesis.openapi.from_asgi("/openapi.json", application, headers={"Host": "127.0.0.1"})


AGREES = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]


def test_no_request_breaks_the_service_and_every_answer_is_as_the_document_says(schema):
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in AGREES]
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(headers={"Host": "127.0.0.1"}, checks=checks)

        ask()
        asked.append(operation.label)
    assert len(asked) == 19


def test_the_page_of_the_api_is_that_of_the_document():
    made = runpy.run_path(str(ROOT / "tools" / "api_page.py"))
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == made["page"](made["document"]())


@pytest.fixture
def shop_of_the_docs(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A service with keys, and a folder with the two photos that the clients send."""
    for name, colour in (("front.jpg", RED), ("snap.jpg", RED)):
        photo = Image.open(io.BytesIO(picture(colour, BLUE, width=400, height=500)))
        photo.save(tmp_path / name)
    encoder = SeeingEncoder()
    with (
        fill(tmp_path / "shop", encoder, goods(encoder)) as catalog,
        serving(encoder, catalog, Settings(read_key="r" * 20, write_key=KEY)) as address,
    ):
        yield address, tmp_path


def client_in_the_docs(language: str, address: str) -> str:
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 10
    return block.replace("http://127.0.0.1:8008", address).replace("Bearer KEY", f"Bearer {KEY}")


def test_the_python_client_of_the_docs_puts_and_finds(shop_of_the_docs):
    address, folder = shop_of_the_docs
    command = [sys.executable, "-c", client_in_the_docs("python", address)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = [line.split(maxsplit=3) for line in ran.stdout.splitlines()]
    assert {(product_id, title) for _, product_id, _, title in found} == {
        ("P1", "Red skirt"),  # put, at 3,900
        ("P3", "Blue top"),  # the only other below 5,000
    }


def test_the_curl_client_of_the_docs_puts_patches_finds_and_deletes(shop_of_the_docs):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    address, folder = shop_of_the_docs
    command = ["bash", "-ec", client_in_the_docs("sh", address)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert '"price":2900.0' in ran.stdout
    assert ran.stdout.count('"hits":[{"rank":1') == 2
    assert ran.stdout.endswith('{"removed":["P1"]}')


def test_the_curl_lines_about_garments_find_search_and_wish(tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    Image.fromarray(outfits(0, 0).photo).save(tmp_path / "snap.jpg", quality=95)
    (tmp_path / "curtain.jpg").write_bytes(picture(BLUE, width=400, height=300, kind="JPEG"))
    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "serve.md").read_text("utf-8"), flags=re.DOTALL)
    encoder = SeeingEncoder()
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog, serving(encoder, catalog) as address:
        command = ["bash", "-ec", f"SHOP={address}\n" + block.replace("$SHOP/v1/find", "$SHOP/v1/find; echo")]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = find(tmp_path / "snap.jpg")
    twice = 2 * (found[0].kind == "trousers")  # garment 1 is asked for twice
    assert ran.stdout.count('"kind":"trousers"') == 3 + twice  # found, the lower garment, and one of the look
    assert ran.stdout.count('"hits":[{"rank":1') == 4 + len(found)
