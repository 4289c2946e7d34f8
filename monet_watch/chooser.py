"""The rule of `monet_watch.scheduling`, applied to the ledger's queue, of which it reads no more than the front."""

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monet_watch.forecast import Forecast, Forecasts
from monet_watch.ledger import JobState, Ledger, Queued
from monet_watch.plan import Plan
from monet_watch.scheduling import Assignment, Candidate, IdleWorker, Prospect, assign

__all__ = ["MOST_AT_ONCE", "Chooser"]

MOST_AT_ONCE = 32
"""So many idle workers, at the most, are given jobs together."""

_CHOICE = 16  # more jobs than idle workers are looked at, of those whose turn it is
_BEGUN_REMEMBERED = 64  # jobs, from which the rest of the queue is guessed
_LONGEST_LOOK_SECONDS = 10.0  # between two looks at a queue in which nothing has changed


@dataclass(frozen=True, slots=True)
class _Exhausted:
    """At this ``revision`` of the ledger there is nothing to begin ``until``, on the monotonic clock."""

    revision: int
    without: frozenset[str]
    until: float


class Chooser:
    """Chooses jobs for idle workers. ``clock`` is monotonic, ``now`` the time of day, both in seconds."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._now = now
        self._forecasts = Forecasts()
        self._exhausted: _Exhausted | None = None
        self._speeds: dict[int, float] = {}
        self._begun: deque[float] = deque(maxlen=_BEGUN_REMEMBERED)  # the work of each

    def choose(
        self, idle: Sequence[IdleWorker], workers: int, without: frozenset[str] = frozenset()
    ) -> tuple[Assignment, ...]:
        """Return which job begins where; ``idle`` are up to `MOST_AT_ONCE` of all ``workers``.

        Jobs whose settings' keys are among ``without`` are passed over.
        """
        if self._is_exhausted(without):
            return ()
        most_failed = max((len(worker.failed) for worker in idle), default=0)  # which are no choice for that worker
        front = self._ledger.front(len(idle) + _CHOICE + most_failed, without)
        candidates = [self._candidate(each) for each in front]
        found = assign(candidates, idle, workers, self._prospect(idle, candidates))
        if not found:
            self._remember_exhausted(without)
        begun = {each.job_id for each in found}
        self._begun += (each.work for each in candidates if each.job_id in begun)
        return found

    def look_again(self) -> None:
        """There is another worker: what could not begin before may be able to."""
        self._exhausted = None

    def _is_exhausted(self, without: frozenset[str]) -> bool:
        """Whether nothing can have come up since the queue held nothing to begin.

        To find that out takes long where a whole inbox of copies waits for one of them.
        """
        found = self._exhausted
        if found is None or (found.revision, found.without) != (self._ledger.revision, without):
            return False
        return self._clock() < found.until

    def _prospect(self, idle: Sequence[IdleWorker], candidates: Sequence[Candidate]) -> Prospect | None:
        """What is to be expected, as far as speeds are known: all are of workers that were idle once."""
        self._speeds |= {each.number: each.speed for each in idle if each.speed}
        works, total = self._begun or [each.work for each in candidates], sum(self._speeds.values())
        if not works or not total:
            return None
        queued = self._ledger.counts()[JobState.QUEUED] * statistics.fmean(works)
        usual = sum(speed**2 for speed in self._speeds.values()) / total  # the faster, the more often it is the next
        return Prospect(queued / total, usual)

    def _remember_exhausted(self, without: frozenset[str]) -> None:
        retry_at = self._ledger.next_retry()
        waits = [_LONGEST_LOOK_SECONDS, *([] if retry_at is None else [retry_at - self._now()])]
        self._exhausted = _Exhausted(self._ledger.revision, without, self._clock() + min(waits))

    def _candidate(self, queued: Queued) -> Candidate:
        key = queued.settings_key
        forecast = self._forecasts.get(key) or self._forecasts.keep(key, self._forecast(queued.id))
        pixels = forecast.pixels(queued.width, queued.height)
        return Candidate(queued.id, queued.identity, queued.turn, pixels, pixels * forecast.effort, key)

    def _forecast(self, job_id: int) -> Forecast:
        return Forecast.of(Plan.from_json(self._ledger.get(job_id).settings or "").recipe)
