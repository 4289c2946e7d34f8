"""Curves as a line of text."""

import math
from collections.abc import Sequence

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return ``values`` as at most ``width`` bars, on a logarithmic scale from their least to their greatest.

    Losses fall by powers: on a linear scale all but the first few would lie on the ground. Each bar is the geometric
    mean of as many values as fall on it. What is no positive number is left out; of fewer than two nothing is drawn.
    """
    logs = [math.log(value) for value in values if value is not None and 0 < value < math.inf]
    if len(logs) < 2 or width < 2:
        return ""
    count = min(width, len(logs))
    means = [_mean(logs[len(logs) * at // count : len(logs) * (at + 1) // count]) for at in range(count)]
    low, high = min(means), max(means)
    if high - low < 1e-9:
        return _BARS[0] * count
    return "".join(_BARS[round((each - low) / (high - low) * (len(_BARS) - 1))] for each in means)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
