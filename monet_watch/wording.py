"""Numbers, times and values as people read them."""

import math
from datetime import UTC, datetime

__all__ = ["as_yaml", "duration", "finite", "number", "rate", "time_of_day", "utc"]

_MOST_DAYS = 9999


def as_yaml(value: object) -> str:
    """Return a value as it would stand in style.yaml."""
    if isinstance(value, list | tuple):
        return ", ".join(map(as_yaml, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """``8 s``, ``12 min``, ``1 h 05 min``, ``2 d 3 h``: as exact as it needs to be, and never long."""
    if not math.isfinite(seconds):
        return "? s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours >= 24 * _MOST_DAYS:
        return f"over {_MOST_DAYS} d"
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def finite(value: float | None) -> float | None:
    """Return ``value`` if it is a number that JSON knows, else None."""
    return value if value is not None and math.isfinite(value) else None


def rate(seconds_per_step: float) -> str:
    """Seconds per step where a step is slow, steps per second where it is fast."""
    if not 0 < seconds_per_step < math.inf:
        return ""
    if seconds_per_step >= 1:
        return f"{number(seconds_per_step)} s/step"
    return f"{number(1 / seconds_per_step)} steps/s"


def number(value: float) -> str:
    """Three digits that mean something: ``5175``, ``58.1``, ``0.0123``, ``1.2e+07``."""
    if not math.isfinite(value) or abs(value) >= 1e6 or abs(value) < 1e-3:
        return f"{value:.3g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def time_of_day(at: float, now: float) -> str:
    """``21:35`` today, ``Nov 24`` on another day, in local time; what no calendar has is ``a day far off``."""
    try:
        then, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)
    except (ValueError, OverflowError, OSError):
        return "a day far off"
    return f"{then:%H:%M}" if then.date() == today.date() else f"{then:%b %d}"


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
