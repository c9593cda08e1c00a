"""Installs the package with all that its tests need: `.venv/bin/python tools/install.py .venv '.[test]'`.

By uv, which takes a sixth of the processor time of pip; where uv cannot be had, or would not do what this machine's
settings of pip say, by pip.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "constraint": "--constraint",
    "trusted-host": "--allow-insecure-host",
}
"""Settings of pip that say what is installed from where, and the options of uv that say the same."""

HARMLESS = frozenset(
    [
        "cache-dir",
        "cert",
        "default-timeout",
        "disable-pip-version-check",
        "no-cache-dir",
        "no-color",
        "no-input",
        "progress-bar",
        "quiet",
        "require-virtualenv",
        "retries",
        "root-user-action",
        "timeout",
        "verbose",
    ]
)
"""Settings of pip that do not change what is installed; uv takes certificates from ``SSL_CERT_FILE``."""

SOURCES = ("global", "install", ":env:")
"""Where settings of ``pip install`` stand, the strongest last."""


def settings(listing: str) -> dict[str, list[str]]:
    r"""The values of each setting in the output of ``pip config list``.

    >>> settings("global.index-url='https://a'\nglobal.find-links='/one\\n/two'\n:env:.index-url='https://b'")
    {'index-url': ['https://b'], 'find-links': ['/one', '/two']}
    >>> settings("download.index-url='https://a'")
    {}
    """
    lines = [line.partition("=") for line in listing.splitlines() if "=" in line]
    values = {}
    for source in SOURCES:
        for name, _, value in lines:
            if name.startswith(f"{source}."):
                values[name.removeprefix(f"{source}.")] = str(ast.literal_eval(value)).split()
    return values


def options(values: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Options of uv that mean what settings of pip mean; None where uv has none for one of them.

    >>> options({"extra-index-url": ["https://a", "https://b"], "timeout": ["9"]})
    ['--index', 'https://a', '--index', 'https://b']
    >>> options({"no-index": ["true"]})
    """
    if not set(values) <= OPTIONS.keys() | HARMLESS:
        return None
    return [word for name, option in OPTIONS.items() for value in values.get(name, []) for word in (option, value)]


def by_uv(environment: Path, words: Sequence[str]) -> bool:
    """Install by uv; False where that cannot be."""
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True).stdout
    chosen = options(settings(listing))
    if chosen is None:
        return False
    uv = shutil.which("uv") or str(environment / "bin" / "uv")
    if not Path(uv).exists():
        subprocess.run([*pip, "install", "--quiet", "--constraint", "constraints.txt", "uv"], check=False)
    if not Path(uv).exists():
        return False
    # as pip does, the newest version of all indexes, and not that of the first index which knows the package
    command = [uv, "pip", "install", "--quiet", "--python", str(python), "--index-strategy", "unsafe-best-match"]
    return subprocess.run([*command, *chosen, *words], check=False).returncode == 0


def main() -> int:
    environment, requirement = sys.argv[1:]
    words = ["--constraint", "constraints.txt", "--editable", requirement]
    if os.name == "posix" and by_uv(Path(environment), words):
        return 0
    print("uv could not install it here; pip does", file=sys.stderr)
    pip = [str(Path(environment) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    return subprocess.run([*pip, "install", "--quiet", "--no-compile", *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
