"""Is a photo whole yet?

A photo is whole when its size and modification time have rested. What the modification time *says* does not matter:
cameras, archives and rsync set it to any moment they like. Only whether it differs from one look to the next counts,
and the moments of the looks are the caller's, on a monotonic clock in seconds. Nothing here reads a clock or a file.
"""

import heapq
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import NamedTuple

__all__ = ["FileFacts", "Gone", "Looked", "Settling", "StillChanging", "Whole"]

_CLOSED_SHARE = 0.25  # of settle_seconds is rest enough after whoever wrote the file has closed it
_PATIENCE = 3  # times a photo that looks truncated waits again: 2, 4 and 8 times settle_seconds
_EMPTY_PAUSE_SECONDS = 60.0  # the longest pause between two looks at a file that stays empty


class FileFacts(NamedTuple):
    """What tells one state of a file from another: ``size`` in bytes, ``mtime_ns`` in nanoseconds, ``inode``."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Whole:
    """The photo has rested as ``facts`` say; it is waited for no longer."""

    path: PurePosixPath
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class StillChanging:
    """The photo waits on; the next look is due at ``next_look`` (monotonic seconds)."""

    path: PurePosixPath
    next_look: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The photo is not there; it is waited for no longer."""

    path: PurePosixPath


Looked = Whole | StillChanging | Gone


_Entry = tuple[float, int, PurePosixPath]  # when, ticket, whose look is due


@dataclass(slots=True)
class _Waiting:
    facts: FileFacts
    since: float  # when these facts were first seen
    ready_at: float  # whole if the facts are still the same then
    look_at: float
    ticket: int  # of the one entry in the queue that counts
    idle: bool = False  # empty, and at rest: it is looked at again, but nobody seems to write to it


