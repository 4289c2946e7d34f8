"""What a worker has said of one painting, kept until the next one: whoever listens may come late, leave, and come back.

A daemon that starts again finds its painting under way, or finished, and hears the whole of it from the first event.
"""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace

from monet_watch.workers.base import (
    DevicesFound,
    JobCheckpoint,
    JobEvent,
    JobFailed,
    JobFinished,
    JobStopped,
    PaintJob,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
    WorkerSaid,
    WorkerWaits,
)

__all__ = ["MOST_CHECKPOINTS", "Chronicle"]

MOST_CHECKPOINTS = 4
"""Checkpoints that are kept: each is tens of megabytes, and the last one is as good as all of them."""

_LOOK_SECONDS = 1.0


class Chronicle:
    """The events of a worker's life and of its present painting. Safe to use from several threads.

    One listener at a time hears them, the one who came last; it hears of the painting once it has offered it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: WorkerReady | None = None
        self._died: WorkerDied | None = None
        self._job: PaintJob | None = None
        self._events: list[JobEvent | WorkerSaid | None] = []
        self._job_id = 0
        self._listener = 0
        self._heard = 0
        self._greeted = self._offered = self._end_told = False

    @property
    def holds(self) -> str:
        """The identity of the painting that is told of, if that is under way or finished; else empty."""
        with self._changed:
            last = self._events[-1] if self._events else None
            return "" if self._job is None or isinstance(last, JobFailed | JobStopped) else self._job.identity

    @property
    def under_way(self) -> bool:
        """Whether a painting is."""
        with self._changed:
            has_ended = bool(self._events) and isinstance(self._events[-1], JobFinished | JobFailed | JobStopped)
            return self._died is None and self._job is not None and not has_ended

    def write(self, event: WorkerEvent) -> None:
        """The worker has said ``event``."""
        with self._changed:
            match event:
                case WorkerReady():
                    self._ready = event
                case WorkerDied():
                    self._died = event
                case WorkerSaid() if not self.under_way:
                    pass  # what it says beside a painting is nobody's
                case WorkerWaits() | DevicesFound():
                    pass
                case _:
                    self._events.append(event)
                    self._drop_checkpoints()
            self._changed.notify_all()

    def begin(self, job: PaintJob) -> None:
        """A painting begins; what was kept of the one before is let go."""
        with self._changed:
            self._job, self._events, self._heard = job, [], 0
            self._offer(job.job_id)

    def adopt(self, job: PaintJob) -> bool:
        """Whether ``job`` is the painting that is told of; if so, it is told again from its first event."""
        with self._changed:
            known = self._job
            if known is None or self.holds != job.identity or known.output != job.output:
                return False
            self._heard = 0
            self._offer(job.job_id)
            return True

    def wait_for_end(self) -> None:
        """Wait until no painting is under way."""
        with self._changed:
            self._changed.wait_for(lambda: not self.under_way)

    def attach(self) -> int:
        """A listener comes, in place of any other. Returns its number."""
        with self._changed:
            self._listener += 1
            self._greeted = self._offered = self._end_told = False
            self._changed.notify_all()
            return self._listener

    def listen(self) -> Iterator[WorkerEvent]:
        """Yield what the worker says, from `WorkerReady` to `WorkerDied`, until another listener comes."""
        mine = self.attach()
        while (events := self.read(mine, 1)) is not None:
            for event in events:  # not `yield from`: Ray sends into a generator, and a list's iterator takes nothing
                yield event
                if isinstance(event, WorkerDied):
                    return

    def read(self, listener: int, most: int) -> list[WorkerEvent] | None:
        """Return what there is to hear next, up to so many events, or none after a while; None to a former listener."""
        with self._changed:
            self._changed.wait_for(lambda: listener != self._listener or self._is_due(), _LOOK_SECONDS)
            if listener != self._listener:
                return None
            return list(itertools.islice(iter(self._due, None), most))

    def _is_due(self) -> bool:
        if not self._greeted and self._ready is not None:
            return True
        return (self._died is not None and not self._end_told) or (self._offered and self._heard < len(self._events))

    def _offer(self, job_id: int) -> None:
        self._job_id, self._offered = job_id, True
        self._changed.notify_all()

    def _due(self) -> WorkerEvent | None:
        """The next event; None where there is none at present."""
        if not self._greeted and self._ready is not None:
            self._greeted = True
            return replace(self._ready, holds=self.holds)
        while self._offered and self._heard < len(self._events):
            event = self._events[self._heard]
            self._heard += 1
            if event is not None:
                return event if isinstance(event, WorkerSaid) else replace(event, job_id=self._job_id)
        end, self._end_told = (None if self._end_told else self._died), self._died is not None
        return end

    def _drop_checkpoints(self) -> None:
        places = [place for place, event in enumerate(self._events) if isinstance(event, JobCheckpoint)]
        for place in places[:-MOST_CHECKPOINTS]:
            self._events[place] = None
