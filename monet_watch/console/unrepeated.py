"""Nothing is told twice within a minute."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from monet_watch.console.view import ConsoleView
from monet_watch.ledger import Overview
from monet_watch.notices import Level, Notice

__all__ = ["Unrepeated"]

_UNREPEATED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000  # lines of the last minute: a bulk of photos has more, each of them another


@dataclass(slots=True)
class _Told:
    """What was told ``at`` a time, and ``held`` back since then, at ``last`` for the last time."""

    notice: Notice
    at: float
    last: float
    held: int = 0


class Unrepeated:
    """Passes notices on to ``view``, but none that says the same as one of the last minute.

    Those are counted, and the count is told with the first notice or overview after the minute, or at the end. At
    ``level`` DEBUG all are passed on: whoever asks for that wants to know everything. ``clock`` is monotonic, in
    seconds.
    """

    def __init__(
        self, view: ConsoleView, level: Level = Level.INFO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._view = view
        self._holds_back = level is not Level.DEBUG
        self._clock = clock
        self._told: OrderedDict[object, _Told] = OrderedDict()  # the one told first comes first

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._tell_counts()
        self._view.__exit__(*exc)

    def __call__(self, notice: Notice) -> None:
        """Pass the notice on, or count it."""
        now = self._clock()
        self._let_go(now)
        key = (notice.event, notice.photo, notice.job, notice.level, notice.text)
        if key in self._told and self._holds_back:
            self._told[key].held += 1
            self._told[key].last = now
            return
        self._told[key] = _Told(notice, now, now)
        self._view(notice)

    def tell_from(self, level: Level) -> None:
        """Pass it on."""
        self._tell_counts()
        self._holds_back = level is not Level.DEBUG
        self._view.tell_from(level)

    def update(self, overview: Overview) -> None:
        """Pass the overview on, and the counts that are due."""
        self._let_go(self._clock())
        self._view.update(overview)

    def _let_go(self, now: float) -> None:
        """Forget what was told a minute ago, or is too much, and tell the counts of what was said again since."""
        while self._told:
            key, oldest = next(iter(self._told.items()))
            if now - oldest.at < _UNREPEATED_SECONDS and len(self._told) < _MOST_REMEMBERED:
                return
            del self._told[key]
            if self._tell_count(oldest):
                self._told[key] = _Told(oldest.notice, now, now)

    def _tell_counts(self) -> None:
        for each in self._told.values():
            self._tell_count(each)
            each.held = 0

    def _tell_count(self, told: _Told) -> bool:
        if not told.held:
            return False
        times = f"{told.held} time{'s' * (told.held > 1)}"
        text = f"{told.notice.text} ({times} more within {max(1, math.ceil(told.last - told.at))} s)"
        details = {**told.notice.details, "repeated": told.held}
        self._view(replace(told.notice, text=text, details=details))
        return True
