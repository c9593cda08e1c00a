"""``osoroi keys``: the file of keys that a service accepts."""

from datetime import UTC, datetime
from pathlib import Path

import click

from osoroi.cli import options, text
from osoroi.errors import NotFound
from osoroi.server import keyring
from osoroi.server.keys import RIGHTS, Key, Right

DAY_S = 86400.0

file = click.argument("file", type=options.Target())
days = click.FloatRange(0, 36500)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make, list, replace and remove the keys of `osoroi serve --keys`. The file holds hashes, never a key.

    \b
    osoroi keys new keys.toml widget --rights search
    osoroi keys rotate keys.toml widget --days 7
    """


@command.command("new")
@file
@click.argument("name")
@click.option(
    "--rights",
    type=click.Choice(RIGHTS),
    multiple=True,
    default=("search",),
    show_default=True,
    help="What the key opens; several times for several. `write` opens searching too.",
)
@click.option("--days", type=days, help="Days until the key expires; without it, it never does.")
def new(file: Path, name: str, rights: tuple[Right, ...], days: float | None) -> None:
    """Add a new key called NAME to FILE, and print it. It is printed this once.

    \b
    osoroi keys new keys.toml prometheus --rights metrics
    """
    secret, key = keyring.create(name, tuple(dict.fromkeys(rights)), days=days)
    with keyring.changing(file):
        keys = [*(keyring.read(file, most=None) if file.exists() else ()), key]
        keyring.require_room(file, keys)
        keyring.write(file, keys)
    text.show(secret)
    same = sum(other.name == name for other in keys)
    if same > 1:
        text.warn(f"there are {same} keys called {name} now; to replace one: osoroi keys rotate {file} {name}")


@command.command("rotate")
@file
@click.argument("name")
@click.option("--days", type=days, default=7.0, show_default=True, help="Days for which the old key works too.")
def rotate(file: Path, name: str, days: float) -> None:
    """Print a new key called NAME with the rights of the old one, which works on for some days.

    \b
    osoroi keys rotate keys.toml widget --days 7
    """
    with keyring.changing(file):
        secret, keys = keyring.rotated(keyring.read(file, most=None), name, days=days)
        keyring.require_room(file, keys)
        keyring.write(file, keys)
    text.show(secret)


@command.command("remove")
@file
@click.argument("name")
@click.option("--expired", is_flag=True, help="Only those of this name that have expired.")
def remove(file: Path, name: str, expired: bool) -> None:
    """Remove the keys called NAME from FILE.

    \b
    osoroi keys remove keys.toml widget
    """
    now_s = datetime.now(UTC).timestamp()
    with keyring.changing(file):
        keys = keyring.read(file, most=None)
        rest = [key for key in keys if key.name != name or (expired and key.is_valid(now_s))]
        if len(rest) == len(keys):
            raise NotFound(f"{file} holds no such key {name!r}", hint=f"list them with: osoroi keys list {file}")
        keyring.write(file, rest)
    text.warn(f"removed {len(keys) - len(rest)}; the service notices on SIGHUP")


@command.command("list")
@file
@options.as_json
def show(file: Path, as_json: bool) -> None:
    """List the keys of FILE: names, rights and dates; the first letters of the hash tell two of one name apart.

    \b
    osoroi keys list keys.toml
    """
    keys = keyring.read(file, most=None)
    rows = [(key.name, "+".join(key.rights), _date(key.created_s), _end(key), key.sha256[:8]) for key in keys]
    if as_json:
        names = ("name", "rights", "created", "expires", "sha256")
        text.show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        text.show(text.aligned([("name", "rights", "created", "expires", "sha256"), *rows]))


def _end(key: Key) -> str:
    if key.expires_s is None:
        return "never"
    return _date(key.expires_s) + ("" if key.is_valid(datetime.now(UTC).timestamp()) else " (expired)")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
