"""The losses are the formulas of Gatys et al. (2016), with means in place of sums."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from monet_watch.engine.losses import (
    Evaluation,
    Moments,
    Objective,
    gaussian_distance,
    gram_distance,
    style_targets,
)
from monet_watch.recipes import Recipe

STYLE_LAYERS = ("conv1_1", "conv3_1")


@pytest.fixture
def image():
    return torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def photo():
    return torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def style():
    return torch.rand(1, 3, 32, 17, generator=torch.Generator().manual_seed(3))


def loop_gram(features: Tensor):
    """G[i, j] = Σ F[i, k]·F[j, k] / (C·H·W), in double precision."""
    flat = features[0].double().numpy().reshape(features.shape[1], -1)
    return np.array([[(a * b).sum() for b in flat] for a in flat]) / flat.size


def moments_of(features):
    """Second moments and mean of (n, C), by the definition."""
    return Moments(features.T @ features / len(features), features.mean(0))


def test_the_second_moments_are_the_gram_matrix_times_the_channels(tiny_network, style):
    found = style_targets(tiny_network, [style], Recipe(style_layers=STYLE_LAYERS))
    for name in STYLE_LAYERS:
        features = tiny_network(style, [name])[name]
        expected = features.shape[1] * loop_gram(features)
        np.testing.assert_allclose(found[name].second.numpy(), expected, rtol=1e-4, atol=1e-6)
        assert found[name].mean is None  # nothing is summed up that no one asks for


def test_each_loss_is_its_formula_times_its_weight(tiny_network, image, photo, style):
    recipe = Recipe(
        style_layers=STYLE_LAYERS,
        content_layers=("conv2_2", "conv4_2"),
        style_weight=100,
        content_weight=3,
        tv_weight=0.5,
    )
    objective = Objective(tiny_network, photo, style_targets(tiny_network, [style], recipe), recipe)
    losses = objective(image).losses

    def taps(picture, layer):
        return tiny_network(picture, [layer])[layer]

    content = sum(
        np.square((taps(image, name) - taps(photo, name)).double().numpy()).mean() for name in ("conv2_2", "conv4_2")
    )
    grams = sum(np.square(loop_gram(taps(image, name)) - loop_gram(taps(style, name))).mean() for name in STYLE_LAYERS)
    pixels = image[0].double().numpy()
    tv = np.abs(np.diff(pixels, axis=1)).sum() + np.abs(np.diff(pixels, axis=2)).sum()
    assert losses.content == pytest.approx(3 * content, rel=1e-4)
    assert losses.style == pytest.approx(100 * grams, rel=1e-4)
    assert losses.tv == pytest.approx(0.5 * tv, rel=1e-5)
    assert losses.total == pytest.approx(losses.style + losses.content + losses.tv, rel=1e-6)


def test_the_photo_itself_has_no_content_loss_and_the_style_itself_no_style_loss(tiny_network, photo):
    recipe = Recipe()
    objective = Objective(tiny_network, photo, style_targets(tiny_network, [photo], recipe), recipe)
    losses = objective(photo).losses

    assert losses.content == 0
    assert losses.style == pytest.approx(0, abs=1e-3)
    assert losses.tv > 0


def test_the_gradient_is_that_of_the_loss(tiny_network, photo, style):
    """Checked against differences of the loss in double precision, along random directions."""
    recipe = Recipe(style_layers=STYLE_LAYERS, content_layers=("conv4_2",), tv_weight=1e-3, style_weight=100)
    targets = style_targets(tiny_network, [style.double()], recipe, precision="fp64")
    objective = Objective(tiny_network, photo.double(), targets, recipe, precision="fp64")
    image = torch.rand(1, 3, 24, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    gradient = objective(image).gradient

    generator, size = torch.Generator().manual_seed(5), 1e-6
    for _ in range(3):
        direction = torch.randn(image.shape, dtype=torch.float64, generator=generator)
        above, below = (objective.losses(image + sign * size * direction).total for sign in (1, -1))
        assert (gradient * direction).sum().item() == pytest.approx((above - below) / (2 * size), rel=1e-4, abs=1e-6)


def test_the_target_of_several_styles_is_the_mean_of_their_gram_matrices(tiny_network, photo, style):
    recipe = Recipe(style_layers=STYLE_LAYERS, style_statistic="gaussian")
    both = style_targets(tiny_network, [photo, style], recipe)
    one, other = (style_targets(tiny_network, [picture], recipe) for picture in (photo, style))

    for name in STYLE_LAYERS:
        torch.testing.assert_close(both[name].second, (one[name].second + other[name].second) / 2)
        torch.testing.assert_close(both[name].mean, (one[name].mean + other[name].mean) / 2)


def gaussian_formula(moments, target):
    """|m - m*|² + tr S + tr S* - 2·tr (S·S*)^½: the eigenvalues of S·S* are those of S*^½·S·S*^½."""
    s, s_target = (each.second - torch.outer(each.mean, each.mean) for each in (moments, target))
    ridge = 1e-2 * s_target.diagonal().mean() * torch.eye(len(s), dtype=s.dtype)
    factor = torch.linalg.cholesky(s_target + ridge)
    roots = torch.linalg.eigvalsh(factor.T @ (s + ridge) @ factor).sqrt()
    traces = (s + s_target + 2 * ridge).diagonal().sum()
    return (moments.mean - target.mean).square().sum() + traces - 2 * roots.sum()


def gram_formula(moments, target):
    return ((moments.second - target.second) / len(moments.second)).square().mean()


@pytest.mark.parametrize(
    ("distance", "formula"), [(gram_distance, gram_formula), (gaussian_distance, gaussian_formula)]
)
def test_a_distance_and_its_derivatives_are_those_of_its_formula(distance, formula):
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(50, 6, generator=generator, dtype=torch.float64).requires_grad_()
    target = moments_of(torch.randn(40, 6, generator=generator, dtype=torch.float64) * torch.arange(1, 7) + 1)
    expected = formula(moments_of(features), target)
    (gradient,) = torch.autograd.grad(expected, features)

    loss, by = distance(moments_of(features.detach()), target)
    mean = 0 if by.mean is None else by.mean
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close((2 * features.detach() @ by.second + mean) / 50, gradient, rtol=1e-8, atol=1e-10)


def test_gaussians_of_uncorrelated_channels_differ_by_their_means_and_deviations():
    """Where covariances are diagonal, the distance is Σ (m - m*)² + Σ (σ - σ*)², but for the ridge of both."""
    m, m_target = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 2.0, 1.0])
    s, s_target = torch.tensor([1.0, 4.0, 0.25]), torch.tensor([4.0, 1.0, 0.25])
    one, other = (Moments(torch.diag(d.square()) + torch.outer(a, a), a) for a, d in ((m, s), (m_target, s_target)))

    ridge = 0.01 * s_target.square().mean()
    deviations = (s.square() + ridge).sqrt() - (s_target.square() + ridge).sqrt()
    expected = (m - m_target).square().sum() + deviations.square().sum()
    assert gaussian_distance(one, other)[0].item() == pytest.approx(expected.item(), rel=1e-4)
    assert gaussian_distance(one, one)[0].item() == pytest.approx(0, abs=1e-6)


def test_a_dead_channel_leaves_the_gaussian_distance_finite():
    alive = torch.randn(30, 4, generator=torch.Generator().manual_seed(8)) * torch.tensor([1.0, 1.0, 0.0, 1.0])
    for one, other in ((alive, alive + 1), (torch.zeros(30, 4), alive), (alive, torch.zeros(30, 4))):
        loss, by = gaussian_distance(moments_of(one), moments_of(other))
        assert loss.isfinite() and by.second.isfinite().all() and by.mean.isfinite().all()


def plain_evaluation(network, photo, style, recipe, shares, image):
    """The objective by autograd, from the formulas of each part; ``shares`` are those of the style layers."""
    image = image.clone().requires_grad_()
    taps, photos, styles = (plain_taps(network, picture, recipe.padding) for picture in (image, photo, style))
    relu = torch.relu if recipe.style_tap == "after_relu" else (lambda tap: tap)
    formula = {"gram": gram_formula, "gaussian": gaussian_formula}[recipe.style_statistic]

    def moments(tap):
        return moments_of(relu(tap)[0].flatten(1).T)

    style_loss = recipe.style_weight * sum(
        share * formula(moments(taps[name]), moments(styles[name]))
        for name, share in zip(recipe.style_layers, shares, strict=True)
    )
    content_loss = recipe.content_weight * sum(
        (taps[name] - photos[name]).square().mean() for name in recipe.content_layers
    )
    tv = sum(image.diff(dim=axis).abs().sum() for axis in (-1, -2))
    total = style_loss + content_loss + recipe.tv_weight * tv
    (gradient,) = torch.autograd.grad(total, image)
    return total.item(), gradient


def plain_taps(network, image, padding):
    x, taps = (image - network.mean) / network.std, {}
    for name, convolution in network.convolutions.items():
        if name.endswith("_1") and name != "conv1_1":
            x = F.avg_pool2d(x, 2)
        mode = "constant" if padding == "zeros" else padding
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), convolution.weight.double(), convolution.bias.double())
        taps[name], x = x, x.relu()
    return taps


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("statistic", ["gram", "gaussian"])
@pytest.mark.parametrize("tap", ["before_relu", "after_relu"])
def test_the_gradient_is_autograd_s_of_the_plain_formulas(tiny_network, padding, statistic, tap):
    """With a layer that is both content and style, odd sides, and unequal shares of the layers."""
    generator = torch.Generator().manual_seed(9)
    image, photo, style = (
        torch.rand(1, 3, *size, dtype=torch.float64, generator=generator) for size in ((45, 70), (45, 70), (64, 50))
    )
    recipe = Recipe(
        style_layers=("conv1_1", "conv2_2", "conv4_2"), content_layers=("conv2_2", "conv3_3"), style_weight=10,
        padding=padding, style_statistic=statistic, style_tap=tap, style_falloff=2.0,
    )  # fmt: skip
    targets = style_targets(tiny_network, [style], recipe, precision="fp64")
    found = Objective(tiny_network, photo, targets, recipe, precision="fp64")(image)

    shares = (12 / 7, 6 / 7, 3 / 7)  # each twice the next, and 1 on average
    total, gradient = plain_evaluation(tiny_network, photo, style, recipe, shares, image)
    assert found.losses.total == pytest.approx(total, rel=1e-8)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-6, atol=1e-9)


def test_in_bf16_the_gradient_points_the_same_way(tiny_network, image, photo, style):
    recipe, found = Recipe(style_weight=100), {}
    for precision in ("fp32", "bf16"):
        targets = style_targets(tiny_network, [style], recipe, precision=precision)
        found[precision] = Objective(tiny_network, photo, targets, recipe, precision=precision)(image)
    one, other = found["fp32"], found["bf16"]

    assert isinstance(one, Evaluation) and other.gradient.dtype == torch.float32
    assert other.losses.total == pytest.approx(one.losses.total, rel=0.05)  # of few channels and positions
    assert F.cosine_similarity(one.gradient.flatten(), other.gradient.flatten(), dim=0) > 0.98


def test_an_evaluation_keeps_nothing_of_the_image_and_leaves_it_as_it_is(tiny_network, image, photo, style):
    recipe = Recipe()
    objective = Objective(tiny_network, photo, style_targets(tiny_network, [style], recipe), recipe)
    before = image.clone()
    first, second = objective(image), objective(image)

    assert torch.equal(image, before)
    assert first.losses == second.losses and torch.equal(first.gradient, second.gradient)
    assert not first.gradient.requires_grad
