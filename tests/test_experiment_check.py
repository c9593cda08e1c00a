"""What a plan's run knows before it trains, and what it says when it is stopped: nothing is found out after hours."""

import json
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from osoroi.cli import main
from osoroi.errors import BadDataset, BadRequest, BadRun, OsoroiError
from osoroi.evaluation import results
from osoroi.evaluation.results import Protocol, Task
from osoroi.experiment import cached_crops, check, plan, report, run
from osoroi.experiment.clock import Cost
from osoroi.training import run as runs
from test_experiment import tiny_encoder

PLAN = """
reference = "one"
export = false
validation_share = 0.2
[evaluation.drawn]
dataset = "drawn:18:9"
[[system]]
name = "one"
dataset = "drawn:18:3"
recipe = "quick"
set = ["image_size=96", "dim=8"]
evaluations = ["drawn"]
[[system]]
name = "last"
base = "one"
"""


def planned(tmp_path, text=PLAN, out="out"):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return run.Experiment(plan.read(path, out=str(tmp_path / out)), tmp_path / out)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ('backbone = "nowhere.safetensors"', BadRequest, "system 'last': backbone = nowhere.safetensors is not there"),
        ('encoder = "nowhere.onnx"', BadRequest, "system 'last': encoder = nowhere.onnx is not there"),
        ('dataset = "table:nowhere.csv"', BadDataset, "nowhere.csv"),
        ('set = ["category=shirts"]', BadDataset, "of category .shirts. has 0 products"),
        ('recipe = "published-shallow"', OsoroiError, "system 'last': .*image_size=96: the published sizes follow"),
    ],
)
def test_a_mistake_in_the_last_system_is_said_before_the_first_is_trained(tmp_path, change, kind, message):
    experiment = planned(tmp_path, PLAN + change)
    with pytest.raises(kind, match=message):
        check.check(experiment, run.selected(experiment.plan))
    assert not experiment.out.exists()
    check.check(experiment, run.selected(experiment.plan, ["one"]))  # which has no mistake


def test_a_file_that_the_experiment_itself_will_write_need_not_be_there(tmp_path):
    later = planned(tmp_path, PLAN + 'encoder = "{out}/encoders/one-0.onnx"')
    check.check(later, run.selected(later.plan))


def test_a_split_without_queries_is_said_before_anything_is_trained(tmp_path):
    experiment = planned(tmp_path, PLAN.replace('"drawn:18:9"', '"drawn:18:9"\nsplit = "tests"'))
    with pytest.raises(BadDataset, match=r"evaluation 'drawn': split 'tests' has no street crop .* by split: train"):
        check.check(experiment, run.selected(experiment.plan))


def test_every_value_of_a_search_and_every_seed_is_read_with_the_plan(tmp_path):
    for wrong in ("search = {lr = [1e-3, -1]}", "seeds = [0, -1]"):
        with pytest.raises(BadRequest, match=r"plan.toml: system 'last': .*is not in"):
            planned(tmp_path, PLAN + wrong)


WIDE = """
lr = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3]
weight_decay = [0.0, 1e-5, 1e-4, 1e-3, 1e-2]
dropout = [0.0, 0.1, 0.2, 0.3, 0.4]
warmup = [0.1, 0.2, 0.3, 0.4, 0.5]
grad_clip = [1.0, 2.0, 3.0, 4.0, 5.0]
shrinkage = [0.1, 0.2, 0.3, 0.4, 0.5]
part_loss_weight = [0.1, 0.2, 0.3, 0.4, 0.5]
"""
"""Seven axes of five values: 35 trainings one after the other, and 78,125 combinations."""


def counted(monkeypatch):
    """The settings of which a recipe is made."""
    made = []
    real = plan.PlannedSystem.settings

    def settings(self, seed, more=()):
        made.append((seed, more))
        return real(self, seed, more)

    monkeypatch.setattr(plan.PlannedSystem, "settings", settings)
    return made


