"""Experiments: what a plan says and refuses, what is run and resumed, and what tables and pictures hold."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osoroi import image
from osoroi.data.readers import open_dataset
from osoroi.errors import BadRequest, BadRun
from osoroi.evaluation import compare, results
from osoroi.evaluation.evaluate import evaluate_readers
from osoroi.evaluation.results import Protocol, Task
from osoroi.experiment import cached_crops, per_category, picture, plan, published, report, run, schema, tables
from osoroi.report import examples, grid
from osoroi.training import run as runs
from pairs import TINY, tiny_network

PLAN = """
title = "Small"
reference = "one"
columns = ["tops", "skirts"]
[evaluation.drawn]
dataset = "drawn:24:9"
corrupt = [false, true]
[[system]]
name = "one"
dataset = "drawn:{data}"
recipe = "frozen"
set = ["epochs=2", "dim=16"]
seeds = [0, 1]
evaluations = ["drawn"]
[[system]]
name = "two"
base = "one"
set = ["loss=triplet"]
seeds = [3]
"""

PLANS = Path(__file__).parents[1] / "benchmarks" / "experiment"


def planned(tmp_path, text=PLAN):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return plan.read(path, data="54:3")


def test_a_system_takes_from_its_base_what_it_does_not_say_itself(tmp_path):
    read = planned(tmp_path)
    one, two = read.systems
    assert (two.dataset, two.seeds, two.evaluations) == ("drawn:54:3", (3,), ("drawn",))
    recipe = two.settings(3)
    assert (recipe.loss, recipe.epochs, recipe.dim, recipe.seed) == ("triplet", 2, 16, 3)
    assert one.settings(1).loss == "info_nce"
    assert [each.name for each in read.evaluations_of(two)] == ["drawn", "drawn-corrupted"]
    assert [each.task.protocol.corrupt for each in read.evaluations.values()] == [None, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds = [3]", "seed = 4"), r"plan.toml: system 'two' has no key 'seed'; its keys: name, label"),
        (("seeds = [3]", "seeds = ['3']"), r"system 'two': seeds = \['3'\] is not a list of whole numbers"),
        (("seeds = [3]", "recipe = 'fast'"), r"system 'two': no recipe is called 'fast'"),
        (('base = "one"', 'base = "three"'), r"system 'two' names the base 'three', which is not there"),
        (('base = "one"', 'base = "two"'), r"system 'two' is its own base"),
        (('name = "two"', 'name = "one"'), r"two systems are called 'one'"),
        (
            ('reference = "one"', 'reference = "three"'),
            r"reference names 'three', which is not there; there is one, two",
        ),
        (('["drawn"]', '["hm"]'), r"system 'one' names 'hm', which is not there; there is drawn"),
        (('"loss=triplet"', '"los=triplet"'), r"system 'two': a recipe has no setting 'los'"),
        (("title", "[search]\nlr = 3\n[ignored]\ntitle"), r"the plan has no key"),
        (("{data}", "{photos}"), r"needs a folder 'photos'; name it: .folder."),
        (("[evaluation.drawn]", "[evaluation.drawn]\nsplits = 'val'"), r"evaluation 'drawn' has no key 'splits'"),
        (('"drawn:24:9"', "24"), r"evaluation 'drawn': dataset = 24 is not a text"),
        (('dataset = "drawn:{data}"', ""), r"system 'one' has no dataset; name one to train on, or an encoder"),
        (('"drawn:24:9"', '"drawn:54:3"\nsplit = "val"'), r"chooses its epoch on val .* reports the same split"),
        (("title = ", "title "), r"cannot be read as a plan"),
        (
            ('[evaluation.drawn]\ndataset = "drawn:24:9"\ncorrupt = [false, true]', "[evaluation]\ndrawn = 3"),
            r"plan.toml: evaluation 'drawn' = 3 is not a table; its keys: dataset",
        ),
        (
            ('[evaluation.drawn]\ndataset = "drawn:24:9"\ncorrupt = [false, true]', "[evaluation]"),
            r"the plan: evaluation is empty; evaluation is a table",
        ),
        (('base = "one"', 'base = ["one"]'), r"system 'two': base = \['one'\] is not a text"),
        (("seeds = [3]", "seeds = []"), r"system 'two': seeds is empty; seeds is a list of whole numbers"),
        (('name = "two"', 'name = "../../evil"'), r"the name '../../evil' is none of a file; use letters, digits"),
        (('name = "two"', 'name = ".."'), r"the name '..' is none of a file"),
        (("title", "comparisons = [['one', 'six']]\ntitle"), r"comparisons names 'six', which is not there"),
        (("title", "comparisons = [['one', 'one']]\ntitle"), r"comparisons has 'one' with itself"),
        (("title", "comparisons = [['one']]\ntitle"), r"comparisons = \[\['one'\]\] is not a list of pairs of texts"),
        (("[evaluation.drawn]", '[evaluation."a/b"]'), r"evaluation: the name 'a/b' is none of a file"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_with_the_place(tmp_path, change, message):
    assert change[0] in PLAN
    with pytest.raises(BadRequest, match=message):
        planned(tmp_path, PLAN.replace(*change))


def test_a_plan_without_systems_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="the plan: system is empty; system is a list of tables"):
        planned(tmp_path, "system = []\n" + PLAN.partition("[[system]]")[0])


def test_search_takes_lists_of_values_that_a_recipe_takes(tmp_path):
    searched = (
        planned(tmp_path, PLAN + "search = {lr = [1e-3, 1e-4], color_constancy = [true, false]}").systems[1].search
    )
    assert searched.axes == (("lr", ("0.001", "0.0001")), ("color_constancy", ("yes", "no")))
    assert len(searched.combinations()) == 4
    for wrong in ("{lr = 3}", "{lr = []}", "{lr = ['fast']}"):
        with pytest.raises(BadRequest):
            planned(tmp_path, PLAN + f"search = {wrong}")


def tiny_encoder(unfreeze_blocks=0):
    recipe = replace(TINY, unfreeze_blocks=unfreeze_blocks)
    return cached_crops.NetworkEncoder(tiny_network(recipe, foreground=(0,)), recipe, "nothing")


@pytest.mark.parametrize(("unfreeze_blocks", "corrupt"), [(0, None), (2, 0), (3, None)])
def test_cached_crops_give_the_results_of_a_plain_evaluation(tmp_path, monkeypatch, unfreeze_blocks, corrupt):
    task = Task("drawn:9:4", protocol=Protocol(corrupt=corrupt))
    plain = evaluate_readers([open_dataset(task.dataset)], tiny_encoder(unfreeze_blocks), task)
    first = cached_crops.evaluate(tiny_encoder(unfreeze_blocks), task, tmp_path)
    monkeypatch.setattr(image, "crop", None)
    again = cached_crops.evaluate(tiny_encoder(unfreeze_blocks), task, tmp_path)
    for evaluation in (first, again):
        assert evaluation.data == plain.data
        for one, other in zip(evaluation.arms, plain.arms, strict=True):
            assert np.array_equal(one.ranks, other.ranks)
            assert np.allclose(one.scores, other.scores, atol=2e-3)  # cached in half precision


def test_a_photo_that_cannot_be_read_is_counted_each_time(tmp_path, photos):
    table, cache = photos
    task = Task(f"table:{table}")
    for _ in range(2):
        evaluation = cached_crops.evaluate(tiny_encoder(), task, cache)
        assert (evaluation.data.unreadable_queries, evaluation.data.unreadable_crops) == (1, 0)
        assert len(evaluation.data.unreadable) == 1


@pytest.fixture
def photos(tmp_path):
    """A table of three drawn products, one street photo of which is no photo."""
    lines = ["photo,product_id,domain,crop_id"]
    rows = list(open_dataset("drawn:3:1").rows())
    broken = next(number for number, row in enumerate(rows) if row.crop.domain == "street")
    for number, (product, crop) in enumerate(rows):
        (tmp_path / f"{number}.jpg").write_bytes(b"no photo" if number == broken else image.load(crop.photo))
        lines.append(f"{number}.jpg,{product.product_id},{crop.domain},{crop.crop_id}")
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    return tmp_path / "shop.csv", tmp_path / "cache"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """An experiment whose evaluations are those of three tiny networks."""
    folder = tmp_path_factory.mktemp("evaluated")
    experiment = run.Experiment(planned(folder), folder)
    for number, (system, seed) in enumerate((each, seed) for each in experiment.plan.systems for seed in each.seeds):
        evaluation = cached_crops.evaluate(tiny_encoder(number), Task("drawn:24:9", protocol=Protocol()), folder / "c")
        path = experiment.evaluation("drawn", system, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        results.save(evaluation, path)
    return experiment


def test_the_table_holds_means_over_seeds_and_paired_gains_by_category(evaluated):
    drawn = evaluated.plan.evaluations["drawn"]
    systems = tables.systems_of(evaluated, drawn)
    assert [one.name for one in systems] == ["one", "two"]
    table = tables.table_of(evaluated, drawn, systems)
    assert table.columns == ["tops", "skirts", "all"]
    one, two = (row.cells["hit@5"] for row in table.rows)
    for column in ("tops", "all"):
        category = None if column == "all" else column
        hits = [
            results.values(each.arm("both"), ["hit@5"])[each.in_category(category), 0]
            for each in systems[0].evaluations
        ]
        assert one[column].interval.mean == pytest.approx(np.mean(hits))
        assert (one[column].spread.low, one[column].spread.high) == tuple(sorted(float(each.mean()) for each in hits))
        assert one[column].queries == len(hits[0])
    expected = compare.compare(systems[1], systems[0], metrics=tables.METRICS).differences
    assert two["tops"].gain in expected
    assert one["tops"].gain is None
    text = tables.markdown(table, "nDCG@5")
    gain = table.rows[1].cells["nDCG@5"]["all"].gain
    assert gain is not None
    assert f"{100 * gain.interval.mean:+.1f} [" in text
    low, high = (f"{end:.3f}".lstrip("0") for end in table.rows[0].cells["nDCG@5"]["all"].spread[2:])
    assert text.count("; seeds ") == text.count(f"; seeds {low} to {high} |") == 1  # of all categories, two seeds
    assert "| *published, Street2Shop: shallow* | .27 | .66 |  |" in text


def test_the_report_compares_with_another_system_where_one_is_named(evaluated):
    other = replace(evaluated, plan=plan.with_reference(evaluated.plan, "two"))
    drawn = other.plan.evaluations["drawn"]
    table = tables.table_of(other, drawn, tables.systems_of(other, drawn))
    assert table.reference == "two"
    assert [row.cells["hit@5"]["all"].gain is None for row in table.rows] == [False, True]
    with pytest.raises(BadRequest, match="no system is called 'three'; one of: one, two"):
        plan.with_reference(evaluated.plan, "three")


def test_further_comparisons_stand_below_those_with_the_reference(evaluated):
    other = replace(evaluated, plan=replace(evaluated.plan, reference=None, comparisons=(("one", "two"),)))
    drawn = other.plan.evaluations["drawn"]
    first, second = tables.systems_of(other, drawn)
    worse = [
        replace(each, arms=tuple(replace(arm, ranks=arm.ranks + 3) for arm in each.arms)) for each in second.evaluations
    ]
    systems = [first, replace(second, evaluations=tuple(worse))]
    table = tables.table_of(other, drawn, systems)
    expected = {(each.metric, each.category): each for each in compare.compare(systems[0], systems[1]).differences}
    gain = expected["nDCG@5", "tops"]
    assert gain.interval.mean > 0
    stored = tables.to_json(table)["comparisons"]
    assert [(each["system"], each["over"]) for each in stored] == [("one", "two")]
    assert stored[0]["gains"]["nDCG@5"]["tops"] == {
        "gain": tables.rounded(gain.interval),
        "p": round(gain.p, 4),
        "verdict": gain.verdict,
    }
    line = next(line for line in tables.markdown(table, "nDCG@5").splitlines() if "one: gain over two, points" in line)
    assert f"{100 * gain.interval.mean:+.1f} [" in line.split("|")[2]
    assert len(line.split("|")) == 6  # tops, skirts, all


def test_a_comparison_of_systems_that_are_no_rows_is_reported_and_what_is_not_corrected_is_said(evaluated):
    pairs = replace(evaluated.plan, reference=None, rows=("one",), comparisons=(("one", "two"), ("two", "one")))
    text = report.write(replace(evaluated, plan=pairs), photos=False)
    stored = json.loads((evaluated.out / "report" / "report.json").read_text())["evaluations"]["drawn"]
    assert [row["system"] for row in stored["rows"]] == ["one"]
    assert [(each["system"], each["over"]) for each in stored["comparisons"]] == [("one", "two"), ("two", "one")]
    assert text.count("The 2 rows of gains are comparisons that the plan states.") == 1
    single = replace(pairs, comparisons=(("one", "two"),))
    assert "rows of gains" not in report.write(replace(evaluated, plan=single), photos=False)


def test_arms_are_rows_of_their_own_where_they_are_wanted(evaluated):
    systems = tables.systems_of(evaluated, evaluated.plan.evaluations["drawn"], arms=True)
    assert [one.name for one in systems[:3]] == ["one: deep", "one: detail", "one"]


def test_the_published_figures_are_those_of_the_source():
    """Recall@5 and nDCG@5 of bags, tops, dresses, skirts as the source prints them."""
    rows = {row.name: row.figures for row in published.ROWS}
    assert published.CATEGORIES == ("bags", "tops", "dresses", "skirts")
    assert [list(rows[name]["hit@5"].values()) for name in ("deep", "shallow", "deep+shallow")] == [
        [0.35, 0.38, 0.26, 0.79],
        [0.50, 0.33, 0.29, 0.83],
        [0.52, 0.35, 0.30, 0.81],
    ]
    assert rows["deep+shallow"]["nDCG@5"] == {"bags": 0.42, "tops": 0.27, "dresses": 0.22, "skirts": 0.68}


def test_the_picture_has_a_row_for_each_arm_of_each_query_and_frames_what_is_relevant(evaluated):
    drawn = evaluated.plan.evaluations["drawn"]
    systems = tables.systems_of(evaluated, drawn)
    evaluation = systems[0].evaluations[0]
    number = next(row for row, top in enumerate(evaluation.arm("both").top) if evaluation.queries[row][1][0] in top[:8])
    crops = examples.load_crops([open_dataset("drawn:24:9")], evaluation.queries, evaluation.arm("both").top[number])
    rows = picture.query_rows(systems, number, crops)
    assert len(rows) == 2
    framed = [cell.frame == grid.GREEN for cell in rows[0][2:]]
    assert framed == [
        product in evaluation.queries[number].product_ids for product in evaluation.arm("both").top[number][:8]
    ]
    assert sum(framed) == 1
    drawn_picture = picture.results_picture(systems, [open_dataset("drawn:24:9")], count=3)
    assert drawn_picture.shape == grid.sheet([rows[0]] * 6).shape


def test_the_report_is_written_as_text_as_numbers_and_as_pictures(evaluated):
    text = report.write(evaluated, queries=2)
    folder = evaluated.out / "report"
    assert (folder / "report.md").read_text() == text
    assert "## drawn: " in text
    assert "color distance of the first five to the query" in text
    stored = json.loads((folder / "report.json").read_text())["evaluations"]["drawn"]
    assert [row["system"] for row in stored["rows"]] == ["one", "two"]
    assert set(stored["appearance"]["two"]) == {"query_color", "result_color", "result_outline"}
    assert (folder / "drawn.png").is_file()
    assert (folder / "drawn" / "index.html").is_file()


def test_an_evaluation_of_another_task_is_not_reported_as_the_plans(evaluated, tmp_path):
    other = planned(tmp_path, PLAN.replace("drawn:24:9", "drawn:25:9"))
    with pytest.raises(BadRun, match=r"is of another task than the plan's: .*drawn:24:9.*; remove it"):
        report.write(replace(evaluated, plan=other), photos=False)


def test_an_experiment_without_evaluations_says_so(tmp_path):
    with pytest.raises(BadRequest, match="holds no evaluations of this plan"):
        report.write(run.Experiment(planned(tmp_path), tmp_path))


def test_models_of_one_category_each_answer_the_queries_of_theirs(tmp_path):
    within, among = (Task("drawn:24:9", protocol=Protocol(within=each)) for each in (True, False))
    evaluations = {}
    models = [cached_crops.evaluate(tiny_encoder(number), within, tmp_path / "cache") for number in range(2)]
    for number, category in enumerate(["bags", "dresses", "outerwear", "pants", "skirts", "tops"]):
        evaluations[category] = models[number % 2]
        results.save(evaluations[category], tmp_path / f"{category}.json")
    files = {category: tmp_path / f"{category}.json" for category in evaluations}
    whole = per_category.joined(files)
    for category, own in evaluations.items():
        mine = own.in_category(category)
        assert np.array_equal(whole.arm("both").ranks[mine], own.arm("both").ranks[mine])
    with pytest.raises(BadRequest, match="no model of bags"):
        per_category.joined({category: path for category, path in files.items() if category != "bags"})
    results.save(cached_crops.evaluate(tiny_encoder(), among, tmp_path / "cache"), tmp_path / "among.json")
    with pytest.raises(BadRequest, match="within = true"):
        per_category.joined({"tops": tmp_path / "among.json"})


SEARCHED = """
validation_share = 0.2
export = false
[search]
lr = [1e-3, 1e-9]
triplet_margin = [0.2, 0.3]
[evaluation.drawn]
dataset = "drawn:12:3"
[[system]]
name = "shallow"
dataset = "drawn:18:3"
recipe = "published-shallow"
set = ["epochs=1", "products=6"]
seeds = [0, 1]
evaluations = ["drawn"]
"""


def test_a_search_tries_one_setting_after_the_other_and_all_seeds_get_the_best(tmp_path):
    said: list[str] = []
    experiment = run.Experiment(planned(tmp_path, SEARCHED), tmp_path / "out", said.append)
    run.run(experiment)
    system = experiment.plan.systems[0]
    tried = {(one.setting, one.seed): one for one in run.outcomes(experiment, system)}
    settings = {setting for setting, seed in tried if seed == 0}
    lr = max(("lr=0.001", "lr=1e-09"), key=lambda value: tried[(value, "triplet_margin=0.2"), 0].metrics["nDCG@5"])
    assert settings == {
        ("lr=0.001", "triplet_margin=0.2"),
        ("lr=1e-09", "triplet_margin=0.2"),
        (lr, "triplet_margin=0.3"),
    }
    best = run.chosen_setting(experiment, system)
    assert best is not None
    assert tried[best, 0].metrics["nDCG@5"] == max(one.metrics["nDCG@5"] for key, one in tried.items() if key[1] == 0)
    assert (best, 1) in tried
    assert len(tried) == 4
    assert all(one.cost.seconds > 0 for one in tried.values())
    assert any("held out (20% of train by product, design and photo)" in line for line in said)
    assert runs.read_config(experiment.folder(system, best, 1)).validation_share == 0.2

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    experiment.evaluation("drawn", system, 1).unlink()
    run.run(experiment)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    changed = {path.name for path in after if before[path] != after[path]}
    assert changed == {"shallow-1.json", "shallow.json"}, "only what was missing, and the choice, are written again"

    other = run.Experiment(planned(tmp_path, SEARCHED.replace("epochs=1", "epochs=2")), tmp_path / "out")
    with pytest.raises(BadRun, match="was trained otherwise: epochs was 1 and is 2; give each plan an `out`"):
        run.run(other)
    cost = report.cost_of(experiment, system)
    assert cost["chosen"] == list(best)
    assert cost["runs"] == 4


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_plans_of_the_project_can_be_read(path):
    experiment = plan.read(path, data="photos", weights="weights", out="out")
    for system in experiment.systems:
        assert experiment.evaluations_of(system), system.name
        assert system.encoder or system.by_category or system.settings(0)
    searched = [system for system in experiment.systems if system.search.axes]
    assert all(len(values) >= 4 for system in searched for name, values in system.search.axes if name.endswith("lr"))


def test_the_page_names_every_key_and_its_plan_can_be_read(tmp_path):
    page = (PLANS.parents[1] / "docs" / "experiment-plans.md").read_text(encoding="utf-8")
    for keys in (schema.PLAN, schema.EVALUATION, schema.SYSTEM):
        assert not [key for key in keys if f"`{key}`" not in page]
    (tmp_path / "plan.toml").write_text(re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)[0])
    systems = plan.read(tmp_path / "plan.toml", weights="weights").systems
    assert [each.search.axes[0][1] for each in systems] == [("0.001", "0.0003", "0.0001", "0.003")] * 3
    assert all(f"`{path.name}`" in page for path in PLANS.glob("*.toml"))


def test_weights_by_category_are_judged_on_products_they_were_not_fitted_on():
    """Bags want step 2 and tops step 4: then one weight a category wins; where all is noise, nothing is won."""
    sys.path.insert(0, str(PLANS.parents[1]))
    from benchmarks import category_weights as weights

    random, steps = np.random.default_rng(0), [step / 6 for step in range(7)]
    categories, cluster = np.repeat(["bags", "tops"], 100), np.arange(200)
    values = 0.1 * random.random((200, 7))
    values[:100, :5] += [0.1, 0.3, 0.5, 0.3, 0.1]
    values[100:, 2:] += [0.1, 0.3, 0.5, 0.3, 0.1]
    fitted = weights.fit(values, categories, cluster, steps, 4)
    assert fitted.steps["bags"] == [steps[2]] * 4
    assert fitted.steps["tops"] == [steps[4]] * 4
    assert np.mean(fitted.by_category - fitted.constant) == pytest.approx(0.2, abs=0.02)  # .5 for .3, or for .5 and .1
    noise = weights.fit(random.random((200, 7)), categories, cluster, steps, 4)
    assert abs(np.mean(noise.by_category - noise.constant)) < 0.05
