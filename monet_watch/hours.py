"""The hours in which painting is wanted: ranges of local time such as ``22:00-07:00``, on every day of the year.

A range is a stretch of real time, from the first moment at which the clock on the wall shows its beginning, to the last
at which it shows its end. So a night on which clocks are set back has an hour more, one on which they are set forward
an hour less, and a time that no clock shows in that night stands for the moment at which it is skipped.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

__all__ = ["ActiveHours", "Range"]

_RANGE = re.compile(r"\s*(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})\s*", re.ASCII)
_DAY_MINUTES = 24 * 60
_AROUND = range(-2, 2)  # days: yesterday's ranges may reach into today, wherever clocks are set
_COMING = range(-2, 8)  # a range that clocks skip on one night is there on the next
_DAY_SECONDS = 86_400
_FAR_DAYS = 30


@dataclass(frozen=True, slots=True)
class Range:
    """From ``start`` to ``end``, in minutes after midnight (0 to 1440); an end that is not later is on the next day."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Read ``HH:MM-HH:MM``. Raises ValueError, in words for the one who wrote it."""
        found = _RANGE.fullmatch(text)
        if found is None:
            raise ValueError(f"must be a range of hours such as 22:00-07:00, not {text!r}")
        hours = [int(each) for each in found.groups()]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if max(hours[1], hours[3]) > 59 or start >= _DAY_MINUTES or end > _DAY_MINUTES:
            raise ValueError(f"{text!r} names a time that no clock shows; hours go from 00:00 to 24:00")
        if start == end:
            raise ValueError(f"{text!r} ends when it begins; write 00:00-24:00, or leave it out, to paint at all hours")
        return cls(start, end)

    def on(self, day: date) -> tuple[datetime, datetime]:
        """Return its beginning on ``day``, and its end, as clocks on the wall show them."""
        midnight = datetime.combine(day, time())
        later = _DAY_MINUTES if self.end <= self.start else 0
        return midnight + timedelta(minutes=self.start), midnight + timedelta(minutes=self.end + later)


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """Some `Range` s (none: all hours), in the time of ``zone`` (None: the machine's own)."""

    ranges: tuple[Range, ...] = ()
    zone: tzinfo | None = None

    def active(self, at: float) -> bool:
        """Whether painting is wanted at the moment ``at``, in seconds since the epoch."""
        return not self.ranges or any(start <= at < end for start, end in self._stretches(at, _AROUND))

    def next_start(self, at: float) -> float:
        """Return the first moment from ``at`` on at which painting is wanted, in seconds since the epoch."""
        if self.active(at):
            return at
        return min(start for start, end in self._stretches(at, _COMING) if at < start < end)

    def after(self, at: float, seconds: float) -> float:
        """Return when so many ``seconds`` in which painting is wanted have passed since ``at``.

        Where that takes more than a month it is about that moment, whatever clocks do in between.
        """
        if not self.ranges:
            return at + seconds
        share = _minutes_of_a_day(self.ranges) / _DAY_MINUTES
        if not seconds <= _FAR_DAYS * share * _DAY_SECONDS:  # be it that nobody knows (NaN)
            return at + seconds / share
        while True:
            at = self.next_start(at)
            left = max(end for start, end in self._stretches(at, _AROUND) if start <= at < end) - at
            if seconds <= left:
                return at + seconds
            at, seconds = at + left, seconds - left

    def _stretches(self, at: float, days: Iterable[int]) -> Iterator[tuple[float, float]]:
        """When the ranges begin and end, of days counted from that of the moment ``at``."""
        today = datetime.fromtimestamp(at, self.zone).date()
        for day in days:
            for each in self.ranges:
                start, end = each.on(today + timedelta(days=day))
                yield self._moment(start, last=False), self._moment(end, last=True)

    def _moment(self, shown: datetime, *, last: bool) -> float:
        """The first or the last moment at which clocks show ``shown``, or, if none ever do, at which they skip it."""
        one, other = (shown.replace(tzinfo=self.zone, fold=fold).timestamp() for fold in (0, 1))
        if one <= other:
            return other if last else one
        return self._skip(other, one, shown)

    def _skip(self, before: float, after: float, shown: datetime) -> float:
        """The whole second between these moments from which on clocks show more than ``shown``."""
        while after - before > 1:
            middle = (before + after) // 2
            is_later = datetime.fromtimestamp(middle, self.zone).replace(tzinfo=None) > shown
            before, after = (before, middle) if is_later else (middle, after)
        return after


@lru_cache(maxsize=16)
def _minutes_of_a_day(ranges: tuple[Range, ...]) -> int:
    """In how many minutes of an ordinary day painting is wanted."""
    ends = ((each.start, each.end + (_DAY_MINUTES if each.end <= each.start else 0)) for each in ranges)
    return len({minute % _DAY_MINUTES for start, end in ends for minute in range(start, end)})
