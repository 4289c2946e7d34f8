"""The sizes that a painting has and goes through, from coarse to fine. Whoever only reckons needs nothing heavy."""

from dataclasses import dataclass

from monet_watch.errors import PhotoTooLargeError
from monet_watch.recipes import Recipe

__all__ = ["Level", "fitted_size", "levels"]

_LARGEST_PIXELS = 2**30  # a picture enlarged beyond this has proportions that no painting has


@dataclass(frozen=True, slots=True)
class Level:
    """One size, ``height`` × ``width`` pixels, until step ``last`` at the latest.

    ``scale`` is its share of the finished picture's size.
    """

    width: int
    height: int
    last: int
    scale: float


def levels(recipe: Recipe, width: int, height: int) -> tuple[Level, ...]:
    """Return the levels of a painting that ends at ``width`` × ``height`` pixels; the last is of that size.

    The first has the recipe's ``coarsest`` as its short side, and each has twice that of the one before. A size above
    three quarters of the full one is passed over, since it saves nothing.
    """
    short, sides = min(width, height), list[int]()
    side = recipe.coarsest
    while 0 < 4 * side <= 3 * short:
        sides.append(side)
        side *= 2
    affordable = (recipe.steps - 1) // recipe.coarse_steps
    coarse = [
        Level(*fitted_size(width, height, side, enlarge=False), count * recipe.coarse_steps, side / short)
        for count, side in enumerate(sides[:affordable], start=1)
    ]
    return (*coarse, Level(width, height, recipe.steps, 1.0))


def fitted_size(width: int, height: int, short_side: int, enlarge: bool) -> tuple[int, int]:
    """Return (width, height) in pixels with the shorter of them at ``short_side`` and the aspect kept.

    A smaller picture keeps its size, unless ``enlarge``. The long side is rounded, half up.

    Raises PhotoTooLargeError if a very narrow picture would have to be enlarged beyond all measure.
    """
    short = min(width, height)
    if short == short_side or (short < short_side and not enlarge):
        return width, height
    long = (2 * max(width, height) * short_side + short) // (2 * short)
    if long * short_side > max(_LARGEST_PIXELS, width * height):
        raise PhotoTooLargeError(
            f"It is too narrow: enlarged from {width} × {height} pixels, its long side would have {long:,}.",
            "Crop the picture, or set enlarge: false.",
        )
    return (short_side, long) if width <= height else (long, short_side)
