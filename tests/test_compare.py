"""Comparing: intervals that hold what they promise, p that is right under no difference, and refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from osoroi.cli.compare import command
from osoroi.errors import BadRequest, Mismatch
from osoroi.evaluation import bootstrap, compare, results
from osoroi.evaluation.bootstrap import Interval
from osoroi.evaluation.compare import Difference, system
from osoroi.evaluation.labels import Labels
from osoroi.evaluation.results import Arm, Data, Evaluation, Protocol, Query, Task


def made(ranks_by_arm, *, products=None, categories=None, protocol=None, data="d") -> Evaluation:
    """An evaluation with these ranks of the one right product of each query."""
    count = len(next(iter(ranks_by_arm.values())))
    products = products or [f"p{i}" for i in range(count)]
    categories = categories or ["tops"] * count
    return Evaluation(
        task=Task("test:made", protocol=protocol or Protocol()),
        data=Data(data * 64, 100, 100, 0, 0, 0, 0, ()),
        encoder="e" * 64,
        recipe="made",
        queries=tuple(
            Query(f"q{i}", (product,), category)
            for i, (product, category) in enumerate(zip(products, categories, strict=True))
        ),
        arms=tuple(
            Arm(name, {name: 1.0}, None, np.array(ranks, float)[:, None], ((),) * count, ((),) * count)
            for name, ranks in ranks_by_arm.items()
        ),
        version="0",
    )


def clustered(draw, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Paired hits of two systems: hit rates .5 and .4, so the true difference is .1; the queries of one product mostly
    share its outcome."""
    cluster = np.repeat(np.arange(count), draw.integers(1, size + 1, count))
    ease = draw.random(count)
    own = draw.random((2, len(cluster)))
    shared = draw.random((2, count))[:, cluster]
    luck = np.where(draw.random(len(cluster)) < 0.8, shared, own)
    ours = luck[0] < 0.1 + 0.8 * ease[cluster]  # mean over an even ease: .5
    theirs = luck[1] < 0.1 + 0.6 * ease[cluster]  # .4
    return ours.astype(float) - theirs, cluster


def test_intervals_of_a_difference_hold_the_truth_in_95_of_100_simulations():
    draw = np.random.default_rng(7)
    held = unclustered = 0
    for trial in range(1000):
        gaps, cluster = clustered(draw, 80, 7)
        low, high = bootstrap.bootstrap_means(gaps[:, None], cluster, seed=trial, rounds=400)[0][1:]
        held += low <= 0.1 <= high
        if trial < 300:
            low, high = bootstrap.bootstrap_means(gaps[:, None], np.arange(len(gaps)), seed=trial, rounds=100)[0][1:]
            unclustered += low <= 0.1 <= high
    assert 930 <= held <= 970
    assert unclustered < 240  # of 300: what drawing queries one by one would have promised


def test_intervals_hold_the_truth_with_few_clusters_too():
    draw = np.random.default_rng(8)
    samples = draw.normal(0.3, 1.0, (1000, 12))
    bounds = [
        bootstrap.bootstrap_means(row[:, None], np.arange(12), seed=i, rounds=400)[0] for i, row in enumerate(samples)
    ]
    assert 930 <= sum(each.low <= 0.3 <= each.high for each in bounds) <= 970


def test_p_is_below_5_percent_in_5_of_100_simulations_without_a_difference():
    draw = np.random.default_rng(9)
    found = 0
    for trial in range(1000):
        gaps, cluster = clustered(draw, 60, 4)
        signs = draw.choice([-1.0, 1.0], cluster.max() + 1)[cluster]  # either system may be the better one
        found += bootstrap.sign_flip_test(gaps * signs, cluster, seed=trial, rounds=300) < 0.05
    assert 30 <= found <= 70


def test_the_p_of_few_clusters_is_that_of_all_their_signs():
    # Sums of clusters 3, 1, 1: of 8 signs, +++ and --- alone are as far from 0 as 5: p = 2/8.
    gaps, cluster = np.array([1.0, 2.0, 1.0, 1.0]), np.array([0, 0, 1, 2])
    assert bootstrap.sign_flip_test(gaps, cluster, rounds=20_000) == pytest.approx(2 / 8, abs=0.01)


def test_the_bootstrap_weighs_clusters_by_their_queries():
    # Two clusters: one of three hits, one of a single miss. Draws: both (mean 3/4), twice the one or twice the other.
    bounds = bootstrap.bootstrap_means(np.array([[1.0], [1], [1], [0]]), np.array([0, 0, 0, 1]))[0]
    assert bounds == Interval(0.75, 0.0, 1.0)


