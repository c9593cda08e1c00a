"""The fastest way to run an encoder is chosen by measuring; what is not faster is never run."""

import json
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner

from osoroi.cli import main
from osoroi.encoder import Encoder, choice
from osoroi.encoder.metadata import stand_in, with_entry
from osoroi.encoder.taught import with_nodes
from osoroi.server.batching import Batcher
from small_encoder import write_encoder


def beside(path: Path, *, stands_for: str, recipe: str = "in integers") -> Path:
    """Another encoder file beside one, which says that it may take the place of the encoder with this fingerprint."""
    data = write_encoder(path.with_name("other.onnx"), seed=2).read_bytes()
    metadata = Encoder.open(path.with_name("other.onnx")).metadata
    changed = replace(metadata, stands_for=stands_for, recipe=recipe)
    stand_in(path).write_bytes(with_entry(data, changed.to_json()))
    return stand_in(path)


@pytest.fixture(autouse=True)
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other number of threads is tried."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


class Clock:
    """Stands in for the timer: seconds by precision (told by the recipe), and what was asked."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[tuple[str, int]] = []

    def __call__(self, encoder: Encoder, batch: int) -> float:
        self.asked.append((encoder.recipe, batch))
        return self.seconds["int8" if encoder.embedder is not self.given.embedder else "single"]

    def of(self, encoder: Encoder) -> "Clock":
        """The clock for this encoder."""
        self.given = encoder
        return self


@pytest.mark.parametrize(("int8", "chosen"), [(0.5, "int8"), (0.97, "single"), (2.0, "single")])
def test_integers_are_run_only_where_they_are_clearly_faster(tmp_path: Path, int8: float, chosen: str) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    encoder = Encoder.open(path)
    beside(path, stands_for=encoder.fingerprint)
    fastest = choice.fastest(encoder, timer=Clock(single=1.0, int8=int8).of(encoder))
    assert fastest.runtime is not None
    assert fastest.runtime.precision == chosen
    assert (fastest is encoder) == (chosen == "single")
    assert fastest.fingerprint == encoder.fingerprint, "the catalog's vectors stay what they are"
    assert fastest.path == path


def test_a_file_that_was_not_accepted_for_this_encoder_is_never_run(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    encoder = Encoder.open(path)
    for stranger in ("", "0" * 64):
        beside(path, stands_for=stranger)
        assert choice.fastest(encoder, timer=Clock(single=1.0, int8=0.1).of(encoder)).runtime.precision == "single"  # type: ignore[union-attr]
    stand_in(path).write_bytes(b"no encoder")
    assert choice.fastest(encoder, timer=Clock(single=1.0, int8=0.1).of(encoder)) is encoder


def test_more_threads_have_to_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    encoder = Encoder.open(write_encoder(tmp_path / "encoder.onnx"))
    for seconds, threads in ((0.5, 2), (0.8, 1)):
        found = choice.fastest(encoder, timer=Clock(single=1.0, int8=seconds).of(encoder)).runtime
        assert found is not None
        assert (found.precision, found.threads) == ("single", threads)


def test_a_choice_is_remembered_until_the_file_beside_changes(tmp_path: Path) -> None:
    path, cache = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "cache" / "runtimes.json"
    encoder = Encoder.open(path)
    clock = Clock(single=1.0, int8=0.1).of(encoder)
    assert choice.fastest(encoder, cache=cache, timer=clock).runtime.batch == 1  # type: ignore[union-attr]
    asked = len(clock.asked)
    assert choice.fastest(encoder, cache=cache, timer=clock).runtime == choice.remembered(encoder, cache)[0]
    assert len(clock.asked) == asked, "measured once"
    beside(path, stands_for=encoder.fingerprint)
    assert choice.fastest(encoder, cache=cache, timer=clock).runtime.precision == "int8"  # type: ignore[union-attr]
    for content in (b"[[[", b"[]"):
        cache.write_bytes(content)
        assert choice.remembered(encoder, cache) == []
        assert choice.fastest(encoder, cache=cache, timer=clock).runtime.precision == "int8"  # type: ignore[union-attr]


def test_a_choice_is_not_remembered_for_another_graph_of_the_same_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's faster graph took a quarter of the time away, and what was measured before it still counted."""
    cache, encoder = tmp_path / "runtimes.json", Encoder.open()
    choice.fastest(encoder, cache=cache, timer=Clock(single=1.0).of(encoder))
    assert choice.remembered(Encoder.open(), cache)
    monkeypatch.setattr("osoroi.encoder.trial.faster", lambda *_: None)
    own = Encoder.open()
    assert own.fingerprint == encoder.fingerprint
    assert choice.remembered(own, cache) == []


