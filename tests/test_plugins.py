"""A package adds a reader, a backbone and a loss: the page that says how is followed on an installed package."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from osoroi import plugins
from osoroi.data.readers import dataset_name, open_dataset
from osoroi.errors import BadDataset, BadRequest
from osoroi.recipes import changed, named

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def blocks(kind):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language == kind]


@pytest.fixture
def package(tmp_path):
    """A folder with the page's package as an installer leaves it: the module, and its entry points in metadata."""
    project = tomllib.loads(blocks("toml")[0])["project"]
    (tmp_path / "shop_extras.py").write_text(blocks("python")[0])
    info = tmp_path / "shop_extras-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-extras\nVersion: 1.0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def installed(package, monkeypatch):
    monkeypatch.syspath_prepend(package)
    yield package
    sys.modules.pop("shop_extras", None)


def test_names_of_a_package_are_known_and_act(installed):
    assert [plugins.names(group) for group in plugins.GROUPS] == [
        ("stripes",),
        ("small",),
        ("cosine",),
        ("lines",),
    ]
    assert dataset_name("stripes:3") == "stripes:3"
    rows = list(open_dataset("stripes:9?limit=3").rows())
    assert len(rows) == 6
    assert changed("loss=cosine") == ("loss", "cosine")
    assert named("frozen", {"loss": "cosine"}).loss == "cosine"
    with pytest.raises(BadDataset, match="stripes has no option 'colour'; its options: limit"):
        open_dataset("stripes:9?colour=red")


def test_without_the_package_its_names_are_refused_with_those_that_there_are():
    with pytest.raises(BadDataset, match="no reader is called 'stripes'"):
        open_dataset("stripes:3")
    with pytest.raises(BadRequest, match="loss=cosine is not one of info_nce, triplet, multi_similarity"):
        changed("loss=cosine")
    with pytest.raises(BadRequest, match=r"no package registers 'cosine' in osoroi\.losses; install the package"):
        plugins.load("losses", "cosine")


def test_a_package_that_cannot_be_imported_is_named(installed):
    (installed / "shop_extras.py").write_text("from osoroi.records import Nothing")
    with pytest.raises(BadRequest, match=r"'stripes' of osoroi.readers, shop_extras:open_stripes, cannot be imported"):
        open_dataset("stripes:3")


@pytest.mark.slow
def test_the_commands_of_the_page_train_export_and_evaluate(package):
    lines = [line for line in blocks("")[0].splitlines() if line.startswith("osoroi ")]
    assert len(lines) == 3
    program = str(Path(sys.executable).with_name("osoroi"))
    for line in lines:
        done = subprocess.run(
            [program, *shlex.split(line)[1:]],
            cwd=package,
            env=environment(package),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
    assert re.search(r"hit@5 +\S+ ", done.stdout)
    assert re.fullmatch(r"(\d \d\.\d{3}\n){3}", (package / "run" / "lines.txt").read_text())


def environment(package):
    import os

    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
