"""The documentation site: built strictly, complete, searchable, and without anything from another host."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/osoroi/osoroi/blob/main/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it: a warning is an error. Long signatures alone are not broken into lines,
    which takes a process of ruff for each of thousands."""
    folder = tmp_path_factory.mktemp("site")
    mkdocs = "import sys; sys.modules['ruff.__main__'] = None; from mkdocs.__main__ import cli; cli()"
    command = [sys.executable, "-c", mkdocs, "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stdout + run.stderr
    return folder


def pages(site: Path) -> dict[str, str]:
    return {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    loaded = [
        (name, tag)
        for name, text in pages(site).items()
        for tag in re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*>", text)
        if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)
    ]
    assert not loaded
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(?:https?:)?//", path.read_text())]
    assert not styles


def test_scripts_are_given_no_repository_to_ask_for_its_stars(site: Path) -> None:
    assert not [name for name, text in pages(site).items() if 'data-md-component="source"' in text]


def test_a_link_to_a_file_of_the_repository_names_one_that_exists(site: Path) -> None:
    linked = {link for text in pages(site).values() for link in re.findall(rf'href="{REPOSITORY}([^"#]+)', text)}
    assert linked, "some pages link to code or results"
    assert not [path for path in linked if not (ROOT / path).exists()]


def test_every_page_is_found_by_the_search(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries}
    built = {name.removesuffix("index.html") for name in pages(site)} - {"404.html"}
    assert built == found
    assert any("bootstrap" in entry["text"] and "reference/" in entry["location"] for entry in entries)


def test_the_reference_holds_every_module_but_those_of_the_command_line(site: Path) -> None:
    anchors = {name for text in pages(site).values() for name in re.findall(r'id="(osoroi[\w.]*)"', text)}
    modules = {
        ".".join(("osoroi", *path.relative_to(ROOT / "src" / "osoroi").with_suffix("").parts)).removesuffix(".__init__")
        for path in (ROOT / "src" / "osoroi").rglob("*.py")
    }
    public = {name for name in modules if not re.search(r"\._", name) and not name.startswith("osoroi.cli")}
    assert public <= anchors, sorted(public - anchors)


def test_examples_of_docstrings_are_code_and_not_prose(site: Path) -> None:
    reference = [text for name, text in pages(site).items() if name.startswith("reference/")]
    assert any('<span class="gp">&gt;&gt;&gt; </span>' in text for text in reference)
    assert not [text for text in reference if re.search(r"<p>[^<]*&gt;&gt;&gt; ", text)]
