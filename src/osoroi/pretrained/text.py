"""The text half of a folder: its graph, its tokenizer, and how long its inputs are."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.encoder.text_tower import TextFacts, TextTower, beside, pack
from osoroi.errors import BadEncoder
from osoroi.pretrained import model
from osoroi.pretrained.folder import VARIANTS, ModelFolder

GRAPHS: Final = ("onnx/text_model", "textual/model", "text_model", "textual")
"""Names of text graphs without their ending."""

VECTORS: Final = ("text_embeds", "text_embeddings", "embedding", "text_features", "l2norm_text_embeddings",
                  "pooler_output")  # fmt: skip
"""Names of outputs that are one vector a text, in the order in which they are preferred."""

IDS: Final = ("input_ids", "text", "tokens")
"""Names of the input that takes tokens."""

PADDED: Final = ("siglip", "siglip2", "siglip_text_model")
"""Families whose text is always of the full length: their last token decides."""

LONGEST: Final = 77


def find(folder: ModelFolder) -> tuple[Path, Path] | None:
    """The text graph and the tokenizer of a folder; None where one of them is not there."""
    names = (folder.root / f"{stem}{variant}.onnx" for stem in GRAPHS for variant in VARIANTS)
    graph = next((path for path in names if path.is_file()), None)
    if graph is None:
        return None
    places = (graph.parent, folder.root, graph.parent / "tokenizer")
    tokenizer = next((place / "tokenizer.json" for place in places if (place / "tokenizer.json").is_file()), None)
    return None if tokenizer is None else (graph, tokenizer)


def write(folder: ModelFolder, encoder: Path, fingerprint: str, size: int, dim: int) -> bool:
    """Write the text tower of a folder beside its encoder file; whether there is one.

    ``size`` is that of the backbone's vectors of photos, of which the first ``dim`` numbers are the part. Raises
    BadEncoder where the tower's vectors have another size.
    """
    target = beside(encoder)
    found = find(folder)
    if found is None:
        target.unlink(missing_ok=True)  # of an encoder that was there before
        return False
    graph, tokenizer = found
    proto = model.load(graph)
    ids = [each for each in proto.graph.input if each.name in IDS]
    output = next((name for name in VECTORS if name in model.outputs_of(proto)), None)
    if len(ids) != 1 or output is None:
        raise BadEncoder(
            f"{graph} takes {', '.join(each.name for each in proto.graph.input)} and gives "
            f"{', '.join(model.outputs_of(proto))}: not a text model that is known here",
            hint=f"move it away to search by titles and colours alone; known outputs are {', '.join(VECTORS)}",
        )
    fixed = ids[0].type.tensor_type.shape.dim[1].dim_value or None
    padded = fixed is not None or folder.model_type in PADDED
    facts = TextFacts(fingerprint, output, fixed or _length(folder), padded, _pad(folder), dim)
    text = files.content(tokenizer).decode()
    _require_size(TextTower(text, proto.SerializeToString(), replace(facts, dim=2**31)), size)
    pack(target, text.encode(), proto.SerializeToString(), facts)
    return True


def _require_size(tower: TextTower, size: int) -> None:
    given = len(tower.vector("a red dress"))
    if given != size:
        raise BadEncoder(
            f"the text model gives {given} numbers, and the image model {size}: they are no pair",
            hint="download both halves of one model",
        )


def _length(folder: ModelFolder) -> int:
    """The most tokens of a text, as the configurations state it."""
    inner: Any = folder.config.get("text_config")
    stated = inner.get("max_position_embeddings") if isinstance(inner, dict) else None
    stated = stated or folder.json("tokenizer_config.json").get("model_max_length")
    return int(stated) if isinstance(stated, int) and 0 < stated <= 4096 else LONGEST


def _pad(folder: ModelFolder) -> int:
    inner: Any = folder.config.get("text_config")
    stated = inner.get("pad_token_id") if isinstance(inner, dict) else folder.config.get("pad_token_id")
    return stated if isinstance(stated, int) else 1 if folder.model_type in PADDED else 0
