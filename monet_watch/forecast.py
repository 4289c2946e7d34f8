"""How much work a painting will be, as far as its settings tell before anybody has opened the photo."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from monet_watch.engine.tiles import memory_bytes
from monet_watch.recipes import Recipe

__all__ = ["Forecast", "Forecasts", "pixels_in_one_piece"]

_LONG_BY_SHORT = 4 / 3  # of the photos that most phones and many cameras take
_KEPT = 256
_SAMPLE_SIDE = 1024
_FOR_THE_OPTIMISER = 4 / 3  # times what an evaluation takes, and the vectors that it works with: see engine.stage
_VECTOR_BYTES = 8 * 3 * 4


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one resolved set of settings leads to. ``short_side`` is the painting's, in pixels.

    ``effort`` is how many pixels all steps compute together for each pixel of the finished painting: the number of
    steps where all are taken at full size, less where a painting begins small.
    """

    short_side: int
    effort: float

    @classmethod
    def of(cls, recipe: Recipe) -> "Forecast":
        """The forecast for paintings by ``recipe``."""
        shares = list(_coarse_shares(recipe))
        affordable = shares[: (recipe.steps - 1) // recipe.coarse_steps]
        full = recipe.steps - len(affordable) * recipe.coarse_steps
        return cls(recipe.image_size, full + recipe.coarse_steps * sum(affordable))

    def pixels(self, width: int | None = None, height: int | None = None) -> float:
        """The painting's size, which where it is not known is that of a usual photo."""
        return width * height if width and height else self.short_side**2 * _LONG_BY_SHORT


def _coarse_shares(recipe: Recipe) -> Iterator[float]:
    """The sizes at which a painting is made before the full one, as shares of its pixels: see `engine.levels`."""
    side = recipe.coarsest
    while 0 < 4 * side <= 3 * recipe.image_size:
        yield (side / recipe.image_size) ** 2
        side *= 2


class Forecasts:
    """The forecasts that were asked for lately, by the key of the settings that each is of."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Forecast] = OrderedDict()

    def get(self, key: str) -> Forecast | None:
        """Return the forecast that was kept under ``key``, if it still is."""
        return self._known.get(key)

    def keep(self, key: str, forecast: Forecast) -> Forecast:
        """Keep ``forecast``, in place of the oldest where there are many, and return it."""
        self._known[key] = forecast
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return forecast


@cache
def _bytes_of_a_pixel(precision: str) -> float:
    pixels = _SAMPLE_SIDE * _SAMPLE_SIDE
    return _FOR_THE_OPTIMISER * (memory_bytes(_SAMPLE_SIDE, _SAMPLE_SIDE, precision) / pixels + _VECTOR_BYTES)


def pixels_in_one_piece(available_bytes: int | None, precision: str) -> float | None:
    """Return about how many pixels a painting may have that is not made in tiles; None where nobody knows.

    ``available_bytes`` is what one painting may use, ``precision`` what it is computed in.
    """
    return None if available_bytes is None else available_bytes / _bytes_of_a_pixel(precision)
