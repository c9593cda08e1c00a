"""Write the generated pages: docs/cli.md from the commands, docs/api.md from the service where it is installed.

With --check nothing is written, and a page that is out of date ends with exit code 1.
"""

import sys
from pathlib import Path

import api_page
import click

from osoroi.cli import COMMANDS, main

DOCS = Path(__file__).parents[1] / "docs"


def cli_page() -> str:
    """Every help page, as the terminal prints it at 100 columns."""
    pages = ["# The command line", "", "Written by `make docs` from the commands themselves.", ""]
    top = click.Context(main, info_name="osoroi", terminal_width=100, max_content_width=100)
    for name in COMMANDS:
        command = main.get_command(top, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top, terminal_width=100, max_content_width=100)
        pages += [f"## osoroi {name}", "", "```", command.get_help(context), "```", ""]
    return "\n".join(pages)


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
    pages = {"cli.md": cli_page(), "api.md": api_page.page(api_page.document())}
    settled = [settle(DOCS / name, text, check="--check" in sys.argv) for name, text in pages.items()]
    sys.exit(0 if all(settled) else 1)
