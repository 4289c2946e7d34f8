"""The scene that the painter has before him: a lily pond on a summer evening, described by functions.

Positions ``x`` and ``y`` are (H, W), from 0 at the left and top edge to 1 at the right and bottom edge.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from monet_watch.styles.water_garden.noise import clouds, step
from monet_watch.styles.water_garden.palette import (
    CADMIUM_YELLOW,
    CERULEAN,
    COBALT,
    CREAM,
    DEEP_VIOLET,
    DEEP_VIRIDIAN,
    EMERALD,
    LAVENDER,
    LEAD_WHITE,
    NAPLES_YELLOW,
    OCHRE,
    OLIVE,
    PEACH,
    ROSE,
    SKY_BLUE,
    SPRING_GREEN,
    TURQUOISE,
    ULTRAMARINE,
    VERMILION,
    VIOLET,
    VIRIDIAN,
    Field,
    blend,
    ramp,
)

__all__ = ["Passage", "Scene", "imagine"]


class Passage(IntEnum):
    """The parts of the picture, each painted in its own way."""

    SKY = 0
    TREES = 1
    WILLOW = 2
    BANK = 3
    BRIGHT_WATER = 4
    DEEP_WATER = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """What is where.

    ``colour`` is (H, W, 3); ``angle`` (H, W) says which way the brush runs, in radians, clockwise from the right;
    ``passage`` (H, W) holds the numbers of `Passage`.
    """

    colour: Field
    angle: Field
    passage: NDArray[np.uint8]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.angle.shape[0])

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.angle.shape[1])

    @property
    def unit(self) -> float:
        """Pixels in 1/1024 of the short side: brushes are measured in it."""
        return min(self.height, self.width) / 1024


def imagine(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Imagine the pond, ``shape`` = (H, W): a bank with trees, a glimpse of the sky, and all of it in the water."""
    y, x = np.meshgrid(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    shore = 0.315 + 0.012 * np.sin(9 * x + 1) + 0.008 * clouds(rng, shape, 1.0, 0.06)
    glow = _glimpse_of_sky(rng, shape, x, y)
    land = _land(rng, shape, x, y, shore, glow)
    shine, water = _water(rng, shape, x, y, _mirrored(rng, land, shore))
    curtain = _willow_curtain(rng, shape, x, y)
    colour = blend(blend(land, water, step(y - shore, 0.004)), _willow_leaves(rng, shape, y), curtain)
    passage = np.select(
        [curtain > 0.5, (y > shore) & (shine > 0.5), y > shore, y > shore - 0.045, glow > 0.5],
        [Passage.WILLOW, Passage.BRIGHT_WATER, Passage.DEEP_WATER, Passage.BANK, Passage.SKY],
        Passage.TREES,
    ).astype(np.uint8)
    return Scene(colour.astype(np.float32), _flow(rng, shape, passage), passage)


def _glimpse_of_sky(rng: np.random.Generator, shape: tuple[int, int], x: Field, y: Field) -> Field:
    """Return where the trees stand apart (H, W)."""
    edge = 0.045 * clouds(rng, shape, 0.09, 0.07)
    return step(0.15 - np.abs(x - 0.58 + edge) - 0.30 * np.maximum(y - 0.12, 0), 0.03)


def _land(rng: np.random.Generator, shape: tuple[int, int], x: Field, y: Field, shore: Field, glow: Field) -> Field:
    """Return the colours (H, W, 3) of all that stands above the shore."""
    sky = ramp(y / 0.3 + 0.1 * clouds(rng, shape, 0.06, 0.16), (CERULEAN, SKY_BLUE, LEAD_WHITE, CREAM, PEACH))
    leaves = 0.49 + 0.20 * clouds(rng, shape, 0.10, 0.08) + 0.15 * clouds(rng, shape, 0.035, 0.03)
    greens = (DEEP_VIOLET, DEEP_VIRIDIAN, VIRIDIAN, EMERALD, SPRING_GREEN, NAPLES_YELLOW)
    trees = ramp(leaves - 0.5 * np.maximum(y - 0.16, 0), greens)
    blues = ramp(leaves, (ULTRAMARINE, COBALT, CERULEAN, TURQUOISE))
    trees = blend(trees, blues, 0.75 * _poplars(rng, shape, x, y))
    flowers = 0.5 + 0.28 * clouds(rng, shape, 0.022, 0.05)
    bank = ramp(flowers, (DEEP_VIRIDIAN, VIRIDIAN, OLIVE, EMERALD, OCHRE, ROSE, VERMILION))
    return blend(blend(trees, sky, glow), bank, step(y - shore + 0.045, 0.012))


def _poplars(rng: np.random.Generator, shape: tuple[int, int], x: Field, y: Field) -> Field:
    """Return where the poplars stand (H, W): tall, narrow, rounded columns on the right."""
    sway = 0.006 * clouds(rng, shape, 0.05, 0.2)
    columns = [
        step(half_width * np.sqrt(np.clip((y - top) / 0.2, 0, 1)) - np.abs(x - centre + sway), 0.006)
        for centre, half_width, top in ((0.765, 0.020, -0.10), (0.835, 0.026, 0.01), (0.915, 0.030, -0.06))
    ]
    poplars: Field = np.stack(columns).max(axis=0)
    return poplars


def _mirrored(rng: np.random.Generator, land: Field, shore: Field) -> Field:
    """Return ``land`` upside down below the ``shore``, drawn out towards the viewer and broken by ripples."""
    height, width = shore.shape
    rows, columns = np.mgrid[0:height, 0:width]
    above = shore - 0.8 * (rows / height - shore)
    ripple = 0.02 * clouds(rng, (height, width), 0.022, 0.18)
    from_row = np.clip(np.abs(above) * height, 0, height - 1).astype(int)
    from_column = np.clip(columns + ripple * width, 0, width - 1).astype(int)
    mirrored: Field = land[from_row, from_column]
    return mirrored


def _water(
    rng: np.random.Generator, shape: tuple[int, int], x: Field, y: Field, mirrored: Field
) -> tuple[Field, Field]:
    """Return where the water is bright with the sky (H, W), and its colours (H, W, 3)."""
    ripple = clouds(rng, shape, 0.022, 0.18)
    path = 0.57 + 0.05 * np.sin(5 * y) + 0.03 * ripple
    breadth = 0.12 + 0.20 * y + 0.04 * clouds(rng, shape, 0.05, 0.3)
    shine = step(1 - np.abs(x - path) / breadth + 0.30 * ripple - np.maximum(y - 0.75, 0), 0.35)
    depths = 0.42 + 0.24 * clouds(rng, shape, 0.05, 0.30) + 0.08 * ripple
    dark = ramp(depths, (DEEP_VIRIDIAN, VIRIDIAN, ULTRAMARINE, COBALT, VIOLET, CERULEAN))
    evening = (PEACH, CREAM, ROSE, LAVENDER, SKY_BLUE, LEAD_WHITE, LAVENDER, CERULEAN, CERULEAN)
    light = ramp((y - 0.32) / 0.68 + 0.06 * ripple, evening)
    return shine, blend(blend(dark, mirrored, 0.45 * step(0.62 - y, 0.12)), light, shine)


def _willow_curtain(rng: np.random.Generator, shape: tuple[int, int], x: Field, y: Field) -> Field:
    """Return where the willow hangs (H, W): from the upper left, in strands of unequal length."""
    strands = clouds(rng, shape, 1.5, 0.035)
    hem = 0.50 - 1.15 * np.maximum(x - 0.02, 0) + 0.05 * strands
    return step(hem - y, 0.02) * step(0.55 + strands + 0.9 * (0.3 - x) - 0.6 * y, 0.4)


def _willow_leaves(rng: np.random.Generator, shape: tuple[int, int], y: Field) -> Field:
    strands = 0.53 + 0.22 * clouds(rng, shape, 0.5, 0.022) + 0.16 * clouds(rng, shape, 0.12, 0.05) - 0.25 * y
    return ramp(strands, (DEEP_VIOLET, DEEP_VIRIDIAN, VIRIDIAN, EMERALD, SPRING_GREEN, SPRING_GREEN, CADMIUM_YELLOW))


def _flow(rng: np.random.Generator, shape: tuple[int, int], passage: NDArray[np.uint8]) -> Field:
    """Return which way the brush runs (H, W): along the ripples, down the willow, every way in the trees."""
    slow, quick = clouds(rng, shape, 0.10, 0.25), clouds(rng, shape, 0.06, 0.06)
    ripples = 0.10 * slow + 0.05 * quick
    ways = {
        Passage.SKY: 0.5 + 0.5 * slow,
        Passage.TREES: 1.0 + 0.9 * quick + 0.3 * slow,
        Passage.WILLOW: 1.50 + 0.13 * slow + 0.06 * quick,
        Passage.BANK: 0.4 + 0.9 * quick,
        Passage.BRIGHT_WATER: ripples,
        Passage.DEEP_WATER: ripples,
    }
    return np.select([passage == part for part in ways], list(ways.values())).astype(np.float32)
