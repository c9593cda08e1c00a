"""The command line: one command per file, each parses, calls and prints.

Data goes to stdout and talk to stderr; exit code 0 is success, 1 an error of ours, 2 a wrong call.
"""

import importlib
import sys
from typing import Any

import click

from osoroi import __version__
from osoroi.errors import OsoroiError, outcome

COMMANDS = (
    "demo",
    "add",
    "remove",
    "find",
    "search",
    "serve",
    "info",
    "check",
    "backup",
    "reencode",
    "embed",
    "train",
    "export",
    "evaluate",
    "compare",
    "report",
    "audit",
    "download",
)
"""In the order a newcomer meets them. Each stands in the module of its name, as ``command``."""


class Commands(click.Group):
    """Loads a command's module when it is asked for, and turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"osoroi.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OsoroiError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(outcome(error)[0])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osoroi")
def main() -> None:
    """Find the product in a shop from a photo of someone wearing it.

    \b
    osoroi demo                          a small shop, drawn and searched
    osoroi add shop table:products.csv   your own products into the catalog `shop`
    osoroi search shop snap.jpg          what is she wearing?
    """
