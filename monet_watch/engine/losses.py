"""The objective of the method: content, style and total variation, and its gradient.

Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016): content loss
(equation 1), Gram matrix (3), style loss (4 and 5), total (7). Means stand where the paper has sums, so that the
weights mean the same at every size of picture.

Style is a function of `Moments`, which are sums over positions; so is the content loss. That is why a picture may be
taken tile by tile: a first pass over the tiles adds up what the losses are made of, and a second one brings the
loss's derivative, which is then known, back to the pixels. A picture that is one tile needs one pass for both.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from monet_watch.engine.events import Losses
from monet_watch.engine.precision import Precision
from monet_watch.engine.tiles import Tile, block_of, split
from monet_watch.engine.vgg import VGG19, Padding
from monet_watch.recipes import LAYERS, Recipe

__all__ = [
    "Evaluation",
    "GaussianTarget",
    "Moments",
    "Objective",
    "StyleTerm",
    "Target",
    "gaussian_distance",
    "gram_distance",
    "style_targets",
    "style_term",
]

RIDGE = 1e-2
"""Share of the target's mean variance that is added to the variances of both Gaussians: no channel is ever dead."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What style is made of, in one layer: means over positions of activations f (C,).

    ``second`` (C, C) is the mean of f·fᵀ, C times the Gram matrix; ``mean`` (C,) that of f, where a statistic asks.
    """

    second: Tensor
    mean: Tensor | None = None


Distance = tuple[Tensor, Moments]
"""A loss, as a scalar, and its derivatives with respect to the moments; that of the second moments is symmetric."""


def gram_distance(moments: Moments, target: Moments) -> Distance:
    """Return the mean squared difference of the Gram matrices F·Fᵀ / (C·H·W)."""
    channels = moments.second.shape[0]
    difference = (moments.second - target.second) / channels
    return difference.square().mean(), Moments(difference * (2 / channels**3))


@dataclass(frozen=True, slots=True)
class GaussianTarget:
    """The Gaussian that a painting's activations should have: what of `gaussian_distance` depends on it alone.

    ``mean`` (C,); ``covariance`` (C, C), with the ridge of variance ``ridge`` added, and its square ``root``.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor
    ridge: Tensor

    @classmethod
    def of(cls, moments: Moments) -> "GaussianTarget":
        """Return the target that has ``moments``."""
        mean, covariance = _gaussian(moments)
        variance = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
        ridge = variance * torch.eye(len(mean), dtype=covariance.dtype)
        return cls(mean, covariance + ridge, _roots(covariance + ridge)[0], ridge)


def gaussian_distance(moments: Moments, target: Moments | GaussianTarget) -> Distance:
    """Return the squared Wasserstein-2 distance between the Gaussians that have these moments.

    |m - m*|² + tr(S + S* - 2·(S*^½·S·S*^½)^½): Dowson and Landau, "The Fréchet distance between multivariate normal
    distributions" (1982). Its derivative with respect to S is 1 - S*^½·(S*^½·S·S*^½)^-½·S*^½. Both covariances have
    `RIDGE` added. The matrices are decomposed on the CPU in double precision, where it is both fast and exact. Of
    moments that are not finite the distance is NaN.
    """
    wanted = GaussianTarget.of(target) if isinstance(target, Moments) else target
    where, root = moments.second, wanted.root
    m, s = _gaussian(moments)
    if not bool(s.isfinite().all()):
        return where.new_tensor(float("nan")), Moments(torch.zeros_like(where), torch.zeros_like(where[0]))
    s = s + wanted.ridge
    middle, inverse = _roots(root @ s @ root)
    shift = m - wanted.mean
    loss = shift.square().sum() + (s + wanted.covariance - 2 * middle).diagonal().sum()
    by_s = torch.eye(len(m), dtype=s.dtype) - root @ inverse @ root
    by_mean = 2 * (shift - by_s @ m)  # the mean moves the covariance, too: S = second - m·mᵀ
    return loss.to(where.dtype).to(where.device), Moments(_like(where, by_s), _like(where, by_mean))