def test_a_search_over_many_settings_is_read_and_checked_without_their_combinations(tmp_path, monkeypatch):
    made = counted(monkeypatch)
    experiment = planned(tmp_path, PLAN.replace("[evaluation", f"[search]{WIDE}[evaluation", 1))
    assert len({more for _, more in made if more}) == 1 + 7 * 4 + 21 * 4 * 4  # the first values, one other, two others
    made.clear()
    search = experiment.plan.systems[0].search
    check.check(experiment, run.selected(experiment.plan))
    assert {more for _, more in made if more} == set(search.along(0, search.first))


def test_two_values_that_do_not_go_together_are_named_with_the_plan(tmp_path):
    """Neither is wrong beside the first values: the second axis would have failed after the first was trained."""
    wrong = "search = {lr = [1e-3, 1e-4], patience = [0, 2], keep_epoch = ['best', 'last'], dropout = [0.1, 0.2]}"
    with pytest.raises(BadRequest, match=r"system 'last': .*patience stops at a worse epoch"):
        planned(tmp_path, PLAN + wrong)


def test_what_a_search_has_begun_is_compared_as_far_as_it_is(tmp_path):
    """The best values of the first axis lead to runs that the first values of the others do not name."""
    text = PLAN + "search = {lr = [1e-3, 1e-4], dropout = [0.1, 0.2], warmup = [0.1, 0.2]}\n"
    experiment = planned(tmp_path, text)
    system = experiment.plan.system("last")
    assert run.begun(experiment, system) == system.search.along(0, system.search.first)
    for lr, score in (("0.001", 0.1), ("0.0001", 0.9)):
        setting = (f"lr={lr}", *system.search.first[1:])
        folder = experiment.folder(system, setting, 0)
        folder.mkdir(parents=True)
        config = run.config_of(experiment.plan, system, setting, 0)
        (folder / runs.CONFIG).write_text(json.dumps(asdict(config)))
        outcome = run.RunOutcome(setting, 0, {"nDCG@5": score}, Cost(1.0, 0.0, "none"))
        (folder / run.OUTCOME).write_text(json.dumps(asdict(outcome) | {"cost": outcome.cost._asdict()}))
    following = ("lr=0.0001", "dropout=0.2", "warmup=0.1")
    assert run.begun(experiment, system)[2:] == [following]
    folder = experiment.folder(system, following, 0)
    folder.mkdir(parents=True)
    config = run.config_of(experiment.plan, system, (*following[:2], "warmup=0.2"), 0)
    (folder / runs.CONFIG).write_text(json.dumps(asdict(config)))
    with pytest.raises(BadRun, match=r"system 'last': .*warmup was 0\.2 and is 0\.1"):
        check.check(experiment, run.selected(experiment.plan, ["last"]))


def test_words_that_name_no_system_are_refused_with_the_names(tmp_path):
    systems = planned(tmp_path).plan
    assert [one.name for one in run.selected(systems, ["ast"])] == ["last"]
    with pytest.raises(BadRequest, match="no system's name contains 'deep' or 'both'; the plan has one, last"):
        run.selected(systems, ["deep", "both"])


def test_seeds_that_no_system_has_are_refused_with_those_there_are(tmp_path):
    systems = planned(tmp_path, PLAN + "seeds = [3, 5]").plan
    assert [one.name for one in run.selected(systems, ["last"], [5])] == ["last"]
    with pytest.raises(BadRequest, match="no system has seed 4") as refused:
        run.selected(systems, (), [5, 4])
    assert refused.value.hint == "these systems have 0, 3, 5"


