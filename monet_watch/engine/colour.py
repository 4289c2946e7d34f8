"""Colours of a picture as a cloud of points: its mean and covariance, and how to give it another picture's."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Colours", "colours_of", "recolour"]

_LEAST_VARIANCE = 1e-5  # of [0, 1]², as of a rounding to half a level: a grey picture has colours that do not vary


@dataclass(frozen=True, slots=True)
class Colours:
    """The ``mean`` colour (3,) and the ``covariance`` of colours (3, 3), in double precision on the CPU."""

    mean: Tensor
    covariance: Tensor


def colours_of(pictures: Iterable[Tensor]) -> Colours:
    """Return the colours of ``pictures`` (1, 3, H, W), RGB in [0, 1]: of several, the average mean and covariance."""
    found = [_measured(picture) for picture in pictures]
    return Colours(
        torch.stack([each.mean for each in found]).mean(dim=0),
        torch.stack([each.covariance for each in found]).mean(dim=0),
    )


def recolour(photo: Tensor, wanted: Colours) -> Tensor:
    """Return ``photo`` (1, 3, H, W), RGB in [0, 1], with the mean and covariance ``wanted``.

    The result may leave [0, 1]. Of all linear maps that match both moments it is
    the one that moves colours least: Pitié and Kokaram, "The linear Monge-Kantorovitch colour mapping for
    example-based colour transfer" (2007), equation 7.
    """
    own = _measured(photo)
    root, inverse = _power(own.covariance, 0.5), _power(own.covariance, -0.5)
    change = inverse @ _power(root @ wanted.covariance @ root, 0.5) @ inverse  # (3, 3)
    shift = wanted.mean - change @ own.mean
    change, shift = (value.to(photo.dtype).to(photo.device) for value in (change, shift))
    return torch.einsum("ij,bjhw->bihw", change, photo) + shift.view(1, 3, 1, 1)


def _measured(picture: Tensor) -> Colours:
    pixels = picture.to("cpu").double().reshape(3, -1)
    covariance = torch.cov(pixels, correction=0) + _LEAST_VARIANCE * torch.eye(3, dtype=torch.float64)
    return Colours(pixels.mean(dim=1), covariance)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=1e-12).pow(exponent)) @ vectors.T
    return power
