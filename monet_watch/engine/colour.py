"""Colours of a picture as a cloud of points: its mean and covariance, and how to give it another picture's."""

import torch
from torch import Tensor

__all__ = ["recolour"]

_LEAST_VARIANCE = 1e-5  # of [0, 1]², as of a rounding to half a level: a grey picture has colours that do not vary


def recolour(photo: Tensor, styles: list[Tensor]) -> Tensor:
    """Return ``photo`` with the mean and covariance of the colours of ``styles``, of several of their average.

    All are (1, 3, H, W), RGB in [0, 1]; the result may leave [0, 1]. Of all linear maps that match both moments it is
    the one that moves colours least: Pitié and Kokaram, "The linear Monge-Kantorovitch colour mapping for
    example-based colour transfer" (2007), equation 7.
    """
    mean, covariance = _moments(photo)
    found = [_moments(style) for style in styles]
    wanted_mean = torch.stack([each[0] for each in found]).mean(dim=0)
    wanted = torch.stack([each[1] for each in found]).mean(dim=0)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    change = inverse @ _power(root @ wanted @ root, 0.5) @ inverse  # (3, 3)
    shift = wanted_mean - change @ mean
    change, shift = (value.to(photo.dtype).to(photo.device) for value in (change, shift))
    return torch.einsum("ij,bjhw->bihw", change, photo) + shift.view(1, 3, 1, 1)


def _moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean colour (3,) and the covariance of colours (3, 3), in double precision on the CPU."""
    pixels = picture.to("cpu").double().reshape(3, -1)
    covariance = torch.cov(pixels, correction=0) + _LEAST_VARIANCE * torch.eye(3, dtype=torch.float64)
    return pixels.mean(dim=1), covariance


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=1e-12).pow(exponent)) @ vectors.T
    return power
