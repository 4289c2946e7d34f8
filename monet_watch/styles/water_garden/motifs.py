"""The things in the scene that have a shape, each drawn with strokes of its own.

Places are fractions of the picture's width and height, sizes are in the scene's units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monet_watch.styles.water_garden.brush import Brush, Strokes, strokes
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
    MADDER,
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
    any_of,
    ramp,
    vary,
)
from monet_watch.styles.water_garden.scene import Scene

__all__ = ["Pads", "Petals", "footbridge", "irises", "lily_flowers", "lily_pads", "places_of_pads", "reeds"]


# The footbridge -----------------------------------------------------------------------------------------------------


def footbridge(rng: np.random.Generator, scene: Scene) -> tuple[Brush, Strokes]:
    """Draw the arched footbridge: posts, the deck and its beam, two rails; each in shadow first, then its lit edge."""
    shadow, light = (VIRIDIAN, COBALT, DEEP_VIRIDIAN, VIOLET), (TURQUOISE, CERULEAN, SKY_BLUE, LAVENDER)
    parts = [_posts(rng, scene, shadow)]
    for lift, width in ((0, 17), (-16, 9), (40, 8), (74, 9)):
        parts.append(_along_the_arch(rng, scene, lift, width, shadow))
        parts.append(_along_the_arch(rng, scene, lift + 0.4 * width, 0.55 * width, light))
    return Brush(rng, 48 * scene.unit, 10 * scene.unit, dryness=0.4), Strokes.one_after_another(parts)


def _arch(scene: Scene, t: Field, lift: float) -> tuple[Field, Field, Field]:
    """Return x, y (pixels) and the slope's angle of the bridge at ``t`` in [-1, 1], ``lift`` above its deck."""
    x, y = 0.55 + 0.37 * t, 0.225 + 0.105 * t**2
    slope = np.arctan2(0.21 * t * scene.height, 0.37 * scene.width)
    return x * scene.width, y * scene.height - lift * scene.unit, slope


def _along_the_arch(
    rng: np.random.Generator, scene: Scene, lift: float, width: float, pigments: Sequence[Field]
) -> Strokes:
    count = 46
    x, y, slope = _arch(scene, rng.permutation(np.linspace(-1, 1, count)) + rng.normal(0, 0.01, count), lift)
    return strokes(
        rng,
        x,
        y + scene.unit * rng.normal(0, 1.2, count),
        angle=slope + rng.normal(0, 0.03, count),
        length=46 * scene.unit * rng.uniform(0.7, 1.3, count),
        width=width * scene.unit * rng.uniform(0.8, 1.2, count),
        load=1.2,
        colour=vary(rng, any_of(rng, pigments, count), 0.03, 0.01),
    )


def _posts(rng: np.random.Generator, scene: Scene, pigments: Sequence[Field]) -> Strokes:
    count = 15
    x, y, _ = _arch(scene, np.linspace(-0.95, 0.95, count) + rng.normal(0, 0.008, count), 38)
    upright = np.pi / 2 + rng.normal(0, 0.04, count)
    colour = any_of(rng, pigments, count)
    return strokes(rng, x, y, angle=upright, length=84 * scene.unit, width=9 * scene.unit, colour=colour)


# Lilies -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pads:
    """Lily pads, N of them, the farthest first: their middles ``x``, ``y``, and ``near``, 0 (far) to 1 (near)."""

    x: Field
    y: Field
    near: Field


RAFTS = (
    (0.46, 0.405, 0.13, 24), (0.86, 0.420, 0.12, 20), (0.27, 0.475, 0.12, 20), (0.68, 0.500, 0.13, 18),
    (0.08, 0.580, 0.11, 14), (0.40, 0.600, 0.12, 16), (0.90, 0.610, 0.11, 14), (0.66, 0.700, 0.14, 14),
    (0.24, 0.740, 0.12, 12), (0.92, 0.800, 0.12, 9), (0.52, 0.860, 0.15, 12), (0.27, 0.930, 0.10, 6),
    (0.80, 0.955, 0.12, 7),
)  # fmt: skip
"""Where pads float together: x and y of the middle, the spread to both sides, and how many there are."""


def places_of_pads(rng: np.random.Generator) -> Pads:
    """Scatter the pads of each raft; distance closes their ranks."""
    rafts = np.repeat(np.array(RAFTS), [count for *_, count in RAFTS], axis=0)
    x = rafts[:, 0] + rafts[:, 2] * rng.uniform(-1, 1, len(rafts)) * rng.uniform(0.4, 1.1, len(rafts))
    y = rafts[:, 1] + (0.008 + 0.04 * (rafts[:, 1] - 0.3)) * rng.normal(size=len(rafts))
    back_to_front = np.argsort(y)
    x, y = x[back_to_front], y[back_to_front]
    return Pads(x, y, np.clip((y - 0.30) / 0.70, 0.02, 1))