def _gaussian(moments: Moments) -> tuple[Tensor, Tensor]:
    assert moments.mean is not None
    mean, second = (value.to("cpu").double() for value in (moments.mean, moments.second))
    return mean, second - torch.outer(mean, mean)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square root of a symmetric positive matrix, and the root's inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    limits = torch.finfo(values.dtype)
    roots = values.clamp(min=limits.eps * values[-1].item() + limits.tiny).sqrt()  # none is below what rounding makes
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _like(where: Tensor, value: Tensor) -> Tensor:
    return value.to(where.dtype).to(where.device)


Target = Moments | GaussianTarget
"""What the moments of a layer are compared with."""


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """How styles are compared: the statistic, the share of each layer (1 where none is given), and where to tap."""

    statistic: Literal["gram", "gaussian"] = "gram"
    weights: Mapping[str, float] = field(default_factory=dict)
    after_relu: bool = False

    @property
    def needs_mean(self) -> bool:
        """Whether the statistic asks for the mean of the activations."""
        return self.statistic == "gaussian"

    def target(self, moments: Moments) -> Target:
        """Return what `distance` compares with, from the moments that a painting should have."""
        return GaussianTarget.of(moments) if self.statistic == "gaussian" else moments

    def distance(self, layer: str, moments: Moments, target: Target) -> Distance:
        """Return the loss of ``layer`` times its share, and the derivatives."""
        share = self.weights.get(layer, 1.0)
        if isinstance(target, GaussianTarget):
            loss, by = gaussian_distance(moments, target)
        else:
            loss, by = gram_distance(moments, target)
        return share * loss, Moments(share * by.second, None if by.mean is None else share * by.mean)


