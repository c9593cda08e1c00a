"""What an experiment did with another network than it has now is done anew: evaluations, encoder files."""

import json
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from osoroi.errors import BadRequest, BadRun
from osoroi.evaluation import results
from osoroi.experiment import cached_crops, check, plan, report, run
from osoroi.model.heads import Head
from osoroi.training import loop
from osoroi.training import run as runs
from pairs import TINY, tiny_network

PLAN = """
title = "x"
validation_share = 0.2
[evaluation.drawn]
dataset = "drawn:6:9"
within = true
[[system]]
name = "shallow"
dataset = "drawn:18:3"
recipe = "quick"
set = ["image_size=96", "dim=8", "lr=1e-3"]
evaluations = ["drawn"]
"""

OTHER = ('"lr=1e-3"', '"lr=3e-2"')
FILE = """
[[system]]
name = "exported"
encoder = "{out}/encoders/shallow-0.onnx"
evaluations = ["drawn"]
"""


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """Trainings that take no time: the network of a run follows from its settings alone, and its encoder file names
    them. The setting that is best is the second of a search."""

    def train(config, folder, **_: object):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / runs.CONFIG).write_text(json.dumps(asdict(config)))
        (folder / loop.BEST).touch()
        return {"nDCG@5": config.recipe.lr if config.recipe.lr < 1 else 0.0}

    def opened(experiment, system, setting, seed):
        if system.encoder is not None:
            return network(Path(system.encoder).read_bytes())
        return network(repr(runs.read_config(experiment.folder(system, setting, seed)).recipe).encode())

    def export(experiment, system, setting, seed):
        path = experiment.encoder(system, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(repr(runs.read_config(experiment.folder(system, setting, seed)).recipe))

    monkeypatch.setattr(runs, "run", train)
    monkeypatch.setattr(run, "open_encoder", opened)
    monkeypatch.setattr(run, "export", export)


def network(settings: bytes) -> cached_crops.NetworkEncoder:
    """A tiny network of its own for these settings."""
    made = tiny_network(TINY, foreground=(0,))
    head = made.heads["deep"]
    assert isinstance(head, Head)
    with torch.no_grad():
        head.linear.weight.mul_(1 + int(sha256(settings).hexdigest()[:4], 16) / 1e5)
    return cached_crops.NetworkEncoder(made, TINY, "nothing")


def planned(tmp_path, text=PLAN):
    """An experiment, and what it says."""
    (tmp_path / "plan.toml").write_text(text)
    said: list[str] = []
    out = tmp_path / "out"
    return run.Experiment(plan.read(tmp_path / "plan.toml", out=str(out)), out, said.append), said


def done(tmp_path, text=PLAN):
    """The experiment, run, and what it said."""
    experiment, said = planned(tmp_path, text)
    run.run(experiment)
    return experiment, said


def require_current(experiment):
    """Every evaluation is of the network in the run of the plan's own setting."""
    for system in experiment.plan.systems:
        if run.is_trained(system):
            for seed in system.seeds:
                setting = run.chosen_setting(experiment, system)
                assert setting is not None
                own = run.open_encoder(experiment, system, setting, seed).fingerprint
                assert results.read(experiment.evaluation("drawn", system, seed)).encoder == own


def written(experiment):
    """When each evaluation and encoder file was written, and what is in it."""
    paths = [*experiment.out.glob("evaluations/*/*"), *experiment.out.glob("encoders/*")]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_some_seeds_of_a_plan_are_run_and_systems_without_them_are_left_alone(tmp_path):
    other = PLAN[PLAN.index("[[system]]") :].replace('"shallow"', '"single"')
    experiment, _ = planned(tmp_path, PLAN + "seeds = [0, 1, 2]\n" + other)
    run.run(experiment, seeds=[2, 1])
    assert written(experiment).keys() == {"shallow-1.json", "shallow-2.json"}
    run.run(experiment)
    assert written(experiment).keys() >= {"shallow-0.json", "shallow-0.onnx", "single-0.json"}


def test_a_run_that_is_removed_and_trained_otherwise_is_exported_and_evaluated_anew(tmp_path):
    first, _ = done(tmp_path, PLAN + FILE)
    before = written(first)
    again, said = done(tmp_path, PLAN + FILE)
    assert written(again) == before, "what is done is not done again"
    assert not [line for line in said if "another network" in line or "removed" in line]
    other, _ = planned(tmp_path, PLAN.replace(*OTHER) + FILE)
    with pytest.raises(BadRun, match="or remove this folder to train it anew"):
        check.check(other, run.selected(other.plan))
    shutil.rmtree(first.folder(first.plan.systems[0], (), 0))
    other, said = done(tmp_path, PLAN.replace(*OTHER) + FILE)
    require_current(other)
    after = written(other)
    assert set(after) == set(before)
    assert all(after[name][1] != before[name][1] for name in after), "those of the file by this system, too"
    file = network(other.encoder(other.plan.systems[0], 0).read_bytes()).fingerprint
    assert results.read(other.evaluation("drawn", other.plan.systems[1], 0)).encoder == file
    assert sum("is of another network than the one that there is now, and is done anew" in line for line in said) == 2
    assert sum("is not known to be of the network" in line for line in said) == 1


def test_a_folder_of_before_keeps_evaluations_of_its_networks_and_exports_once_more(tmp_path):
    first, _ = done(tmp_path)
    before = written(first)
    path = first.folder(first.plan.systems[0], (), 0) / run.OUTCOME
    fields = json.loads(path.read_text())
    del fields["network"], fields["exported"]
    path.write_text(json.dumps(fields))
    second, said = done(tmp_path)
    require_current(second)
    after = written(second)
    assert {name for name in after if after[name][0] != before[name][0]} == {"shallow-0.onnx"}
    assert any("is not known to be of the network that there is now, and is removed" in line for line in said)
    path.write_text(json.dumps(fields))
    (path.parent / loop.BEST).unlink()
    assert "## drawn" in report.write(second, photos=False), "without a network, evaluations stand as they are"


def test_seeds_that_were_left_out_while_another_setting_was_chosen_are_evaluated_anew(tmp_path):
    both = PLAN.replace("[[system]]", "[search]\nlr = [1e-9]\n[[system]]") + "seeds = [0, 1]\n"
    done(tmp_path, both)
    done(tmp_path, both.replace("[1e-9]", "[1e-9, 1e-2]").replace("[0, 1]", "[0]"))
    last, said = done(tmp_path, both.replace("[1e-9]", "[1e-9, 1e-2]"))
    assert run.chosen_setting(last, last.plan.systems[0]) == ("lr=0.01",)
    require_current(last)
    assert [line for line in said if "shallow-1.json is of another network" in line]


def test_what_a_search_chose_is_exported_and_evaluated_anew_once_nothing_is_searched(tmp_path):
    searched, _ = done(tmp_path, PLAN.replace("[[system]]", "[search]\nlr = [1e-9, 2e-2]\n[[system]]"))
    assert run.chosen_setting(searched, searched.plan.systems[0]) == ("lr=0.02",)
    require_current(searched)
    before = written(searched)
    plain, _ = done(tmp_path)
    require_current(plain)
    assert all(written(plain)[name][1] != before[name][1] for name in before)


PARTS = ("shallow", "bags", "dresses", "outerwear", "pants", "skirts")


def test_a_system_of_models_by_category_follows_them_and_is_not_joined_from_old_ones(tmp_path):
    text = PLAN.replace('"lr=1e-3"', '"lr=1e-3", "category=tops"')
    for category in PARTS[1:]:
        text += f'[[system]]\nname = "{category}"\nbase = "shallow"\nset = ["category={category}"]\n'
    text += f'[[system]]\nname = "each"\nevaluations = ["drawn"]\nby_category = {json.dumps(PARTS)}\n'
    first, _ = planned(tmp_path, text)
    run.run(first)
    each = first.plan.system("each")
    before = results.read(first.evaluation("drawn", each, 0)).encoder
    shutil.rmtree(first.out / "runs")
    other, said = planned(tmp_path, text.replace(*OTHER))
    for name in PARTS:
        run.train_once(other, other.plan.system(name), (), 0)
    with pytest.raises(BadRun, match=r"shallow-0.json is of another network .*; run shallow first"):
        run.run(other, ["each"])
    with pytest.raises(BadRequest, match="holds no evaluations of this plan"):
        report.write(other, photos=False)
    assert any("each-0.json is of another network" in line and "is not reported" in line for line in said)
    run.run(other)
    require_current(other)
    now = [results.read(other.evaluation("drawn", other.plan.system(name), 0)).encoder for name in PARTS]
    assert results.read(other.evaluation("drawn", each, 0)).encoder == "+".join(one[:12] for one in now) != before
