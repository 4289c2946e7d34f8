"""What a worker has said of one painting, kept until the next one: whoever listens may come late, leave, and come back.

A daemon that starts again finds its painting under way, or finished, and hears the whole of it from the first event.
"""

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
        self._offered = False

    @property
    def holds(self) -> str:
        """The identity of the painting that is told of, if that is under way or finished; else empty."""
        last = self._events[-1] if self._events else None
        return "" if self._job is None or isinstance(last, JobFailed | JobStopped) else self._job.identity

    @property
    def under_way(self) -> bool:
        """Whether a painting is."""
        ends = JobFinished | JobFailed | JobStopped
        return (
            self._died is None and self._job is not None and not (self._events and isinstance(self._events[-1], ends))
        )

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

    def listen(self) -> Iterator[WorkerEvent]:
        """Yield what the worker says, from `WorkerReady` to `WorkerDied`, until another listener comes."""
        with self._changed:
            self._listener += 1
            self._offered = False
            self._changed.notify_all()
            mine = self._listener
        greeted = False
        while (event := self._next(mine, greeted)) is not None:
            greeted = True
            yield event
            if isinstance(event, WorkerDied):
                return

    def _offer(self, job_id: int) -> None:
        self._job_id, self._offered = job_id, True
        self._changed.notify_all()

    def _next(self, listener: int, greeted: bool) -> WorkerEvent | None:
        """The next event for ``listener``; None when there is another one."""
        with self._changed:
            while listener == self._listener:
                event = self._due(greeted)
                if event is not None:
                    return event
                self._changed.wait(_LOOK_SECONDS)
        return None

    def _due(self, greeted: bool) -> WorkerEvent | None:
        if not greeted:
            return replace(self._ready, holds=self.holds) if self._ready is not None else self._died
        while self._offered and self._heard < len(self._events):
            event = self._events[self._heard]
            self._heard += 1
            if event is not None:
                return event if isinstance(event, WorkerSaid) else replace(event, job_id=self._job_id)
        return self._died

    def _drop_checkpoints(self) -> None:
        places = [place for place, event in enumerate(self._events) if isinstance(event, JobCheckpoint)]
        for place in places[:-MOST_CHECKPOINTS]:
            self._events[place] = None
