"""VGG-19 up to conv5_1, as the method uses it: average pooling, and taps before the ReLU.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014), table 1,
column E. Max pooling gives way to average pooling as in Gatys et al. (2016), section 2.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monet_watch.engine.weights import IMAGENET_MEAN, IMAGENET_STD, load_convolutions
from monet_watch.errors import SettingsError
from monet_watch.recipes import LAYERS

__all__ = ["VGG19", "load_vgg19", "pick_device"]


class VGG19(nn.Module):
    """The convolutions of VGG-19, conv1_1 to conv5_1; frozen.

    ``convolutions`` maps every name in `monet_watch.recipes.LAYERS` to its weight (out, in, 3, 3) and bias (out,),
    for RGB in [0, 1] normalised with ImageNet's mean and standard deviation. The numbers of channels are theirs,
    so that a narrow network of the same shape can stand in for the real one.
    """

    def __init__(self, convolutions: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict({name: _frozen_convolution(*convolutions[name]) for name in LAYERS})
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return self.get_buffer("mean").device

    def forward(self, image: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the activations (1, C, h, w) of ``layers``, before the ReLU.

        ``image`` is (1, 3, H, W), RGB, nominally in [0, 1], each side at least 16 pixels. Nothing deeper than the
        deepest layer asked for is computed.
        """
        taps: dict[str, Tensor] = {}
        x = (image - self.get_buffer("mean")) / self.get_buffer("std")
        for name in LAYERS[: 1 + max(map(LAYERS.index, layers))]:
            if name.endswith("_1") and name != "conv1_1":
                x = F.avg_pool2d(x, kernel_size=2)
            x = self.convolutions[name](x)
            if name in layers:
                taps[name] = x
            x = F.relu(x)
        return taps


def _frozen_convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    channels_out, channels_in, height, width = weight.shape
    convolution = nn.Conv2d(channels_in, channels_out, (height, width), padding=1)
    convolution.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return convolution


def pick_device(wish: str = "auto") -> torch.device:
    """Return the device that ``wish`` names; ``auto`` takes CUDA, else MPS, else the CPU.

    Raises SettingsError on a name that torch does not know, or a device that this machine does not have.
    """
    if wish == "auto":
        return torch.device(_best_device())
    try:
        return torch.empty(0, device=wish).device
    except (RuntimeError, AssertionError, ImportError) as error:  # torch has no class of its own for any of these
        reason = str(error).partition(". ")[0].partition("\n")[0]
        message = f"There is no device {wish!r} here ({reason})."
        raise SettingsError(message, "Use auto, cpu, cuda:0, or mps, whichever the machine has.") from error


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_vgg19(path: Path, sha256: str | None = None, device: str = "auto") -> VGG19:
    """Read a weights file (see `monet_watch.engine.weights`) and return the network on ``device``, in float32.

    Raises SettingsError as `pick_device` does, and WeightsError where the file is missing, damaged, or its SHA-256
    is not ``sha256``.
    """
    place = pick_device(device)
    return VGG19(load_convolutions(path, sha256)).eval().to(place)
