"""A batch in parts, on two processes, in half precision; averaged weights; training that stops early."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from osoroi.errors import BadRequest
from osoroi.training import checkpoint, learner, loop, mining, sampling
from osoroi.training.distributed import World, device
from osoroi.training.learner import Learner, half_precision
from osoroi.training.optimizer import WeightAverage
from pairs import TINY, linear_of, tiny_network
from test_optimizer import pairs_of_random_features

RECIPE = replace(TINY, unfreeze_blocks=2, dropout=0.0, warmup=0.0, epochs=4, precision="float32")


def drawn_batch(recipe):
    """A learner and one batch of 24 rows."""
    pairs = pairs_of_random_features(recipe=recipe, contrast=8)
    return Learner(tiny_network(recipe), recipe).train(), sampling.load(pairs, sampling.plan(pairs, recipe, 0)[0], 0)


def gradients(recipe, backward=learner.backward):
    """The loss of the batch and the gradients of every parameter."""
    model, batch = drawn_batch(recipe)
    torch.manual_seed(5)
    loss = backward(model, batch, torch.Generator().manual_seed(1))
    return float(loss), {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


def test_rounding_changes_no_triplet_of_the_batch():
    """Distances of one street row to shop rows differ by ten times the 5e-7 by which those of parts were off.
    Where two are nearer, another negative is mined, and the gradients of parts are those of other triplets."""
    model, batch = drawn_batch(RECIPE)
    vectors = model.embed(batch.images, batch.product).detach()
    sizes = [part.size for part in model.network.parts]
    roots = torch.cat([vectors.new_full((part.size,), part.weight**0.5) for part in model.network.parts])
    for own in (vectors * roots, *torch.split(vectors, sizes, 1)):
        distances = mining.squared_distances(own[batch.is_street], own[~batch.is_street])
        assert float(distances.sort(1).values.diff(dim=1).min()) > 5e-6


@pytest.mark.parametrize("loss", ["info_nce", "triplet", "multi_similarity"])
@pytest.mark.parametrize("rows", [1, 7, 24])
def test_cached_gradients_are_those_of_the_whole_batch(loss, rows):
    whole = gradients(replace(RECIPE, loss=loss))
    parts = gradients(replace(RECIPE, loss=loss, grad_cache_rows=rows))
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert set(parts[1]) == set(whole[1])
    assert {"network.heads.deep.linear.weight", "network.extractor.backbone.steps.2.weight"} <= set(whole[1])
    for name, gradient in whole[1].items():
        assert near(parts[1][name], gradient), name


def near(one, other):
    """But for what sums in another order give: vectors of a part differ by 1e-7, and the loss magnifies that."""
    return torch.allclose(one, other, atol=2e-3 * float(other.abs().max()) + 1e-6)


def test_dropout_is_the_same_when_a_part_is_computed_again():
    """Against the graph of all parts held at once, dropout drawn in the same order."""
    recipe = replace(RECIPE, dropout=0.4, grad_cache_rows=9)

    def at_once(model, batch, generator):
        parts = list(zip(*(one.split(9) for one in batch.images), strict=True))
        loss = model.loss(torch.cat([model.embed(part, batch.product) for part in parts]), batch, generator)
        loss.backward()
        return loss.detach()

    (loss, expected), (cached_loss, cached) = gradients(recipe, at_once), gradients(recipe)
    assert cached_loss == pytest.approx(loss, rel=1e-5)
    for name, gradient in expected.items():
        assert near(cached[name], gradient), name


def test_shallow_paths_refuse_parts_because_their_statistics_are_of_the_batch():
    with pytest.raises(BadRequest, match="grad_cache_rows would give the batch normalisation"):
        replace(TINY, shallow=True, grad_cache_rows=8)


def test_two_batches_of_one_step_give_the_mean_of_their_gradients(tmp_path):
    recipe = replace(RECIPE, products=6, accumulate_batches=2, grad_clip=1e6)
    pairs = pairs_of_random_features(recipe=recipe)
    run = loop.RunState(tmp_path, Learner(tiny_network(recipe), recipe), recipe, pairs, pairs, torch.device("cpu"))
    before = {name: one.detach().clone() for name, one in run.learner.named_parameters()}
    singles = []
    for rows in sampling.plan(pairs, recipe, 0):
        run.optimizer.zero_grad()
        learner.backward(run.learner, sampling.load(pairs, rows, 0), torch.Generator().manual_seed(0))
        singles.append({name: one.grad.clone() for name, one in run.learner.named_parameters() if one.grad is not None})
    assert len(singles) == run.steps == 2
    for number, batch in enumerate(sampling.batches(pairs, recipe, 0)):
        loop.train_step(run, batch)
        run.step += 1
        moved = any(not torch.equal(one.detach(), before[name]) for name, one in run.learner.named_parameters())
        assert moved == (number == 1), "the optimiser steps once, after the second batch"
    for name, one in run.learner.named_parameters():
        if name in singles[0]:
            assert one.grad is not None
            assert torch.allclose(one.grad, (singles[0][name] + singles[1][name]) / 2, atol=1e-6), name


def test_the_last_step_of_an_epoch_has_the_batches_that_are_left(tmp_path):
    recipe = replace(RECIPE, products=4, accumulate_batches=2)
    pairs = pairs_of_random_features(recipe=recipe)
    run = loop.RunState(tmp_path, Learner(tiny_network(recipe), recipe), recipe, pairs, pairs, torch.device("cpu"))
    assert [run.group_of(number) for number in range(3)] == [(True, False, 2), (False, True, 2), (True, True, 1)]


def test_the_average_follows_its_formula_and_leaves_the_network_as_it_was():
    network = torch.nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    average, expected = WeightAverage(network, 0.5), 0.0
    for number, value in enumerate((1.0, 3.0, -2.0)):
        network.weight.data.fill_(value)
        average.update(network, number)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
    with average.applied(network):
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == -2.0


def trained(folder, recipe, **how):
    folder.mkdir(exist_ok=True)
    network, pairs = tiny_network(recipe), pairs_of_random_features(recipe=recipe)
    metrics = loop.train(network, pairs, pairs, recipe, folder, **how)
    return network, metrics


def test_the_average_is_what_is_validated_and_kept_and_a_resumed_run_has_the_same(tmp_path):
    recipe = replace(RECIPE, ema_decay=0.8, keep_epoch="last")
    network, _ = trained(tmp_path / "a", recipe)
    last = checkpoint.read(tmp_path / "a" / loop.LAST).tensors
    name = "heads.deep.linear.weight"
    assert torch.equal(network.state_dict()[name], last["average." + name])
    assert not torch.equal(network.state_dict()[name], last["model.network." + name])

    class Killed(BaseException):
        pass

    def kill(done):
        if done.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "b", recipe, watch=loop.Watch(kill))
    again, _ = trained(tmp_path / "b", recipe, resume=True)
    for key, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.parametrize("after", [1, 4])
def test_mined_neighbors_stand_in_one_batch_and_a_resumed_run_has_the_same_batches(tmp_path, after):
    recipe = replace(RECIPE, products=4, mined_neighbors=2, keep_epoch="last", epochs=3)
    network, _ = trained(tmp_path / "a", recipe)
    order = checkpoint.read(tmp_path / "a" / loop.LAST).state["order"]
    assert sorted(order) == list(range(12))
    batches = sampling.plan(pairs_of_random_features(recipe=recipe), recipe, 2, np.array(order))
    rows = pairs_of_random_features(recipe=recipe).product
    assert sorted(sorted(set(rows[each].tolist())) for each in batches) == sorted(
        sorted(order[place : place + 4]) for place in (0, 4, 8)
    )

    class Killed(BaseException):
        pass

    done = []

    def kill(one):
        done.append(one)
        if len(done) == after:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "b", recipe, watch=loop.Watch(kill))
    again, _ = trained(tmp_path / "b", recipe, resume=True)
    for key, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_training_stops_after_so_many_epochs_without_a_better_one(tmp_path):
    trained(tmp_path, replace(RECIPE, epochs=30, lr=1e-12, backbone_lr=1e-12, patience=3))
    values = [line["nDCG@5"] for line in json.loads((tmp_path / "metrics.json").read_text())]
    assert len(values) == 1 + 3, "nothing is learned, so the epoch before the first is the best"
    assert checkpoint.read(tmp_path / loop.BEST).state["metrics"]["epoch"] == 0, "of equally good ones the first"
    with pytest.raises(BadRequest, match="patience stops at a worse epoch"):
        replace(RECIPE, patience=3, keep_epoch="last")


def test_half_precision_is_scaled_and_an_overflow_skips_the_step_and_halves_the_scale(tmp_path):
    recipe = replace(RECIPE, precision="float16")
    assert half_precision(torch.device("cpu"), recipe) == torch.float16
    pairs = pairs_of_random_features(recipe=recipe)
    run = loop.RunState(tmp_path, Learner(tiny_network(recipe), recipe), recipe, pairs, pairs, torch.device("cpu"))
    run.learner.train()
    batch = sampling.load(pairs, sampling.plan(pairs, recipe, 0)[0], 0)
    before = linear_of(run.learner.network, "deep").weight.detach().clone()
    run.scaler = torch.amp.GradScaler("cpu", init_scale=1e38)
    loop.train_step(run, batch)
    assert torch.equal(linear_of(run.learner.network, "deep").weight, before)
    assert run.scaler.get_scale() == pytest.approx(0.5e38, rel=1e-3)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    loop.train_step(run, batch)
    assert not torch.equal(linear_of(run.learner.network, "deep").weight, before)


def test_gradients_of_scaled_half_precision_are_near_those_of_whole_precision():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def scaled(model, batch, generator):
        return learner.backward(model, batch, generator, scaler=scaler)

    _, whole = gradients(RECIPE)
    _, half = gradients(replace(RECIPE, precision="float16"), scaled)
    one, other = (torch.cat([each[name].flatten() for name in whole]) for each in (half, whole))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.999
    assert float(one.norm() / other.norm()) == pytest.approx(1024, rel=0.01)


def test_a_device_that_is_not_there_is_refused():
    assert device("cpu") == torch.device("cpu")
    for name in ("cuda:77", "gpu"):
        with pytest.raises(BadRequest, match=f"there is no device '{name}'"):
            device(name)


def test_slices_of_a_batch_cover_it_once():
    for size in (1, 2, 3, 5):
        rows = np.concatenate([np.arange(11)[World(rank, size).own(11)] for rank in range(size)])
        assert rows.tolist() == list(range(11))


PROCESS = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from osoroi.training import run
from osoroi.training.distributed import Launch, world
from pairs import TINY, Drawn, selecting, tiny_network
recipe = replace(TINY, unfreeze_blocks=2, dropout=0.0, epochs=2, precision="float32", keep_epoch="last")
with world() as here:
    config = run.RunConfig(("drawn",), recipe)
    given = {{"select": selecting(Drawn(36)), "network": tiny_network(recipe), "on": Launch("cpu", here)}}
    run.run(config, Path(sys.argv[1]), **given)
"""


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    """torchrun starts them; gradients travel by gloo."""
    script = tmp_path / "train.py"
    script.write_text(PROCESS.format(tests=str(Path(__file__).parent)))
    for name, start in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"])):
        command = [sys.executable, *start, str(script), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (checkpoint.weights(checkpoint.read(tmp_path / name / loop.BEST)) for name in ("one", "two"))
    started = tiny_network(replace(TINY, unfreeze_blocks=2)).state_dict()
    assert not torch.allclose(one["heads.deep.linear.weight"], started["heads.deep.linear.weight"], atol=1e-3)
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-4), name
    lines = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert [line["loss"] for line in lines[1][1:]] == pytest.approx([line["loss"] for line in lines[0][1:]], abs=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cached_gradients_on_a_gpu_are_those_of_the_whole_batch():
    def on_gpu(model, batch, generator):
        return learner.backward(model.cuda(), loop.to_device(batch, torch.device("cuda")), generator)

    whole, parts = gradients(RECIPE, on_gpu), gradients(replace(RECIPE, grad_cache_rows=7), on_gpu)
    for name, gradient in whole[1].items():
        assert torch.allclose(parts[1][name], gradient, atol=1e-4), name
