"""The text tower of a brought backbone: words to a vector that is compared with the part ``deep`` of products.

It lies beside its encoder file, under the same name with ``.text`` behind it: a zip file of the tokenizer, the graph,
and what the graph takes. Only who searches by words opens it.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float32

from osoroi import files
from osoroi.encoder.onnx import Encoder
from osoroi.errors import BadEncoder, extra
from osoroi.inference import faults, open_session

SUFFIX: Final = ".text"
TOKENIZER, GRAPH, FACTS = "tokenizer.json", "text.onnx", "facts.json"
LARGEST: Final = 2**31
"""Bytes that one member of the zip file may have."""


@dataclass(frozen=True)
class TextFacts:
    """What a text tower takes: ``length`` is the number of tokens of an input, at most or, with ``padded``, always.

    ``encoder`` is the fingerprint of the encoder file it belongs to, ``output`` the name of the vector, of which the
    first ``dim`` numbers count, and ``pad`` the number of the padding token.
    """

    encoder: str
    output: str
    length: int
    padded: bool
    pad: int
    dim: int


class TextTower:
    """Words to vectors. Threads may share it."""

    def __init__(self, tokenizer: str, graph: bytes, facts: TextFacts) -> None:
        self.facts = facts
        self.tokenizer: Any = extra("tokenizers", "words").Tokenizer.from_str(tokenizer)
        self.tokenizer.enable_truncation(facts.length)
        if facts.padded:
            self.tokenizer.enable_padding(length=facts.length, pad_id=facts.pad)
        else:
            self.tokenizer.no_padding()
        self.session = open_session(graph, threads=1)
        self.inputs: Mapping[str, Any] = {each.name: each.type for each in self.session.get_inputs()}

    def vector(self, text: str) -> Float32[np.ndarray, "d"]:
        """The vector of a text, of unit length. Raises BadEncoder where the graph does not run."""
        encoded = self.tokenizer.encode(text)
        fields = {"attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
        given = {
            name: np.array([fields.get(name, encoded.ids)], np.int32 if kind == "tensor(int32)" else np.int64)
            for name, kind in self.inputs.items()
        }
        with faults("could not run this text model"):
            (row,) = self.session.run([self.facts.output], given)[0]
        vector = row.astype(np.float32)[: self.facts.dim]
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise BadEncoder("the text model gave a vector that is no number", hint="use another encoder")
        return vector / np.float32(length)


def beside(encoder: Path) -> Path:
    """Where the text tower of an encoder file lies, if it has one.

    >>> beside(Path("siglip.onnx")).name
    'siglip.onnx.text'
    """
    return encoder.with_name(encoder.name + SUFFIX)


def pack(path: Path, tokenizer: bytes, graph: bytes, facts: TextFacts) -> None:
    """Write a text tower."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in ((TOKENIZER, tokenizer), (GRAPH, graph), (FACTS, json.dumps(asdict(facts)).encode())):
            archive.writestr(zipfile.ZipInfo(name), data)


def of(encoder: Encoder) -> TextTower | None:
    """The text tower that lies beside an encoder's file; None where there is none. Raises BadEncoder."""
    if encoder.path is None or not beside(encoder.path).is_file():
        return None
    return unpack(beside(encoder.path), encoder.fingerprint)


def unpack(path: Path, fingerprint: str) -> TextTower:
    """The text tower in a file. Raises BadEncoder for what is none, or belongs to another encoder."""
    try:
        with files.archive(path) as archive:
            if max(archive.getinfo(name).file_size for name in (TOKENIZER, GRAPH, FACTS)) > LARGEST:
                raise ValueError("too large")
            facts = TextFacts(**files.from_json(archive.read(FACTS)))
            tokenizer, graph = archive.read(TOKENIZER).decode(), archive.read(GRAPH)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadEncoder(f"{path} is no text tower ({error})", hint="make the encoder again") from error
    if facts.encoder != fingerprint:
        raise BadEncoder(
            f"{path} belongs to the encoder {facts.encoder[:12]}, and this one is {fingerprint[:12]}",
            hint="make the encoder again, or move the file away",
        )
    return TextTower(tokenizer, graph, facts)
