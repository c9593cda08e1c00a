"""The published network: every size, and whole forward passes against plain loops."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

import loops
from osoroi.errors import BadRequest, BadRun
from osoroi.model import backbones, export, multiscale
from osoroi.model.backbones import Maps
from osoroi.model.multiscale import Published
from osoroi.model.shallow import Shallow
from osoroi.recipe import Recipe
from osoroi.recipes import PUBLISHED, named
from osoroi.records import Part
from osoroi.training import checkpoint, feature_cache, loop, run
from osoroi.training.selection import Datasets
from osoroi.training.view_loader import preprocessing


class Seer(nn.Module):
    """A backbone as wide as GoogLeNet that is quick: 1,024 mean_metrics of a coarse convolution, in two blocks."""

    widths = (8, 1024)
    width = 1024

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 16, 56)
        self.second = nn.Conv2d(8, 1024, 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        seen = self.below(images, 2)
        return Maps(seen, seen[-1])

    def below(self, images: Float[Tensor, "b 3 h w"], cut: int) -> list[Tensor]:
        first = self.first(images)
        return [first, self.second(first)][:cut]

    def above(self, maps: Float[Tensor, "b c y x"], cut: int) -> Maps:
        seen = [self.second(maps)] if cut == 1 else []
        return Maps(seen, seen[-1] if seen else maps)

    def upper(self, cut: int) -> list[nn.Module]:
        layers: list[nn.Module] = [self.first, self.second]
        return layers[cut:]


def paths(network: Published) -> list[Shallow]:
    """The shallow paths of a network that has some."""
    assert network.shallow is not None
    found = list(network.shallow)
    assert all(isinstance(path, Shallow) for path in found)
    return cast(list[Shallow], found)


def statistics_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The running means and variances of a layer."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def deep_means(network: Published, crops: Tensor) -> np.ndarray:
    """The means of the backbone's last maps."""
    assert network.backbone is not None
    return network.backbone(crops.permute(0, 3, 1, 2) / 255).last.mean((2, 3)).numpy()


