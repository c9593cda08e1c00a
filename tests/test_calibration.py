"""Probabilities of hits: the model against slow loops and another optimiser, how it is fitted, and where it appears."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from osoroi.cli import main
from osoroi.encoder import DEFAULT, Encoder
from osoroi.encoder.calibration import DEPTH, FLOOR, OPTIONS, Calibration, agreement, appearance, features, fit, padded
from osoroi.encoder.metadata import computation, fingerprint, with_entry
from osoroi.errors import BadEncoder, BadRequest
from osoroi.evaluation import calibration as calibrating
from osoroi.evaluation.calibration import auroc, calibration_error
from osoroi.evaluation.evaluate import evaluate
from osoroi.evaluation.results import Evaluation
from osoroi.search import UNLIKELY, Searcher, response
from shop import RED, fill, goods, picture
from tiny import TinyEncoder

MODEL = Calibration(slope=30.0, null=10.0, level=-12.0, spread=16.0)


def slow(model: Calibration, scores: list[float]) -> list[float]:
    """The formula of the module, one product at a time."""
    ranked = sorted(scores, reverse=True)
    ranked += [min(FLOOR, ranked[-1])] * (16 - len(ranked))
    below = sum(ranked[5:11]) / 6
    width = sum(ranked[1:6]) / 5 - sum(ranked[10:16]) / 6
    none = math.exp(model.null + model.level * below + model.spread * width)
    options = [math.exp(model.slope * (score - below)) for score in sorted(scores, reverse=True)[:12]]
    return [
        math.exp(model.slope * (score - below)) / (none + sum(options)) if score >= ranked[11] else 0.0
        for score in scores
    ]


def simulated(rng: np.random.Generator, lists: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists whose right product is drawn from the model itself."""
    scores = np.sort(rng.normal(0.5, 0.12, (lists, 40)), axis=1)[:, ::-1][:, :DEPTH]
    logits = features(scores) @ np.array([MODEL.slope, MODEL.null, MODEL.level, MODEL.spread])
    chosen = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return scores, np.arange(DEPTH) == np.where(chosen < OPTIONS, chosen, -1)[:, None]


@pytest.mark.parametrize("length", [1, 3, 11, 12, 16, 40])
def test_probabilities_follow_the_formula_whatever_the_order(length: int) -> None:
    scores = np.random.default_rng(length).normal(0.5, 0.2, length)
    chances = MODEL.probabilities(scores)
    assert chances.tolist() == pytest.approx(slow(MODEL, scores.tolist()), abs=1e-12)
    assert 0 < chances.sum() <= 1 + 1e-12


def test_a_product_of_another_kind_is_hardly_the_one_in_the_photo_however_alike_it_looks() -> None:
    scores, kinds = np.array([0.9, 0.5, 0.45, 0.4]), [{"kind": one} for one in (0.0, 0.9, 0.3, 0.9)]
    by_looks, chances = MODEL.probabilities(scores), MODEL.probabilities(scores, agreement(kinds))
    assert by_looks[0] > 0.5
    assert chances[0] == 0
    assert chances[1] > by_looks[1]  # what is left is shared out anew
    assert chances.sum() < 1
    none_agrees = MODEL.probabilities(scores, agreement([{"kind": 0.0}] * 4))
    assert none_agrees.tolist() == [0, 0, 0, 0]
    told_badly = agreement([{"kind": one} for one in (0.5, 0.45, 0.5, 0.4)])
    assert told_badly == pytest.approx([1, 0.81, 1, 0.64])


def test_no_list_has_no_probabilities_and_huge_gaps_overflow_nothing() -> None:
    assert MODEL.probabilities(np.empty(0)).shape == (0,)
    steep = replace(MODEL, slope=1e6)
    assert steep.probabilities(np.array([1.0, -1.0])).tolist() == [1.0, 0.0]


def test_the_fit_finds_the_parameters_that_made_the_lists() -> None:
    scores, right = simulated(np.random.default_rng(1), 20_000)
    made = fit(scores, right)
    for name, tolerance in (("slope", 1.5), ("null", 1.5), ("level", 2.5), ("spread", 3.0)):
        assert getattr(made, name) == pytest.approx(getattr(MODEL, name), abs=tolerance)
    assert made.lists == 20_000


