"""The command line: one command per file; each parses its arguments, calls one function and prints.

Data goes to stdout and messages to stderr. Exit codes: 0 success, 1 an error, 2 wrong usage, 3 done but for what could
not be read, 130 interrupted.
"""

import difflib
import errno
import importlib
import sys
from typing import Any

import click

from osoroi import __version__
from osoroi.cli import text
from osoroi.errors import OsoroiError, outcome

COMMANDS = (
    "demo",
    "look",
    "add",
    "load",
    "sync",
    "remove",
    "find",
    "search",
    "serve",
    "keys",
    "info",
    "check",
    "doctor",
    "backup",
    "copy",
    "reencode",
    "embed",
    "train",
    "train-foreground",
    "export",
    "encoder",
    "calibrate",
    "evaluate",
    "compare",
    "report",
    "experiment",
    "audit",
    "download",
)
"""In the order a newcomer meets them. Each stands in the module of its name, `-` as `_`, as ``command``."""

MODULES = {"look": "inspect_table"}
"""Commands whose module has another name."""

LONGEST_LINE = 200
"""Letters of what the list of commands says of one, at most."""

OTHERWISE = {"most_removed": "--yes"}
"""Options that stand for a parameter of another name."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it: 128 + SIGINT."""


class Commands(click.Group):
    """Loads a command's module when it is used, and turns errors and Ctrl-C into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            if near:
                ctx.fail(f"no command {cmd_name!r}; did you mean {near[0]!r}?")
            return None
        module = MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        command: click.Command = importlib.import_module(f"osoroi.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every command with its whole first sentence."""
        commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
        rows = [(name, command.get_short_help_str(LONGEST_LINE)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except OsoroiError as error:
            text.warn_of(error, OTHERWISE | _options_of(self.get_command(ctx, ctx.invoked_subcommand or "")))
            sys.exit(outcome(error)[0])
        except MemoryError:
            text.warn("error: the memory that this process may use is full; allow it more, or use fewer threads")
            sys.exit(1)
        except KeyboardInterrupt:
            text.warn("interrupted")
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of a pipe left: click ends quietly
            where = f"{error.filename}: " if error.filename else ""
            text.warn(f"error: {where}{error.strerror or error}")
            sys.exit(1)


def _options_of(command: click.Command | None) -> dict[str, str]:
    """Parameter -> option, of a command and of those below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    found = {name: option for each in below for name, option in _options_of(each).items()}
    for parameter in command.params if command else ():
        if isinstance(parameter, click.Option):
            found |= {option.removeprefix("--").replace("-", "_"): option for option in parameter.opts}
    return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osoroi")
def main() -> None:
    """Find the product in a shop from a photo of someone wearing it.

    \b
    osoroi demo                          a small shop, drawn and searched
    osoroi add shop products.csv         your own products into the catalog `shop`
    osoroi search shop snap.jpg          what is she wearing?

    Exit codes: 0 done, 1 an error, 2 called wrongly, 3 done but for lines or photos that cannot be read, and 130
    interrupted.
    """
