"""A run that resumes: weights, optimiser, random states and recipe in one safetensors file, written whole or not
at all.

Tensors stand under their names; all else is JSON in the file's metadata. Reading it runs no code of the file's.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from osoroi import files
from osoroi.errors import BadRun, extra
from osoroi.recipe import Recipe

ENTRY: Final = "osoroi"
FORMAT: Final = 1

MODEL, OPTIMIZER, RANDOM = "model.", "optimizer.", "random."
"""What the names of tensors begin with."""


class Checkpoint(NamedTuple):
    """Tensors by name, and a JSON object of everything that is none."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def recipe_of(stored: Mapping[str, Any] | str) -> Recipe:
    """The recipe that JSON holds, or the text that earlier checkpoints have in its place; a setting that it lacks,
    because it came later, has its default.

    Raises TypeError for a setting that no recipe has, and ValueError for a text that is none of a recipe.

    >>> recipe_of({"name": "quick", "weights": [["deep", 0.4], ["detail", 0.6]]}).weights
    (('deep', 0.4), ('detail', 0.6))
    >>> recipe_of("Recipe(dim=64, name='quick')") == Recipe(dim=64, name="quick")
    True
    """
    given = _settings_of(stored) if isinstance(stored, str) else stored
    settings: dict[str, Any] = {
        name: tuple(map(tuple, one)) if isinstance(one, list) else one for name, one in given.items()
    }
    return Recipe(**settings)


def _settings_of(text: str) -> dict[str, Any]:
    """The settings in a recipe's ``repr``: literals alone, so that no text runs code. Raises ValueError."""
    try:
        match ast.parse(text, mode="eval").body:
            case ast.Call(func=ast.Name(id="Recipe"), args=[], keywords=keywords):
                return {str(one.arg): ast.literal_eval(one.value) for one in keywords}
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:  # by texts that Python cannot take
        raise ValueError(f"no recipe ({error})") from error
    raise ValueError("no recipe")


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step: a reader finds the old one or the new one, never half of it. Raises BadRun."""
    metadata = {ENTRY: json.dumps({"format": FORMAT} | checkpoint.state)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    with room_for(path):
        files.write_atomically(path, _safetensors().save(tensors, metadata=metadata))


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raise BadRun where a file of a run cannot be written, with its name, which NumPy's errors lack."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise BadRun(f"{path} cannot be written ({reason})", hint="make room, or give another `out`") from error


def read(path: Path) -> Checkpoint:
    """What ``write`` wrote; raises BadRun for a file that is missing, damaged, or something else."""
    if not path.is_file():
        raise BadRun(f"no checkpoint at {path}", hint="give the folder of a run, the `out` of its training")
    module = extra("safetensors", "train")
    try:
        with module.safe_open(path, framework="pt") as file:
            stored = (file.metadata() or {}).get(ENTRY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except module.SafetensorError as error:
        raise BadRun(f"{path} is no checkpoint, or damaged ({error})", hint="start the run anew") from error
    if stored is None:
        raise BadRun(f"{path} holds tensors, but is no checkpoint of a run", hint="give what `osoroi train` wrote")
    try:
        state = dict(files.from_json(stored))
        written = state.pop("format")
    except (ValueError, TypeError, KeyError) as error:
        raise BadRun(f"{path} is no checkpoint, or damaged ({error!r})", hint="start the run anew") from error
    if written != FORMAT:
        raise BadRun(f"{path} is of another format than {FORMAT}", hint="use the osoroi that wrote it, or start anew")
    return Checkpoint(tensors, state)


def pack(model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of a model, its optimiser and torch's random states."""
    optimizer_state = optimizer.state_dict()
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    for number, values in optimizer_state["state"].items():
        tensors |= {f"{OPTIMIZER}{number}.{name}": value for name, value in values.items()}
    tensors[RANDOM + "cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[RANDOM + "cuda"] = torch.cuda.get_rng_state()
    return Checkpoint(tensors, dict(state) | {"groups": optimizer_state["param_groups"]})


def unpack(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Set model, optimiser and random states to those of the checkpoint.

    Raises BadRun where it is of another network, and KeyError, TypeError, ValueError or RuntimeError where it lacks the
    rest.
    """
    fill(model, checkpoint)
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in checkpoint.tensors.items():
        if name.startswith(OPTIMIZER):
            number, _, what = name.removeprefix(OPTIMIZER).partition(".")
            states.setdefault(int(number), {})[what] = value
    optimizer.load_state_dict({"state": states, "param_groups": checkpoint.state["groups"]})
    torch.set_rng_state(checkpoint.tensors[RANDOM + "cpu"])
    if torch.cuda.is_available() and RANDOM + "cuda" in checkpoint.tensors:
        torch.cuda.set_rng_state(checkpoint.tensors[RANDOM + "cuda"])


def fill(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Set a model's tensors to those of the checkpoint; raises BadRun where it is of another network."""
    model.load_state_dict(_fitting(weights(checkpoint), model))


def weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The model's tensors, under its own names."""
    return {name.removeprefix(MODEL): one for name, one in checkpoint.tensors.items() if name.startswith(MODEL)}


def _fitting(tensors: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    if {name: value.shape for name, value in tensors.items()} != wanted:
        strange = sorted({name for name in {*wanted, *tensors} if name not in tensors or name not in wanted})
        raise BadRun(
            f"the checkpoint is of another network (first difference: {strange[0] if strange else 'a shape'})",
            hint="use the recipe that the run began with",
        )
    return tensors


def _safetensors() -> ModuleType:
    return extra("safetensors.torch", "train")
