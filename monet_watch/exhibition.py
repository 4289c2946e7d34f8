"""What the gallery is told: whatever happens in the loop, as frozen records for the thread that writes it.

Everything here runs in the daemon's loop and takes no time worth a word: the files are the curator's affair.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import PurePosixPath

from monet_watch.errors import LedgerError
from monet_watch.ledger import Job, JobState, Ledger, Outlook, Overview
from monet_watch.notices import Level, Listener, Notice, tell
from monet_watch.outbox.gallery.curator import Curator
from monet_watch.outbox.gallery.gallery import Thumbnail
from monet_watch.outbox.gallery.moment import Moment, Sitting, Standing
from monet_watch.plan import Plan
from monet_watch.workers.base import JobFinished, JobSnapshot, JobStarted, WorkerEvent

__all__ = ["Exhibition"]

_LISTED = 50  # of what waits, or has a problem


class Exhibition:
    """Hands the ``curator`` what happens. ``now`` gives seconds since the epoch."""

    def __init__(self, curator: Curator, ledger: Ledger, listener: Listener, now: Callable[[], float]) -> None:
        self._curator = curator
        self._ledger = ledger
        self._tell = partial(tell, listener)
        self._now = now
        self._longer: Overview | None = None  # as the lists were when they were last looked at
        self._mark: object = None
        self._told = self._own_trouble = ""

    def update(self, overview: Overview) -> None:
        """The loop shows how things stand."""
        with self._apart():
            self._show(overview, awake=True)
        self._tell_trouble(self._curator.trouble or self._own_trouble)

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        with self._apart():
            self._hear(notice)

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """The boundary: whatever is wrong with the gallery, painting goes on."""
        try:
            yield
        except LedgerError:
            pass  # whoever needs the ledger more tells of it
        except Exception as error:
            self._own_trouble = f"The gallery is not complete: {type(error).__name__}: {error}."

    def _hear(self, notice: Notice) -> None:
        match notice.event:
            case "done" | "copied" if notice.job is not None:
                folder = self._ledger.get(notice.job).folder
                if folder is not None:
                    self._curator.hang(folder)
            case "contact-sheet":
                self._curator.look_at_sheet(PurePosixPath(str(notice.details["file"])).parent)
            case "scanned":
                self._curator.sweep()
            case "stopped":
                self._show(self._ledger.overview(), awake=False)

    def preview(self, job: Job, event: WorkerEvent) -> None:
        """A worker said something of ``job``."""
        with self._apart():
            self._keep_pictures(job.identity or "", event)

    def _keep_pictures(self, identity: str, event: WorkerEvent) -> None:
        match event:
            case JobStarted():
                self._keep(identity, "photo", event.thumbnail)
                for sha256, data in event.style_thumbnails.items():
                    self._keep(sha256, "style", data)
            case JobSnapshot():
                self._keep(identity, f"{event.number:04d}", event.thumbnail)
            case JobFinished():
                self._keep(identity, "painting", event.thumbnail)

    def _keep(self, identity: str, name: str, data: bytes) -> None:
        if data and identity:
            self._curator.keep(Thumbnail(identity, name, data))

    def _show(self, overview: Overview, awake: bool) -> None:
        """Show what is being painted, and longer lists of the others than the loop's, read when those have changed."""
        lists = (overview.queued, overview.waiting, overview.problems)
        mark = (overview.counts, lists)
        if self._longer is None or mark != self._mark:
            self._longer, self._mark = self._ledger.overview(recent=_LISTED), mark
        longer = replace(self._longer, running=overview.running, resting=overview.resting, outlook=overview.outlook)
        self._curator.show(_moment(longer, self._now(), awake))

    def _tell_trouble(self, trouble: str) -> None:
        """Tell it once, until it is over or another one."""
        if trouble and trouble != self._told:
            self._tell("problem", f"{trouble} Painting goes on.", level=Level.WARNING)
        self._told = trouble


def _moment(overview: Overview, now: float, awake: bool) -> Moment:
    counts = overview.counts
    return Moment(
        at=now,
        awake=awake,
        counts={
            "queued": counts[JobState.QUEUED],
            "waiting": counts[JobState.WAITING],
            "problems": counts[JobState.PROBLEM],
        },
        running=tuple(_sitting(job, overview.outlook) for job in overview.running),
        remaining_seconds=overview.outlook.all_seconds,
        queued=tuple(map(_standing, overview.queued)),
        waiting=tuple(map(_standing, overview.waiting)),
        problems=tuple(map(_standing, overview.problems)),
        resting=overview.resting,
    )


def _sitting(job: Job, outlook: Outlook) -> Sitting:
    return Sitting(
        photo=job.path,
        folder=job.folder,
        identity=job.identity or "",
        styles=_styles(job),
        step=job.step,
        steps=job.steps,
        loss=job.loss,
        remaining_seconds=outlook.remaining_seconds.get(job.id),
        width=job.width,
        height=job.height,
        expected_steps=outlook.expected_steps.get(job.id),
    )


def _standing(job: Job) -> Standing:
    return Standing(job.path, job.reason, job.remedy, job.finished_at or job.queued_at or job.seen_at, _styles(job))


def _styles(job: Job) -> tuple[str, ...]:
    """The names of the styles that it is, or will be, painted in, as far as that is settled."""
    return _style_names(job.settings) if job.settings else ()


@lru_cache(maxsize=64)  # the photos of a folder have the same
def _style_names(settings: str) -> tuple[str, ...]:
    return tuple(style.source.name for style in Plan.from_json(settings).styles)