def test_the_fit_is_as_likely_as_what_another_optimiser_finds() -> None:
    from scipy.optimize import minimize  # half a second, for each worker if it stood above

    scores, right = simulated(np.random.default_rng(2), 800)
    chosen = np.where(right[:, :OPTIONS].any(1), right.argmax(1), OPTIONS)

    def loss(parameters: np.ndarray) -> float:
        logits = features(scores) @ parameters
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(800), chosen]).mean())

    ours = fit(scores, right)
    theirs = minimize(loss, np.array([20.0, 5.0, 0.0, 0.0]), method="BFGS").fun
    assert loss(np.array([ours.slope, ours.null, ours.level, ours.spread])) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_lists_that_are_all_right_or_all_wrong_are_refused(share: float) -> None:
    scores, _ = simulated(np.random.default_rng(3), 50)
    right = np.zeros((50, DEPTH), bool)
    right[:, 0] = share == 1
    with pytest.raises(ValueError, match="with and without"):
        fit(scores, right)


def test_auroc_and_error_are_those_of_slow_loops() -> None:
    rng = np.random.default_rng(4)
    chances, right = rng.integers(0, 9, 200) / 9, rng.random(200) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in chances[right] for b in chances[~right]]
    assert auroc(chances, right) == pytest.approx(np.mean(pairs))
    assert math.isnan(auroc(chances, np.ones(200, bool)))
    assert calibration_error(np.full(100, 0.25), np.arange(100) < 40) == pytest.approx(0.25 * 0.4 + 0.75 * 0.6, abs=0.5)
    assert calibration_error(np.repeat([0.1, 0.9], 50), np.tile([True, False], 50), bins=2) == pytest.approx(0.4)


