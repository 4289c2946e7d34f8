"""The objective of the method: content, style and total variation.

Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016): content loss
(equation 1), Gram matrix (3), style loss (4 and 5), total (7). Means stand where the paper has sums, so that the
weights mean the same at every size of picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from monet_watch.engine.events import Losses
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import Recipe

__all__ = ["Objective", "WeightedLosses", "gram_matrix", "style_targets", "total_variation"]


def gram_matrix(features: Tensor) -> Tensor:
    """Return G = F·Fᵀ / (C·H·W), shape (C, C), of activations (1, C, H, W)."""
    _, channels, height, width = features.shape
    flat = features.reshape(channels, height * width)  # (C, H·W)
    return flat @ flat.T / (channels * height * width)


def total_variation(image: Tensor) -> Tensor:
    """Return the sum of absolute differences of horizontal and of vertical neighbours of (1, 3, H, W)."""
    horizontal = (image[..., :, 1:] - image[..., :, :-1]).abs().sum()
    vertical = (image[..., 1:, :] - image[..., :-1, :]).abs().sum()
    return horizontal + vertical


def style_targets(network: VGG19, styles: Sequence[Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """Return for each layer the Gram matrix (C, C) that a painting should have.

    ``styles`` are pictures (1, 3, H, W) in [0, 1], of any sizes. Of several pictures it is the mean of their Gram
    matrices: the point from which the squared distances to all of them have the least sum.
    """
    with torch.no_grad():
        grams = [{name: gram_matrix(f) for name, f in network(style, layers).items()} for style in styles]
    return {name: torch.stack([gram[name] for gram in grams]).mean(dim=0) for name in layers}


@dataclass(frozen=True, slots=True)
class WeightedLosses:
    """The losses as scalars on the device, each times its weight; ``total`` carries the graph."""

    total: Tensor
    style: Tensor
    content: Tensor
    tv: Tensor

    def to_floats(self) -> Losses:
        """Return the plain numbers, in one transfer from the device."""
        return Losses(*torch.stack([self.total, self.style, self.content, self.tv]).detach().tolist())


class Objective:
    """The loss of an image against one photo and one style.

    ``content`` (1, 3, H, W) is the photo in [0, 1]; ``targets`` are the Gram matrices of `style_targets`.
    """

    def __init__(self, network: VGG19, content: Tensor, targets: Mapping[str, Tensor], recipe: Recipe) -> None:
        self._network = network
        self._targets = targets
        self._recipe = recipe
        self._layers = {*recipe.style_layers, *recipe.content_layers}
        with torch.no_grad():
            self._content = network(content, recipe.content_layers)

    def __call__(self, image: Tensor) -> WeightedLosses:
        """Return the losses of ``image`` (1, 3, H, W), nominally in [0, 1]."""
        recipe = self._recipe
        taps = self._network(image, self._layers)
        style = recipe.style_weight * self._style_loss(taps)
        content = recipe.content_weight * self._content_loss(taps)
        tv = recipe.tv_weight * total_variation(image)
        return WeightedLosses(style + content + tv, style, content, tv)

    def _style_loss(self, taps: Mapping[str, Tensor]) -> Tensor:
        layers = self._recipe.style_layers
        return torch.stack([F.mse_loss(gram_matrix(taps[name]), self._targets[name]) for name in layers]).sum()

    def _content_loss(self, taps: Mapping[str, Tensor]) -> Tensor:
        layers = self._recipe.content_layers
        return torch.stack([F.mse_loss(taps[name], self._content[name]) for name in layers]).sum()
