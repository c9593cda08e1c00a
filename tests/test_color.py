"""CIE Lab against published values and a slow scalar version."""

import pytest
import torch

from osoroi.model.color import both_lights, lab, lab_coordinates, shades_of_gray


def slow_lab(red, green, blue):
    """CIE 15:2004 and IEC 61966-2-1, one colour at a time."""
    r, g, b = (((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92 for v in (red, green, blue))
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    x, y, z = (v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_the_primaries_lie_where_the_tables_say(rgb, expected):
    found = lab(torch.tensor(rgb).view(1, 3, 1, 1) / 255).flatten().tolist()
    assert found == pytest.approx(expected, abs=0.02)


def test_every_pixel_is_converted_as_one_colour_at_a_time():
    images = torch.rand(2, 3, 3, 5, generator=torch.Generator().manual_seed(1)) ** 3  # many dark ones, below the knees
    found = lab(images)
    for b in range(2):
        for y in range(3):
            for x in range(5):
                slow = slow_lab(*images[b, :, y, x].tolist())
                assert found[b, :, y, x].tolist() == pytest.approx(slow, abs=1e-3)


def test_black_has_a_gradient():
    images = torch.zeros(1, 3, 1, 1, requires_grad=True)
    lab(images).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def test_coordinates_are_lab_of_the_colours_under_another_light():
    colours = torch.rand(2, 1, 3, 40, generator=torch.Generator().manual_seed(3)) ** 3
    gains = torch.tensor([[1.0, 1.0, 1.0], [0.4, 2.0, 1.5]])[:, :, None]
    origin, unit = (10.0, -64.0, 5.0), (12.5, 16.0, 2.0)
    found = lab_coordinates(colours, gains, origin, unit)
    lit = (colours * gains).clamp(max=1)
    assert (lit == 1).any()
    expected = (lab(lit[..., None]).squeeze(-1) - torch.tensor(origin)[:, None]) / torch.tensor(unit)[:, None]
    assert found.shape == (2, 2, 3, 40)
    assert torch.allclose(found, expected, atol=1e-4)


def test_another_light_changes_hardly_anything_once_a_photo_is_relit():
    scene = torch.rand(2, 3, 576, generator=torch.Generator().manual_seed(2)) * 0.6 + 0.05
    light = torch.tensor([1.3, 0.9, 0.75]).view(1, 3, 1)
    before, after = (lit(each) for each in (scene, scene * light))
    assert (before - after).abs().max() < 0.005
    assert (scene - scene * light).abs().max() > 0.1
    loops = [(scene[1, c] ** 6).mean() ** (1 / 6) for c in range(3)]
    expected = torch.stack([0.9 * scene[1, c] / (loops[c] + 1e-3) for c in range(3)]).clamp(max=1)
    assert torch.allclose(before[1], expected, atol=1e-5)


def test_both_lights_are_none_and_shades_of_gray():
    scene = torch.rand(2, 1, 3, 50, generator=torch.Generator().manual_seed(4))
    found = both_lights(scene)
    assert torch.equal(found[:, 0], torch.ones(2, 3, 1))
    assert torch.allclose(found[:, 1], shades_of_gray(scene[:, 0]), rtol=1e-6)


def test_a_black_photo_stays_black_and_has_a_gradient():
    images = torch.zeros(1, 3, 4, requires_grad=True)
    found = lit(images)
    found.sum().backward()
    assert not found.any()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def lit(colours: torch.Tensor) -> torch.Tensor:
    """Colours under white light."""
    return (colours * shades_of_gray(colours)).clamp(max=1)