def style_term(recipe: Recipe) -> StyleTerm:
    """Return how ``recipe`` compares styles. The shares of its layers fall off with depth, and are 1 on average."""
    layers = sorted(recipe.style_layers, key=LAYERS.index)
    shares = [recipe.style_falloff**-place for place in range(len(layers))]
    weights: dict[str, float] = {
        name: share * len(layers) / sum(shares) for name, share in zip(layers, shares, strict=True)
    }
    return StyleTerm(recipe.style_statistic, weights, recipe.style_tap == "after_relu")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The losses of an image, and the gradient of their total with respect to it: float32, (1, 3, H, W).

    ``style_layers`` holds the style loss of each layer, times its weight.
    """

    losses: Losses
    gradient: Tensor
    style_layers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Lens:
    """The network, and how it is used: in which precision, with which padding and tiles."""

    network: VGG19
    precision: Precision
    padding: Padding
    tile: int | None
    style: StyleTerm
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]

    @property
    def layers(self) -> set[str]:
        return {*self.style_layers, *self.content_layers}

    @property
    def spare(self) -> set[str]:
        """The layers whose activations are needed as they are before the ReLU."""
        return {*self.content_layers} if self.style.after_relu else self.layers

    def tiles(self, image: Tensor) -> tuple[Tile, ...]:
        return split(image.shape[2], image.shape[3], self.tile, self.layers)

    def walk(self, image: Tensor, tile: Tile, spare: Collection[str] = ()) -> Iterator[tuple[str, Tensor]]:
        return self.network.walk(image, tile, self.layers, precision=self.precision, padding=self.padding, spare=spare)


def _lens(network: VGG19, recipe: Recipe, precision: Precision, tile: int | None) -> _Lens:
    style = style_term(recipe)
    return _Lens(network, precision, recipe.padding, tile, style, recipe.style_layers, recipe.content_layers)


class _Sums:
    """Adds up, over the positions of all tiles, what the losses are made of."""

    def __init__(self, lens: _Lens, image: Tensor, content: Mapping[str, Tensor]) -> None:
        self._lens = lens
        self._content = content
        self._like = torch.zeros((), dtype=image.dtype, device=image.device)
        self._products: dict[str, Tensor] = {}
        self._totals: dict[str, Tensor] = {}
        self._counts = dict.fromkeys(lens.style_layers, 0)
        self._squares = {name: self._like.clone() for name in content}

    def add(self, name: str, x: Tensor, tile: Tile) -> None:
        """Take in the positions that ``tile`` owns of the activations ``x`` of layer ``name``, before the ReLU."""
        own = x[(..., *tile.own(block_of(name)))]
        if name in self._counts:
            self._add_moments(name, own)
        if name in self._content:
            self._add_squares(name, own, self._content[name][(..., *tile.home(block_of(name)))])

    def _add_moments(self, name: str, own: Tensor) -> None:
        channels, style = own.shape[1], self._lens.style
        products = self._products.setdefault(name, self._like.new_zeros(channels, channels))
        totals = self._totals.setdefault(name, self._like.new_zeros(channels))
        for block in _blocks(own):
            f = block.relu() if style.after_relu else block  # (n, C)
            _add_product(products, f)
            if style.needs_mean:
                totals.add_(f.sum(0, dtype=totals.dtype))
        self._counts[name] += own.shape[2] * own.shape[3]

    def _add_squares(self, name: str, own: Tensor, target: Tensor) -> None:
        for block, wanted in zip(_blocks(own), _blocks(target), strict=True):
            difference = block.to(self._like.dtype) - wanted
            self._squares[name] += difference.square_().sum()

    def moments(self) -> dict[str, Moments]:
        """Return the means over all positions that were added."""
        return {name: self._moments(name, count) for name, count in self._counts.items()}

    def _moments(self, name: str, count: int) -> Moments:
        mean = self._totals[name] / count if self._lens.style.needs_mean else None
        return Moments(self._products[name] / count, mean)

    def count(self, name: str) -> int:
        """Return the number of positions of style layer ``name``."""
        return self._counts[name]

    def content_loss(self) -> Tensor:
        """Return the sum over the content layers of the mean squared differences."""
        means = [squares / self._content[name].numel() for name, squares in self._squares.items()]
        return torch.stack(means).sum()


def _blocks(features: Tensor) -> Iterator[Tensor]:
    """Yield activations (1, C, h, w) as matrices (n, C) of few enough rows that a copy stays in the CPU's cache."""
    rows = features[0].permute(1, 2, 0)  # (h, w, C)
    positions = 2048 if features.device.type == "cpu" else 2**18
    count = max(1, positions // rows.shape[1])
    for first in range(0, rows.shape[0], count):
        yield rows[first : first + count].reshape(-1, rows.shape[2])


def _add_product(products: Tensor, f: Tensor) -> None:
    """Add fᵀ·f to ``products``, in the precision of ``products``: low precision features are not multiplied in it."""
    if f.dtype != products.dtype and f.device.type == "cuda" and hasattr(torch.ops.aten.mm, "dtype"):
        products.add_(torch.ops.aten.mm.dtype(f.t(), f, products.dtype))  # accumulates in float32 as it is
        return
    f = f.to(products.dtype)
    products.addmm_(f.t(), f)


def style_targets(
    network: VGG19,
    styles: Iterable[Tensor],
    recipe: Recipe,
    *,
    precision: Precision = "fp32",
    tiles: Iterable[int | None] = itertools.repeat(None),
) -> dict[str, Moments]:
    """Return for each style layer of ``recipe`` the moments that a painting should have.

    ``styles`` are pictures (1, 3, H, W) in [0, 1], of any sizes; they are asked for one after the other, and each is
    measured in tiles of its own, as `Objective` takes them. Of several pictures it is the mean of their
    moments: of Gram matrices, the point from which the squared distances to all of them have the least sum; of
    Gaussians, the one that fits all pictures' activations at once.
    """
    lens = replace(_lens(network, recipe, precision, None), content_layers=())
    with torch.no_grad(), network.arithmetic(precision):
        found = [
            _measured(replace(lens, tile=tile), picture, {}).moments()
            for picture, tile in zip(styles, tiles, strict=False)  # of what repeats there is no end
        ]
    return {name: _mean([moments[name] for moments in found]) for name in recipe.style_layers}


def _mean(moments: Sequence[Moments]) -> Moments:
    means = [each.mean for each in moments if each.mean is not None]
    return Moments(
        torch.stack([each.second for each in moments]).mean(dim=0), torch.stack(means).mean(dim=0) if means else None
    )


def _measured(lens: _Lens, image: Tensor, content: Mapping[str, Tensor]) -> _Sums:
    """Return the sums of ``image``, of which nothing else is kept."""
    sums = _Sums(lens, image, content)
    for tile in lens.tiles(image):
        for name, x in lens.walk(image, tile):
            sums.add(name, x, tile)
    return sums


class Objective:
    """The loss of an image against one photo and one style.

    ``content`` (1, 3, H, W) is the photo in [0, 1]; ``targets`` are those of `style_targets` of the same ``recipe``.
    With ``tile`` (pixels, a multiple of 16; see `monet_watch.engine.tiles`) the losses and the gradient are the same,
    in less memory and more time.
    """

    def __init__(
        self,
        network: VGG19,
        content: Tensor,
        targets: Mapping[str, Moments],
        recipe: Recipe,
        *,
        precision: Precision = "fp32",
        tile: int | None = None,
    ) -> None:
        self._recipe = recipe
        self._lens = _lens(network, recipe, precision, tile)
        self._targets = {name: self._lens.style.target(moments) for name, moments in targets.items()}
        with torch.no_grad(), network.arithmetic(precision):
            self._content = self._activations(content)

    def without(self, layers: Collection[str]) -> "Objective":
        """Return the same objective less the style loss of ``layers``; what lies only on their way is not computed."""
        rest = copy(self)
        kept = tuple(name for name in self._lens.style_layers if name not in layers)
        rest._lens = replace(self._lens, style_layers=kept)
        return rest

    def _activations(self, photo: Tensor) -> dict[str, Tensor]:
        """Return the photo's activations of the content layers, in the precision in which they are computed."""
        lens = self._lens
        found: dict[str, Tensor] = {}
        for tile in lens.tiles(photo):
            for name, x in lens.walk(photo, tile):
                if name in lens.content_layers:
                    own, home = tile.own(block_of(name)), tile.home(block_of(name))
                    if name not in found:
                        size = (1, x.shape[1], photo.shape[2] >> block_of(name), photo.shape[3] >> block_of(name))
                        layout = lens.network.memory_format
                        found[name] = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
                    found[name][(..., *home)] = x[(..., *own)]
        return found

    def __call__(self, image: Tensor) -> Evaluation:
        """Return the losses of ``image`` (1, 3, H, W), nominally in [0, 1], and their gradient."""
        lens = self._lens
        with torch.no_grad(), lens.network.arithmetic(lens.precision):
            tiles = lens.tiles(image)
            if len(tiles) == 1:
                sums, kept = self._kept(image, tiles[0])
            else:
                sums, kept = _measured(lens, image, self._content), {}
            style, slopes = self._style(sums)
            gradient = torch.zeros_like(image)
            for tile in tiles:
                kept = kept or dict(lens.walk(image, tile, lens.spare))
                gradient[(..., *tile.window(0))] += self._tile_gradient(kept, tile, slopes)
            tv = _add_variation(image, self._recipe, gradient)
            losses, by_layer = self._floats(style, sums, tv)
            return Evaluation(losses, gradient, by_layer)

    def losses(self, image: Tensor) -> Losses:
        """Return the losses of ``image`` (1, 3, H, W) alone, for which nothing is kept."""
        lens = self._lens
        with torch.no_grad(), lens.network.arithmetic(lens.precision):
            sums = _measured(lens, image, self._content)
            style, _ = self._style(sums)
            return self._floats(style, sums, _variation(image, self._recipe))[0]

    def _floats(self, style: Mapping[str, Tensor], sums: _Sums, tv: Tensor) -> tuple[Losses, dict[str, float]]:
        """Return the plain numbers, and those of the style layers, in one transfer from the device."""
        content = self._recipe.content_weight * sums.content_loss()
        content_loss, tv_loss, *layers = torch.stack([content, tv, *style.values()]).tolist()
        style_loss = sum(layers)
        losses = Losses(style_loss + content_loss + tv_loss, style_loss, content_loss, tv_loss)
        return losses, dict(zip(style, layers, strict=True))

    def _kept(self, image: Tensor, tile: Tile) -> tuple[_Sums, dict[str, Tensor]]:
        """Return the sums of an image of one tile, and its activations for the way back."""
        sums, kept = _Sums(self._lens, image, self._content), {}
        for name, x in self._lens.walk(image, tile, self._lens.spare):
            sums.add(name, x, tile)
            kept[name] = x
        return sums, kept

    def _style(self, sums: _Sums) -> tuple[dict[str, Tensor], dict[str, Moments]]:
        """Return per layer the weighted style loss, and the matrix and vector that make a gradient of activations.

        The derivative of a position's activations f is D·f + d, with D (C, C) and d (C,).
        """
        weight, losses, slopes = self._recipe.style_weight, {}, {}
        for name, moments in sums.moments().items():
            loss, by = self._lens.style.distance(name, moments, self._targets[name])
            scale = weight / sums.count(name)
            slopes[name] = Moments(by.second * (2 * scale), None if by.mean is None else by.mean * scale)
            losses[name] = weight * loss
        return losses, slopes

    def _tile_gradient(self, kept: dict[str, Tensor], tile: Tile, slopes: Mapping[str, Moments]) -> Tensor:
        lens = self._lens

        def inject(name: str, x: Tensor, g: Tensor, rectified: bool) -> None:
            own = (..., *tile.own(block_of(name)))
            if name in slopes and rectified == lens.style.after_relu:
                _add_style(g[own], x[own], slopes[name], rectified)
            if name in self._content and not rectified:
                self._add_content(name, g[own], x[own], tile)

        return lens.network.gradient(kept, tile, inject, precision=lens.precision, padding=lens.padding)

    def _add_content(self, name: str, g: Tensor, x: Tensor, tile: Tile) -> None:
        content = self._content[name]
        difference = x - content[(..., *tile.home(block_of(name)))]
        g.add_(difference, alpha=2 * self._recipe.content_weight / content.numel())


def _add_style(g: Tensor, x: Tensor, slope: Moments, rectified: bool) -> None:
    """Add D·f + d to the gradient ``g`` of each position, where f are ``x`` or their ReLU; in their low precision."""
    f = x.relu() if rectified else x
    matrix = slope.second.to(x.dtype)
    into, rows = (tensor[0].permute(1, 2, 0) for tensor in (g, f))  # (h, w, C)
    if into.is_contiguous() and rows.is_contiguous():
        into.view(-1, x.shape[1]).addmm_(rows.view(-1, x.shape[1]), matrix)
    else:
        into.add_(rows @ matrix)
    if slope.mean is not None:
        into.add_(slope.mean.to(x.dtype))


def _variation(image: Tensor, recipe: Recipe) -> Tensor:
    """Return the weighted total variation of ``image``, and with it the weighted mean square of the differences."""
    total = image.new_zeros(())
    for axis in (2, 3):
        total += _weigh(image.diff(dim=axis), recipe, image.numel())
    return total


def _weigh(difference: Tensor, recipe: Recipe, count: int) -> Tensor:
    total = recipe.tv_weight * difference.abs().sum()
    return total + recipe.smooth_weight / count * difference.square().sum() if recipe.smooth_weight else total


def _add_variation(image: Tensor, recipe: Recipe, gradient: Tensor) -> Tensor:
    """Return `_variation` of ``image``, and add its derivative to ``gradient``."""
    total = image.new_zeros(())
    for axis in (2, 3):
        difference = image.diff(dim=axis)
        total += _weigh(difference, recipe, image.numel())
        slope = difference.sign().mul_(recipe.tv_weight)
        if recipe.smooth_weight:
            slope.add_(difference, alpha=2 * recipe.smooth_weight / image.numel())
        length = image.shape[axis] - 1
        gradient.narrow(axis, 1, length).add_(slope)
        gradient.narrow(axis, 0, length).sub_(slope)
    return total
