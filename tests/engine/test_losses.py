"""The losses are the formulas of Gatys et al. (2016), with means in place of sums."""

import numpy as np
import pytest
import torch
from torch import Tensor

from monet_watch.engine.losses import Objective, gram_matrix, style_targets, total_variation
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


def test_a_gram_matrix_holds_the_products_of_channels_over_the_number_of_values():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, -1.0], [1.0, 2.0]]]])

    # F·Fᵀ = [[1+4+9+16, -2+3+8], [.., 1+1+4]], and C·H·W = 8.
    assert gram_matrix(features).tolist() == [[30 / 8, 9 / 8], [9 / 8, 6 / 8]]


def test_total_variation_is_the_sum_of_absolute_differences_of_neighbours():
    image = torch.tensor([[[[0.0, 1.0, 0.5], [0.0, 0.0, 2.0]]]])

    assert total_variation(image).item() == (1 + 0.5 + 0 + 2) + (0 + 1 + 1.5)


def test_each_loss_is_its_formula_times_its_weight(tiny_network, image, photo, style):
    recipe = Recipe(
        style_layers=STYLE_LAYERS,
        content_layers=("conv2_2", "conv4_2"),
        style_weight=100,
        content_weight=3,
        tv_weight=0.5,
    )
    objective = Objective(tiny_network, photo, style_targets(tiny_network, [style], STYLE_LAYERS), recipe)
    losses = objective(image).to_floats()

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
    objective = Objective(tiny_network, photo, style_targets(tiny_network, [photo], recipe.style_layers), recipe)
    losses = objective(photo).to_floats()

    assert losses.content == 0
    assert losses.style == pytest.approx(0, abs=1e-3)
    assert losses.tv > 0


def test_the_gradient_is_that_of_the_loss(tiny_convolutions, photo, style):
    """Checked against differences of the loss in double precision, along random directions."""
    from monet_watch.engine.vgg import VGG19

    recipe = Recipe(style_layers=STYLE_LAYERS, content_layers=("conv4_2",), tv_weight=1e-3, style_weight=100)
    network = VGG19(tiny_convolutions).double()
    targets = style_targets(network, [style.double()], STYLE_LAYERS)
    objective = Objective(network, photo.double(), targets, recipe)
    image = torch.rand(1, 3, 24, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    objective(image).total.backward()

    generator, size = torch.Generator().manual_seed(5), 1e-6
    for _ in range(3):
        direction = torch.randn(image.shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            above, below = objective(image + size * direction).total, objective(image - size * direction).total
        assert (image.grad * direction).sum().item() == pytest.approx(
            (above - below).item() / (2 * size), rel=1e-4, abs=1e-6
        )


def test_the_target_of_several_styles_is_the_mean_of_their_gram_matrices(tiny_network, photo, style):
    both = style_targets(tiny_network, [photo, style], STYLE_LAYERS)
    one, other = (style_targets(tiny_network, [picture], STYLE_LAYERS) for picture in (photo, style))

    for name in STYLE_LAYERS:
        torch.testing.assert_close(both[name], (one[name] + other[name]) / 2)
