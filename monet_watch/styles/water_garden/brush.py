"""A loaded brush, the strokes that it makes, and the canvas that takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from monet_watch.styles.water_garden.noise import blur, standardised, step
from monet_watch.styles.water_garden.palette import Field, mix, vary

__all__ = ["Brush", "Canvas", "Stroke", "Strokes", "strokes"]

MARKS = 48
"""How many marks a brush can make; each stroke turns, stretches and bends one of them."""


class Stroke(NamedTuple):
    """One stroke: its middle ``x``, ``y``, ``length`` and ``width`` in pixels, its ``angle`` in radians.

    ``bend`` is how far the middle stands off the straight line between the ends, in pixels. The brush carries two
    colours (3,), not quite mixed. ``load`` is the thickness of the paint, 1 being usual.
    """

    x: float
    y: float
    angle: float
    length: float
    width: float
    bend: float
    load: float
    colour: Field
    second: Field


@dataclass(frozen=True, slots=True)
class Strokes:
    """N strokes in the order of painting, each attribute of `Stroke` as an array of shape (N,) or (N, 3)."""

    x: Field
    y: Field
    angle: Field
    length: Field
    width: Field
    bend: Field
    load: Field
    colour: Field
    second: Field

    @staticmethod
    def one_after_another(groups: "Sequence[Strokes]") -> "Strokes":
        """Return the strokes of all ``groups``, in their order."""
        return Strokes(*(np.concatenate([getattr(group, part.name) for group in groups]) for part in fields(Strokes)))

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[Stroke]:
        numbers = (self.x, self.y, self.angle, self.length, self.width, self.bend, self.load)
        for *row, colour, second in zip(*(part.tolist() for part in numbers), self.colour, self.second, strict=True):
            yield Stroke._make((*row, colour, second))


def strokes(
    rng: np.random.Generator,
    x: Field,
    y: Field,
    *,
    angle: Field | float,
    length: Field | float,
    width: Field | float,
    colour: Field,
    bend: Field | float = 0.0,
    load: Field | float = 1.0,
) -> Strokes:
    """Return strokes at ``x``, ``y`` (N,) of ``colour`` (N, 3), with a kindred second colour on the brush."""

    def each(part: Field | float) -> Field:
        return np.broadcast_to(np.asarray(part, dtype=np.float32), x.shape)

    return Strokes(
        x, y, each(angle), each(length), each(width), each(bend), each(load),
        colour.astype(np.float32), vary(rng, colour, 0.085, 0.025),
    )  # fmt: skip


class Brush:
    """A worn bristle brush for strokes of about ``length`` × ``width`` pixels: a collection of the marks it leaves.

    ``dryness`` 0 covers to the end of the stroke; at 1 the paint runs out and the bristles part.

    ``marks`` is (N, across, along, 3): how much the paint covers, how high it stands, and how much of it is the second
    of the two colours, each in [0, 1]. A margin of bare canvas surrounds each mark.
    """

    def __init__(self, rng: np.random.Generator, length: float, width: float, dryness: float = 0.6) -> None:
        self._size = (max(3, round(width * 1.5)), max(6, round(length * 1.5)))
        self.marks = np.stack([self._mark(rng, dryness) for _ in range(MARKS)])

    def _mark(self, rng: np.random.Generator, dryness: float) -> Field:
        across, along = self._size
        v, u = np.meshgrid(np.linspace(-1, 1, across), np.linspace(0, 1, along), indexing="ij")
        bristles, fine = self._streaks(rng, across / 14), self._streaks(rng, across / 40)
        end = 0.90 - 0.14 * (v - rng.uniform(-0.6, 0.6)) ** 2 + 0.05 * bristles + 0.02 * fine
        begin = 0.03 + 0.10 * (v + rng.uniform(-0.4, 0.4)) ** 2 + 0.015 * fine
        edge = 0.92 - 0.18 * np.abs(2 * u - 0.9) ** 2.5 - np.abs(v) + 0.07 * bristles
        left_on_brush = 1.6 - dryness * (0.5 + 2.4 * u**1.5) + 0.7 * bristles + 0.4 * fine
        cover = step(u - begin, 0.03) * step(end - u, 0.04) * step(edge, 0.07) * step(left_on_brush, 0.35)
        # Paint is pushed to the sides of a stroke, and stays in a ridge where the brush is lifted.
        ridge = 0.30 * np.exp(-(((np.abs(v) - 0.7) / 0.15) ** 2)) + 0.30 * np.exp(-(((u - end + 0.07) / 0.05) ** 2))
        height = cover * np.clip(0.45 + 0.13 * bristles + 0.10 * fine + ridge - 0.2 * u, 0, 1)
        second = step(self._streaks(rng, across / 9) + 0.4 * fine + 0.5 * (u - 0.5), 0.7)
        return np.pad(np.stack([cover, height, second], axis=-1), ((1, 1), (1, 1), (0, 0))).astype(np.float32)

    def _streaks(self, rng: np.random.Generator, thickness: float) -> Field:
        """Return noise (across, along) drawn out along the stroke, mean 0 and deviation 1."""
        across, along = self._size
        return standardised(
            blur(rng.normal(size=(across, along)), sigma=(max(thickness, 0.4), along / 4), mode="nearest")
        )


class Canvas:
    """The picture in the making: ``colour`` (H, W, 3) and ``relief`` (H, W), the height of the paint; float32."""

    def __init__(self, colour: Field, relief: Field) -> None:
        self.colour = colour.astype(np.float32)
        self.relief = relief.astype(np.float32)

    def paint(self, rng: np.random.Generator, brush: Brush, layer: Strokes) -> None:
        """Lay the strokes of ``layer`` one over the other, each with one of the brush's marks."""
        marks = rng.integers(len(brush.marks), size=len(layer))
        wetness = rng.beta(1.5, 4.0, size=len(layer)).tolist()
        for stroke, mark, wet in zip(layer, marks, wetness, strict=True):
            self._lay(stroke, brush.marks[mark], wet)

    def _lay(self, stroke: Stroke, mark: Field, wetness: float) -> None:
        """Lay one stroke; ``wetness`` says how much of its paint is picked up from what it is laid upon."""
        window = rows, columns = self._window(stroke)
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        cover, height, second = np.moveaxis(_print_of(mark, stroke, rows, columns), -1, 0)
        colour, relief = self.colour[window], self.relief[window]
        picked_up = colour[colour.shape[0] // 2, colour.shape[1] // 2]
        fresh, kindred = mix(stroke.colour, picked_up, wetness), mix(stroke.second, picked_up, wetness)
        paint = fresh + second[..., None] * (kindred - fresh)
        colour += cover[..., None] * (paint - colour)
        relief += cover * (stroke.load * height - 0.65 * relief)

    def _window(self, stroke: Stroke) -> tuple[slice, slice]:
        """Return the rows and columns that ``stroke`` may touch."""
        half, side = stroke.length / 2, stroke.width / 2 + abs(stroke.bend)
        cos, sin = abs(np.cos(stroke.angle)), abs(np.sin(stroke.angle))
        rows = _span(stroke.y, sin * half + cos * side, self.relief.shape[0])
        return rows, _span(stroke.x, cos * half + sin * side, self.relief.shape[1])


def _span(middle: float, reach: float, limit: int) -> slice:
    start = min(max(int(middle - reach) - 1, 0), limit)
    return slice(start, max(start, min(int(middle + reach) + 2, limit)))


def _print_of(mark: Field, stroke: Stroke, rows: slice, columns: slice) -> Field:
    """Return ``mark`` as it falls on a part of the canvas: turned, stretched and bent like ``stroke``."""
    dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - stroke.x
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - stroke.y
    cos, sin = float(np.cos(stroke.angle)), float(np.sin(stroke.angle))
    along = (cos * dx + sin * dy) / stroke.length  # -0.5 to 0.5
    across = (cos * dy - sin * dx - stroke.bend * (0.5 - 4 * along * along)) / stroke.width  # -0.5 to 0.5
    inner_rows, inner_columns = mark.shape[0] - 2, mark.shape[1] - 2
    row = np.clip((across + 0.5) * inner_rows + 1, 0, inner_rows + 1).astype(np.int32)
    column = np.clip((along + 0.5) * inner_columns + 1, 0, inner_columns + 1).astype(np.int32)
    fallen: Field = mark[row, column]
    return fallen
