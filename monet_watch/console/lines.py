"""Plain lines and JSON lines, one for each event."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Self, TextIO

from monet_watch.console.view import RANKS
from monet_watch.ledger import Overview
from monet_watch.notices import Level, Notice
from monet_watch.printable import printable
from monet_watch.wording import finite, utc

__all__ = ["JsonConsole", "PlainConsole", "divert", "in_one_line"]

_PRIORITIES: Mapping[Level, int] = {Level.DEBUG: 7, Level.INFO: 6, Level.WARNING: 4, Level.ERROR: 3}  # of sd-daemon(3)
_PROGRESS_SECONDS = 10.0


def in_one_line(notice: Notice) -> str:
    """Return the notice as one line: the photo, unless the sentence begins with it, the job, and the sentence."""
    job = "" if notice.job is None else f" (job {notice.job})"
    if notice.photo in ("", "."):
        return printable(f"{notice.text}{job}")
    if notice.text.startswith(notice.photo):
        return printable(f"{notice.photo}{job}{notice.text.removeprefix(notice.photo)}")
    return printable(f"{notice.photo}{job}: {notice.text}")


def divert(stream: TextIO) -> None:
    """Send what is left in the stream's buffer nowhere, or Python complains about it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Lines:
    """Writes lines, each flushed. Once nobody reads any more, it writes nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False

    def write(self, line: str) -> None:
        if self._broken:
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._broken = True
            divert(self._stream)
        except (OSError, ValueError):  # a full disk may have room again for the next line
            pass


class _LineConsole:
    """Writes one line for each event that is of ``level`` or above.

    ``priorities``: with sd-daemon(3) prefixes, which the journal takes off again.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        level: Level = Level.INFO,
        priorities: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lines = _Lines(stream)
        self._rank, self._priorities, self._clock = RANKS[level], priorities, clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, notice: Notice) -> None:
        """Write the notice's line, if it matters enough."""
        now = self._clock()
        level = self._level(notice, now)
        if RANKS[level] >= self._rank:
            prefix = f"<{_PRIORITIES[level]}>" if self._priorities else ""
            self._lines.write(prefix + self._line(notice, level, now))

    def tell_from(self, level: Level) -> None:
        """Write notices from ``level`` up."""
        self._rank = RANKS[level]

    def update(self, overview: Overview) -> None:
        """Do nothing: events tell it all."""

    def _level(self, notice: Notice, now: float) -> Level:
        """How much the notice matters to this console's readers."""
        return notice.level

    def _line(self, notice: Notice, level: Level, now: float) -> str:
        """The notice as one line. ``now`` in seconds since 1970."""
        raise NotImplementedError


class PlainConsole(_LineConsole):
    """One line per event, with the time but for the journal (``priorities``), which has a clock of its own.

    Steps are told at DEBUG only; pictures of progress at INFO, but of one photo not more often than every ten seconds.
    """

    @cached_property
    def _told(self) -> dict[str, float]:
        """When the progress of a photo was last told of."""
        return {}

    def _line(self, notice: Notice, level: Level, now: float) -> str:
        if self._priorities:
            return in_one_line(notice)
        loud = f"{level.value}: " if RANKS[level] >= RANKS[Level.WARNING] else ""
        return f"{datetime.fromtimestamp(now):%Y-%m-%d %H:%M:%S} {loud}{in_one_line(notice)}"

    def _level(self, notice: Notice, now: float) -> Level:
        if notice.event not in ("step", "snapshot"):
            self._told.pop(notice.photo, None)
            return notice.level
        if RANKS[notice.level] >= RANKS[Level.WARNING]:
            return notice.level
        if notice.event == "step" or now - self._told.get(notice.photo, -math.inf) < _PROGRESS_SECONDS:
            return Level.DEBUG
        self._told[notice.photo] = now
        return Level.INFO


class JsonConsole(_LineConsole):
    """One JSON object per event and line, in ASCII.

    Keys: ``time`` (ISO 8601, UTC), ``level``, ``event``, ``photo``, ``job`` (its number, or null), ``text`` and
    ``details`` (an object).
    """

    def _line(self, notice: Notice, level: Level, now: float) -> str:
        line = {
            "time": utc(now),
            "level": level.value,
            "event": notice.event,
            "photo": notice.photo,
            "job": notice.job,
            "text": notice.text,
            "details": {key: _plain_value(value) for key, value in notice.details.items()},
        }
        return json.dumps(line)


def _plain_value(value: object) -> str | int | float | bool | None:
    """JSON knows neither infinity nor "not a number"; and a detail of another kind must not cost the line."""
    if isinstance(value, float):
        return finite(value)
    return value if value is None or isinstance(value, str | int) else str(value)
