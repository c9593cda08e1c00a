"""What surrounds the code: package metadata, workflows, templates, changelog; and the archives that are published."""

import email
import email.message
import itertools
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers as known_classifiers

from osoroi import __version__
from osoroi.encoder import Encoder
from osoroi.encoder.faster import path_of

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOME: str = PROJECT["urls"]["Homepage"]


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def workflows() -> list[Path]:
    return sorted((GITHUB / "workflows").glob("*.yml"))


def forms() -> list[Path]:
    return sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", workflows()),
        ("dependabot", [GITHUB / "dependabot.yml"]),
        ("github-issue-forms", forms()),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_hosts_read_follow_their_schema(schema: str, paths: list[Path]) -> None:
    """check-jsonschema carries these schemas with it; nothing is downloaded."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    run = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False)
    assert paths
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_workflow_tests_every_python_that_the_package_allows_on_three_systems() -> None:
    jobs = parsed(GITHUB / "workflows" / "test.yml")["jobs"]
    lowest = re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])
    assert lowest
    pythons = [f"3.{minor}" for minor in range(int(lowest[1]), 15)]
    assert jobs["make-test"]["strategy"]["matrix"]["python"] == pythons
    others = jobs["other-systems"]["strategy"]["matrix"]
    assert others["python"] == pythons
    assert others["system"] == ["macos-latest", "windows-latest"]
    resolutions = {entry["resolution"] for entry in jobs["dependencies"]["strategy"]["matrix"]["include"]}
    assert resolutions == {"lowest-direct", "highest"}


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] == {"contents": "read"}
    granted = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert granted in ({}, {"publish": {"id-token": "write"}})
    assert all("timeout-minutes" in job for name, job in workflow["jobs"].items() if name != "publish")


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_a_workflow_calls_targets_that_the_makefile_has(path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    called = set(re.findall(r"\bmake ([a-z]+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert called
    assert called <= set(targets)


def test_what_is_pinned_installs_on_the_oldest_python_that_is_promised() -> None:
    """A pin that asks for Python 3.11.5 stopped `make test` on Debian, whose Python is 3.11.2."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    pins = {canonicalize_name(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().split()}
    asks = {
        package.name: package.metadata["Requires-Python"]
        for package in distributions()
        if canonicalize_name(package.name) in pins
    }
    assert len(asks) > 100
    assert [name for name, python in asks.items() if python and oldest not in SpecifierSet(python)] == []


def test_hooks_before_a_commit_run_what_make_test_runs() -> None:
    (repository,) = parsed(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local", "tools come from constraints.txt and not from a second list of versions"
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in repository["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert programs == {"ruff", "mypy", "lint-imports"}
    assert all(f"$(BIN)/{program}" in makefile for program in programs)


def test_types_of_tools_are_strict_and_no_test_is_left_out() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    strict = next(each["module"] for each in overrides if each.get("disallow_untyped_defs"))
    assert {path.stem for path in (ROOT / "tools").glob("*.py")} <= set(strict)
    assert not [each["module"] for each in overrides if each.get("ignore_errors")]


def test_one_address_stands_in_every_file() -> None:
    files = [ROOT / name for name in ("CITATION.cff", "SECURITY.md", "README.md", "mkdocs.yml", "pyproject.toml")]
    hosts = ("github.com/", "raw.githubusercontent.com/")
    ours = HOME.removeprefix("https://github.com/")
    for path in [*files, *GITHUB.rglob("*.yml"), *GITHUB.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for host, link in itertools.product(hosts, re.findall(r"https://([^\s)\"'>]+)", text)):
            if link.startswith(host):
                assert link.removeprefix(host).startswith(ours), f"{path.name}: {link}"


def test_the_citation_names_the_version_of_the_package() -> None:
    citation = parsed(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == HOME


def test_classifiers_exist_and_claim_no_system_that_was_not_tested() -> None:
    assert set(PROJECT["classifiers"]) <= known_classifiers
    systems = [line for line in PROJECT["classifiers"] if line.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]


def test_the_changelog_has_sections_of_known_kinds_and_a_section_for_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    kinds = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    assert any(line.startswith(__version__) for line in versions)
    assert all(re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ – (unreleased|\d{4}-\d\d-\d\d)", line) for line in versions)
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive and the wheel, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


def metadata_of(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode())


def test_the_readme_on_a_package_index_has_no_link_that_only_the_repository_resolves(
    archives: tuple[Path, Path],
) -> None:
    readme = metadata_of(archives[1]).get_payload()
    assert isinstance(readme, str)
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", readme)
    assert pictures
    assert all(link.startswith(("https://", "http://127.0.0.1", "#")) for link in links), links
    begin = f"{HOME.replace('github.com', 'raw.githubusercontent.com')}/v{__version__}/"
    for picture in pictures:
        assert picture.startswith(begin)
        assert (ROOT / picture.removeprefix(begin)).is_file(), picture


def test_the_wheel_holds_what_runs_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as archive:
        names = set(archive.namelist())
    tracked = subprocess.run(["git", "ls-files", "src/osoroi"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in names if ".dist-info/" not in name} == {
        path.removeprefix("src/") for path in tracked.stdout.split() if (ROOT / path).exists()
    }
    graph = path_of(Encoder.open().fingerprint).name
    assert {"osoroi/encoder/default.onnx", f"osoroi/encoder/graphs/{graph}", "osoroi/py.typed"} <= names


def test_the_source_archive_holds_what_a_build_needs(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"} <= members
    assert "src/osoroi/encoder/default.onnx" in members
    assert not [name for name in members if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_the_package_imports_with_an_onnx_runtime_that_has_fewer_kinds_of_errors() -> None:
    errors = "onnxruntime.capi.onnxruntime_pybind11_state"
    code = f"import {errors} as errors; del errors.ModelLoadCanceled; import osoroi.inference"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_uv_is_told_what_the_settings_of_pip_say_and_left_out_where_it_cannot_be() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "install.py"))
    listing = "global.index-url='https://a'\ninstall.find-links='/one\\n/two'\n:env:.index-url='https://b'\nglobal.timeout='9'"
    values = tool["settings"](listing + "\ndownload.no-index='true'")
    assert values == {"index-url": ["https://b"], "find-links": ["/one", "/two"], "timeout": ["9"]}
    assert tool["options"](values) == ["--default-index", "https://b", "--find-links", "/one", "--find-links", "/two"]
    assert tool["options"]({**values, "no-index": ["true"]}) is None, "uv would look at an index"
