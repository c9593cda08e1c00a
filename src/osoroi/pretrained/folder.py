"""What lies in a folder that somebody downloaded or exported: the model, and the files that say how to use it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.errors import BadRequest

IMAGE_GRAPHS: Final = (
    "onnx/vision_model", "visual/model", "vision_model", "visual", "onnx/visual", "image_encoder",
    "onnx/model", "model",
)  # fmt: skip
"""Names of ONNX files without their ending, a model of images alone before one that reads text, too."""

VARIANTS: Final = ("", "_fp16", "_optimized", "_quantized", "_int8", "_uint8", "_q4f16", "_q4", "_bnb4")
"""Endings that exporters give to the same model in other precisions, the most exact first."""

WEIGHTS: Final = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Weights without a graph, which is exported from them."""

OWN_CODE: Final = ("auto_map", "open_clip_model_name")
"""Fields of `config.json` by which `model.safetensors` is read by code of its repository, which is not run."""

MODELS: Final = (".onnx", ".safetensors")
"""Endings of the files of models."""

TEXT_GRAPHS: Final = ("onnx/text_model.onnx", "textual/model.onnx", "text_model.onnx")

SETTINGS_FILE: Final = "osoroi.toml"
"""What people write or edit; it goes before all other files."""

LARGEST_JSON: Final = 2**24


@dataclass(frozen=True)
class ModelFolder:
    """A folder, or one ONNX file, and which of its files is the model."""

    root: Path
    model: Path

    @property
    def is_graph(self) -> bool:
        """Whether the model is an ONNX file; otherwise it is weights."""
        return self.model.suffix == ".onnx"

    @cached_property
    def weights(self) -> Path | None:
        """The safetensors file with the weights; beside a graph, too."""
        return _weights(self) if self.is_graph else self.model

    @property
    def places(self) -> tuple[Path, ...]:
        """Where files about the model are searched: beside it, then in the folder itself."""
        return tuple(dict.fromkeys((self.model.parent, self.root)))

    def path(self, name: str) -> Path | None:
        """The first file of a name."""
        return next((place / name for place in self.places if (place / name).is_file()), None)

    def json(self, name: str) -> Mapping[str, Any]:
        """The content of a JSON file without its nulls; empty where there is no such file. Raises BadRequest."""
        path = self.path(name)
        if path is None:
            return {}
        try:
            if path.stat().st_size > LARGEST_JSON:
                raise ValueError("too large")
            content = files.from_json(files.content(path))
        except (OSError, ValueError) as error:
            raise BadRequest(f"{path} cannot be read as JSON ({error})", hint="download it again") from error
        if not isinstance(content, dict):
            raise BadRequest(f"{path} holds {type(content).__name__}, not settings by name", hint="download it again")
        return {name: value for name, value in content.items() if value is not None}

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """`config.json`."""
        return self.json("config.json")

    @property
    def model_type(self) -> str:
        """The family that `config.json` names, or an empty text."""
        vision = self.config.get("vision_config")
        inner = vision.get("model_type", "") if isinstance(vision, dict) else ""
        return str(self.config.get("model_type") or inner or self.config.get("architecture") or "")

    @property
    def files(self) -> list[Path]:
        """The model's file and those that hold its tensors, in order of their names."""
        beside = self.model.parent.glob(f"{self.model.name}*") if self.is_graph else []
        stem = self.model.parent.glob(f"{self.model.stem}.data") if self.is_graph else []
        return sorted({self.model, *(path for path in (*beside, *stem) if path.is_file())})

    @property
    def sha256(self) -> str:
        """The checksum of the model's files, one after the other in hexadecimal."""
        digest = hashlib.sha256()
        for path in self.files:
            with files.open_foreign(path) as file:
                while block := file.read(2**22):
                    digest.update(block)
        return digest.hexdigest()


def open_folder(path: Path, file: str | None = None) -> ModelFolder:
    """The folder at a path, or the folder of an ONNX file; ``file`` names the model in it where there are several.

    Raises BadRequest where there is no model, or no single one.
    """
    if path.is_file():
        if file is not None:
            raise BadRequest(
                f"{path} is a file, so there is no {file} in it", hint="give its folder, or leave `file` out"
            )
        require_model(path)
        return ModelFolder(path.parent, path)
    if not path.is_dir():
        raise BadRequest(f"there is no folder {path}", hint="give the folder of a model, or an ONNX file")
    if file is not None:
        if not (path / file).is_file():
            raise BadRequest(f"there is no {file} in {path}", hint=f"there are {_listed(path)}")
        require_model(path / file)
        return ModelFolder(path, path / file)
    model = _best(path)
    if model is None:
        if (weights := path / "best.safetensors").is_file() and (path / "last.safetensors").is_file():
            raise BadRequest(f"{path} is a run of osoroi train", hint=f"to begin with its backbone, name {weights}")
        raise BadRequest(
            f"there is no model in {path}",
            hint=f"expected are {IMAGE_GRAPHS[0]}.onnx, {IMAGE_GRAPHS[1]}.onnx, model.onnx, "
            f"{' or '.join(WEIGHTS[:2])}; or name the `file` ({_listed(path)})",
        )
    return ModelFolder(path, model)


def require_model(path: Path) -> None:
    """Raise BadRequest for a file whose name is none of a model."""
    if path.suffix not in MODELS:
        raise BadRequest(
            f"{path} is no model", hint=f"give the folder of a model, or a file that ends in {' or '.join(MODELS)}"
        )


def _best(path: Path) -> Path | None:
    """The model of images alone, in the most exact precision; weights where there is no graph."""
    for stem in IMAGE_GRAPHS:
        for variant in VARIANTS:
            if (path / f"{stem}{variant}.onnx").is_file():
                return path / f"{stem}{variant}.onnx"
    graphs = [graph for graph in sorted(path.rglob("*.onnx")) if "text" not in graph.name]
    if len(graphs) == 1:
        return graphs[0]
    return _weights(ModelFolder(path, path / WEIGHTS[0]))


def _weights(folder: ModelFolder) -> Path | None:
    """The weights of a folder: those of transformers first, unless only code of the repository would read them."""
    names = [name for name in WEIGHTS if (folder.root / name).is_file()]
    if len(names) > 1 and any(field in folder.config for field in OWN_CODE):
        names = names[1:]
    return folder.root / names[0] if names else None


def _listed(path: Path) -> str:
    files = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    return ", ".join(files[:8]) + (" …" if len(files) > 8 else "") or "no files"
