"""The tensors of a safetensors file, and what is wrong with a file that is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.errors import BadEncoder, extra
from osoroi.pretrained.refusals import refused

POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""How the small text begins that Git LFS leaves in place of a file that it did not fetch."""


def names_in(path: Path) -> list[str]:
    """The names of all tensors. Raises BadEncoder for what is no whole safetensors file."""
    with opened(path) as file:
        return list(file.keys())


def read(path: Path, prefix: str, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tensors below a prefix, in single precision, by the rest of their names; counters stay whole numbers.

    Raises BadEncoder for weights that are no finite numbers, except where their names begin as ``beside`` says.
    """
    with opened(path) as file, refused(path, "cannot be read", "download it again"):
        names = [name for name in list(file.keys()) if name.startswith(prefix)]
        raw = {name: file.get_tensor(name) for name in names}
    tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in raw.items()}
    for name, tensor in tensors.items():
        if not name.startswith(beside):
            _require_numbers(path, name, tensor)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


COUNTERS: Final = ("num_batches_tracked", "ids", "index", "idxs", "mask")
"""How names end of tensors that are whole numbers by their nature."""


def _require_numbers(path: Path, name: str, tensor: Any) -> None:
    """Raise BadEncoder for a tensor of whole or complex numbers, and for one with NaN or infinity."""
    if not tensor.is_floating_point():
        if name.endswith(COUNTERS):
            return
        what, hint = (
            f"numbers of the type {str(tensor.dtype).removeprefix('torch.')}",
            "give weights in float32 or half",
        )
    elif not bool(tensor.isfinite().all()):
        what, hint = "numbers that are not finite (NaN or infinity)", "download it again, or give weights in float32"
    else:
        return
    raise BadEncoder(f"{path} has {what} in {name}", hint=hint)


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
