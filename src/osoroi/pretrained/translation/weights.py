"""The tensors of a safetensors file, and what is wrong with a file that is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.errors import BadEncoder, extra

POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""How the small text begins that Git LFS leaves in place of a file that it did not fetch."""


def names_in(path: Path) -> list[str]:
    """The names of all tensors. Raises BadEncoder for what is no whole safetensors file."""
    with opened(path) as file:
        return list(file.keys())


def read(path: Path, prefix: str) -> dict[str, Any]:
    """The tensors below a prefix, in single precision, by the rest of their names."""
    with opened(path) as file:
        names = [name for name in list(file.keys()) if name.startswith(prefix)]
        return {name.removeprefix(prefix): file.get_tensor(name).float() for name in names}


def opened(path: Path) -> Any:
    """A safetensors file, open for reading. Raises BadEncoder, and MissingExtra without the package or torch."""
    safetensors = extra("safetensors", "train")
    extra("torch", "train")
    try:
        with files.open_foreign(path) as file:
            begin = file.read(len(POINTER))
        if begin == POINTER:
            raise BadEncoder(
                f"{path} is a pointer of Git LFS, not the weights themselves",
                hint="run `git lfs pull` in its folder, or download that file by itself",
            )
        return safetensors.safe_open(path, framework="pt")
    except (OSError, safetensors.SafetensorError) as error:
        raise BadEncoder(
            f"{path} is no whole safetensors file ({error})", hint="it may have been cut short: download it again"
        ) from error


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    >>> listed(["b", "a"]), listed(list("abcdefg"))
    ('a, b', 'a, b, c, d and 3 more')
    """
    ordered = sorted(names)
    return ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")