def test_a_choice_is_not_remembered_for_other_nodes_beside_the_graph_or_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "runtimes.json"
    encoder = Encoder.open(path)
    choice.fastest(encoder, cache=cache, timer=Clock(single=1.0).of(encoder))
    path.write_bytes(with_nodes(path.read_bytes(), b"\x12\x00"))
    other = Encoder.open(path)
    assert other.fingerprint == encoder.fingerprint
    assert choice.remembered(other, cache) == []
    assert choice.remembered(encoder, cache)
    monkeypatch.setattr(choice, "__version__", "99.0")
    assert choice.remembered(encoder, cache) == []


@pytest.mark.parametrize(
    "written",
    [
        ["single", 1, 0, 0],
        ["single", 0, 1, 1.0],
        ["single", 100_000, 1, 1.0],
        ["single", 1, 3, 1.0],
        ["double", 1, 1, 1.0],
        ["single", 1, 1, -1.0],
        ["single", 1, 1, float("nan")],
        ["single", float("inf"), 1, 1.0],
    ],
)
def test_a_choice_that_cannot_have_been_made_is_measured_anew(tmp_path: Path, written: list[object]) -> None:
    encoder, cache = Encoder.open(write_encoder(tmp_path / "encoder.onnx")), tmp_path / "runtimes.json"
    clock = Clock(single=1.0).of(encoder)
    choice.fastest(encoder, cache=cache, timer=clock)
    asked = len(clock.asked)
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_bytes()), written)))
    found = choice.fastest(encoder, cache=cache, timer=clock).runtime
    assert len(clock.asked) > asked
    assert found is not None
    assert (found.precision, found.threads, found.batch) == ("single", 1, 1)


def test_the_smallest_batch_that_is_as_fast_is_the_most_that_waits_together(tmp_path: Path) -> None:
    encoder = Encoder.open(write_encoder(tmp_path / "encoder.onnx"))
    seconds = {1: 1.0, 4: 0.7, 8: 0.5, 16: 0.49}
    found = choice.fastest(encoder, timer=lambda one, batch: seconds[batch])
    assert found.runtime is not None
    assert found.runtime.batch == 8
    assert [Batcher(found, batch=most).batch for most in (4, 64)] == [4, 8]


def test_a_real_measurement_gives_an_encoder_of_the_same_vectors(tmp_path: Path) -> None:
    encoder = Encoder.open(write_encoder(tmp_path / "encoder.onnx"))
    found = choice.fastest(encoder, bulk=True)
    assert found.runtime is not None
    assert found.runtime.precision == "single"
    assert found.runtime.ms > 0
    assert "single, " in str(found.runtime)
    assert "ms a crop" in str(found.runtime)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    arguments = ["embed", "drawn:2", str(tmp_path / "out.npz"), "--side", "shop", "--encoder", str(path)]
    assert CliRunner().invoke(main, [*arguments, "--device", "cpu"]).exit_code == 0
    refused = CliRunner().invoke(main, [*arguments, "--device", "cuda"])
    assert refused.exit_code == 2
    assert "no execution provider" in refused.output