def test_values_all_alike_still_have_an_interval():
    # 59 hits of 59: were 6.06% of the products misses, that would happen 2.5 times in 100: (1 - .0606)^59 = .025.
    mean, low, high = bootstrap.bootstrap_means(np.ones((59, 1)), np.arange(59))[0]
    assert (mean, high) == (1, 1)
    assert low == pytest.approx(1 - 0.0606, abs=1e-4)
    assert bootstrap.bootstrap_means(np.zeros((59, 1)), np.arange(59))[0] == pytest.approx((0, 0, 0.0606), abs=1e-4)
    draw = np.random.default_rng(4)  # and it holds the truth: hits of 98%, 40 at a time
    rows = (draw.random((1000, 40, 1)) < 0.98).astype(float)
    held = [
        each.low <= 0.98 <= each.high
        for each in (bootstrap.bootstrap_means(r, np.arange(40), rounds=200)[0] for r in rows)
    ]
    assert np.mean(held) > 0.95


def test_one_cluster_has_no_interval():
    low, high = bootstrap.bootstrap_means(np.ones((3, 1)), np.zeros(3, int))[0][1:]
    assert math.isnan(low)
    assert math.isnan(high)


def test_holm_multiplies_step_by_step_and_never_falls():
    assert bootstrap.holm([0.02, 0.005, 0.5, 0.02]) == pytest.approx([0.06, 0.02, 0.5, 0.06])
    assert bootstrap.holm([]) == []
    assert bootstrap.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_difference_is_the_mean_of_differences_with_its_sign():
    found = made({"a": [1, 9, 1, 1] * 30, "b": [9, 9, 1, 9] * 30})
    ours, theirs = (system(arm, arm, [found]) for arm in ("a", "b"))
    (difference,) = compare.compare(ours, theirs, metrics=["hit@5"]).differences
    assert difference.interval.mean == pytest.approx(0.5)  # 3/4 - 1/4
    assert difference.verdict == "better"
    (difference,) = compare.compare(theirs, ours, metrics=["hit@5"]).differences
    assert (difference.interval.mean, difference.verdict) == (pytest.approx(-0.5), "worse")
    (difference,) = compare.compare(ours, ours, metrics=["hit@5"]).differences
    assert (difference.interval.mean, difference.p, difference.verdict) == (0, 1, "not shown")


def test_over_categories_p_is_corrected_and_every_category_is_told():
    # 12 queries each; in "bags" 6 of them are gained: p is near 2/64 = .031, and .062 after Holm over two.
    ranks = {"a": [1] * 6 + [9] * 18, "b": [9] * 24}
    found = made(ranks, categories=["bags"] * 12 + ["tops"] * 12)
    ours, theirs = (system(arm, arm, [found]) for arm in ("a", "b"))
    whole, bags, tops = compare.compare(ours, theirs, metrics=["hit@5"]).differences
    assert (whole.category, whole.queries, whole.verdict) == (None, 24, "better")
    assert whole.p == pytest.approx(2 / 64, abs=0.006)
    assert (bags.category, bags.queries, bags.interval.mean) == ("bags", 12, 0.5)
    assert bags.p == pytest.approx(4 / 64, abs=0.012)
    assert bags.verdict == "not shown"
    reach = 1 - 0.025 ** (1 / 12)  # all twelve differences are 0
    assert (tops.p, tops.interval) == (1.0, pytest.approx((0, -reach, reach)))


def test_one_product_asked_often_shows_nothing():
    ranks = {"a": [1] * 50, "b": [9] * 50}
    one, many = made(ranks, products=["p"] * 50), made(ranks)
    for found, verdict in ((one, "not shown"), (many, "better")):
        ours, theirs = (system(arm, arm, [found]) for arm in ("a", "b"))
        assert compare.compare(ours, theirs, metrics=["hit@5"]).differences[0].verdict == verdict


def test_colors_of_one_design_show_no_more_than_one_product():
    """Fifty colours of one cut are one observation of that cut; as many cuts are fifty."""
    ranks = {"a": [1] * 50, "b": [9] * 50}
    found = made(ranks)
    for designs, count, verdict in (("0" * 50, 1, "not shown"), (range(50), 50, "better")):
        known = {f"p{number}": str(design) for number, design in enumerate(designs)}
        one = replace(found, labels=Labels(designs=known))
        assert len(set(one.clusters().tolist())) == count
        ours, theirs = (system(arm, arm, [one]) for arm in ("a", "b"))
        assert compare.compare(ours, theirs, metrics=["hit@5"]).differences[0].verdict == verdict