def made(arm: str, **settings) -> Published:
    """An arm whose batch normalisation is not the identity, so that leaving it out would show."""
    torch.manual_seed(3)
    network = Published(arm, None if arm == "shallow" else Seer(), **settings)
    for path in paths(network) if network.shallow is not None else []:
        for values, low, high in (("weight", 0.5, 2), ("bias", -0.5, 0.5)):
            nn.init.uniform_(getattr(path.norm, values), low, high)
        mean, variance = statistics_of(path.norm)
        mean.uniform_(-0.5, 0.5)
        variance.uniform_(0.5, 2)
        assert path.conv.bias is not None
        nn.init.uniform_(path.conv.bias, -0.5, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Two lopsided crops."""
    draw = torch.Generator().manual_seed(8)
    spots = torch.randint(0, 256, (2, 224, 224, 3), generator=draw).to(torch.uint8)
    spots[0, :, 100:] //= 4
    spots[1, 30:, :, 2] = 250
    return spots


def slow_convolved(network: Published, crop: np.ndarray) -> list[np.ndarray]:
    """What both shallow convolutions give of a crop."""
    pixels = crop[:, :, ::-1].transpose(2, 0, 1).astype(np.float64)
    pixels = pixels - np.array([104.0, 117.0, 123.0])[:, None, None]
    small = [loops.mean_pool(pixels, 4, 4, 2), loops.mean_pool(pixels, 8, 8, 4)]
    assert [one.shape for one in small] == [(3, 57, 57), (3, 29, 29)]
    convolved = [
        loops.convolve(one, loops.numbers(path.conv.weight), loops.numbers(path.conv.bias), 4, 1)
        for one, path in zip(small, paths(network), strict=True)
    ]
    assert [one.shape for one in convolved] == [(96, 15, 15), (96, 8, 8)]
    return convolved


def l2(values: np.ndarray) -> np.ndarray:
    """As the published framework: over the length plus 1e-5."""
    return values / (np.sqrt((values**2).sum()) + 1e-5)


def slow_shallow(network: Published, convolved: list[np.ndarray], statistics) -> np.ndarray:
    """The 3,072 numbers, of length one, of convolved pixels, with mean_metrics and variances for both paths."""
    found = []
    for maps, path, (mean, variance), (kernel, stride) in zip(
        convolved, paths(network), statistics, ((5, 4), (4, 2)), strict=True
    ):
        scale, shift = loops.numbers(path.norm.weight), loops.numbers(path.norm.bias)
        normal = loops.relu(loops.batch_norm(maps, mean, variance, scale, shift, 2e-5))
        largest = loops.max_pool(normal, kernel, stride, 1)
        assert largest.shape == (96, 4, 4)
        found.append(largest.reshape(-1))
    shallow = np.concatenate(found)
    assert shallow.shape == (3072,)
    return l2(shallow)


def slow_head(network: Published, entering: np.ndarray) -> np.ndarray:
    weights = [loops.numbers(one) for one in network.head.parameters()]
    assert [one.shape for one in weights] == [(4096, len(entering)), (4096,), (256, 4096), (256,)]
    hidden = np.array([(row * entering).sum() for row in weights[0]]) + weights[1]
    hidden = l2(loops.relu(hidden))
    return loops.unit(np.array([(row * hidden).sum() for row in weights[2]]) + weights[3])


def running(network: Published) -> list[tuple[np.ndarray, np.ndarray]]:
    both = [statistics_of(path.norm) for path in paths(network)]
    return [(loops.numbers(mean), loops.numbers(variance)) for mean, variance in both]


def test_both_is_what_plain_loops_give(crops):
    network = made("both")
    with torch.inference_mode():
        vectors, deep = network(crops), deep_means(network, crops)
    for crop, vector, mean in zip(crops.numpy(), vectors.numpy(), deep, strict=True):
        shallow = slow_shallow(network, slow_convolved(network, crop), running(network))
        entering = np.concatenate([l2(mean.astype(np.float64)), shallow])
        assert entering.shape == (4096,)
        assert np.abs(vector - slow_head(network, entering)).max() < 1e-5
    assert vectors.shape == (2, 256)


def test_shallow_in_training_is_what_plain_loops_give_with_the_statistics_of_the_batch(crops):
    network = made("shallow")
    before = running(network)
    convolved = [slow_convolved(network, crop) for crop in crops.numpy()]  # of each crop both paths
    statistics = [
        (np.stack(path).mean((0, 2, 3)), np.stack(path).var((0, 2, 3))) for path in zip(*convolved, strict=True)
    ]
    vectors = network.train()(crops)
    for vector, both in zip(vectors, convolved, strict=True):
        expected = slow_head(network, slow_shallow(network, both, statistics))
        assert np.abs(loops.numbers(vector) - expected).max() < 1e-5
    for old, (mean, variance), new, places in zip(before, statistics, running(network), (15, 8), strict=True):
        count = 2 * places**2
        assert new[0] == pytest.approx(0.9 * old[0] + 0.1 * mean, rel=1e-4, abs=1e-4)
        assert new[1] == pytest.approx(0.9 * old[1] + 0.1 * variance * count / (count - 1), rel=1e-4)


def test_deep_is_the_head_of_the_trunks_mean(crops):
    network = made("deep")
    with torch.inference_mode():
        vectors, deep = network(crops), deep_means(network, crops)
    expected = slow_head(network, l2(deep[1].astype(np.float64)))
    assert np.abs(vectors[1].numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("ceil", [False, True])
def test_the_published_sizes_need_no_ceil_mode(ceil):
    """57 -> 15 -> 4 and 29 -> 8 -> 4 by rounding down; the maxima come out even, so ceil mode changes nothing."""

    def side(entering, kernel, stride, padding, up=False):
        room = entering + 2 * padding - kernel
        return (-(-room // stride) if up else room // stride) + 1

    assert [side(224, 4, 4, 2), side(224, 8, 8, 4)] == [57, 29]
    assert [side(57, 3, 4, 1), side(29, 3, 4, 1)] == [15, 8]
    assert [side(15, 5, 4, 1, ceil), side(8, 4, 2, 1, ceil)] == [4, 4]
    fine, coarse = torch.zeros(1, 1, 15, 15), torch.zeros(1, 1, 8, 8)
    assert nn.functional.max_pool2d(fine, 5, 4, 1, ceil_mode=ceil).shape[2:] == (4, 4)
    assert nn.functional.max_pool2d(coarse, 4, 2, 1, ceil_mode=ceil).shape[2:] == (4, 4)


def test_the_weights_are_as_many_as_the_sizes_say():
    shallow = 2 * (96 * 27 + 96 + 2 * 96)
    for arm, entering, extra in (("deep", 1024, 0), ("shallow", 3072, shallow), ("both", 4096, shallow)):
        network = Published(arm, None if arm == "shallow" else Seer())
        learning = sum(one.numel() for one in network.parameters() if one.requires_grad)
        assert learning == entering * 4096 + 4096 + 4096 * 256 + 256 + extra, arm
        assert [(part.name, part.size, part.weight) for part in network.parts] == [(arm, 256, 1.0)]


def test_weights_start_as_the_published_framework_started_them():
    """Its listing: convolutions with wscale = .02 sqrt(27), of which it took the root, over the root of 27 inputs."""
    torch.manual_seed(0)
    network = Published("shallow", None)
    deviation = (0.02 * 27**0.5) ** 0.5 / 27**0.5
    assert deviation == pytest.approx(0.062, abs=5e-4)
    for path in paths(network):
        weight = path.conv.weight
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)  # of 2,592 numbers
        assert abs(weight.mean().item()) < 0.006
        assert weight.abs().max() > 2.5 * deviation  # normal, not uniform, which would end at 1.7
        assert path.conv.bias is not None
        assert not path.conv.bias.any()
        assert (path.norm.eps, path.norm.momentum) == (2e-5, pytest.approx(0.1))
    for layer, inputs in ((network.head.hidden, 3072), (network.head.last, 4096)):
        assert layer.weight.std().item() == pytest.approx(inputs**-0.5, rel=0.01)
        assert layer.weight.abs().max() > 3 * inputs**-0.5
        assert not layer.bias.any()


def test_the_output_is_raw_in_training_only_where_the_recipe_says_so(crops):
    recipe = named("published-shallow")
    raw = multiscale.build(replace(recipe, normalize_output=False), None)
    unit = multiscale.build(recipe, None)
    with torch.inference_mode():
        assert torch.equal(raw(crops), unit(crops))
        trained, other = raw.train()(crops), unit.train()(crops)
    assert torch.allclose(other.norm(dim=1), torch.ones(2), atol=1e-6)
    assert (trained.norm(dim=1) - 1).abs().min() > 0.05
    assert torch.allclose(nn.functional.normalize(trained), other, atol=1e-6)
    for settings in ({"loss": "info_nce"}, {"network": "parts", "backbone": "efficientnet_lite0", "image_size": 192}):
        with pytest.raises(BadRequest, match="normalize_output=no"):
            replace(recipe, normalize_output=False, **settings)


@pytest.mark.parametrize(
    ("arm", "unfreeze_blocks"), [("deep", 0), ("deep", 1), ("shallow", 0), ("both", 0), ("both", 1)]
)
def test_what_was_kept_in_half_precision_gives_the_same_vectors(arm, unfreeze_blocks, crops):
    network = made(arm, unfreeze_blocks=unfreeze_blocks)
    with torch.inference_mode():
        kept = network.below(crops)
        assert all(one.dtype == torch.float16 and len(one) == len(crops) for one in kept)
        assert (network.above(*kept) * network(crops)).sum(1).min() > 0.9999


def test_what_the_deep_arm_keeps_serves_both(crops):
    with torch.inference_mode():
        deep, both = (made(arm).below(crops) for arm in ("deep", "both"))
    assert len(deep) == len(both) == 3
    assert all(torch.equal(one, other) for one, other in zip(deep, both, strict=True))
    recipe = Recipe("arm", network="deep", backbone="googlenet", image_size=224)
    assert feature_cache.frozen(made("deep"), recipe) == feature_cache.frozen(made("both"), replace(recipe, seed=4))
    assert feature_cache.frozen(made("deep"), recipe) != feature_cache.frozen(made("shallow"), recipe)


def test_where_all_of_the_trunk_learns_the_crops_are_kept(crops):
    network = made("both", unfreeze_blocks=2)
    assert torch.equal(network.below(crops)[0], crops)
    assert torch.equal(network.above(crops), network(crops))


@pytest.mark.parametrize(("unfreeze_blocks", "learning"), [(0, set()), (1, {"second"}), (2, {"first", "second"})])
def test_gradients_reach_the_heads_the_shallow_paths_and_the_tuned_blocks(unfreeze_blocks, learning, crops):
    network = made("both", unfreeze_blocks=unfreeze_blocks).train()
    network(crops)[0].sum().backward()
    reached = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    asked = {name for name, weight in network.named_parameters() if weight.requires_grad}
    zero = {f"shallow.{path}.conv.bias" for path in (0, 1)}  # normalisation takes every constant away again
    assert reached | zero == asked | zero
    assert {name.split(".")[1] for name in asked if name.startswith("backbone.")} == learning


def test_a_run_of_the_same_seed_starts_from_the_same_weights():
    recipe = Recipe("s", network="shallow", backbone="", image_size=224, init="random", dim=256, dropout=0.0)
    one, same = multiscale.build(recipe, None), multiscale.build(recipe, None)
    other = multiscale.build(replace(recipe, seed=1), None)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.head.last.weight, other.head.last.weight)
    assert not one.training


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_size": 192}, "the published sizes follow from 224"),
        ({"backbone": "googlenet"}, "only shallow has none"),
        ({"network": "deep"}, "only shallow has none"),
        ({"init": "lda"}, "set init=random"),
    ],
)
def test_settings_that_were_not_published_are_refused(settings, said):
    recipe = Recipe("s", network="shallow", backbone="", image_size=224, init="random")
    with pytest.raises(BadRun, match=said):
        multiscale.build(replace(recipe, **settings), None)


@pytest.mark.slow
def test_a_run_learns_an_arm_and_its_file_gives_the_same_vectors(tmp_path):
    """From drawn products to an encoder file, as `osoroi train` and `osoroi export` do."""
    recipe = named("published-shallow", {"epochs": 2, "products": 8})
    config = run.RunConfig(("drawn:36",), recipe)
    run.run(config, tmp_path / "run", select=Datasets(config).select)
    network, notes = run.load(tmp_path / "run")
    assert network.parts == (Part("shallow", 256, 1.0),)
    assert notes.recipe == recipe
    started = multiscale.build(recipe, None).state_dict()
    last = checkpoint.weights(checkpoint.read(tmp_path / "run" / loop.LAST))
    assert not torch.equal(last["network.shallow.0.conv.weight"], started["shallow.0.conv.weight"])
    crops = run.crops_of(tmp_path / "run")[:4]
    encoder = export.export(
        network,
        tmp_path / "shallow.onnx",
        parts=network.parts,
        preprocessing=preprocessing(recipe),
        crops=crops,
        recipe=recipe.name,
        training="drawn:36",
        licence="CC0-1.0",
    )
    assert [part.name for part in encoder.parts] == ["shallow"]


@pytest.mark.slow
def test_the_file_of_both_arms_on_googlenet_gives_the_same_vectors(tmp_path, crops):
    """Response normalisation, partial windows and padding that counts, as ONNX Runtime has them."""
    torch.manual_seed(1)
    network = Published("both", backbones.build("googlenet")).eval()
    crops = list(crops.numpy())
    views = preprocessing(PUBLISHED)
    told = {"recipe": "r", "training": "t", "licence": "CC0-1.0"}
    export.export(network, tmp_path / "both.onnx", parts=network.parts, preprocessing=views, crops=crops, **told)
