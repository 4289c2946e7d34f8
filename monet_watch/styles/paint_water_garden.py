"""How ``water-garden.jpg``, the bundled style, was made: a water garden, painted by program.

    python -m monet_watch.styles.paint_water_garden water-garden.jpg

It goes the way of a painter. A scene is imagined: what colour each place has, which way the brush would run there, and
which passage of the picture it belongs to. Then a toned canvas is covered with strokes of a loaded brush, large ones
first; the things that have a shape (footbridge, lily pads, flowers, reeds) are drawn with strokes of their own; at last
light falls on the relief of the paint. No place is left smooth: a style is known by its texture.

The same size and seed give the same picture. The bundled one takes about half a minute.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from monet_watch.styles.water_garden import motifs
from monet_watch.styles.water_garden.brush import Brush, Canvas, Strokes
from monet_watch.styles.water_garden.coats import cover
from monet_watch.styles.water_garden.noise import blur, clouds
from monet_watch.styles.water_garden.palette import DEEP_VIOLET, OCHRE, PEACH, VIOLET, Field, ramp
from monet_watch.styles.water_garden.scene import Passage, Scene, imagine

__all__ = ["SEED", "SIZE", "SMALLEST_SIDE", "main", "paint_water_garden"]

SIZE = (1280, 1024)
"""Width and height of the bundled picture, in pixels."""

SEED = 1899
"""The seed of the bundled picture: the year of Monet's first footbridges."""

SMALLEST_SIDE = 64
"""Pixels: in a smaller picture, the strokes would be larger than what they are to show."""

CLOSENESS = 2
"""The painter works so many times closer than the picture is seen: each of its pixels is the mean of 2 × 2."""


def paint_water_garden(size: tuple[int, int] = SIZE, seed: int = SEED) -> NDArray[np.uint8]:
    """Paint the picture, ``size`` = (width, height) in pixels. Returns uint8 (height, width, 3), sRGB.

    Raises ValueError if a side is shorter than `SMALLEST_SIDE`.
    """
    if min(size) < SMALLEST_SIDE:
        raise ValueError(f"the picture needs {SMALLEST_SIDE} pixels on each side, not {size[0]} × {size[1]}")
    rng = np.random.default_rng(seed)
    shape = (CLOSENESS * size[1], CLOSENESS * size[0])
    scene = imagine(rng, shape)
    canvas = _toned_canvas(rng, shape)
    for brush, strokes in _layers(rng, scene):
        canvas.paint(rng, brush, strokes)
    return _step_back(_light_from_upper_left(canvas, _weave(rng, shape)))


def _toned_canvas(rng: np.random.Generator, shape: tuple[int, int]) -> Canvas:
    """Return a canvas (H, W) scrubbed with violet and ochre, in uneven streaks."""
    streaks = 0.5 * clouds(rng, shape, 0.004, 0.06) + 0.5 * clouds(rng, shape, 0.04, 0.06)
    return Canvas(ramp(0.5 + 0.25 * streaks, (DEEP_VIOLET, VIOLET, OCHRE, PEACH)), 0.1 * streaks)


def _layers(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[Brush, Strokes]]:
    """Yield the layers of the picture with the brush for each, from the first rubbing-in to the last lights."""
    everywhere, on_land = tuple(Passage), (Passage.SKY, Passage.TREES, Passage.BANK)
    on_willow, on_water = (Passage.WILLOW,), (Passage.BRIGHT_WATER, Passage.DEEP_WATER)
    pads = motifs.places_of_pads(rng)
    yield cover(rng, scene, everywhere, length=96, width=30, coats=6.0, boldness=0.4)
    yield cover(rng, scene, everywhere, length=68, width=20, coats=3.0, boldness=0.6)
    yield motifs.footbridge(rng, scene)
    yield cover(rng, scene, on_land, length=44, width=14, coats=0.9, boldness=0.7)
    yield cover(rng, scene, on_willow, length=80, width=13, coats=1.2, boldness=0.7)
    yield cover(rng, scene, on_willow, length=56, width=8, coats=1.0, boldness=0.8)
    yield cover(rng, scene, on_water, length=50, width=13, coats=1.2, boldness=0.7)
    yield motifs.lily_pads(rng, scene, pads)
    yield cover(rng, scene, everywhere, length=30, width=8, coats=0.22, boldness=0.9, lift=0.05, load=1.6)
    yield motifs.lily_flowers(rng, scene, pads)
    yield motifs.reeds(rng, scene)
    yield motifs.irises(rng, scene)


def _weave(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return the threads of the canvas (H, W), about 1 high, of uneven thickness and none of them quite straight."""
    pitch = 2.2 / 1024
    return 0.5 * (clouds(rng, shape, pitch, 12 * pitch) + clouds(rng, shape, 12 * pitch, pitch))


def _light_from_upper_left(canvas: Canvas, weave: Field) -> Field:
    """Return the canvas as it looks where light grazes the ridges of the paint and leaves its furrows in shadow."""
    relief = blur(canvas.relief, sigma=CLOSENESS * 0.6) + 0.012 * weave
    slope_y, slope_x = np.gradient(relief)
    light = np.tanh(CLOSENESS * 2.4 * -(slope_x + slope_y))
    lit: Field = np.clip(canvas.colour * (1 + 0.24 * light[..., None]), 0, 1)
    return lit


def _step_back(picture: Field) -> NDArray[np.uint8]:
    """Return the mean of each square of `CLOSENESS` pixels, as bytes."""
    height, width = picture.shape[0] // CLOSENESS, picture.shape[1] // CLOSENESS
    seen = picture.reshape(height, CLOSENESS, width, CLOSENESS, 3).mean(axis=(1, 3))
    pixels: NDArray[np.uint8] = np.round(seen * 255).astype(np.uint8)
    return pixels


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint into the file named on the command line."""
    parser = argparse.ArgumentParser(prog="paint_water_garden", description="Paint a water garden.")
    parser.add_argument("out", type=Path, help="the JPEG file to write")
    parser.add_argument("--size", type=_size, default=SIZE, help="WIDTHxHEIGHT in pixels (default: 1280x1024)")
    parser.add_argument("--seed", type=int, default=SEED, help="another number, another picture")
    options = parser.parse_args(arguments)
    picture = Image.fromarray(paint_water_garden(options.size, options.seed))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(options.out, "JPEG", quality=90, subsampling=0, optimize=True, icc_profile=profile)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= SMALLEST_SIDE):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, each at least {SMALLEST_SIDE}")
    return int(width), int(height)


if __name__ == "__main__":
    main()