def test_designs_that_one_of_two_files_knows_count_in_both_directions():
    """Files of before there were designs know none; whichever stands first, the fifty colours are one observation."""
    old = made({"a": [1] * 50, "b": [9] * 50})
    new = replace(old, labels=Labels(designs={f"p{number}": "0" for number in range(50)}))
    for one, other in ((old, new), (new, old)):
        forth = compare.compare(system("a", "a", [one]), system("b", "b", [other]), metrics=["hit@5"]).differences[0]
        back = compare.compare(system("b", "b", [other]), system("a", "a", [one]), metrics=["hit@5"]).differences[0]
        assert forth.verdict == back.verdict == "not shown"
        assert forth.p == back.p
        assert math.isnan(system("a", "a", [one, other]).means(["hit@5"])[0].low)


def test_several_seeds_are_one_system_with_a_mean_and_a_spread():
    seeds = [made({"both": [rank] * 5 + [9] * 5}) for rank in (1, 1, 6)]
    three = system("three", "both", seeds)
    assert compare.seed_spread(three, "hit@5") == pytest.approx((1 / 3, np.std([0.5, 0.5, 0], ddof=1), 0, 0.5))
    assert three.values(["hit@5"])[:, 0] == pytest.approx([2 / 3] * 5 + [0] * 5)
    assert math.isnan(compare.seed_spread(system("one", "both", seeds[:1]), "hit@5").deviation)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (made({"both": [1, 2]}, data="x"), "data"),
        (made({"both": [1, 2]}, protocol=Protocol(corrupt=1)), "protocol"),
        (made({"both": [1, 2, 3]}), "the number of queries: 2 and 3"),
        (made({"both": [1, 2]}, products=["p0", "other"]), "the queries"),
    ],
)
def test_evaluations_of_other_data_or_another_protocol_are_refused(other, what):
    one = made({"both": [1, 2]})
    with pytest.raises(Mismatch, match=what):
        compare.compare(system("one", "both", [one]), system("other", "both", [other]), metrics=["hit@5"])
    with pytest.raises(Mismatch, match=what):
        system("seeds", "both", [one, other])


def test_the_slider_is_a_systems_own_affair():
    one, other = (made({"both": [1, 2]}, protocol=Protocol(detail=detail)) for detail in (None, 0.7))
    compare.check_comparable(one, other)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(1)
    slow = rng.integers(1, 30, 200)
    for name, ranks in (("a", np.maximum(1, slow - 4)), ("b", slow)):
        both = made({"deep": slow + 3, "both": ranks}, categories=["bags", "tops"] * 100)
        results.save(replace(both, arms=tuple(_listed(arm) for arm in both.arms)), tmp_path / f"{name}.json")
    return tmp_path


def _listed(arm: Arm) -> Arm:
    return replace(arm, top=(("x",),) * len(arm.ranks), scores=((0.5,),) * len(arm.ranks))


def test_a_system_is_named_by_files_and_an_arm(files):
    plain = compare.read_system(f"{files}/a.json")
    assert (plain.name, plain.arm, len(plain.evaluations)) == ("a:both", "both", 1)
    assert compare.read_system(f"{files}/a.json:deep").name == "a:deep"
    seeds = compare.read_system(f"ours={files}/a.json,{files}/b.json:deep")
    assert (seeds.name, seeds.arm, len(seeds.evaluations)) == ("ours", "deep", 2)
    with pytest.raises(BadRequest, match="no arm 'shallow'"):
        compare.read_system(f"{files}/a.json:shallow")


def test_the_command_says_plainly_what_is_shown(files):
    run = CliRunner().invoke(command, [f"new={files}/a.json", f"old={files}/b.json", "--metric", "RR"])
    assert run.exit_code == 0, run.output
    assert "RR: new is better than old" in run.output
    assert sum(line.endswith("better") for line in run.output.splitlines()) == 3  # all, bags, tops
    back = CliRunner().invoke(command, [f"{files}/b.json", f"{files}/a.json", "--metric", "RR", "--json"])
    told = json.loads(back.output)
    assert [each["category"] for each in told] == [None, "bags", "tops"]
    assert {each["verdict"] for each in told} == {"worse"}
    assert told[0]["low"] < told[0]["difference"] < told[0]["high"] < 0
    none = CliRunner().invoke(command, [f"{files}/b.json", f"{files}/b.json", "--metric", "RR"])
    assert "RR: no difference between b:both and b:both is shown" in none.output


def test_a_verdict_needs_p_below_5_percent():
    interval = Interval(0.1, 0.05, 0.15)
    assert Difference("hit@5", None, 9, interval, 0.05).verdict == "not shown"
    assert Difference("hit@5", None, 9, interval, 0.049).verdict == "better"


def test_clusters_join_queries_that_share_a_product_through_others():
    groups = [{"a"}, {"b"}, {"a", "c"}, {"d", "b"}, {"c", "d"}, {"e"}]
    assert bootstrap.cluster_ids(groups).tolist() == [0, 0, 0, 0, 0, 1]
