"""The palette: Monet's pigments, and what can be done to a colour with them.

Colours are gamma-coded sRGB in [0, 1], of shape (..., 3).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CADMIUM_YELLOW", "CERULEAN", "COBALT", "CREAM", "DEEP_VIOLET", "DEEP_VIRIDIAN", "EMERALD", "LAVENDER",
    "LEAD_WHITE", "MADDER", "NAPLES_YELLOW", "OCHRE", "OLIVE", "PEACH", "ROSE", "SKY_BLUE", "SPRING_GREEN",
    "TURQUOISE", "ULTRAMARINE", "VERMILION", "VIOLET", "VIRIDIAN", "Field", "any_of", "blend", "from_oklab", "lighter",
    "mix", "ramp", "to_oklab", "vary",
]  # fmt: skip

Field = NDArray[np.floating[Any]]
"""Numbers, or colours, of places or of strokes."""


def _pigment(code: str) -> Field:
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], dtype=np.float32)


# Shadows are violet, blue and green: there is no black.
LEAD_WHITE = _pigment("f7f1e3")
CREAM = _pigment("f6e3b8")
NAPLES_YELLOW = _pigment("f0cf86")
CADMIUM_YELLOW = _pigment("efc23c")
OCHRE = _pigment("c79a4b")
VERMILION = _pigment("d9573a")
PEACH = _pigment("f3bd9c")
ROSE = _pigment("eaa3b0")
MADDER = _pigment("b4466a")
LAVENDER = _pigment("b6a8d9")
VIOLET = _pigment("6c5a9e")
DEEP_VIOLET = _pigment("27234f")
SKY_BLUE = _pigment("b9d3ea")
CERULEAN = _pigment("6fa9cf")
COBALT = _pigment("3f6fb4")
ULTRAMARINE = _pigment("20336c")
TURQUOISE = _pigment("6fb9ac")
VIRIDIAN = _pigment("2f7d6b")
DEEP_VIRIDIAN = _pigment("12333a")
EMERALD = _pigment("5fa565")
SPRING_GREEN = _pigment("a9c668")
OLIVE = _pigment("6f8443")

_LMS_FROM_RGB = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
_LAB_FROM_LMS = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


def to_oklab(colour: Field) -> Field:
    """Return lightness, green-red and blue-yellow (Oklab, B. Ottosson 2020), in which equal steps look equal."""
    lms = (np.clip(colour, 0, 1) ** 2.2) @ _LMS_FROM_RGB.T
    lab: Field = (np.cbrt(lms) @ _LAB_FROM_LMS.T).astype(np.float32)
    return lab


def from_oklab(lab: Field) -> Field:
    """Return the colour of ``lab``, clipped to what a screen can show."""
    linear = (lab @ np.linalg.inv(_LAB_FROM_LMS).T) ** 3 @ np.linalg.inv(_LMS_FROM_RGB).T
    colour: Field = (np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.float32)
    return colour


def vary(rng: np.random.Generator, colour: Field, lightness: float, hue: float) -> Field:
    """Return each of ``colour`` (N, 3) lighter or darker and of another hue, by these deviations in Oklab."""
    return from_oklab(to_oklab(colour) + rng.normal(size=colour.shape) * np.array([lightness, hue, hue]))


def lighter(colour: Field, lift: float) -> Field:
    """Return ``colour`` with its Oklab lightness raised by ``lift``."""
    return from_oklab(to_oklab(colour) + np.array([lift, 0, 0]))


def any_of(rng: np.random.Generator, pigments: Sequence[Field], count: int) -> Field:
    """Return ``count`` of ``pigments``, picked blindly: (count, 3)."""
    return np.stack(pigments)[rng.integers(len(pigments), size=count)]


def mix(paint: Field, other: Field, share: float) -> Field:
    """Mix pigments, ``share`` of them the ``other``: the geometric mean, in which blue and yellow give green."""
    mixed: Field = np.maximum(paint, 0.02) ** (1 - share) * np.maximum(other, 0.02) ** share
    return mixed


def blend(under: Field, over: Field, share: Field) -> Field:
    """Return the picture ``under`` (H, W, 3) with ``over`` laid on it where ``share`` (H, W) is 1."""
    blended: Field = under + (over - under) * share[..., None]
    return blended


def ramp(value: Field, pigments: Sequence[Field]) -> Field:
    """Return the colours (..., 3) at ``value`` in a row of ``pigments``, where 0 is the first and 1 the last."""
    stops = np.linspace(0, 1, len(pigments))
    channels = [np.interp(value, stops, levels) for levels in np.stack(pigments, axis=1)]
    return np.stack(channels, axis=-1).astype(np.float32)