def test_a_plan_that_changed_says_what_was_otherwise_before_it_trains(tmp_path):
    experiment = planned(tmp_path)
    run.run(experiment, ["last"])
    other = planned(tmp_path, PLAN.replace("dim=8", "dim=12"))
    with pytest.raises(BadRun, match=r"as-planned-0 was trained otherwise: dim was 8 and is 12; give each plan"):
        check.check(other, run.selected(other.plan))
    moved = planned(tmp_path, PLAN.replace('"drawn:18:9"', '"drawn:18:9"\nwithin = true'))
    with pytest.raises(BadRun, match=r"is of another task than the plan's: within was False and is True; remove it"):
        check.check(moved, run.selected(moved.plan))


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path, monkeypatch):
    planned(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupted)
    result = CliRunner().invoke(main, ["experiment", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 130
    assert "what is done stays; the same command goes on from there" in result.stderr


def test_one_seed_of_a_plan_ends_well_and_says_what_the_report_waits_for(tmp_path, monkeypatch):
    experiment = planned(tmp_path, PLAN + "seeds = [0, 1, 2]")
    last = experiment.plan.system("last")

    def run_share(_, only, seeds):
        assert only == ("last",)
        cached = cached_crops.evaluate(tiny_encoder(), experiment.plan.evaluations["drawn"].task, tmp_path / "cache")
        for seed in seeds or last.seeds:
            results.save(cached, experiment.evaluation("drawn", last, seed))

    monkeypatch.setattr(run, "run", run_share)
    words = ["experiment", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out"), "--no-photos", "--only", "last"]
    share = CliRunner().invoke(main, [*words, "--seed", "1"])
    assert (share.exit_code, share.stdout) == (0, "")
    assert share.stderr.splitlines() == [
        "last is not reported yet: not evaluated with seed 0, 2",
        "this share of the plan is done; the command without --only and --seed does the rest and reports",
    ]
    early = CliRunner().invoke(main, [*words, "--report-only"])
    assert early.exit_code == 2
    assert "no evaluations of this plan with all the seeds of a system; run it without --report-only" in early.stderr
    whole = CliRunner().invoke(main, words)
    assert (whole.exit_code, "| last |" in whole.stdout, "not reported yet" in whole.stderr) == (0, True, False)


def test_a_dataset_that_is_too_small_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN.replace("validation_share = 0.2", ""))
    result = CliRunner().invoke(main, ["experiment", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "dataset 'drawn:18:3': split 'val' has 1 products" in result.stderr
    assert "add products; each needs a photo of each domain" in result.stderr


def test_a_folder_that_is_not_named_is_asked_for_by_its_name(tmp_path):
    planned(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN + 'backbone = "{weights}/a"')
    result = CliRunner().invoke(main, ["experiment", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")])
    assert "needs a folder 'weights'; name it: --folder weights=PATH" in result.stderr


def test_a_category_of_one_product_has_no_interval_in_the_report_and_no_nan_in_json(tmp_path):
    """Two queries of a single product are one cluster, of which no interval can be had."""
    experiment = planned(tmp_path, PLAN.replace('reference = "one"', 'reference = "one"\ncolumns = ["hats", "capes"]'))
    for number, system in enumerate(experiment.plan.systems):
        evaluation = cached_crops.evaluate(tiny_encoder(number), Task("drawn:18:9", protocol=Protocol()), tmp_path)
        one = evaluation.queries[0].product_ids
        named = [
            query._replace(category="capes") if query.product_ids == one else query for query in evaluation.queries
        ]
        path = experiment.evaluation("drawn", system, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        results.save(replace(evaluation, queries=tuple(named)), path)
    text = report.write(experiment, photos=False)
    assert "nan" not in text
    assert "No query has the category hats; there is " in text

    def refused(value: str) -> None:
        raise AssertionError(value)

    stored = json.loads((experiment.out / "report" / "report.json").read_text(), parse_constant=refused)
    rows = stored["evaluations"]["drawn"]["rows"]
    assert [row["cells"]["hit@5"]["capes"]["mean"][1:] for row in rows] == [[None, None]] * 2
    assert all(row["cells"]["hit@5"]["all"]["mean"][1] is not None for row in rows)


@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_in_a_training_names_the_option_that_goes_on_where_there_is_something_to_go_on_with(
    tmp_path, monkeypatch, begun
):
    def interrupted(config, out, **_: object) -> None:
        if begun:
            out.mkdir()
            (out / runs.CONFIG).write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run", interrupted)
    result = CliRunner().invoke(main, ["train", "drawn:18:3", "--recipe", "frozen", "--out", str(tmp_path / "run")])
    assert result.exit_code == 130
    assert ("the same command with --resume goes on" in result.stderr) == begun
