"""VGG-19 as the method uses it: average pooling, taps before the ReLU, on whichever device there is."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from monet_watch.engine.tiles import split
from monet_watch.engine.vgg import VGG19, load_vgg19, pick_device
from monet_watch.engine.weights import IMAGENET_MEAN, IMAGENET_STD
from monet_watch.errors import SettingsError, WeightsError
from monet_watch.recipes import LAYERS

POOLED = ("conv2_1", "conv3_1", "conv4_1", "conv5_1")


def plain_vgg19(convolutions):
    """The same network as a list of PyTorch's own modules; the convolutions lie at the indices returned with it."""
    modules, places = [], {}
    for name in LAYERS:
        if name in POOLED:
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
    (whole,) = split(32, 32, None, LAYERS)
    image, layers = torch.rand(1, 3, 32, 32), ["conv2_1", "conv1_1"]
    walk = tiny_network.walk(image, whole, layers, precision="fp32", padding="zeros")

    assert [name for name, _ in walk] == ["conv1_1", "conv1_2", "conv2_1"]
    assert set(tiny_network(image, layers)) == {"conv1_1", "conv2_1"}


def test_a_picture_of_16_pixels_reaches_conv5_1(tiny_network):
    assert tiny_network(torch.rand(1, 3, 16, 16), ["conv5_1"])["conv5_1"].shape[2:] == (1, 1)


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (37, 52), (64, 33)])
@pytest.mark.parametrize("rectified", [False, True])
def test_the_way_back_is_autograd_s(tiny_convolutions, tiny_network, padding, size, rectified):
    """For the sum of every layer's activations times random numbers, tapped before the ReLU or behind it."""
    generator = torch.Generator().manual_seed(6)
    image = torch.rand(1, 3, *size, generator=generator, dtype=torch.float64)
    options = {"precision": "fp64", "padding": padding}
    (whole,) = split(*size, None, LAYERS)
    kept = dict(tiny_network.walk(image, whole, LAYERS, spare=LAYERS, **options))
    slopes = {name: torch.randn(x.shape, generator=generator, dtype=x.dtype) for name, x in kept.items()}

    def inject(name, _, gradient, behind):
        if behind == rectified:
            gradient += slopes[name]

    found = tiny_network.gradient(kept, whole, inject, **options)
    image.requires_grad_()
    total, x = 0, (image - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    for name in LAYERS:
        x = F.avg_pool2d(x, 2) if name in POOLED else x
        weight, bias = (value.double() for value in tiny_convolutions[name])
        tap = F.conv2d(padded(x, padding), weight, bias)
        x = tap.relu()
        total = total + ((x if rectified else tap) * slopes[name]).sum()
    torch.testing.assert_close(found, torch.autograd.grad(total, image)[0], rtol=1e-9, atol=1e-9)
    assert not kept


def padded(x, padding):
    """x with a border of one: of zeros, of its own edge, or of what lies one step within (of one row, the row)."""
    if padding == "zeros":
        return F.pad(x, (1, 1, 1, 1))
    return F.pad(x, (1, 1, 1, 1), mode=padding if min(x.shape[2:]) > 1 else "replicate")


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
def test_with_other_padding_nothing_but_the_borders_differs(tiny_network, padding):
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    plain = tiny_network(image, ["conv2_2"])["conv2_2"]
    other = tiny_network(image, ["conv2_2"], padding=padding)["conv2_2"]

    torch.testing.assert_close(other[..., 4:-4, 4:-4], plain[..., 4:-4, 4:-4])
    assert not torch.allclose(other[..., 0, :], plain[..., 0, :], rtol=0.01)


def test_a_grey_wall_replicated_has_no_borders(tiny_network):
    taps = tiny_network(torch.full((1, 3, 48, 48), 0.4), ["conv5_1"], padding="replicate")["conv5_1"]

    torch.testing.assert_close(taps, taps[..., :1, :1].expand_as(taps), rtol=1e-4, atol=1e-5)


def test_bf16_is_as_close_as_its_eight_bits(tiny_network):
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    taps = {p: tiny_network(image, ["conv5_1"], precision=p)["conv5_1"] for p in ("fp32", "bf16", "tf32")}

    assert taps["bf16"].dtype == torch.bfloat16
    assert (taps["bf16"].float() - taps["fp32"]).norm() < 0.02 * taps["fp32"].norm()
    assert torch.equal(taps["tf32"], taps["fp32"])  # on the CPU


def test_neither_image_nor_weights_take_part_in_autograd(tiny_network):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)

    assert not tiny_network(image, ["conv3_1"])["conv3_1"].requires_grad
    assert not any(parameter.requires_grad for parameter in tiny_network.parameters())


def test_a_network_that_is_moved_or_converted_makes_its_filters_again(tiny_convolutions):
    network, image = VGG19(tiny_convolutions), torch.rand(1, 3, 16, 16)
    network(image, ["conv1_1"])
    network.to(torch.float64)
    network.convolutions["conv1_1"].weight.zero_()

    bias = tiny_convolutions["conv1_1"][1]
    torch.testing.assert_close(network(image, ["conv1_1"])["conv1_1"][0, :, 0, 0], bias)


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
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if cuda else 0)
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
