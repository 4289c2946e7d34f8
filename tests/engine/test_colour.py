"""A photo in a painting's colours has the mean and the covariance of the painting's, and moves no colour needlessly."""

import numpy as np
import pytest
import torch
from skimage import data

from monet_watch.engine.colour import colours_of, recolour


def to_tensor(picture, dtype=torch.float64):
    return torch.tensor(np.ascontiguousarray(picture) / 255, dtype=dtype).permute(2, 0, 1)[None]


def moments(picture):
    colours = picture[0].reshape(3, -1).numpy()
    return colours.mean(axis=1), np.cov(colours, bias=True)


@pytest.fixture(scope="module")
def photo():
    return to_tensor(data.astronaut()[::8, ::6])


@pytest.fixture(scope="module")
def styles():
    return [to_tensor(data.coffee()[::9, ::9]), to_tensor(data.rocket()[::9, ::9])]


def test_the_photo_gets_the_style_s_mean_and_covariance(photo, styles):
    found, wanted = moments(recolour(photo, colours_of(styles[:1]))), moments(styles[0])

    np.testing.assert_allclose(found[0], wanted[0], atol=1e-6)
    np.testing.assert_allclose(found[1], wanted[1], atol=2e-5)  # a rounding's variance is added to both


def test_of_several_styles_it_gets_the_averages(photo, styles):
    found = moments(recolour(photo, colours_of(styles)))
    first, second = map(moments, styles)

    np.testing.assert_allclose(found[0], (first[0] + second[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(found[1], (first[1] + second[1]) / 2, atol=2e-5)


def test_in_its_own_colours_a_photo_stays_as_it_is(photo):
    torch.testing.assert_close(recolour(photo, colours_of([photo])), photo, rtol=0, atol=1e-8)


def test_colours_move_by_a_symmetric_map_which_is_the_least_that_they_can_move(photo, styles):
    """Any map with these moments is one of these times a rotation; the symmetric positive one moves colours least."""
    before, after = (picture[0].reshape(3, -1).numpy() for picture in (photo, recolour(photo, colours_of(styles[:1]))))
    matrix = np.linalg.lstsq(
        (before - before.mean(1, keepdims=True)).T, (after - after.mean(1, keepdims=True)).T, rcond=None
    )[0]

    np.testing.assert_allclose(matrix, matrix.T, atol=1e-8)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_a_grey_photo_gets_the_style_s_mean_and_no_noise(styles):
    ramp = torch.linspace(0, 1, 400, dtype=torch.float64).view(1, 1, 20, 20)
    grey = ramp.expand(1, 3, 20, 20)
    coloured = recolour(grey, colours_of(styles[:1]))

    np.testing.assert_allclose(moments(coloured)[0], moments(styles[0])[0], atol=1e-6)
    steps = coloured.reshape(3, -1).diff(dim=1)
    assert steps.abs().max() < 0.02  # as smooth as the ramp was


def test_a_photo_of_one_colour_becomes_one_colour(styles):
    flat = recolour(torch.full((1, 3, 16, 16), 0.3), colours_of(styles[:1]))

    np.testing.assert_allclose(moments(flat)[0], moments(styles[0])[0], atol=1e-5)
    assert flat.dtype == torch.float32 and flat.reshape(3, -1).std(dim=1).max() < 1e-5
