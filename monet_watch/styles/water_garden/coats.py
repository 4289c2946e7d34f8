"""Covering the canvas: strokes laid all over a scene, along its flow, in broken colour."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monet_watch.styles.water_garden.brush import Brush, Strokes, strokes
from monet_watch.styles.water_garden.palette import (
    CADMIUM_YELLOW,
    CERULEAN,
    COBALT,
    CREAM,
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
    ULTRAMARINE,
    VERMILION,
    VIOLET,
    VIRIDIAN,
    Field,
    from_oklab,
    lighter,
    to_oklab,
    vary,
)
from monet_watch.styles.water_garden.scene import Passage, Scene

__all__ = ["cover"]

HANDFUL = 4
"""Strokes laid side by side before the brush goes back to the palette."""

ON_THE_PALETTE = {
    Passage.SKY: (LEAD_WHITE, CREAM, PEACH, SKY_BLUE, LAVENDER),
    Passage.TREES: (EMERALD, VIRIDIAN, SPRING_GREEN, OLIVE, COBALT, VIOLET, OCHRE),
    Passage.WILLOW: (SPRING_GREEN, EMERALD, NAPLES_YELLOW, VIRIDIAN, CERULEAN, VIOLET),
    Passage.BANK: (EMERALD, OLIVE, MADDER, VERMILION, VIOLET, ROSE, CADMIUM_YELLOW),
    Passage.BRIGHT_WATER: (LEAD_WHITE, PEACH, ROSE, LAVENDER, SKY_BLUE, CERULEAN, CREAM),
    Passage.DEEP_WATER: (COBALT, VIRIDIAN, VIOLET, ULTRAMARINE, EMERALD, CERULEAN, MADDER),
}
"""Pigments that the strokes of each passage lean to."""

LONGER_AND_WIDER = {
    Passage.SKY: (0.9, 1.0),
    Passage.TREES: (0.75, 0.95),
    Passage.WILLOW: (1.3, 0.75),
    Passage.BANK: (0.6, 0.85),
    Passage.BRIGHT_WATER: (1.15, 0.8),
    Passage.DEEP_WATER: (1.2, 0.85),
}
"""How many times longer and wider than usual the strokes of each passage are."""


def cover(
    rng: np.random.Generator,
    scene: Scene,
    passages: Sequence[Passage],
    *,
    length: float,
    width: float,
    coats: float,
    boldness: float,
    lift: float = 0.0,
    load: float = 1.0,
) -> tuple[Brush, Strokes]:
    """Return strokes over some ``passages`` of the scene and the brush for them, ``length`` × ``width`` units.

    Each place is covered ``coats`` times on average. ``boldness`` says how far the colours are taken apart, ``lift``
    how much lighter they are than the scene, ``load`` how thick the paint is.
    """
    # Even the smallest picture shows brush marks: they don't shrink to dots.
    length, width = max(length * scene.unit, 10), max(width * scene.unit, 4)
    x, y = _handfuls(rng, scene, length, width, coats)
    wanted = np.isin(scene.passage[_pixels(scene, x, y)], passages)
    x, y = x[wanted], y[wanted]
    place, count = _pixels(scene, x, y), len(x)
    longer, wider = np.array([LONGER_AND_WIDER[part] for part in Passage])[scene.passage[place]].T
    return Brush(rng, length, width), strokes(
        rng,
        x,
        y,
        angle=scene.angle[place] + rng.normal(0, 0.12, count),
        length=length * longer * rng.uniform(0.55, 1.3, count),
        width=width * wider * rng.uniform(0.65, 1.25, count),
        bend=0.06 * length * rng.normal(size=count),
        load=load * rng.uniform(0.6, 1.2, count),
        colour=_broken(rng, lighter(scene.colour[place], lift), scene.passage[place], boldness),
    )


def _handfuls(rng: np.random.Generator, scene: Scene, length: float, width: float, coats: float) -> tuple[Field, Field]:
    """Return places for strokes all over the scene and a little beyond, in handfuls side by side along the flow."""
    height, breadth = scene.height + 2 * length, scene.width + 2 * length
    count = int(coats * height * breadth / (length * width * HANDFUL)) + 1
    x, y = rng.uniform(0, breadth, count) - length, rng.uniform(0, height, count) - length
    angle = np.repeat(scene.angle[_pixels(scene, x, y)], HANDFUL)
    along = rng.uniform(-0.8, 0.8, len(angle)) * length
    across = rng.normal(0, 1.2, len(angle)) * width
    x = np.repeat(x, HANDFUL) + along * np.cos(angle) - across * np.sin(angle)
    y = np.repeat(y, HANDFUL) + along * np.sin(angle) + across * np.cos(angle)
    return x, y


def _pixels(scene: Scene, x: Field, y: Field) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the pixels at ``x``, ``y``; beyond the edge, of the nearest ones."""
    rows, columns = np.clip(y, 0, scene.height - 1), np.clip(x, 0, scene.width - 1)
    return rows.astype(np.intp), columns.astype(np.intp)


def _broken(rng: np.random.Generator, colour: Field, passage: NDArray[np.uint8], boldness: float) -> Field:
    """Return ``colour`` (N, 3) taken apart: each handful of strokes leans to another pigment of its passage.

    A few go over to the complementary hue. Lightness changes less than hue, so that from afar the forms hold.
    """
    handfuls = len(colour) // HANDFUL + 1
    draw, share, turn = (
        np.repeat(numbers, HANDFUL)[: len(colour)]
        for numbers in (rng.random(handfuls), rng.beta(1.2, 1.6, handfuls), rng.random(handfuls))
    )
    lab, pigment = to_oklab(colour), np.empty_like(colour)
    for part, choice in ON_THE_PALETTE.items():
        here = passage == part
        pigment[here] = to_oklab(np.stack(choice)[(draw[here] * len(choice)).astype(int)])
    lab = lab + (pigment - lab) * (boldness * share)[:, None] * np.array([0.35, 1, 1])
    lab[turn < 0.07 * boldness, 1:] *= -0.6
    return vary(rng, from_oklab(lab), 0.035, 0.010)
