"""Write the generated pages: docs/cli.md from the commands, docs/recipes.md from the recipes, docs/api.md from the
service.

With --check nothing is written, and a page that is out of date ends with exit code 1.
"""

import inspect
import re
import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import api_page
import click

from osoroi.cli import COMMANDS, main
from osoroi.recipe import RANGES, DataSettings, ModelSettings, OptimizerSettings, Recipe
from osoroi.recipes import NAMED

DOCS = Path(__file__).parents[1] / "docs"


def cli_page() -> str:
    """Every help page, as the terminal prints it at 100 columns."""
    pages = ["# The command line", "", "Written by `make docs` from the commands themselves.", ""]
    top = context_of(main, "osoroi")
    pages += ["```", main.get_help(top), "```", ""]
    for name in COMMANDS:
        command = main.get_command(top, name)
        assert command is not None
        context = context_of(command, name, top)
        pages += [f"## osoroi {name}", "", "```", command.get_help(context), "```", ""]
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                one = command.get_command(context, inner)
                assert one is not None
                text = one.get_help(context_of(one, inner, context))
                pages += [f"### osoroi {name} {inner}", "", "```", text, "```", ""]
    return "\n".join(pages)


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """The context of a command, with its own settings, in a terminal of 100 columns."""
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    return click.Context(command, info_name=name, parent=parent, **settings)


def recipes_page() -> str:
    """Every named recipe by what it sets, then every setting with its default and what it is."""
    settings = [one for one in fields(Recipe) if one.name not in ("name", "cost", "result")]
    page = [
        "# Recipes",
        "",
        "Written by `make docs` from `recipe.py` and `recipes.py`. `osoroi train … --recipe NAME --set KEY=VALUE`.",
        "",
    ]
    page += ["| recipe | sets | cost | result |", "|---|---|---|---|"]
    for recipe in NAMED.values():
        changes = ", ".join(
            f"`{one.name}={written(getattr(recipe, one.name))}`" for one in settings if differs(recipe, one)
        )
        page.append(f"| `{recipe.name}` | {changes or 'every default'} | {recipe.cost} | {recipe.result} |")
    for kind in (ModelSettings, DataSettings, OptimizerSettings):
        page += ["", f"## {kind.__name__}", "", str(kind.__doc__), ""]
        page += ["| setting | default | range | what it is |", "|---|---|---|---|"]
        source = inspect.getsource(kind)
        for one in fields(kind):
            doc = re.search(rf'^    {one.name}: [^\n]*\n    """(.*?)"""', source, flags=re.MULTILINE | re.DOTALL)
            within = f"`{RANGES[one.name]}`" if one.name in RANGES else ""
            about = " ".join(doc[1].split()) if doc else ""
            page.append(f"| `{one.name}` | `{one.default!r}` | {within} | {about} |")
    return "\n".join([*page, ""])


def written(value: object) -> str:
    """A setting's value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(f"{name}:{weight:g}" for name, weight in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def differs(recipe: Recipe, setting: Field[Any]) -> bool:
    """Whether a recipe sets this otherwise than the default."""
    return bool(getattr(recipe, setting.name) != setting.default)


def settle(path: Path, text: str, *, check: bool) -> bool:
    """Write the page, or say whether it is up to date."""
    if check:
        same = path.exists() and path.read_text(encoding="utf-8") == text
        if not same:
            print(f"docs/{path.name} is out of date: run make docs")
        return same
    path.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    pages = {"cli.md": cli_page(), "recipes.md": recipes_page(), "api.md": api_page.page(api_page.document())}
    settled = [settle(DOCS / name, text, check="--check" in sys.argv) for name, text in pages.items()]
    sys.exit(0 if all(settled) else 1)
