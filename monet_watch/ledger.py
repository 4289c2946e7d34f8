"""The ledger: which photos there are, what is to be done with each, and what was done. SQLite, one writer.

A row of ``jobs`` is one photo (its path) with one identity (photo bytes, style bytes, resolved settings, weights).
States::

    waiting ──▶ queued ──▶ running ──▶ done
       ▲           ▲          │ │
       │           └──────────┘ └────▶ problem
       └── the photo is not whole yet, or its folder's settings are broken; the row has no identity yet
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

__all__ = ["Job", "JobState", "Overview"]


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger, as it was when it was read.

    ``path`` is relative to the inbox, ``folder`` (where the painting lies) to the outbox. Times are seconds since
    the epoch. ``loss`` is the total of the last step; ``steps`` the upper bound of the recipe. ``settings`` is the
    JSON text that the daemon stored when it queued the job. ``reason`` and ``remedy`` say why a job waits or is
    a problem; ``kind`` is the name of the error's class.
    """

    id: int
    path: PurePosixPath
    state: JobState
    size: int
    mtime_ns: int
    photo_sha256: str | None = None
    settings_key: str | None = None
    identity: str | None = None
    settings: str | None = field(default=None, repr=False)
    folder: PurePosixPath | None = None
    attempts: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    seconds_per_step: float | None = None
    width: int | None = None
    height: int | None = None
    kind: str = ""
    reason: str = ""
    remedy: str = ""
    worker: str = ""
    seen_at: float = 0.0
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def remaining_seconds(self) -> float | None:
        """Expected time until the last step, from the measured time of a step; None while nothing is measured."""
        if self.state is not JobState.RUNNING or self.seconds_per_step is None:
            return None
        return max(0, self.steps - self.step) * self.seconds_per_step


@dataclass(frozen=True, slots=True)
class Overview:
    """What the console and ``status`` show: counts by state, and the jobs worth a line each, newest first."""

    counts: Mapping[JobState, int]
    running: tuple[Job, ...] = ()
    queued: tuple[Job, ...] = ()
    waiting: tuple[Job, ...] = ()
    done: tuple[Job, ...] = ()
    problems: tuple[Job, ...] = ()
