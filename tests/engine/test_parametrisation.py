"""What L-BFGS moves: a picture that is always in range, with a basis that is what its formula says."""

import numpy as np
import pytest
import torch

from monet_watch.engine.parametrisation import Pixels, Spectral, parametrisation
from monet_watch.recipes import CLASSIC, SWIFT

CPU = torch.device("cpu")
SIZES = pytest.mark.parametrize("size", [(16, 24), (17, 20), (18, 21), (19, 23)])
GREY, RED_BLUE, GREEN_MAGENTA = np.array([1, 1, 1]), np.array([1, 0, -1]), np.array([-0.5, 1, -0.5])


def random(height, width, seed=0):
    return torch.rand(1, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def normal(count, seed):
    return torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_recipe_says_which_one_it_is():
    assert isinstance(parametrisation(CLASSIC, 16, 16, CPU), Pixels)
    assert isinstance(parametrisation(SWIFT, 16, 16, CPU), Spectral)


@SIZES
def test_the_variable_of_an_image_stands_for_it_with_a_tenth_of_the_range_left_at_either_end(size):
    basis, image = Spectral(*size, CPU), random(*size)

    torch.testing.assert_close(basis.image(basis.variable(image)), 0.1 + 0.8 * image)


@SIZES
def test_the_variable_that_stands_for_an_image_leads_back_to_itself(size):
    """Within the part of the range that an image is brought into, where the way there is a straight line."""
    basis, variable = Spectral(*size, CPU), normal(3 * size[0] * size[1], 1).view(1, 3, *size).clamp(-2, 2)
    image = (basis.image(variable) - 0.1) / 0.8

    torch.testing.assert_close(basis.variable(image), variable)


def test_whatever_the_variable_the_image_is_in_range():
    basis = Spectral(16, 16, CPU)
    for size in (1, 100, 1e30, float("inf")):
        image = basis.image(size * normal(768, 2).view(1, 3, 16, 16))
        assert image.min() >= 0 and image.max() <= 1
    assert basis.variable(torch.tensor([-3.0, 0.0, 1.0, 4.0])).isfinite().all()


def test_a_gradient_of_the_image_becomes_that_of_the_variable():
    basis = Spectral(16, 18, CPU)
    variable, weights = normal(864, 3).view(1, 3, 16, 18), normal(864, 4).view(1, 3, 16, 18)

    def loss(at):
        return (weights * basis.image(at) ** 3).sum()

    image = basis.image(variable)
    pulled = basis.pull_back(3 * weights * image**2, image)
    (expected,) = torch.autograd.grad(loss(variable.requires_grad_()), variable)
    torch.testing.assert_close(pulled, expected)
    direction = normal(864, 5).view(1, 3, 16, 18)
    with torch.no_grad():
        difference = (loss(variable + 1e-6 * direction) - loss(variable - 1e-6 * direction)) / 2e-6
    assert (pulled * direction).sum().item() == pytest.approx(difference.item(), rel=1e-6)


def as_matrix(basis, count):
    return torch.stack([basis.precondition(row) for row in torch.eye(count, dtype=torch.float64)])


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (6, 5), (5, 7)])
def test_the_basis_is_a_symmetric_positive_matrix(size):
    matrix = as_matrix(Spectral(*size, CPU), 3 * size[0] * size[1])

    torch.testing.assert_close(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).min() > 0.01 * matrix.diagonal().mean()


@SIZES
def test_the_basis_is_linear_and_keeps_single_precision(size):
    basis, count = Spectral(*size, CPU), 3 * size[0] * size[1]
    a, b = normal(count, 6), normal(count, 7)

    expected = 2 * basis.precondition(a) - 3 * basis.precondition(b)
    torch.testing.assert_close(basis.precondition(2 * a - 3 * b), expected)
    assert basis.precondition(a.float()).dtype == torch.float32


def wave(size, cycles, axis):
    """One wave of one colour axis, (3·H·W,), with so many ``cycles`` over the picture's height and width."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    phase = 2 * np.pi * (cycles[0] * rows / size[0] + cycles[1] * columns / size[1])
    return torch.tensor(axis[:, None, None] * np.cos(phase + 0.4)).reshape(-1)


def gain(size, cycles):
    """One over the frequency, at least that of the slowest wave of the longer side; over its mean of a half plane."""

    def frequency(down, across):
        return max(np.hypot(down / size[0], across / size[1]), 1 / max(size))

    rows = [row if row <= (size[0] - 1) // 2 else row - size[0] for row in range(size[0])]
    plane = [1 / frequency(row, column) for row in rows for column in range(size[1] // 2 + 1)]
    return 1 / frequency(*cycles) / np.mean(plane)


@SIZES
@pytest.mark.parametrize(("axis", "reach"), [(GREY, 1.0), (RED_BLUE, 0.7), (GREEN_MAGENTA, 0.6)])
def test_a_wave_of_one_colour_is_divided_by_its_frequency_and_comes_back_as_itself(size, axis, reach):
    basis = Spectral(*size, CPU)
    for cycles in ((0, 0), (1, 0), (0, 1), (2, 3), (-5, 4), (7, 0)):
        there = wave(size, cycles, axis)
        torch.testing.assert_close(
            basis.precondition(there), reach**2 * gain(size, cycles) * there, rtol=1e-5, atol=1e-6
        )


def test_the_first_move_has_the_same_size_for_every_photo():
    basis = Spectral(16, 16, CPU)
    for scale in (1e-6, 1.0, 1e6):
        direction = scale * normal(768, 8)
        length = basis.first_length(direction, direction)
        assert (length * direction).square().mean().sqrt().item() == pytest.approx(0.05)
    assert basis.first_length(torch.zeros(768), torch.zeros(768)) == 0


def test_pixels_are_what_they_are():
    pixels, image, gradient = Pixels(0.03), random(16, 16), random(16, 16, seed=1)
    image[0, 0, 0, 0] = 1.7

    assert pixels.variable(image) is image and pixels.image(image) is image
    assert pixels.pull_back(gradient, image) is gradient and pixels.precondition(gradient) is gradient


@pytest.mark.parametrize(("size", "expected"), [(10.0, 0.03 / 7680), (1e-5, 0.03), (0.0, 0.0)])
def test_the_first_move_of_pixels_is_torch_s(size, expected):
    """At most the learning rate times the gradient, and less where the sum of its absolute values is above 1."""
    gradient = torch.full((768,), size)

    assert Pixels(0.03).first_length(-gradient, gradient) == pytest.approx(expected)
