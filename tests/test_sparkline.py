"""Curves as a line of text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from monet_watch.sparkline import sparkline


def test_equal_factors_are_equal_steps():
    assert sparkline([2.0**power for power in range(7, -1, -1)], 8) == "█▇▆▅▄▃▂▁"


def test_many_values_share_a_bar():
    assert sparkline([8.0] * 50 + [1.0] * 50, 10) == "█" * 5 + "▁" * 5


def test_of_fewer_than_two_values_nothing_is_drawn():
    assert sparkline([], 10) == sparkline([3.0], 10) == sparkline([3.0, None, math.nan, -1.0, math.inf], 10) == ""


@given(st.lists(st.one_of(st.none(), st.floats())), st.integers(-1, 50))
def test_it_is_never_longer_than_there_is_room_for(values, width):
    assert len(sparkline(values, width)) <= max(0, width)
