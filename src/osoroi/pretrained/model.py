"""A brought model as an ONNX graph that has one photo for input and one vector for output."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8

from osoroi.errors import BadEncoder, BadRequest, MissingExtra
from osoroi.inference import faults, open_session
from osoroi.pretrained import graph, output
from osoroi.pretrained.folder import ModelFolder
from osoroi.pretrained.output import Picture, PooledOutput
from osoroi.pretrained.settings import Colors, PretrainedSettings


@dataclass(frozen=True)
class PretrainedModel:
    """A graph, cut at its vector; ``batch`` is how many photos it takes at once, where that is fixed."""

    proto: Any
    session: ort.InferenceSession
    picture: Picture
    vector: PooledOutput
    dim: int
    batch: int | None

    def vectors(self, pixels: Sequence[UInt8[np.ndarray, "_ _ 3"]], colors: Colors) -> Float32[np.ndarray, "b d"]:
        """Vectors of unit length, as the graph itself gives them for pixels of 0 to 255; one photo at a time."""
        rows = [self._vector(normalised(each, colors)) for each in pixels]
        return np.stack([row / max(float(np.linalg.norm(row)), 1e-12) for row in rows])

    def of_values(self, values: Float32[np.ndarray, "b 3 h w"]) -> Float32[np.ndarray, "b d"]:
        """Vectors of unit length of values that are normalised already."""
        rows = [self._vector(each) for each in values]
        return np.stack([row / max(float(np.linalg.norm(row)), 1e-12) for row in rows])

    def _vector(self, values: Float32[np.ndarray, "3 _ _"]) -> Float32[np.ndarray, "d"]:
        batch = np.repeat(values[None], self.batch or 1, axis=0).astype(output.FLOATS[self.picture.element])
        given = _run(self.session, self.picture.name, batch)[0].astype(np.float32)
        if self.vector.rank == 2:
            return given
        if self.vector.rank == 4:
            return given.mean((1, 2))
        return given[0] if self.vector.pool == "cls" else given[self.vector.skip :].mean(0)


def normalised(pixels: UInt8[np.ndarray, "_ _ 3"], colors: Colors) -> Float32[np.ndarray, "3 _ _"]:
    """What a model takes, of pixels of 0 to 255."""
    channels = pixels.transpose(2, 0, 1).astype(np.float32)
    if colors.bgr:
        channels = channels[::-1]
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (colors.mean, colors.std))
    values: Float32[np.ndarray, "3 _ _"] = (channels * np.float32(colors.scale) - mean) / std
    return values


def load(path: Path) -> Any:
    """The ONNX model in a file, with tensors from the files beside it. Raises BadEncoder."""
    onnx = graph.onnx()
    try:
        proto = graph.inlined(onnx.load(str(path), load_external_data=True))
        for tensor in proto.graph.initializer:
            tensor.ClearField("data_location")  # onnx writes that it lies here, which older readers do not expect
        return proto
    except MissingExtra:
        raise
    except Exception as error:  # protobuf, onnx and the file system raise their own
        raise BadEncoder(
            f"{path} cannot be read as an ONNX model ({_first(error)})", hint="download it again"
        ) from error


def sides_of(proto: Any, folder: ModelFolder) -> tuple[int | None, ...]:
    """The shape of the input that is a photo, without any settings."""
    return output.picture_of(_inputs(proto), folder).shape


def outputs_of(proto: Any) -> list[str]:
    """Names of the outputs of a graph."""
    return [each.name for each in proto.graph.output]


def cut(proto: Any, settings: PretrainedSettings, folder: ModelFolder) -> PretrainedModel:
    """The model cut at the output that is the vector, tried on two photos. Raises BadRequest and BadEncoder."""
    tensors = {name for node in proto.graph.node for name in node.output} | set(outputs_of(proto))
    if settings.output.name is None:
        output.picture_of(_inputs(proto), folder)  # a model that reads text is refused as a whole
    name = output.name_of(outputs_of(proto), settings.output, folder, tensors)
    graph.pruned(proto.graph, [name])
    picture = output.picture_of(_inputs(proto), folder)
    height, width = settings.fit.height, settings.fit.width
    for fixed, wanted, side in zip(picture.shape[2:], (height, width), ("height", "width"), strict=True):
        if fixed is not None and fixed != wanted:
            raise BadRequest(
                f"{output.relative(folder)} takes photos of a {side} of {fixed} pixels, and {settings.origin} makes "
                f"them {wanted}",
                hint=f"set `{side}` {fixed} and `to`, or use the export for {wanted} pixels",
            )
    session = open_session(proto.SerializeToString(), threads=1)
    batch = picture.shape[0]
    trial = np.random.default_rng(0).normal(size=(batch or 2, 3, height, width))
    trial = trial.astype(output.FLOATS[picture.element])
    try:
        given = _run(session, picture.name, trial)
    except BadEncoder:
        if batch is not None:
            raise
        batch, given = 1, _run(session, picture.name, trial[:1])
    vector = output.vector_of(name, given.shape, settings.output, folder)
    return PretrainedModel(proto, session, picture, vector, given.shape[1 if vector.rank == 4 else -1], batch)


def _inputs(proto: Any) -> list[Any]:
    stored = {tensor.name for tensor in proto.graph.initializer}
    return [given for given in proto.graph.input if given.name not in stored]


def _run(session: ort.InferenceSession, name: str, batch: np.ndarray) -> np.ndarray:
    with faults("could not run this model"):
        given: np.ndarray = session.run(None, {name: batch})[0]
    return given


def _first(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
