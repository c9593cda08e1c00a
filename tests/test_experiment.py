"""The experiment: what a plan says, and that networks asked the short way answer as their encoder files would."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest
from osoroi.evaluation import compare, evaluate, results
from osoroi.evaluation.results import Protocol, Task
from osoroi.model.export import export
from osoroi.training import run as runs
from osoroi.training.view_loader import preprocessing
from pairs import TINY, tiny_network

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.experiment import asking, pieces, plan, run, tables, weights

PLAN = """
[ask.drawn]
dataset = "drawn:24:9"
corrupt = [false, true]
[[trial]]
name = "one"
dataset = "drawn:{data}"
recipe = "frozen"
set = ["epochs=2", "dim=16"]
seeds = [0, 1]
ask = ["drawn"]
[[trial]]
name = "two"
base = "one"
set = ["loss=triplet"]
seeds = [3]
"""


def planned(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return plan.read(path, data="54:3")


def test_a_trial_takes_from_its_base_what_it_does_not_say_itself(tmp_path):
    one, two = planned(tmp_path, PLAN).trials
    assert (two.dataset, two.seeds, two.ask) == ("drawn:54:3", (3,), ("drawn",))
    recipe = two.settings(3)
    assert (recipe.loss, recipe.epochs, recipe.dim, recipe.seed) == ("triplet", 2, 16, 3)
    assert one.settings(1).loss == "info_nce"
    assert [one.name for one in planned(tmp_path, PLAN).asked(two)] == ["drawn", "drawn-corrupted"]


@pytest.mark.parametrize("wrong", ["seed = 4", "recipes = 'quick'"])
def test_a_word_that_means_nothing_is_refused(tmp_path, wrong):
    with pytest.raises(BadRequest, match="'two'"):
        planned(tmp_path, PLAN + wrong)


def asked(unfreeze_blocks=0):
    recipe = replace(TINY, unfreeze_blocks=unfreeze_blocks)
    return asking.NetworkEncoder(tiny_network(recipe, foreground=(0,)), recipe, "nothing")


@pytest.mark.parametrize("unfreeze_blocks", [0, 2, 3])
@pytest.mark.parametrize("corrupt", [None, 0])
def test_what_is_kept_gives_the_answers_of_asking_plainly(tmp_path, monkeypatch, unfreeze_blocks, corrupt):
    task = Task("drawn:12:4", protocol=Protocol(corrupt=corrupt))
    plain = evaluate.evaluate_readers([open_dataset(task.dataset)], asked(unfreeze_blocks), task)
    first = asking.ask(asked(unfreeze_blocks), task, tmp_path)
    monkeypatch.setattr(image, "crop", None)
    again = asking.ask(asked(unfreeze_blocks), task, tmp_path)
    for found in (first, again):
        assert found.data == plain.data
        for one, other in zip(found.arms, plain.arms, strict=True):
            assert np.array_equal(one.ranks, other.ranks)
            assert np.allclose(one.scores, other.scores, atol=2e-3)  # kept in half precision


def test_a_photo_that_cannot_be_read_is_counted_each_time(tmp_path, photos):
    table, kept = photos
    task = Task(f"table:{table}")
    for found in (asking.ask(asked(), task, kept), asking.ask(asked(), task, kept)):
        assert (found.data.unreadable_queries, found.data.unreadable_crops) == (1, 0)
        assert len(found.data.unreadable) == 1


@pytest.fixture
def photos(tmp_path):
    """A table of three drawn products, one street photo of which is no photo."""
    lines = ["photo,product_id,domain,crop_id"]
    rows = list(open_dataset("drawn:3:1").rows())
    diverged = next(number for number, row in enumerate(rows) if row.crop.domain == "street")
    for number, (product, crop) in enumerate(rows):
        (tmp_path / f"{number}.jpg").write_bytes(b"no photo" if number == diverged else image.load(crop.photo))
        lines.append(f"{number}.jpg,{product.product_id},{crop.domain},{crop.crop_id}")
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    return tmp_path / "shop.csv", tmp_path / "kept"


def test_the_table_holds_the_mean_over_seeds_and_the_paired_gain(tmp_path):
    experiment = planned(tmp_path, PLAN)
    answers = []
    for number, trial in enumerate(experiment.trials):
        for seed in trial.seeds:
            found = asking.ask(asked(number), Task("drawn:24:9", protocol=Protocol()), tmp_path / "kept")
            answers.append(found)
            results.save(found, run.path_of(tmp_path, "drawn", trial, seed))
    systems = tables.systems_of(experiment, experiment.questions["drawn"], tmp_path, None)
    arms = ("deep", "detail", "both")
    assert [one.name for one in systems] == [f"{trial}:{arm}" for trial in ("one", "two") for arm in arms]
    lines = tables.lines_of(systems, "one:deep")
    hits = [float(results.values(each.arm("both"), ["hit@1"]).mean()) for each in answers]
    assert lines[2].spreads["hit@1"].mean == pytest.approx((hits[0] + hits[1]) / 2)
    gain = compare.compare(systems[2], systems[0], metrics=["hit@5"]).differences[0]
    assert lines[2].gains["hit@5"].interval == gain.interval
    assert f"{100 * gain.interval.mean:+.1f}" in tables.table(lines).splitlines()[4]


@pytest.mark.slow
def test_a_trained_network_asked_the_short_way_answers_as_its_exported_file(tmp_path):
    experiment = planned(tmp_path, PLAN)
    trial = experiment.trials[0]
    run.answer(experiment, trial, 1, tmp_path)
    network, notes = runs.load(tmp_path / "runs" / "one-1")
    told = {"recipe": "r", "training": "t", "licence": "CC0-1.0"}
    crops = runs.crops_of(tmp_path / "runs" / "one-1")
    export(
        network,
        tmp_path / "one.onnx",
        parts=network.parts,
        preprocessing=preprocessing(notes.recipe),
        crops=crops,
        **told,
    )
    for name, question in experiment.questions.items():
        short = results.read(run.path_of(tmp_path, name, trial, 1))
        long = evaluate.run(replace(question.task, encoder=str(tmp_path / "one.onnx")))
        compare.check_comparable(short, long)
        for one, other in zip(short.arms, long.arms, strict=True):
            assert np.mean(one.ranks != other.ranks) < 0.02, "near ties alone may stand otherwise"
        for metric in tables.METRICS:
            mean_metrics = [results.values(each.arm("both"), [metric]).mean() for each in (short, long)]
            assert mean_metrics[0] == pytest.approx(mean_metrics[1], abs=0.005)


def test_models_of_one_category_each_answer_the_queries_of_theirs(tmp_path):
    within, among = (Task("drawn:30:9", protocol=Protocol(within=each)) for each in (True, False))
    found = {}
    for number, category in enumerate(["bags", "dresses", "outerwear", "pants", "skirts", "tops"]):
        answer = asking.ask(asked(number % 3), within, tmp_path / "kept")
        results.save(answer, tmp_path / f"{category}.json")
        found[category] = answer
    files = {category: tmp_path / f"{category}.json" for category in found}
    whole = pieces.joined(files)
    for category, own in found.items():
        mine = own.in_category(category)
        assert np.array_equal(whole.arm("both").ranks[mine], own.arm("both").ranks[mine])
    with pytest.raises(BadRequest, match="no model of bags"):
        pieces.joined({category: path for category, path in files.items() if category != "bags"})
    results.save(asking.ask(asked(), among, tmp_path / "kept"), tmp_path / "among.json")
    with pytest.raises(BadRequest, match="within = true"):
        pieces.joined({"tops": tmp_path / "among.json"})


def test_weights_by_category_are_judged_on_products_they_were_not_fitted_on():
    """Bags want step 2 and tops step 4: then one weight a category wins; where all is noise, nothing is won."""
    random, dial = np.random.default_rng(0), [step / 6 for step in range(7)]
    categories, cluster = np.repeat(["bags", "tops"], 100), np.arange(200)
    values = 0.1 * random.random((200, 7))
    values[:100, :5] += [0.1, 0.3, 0.5, 0.3, 0.1]
    values[100:, 2:] += [0.1, 0.3, 0.5, 0.3, 0.1]
    found = weights.fit(values, categories, cluster, dial, 4)
    assert found.steps["bags"] == [dial[2]] * 4
    assert found.steps["tops"] == [dial[4]] * 4
    assert np.mean(found.by_category - found.constant) == pytest.approx(0.2, abs=0.02)  # .5 for .3, or for .5 and .1
    noise = weights.fit(random.random((200, 7)), categories, cluster, dial, 4)
    assert abs(np.mean(noise.by_category - noise.constant)) < 0.05


def test_the_plans_that_are_kept_here_can_be_read(tmp_path):
    for path in sorted(Path(run.__file__).parent.glob("*.toml")):
        experiment = run.opened_plan(path, tmp_path)
        for trial in experiment.trials:
            assert experiment.asked(trial), trial.name
            assert set(trial.pieces) <= {each.name for each in experiment.trials}
            assert trial.encoder or trial.pieces or trial.settings(0)