def lily_pads(rng: np.random.Generator, scene: Scene, pads: Pads) -> tuple[Brush, Strokes]:
    """Lay the pads on the water; distance makes them small and flat."""
    groups = [_pad(rng, scene, *place) for place in zip(pads.x, pads.y, pads.near, strict=True)]
    return Brush(rng, 36 * scene.unit, 10 * scene.unit, dryness=0.4), Strokes.one_after_another(groups)


def _pad(rng: np.random.Generator, scene: Scene, x: float, y: float, near: float) -> Strokes:
    wide = (13 + 52 * near) * scene.unit * rng.uniform(0.7, 1.2)
    tall = wide * (0.24 + 0.14 * near)
    middle = (x * scene.width, y * scene.height)
    shadow = _shadow_of_pad(rng, scene, *middle, wide, tall)
    return Strokes.one_after_another([shadow, _disc_of_pad(rng, scene, *middle, wide, tall, 4 + int(16 * near))])


def _shadow_of_pad(rng: np.random.Generator, scene: Scene, x: float, y: float, wide: float, tall: float) -> Strokes:
    return strokes(
        rng,
        x + wide * rng.uniform(-0.5, 0.5, 2),
        np.full(2, y + 0.8 * tall),
        angle=0.0,
        length=1.3 * wide,
        width=max(0.6 * tall, 4 * scene.unit),
        bend=0.3 * tall,
        colour=any_of(rng, (DEEP_VIRIDIAN, DEEP_VIOLET, ULTRAMARINE), 2),
    )


def _disc_of_pad(
    rng: np.random.Generator, scene: Scene, x: float, y: float, wide: float, tall: float, count: int
) -> Strokes:
    """Lay strokes across the disc, bent like its outline, paler where the light of the sky glances off it."""
    v = rng.uniform(-0.8, 0.8, count)
    half_chord = wide * np.sqrt(1 - v**2)
    length = np.minimum(1.5 * half_chord, 60 * scene.unit) * rng.uniform(0.7, 1.1, count)
    u = rng.uniform(-1, 1, count) * np.maximum(half_chord - length / 2, 0)
    leaf = any_of(rng, (SPRING_GREEN, EMERALD, EMERALD, TURQUOISE, VIRIDIAN, OLIVE, OCHRE), 1)
    return strokes(
        rng,
        x + u,
        y + v * tall,
        angle=rng.normal(0, 0.06, count),
        length=length,
        width=np.maximum(tall * rng.uniform(0.45, 0.7, count), 5 * scene.unit),
        bend=0.5 * v * tall,
        load=1.2,
        colour=_in_the_light(rng, np.repeat(leaf, count, axis=0), -v - 0.5 * u / wide),
    )


def _in_the_light(rng: np.random.Generator, colour: Field, light: Field) -> Field:
    """Return ``colour`` (N, 3) leaning to the sky where ``light`` (N,) is 1, to violet depth where it is -1."""
    sky, depth = any_of(rng, (SKY_BLUE, CREAM, TURQUOISE), len(colour)), any_of(rng, (VIRIDIAN, VIOLET), len(colour))
    share = np.clip(light, -1, 1)[:, None]
    lit = colour + np.maximum(share, 0) * 0.5 * (sky - colour) + np.maximum(-share, 0) * 0.55 * (depth - colour)
    return vary(rng, lit, 0.03, 0.015)


# Flowers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Petals:
    """Some petals of a flower: ``fewest`` to ``most`` dabs of some ``pigments``.

    They lie about ``angle`` (radians, -π/2 is upwards), their middles ``reach`` from the flower's, ``size`` long, both
    as multiples of the flower's size.
    """

    pigments: tuple[Field, ...]
    fewest: int
    most: int
    angle: float
    reach: float
    size: float


UP, DOWN = -np.pi / 2, np.pi / 2


def _water_lily(shaded: tuple[Field, ...], lit: tuple[Field, ...]) -> tuple[Petals, ...]:
    heart = Petals((CADMIUM_YELLOW, NAPLES_YELLOW, OCHRE, VERMILION), 0, 1, UP, 0.1, 0.5)
    return Petals(shaded, 3, 6, UP, 0.7, 1.0), Petals(lit, 2, 4, UP, 0.35, 0.8), heart


WATER_LILIES = (
    _water_lily((ROSE, MADDER, MADDER), (ROSE, PEACH, LEAD_WHITE)),
    _water_lily((LAVENDER, ROSE, SKY_BLUE), (LEAD_WHITE, LEAD_WHITE, CREAM)),
    _water_lily((OCHRE, LAVENDER, ROSE), (CREAM, NAPLES_YELLOW, LEAD_WHITE)),
    _water_lily((MADDER, VERMILION, ROSE), (ROSE, MADDER, PEACH)),
)

