"""The sizes that a painting goes through, from coarse to fine."""

from dataclasses import dataclass

from monet_watch.engine.photo import fitted_size
from monet_watch.recipes import Recipe

__all__ = ["Level", "levels"]


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
