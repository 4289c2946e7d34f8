"""Irregularity, from which everything that grows or ripples is made."""

from collections.abc import Callable

import numpy as np
import skimage.filters
import skimage.transform

from monet_watch.styles.water_garden.palette import Field

__all__ = ["blur", "clouds", "standardised", "step"]

blur: Callable[..., Field] = skimage.filters.gaussian
"""Gaussian smoothing of an array, by ``sigma``."""

_resize: Callable[..., Field] = skimage.transform.resize


def clouds(rng: np.random.Generator, shape: tuple[int, int], tall: float, wide: float) -> Field:
    """Return smooth noise (H, W), mean 0 and deviation 1, in patches of ``tall`` × ``wide`` of the short side."""
    rows, columns = (
        int(np.ceil(2 * side / (size * min(shape)))) + 6 for side, size in zip(shape, (tall, wide), strict=True)
    )
    patches = blur(rng.normal(size=(rows, columns)), sigma=1.0, mode="nearest")[3:-3, 3:-3]
    return standardised(_resize(patches, shape, order=3, mode="edge", anti_aliasing=False))


def standardised(noise: Field) -> Field:
    """Return ``noise`` moved and scaled to mean 0 and deviation 1."""
    even: Field = ((noise - noise.mean()) / (noise.std() + 1e-6)).astype(np.float32)
    return even


def step(value: Field, softness: float) -> Field:
    """Return 0 where ``value`` is well below 0, 1 where it is well above, and between them within ``softness``."""
    risen: Field = (0.5 + 0.5 * np.tanh(value / softness)).astype(np.float32)
    return risen
