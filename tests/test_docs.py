"""Documentation is run: help pages, README commands, the list of readers and of public names."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from osoroi.cli import COMMANDS, main
from osoroi.readers import READERS

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
def test_the_example_in_a_help_page_is_a_call_the_command_accepts(name: str) -> None:
    """Parsed, not run: files need not be there."""
    import shlex

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
