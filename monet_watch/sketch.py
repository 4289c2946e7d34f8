"""A picture in a handful of pixels, for a terminal: plain bytes, which nobody needs a codec for."""

from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["SKETCH_COLUMNS", "SKETCH_ROWS", "Sketch"]

SKETCH_COLUMNS, SKETCH_ROWS = 48, 32
"""The most pixels that a sketch is wide and high."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """``rgb`` holds ``width`` × ``height`` pixels, row by row, three bytes each: red, green, blue. Sizes are positive.

    Raises ValueError where that is not so.
    """

    width: int
    height: int
    rgb: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or len(self.rgb) != 3 * self.width * self.height:
            raise ValueError(f"{len(self.rgb)} bytes are no sketch of {self.width} × {self.height} pixels")

    def scaled(self, width: int, height: int) -> "Sketch":
        """Return it in so many pixels, each the mean of those that it stands for."""
        columns, rows = _parts(self.width, width), _parts(self.height, height)
        return Sketch(width, height, bytes(value for row in rows for column in columns
                                           for value in self._mean(row, column)))  # fmt: skip

    def pixel(self, column: int, row: int) -> tuple[int, int, int]:
        """Return the red, green and blue (0 to 255) of a pixel."""
        at = 3 * (row * self.width + column)
        return self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]

    def _mean(self, rows: range, columns: range) -> tuple[int, int, int]:
        pixels = [self.pixel(column, row) for row in rows for column in columns]
        red, green, blue = (round(sum(each) / len(pixels)) for each in zip(*pixels, strict=True))
        return red, green, blue


def _parts(count: int, parts: int) -> list[range]:
    """``count`` pixels in so many parts, each of one at least."""
    edges = [count * at // parts for at in range(parts + 1)]
    return [range(start, max(start + 1, end)) for start, end in pairwise(edges)]
