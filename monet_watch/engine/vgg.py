"""VGG-19 up to conv5_1, as the method uses it: average pooling, and taps before the ReLU.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014), table 1,
column E. Max pooling gives way to average pooling as in Gatys et al. (2016), section 2.

The way back is written out, and autograd has no part in it. The gradient with respect to a convolution's input is
itself a convolution, with the weights flipped and their two channel axes exchanged; so nothing but the activations
is kept, and those are overwritten by their ReLU. Activations lie in memory with the channels last, in which oneDNN
and cuDNN are fastest and a Gram matrix is one product; Metal would copy them, and gets them as they come.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monet_watch.engine.devices import every_device
from monet_watch.engine.precision import Precision
from monet_watch.engine.tiles import Tile, block_of, split
from monet_watch.engine.weights import IMAGENET_MEAN, IMAGENET_STD, load_convolutions
from monet_watch.errors import SettingsError
from monet_watch.recipes import LAYERS

__all__ = ["VGG19", "Filters", "Padding", "load_vgg19", "pick_device"]

Padding = Literal["zeros", "replicate", "reflect"]
"""What every convolution sees beyond the borders."""

Injection = Callable[[str, Tensor, Tensor, bool], None]

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp64": torch.float64}


@dataclass(frozen=True, slots=True)
class Filters:
    """One convolution in one precision: ``weight`` (out, in, 3, 3) and ``bias`` (out,), and the way back.

    ``flipped`` (in, out, 3, 3) makes the gradient of the input from that of the output. Behind a pooling it holds a
    quarter of the weights: the share of each of the four positions that were averaged.
    """

    weight: Tensor
    bias: Tensor
    flipped: Tensor


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
        self._filters: dict[torch.dtype, dict[str, Filters]] = {}

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return self.get_buffer("mean").device

    @property
    def memory_format(self) -> torch.memory_format:
        """How activations lie in memory on this device."""
        return torch.contiguous_format if self.device.type == "mps" else torch.channels_last

    def filters(self, precision: Precision) -> Mapping[str, Filters]:
        """Return the convolutions in ``precision``; they are made once, when first asked for."""
        dtype = _DTYPES[precision]
        if dtype not in self._filters:
            self._filters[dtype] = {name: self._made(name, dtype) for name in LAYERS}
        return self._filters[dtype]

    def _made(self, name: str, dtype: torch.dtype) -> Filters:
        convolution = self.convolutions[name]
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        weight, bias = convolution.weight.detach(), convolution.bias.detach()
        back = weight.flip(2, 3).transpose(0, 1) * (0.25 if _follows_pooling(name) else 1)

        def laid(tensor: Tensor) -> Tensor:
            return tensor.to(dtype).contiguous(memory_format=self.memory_format)

        return Filters(laid(weight), bias.to(dtype), laid(back))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "VGG19":
        self._filters.clear()  # they are those of another device, or of weights of another type
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(
        self,
        image: Tensor,
        layers: Collection[str],
        *,
        precision: Precision = "fp32",
        padding: Padding = "zeros",
    ) -> dict[str, Tensor]:
        """Return the activations (1, C, h, w) of ``layers``, before the ReLU, without a graph.

        ``image`` is (1, 3, H, W), RGB, nominally in [0, 1], each side at least 16 pixels. Nothing deeper than the
        deepest layer asked for is computed.
        """
        (whole,) = split(image.shape[2], image.shape[3], None, layers)
        with torch.no_grad(), self.arithmetic(precision):
            walk = self.walk(image, whole, layers, precision=precision, padding=padding, spare=layers)
            return {name: x for name, x in walk if name in layers}

    @contextmanager
    def arithmetic(self, precision: Precision) -> Iterator[None]:
        """Allow or forbid TensorFloat-32 on CUDA, as ``precision`` says, and leave it as it was."""
        if self.device.type != "cuda":
            yield
            return
        switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
        before = [switch.allow_tf32 for switch in switches]
        try:
            _allow_tf32(switches, [precision == "tf32"] * 2)
            yield
        finally:
            _allow_tf32(switches, before)

    def walk(
        self,
        image: Tensor,
        tile: Tile,
        layers: Collection[str],
        *,
        precision: Precision,
        padding: Padding,
        spare: Collection[str] = (),
    ) -> Iterator[tuple[str, Tensor]]:
        """Go through the window of ``tile``, down to the deepest of ``layers``, and yield each layer's activations.

        They come before the ReLU, (1, C, h, w) as large as the window, and are overwritten by the ReLU as the walk
        goes on, unless the layer is in ``spare``. Whoever keeps them all can go back with `gradient`.
        """
        rows, columns = tile.window(0)
        filters = self.filters(precision)
        x = (image[..., rows, columns] - self.get_buffer("mean")) / self.get_buffer("std")
        x = x.to(_DTYPES[precision]).contiguous(memory_format=self.memory_format)
        for name in LAYERS[: 1 + max(map(LAYERS.index, layers))]:
            if _follows_pooling(name):
                rows, columns = tile.crop(block_of(name))
                x = F.avg_pool2d(x, kernel_size=2)[..., rows, columns].contiguous(memory_format=self.memory_format)
            x = _convolved(x, filters[name].weight, filters[name].bias, padding)
            yield name, x
            x = x.relu() if name in spare else x.relu_()

    def gradient(
        self, kept: dict[str, Tensor], tile: Tile, inject: Injection, *, precision: Precision, padding: Padding
    ) -> Tensor:
        """Go back from the activations that a walk through ``tile`` yielded; return float32 (1, 3, h, w).

        ``kept`` is emptied on the way. ``inject(name, x, g, rectified)`` is called twice for each layer, deepest
        first, to add to g, in place, the derivative of the loss with respect to what was tapped there: first behind
        the ReLU (``rectified``), then before it; x are the layer's activations as they were kept.
        """
        filters = self.filters(precision)
        g = torch.zeros_like(next(reversed(kept.values())))
        for name in reversed(tuple(kept)):
            x = kept.pop(name)
            inject(name, x, g, True)
            torch.ops.aten.threshold_backward.grad_input(g, x, 0, grad_input=g)
            inject(name, x, g, False)
            del x
            g = _gradient_convolved(g, filters[name].flipped, padding)
            if _follows_pooling(name):
                g = _unpooled(g, next(reversed(kept.values())), tile.crop(block_of(name)))
        return g.to(torch.promote_types(g.dtype, torch.float32)).contiguous() / self.get_buffer("std")


def _allow_tf32(switches: Iterable[Any], values: Iterable[bool]) -> None:
    for switch, value in zip(switches, values, strict=True):
        switch.allow_tf32 = value


def _follows_pooling(name: str) -> bool:
    return name.endswith("_1") and name != "conv1_1"


def _padded(x: Tensor, padding: Padding) -> Tensor:
    # A reflection needs a second row and column; of a single one, the replica is what it would be.
    mode = "replicate" if min(x.shape[2:]) == 1 else padding
    return F.pad(x, (1, 1, 1, 1), mode=mode)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, padding: Padding) -> Tensor:
    if padding == "zeros":
        return F.conv2d(x, weight, bias, padding=1)
    return F.conv2d(_padded(x, padding), weight, bias)


def _gradient_convolved(g: Tensor, flipped: Tensor, padding: Padding) -> Tensor:
    if padding == "zeros":
        return F.conv2d(g, flipped, padding=1)
    inner = 1 if padding == "replicate" or min(g.shape[2:]) == 1 else 2  # whose value the padding repeats
    g = F.conv2d(g, flipped, padding=2)  # (1, C, h + 2, w + 2), that of the padded map
    # Folded strip by strip: the way back that torch has for such a padding is slow on CUDA, and adds in any order.
    for axis in (2, 3):
        last = g.shape[axis] - 1
        g.select(axis, inner).add_(g.select(axis, 0))
        g.select(axis, last - inner).add_(g.select(axis, last))
        g = g.narrow(axis, 1, last - 1)
    return g.contiguous(memory_format=torch.channels_last if g.stride(1) == 1 else torch.contiguous_format)


def _unpooled(g: Tensor, before: Tensor, crop: tuple[slice, slice]) -> Tensor:
    """Hand the gradient of a cropped, pooled map to the four positions behind each of its own.

    The result is as large as the map ``before`` the pooling; what was cropped, and the odd last row or column that
    pooling drops, get nothing.
    """
    g = F.interpolate(g, scale_factor=2)
    if g.shape[2:] == before.shape[2:]:
        return g
    whole = torch.zeros_like(before)
    rows, columns = (slice(2 * part.start, 2 * part.stop) for part in crop)
    whole[..., rows, columns] = g
    return whole


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
        return torch.device(every_device()[0])
    try:
        return torch.empty(0, device=wish).device
    except (RuntimeError, AssertionError, ImportError) as error:  # torch has no class of its own for any of these
        reason = str(error).partition(". ")[0].partition("\n")[0]
        message = f"There is no device {wish!r} here ({reason})."
        raise SettingsError(message, "Use auto, cpu, cuda:0, or mps, whichever the machine has.") from error


def load_vgg19(path: Path, sha256: str | None = None, device: str = "auto") -> VGG19:
    """Read a weights file (see `monet_watch.engine.weights`) and return the network on ``device``, in float32.

    Raises SettingsError as `pick_device` does, and WeightsError where the file is missing, damaged, or its SHA-256
    is not ``sha256``.
    """
    place = pick_device(device)
    return VGG19(load_convolutions(path, sha256)).eval().to(place)
