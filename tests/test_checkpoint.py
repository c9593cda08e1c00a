"""Checkpoints: everything comes back, nothing is half written, nothing in the file is run."""

from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from osoroi.errors import BadRun
from osoroi.training import checkpoint
from osoroi.training.checkpoint import Checkpoint


def learned(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    groups: list[dict[str, Any]] = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}]
    optimizer = torch.optim.AdamW(groups)
    step(model, optimizer)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    model, optimizer = learned(1)
    checkpoint.write(tmp_path / "a", checkpoint.pack(model, optimizer, {"epoch": 3}))
    step(model, optimizer)
    other, its_optimizer = learned(2)
    before = checkpoint.read(tmp_path / "a")
    checkpoint.unpack(before, other, its_optimizer)
    step(other, its_optimizer)  # also draws the same numbers
    assert before.state["epoch"] == 3
    for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a"
    checkpoint.write(path, Checkpoint({"x": torch.ones(2)}, {"n": 1}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("osoroi.files.os.fsync", full)
    with pytest.raises(BadRun, match="No space left"):
        checkpoint.write(path, Checkpoint({"x": torch.zeros(2)}, {"n": 2}))
    found = checkpoint.read(path)
    assert found.tensors["x"].tolist() == [1, 1]
    assert found.state == {"n": 1}


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("content", ["pickle", "cut", "empty"])
def test_a_file_that_is_no_checkpoint_is_refused_and_not_run(tmp_path, content):
    path = tmp_path / "a"
    if content == "pickle":
        torch.save({"x": Evil()}, path)
    else:
        checkpoint.write(path, Checkpoint({"x": torch.ones(50)}, {}))
        path.write_bytes(path.read_bytes()[:100] if content == "cut" else b"")
    with pytest.raises(BadRun, match="no checkpoint, or damaged"):
        checkpoint.read(path)


def test_a_missing_file_tensors_of_something_else_and_another_network_are_told_apart(tmp_path):
    with pytest.raises(BadRun, match="no checkpoint at"):
        checkpoint.read(tmp_path / "none")
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, tmp_path / "weights")
    with pytest.raises(BadRun, match="no checkpoint of a run"):
        checkpoint.read(tmp_path / "weights")
    model, optimizer = learned(1)
    checkpoint.write(tmp_path / "a", checkpoint.pack(model, optimizer, {}))
    other = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(BadRun, match="another network"):
        checkpoint.unpack(checkpoint.read(tmp_path / "a"), other, torch.optim.AdamW(other.parameters()))


@pytest.mark.parametrize("entry", ["{", "[]", "{}", "7", "null", '{"format": "1"}', "[" * 90_000, "1" * 5_000])
def test_an_entry_that_is_none_of_ours_is_refused(tmp_path, entry):
    path = tmp_path / "a"
    path.write_bytes(save({"x": torch.ones(1)}, metadata={checkpoint.ENTRY: entry}))
    with pytest.raises(BadRun, match=r"is no checkpoint, or damaged|is of another format"):
        checkpoint.read(path)