class Settling:
    """The photos that are waited for. Every one of them is looked at again, until it is whole or gone.

    The caller tells what it saw (`saw`, `gone`, `truncated`), asks whose look has come (`due`, `next_due`), looks, and
    tells the result (`looked`). A path stays due until then, so a look that fails is not lost. In place of looking, it
    may `take` a path and read the file at once.
    """

    def __init__(self, settle_seconds: float) -> None:
        if not 0 <= settle_seconds < float("inf"):
            raise ValueError(f"settle_seconds must be a number of seconds, not {settle_seconds}")
        self._rest = settle_seconds
        self._waiting: dict[PurePosixPath, _Waiting] = {}
        self._doubts: dict[PurePosixPath, tuple[FileFacts, int]] = {}
        self._queue: list[_Entry] = []
        self._ripe: list[_Entry] = []
        self._tickets = count()

    def __contains__(self, path: object) -> bool:
        return path in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def changing(self) -> bool:
        """Whether any photo is still on its way. An empty file that has been at rest is not: it may stay for ever."""
        return any(not waiting.idle for waiting in self._waiting.values())

    def saw(self, path: PurePosixPath, facts: FileFacts, now: float, closed: bool = False) -> None:
        """The file is there. ``closed``: whoever wrote it has just closed it, or moved it into place.

        Facts other than the last start the rest anew; the same facts, seen by a scan, change nothing. A close event
        shortens the rest to a quarter, counted from ``now``, and ends the pause of a photo that looked truncated.
        """
        rest = self._rest * _CLOSED_SHARE if closed else self._rest
        waiting = self._waiting.get(path)
        if waiting is None or waiting.facts != facts:
            self._wait(path, facts, now, rest)
        elif closed:
            waiting.ready_at = min(waiting.ready_at, now + rest)
            self._look_at(path, waiting, min(waiting.look_at, now + rest))

    def gone(self, path: PurePosixPath) -> None:
        """The file was deleted or moved away. Unknown paths are no matter."""
        self._waiting.pop(path, None)
        self._doubts.pop(path, None)

    def truncated(self, path: PurePosixPath, facts: FileFacts, now: float) -> bool:
        """A photo that was `Whole` with ``facts`` looks truncated: True if it waits again.

        The pauses are 2, 4 and 8 times ``settle_seconds``; the next time the answer is False, and the photo counts as
        damaged. A change of the file ends the pause and starts the count anew.
        """
        waiting = self._waiting.get(path)
        if waiting is not None and waiting.facts != facts:
            return True  # what looked truncated has been replaced in the meantime
        known, times = self._doubts.pop(path, (facts, 0))
        times = times + 1 if known == facts else 1
        if times > _PATIENCE:
            self._waiting.pop(path, None)
            return False
        self._doubts[path] = (facts, times)
        self._wait(path, facts, now, self._rest * 2**times)
        return True

    def due(self, now: float, most: int | None = None) -> list[PurePosixPath]:
        """The paths to look at, no more than ``most``, those that have waited longest first."""
        ripe = self._still_ripe()
        while self._queue and self._queue[0][0] <= now and (most is None or len(ripe) < most):
            entry = heapq.heappop(self._queue)
            if self._counts(entry):
                ripe.append(entry)
        return [path for _, _, path in ripe[:most]]

    def facts(self, path: PurePosixPath) -> FileFacts:
        """What was last seen of a file that is waited for. Raises KeyError if ``path`` is not."""
        return self._waiting[path].facts

    def stays_empty(self, path: PurePosixPath) -> bool:
        """Whether ``path`` is an empty file that has been at rest: nobody seems to write to it."""
        return path in self._waiting and self._waiting[path].idle

    def take(self, path: PurePosixPath) -> FileFacts:
        """Wait for ``path``, whose look is due, no longer, and return what was last seen of it: the caller reads it.

        The reading is the look, then: if the facts are others after it, the caller has to tell what it `saw`.
        """
        return self._waiting.pop(path).facts

    def looked(self, path: PurePosixPath, facts: FileFacts | None, now: float) -> Looked:
        """What a look at ``path`` showed (None: the file is not there), and so what it is.

        A path that nobody waits for begins to wait if it is there.
        """
        if facts is None:
            self.gone(path)
            return Gone(path)
        self.saw(path, facts, now)
        waiting = self._waiting[path]
        if now < waiting.ready_at:
            self._look_at(path, waiting, waiting.ready_at)
        elif facts.size == 0:
            waiting.idle = True
            self._look_at(path, waiting, now + self._pause_of_empty(now - waiting.since))
        else:
            del self._waiting[path]
            return Whole(path, facts)
        return StillChanging(path, waiting.look_at)

    def next_due(self) -> float | None:
        """When the next look is due (monotonic seconds; may be in the past); None if nothing waits."""
        if ripe := self._still_ripe():
            return ripe[0][0]
        while self._queue and not self._counts(self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def _wait(self, path: PurePosixPath, facts: FileFacts, now: float, rest: float) -> None:
        if self._doubts and path in self._doubts and self._doubts[path][0] != facts:
            del self._doubts[path]
        self._waiting[path] = waiting = _Waiting(facts, now, now + rest, now + rest, -1)
        self._look_at(path, waiting, now + rest)

    def _look_at(self, path: PurePosixPath, waiting: _Waiting, when: float) -> None:
        waiting.look_at = when
        waiting.ticket = next(self._tickets)
        heapq.heappush(self._queue, (when, waiting.ticket, path))

    def _still_ripe(self) -> list[_Entry]:
        """Whose look has come, but not its result."""
        self._ripe = [entry for entry in self._ripe if self._counts(entry)]
        return self._ripe

    def _counts(self, entry: _Entry) -> bool:
        waiting = self._waiting.get(entry[2])
        return waiting is not None and waiting.ticket == entry[1]

    def _pause_of_empty(self, rested: float) -> float:
        # An empty file may stay for ever: a write brings an event, so ever rarer looks are enough.
        return max(self._rest, min(rested, _EMPTY_PAUSE_SECONDS), 1.0)
