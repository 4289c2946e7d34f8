"""A picture in a handful of pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.outbox.picture import sketch_of
from monet_watch.sketch import SKETCH_COLUMNS, SKETCH_ROWS, Sketch


def drawn(width, height):
    """A sketch each of whose pixels tells where it is."""
    return Sketch(width, height, bytes(v for y in range(height) for x in range(width) for v in (x, y, 7)))


def test_bytes_that_are_none_are_refused():
    for width, height, count in ((2, 2, 11), (0, 0, 0), (-1, -1, 3)):
        with pytest.raises(ValueError, match="no sketch"):
            Sketch(width, height, bytes(count))


def test_a_pixel_is_where_its_column_and_row_meet():
    assert drawn(5, 4).pixel(3, 2) == (3, 2, 7)


def test_scaled_down_a_pixel_is_the_mean_of_those_that_it_stands_for():
    assert drawn(4, 2).scaled(2, 1).rgb == bytes((0, 0, 7, 2, 0, 7))  # means of 0.5 and 2.5 are rounded to even


def test_scaled_to_its_own_size_it_is_the_same():
    assert drawn(7, 3).scaled(7, 3) == drawn(7, 3)


@given(st.integers(1, 48), st.integers(1, 32), st.integers(1, 60), st.integers(1, 60))
def test_it_can_be_scaled_to_any_size_with_each_side_where_it_was(width, height, columns, rows):
    scaled = drawn(width, height).scaled(columns, rows)
    assert (scaled.width, scaled.height) == (columns, rows)
    left, right = scaled.pixel(0, 0), scaled.pixel(columns - 1, rows - 1)
    assert all(one <= other for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize(("height", "width"), [(600, 900), (900, 600), (1, 3000), (20, 30)])
def test_a_picture_becomes_a_sketch_with_its_proportions_and_its_colour(height, width):
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (200, 100, 50)
    sketch = sketch_of(image)
    assert sketch.width <= SKETCH_COLUMNS
    assert sketch.height <= SKETCH_ROWS
    assert sketch.pixel(sketch.width - 1, sketch.height - 1) == (200, 100, 50)
    if min(height, width) > 100:
        assert sketch.width / sketch.height == pytest.approx(width / height, rel=0.1)
