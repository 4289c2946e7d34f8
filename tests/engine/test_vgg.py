"""VGG-19 as the method uses it: average pooling, taps before the ReLU, on whichever device there is."""

import pytest
import torch
from torch import nn

from monet_watch.engine.vgg import VGG19, load_vgg19, pick_device
from monet_watch.engine.weights import IMAGENET_MEAN, IMAGENET_STD
from monet_watch.errors import SettingsError, WeightsError
from monet_watch.recipes import LAYERS


def plain_vgg19(convolutions):
    """The same network as a list of PyTorch's own modules; the convolutions lie at the indices returned with it."""
    modules, places = [], {}
    for name in LAYERS:
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            modules.append(nn.AvgPool2d(2, 2))
        weight, bias = convolutions[name]
        places[name] = len(modules)
        modules.append(nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1))
        modules[-1].weight.data, modules[-1].bias.data = weight, bias
        modules.append(nn.ReLU())
    return nn.Sequential(*modules), places


def test_every_layer_is_tapped_before_its_relu_and_after_average_pooling(tiny_convolutions, tiny_network):
    image = torch.rand(1, 3, 37, 52, generator=torch.Generator().manual_seed(3))
    taps = tiny_network(image, LAYERS)

    plain, places = plain_vgg19(tiny_convolutions)
    x = (image - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    for name in LAYERS:
        torch.testing.assert_close(taps[name], plain[: places[name] + 1](x), rtol=1e-5, atol=1e-5)
    assert all((tap < 0).any() for tap in taps.values())


def test_nothing_deeper_than_the_deepest_layer_asked_for_is_computed(tiny_network):
    touched = []
    handles = [
        convolution.register_forward_hook(lambda *_, name=name: touched.append(name))
        for name, convolution in tiny_network.convolutions.items()
    ]
    taps = tiny_network(torch.rand(1, 3, 32, 32), ["conv2_1", "conv1_1"])
    for handle in handles:
        handle.remove()

    assert touched == ["conv1_1", "conv1_2", "conv2_1"]
    assert set(taps) == {"conv1_1", "conv2_1"}


def test_a_picture_of_16_pixels_reaches_conv5_1(tiny_network):
    assert tiny_network(torch.rand(1, 3, 16, 16), ["conv5_1"])["conv5_1"].shape[2:] == (1, 1)


def test_the_network_is_frozen_but_lets_the_image_s_gradient_through(tiny_network):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    tiny_network(image, ["conv3_1"])["conv3_1"].sum().backward()

    assert image.grad is not None
    assert not any(parameter.requires_grad for parameter in tiny_network.parameters())


def test_a_network_keeps_its_own_copy_of_the_weights(tiny_convolutions):
    convolutions = {name: (weight.clone(), bias.clone()) for name, (weight, bias) in tiny_convolutions.items()}
    network, image = VGG19(convolutions), torch.rand(1, 3, 16, 16)
    before = network(image, ["conv1_1"])["conv1_1"]
    convolutions["conv1_1"][0].zero_()

    assert torch.equal(network(image, ["conv1_1"])["conv1_1"], before)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda:0"), (True, False, "cuda:0"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_before_mps_before_the_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    assert pick_device() == torch.device(expected)


def test_a_device_that_is_named_is_taken_whatever_else_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wish", ["toaster", "cuda:99", "mps:7", "hpu", "cpu:x", ""])
def test_a_device_that_is_not_there_is_told_by_name(wish):
    with pytest.raises(SettingsError, match=f"no device '{wish}'"):
        pick_device(wish)


def test_a_network_is_loaded_from_its_file_onto_the_device(tiny_weights, tiny_network):
    loaded = load_vgg19(tiny_weights.path, tiny_weights.sha256, "cpu")
    image = torch.rand(1, 3, 32, 32)

    assert loaded.device == torch.device("cpu")
    assert torch.equal(loaded(image, ["conv5_1"])["conv5_1"], tiny_network(image, ["conv5_1"])["conv5_1"])


def test_a_file_with_another_hash_is_refused(tiny_weights):
    with pytest.raises(WeightsError, match="not the ones expected"):
        load_vgg19(tiny_weights.path, "0" * 64, "cpu")
