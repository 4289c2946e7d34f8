"""Numbers and times in words: exact for people, and never an error, however large."""

import math

import pytest

from monet_watch.wording import duration, number, rate, time_of_day

MINUTE, HOUR, DAY = 60, 3600, 86400
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (8, "8 s"),
        (12 * MINUTE, "12 min"),
        (HOUR + 5 * MINUTE, "1 h 05 min"),
        (2 * DAY + 3 * HOUR, "2 d 3 h"),
        (9998 * DAY, "9998 d 0 h"),
        (9999 * DAY, "over 9999 d"),
        (1e300, "over 9999 d"),
        (math.inf, "? s"),
        (math.nan, "? s"),
    ],
)
def test_a_duration_is_told_in_a_few_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize("seconds", [3e11, 1e18, 1e300, math.inf, -1e18, math.nan])
def test_a_time_that_no_calendar_has_is_told_in_words(seconds):
    assert time_of_day(NOW + seconds, NOW) == "a day far off"


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, math.inf, -math.inf, math.nan])
def test_no_number_is_too_large_or_too_small_to_be_told(value):
    assert number(value)
    assert len(rate(value)) < 20