@pytest.fixture(scope="module")
def looks_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder that ships without the part `kind`, whose networks would cost a test of scores a minute."""
    metadata = Encoder.open().metadata
    total = sum(part.weight for part in metadata.graph_parts)
    parts = tuple(replace(part, weight=part.weight / total) for part in metadata.graph_parts)
    model = DEFAULT.read_bytes()
    signed = fingerprint(computation(model), parts, metadata.preprocessing)
    path = tmp_path_factory.mktemp("encoder") / "looks.onnx"
    plain = replace(metadata, parts=parts, kinds="", fingerprint=signed, calibration=None)
    path.write_bytes(with_entry(model, plain.to_json()))
    return path


@pytest.fixture(scope="module")
def evaluation(looks_only: Path) -> Evaluation:
    return evaluate("drawn:14", encoder=looks_only, corrupt=0, top_k=calibrating.RETRIEVED)


def test_half_of_the_products_are_taken_away_and_the_rest_move_up(evaluation: Evaluation) -> None:
    lists = calibrating.lists_of(evaluation, seeds=1)
    products = sorted({one for query in evaluation.queries for one in query.product_ids})
    gone = set(np.random.default_rng(0).permutation(products)[: len(products) // 2].tolist())
    arm = evaluation.arm("both")
    for row, query in enumerate(evaluation.queries):
        left = [place for place, one in enumerate(arm.top[row]) if one not in gone][:DEPTH]
        assert lists.scores[row][: len(left)].tolist() == [arm.scores[row][place] for place in left]
        assert lists.right[row][: len(left)].tolist() == [arm.top[row][place] in query.product_ids for place in left]
        assert (lists.scores[row][len(left) :] <= FLOOR).all()
        assert not lists.right[row][len(left) :].any()
        assert bool(lists.answerable[row]) == (query.product_ids[0] not in gone)
    assert 0.3 < lists.answerable.mean() < 0.7


def test_a_calibrated_file_gives_the_same_vectors_and_keeps_its_fingerprint(tmp_path: Path) -> None:
    plain = Encoder.open()
    calibrating.write(plain, DEFAULT, replace(MODEL, dataset="pairs é", lists=7), tmp_path / "one.onnx")
    calibrated = Encoder.open(tmp_path / "one.onnx")
    assert calibrated.fingerprint == plain.fingerprint
    assert calibrated.metadata.calibration == replace(MODEL, dataset="pairs é", lists=7)
    crop = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    assert (calibrated.encode([crop]) == plain.encode([crop])).all()


@pytest.mark.parametrize("broken", [{"slope": -1.0}, {"null": math.nan}, {"level": "much"}, {"spread": None}])
def test_a_file_whose_calibration_is_no_model_is_refused(tmp_path: Path, broken: dict[str, object]) -> None:
    metadata = json.loads(Encoder.open().metadata.to_json())
    metadata["calibration"] = MODEL.to_dict() | broken
    (tmp_path / "one.onnx").write_bytes(with_entry(DEFAULT.read_bytes(), json.dumps(metadata)))
    with pytest.raises(BadEncoder, match="metadata"):
        Encoder.open(tmp_path / "one.onnx")


@pytest.fixture
def searcher(tmp_path: Path):
    encoder = TinyEncoder()
    encoder.metadata = replace(encoder.metadata, calibration=MODEL)
    with fill(tmp_path / "shop", encoder, goods(encoder)) as catalog:
        yield Searcher(encoder, catalog)


def test_hits_of_a_photo_have_the_probabilities_of_the_whole_list(searcher: Searcher) -> None:
    whole = searcher.search(picture(RED), k=5)
    chances = MODEL.probabilities(appearance(searcher.encoder.metadata.graph_parts, [hit.parts for hit in whole]))
    assert [hit.probability for hit in whole] == pytest.approx(chances.tolist())
    assert [hit.probability for hit in searcher.search(picture(RED), k=2, offset=1)] == pytest.approx(chances[1:3])
    assert searcher.search_batch([picture(RED)], k=1)[0][0].probability == pytest.approx(chances[0])


def test_whether_the_product_is_there_is_told_by_the_whole_list_whatever_the_page(searcher: Searcher) -> None:
    chances = [hit.probability or 0.0 for hit in searcher.search(picture(RED), k=5)]
    assert all(chances)
    pages = [searcher.search(picture(RED), k=1, offset=offset) for offset in range(5)]
    assert [page[0].in_catalog for page in pages] == pytest.approx([sum(chances)] * 5)
    said = [response(page, encoder="", detail=None, took_s=0.0, offset=offset) for offset, page in enumerate(pages)]
    assert [one["hits"][0]["rank"] for one in said] == [1, 2, 3, 4, 5]
    assert {one["probability"] for one in said} == {pages[0][0].in_catalog}
    assert {one["nothing_like_it"] for one in said} == {sum(chances) < UNLIKELY}


def test_there_is_no_probability_where_none_was_fitted_for_the_query(searcher: Searcher, tmp_path: Path) -> None:
    others = [
        searcher.search(picture(RED), detail=0.9),
        searcher.search(picture(RED), where="price < 9000"),
        searcher.search(picture(RED), detail_from="navy"),
        searcher.similar("P1"),
    ]
    plain = TinyEncoder()
    with fill(tmp_path / "plain", plain, goods(plain)) as catalog:
        others.append(Searcher(plain, catalog).search(picture(RED)))
    assert all(hits and all(hit.probability is None for hit in hits) for hits in others)


def test_the_command_fits_and_judges(looks_only: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "calibrated.onnx")
    command = ["calibrate", "drawn:14", "--corrupt", "--json", "--encoder"]
    fitted = CliRunner().invoke(main, [*command, str(looks_only), "--out", target])
    assert fitted.exit_code == 0, fitted.output
    said = json.loads(fitted.stdout)
    calibration = Encoder.open(target).metadata.calibration
    assert calibration is not None
    assert calibration.to_dict() == said["calibration"]
    assert said["calibration"]["dataset"] == "drawn:14"
    judged = CliRunner().invoke(main, [*command, target])
    assert json.loads(judged.stdout) == said
    assert said["quality"]["auroc"] > 0.6  # fitted on the same lists
    assert said["quality"]["error"] < 0.15
    refused = CliRunner().invoke(main, [*command, str(looks_only)])
    assert refused.exit_code == 2
    assert "no calibration" in refused.stderr


def test_too_few_pairs_are_refused(evaluation: Evaluation) -> None:
    single = replace(evaluation, queries=tuple(query._replace(product_ids=("p",)) for query in evaluation.queries))
    with pytest.raises(BadRequest, match="1 products"):
        calibrating.lists_of(single)


@pytest.mark.parametrize("length", [1, 3, 6, 12, 13, 16, 40])
def test_one_list_has_the_chances_that_the_features_of_the_fit_give(length: int) -> None:
    dice = np.random.default_rng(length)
    model = Calibration(slope=31.0, null=9.0, level=-11.0, spread=15.0)
    for _ in range(20):
        scores, agrees = dice.uniform(-0.2, 1, length).round(2), dice.uniform(0, 1, length)
        order = np.argsort(-scores, kind="stable")[:OPTIONS]
        logits = features(padded(np.sort(scores)[::-1])[None])[0] @ [model.slope, model.null, model.level, model.spread]
        chances = np.exp(logits - logits.max())
        chances[len(order) : OPTIONS] = 0  # products that a short list lacks
        chances[: len(order)] *= agrees[order]
        expected = np.zeros(length)
        expected[order] = (chances / chances.sum())[: len(order)]
        assert model.probabilities(scores, agrees) == pytest.approx(expected, abs=1e-12)
