"""The networks that find garments, loaded when they are first needed and shared by all threads."""

from functools import cache
from pathlib import Path
from typing import Final

import onnxruntime as ort

from osoroi.errors import BadEncoder
from osoroi.inference import open_session

WEIGHTS: Final = Path(__file__).parent / "weights"


NETWORKS: Final = ("yolox_nano.onnx", "pose_landmark.onnx", "kind.onnx")
"""Detector of people and bags, pose of a person, and kind of a crop."""


def load() -> None:
    """Load all networks now rather than when the first photo comes."""
    for name in NETWORKS:
        session(name)


def read(name: str) -> bytes:
    """One file of ``weights``; raises BadEncoder where it is missing."""
    path = WEIGHTS / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadEncoder(f"no network can be read at {path} ({error.strerror})", hint="install osoroi again") from error


@cache
def session(name: str, threads: int = 1) -> ort.InferenceSession:
    """The network in one file of ``weights``; raises BadEncoder where the file is missing or damaged."""
    return open_session(read(name), threads)
