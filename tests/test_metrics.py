"""Metrics against plain loops, pytrec_eval and ranx, on cases with everything that sets definitions apart."""

import math
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import pytrec_eval

from osoroi.errors import BadRequest
from osoroi.evaluation import metrics

approx = pytest.approx

CUTS = (1, 2, 5, 20)  # galleries have at most 12 products, so 20 is beyond each of them


class Case(NamedTuple):
    """Scores of a gallery in the order of keys, which of it are right, and right products it does not hold."""

    scores: np.ndarray
    is_relevant: np.ndarray
    absent: int

    @property
    def ranks(self) -> list[float]:
        return [*metrics.ranks_of(self.scores, self.is_relevant), *[math.inf] * self.absent]


def random_cases(count: int, seed: int) -> list[Case]:
    draw = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        n = int(draw.integers(1, 13))
        scores = draw.choice([-1.0, -0.75, -0.5, 0.0, 0.25, 0.5], n)  # few values, many ties
        if draw.random() < 0.2:
            scores = -abs(scores)  # nothing above zero
        cases.append(Case(scores, draw.random(n) < draw.choice([0, 0.1, 0.5]), int(draw.choice([0, 0, 0, 1, 3]))))
    return cases


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return random_cases(10_000, seed=1)


def name(key: int) -> str:
    """Names that fall as keys rise: pytrec_eval orders equal scores by falling name, we by rising key."""
    return f"p{999 - key}"


def qrels_of(case: Case) -> dict[str, int]:
    judged = {name(key): int(right) for key, right in enumerate(case.is_relevant)}
    return judged | {f"absent{i}": 1 for i in range(case.absent)}


@pytest.fixture(scope="module")
def ranks(cases) -> np.ndarray:
    return metrics.table([case.ranks for case in cases])


def test_the_cases_hold_all_that_sets_definitions_apart(cases, ranks):
    right = metrics.relevant_count(ranks)
    assert sum(len(set(case.scores)) < len(case.scores) for case in cases) > 5000  # ties
    assert np.sum(right == 0) > 1000  # no right product
    assert np.sum(right > 1) > 1000  # several
    assert np.sum(np.isinf(ranks).any(1) & np.isfinite(ranks).any(1)) > 1000  # some found, some not held
    assert sum(bool((case.scores <= 0).all()) for case in cases) > 1000


def by_loops(case: Case, k: int) -> list[float]:
    """hit, recall, capped recall, nDCG at k, AP and RR, as their definitions say."""
    order = sorted(range(len(case.scores)), key=lambda key: (-case.scores[key], key))
    truth = [bool(case.is_relevant[key]) for key in order]
    right = sum(truth) + case.absent
    found = sum(truth[:k])
    gain = sum(1 / math.log2(1 + rank) for rank, good in enumerate(truth[:k], start=1) if good)
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, right) + 1))
    hits = [rank for rank, good in enumerate(truth, start=1) if good]
    precisions = [(i + 1) / rank for i, rank in enumerate(hits)]
    if right == 0:
        return [0, 0, 0, 0, 0, 0]
    shares = [found / right, found / min(k, right), gain / ideal, sum(precisions) / right]
    return [float(found > 0), *shares, 1 / hits[0] if hits else 0]


@pytest.mark.parametrize("k", CUTS)
def test_metrics_agree_with_loops_that_follow_the_definitions(cases, ranks, k):
    names = [f"hit@{k}", f"recall@{k}", f"capped_recall@{k}", f"nDCG@{k}", "AP", "RR"]
    ours = np.stack([metrics.by_name(each, ranks[:2000]) for each in names], axis=1)
    np.testing.assert_allclose(ours, [by_loops(case, k) for case in cases[:2000]], rtol=0, atol=1e-12)


def test_metrics_agree_with_pytrec_eval_on_ten_thousand_cases(cases, ranks):
    measures = {f"{measure}.{','.join(map(str, CUTS))}" for measure in ("success", "recall", "ndcg_cut", "P")}
    judge = pytrec_eval.RelevanceEvaluator(
        {str(i): qrels_of(case) for i, case in enumerate(cases)}, measures | {"map", "recip_rank"}
    )
    theirs = judge.evaluate(
        {str(i): {name(key): float(score) for key, score in enumerate(case.scores)} for i, case in enumerate(cases)}
    )
    right = metrics.relevant_count(ranks)
    pairs = {"AP": "map", "RR": "recip_rank"}
    for k in CUTS:
        pairs |= {f"hit@{k}": f"success_{k}", f"recall@{k}": f"recall_{k}", f"nDCG@{k}": f"ndcg_cut_{k}"}
        found = np.array([theirs[str(i)][f"P_{k}"] for i in range(len(cases))]) * k  # capped recall has no name there
        np.testing.assert_allclose(
            metrics.by_name(f"capped_recall@{k}", ranks), found / np.maximum(np.minimum(right, k), 1), rtol=0, atol=1e-9
        )
    for our, their in pairs.items():
        expected = [theirs[str(i)][their] for i in range(len(cases))]
        np.testing.assert_allclose(metrics.by_name(our, ranks), expected, rtol=0, atol=1e-9, err_msg=our)


