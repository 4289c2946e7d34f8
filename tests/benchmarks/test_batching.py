"""Pictures together against pictures one after the other."""

import torch

from benchmarks.batching import _there_and_back, compare
from monet_watch.engine.vgg import VGG19


def test_a_batch_has_the_gradients_of_its_pictures(tiny_network):
    images = torch.rand(3, 3, 48, 32, generator=torch.Generator().manual_seed(1))
    found = _there_and_back(tiny_network, images, "fp32")
    assert found.shape == images.shape
    for gradient, image in zip(found, images, strict=True):
        torch.testing.assert_close(gradient[None], _there_and_back(tiny_network, image[None], "fp32"))


def test_each_way_is_measured_for_one_picture(tiny_network: VGG19):
    found = compare(tiny_network, size=32, batch=2, precision="fp32", rounds=3)
    assert (found.size, found.batch, found.precision) == (32, 2, "fp32")
    assert 0 < found.best_together <= found.together
    assert 0 < found.best_alone <= found.alone
    assert found.gain == found.best_alone / found.best_together
