"""Shallow features against plain loops."""

import numpy as np
import pytest
import torch

from osoroi.model import pooling

MAPS = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0)) * 4 + 1
WEIGHTS = torch.rand(2, 8, 12, generator=torch.Generator().manual_seed(1)) ** 4
SHARES = pooling.shares(WEIGHTS)


def test_mean_and_deviation_count_each_position_by_its_weight():
    for b in range(2):
        for c in range(3):
            values, shares = MAPS[b, c].flatten().double().numpy(), WEIGHTS[b].flatten().double().numpy()
            mean = np.average(values, weights=shares)
            deviation = np.average((values - mean) ** 2, weights=shares) ** 0.5
            assert pooling.mean(MAPS, SHARES)[b, c].item() == pytest.approx(mean, abs=1e-4)
            means, variances = pooling.moments(MAPS, SHARES)
            assert means[b, c].item() == pytest.approx(mean, abs=1e-4)
            assert pooling.root(variances)[b, c].item() == pytest.approx(deviation, abs=1e-4)


def test_shares_of_a_finer_resolution_are_added_up_to_that_of_the_maps():
    fine = torch.zeros(1, 16, 24)
    fine[0, :2, 2:6] = 1.0  # above the second and third position of the first row
    found = pooling.mean(MAPS, pooling.resized(pooling.shares(fine), 8, 12)).squeeze(2)
    assert found.tolist() == pytest.approx(MAPS[:, :, 0, 1:3].mean(2).numpy(), abs=1e-3)


@pytest.mark.parametrize("size", [(16, 36), (4, 24), (1, 1), (15, 18)])
def test_shares_of_another_size_are_those_of_the_resized_weights(size):
    """Linear up, as torch interpolates, and averaged down; the last size is no multiple."""
    height, width = size
    up = torch.nn.functional.interpolate(WEIGHTS[:, None], (max(8, height), max(12, width)), mode="bilinear")
    down = torch.nn.functional.adaptive_avg_pool2d(up, size).squeeze(1)
    found = pooling.resized(SHARES, height, width)
    assert torch.allclose(found, down / down.sum((1, 2), keepdim=True), atol=2e-6)
    assert found.sum((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_weights_that_are_zero_everywhere_count_all_positions_alike():
    nowhere = pooling.shares(torch.zeros(2, 8, 12))
    assert torch.allclose(pooling.mean(MAPS, nowhere).squeeze(2), MAPS.mean((2, 3)), atol=1e-5)


def test_a_map_that_never_changes_has_hardly_a_deviation_and_a_gradient():
    flat = torch.full((1, 2, 4, 4), 3.0, requires_grad=True)
    found = pooling.root(pooling.moments(flat, torch.full((1, 4, 4), 1 / 16))[1])
    found.sum().backward()
    assert found.max() <= 1.001e-3
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def slow_histogram(colours, weights, bins):
    """One colour, one bin at a time."""
    counted = np.zeros(bins)
    reach = ((0, 100), (-64, 64), (-64, 64))
    for y in range(colours.shape[1]):
        for x in range(colours.shape[2]):
            for bin_ in np.ndindex(*bins):
                share = weights[y, x]
                for axis in range(3):
                    first, last = reach[axis]
                    step = (last - first) / (bins[axis] - 1)
                    value = min(max(colours[axis, y, x], first), last)
                    share *= max(0, 1 - abs(value - (first + step * bin_[axis])) / step)
                counted[bin_] += share
    return counted.ravel() / weights.sum()


def test_the_histogram_spreads_each_colour_over_its_neighbours():
    random = np.random.default_rng(2)
    colours = np.stack(
        [random.uniform(-5, 105, (3, 4)), random.uniform(-90, 90, (3, 4)), random.uniform(-30, 9, (3, 4))]
    )
    weights, bins = random.uniform(0.1, 1, (3, 4)), (3, 4, 5)
    axes = pooling.axes(bins)
    origin, unit = (torch.tensor(each, dtype=torch.float64)[:, None] for each in (axes.origin, axes.unit))
    places = (torch.tensor(colours).flatten(1) - origin) / unit
    both = torch.stack([places, places.flip(0)])[None]  # two sets of colours, as under two lights
    found = pooling.soft_histogram(both, torch.tensor(weights / weights.sum())[None], bins)
    assert found[0, 0].numpy() == pytest.approx(slow_histogram(colours, weights, bins), abs=1e-5)
    assert found.sum(2).flatten().tolist() == pytest.approx([1, 1])
    assert (found[0, 0] - found[0, 1]).abs().max() > 0.01


def test_the_grid_holds_the_weighed_mean_of_each_cell_row_by_row():
    maps, weights = MAPS[:, :, :8, :12], WEIGHTS
    found = pooling.coarse_grid(maps, SHARES, 4, 3).reshape(2, 4, 3, 3)
    for row in range(4):
        for column in range(3):
            cell = (slice(2 * row, 2 * row + 2), slice(4 * column, 4 * column + 4))
            for c in range(3):
                slow = np.average(maps[1, c][cell].numpy(), weights=weights[1][cell].numpy())
                assert found[1, row, column, c].item() == pytest.approx(slow, abs=2e-3)


def test_a_cell_without_the_garment_takes_the_garments_mean():
    weights = torch.zeros(2, 8, 12)
    weights[:, :4] = 1.0
    found = pooling.coarse_grid(MAPS, pooling.shares(weights), 2, 1)
    assert torch.isfinite(found).all()
    assert (found[:, 1] - MAPS[:, :, 4:].mean((2, 3))).abs().max() < 4 * 2  # the values stay in the maps' range


def test_the_bell_is_highest_in_the_middle_and_wider_than_tall_on_a_wide_crop():
    bell = pooling.centred(5, 9, 0.25)[0]
    assert bell[2, 4] == 1.0
    assert bell[0, 4].item() == pytest.approx(np.exp(-((0.5 / 0.25) ** 2) / 2))  # two deviations from the middle
    assert bell[2, 0].item() == pytest.approx(bell[0, 4].item())


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_thumbnails_are_in_full_precision_while_a_network_trains_in_half(half):
    """Colour features follow from them; 1/256, a step of bfloat16 below 1, is one of the 256 shades of a photo."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    full = pooling.thumbnails(images, 4)
    with torch.autocast("cpu", half):
        assert torch.equal(pooling.thumbnails(images, 4), full)
    assert full.dtype == torch.float32
