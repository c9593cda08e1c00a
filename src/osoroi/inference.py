"""ONNX Runtime: a model becomes a session, and its failures become errors of ours. Encoders and the networks that find
garments both run on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from osoroi.errors import BadEncoder, BadRequest

REMEDY: Final = "give a file that `osoroi export` wrote"
"""What to do about a file that is no encoder."""

PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Execution providers that are used where they are available, the preferred one first."""

FAULTS: Final = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    UnicodeDecodeError,
    MemoryError,
)
"""What ONNX Runtime raises at a model that it cannot load or run."""


@contextmanager
def faults(problem: str) -> Iterator[None]:
    """Errors of ONNX Runtime as a BadEncoder with their first line."""
    try:
        yield
    except FAULTS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise BadEncoder(f"ONNX Runtime {problem} ({reason})", hint=REMEDY) from error


def open_session(model: bytes, threads: int, providers: Sequence[str] | None = None) -> ort.InferenceSession:
    """An ONNX model ready to run; threads do not spin while they wait. Raises BadEncoder for what is none.

    ``providers`` is as in ``Encoder.open``; raises BadRequest for one that this installation does not have.
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
    with faults("cannot run this file"):
        return ort.InferenceSession(model, options, providers=list(providers), enable_fallback=0)
