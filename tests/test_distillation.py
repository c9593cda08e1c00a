"""A teacher: what it says of likeness is what the student learns, of pairs, of photos alone, or of both."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osoroi.errors import BadRequest
from osoroi.records import Part
from osoroi.training import dataset, loop, losses, run, sampling
from osoroi.training.learner import Learner, similarities
from osoroi.training.selection import Datasets, select
from pairs import TINY, Drawn, tiny_network
from tiny import TinyEncoder

RECIPE = replace(TINY, views=2, products=12)


def rows(*vectors):
    table = torch.tensor(vectors)
    return table / table.norm(dim=1, keepdim=True)


def test_the_relational_loss_is_the_divergence_of_neighbours():
    student = rows([1.0, 0.0], [0.6, 0.8], [0.0, 1.0])  # cosines .6, 0, .8
    teacher = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.3], [0.1, 0.3, 1.0]])

    def divergence(taught, own):
        p, q = (np.exp(np.array(values) * 5) / np.exp(np.array(values) * 5).sum() for values in (taught, own))
        return float((p * np.log(p / q)).sum())

    expected = np.mean(
        [divergence([0.9, 0.1], [0.6, 0.0]), divergence([0.9, 0.3], [0.6, 0.8]), divergence([0.1, 0.3], [0.0, 0.8])]
    )
    assert losses.relational(student, teacher[None], 5.0).item() == pytest.approx(expected, rel=1e-5)


def test_several_teachers_are_averaged_as_distributions():
    student = rows([1.0, 0.0], [0.6, 0.8], [0.0, 1.0])
    one, other = torch.eye(3) + 0.5 * torch.eye(3).roll(1, 1), torch.eye(3) + 0.5 * torch.eye(3).roll(2, 1)
    both = losses.relational(student, torch.stack([one, other]), 5.0)
    halves = 0.5 * (5.0 * one).masked_fill(torch.eye(3, dtype=torch.bool), -torch.inf).softmax(1)
    halves += 0.5 * (5.0 * other).masked_fill(torch.eye(3, dtype=torch.bool), -torch.inf).softmax(1)
    single = halves.clamp(min=1e-30).log() / 5.0
    assert both.item() == pytest.approx(losses.relational(student, single[None], 5.0).item(), rel=1e-4)


def test_one_row_has_no_neighbours_and_a_gradient():
    student = torch.ones(1, 2, requires_grad=True)
    loss = losses.relational(student, torch.ones(1, 1, 1), 5.0)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_similarities_are_of_a_part_or_weighted():
    vectors = torch.tensor([[1.0, 0.0, 0.6, 0.8], [0.0, 1.0, 1.0, 0.0]])
    parts = (Part("deep", 2, 0.25), Part("detail", 2, 0.75))
    assert similarities(vectors, parts, "detail")[0, 1].item() == pytest.approx(0.6)
    assert similarities(vectors, parts, "both")[0, 1].item() == pytest.approx(0.75 * 0.6)


def taught(folder, recipe=RECIPE, *, pairs=(), photos=(), teachers=None, split="train"):
    chosen = select(pairs, split, photos=photos)
    network = tiny_network(recipe)
    teachers = [TinyEncoder()] if teachers is None else teachers
    return network, dataset.load_pairs(
        chosen, network, recipe, folder / split, augmented=split == "train", teachers=teachers
    )


def test_a_teacher_sees_each_crop_once_and_plain(tmp_path):
    _, pairs = taught(tmp_path, pairs=[Drawn(30)])
    (own,) = pairs.teachers
    assert [part.name for part in own.parts] == ["deep", "detail"]
    first = np.flatnonzero(pairs.is_street)[:2]
    assert pairs.view[first].tolist() == [0, 1]  # two views of one crop
    assert np.array_equal(own.vectors[first[0]], own.vectors[first[1]])
    chosen = select([Drawn(30)], "train")
    product, crop = next(pair for pair in chosen.crops if pair[1].domain == "street")
    assert product == pairs.product[first[0]]
    expected = TinyEncoder().encode_query([crop.photo], boxes=[crop.box]) * 2  # both weights are a half
    assert np.allclose(own.vectors[first[0]], expected[0], atol=1e-6)


@pytest.mark.slow
def test_training_brings_the_student_nearer_to_its_teacher(tmp_path):
    recipe = replace(RECIPE, epochs=20, lr=2e-2, dropout=0.0, keep_epoch="last")
    network, pairs = taught(tmp_path, recipe, photos=[Drawn(54)])
    before = distance(network, pairs, recipe)
    loop.train(network, pairs, pairs, recipe, tmp_path)
    assert distance(network, pairs, recipe) < 0.7 * before


def distance(network, pairs, recipe):
    batch = sampling.load(pairs, sampling.plan(pairs, recipe, 0)[0], 0)
    learner = Learner(network, recipe, [each.parts for each in pairs.teachers]).eval()
    with torch.no_grad():
        return float(learner.distillation(learner.embed(batch.images, batch.product), batch))


def test_photos_alone_are_their_own_pairs_and_have_no_pair_loss(tmp_path):
    network, pairs = taught(tmp_path, photos=[Drawn(30)])
    assert pairs.unpaired == {0}
    assert np.array_equal(np.bincount(pairs.product), np.full(len(pairs), 3))  # two street views, one shop view
    batch = sampling.load(pairs, sampling.plan(pairs, RECIPE, 0)[0], 0)
    assert not batch.is_paired
    learner = Learner(network, RECIPE, [each.parts for each in pairs.teachers])
    vectors = learner.embed(batch.images, batch.product)
    loss = learner.loss(vectors, batch, torch.Generator())
    assert loss.item() == pytest.approx(learner.distillation(vectors, batch).item())


def test_pairs_and_photos_stand_in_batches_of_their_own(tmp_path):
    _, pairs = taught(tmp_path, pairs=[Drawn(30)], photos=[Drawn(18)])
    assert pairs.unpaired == {1}
    found = [sampling.load(pairs, rows, 0).is_paired for rows in sampling.plan(pairs, RECIPE, 0)]
    assert set(found) == {True, False}
    held_out = select([Drawn(30)], "val", photos=[Drawn(18)])
    assert held_out.unpaired == frozenset()  # photos are not validated on beside pairs


def test_photos_alone_are_validated_by_an_augmented_view(tmp_path):
    _, held_out = taught(tmp_path, photos=[Drawn(60)], teachers=[], split="val")
    assert not held_out.view.any()
    images = held_out.load(np.arange(len(held_out.product)), 0)[0]
    street, shop = images[held_out.is_street], images[~held_out.is_street]
    assert not torch.equal(street, shop)


def config(**changes):
    recipe = changes.pop("recipe", replace(RECIPE, epochs=2))
    return run.RunConfig(changes.pop("datasets", ("drawn:30:3",)), recipe, **changes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config(datasets=()), "nothing to learn from"),
        (config(teachers=("t.onnx",), recipe=replace(RECIPE, epochs=0)), "no epochs for a teacher"),
        (config(photos=("drawn:30:3",)), "need a teacher"),
        (config(datasets=(), photos=("drawn:30:3",), teachers=("t",), recipe=replace(RECIPE, views=1)), "views"),
    ],
)
def test_what_would_teach_nothing_is_refused(tmp_path, wrong, message):
    with pytest.raises(BadRequest, match=message):
        run.run(wrong, tmp_path / "run", select=Datasets(wrong).select)
    assert not (tmp_path / "run").exists()
