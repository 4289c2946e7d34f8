"""What the optimiser moves, and how it becomes a picture.

Bare pixels are the method as it was published. They may leave [0, 1], and what is cut off when the picture is saved
is lost. `Spectral` writes the picture as a sigmoid, so that it is always in range, and tells L-BFGS what is known of
the curvature beforehand: natural pictures have most of their energy in low frequencies and in grey, and the loss
bends least there. Feature visualisation works in such a basis (Olah, Mordvintsev and Schubert, "Feature
visualization", 2017, on preconditioning); here the variable stays a picture, and the basis is L-BFGS's initial
inverse Hessian, which comes to the same moves.
"""

from typing import Protocol

import torch
from torch import Tensor

from monet_watch.recipes import Recipe

__all__ = ["Parametrisation", "Pixels", "Spectral", "parametrisation"]

_MARGIN = 0.1  # share of the range that the initial image stays away from either end, where the sigmoid is flat
_FIRST_MOVE = 0.05  # root mean square of the first move, in logits
_EXPONENT = 1.0  # the loss bends about in proportion to the frequency to this power

# Orthonormal axes of colour: grey, red against blue, green against magenta; and how far each may move.
_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (-0.5, 1.0, -0.5))
_REACH = (1.0, 0.7, 0.6)


class Parametrisation(Protocol):
    """A variable (1, 3, H, W), the image that it stands for, and what is known of the curvature beforehand."""

    def variable(self, image: Tensor) -> Tensor:
        """Return the variable that stands for ``image`` (1, 3, H, W), or for the nearest that can be moved well."""

    def image(self, variable: Tensor) -> Tensor:
        """Return the image (1, 3, H, W)."""

    def pull_back(self, gradient: Tensor, image: Tensor) -> Tensor:
        """Return the gradient with respect to the variable, from that with respect to ``image``."""

    def precondition(self, vector: Tensor) -> Tensor:
        """Return the initial inverse Hessian's product with ``vector`` (3·H·W,), but for its scale."""

    def first_length(self, direction: Tensor, gradient: Tensor) -> float | Tensor:
        """Return how far to go along ``direction`` (3·H·W,) while nothing is known of the curvature's size."""


class Pixels:
    """The variable is the image itself."""

    def __init__(self, lr: float) -> None:
        self._lr = lr

    def variable(self, image: Tensor) -> Tensor:
        """Return ``image``."""
        return image

    def image(self, variable: Tensor) -> Tensor:
        """Return ``variable``."""
        return variable

    def pull_back(self, gradient: Tensor, image: Tensor) -> Tensor:
        """Return ``gradient``."""
        return gradient

    def precondition(self, vector: Tensor) -> Tensor:
        """Return ``vector``."""
        return vector

    def first_length(self, direction: Tensor, gradient: Tensor) -> float | Tensor:
        """Return what torch.optim.LBFGS takes: at most the learning rate, and less the larger the gradient."""
        return min(1.0, 1.0 / float(gradient.abs().sum())) * self._lr if bool(gradient.any()) else 0.0


class Spectral:
    """The variable holds logits; their sigmoid is the image. For images of ``height`` × ``width`` pixels."""

    def __init__(self, height: int, width: int, device: torch.device) -> None:
        self._shape = (1, 3, height, width)
        axes = torch.tensor(_AXES)
        self._axes = (axes / axes.norm(dim=1, keepdim=True)).to(device)
        reach = torch.tensor(_REACH).square().view(3, 1, 1)
        self._gains = (reach * _falling(height, width)).to(device)  # (3, H, W // 2 + 1)

    def variable(self, image: Tensor) -> Tensor:
        """Return the logits of ``image``, its contrast lowered a little so that none is far out."""
        return torch.logit(_MARGIN + (1 - 2 * _MARGIN) * image.clamp(0, 1))

    def image(self, variable: Tensor) -> Tensor:
        """Return the sigmoid of ``variable``."""
        return variable.sigmoid()

    def pull_back(self, gradient: Tensor, image: Tensor) -> Tensor:
        """Return ``gradient`` times the sigmoid's slope."""
        return gradient * image * (1 - image)

    def precondition(self, vector: Tensor) -> Tensor:
        """Divide each frequency of each colour axis by about how much the loss bends along it."""
        axes, gains = self._axes.to(vector.dtype), self._gains.to(vector.dtype)
        spectrum = torch.fft.rfft2(torch.einsum("kc,bchw->bkhw", axes, vector.view(self._shape)))
        filtered = torch.fft.irfft2(spectrum * gains, s=self._shape[2:])
        return torch.einsum("kc,bkhw->bchw", axes, filtered).reshape(-1)

    def first_length(self, direction: Tensor, gradient: Tensor) -> float | Tensor:
        """Return the length with which the move has a root mean square that suits every photo."""
        size = float(direction.square().mean().sqrt())
        return _FIRST_MOVE / size if size > 0 else 0.0


def _falling(height: int, width: int) -> Tensor:
    """Return the gain of each frequency of `torch.fft.rfft2`, (H, W // 2 + 1), with a mean of 1."""
    down, across = torch.fft.fftfreq(height).view(-1, 1), torch.fft.rfftfreq(width).view(1, -1)
    lowest = 1 / max(height, width)  # cycles per pixel; the mean colour moves as freely as the slowest wave
    gains = torch.hypot(down, across).clamp(min=lowest) ** -_EXPONENT
    return gains / gains.mean()


def parametrisation(recipe: Recipe, height: int, width: int, device: torch.device) -> Parametrisation:
    """Return the one that ``recipe`` names."""
    if recipe.parametrisation == "pixels":
        return Pixels(recipe.lr)
    return Spectral(height, width, device)
