"""Which library wrote the weights in a folder, and of which architecture they are."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from osoroi.errors import BadEncoder
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.translation import weights

PREFIXES: Final = ("visual.", "model.visual.")
"""Before the names of the image half in files of open_clip: its own, and within a class of a repository's own code."""


class WeightsLayout(NamedTuple):
    """Who wrote the weights, the prefix of their image half, and what is stated of the model."""

    library: Literal["open_clip", "timm", "transformers"]
    prefix: str = ""
    config: Mapping[str, Any] = {}

    @property
    def family(self) -> str:
        """The name of the architecture, as its library has it; empty for those of transformers."""
        if self.library == "timm":
            return str(self.config["architecture"])
        if self.library == "open_clip":
            vision = self.config.get("vision_cfg")
            return str((vision.get("timm_model_name") if isinstance(vision, dict) else "") or "open_clip ViT")
        return ""


def layout_of(folder: ModelFolder) -> WeightsLayout:
    """The layout of a folder's weights, by the names in the file and by its configuration. Raises BadEncoder."""
    path = folder.weights
    if path is None:
        raise BadEncoder(f"{folder.root} has no weights", hint="download its safetensors file")
    names = weights.names_in(path)
    prefix = next((prefix for prefix in PREFIXES if any(name.startswith(prefix) for name in names)), None)
    stated = folder.json("open_clip_config.json").get("model_cfg")
    if prefix is not None and isinstance(stated, dict):
        return WeightsLayout("open_clip", prefix, stated)
    if path.name.startswith("open_clip"):
        if prefix is not None:
            raise BadEncoder(
                f"nothing beside {path} says of which architecture it is", hint="add its open_clip_config.json"
            )
        raise BadEncoder(
            f"{path} has no image half: no name in it begins with {PREFIXES[0]} ({weights.listed(names)})",
            hint="download the whole model",
        )
    if "model_type" not in folder.config and isinstance(folder.config.get("architecture"), str):
        return WeightsLayout("timm", "", folder.config)
    return WeightsLayout("transformers")
