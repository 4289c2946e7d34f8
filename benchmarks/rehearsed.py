"""A whole daemon, in one thread and by the real clock, whose workers do what they are told: for measuring its loop."""

import time
from pathlib import Path
from typing import Any, Self

from monet_watch.ledger import JobState
from monet_watch.notices import Notice
from tests.rehearsal import Clock, Rehearsal

__all__ = ["RealTimeHouse"]

_PATIENCE_SECONDS = 600.0
_STEPS = 400  # at the most, by its settings; a worker that pretends takes as many as it is told to


class _RealTime(Clock):
    """A clock that goes on by itself."""

    def __call__(self) -> float:
        return time.monotonic()


class _Silence(list[Notice]):
    """Forgets what it is told, as a console does with lines below its level."""

    def append(self, notice: Notice) -> None:
        pass


class RealTimeHouse(Rehearsal):
    """A daemon with so many workers, each of which has a photo to paint after `begin`."""

    def __init__(self, folder: Path, workers: int) -> None:
        devices = tuple(f"cuda:{number}" for number in range(workers))
        super().__init__(folder, automatic=False, devices=devices, steps=_STEPS, settle_seconds=0.0)
        self.clock, self.notices = _RealTime(), _Silence()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def begin(self) -> None:
        """Let every worker be in the middle of a painting."""
        for worker in self.workers:
            worker.ready()
        for number in range(len(self.workers)):
            self.drop(f"{number % 10}/{number}.jpg", f"{number}".encode())
        self._turn_until(lambda: self.ledger.counts()[JobState.RUNNING] == len(self.workers))
        for worker in self.workers:
            worker.begin()
        self._turn_until(lambda: not self.is_behind)

    def _turn_until(self, condition: Any) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the rehearsed daemon does not come to the point"
            self.daemon.turn(min(0.05, self.daemon.nap()))

    @property
    def is_behind(self) -> bool:
        """Whether there are messages that were not handled."""
        return bool(self.daemon._unheard) or not self.mailbox._messages.empty()

    def check(self, events: int) -> None:
        """Raise AssertionError unless the ledger knows of as many steps."""
        found = sum(job.step for job in self.ledger.running())
        assert found == events, f"{events} steps were taken, and the ledger knows of {found}"