def test_pytrec_eval_differs_where_scores_tie_or_a_query_has_no_judgement():
    # Equal scores: falling name there, rising key here. "b" outranks "a" there.
    judge = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"})
    assert judge.evaluate({"q": {"a": 0.5, "b": 0.5}})["q"]["recip_rank"] == 0.5
    assert metrics.ranks_of(np.array([0.5, 0.5]), np.array([True, False])) == [1]
    # It keeps scores as 32-bit floats, so what differs by less is a tie to it. Ours come as such floats anyway.
    assert judge.evaluate({"q": {"a": 0.5 + 1e-9, "b": 0.5}})["q"]["recip_rank"] == 0.5
    # A query that is not judged, or not answered, is missing from its means; to us both are misses, 0.
    assert "unjudged" not in judge.evaluate({"q": {"a": 0.5}, "unjudged": {"a": 0.5}})
    assert metrics.hit(metrics.table([[]]), 1) == [0]


@pytest.fixture(scope="module")
def ranx():
    """ranx as plain Python: compiled, it would take a minute before its first number."""
    with pytest.MonkeyPatch.context() as patch:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import numba

            patch.setattr(numba.config, "DISABLE_JIT", True)
            import ranx
        yield ranx


@pytest.mark.slow
def test_metrics_agree_with_ranx_on_ten_thousand_cases(cases, ranks, ranx):
    # Ties are broken by us before ranx sees them: see the next test.
    qrels, run = {}, {}
    for i, case in enumerate(cases):
        order = np.argsort(-case.scores, kind="stable")
        qrels[f"{i:05}"] = qrels_of(case)
        run[f"{i:05}"] = {name(int(key)): -float(rank) for rank, key in enumerate(order)}
    pairs = {"AP": "map", "RR": "mrr"}
    for k in CUTS:
        pairs |= {f"hit@{k}": f"hit_rate@{k}", f"recall@{k}": f"recall@{k}", f"nDCG@{k}": f"ndcg@{k}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(pairs.values()), return_mean=False)
    for our, their in pairs.items():
        np.testing.assert_allclose(metrics.by_name(our, ranks), theirs[their], rtol=0, atol=1e-9, err_msg=our)


@pytest.mark.slow
def test_ranx_leaves_the_order_of_equal_scores_to_an_unstable_sort(ranx):
    # With 40 equal scores its order is whatever np.argsort gives, so no tie rule can be asked of it.
    names = [name(key) for key in range(40)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = ranx.Run({"q": dict.fromkeys(names, 0.5)})
        run.sort()
    assert list(run.run["q"]) == [names[i] for i in np.argsort(np.full(40, -0.5))]


def test_the_ideal_counts_right_products_that_were_not_found():
    # Three right, one found at rank 1: 1 / (1 + 1/log2(3) + 1/2), where an ideal from the found alone says 1.
    row = np.array([[1, math.inf, math.inf]])
    assert metrics.ndcg(row, 5)[0] == approx(1 / (1 + 1 / math.log2(3) + 0.5))
    # And it is not taken from five places either: with one right product the ideal is 1.
    assert metrics.ndcg(np.array([[1.0]]), 5)[0] == 1


def test_hit_recall_and_capped_recall_are_three_things():
    row = np.array([[1.0, 4, 8, 9]])  # k = 3: one of four right products found, three places
    values = [metric(row, 3)[0] for metric in (metrics.hit, metrics.recall, metrics.capped_recall)]
    assert values == approx([1, 1 / 4, 1 / 3])


def test_no_queries_give_no_values_and_wider_tables_change_nothing():
    for metric in metrics.STANDARD:
        assert metrics.by_name(metric, np.empty((0, 3))).shape == (0,)
        assert metrics.by_name(metric, np.empty((2, 0))).tolist() == [0, 0]
        wide = metrics.by_name(metric, np.array([[2, np.nan, np.nan, 7, np.nan]]))
        assert wide == approx(metrics.by_name(metric, np.array([[7.0, 2.0]])))


@pytest.mark.parametrize("wrong", ["Recall@5", "hit", "hit@0", "hit@-1", "AP@5", "nDCG@five", ""])
def test_a_metric_that_is_not_defined_is_refused(wrong):
    with pytest.raises(BadRequest, match="unknown metric"):
        metrics.by_name(wrong, np.array([[1.0]]))


def test_a_cut_below_one_is_refused():
    with pytest.raises(BadRequest, match="k is 0"):
        metrics.hit(np.array([[1.0]]), 0)
