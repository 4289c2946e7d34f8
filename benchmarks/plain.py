"""The plain script that everything is held against, and the judge: both are the independent reference of the tests.

Style targets and the photo's activations are computed once, and only what is needed is kept, as any script of the kind
does; nothing else makes it faster or slower than the formulas written down in PyTorch.
"""

import io
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from types import TracebackType

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.pictures import Pair, Picture
from monet_watch.weights import load_network
from tests.reference import CONTENT, STYLE, activations, gram, reference_losses, reference_network, to_batch

__all__ = ["Judge", "PlainScript", "load_reference"]


def load_reference(weights: str) -> nn.Sequential:
    """Return torchvision's network with ``weights`` (a source as `monet_watch.weights.find` takes it), on the CPU."""
    layers = load_network(weights, "cpu").convolutions.items()
    return reference_network(
        {name: (layer.get_parameter("weight"), layer.get_parameter("bias")) for name, layer in layers}
    )


class PlainScript:
    """Gatys et al. (2016) as a tutorial writes it: autograd, bare pixels, torch.optim.LBFGS, fp32."""

    def __init__(self, network: nn.Sequential, pair: Pair, lr: float) -> None:
        self._network = network
        photo = to_batch(pair.photo)
        with torch.no_grad():
            self._grams = {place: gram(f) for place, f in self._taps(to_batch(pair.style)).items() if place in STYLE}
            self._content = self._taps(photo)[CONTENT]
        self._image = photo.clone().requires_grad_(True)
        # One evaluation in each call of `step`; what L-BFGS remembers goes on from call to call.
        self._optimiser = torch.optim.LBFGS([self._image], lr=lr, max_iter=1)

    def _taps(self, image: Tensor) -> dict[int, Tensor]:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (image - mean[:, None, None]) / std[:, None, None]
        taps = {}
        for place, layer in enumerate(self._network):
            x = layer(x)
            if place in (*STYLE, CONTENT):
                taps[place] = x
        return taps

    def _loss(self) -> Tensor:
        taps, image = self._taps(self._image), self._image
        style = reduce(torch.add, (((gram(taps[place]) - self._grams[place]) ** 2).mean() for place in STYLE))
        content = ((taps[CONTENT] - self._content) ** 2).mean()
        tv = torch.abs(image[:, :, :, 1:] - image[:, :, :, :-1]).sum()
        tv = tv + torch.abs(image[:, :, 1:, :] - image[:, :, :-1, :]).sum()
        return 1e6 * style + content + 1e-6 * tv

    def _closure(self) -> float:
        self._optimiser.zero_grad()
        loss = self._loss()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def step(self) -> float:
        """Take a step: evaluate the loss and its gradient, and move. Return the loss before the move."""
        return float(self._optimiser.step(self._closure))  # type: ignore[no-untyped-call]

    @property
    def picture(self) -> Picture:
        """The image as a file would hold it, uint8 (H, W, 3)."""
        pixels = self._image.detach()[0].permute(1, 2, 0).clamp(0, 1).mul(255).round()
        return pixels.to(torch.uint8).contiguous().numpy()


class Judge:
    """Says what a picture is worth: its delivered loss, by the reference, in fp32, in a process of its own.

    That process is idle unless asked. Use it as a context manager.
    """

    def __init__(self, pair: Pair, weights: str, threads: int | None) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _take_seat, (pair, weights, threads))

    def __enter__(self) -> "Judge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.shutdown()

    def __call__(self, picture: Picture) -> float:
        """Return the total loss of ``picture``, uint8 (H, W, 3), written to a PNG file and read back."""
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG", compress_level=1)
        return self._process.submit(_judged, file.getvalue()).result()


class _Seat:
    """The judge's process: the network, and the activations of photo and style."""

    def __init__(self, pair: Pair, weights: str) -> None:
        self._network = load_reference(weights)
        with torch.no_grad():
            self._photo = activations(self._network, to_batch(pair.photo))
            self._style = activations(self._network, to_batch(pair.style))
        self._photo = {CONTENT: self._photo[CONTENT]}
        self._style = {place: self._style[place] for place in STYLE}

    def judged(self, png: bytes) -> float:
        with torch.no_grad():
            picture = np.array(Image.open(io.BytesIO(png)))
            return float(reference_losses(self._network, to_batch(picture), self._photo, self._style)[0])


_seat: _Seat


def _take_seat(pair: Pair, weights: str, threads: int | None) -> None:
    global _seat
    if threads is not None:
        torch.set_num_threads(threads)
    _seat = _Seat(pair, weights)


def _judged(png: bytes) -> float:
    return _seat.judged(png)