IRIS = (
    Petals((DEEP_VIOLET, ULTRAMARINE, VIOLET), 3, 4, DOWN, 0.5, 1.2),
    Petals((VIOLET, COBALT, LAVENDER), 2, 4, UP, 0.5, 1.1),
    Petals((NAPLES_YELLOW, CADMIUM_YELLOW), 0, 1, UP, 0.05, 0.5),
)

HEADS_OF_IRISES = (
    (0.03, 0.79), (0.08, 0.84), (0.13, 0.89), (0.02, 0.90), (0.17, 0.94), (0.97, 0.82), (0.92, 0.88), (0.98, 0.92),
)  # fmt: skip


def lily_flowers(rng: np.random.Generator, scene: Scene, pads: Pads) -> tuple[Brush, Strokes]:
    """Open a flower on every third pad or so."""
    chosen = np.sort(rng.choice(len(pads.x), size=len(pads.x) // 3, replace=False))
    groups = [
        _flower(rng, scene, WATER_LILIES[rng.integers(len(WATER_LILIES))], pads.x[i], pads.y[i], 9 + 17 * pads.near[i])
        for i in chosen
    ]
    return Brush(rng, 20 * scene.unit, 8 * scene.unit, dryness=0.2), Strokes.one_after_another(groups)


def irises(rng: np.random.Generator, scene: Scene) -> tuple[Brush, Strokes]:
    """Set iris flowers among the reeds."""
    heads = np.array(HEADS_OF_IRISES) + rng.normal(0, 0.01, (len(HEADS_OF_IRISES), 2))
    groups = [_flower(rng, scene, IRIS, x, y, 23) for x, y in heads]
    return Brush(rng, 30 * scene.unit, 12 * scene.unit, dryness=0.4), Strokes.one_after_another(groups)


def _flower(rng: np.random.Generator, scene: Scene, kind: Sequence[Petals], x: float, y: float, size: float) -> Strokes:
    """Dab one flower of a ``kind``, about ``size`` units large."""
    size = size * scene.unit * rng.lognormal(0, 0.2)
    return Strokes.one_after_another(
        [_petals(rng, petals, x * scene.width, y * scene.height - 0.2 * size, size) for petals in kind]
    )


def _petals(rng: np.random.Generator, petals: Petals, x: float, y: float, size: float) -> Strokes:
    """Dab some petals round (``x``, ``y``), in a fan that is seen from the side."""
    count = int(rng.integers(petals.fewest, petals.most, endpoint=True))
    fan = petals.angle + rng.uniform(-1.6, 1.6, count)
    reach = petals.reach * size * rng.uniform(0.7, 1.3, count)
    length = petals.size * size * rng.uniform(0.7, 1.2, count)
    return strokes(
        rng,
        x + 1.1 * reach * np.cos(fan),
        y + 0.7 * reach * np.sin(fan),
        angle=np.arctan2(0.7 * np.sin(fan), np.cos(fan)) + rng.normal(0, 0.3, count),
        length=length,
        width=0.5 * length,
        bend=0.12 * size * rng.normal(size=count),
        load=1.6,
        colour=vary(rng, any_of(rng, petals.pigments, count), 0.025, 0.015),
    )


# Reeds --------------------------------------------------------------------------------------------------------------


def reeds(rng: np.random.Generator, scene: Scene) -> tuple[Brush, Strokes]:
    """Let blades stand up from the lower corners, dark ones behind, light ones in front, shorter towards the middle."""
    count = 120
    from_edge = 0.20 * rng.beta(1, 1.6, count) - 0.03
    left = rng.random(count) < 0.6
    length = scene.unit * rng.uniform(110, 300, count) * (1 - 2.2 * from_edge)
    lean = UP + rng.normal(0, 0.24, count) + np.where(left, 0.15, -0.15)
    rise = rng.uniform(0.3, 0.5, count) * length
    light = np.linspace(0, 1, count) + rng.normal(0, 0.12, count)
    colour = ramp(light, (DEEP_VIOLET, DEEP_VIRIDIAN, VIRIDIAN, EMERALD, OLIVE, SPRING_GREEN))
    return Brush(rng, 150 * scene.unit, 11 * scene.unit, dryness=0.7), strokes(
        rng,
        np.where(left, from_edge, 1 - 0.8 * from_edge) * scene.width + rise * np.cos(lean),
        1.03 * scene.height + rise * np.sin(lean),
        angle=lean,
        length=length,
        width=scene.unit * rng.uniform(6, 13, count),
        bend=length * rng.normal(0, 0.08, count),
        load=1.3,
        colour=vary(rng, colour, 0.06, 0.04),
    )
