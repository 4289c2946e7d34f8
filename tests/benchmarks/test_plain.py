"""The plain script of the benchmarks is the reference's method, and its judge the reference."""

import numpy as np
import pytest
import torch

from benchmarks.pictures import Pair
from benchmarks.plain import Judge, PlainScript, load_reference
from tests.reference import activations, reference_curve, reference_losses, reference_network, to_batch


@pytest.fixture
def pair(make_picture):
    return Pair("shapes", make_picture(64, 64, 1), make_picture(64, 80, 2))


def test_its_losses_are_those_of_the_reference(tiny_convolutions, pair):
    network = reference_network(tiny_convolutions)
    steps = 25  # torch's L-BFGS takes twenty in one call
    expected = reference_curve(network, to_batch(pair.photo), to_batch(pair.style), steps)

    script = PlainScript(network, pair, 0.03)
    found = [script.step() for _ in range(steps)]
    np.testing.assert_allclose(found, [total for total, *_ in expected], rtol=1e-6)


def test_it_begins_with_the_photo_and_shows_what_a_file_would_hold(tiny_convolutions, pair):
    script = PlainScript(reference_network(tiny_convolutions), pair, 1.0)
    np.testing.assert_array_equal(script.picture, pair.photo)
    for _ in range(3):
        script.step()
    assert script.picture.dtype == np.uint8
    assert (script.picture != pair.photo).any()


def test_the_judge_s_verdict_is_the_reference_s_loss(tiny_weights, pair):
    network = load_reference(str(tiny_weights.path))
    picture = np.ascontiguousarray(pair.photo[::-1])
    with torch.no_grad():
        photo, style = activations(network, to_batch(pair.photo)), activations(network, to_batch(pair.style))
        expected = reference_losses(network, to_batch(picture), photo, style)[0].item()

    with Judge(pair, str(tiny_weights.path), 1) as judge:
        assert judge(picture) == pytest.approx(expected, rel=1e-5)
