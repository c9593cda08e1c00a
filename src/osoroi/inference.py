"""ONNX Runtime: a model file becomes a session, and its failures become errors of ours.

Encoders and the networks that find garments run on it.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, UInt8
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from osoroi import files
from osoroi.errors import BadEncoder, BadRequest

REMEDY: Final = "give a file that `osoroi export` wrote"
"""What to do about a file that is no encoder."""

PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Execution providers that are used where they are available, the preferred one first."""

DEVICES: Final = {"cpu": ("CPUExecutionProvider",), "cuda": PROVIDERS}
"""Device -> its execution providers, the preferred one first; what a GPU cannot run, the CPU does."""

FAULTS: Final[tuple[type[Exception], ...]] = (
    *(error for error in vars(ort_errors).values() if isinstance(error, type) and issubclass(error, Exception)),
    UnicodeDecodeError,
    MemoryError,
)
"""What ONNX Runtime raises at a model that it cannot load or run; which classes there are depends on its version."""

FILE_BYTES: Final = 2**31 - 1
"""Size of the largest ONNX file, a bound of protocol buffers."""


@runtime_checkable
class Embedder(Protocol):
    """What computes inside an encoder: batches of crops in, unweighted vectors out."""

    def vectors(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        """One vector a crop, each part of unit length."""
        ...

    def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b y x"] | None:
        """Where the garment is in each crop, in [0, 1], or None where the model pools over the whole crop."""
        ...


class OnnxEmbedder:
    """A model run by ONNX Runtime. Raises BadEncoder where a run fails, or takes longer than ``limit_s`` seconds."""

    DIMENSIONS: Final = {"vectors": 2, "attention": 3}
    """Output -> its dimensions; the first is that of the crops."""

    def __init__(self, session: ort.InferenceSession, *, limit_s: float | None = None) -> None:
        self.session = session
        self.limit_s = limit_s
        self._batch = session.get_inputs()[0].shape[0]

    def vectors(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        """The output ``vectors``."""
        return self._run("vectors", crops)

    def foreground(self, crops: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b y x"] | None:
        """The output ``attention``, or None where the model has no such output."""
        if "attention" not in [output.name for output in self.session.get_outputs()]:
            return None
        return self._run("attention", crops)

    def _run(self, output: str, crops: np.ndarray) -> np.ndarray:
        batch = self._batch
        if isinstance(batch, int) and batch != len(crops):
            return self._in_batches(output, crops, batch)
        options = ort.RunOptions()
        options.log_severity_level = 4  # what goes wrong is raised, not printed
        with nullcontext() if self.limit_s is None else self._terminated(options), faults("could not run this encoder"):
            given: np.ndarray = self.session.run([output], {"crops": crops}, options)[0]
        if len(given.shape) != self.DIMENSIONS[output] or len(given) != len(crops) or given.dtype != np.float32:
            problem = f"{len(crops)} crops give {output} of {given.dtype} {list(given.shape)}"
            raise BadEncoder(f"an ONNX file, but no encoder: {problem}", hint=REMEDY)
        return given

    @contextmanager
    def _terminated(self, options: ort.RunOptions) -> Iterator[None]:
        """Stop the run with these options after the limit; it then raises."""
        try:
            with _after(self.limit_s, lambda: setattr(options, "terminate", True)):
                yield
        except BadEncoder as error:
            if options.terminate:
                raise BadEncoder(f"two crops took longer than {self.limit_s:g} s", hint=REMEDY) from error
            raise

    def _in_batches(self, output: str, crops: np.ndarray, batch: int) -> np.ndarray:
        """The output for a model whose batch is fixed; the last batch is filled up with its last crop."""
        rows = []
        for start in range(0, len(crops), batch):
            some = crops[start : start + batch]
            whole = np.concatenate([some, np.repeat(some[-1:], batch - len(some), axis=0)])
            rows.append(self._run(output, whole)[: len(some)])
        return np.concatenate(rows)


@contextmanager
def _after(limit_s: float | None, act: Callable[[], object]) -> Iterator[None]:
    """Do something after so many seconds, unless the block has ended before."""
    if limit_s is None:
        yield
        return
    timer = threading.Timer(limit_s, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_model(path: Path) -> bytes:
    """The bytes of an ordinary file of at most 2 GB; a pipe would never end, and a device never stop."""
    try:
        with files.open_foreign(path) as file:
            if os.fstat(file.fileno()).st_size > FILE_BYTES:
                raise BadEncoder(f"{path}: larger than {FILE_BYTES:,} bytes, so no ONNX file", hint=REMEDY)
            return file.read()
    except MemoryError as error:
        raise BadEncoder(f"{path} needs more memory than there is", hint="raise the limit of memory") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadEncoder(f"no encoder can be read at {path} ({reason})", hint="check the path") from error


@contextmanager
def faults(problem: str) -> Iterator[None]:
    """Errors of ONNX Runtime as a BadEncoder with their first line."""
    try:
        yield
    except FAULTS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise BadEncoder(f"ONNX Runtime {problem} ({reason})", hint=REMEDY) from error


def open_session(
    model: bytes,
    threads: int,
    providers: Sequence[str] | None = None,
    *,
    limit_s: float | None = None,
    optimized: bool = True,
) -> ort.InferenceSession:
    """An ONNX model ready to run; threads do not spin while they wait. Raises BadEncoder for what is none.

    ``providers`` is as in ``Encoder.open``; raises BadRequest for one that this installation does not have. Without
    ``optimized`` nothing of the model is computed while it is loaded. After ``limit_s`` seconds ONNX Runtime gives up
    at its next look, of which there is one after each step of optimization.
    """
    available = ort.get_available_providers()
    if providers is None:
        providers = [name for name in PROVIDERS if name in available]
    elif not providers or set(providers) - set(available):
        raise BadRequest(
            f"ONNX Runtime has no execution provider {list(providers)} here", hint=f"choose from {', '.join(available)}"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with _after(limit_s, lambda: options.set_load_cancellation_flag(True)), faults("cannot run this file"):
        return ort.InferenceSession(model, options, providers=list(providers), enable_fallback=0)
