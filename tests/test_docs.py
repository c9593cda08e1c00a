"""Documentation is run: help pages, README commands, the list of readers and of public names."""

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import osoroi
from osoroi.catalog.filters import limits
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import COMMANDS, main
from osoroi.data.readers import READERS
from shop import serving

ROOT = Path(__file__).parents[1]


def command_named(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    command = command_named(name)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert command.help
    assert all(option.help for option in options), [option.name for option in options if not option.help]
    assert f"osoroi {name}" in command.help, "the help holds an example"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_in_a_help_page_is_a_call_the_command_accepts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed, not run: files need not be there, but for that of keys."""
    monkeypatch.chdir(tmp_path)
    Path("keys.toml").touch()
    command = command_named(name)
    examples = [line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("osoroi ")]
    for example in examples:
        words = shlex.split(example.split("  ")[0])[2:]
        command.make_context(name, words, resilient_parsing=False).close()


def test_the_help_pages_in_docs_are_those_of_the_commands() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("words", [[], ["add"], ["keys"], ["keys", "new"]])
def test_the_page_of_commands_prints_what_the_terminal_prints(words: list[str]) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "osoroi", *words, "--help"]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "100", "PYTHONUTF8": "1"}
    )
    options = run.stdout.partition("Options:")[2].partition("\n\n")[0]
    usage = run.stdout.partition("Usage: ")[2].splitlines()[0].removeprefix("python -m ")
    below = page.partition(f"Usage: {usage}\n")[2].partition("```")[0]
    assert below.partition("Options:")[2].split("\n\n")[0].split() == options.split()


def test_every_reader_is_documented() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    missing = [name for name in READERS if f"`{name}:" not in pages and f"`{name}`" not in pages]
    assert not missing


def test_links_between_our_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not broken


def test_the_tour_names_lines_that_search_and_training_really_have() -> None:
    """Every python line the tour quotes stands in the file it names."""
    tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    quotes = re.findall(r"```python\n# (src/\S+)\n(.*?)```", tour, flags=re.DOTALL)
    assert quotes
    for path, body in quotes:
        source = [line.strip() for line in (ROOT / path).read_text(encoding="utf-8").splitlines()]
        for line in body.splitlines():
            assert not line.strip() or line.strip() in source, f"{path} has no line {line.strip()!r}"


def test_the_tour_enters_as_few_files_as_it_says() -> None:
    head, *paths = re.split("^## ", (ROOT / "docs" / "tour.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    entered = [set(re.findall(r"\*\*`([\w/]+\.py)`\*\*", path)) for path in paths[:5]]
    assert not [name for name in set().union(*entered) if not (ROOT / "src" / "osoroi" / name).is_file()]
    said = [int(number) for number in re.findall(r"\d+", head.partition("those that you enter:")[2])]
    assert said == list(map(len, entered))
    assert said[0] + said[1] < 15
    assert said[3] < 16


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `osoroi demo` writes and prints, run once in an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    osoroi = Path(sys.executable).with_name("osoroi")
    run = subprocess.run([osoroi, "demo"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def words_of(line: str) -> list[str | float]:
    """The words of a line, scores as numbers."""
    return [float(word) if re.fullmatch(r"-?\d\.\d{3}", word) else word for word in line.split()]


def near(words: list[str | float]) -> list[object]:
    """The same words; scores near enough will do, since the last digit is the processor's."""
    return [pytest.approx(word, abs=0.02) if isinstance(word, float) else word for word in words]


def test_the_readme_shows_what_the_demo_prints(demo: tuple[Path, str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    printed = demo[1].splitlines()
    begin = next(at for at, line in enumerate(printed) if line.startswith("demo/street"))
    for quoted, line in zip(shown.splitlines(), printed[begin:], strict=False):
        assert words_of(line) == near(words_of(quoted)), "run `osoroi demo` and put its first answer into the README"


def test_the_demo_writes_its_picture_and_names_commands_that_work(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    assert (folder / "demo" / "results.png").stat().st_size > 50_000
    (ask,) = re.findall(r"search it yourself: +(\S*osoroi search .*)", printed)
    words = shlex.split(ask)
    words[0] = str(Path(sys.executable).with_name("osoroi"))
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 11, "a head and ten products"
    assert re.search(r"open the page: +\S*osoroi serve demo/shop, then http://127.0.0.1:8008/", printed)


def test_the_readmes_python_runs_on_the_demo(demo: tuple[Path, str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    run = subprocess.run([sys.executable, "-c", code], cwd=demo[0], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 5


PYTHON_PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


def run_code(code: str, folder: Path) -> str:
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_python_page_runs_on_the_demo(demo: tuple[Path, str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PYTHON_PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    encoder = osoroi.Encoder.open()
    with LocalCatalog.open(demo[0] / "demo/shop") as catalog, serving(encoder, catalog) as address:
        code = "\n".join(blocks).replace("http://127.0.0.1:8008", address)
        printed = run_code(code, demo[0]).splitlines()
    assert printed[0].startswith("p00000"), "the demo's first photo shows its first product"
    assert printed[-1] == "there is no photo at nowhere.jpg -> check the path"


def test_the_call_that_the_python_page_only_shows_is_one_that_training_accepts() -> None:
    (code,) = re.findall(r"```py\n(.*?)```", PYTHON_PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    call = next(node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    names = [keyword.arg for keyword in call.keywords if keyword.arg]
    inspect.signature(osoroi.train).bind(*call.args, **dict.fromkeys(names))
    assert ast.unparse(call.func) == "osoroi.train"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code"), "stored without outputs"
    assert len(run_code("\n".join(code), tmp_path).splitlines()) == 3


def test_the_python_page_and_the_notebook_use_the_public_api_alone() -> None:
    text = PYTHON_PAGE.read_text(encoding="utf-8") + NOTEBOOK.read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)(?:^|\")(?:import|from) ([\w.]+)", text)) == {"osoroi"}
    assert set(re.findall(r"\bosoroi\.([a-z]\w*)\(", text)) <= set(osoroi.__all__)


def test_every_command_line_in_the_readme_is_one_the_commands_accept() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("$ ") for line in readme.splitlines() if line.startswith("$ osoroi ")]
    assert len(lines) >= 4
    for line in lines:
        name, *words = shlex.split(line.partition(" | ")[0])[1:]
        command_named(name).make_context(name, words).close()


def test_the_recipes_of_tables_and_the_limits_of_filters_are_documented_as_they_are() -> None:
    shipped = sorted(path.stem for path in (ROOT / "src/osoroi/data/readers/recipes").glob("*.toml"))
    page = (ROOT / "docs/datasets/table.md").read_text("utf-8")
    assert [name for name in shipped if f"| `{name}` |" not in page] == []
    said = (ROOT / "docs/filters.md").read_text("utf-8")
    wanted = (
        f"{limits.LENGTH:,} characters, {limits.VALUES:,} values, {limits.CONDITIONS} conditions, "
        f"of which {limits.LONG_CONDITIONS} on"
    )
    assert wanted in said


def test_the_tests_that_docs_testing_names_are_there() -> None:
    """Rows are `file`: sentences, each the name of a function or its beginning."""
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    table = text[text.index("## Hostile input") : text.index("## PostgreSQL")]
    named = re.findall(r"`(test_\w+\.py)`: ([^|`]+?)(?=; `test_| \|)", table)
    assert len(named) > 35
    for file, sentences in named:
        functions = re.findall(r"^def test_(\w+)", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE)
        for sentence in sentences.split("; "):
            assert sentence.replace(" ", "_") in functions, f"{file} has no test {sentence!r}"


def test_every_benchmark_stands_on_the_page_of_benchmarks() -> None:
    page = (ROOT / "docs" / "benchmarks" / "README.md").read_text(encoding="utf-8")
    scripts = [path.name for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text("utf-8")]
    assert len(scripts) > 20
    assert not [name for name in scripts if f"`{name}`" not in page]
