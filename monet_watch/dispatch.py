"""Which job goes where: the queue, the jobs that workers hold, and what becomes of what they say.

Everything here runs in the daemon's loop; `monet_watch.crew` keeps the workers.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from monet_watch.aftercare import Aftercare
from monet_watch.arrivals import Arrivals
from monet_watch.checkpoints import Checkpoints
from monet_watch.crew import Crew, FromWorker, Place
from monet_watch.delivery import Commission, copy_painting, deliver, deliver_stage, read_record
from monet_watch.errors import LedgerUnavailableError, OutboxError, PhotoError, SettingsError, WorkerError
from monet_watch.inbox.survey import InboxGoneError, UnreadablePhotoError, read_photo
from monet_watch.ledger import Job, JobState, Ledger
from monet_watch.notices import Level, Listener, tell
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.record import PaintingRecord, PhotoFacts
from monet_watch.plan import Plan
from monet_watch.room import NoRoomError, require_room, room_for
from monet_watch.workers.base import (
    JobCheckpoint,
    JobFailed,
    JobFinished,
    JobSnapshot,
    JobStarted,
    JobStep,
    JobStopped,
    PaintJob,
    PictureFile,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
)

__all__ = ["MOST_ATTEMPTS", "Dispatch", "DispatchParts"]

MOST_ATTEMPTS = 3
"""A job that stops its worker so often is a problem."""

_TROUBLE_PAUSE_SECONDS = 30.0  # before the next job, after the outbox could not be written or the inbox was away
_MOST_DOUBLINGS = 7  # of that pause, for a job whose own place cannot be written while those of others can


@dataclass(frozen=True, slots=True)
class DispatchParts:
    """What dispatch works with. ``clock`` is monotonic, ``now`` the time of day, both in seconds."""

    inbox: Path
    ledger: Ledger
    outbox: Outbox
    arrivals: Arrivals
    checkpoints: Checkpoints
    aftercare: Aftercare
    crew: Crew
    tell: Listener
    clock: Callable[[], float]
    now: Callable[[], float]
    limit_bytes: int
    limit_pixels: int


@dataclass(frozen=True, slots=True)
class _SetAside:
    """A job whose painting could not be written ``times`` times; it waits ``until``, on the monotonic clock."""

    times: int
    until: float


class Dispatch:
    """Gives queued jobs to idle workers, delivers what they make, and replaces workers that die."""

    def __init__(self, parts: DispatchParts) -> None:
        self._parts = parts
        self._tell = partial(tell, parts.tell)
        self._crew = parts.crew
        self._draining = False
        self._suspended = False
        self._not_before = float("-inf")
        self._trouble = ""
        self._set_aside: dict[int, _SetAside] = {}

    # For the loop.

    def open(self) -> None:
        """Start a worker on each device."""
        self._crew.open()

    @property
    def busy(self) -> bool:
        """Whether a worker holds a job."""
        return self._crew.busy

    @property
    def helpless(self) -> WorkerError | None:
        """What to say where no device is of any use; they are tried again all the same."""
        if not self._crew.broken:
            return None
        place = self._crew.places[0]
        remedy = "Check the devices and the weights in the config."
        return WorkerError(f"The worker on {place.device} cannot be started: {place.last_words}", remedy)

    @property
    def staffed(self) -> bool:
        """Whether each device has a worker that lives, or gets one at a time that is known. At the end none has to."""
        return self._draining or self._crew.staffed

    @property
    def paused(self) -> bool:
        """Whether no queued job is begun: somebody asked for that, none can be written, or the inbox was away."""
        return self._suspended or self._resting or (bool(self._aside()) and self._next_job() is None)

    @property
    def _resting(self) -> bool:
        return self._parts.clock() < self._not_before

    def _aside(self) -> list[int]:
        """The ids of the jobs whose time has not come."""
        now = self._parts.clock()
        return [job_id for job_id, each in self._set_aside.items() if now < each.until]

    def _next_job(self) -> Job | None:
        return self._parts.ledger.next_queued(self._aside())

    def next_due(self) -> float | None:
        """When `tend` has something to do, on the monotonic clock."""
        restart_at = self._crew.next_due()
        times = [] if restart_at is None else [restart_at]
        if self._resting:
            times.append(self._not_before)
        times += [self._set_aside[job_id].until for job_id in self._aside()]
        return min(times, default=None)

    def tend(self) -> None:
        """End workers that hang, replace dead ones whose pause is over, and give jobs to idle ones."""
        for place in self._crew.hanging():
            self._on_death(place, f"it gave no sign of life for {place.silent_seconds:.0f} s, and was ended")
        self._crew.replace_dead()
        if not (self._draining or self._suspended or self._resting):
            self._feed()

    def drain(self) -> None:
        """Begin no job any more, and ask each worker to stop after a checkpoint."""
        self._draining = True
        self._crew.drain()

    def suspend(self) -> None:
        """Begin no job until `resume`, and ask each worker to stop after a checkpoint: its job is queued again."""
        self._suspended = True
        self._crew.cancel()

    def resume(self) -> None:
        """Begin jobs again, after `suspend`."""
        self._suspended = False

    def try_at_once(self, job_ids: Collection[int] | None = None) -> int:
        """Let the jobs (all of them) that wait for their next try wait no longer; return how many did."""
        found = [job_id for job_id in self._aside() if job_ids is None or job_id in job_ids]
        for job_id in found:
            del self._set_aside[job_id]
        self._not_before = float("-inf")
        self._crew.hurry()
        return len(found)

    def close(self, timeout_seconds: float) -> None:
        """End every worker; jobs under way wait in the queue again, to go on from their last checkpoint.

        ``timeout_seconds`` is for all of them together.
        """
        self._crew.close(timeout_seconds)
        for place in self._crew.places:
            if place.job is not None:
                self._parts.ledger.requeue(place.job.id, outcome="stopped", counts=False)
                place.job = None

    def admit(self, job: Job) -> None:
        """A job is queued, or was found done: copy what is painted already, and look after the original."""
        if job.state is JobState.QUEUED:
            self._copy_if_painted(job)
        elif job.state is JobState.DONE:
            self._look_after(job)

    def handle(self, message: FromWorker) -> None:
        """Do what a worker's event calls for; the last words of one that has been replaced are not heard."""
        place = self._crew.whose(message)
        if place is None:
            return
        place.heard(message.event)
        match message.event:
            case WorkerReady() as ready:
                self._on_ready(place, ready)
            case WorkerDied(reason):
                self._on_death(place, reason)
            case event if place.job is not None and event.job_id == place.job.id:
                self._on_job_event(place, place.job, event)

    # Workers.

    def _on_ready(self, place: Place, ready: WorkerReady) -> None:
        self._crew.is_ready(place, ready)
        text = f"{ready.device} is ready: {ready.device_name}, {ready.precision}, {ready.threads} threads."
        self._tell("worker-ready", text, details={"device": ready.device})

    def _on_death(self, place: Place, reason: str) -> None:
        job = place.job
        self._tell("worker-died", f"The worker on {place.device} stopped: {reason}", job or "", Level.ERROR)
        if job is not None:
            self._after_death(job, reason)
        self._crew.dismiss(place, reason)
        if place.has_just_broken:
            text = f"The worker on {place.device} cannot be started; it is tried again after growing pauses: {reason}"
            self._tell("problem", text, level=Level.ERROR)

    def _after_death(self, job: Job, reason: str) -> None:
        if job.attempts < MOST_ATTEMPTS:
            self._parts.ledger.requeue(job.id, outcome="worker died", detail=reason)
            return
        self._fail(
            job,
            "WorkerError",
            f"Painting it ended the worker {job.attempts} times ({reason}).",
            "If memory ran out, set a lower memory_limit in the config, or a smaller image_size; else try another file "
            "of the photo. Touch or replace the photo to try again.",
        )

    # Jobs to workers.

    def _feed(self) -> None:
        for place in self._crew.places:
            while place.idle:
                job = self._next_job()
                if job is None or not self._begin(place, job):
                    return

    def _begin(self, place: Place, job: Job) -> bool:
        """Start ``job`` at ``place``, find it another state, or set it aside; False if none can be started now."""
        try:
            self._start_or_look_again(place, job)
        except PhotoError as error:
            self._fail(job, type(error).__name__, error.message, error.remedy)
        except NoRoomError as error:
            self._pause(job, error)
            return False
        except OutboxError as error:
            return self._set_job_aside(job, error)
        except InboxGoneError as error:
            self._pause(job, error)
            return False
        return True

    def _start_or_look_again(self, place: Place, job: Job) -> None:
        try:
            if not self._finish_if_delivered(job) and not self._copy_if_painted(job):
                self._start(place, job)
        except (UnreadablePhotoError, SettingsError):
            self._parts.arrivals.again(job.path)

    def _start(self, place: Place, job: Job) -> None:
        plan = Plan.from_json(job.settings or "")
        photo, _ = read_photo(self._parts.inbox, job.path, self._parts.limit_bytes)
        paint_job = self._paint_job(job, plan, photo)
        if paint_job is None:
            self._parts.arrivals.again(job.path)
            return
        require_room(self._parts.outbox.root, self._parts.checkpoints.folder, room_for(plan.recipe, _size(job)))
        job = self._placed(job)
        assert place.worker is not None and place.ready is not None
        place.take(self._parts.ledger.start(job.id, place.ready.device))
        place.worker.offer(paint_job)
        self._trouble = ""

    def _paint_job(self, job: Job, plan: Plan, photo: bytes) -> PaintJob | None:
        """The job as a worker takes it; None if the photo or a style is not what it was when the job was queued."""
        picture = PictureFile(job.path.name, photo)
        styles = plan.style_files()
        found = [hashlib.sha256(each.data).hexdigest() for each in (picture, *styles)]
        if found != [job.photo_sha256, *(style.sha256 for style in plan.styles)]:
            return None
        identity = job.identity or ""
        resume = self._parts.checkpoints.load(identity)
        attempt = job.attempts + 1
        return PaintJob(job.id, identity, picture, styles, plan.recipe, self._parts.limit_pixels, resume, attempt)

    def _placed(self, job: Job) -> Job:
        """The job with a folder in the outbox: the one that it was given before, whatever became of it since."""
        return job if job.folder is not None else self._parts.ledger.place(job.id, self._folder_for(job))

    def _folder_for(self, job: Job) -> PurePosixPath:
        def is_taken(folder: PurePosixPath) -> bool:
            return self._parts.ledger.folder_owner(folder) is not None

        return self._parts.outbox.choose_folder(job.path, job.identity or "", is_taken)

    def _finish_if_delivered(self, job: Job) -> bool:
        """Whoever delivered the painting may have been stopped before the ledger knew. True if ``job`` is done so."""
        record = self._delivered(job)
        if record is None:
            return False
        self._parts.outbox.flush(_folder(job))
        done = self._adopt(job, record)
        self._tell("done", f"It was painted before the last stop: {_folder(job)}.", job)
        self._look_after(done)
        return True

    def _delivered(self, job: Job) -> PaintingRecord | None:
        """The record in the job's own folder, if it is the job's."""
        if job.folder is None or not self._parts.outbox.holds(job.folder):
            return None
        try:
            record = read_record(self._parts.outbox, job.folder)
        except OutboxError:
            return None
        is_its_own = (record.identity, record.photo.real_path()) == (job.identity, job.path)
        return record if is_its_own else None

    def _adopt(self, job: Job, record: PaintingRecord) -> Job:
        """``record`` and its files lie in the job's folder: it is done."""
        self._parts.arrivals.solved(job)
        self._parts.checkpoints.discard(record.identity)
        return self._parts.ledger.adopt(
            job.id,
            _folder(job),
            step=len(record.curve.total),
            loss=record.delivered.total,
            width=record.width,
            height=record.height,
        )

    def _copy_if_painted(self, job: Job) -> bool:
        """Give a copy of a photo that is painted already its own files. True if ``job`` is done by that."""
        for twin in self._parts.ledger.finished(job.identity or ""):
            job = self._placed(job)
            folder = _folder(job)
            try:
                assert twin.folder is not None
                record = copy_painting(self._parts.outbox, twin.folder, folder, _photo_facts(job))
            except OutboxError:
                continue  # its files are gone or cannot be read; another twin, or a worker, has to serve
            job = self._adopt(job, record)
            self._tell("copied", f"The same photo is painted already; its files were copied to {folder}.", job)
            self._look_after(job)
            return True
        return False

    # What workers say of jobs.

    def _on_job_event(self, place: Place, job: Job, event: WorkerEvent) -> None:
        match event:
            case JobStarted():
                self._on_started(place, job, event)
            case JobStep():
                self._on_step(place, job, event)
            case JobSnapshot():
                self._on_snapshot(job, event)
            case JobCheckpoint():
                self._on_checkpoint(job, event)
            case JobFinished() | JobFailed() | JobStopped():
                self._on_end(place, job, event)

    def _on_end(self, place: Place, job: Job, event: JobFinished | JobFailed | JobStopped) -> None:
        place.leave()
        try:
            self._take_in(place, job, event)
        except LedgerUnavailableError:
            place.job = job  # the event is heard once more when the ledger can be written again
            raise

    def _take_in(self, place: Place, job: Job, event: JobFinished | JobFailed | JobStopped) -> None:
        match event:
            case JobFinished():
                self._on_finished(place, job, event)
            case JobFailed():
                self._on_failed(job, event)
            case JobStopped():
                self._parts.ledger.requeue(job.id, outcome="stopped", counts=False)

    def _on_started(self, place: Place, job: Job, event: JobStarted) -> None:
        place.resumed_at_step = event.first_step - 1 if event.first_step > 1 else None
        self._parts.ledger.sized(job.id, event.width, event.height)
        resumed = f", going on at step {event.first_step}" if event.first_step > 1 else ""
        text = f"It is being painted, {event.width} × {event.height} pixels, at most {job.steps} steps{resumed}."
        self._tell("painting", text, job, details={"width": event.width, "height": event.height})

    def _on_step(self, place: Place, job: Job, event: JobStep) -> None:
        loss = event.losses.total
        self._parts.ledger.progress(job.id, step=event.number, loss=loss, seconds_per_step=place.pace)
        text = f"Step {event.number} of at most {job.steps}, loss {loss:.4g}."
        details = {"step": event.number, "steps": job.steps, "loss": loss, "seconds": event.seconds}
        self._tell("step", text, job, Level.DEBUG, details)

    def _on_snapshot(self, job: Job, event: JobSnapshot) -> None:
        try:
            name = deliver_stage(self._parts.outbox, _folder(job), event)
        except OutboxError as error:
            self._tell("problem", f"A stage could not be written: {error}", job, Level.WARNING)
            return
        text = f"The stage after step {event.number} of at most {job.steps} is in {_folder(job)}/{name}."
        self._tell("snapshot", text, job, details={"step": event.number, "steps": job.steps})

    def _on_checkpoint(self, job: Job, event: JobCheckpoint) -> None:
        try:
            self._parts.checkpoints.save(job.identity or "", event.data)
        except OutboxError as error:
            self._tell("problem", f"A checkpoint could not be written: {error}", job, Level.WARNING)

    def _on_finished(self, place: Place, job: Job, event: JobFinished) -> None:
        assert place.ready is not None
        commission = Commission(
            job.identity or "",
            _photo_facts(job),
            Plan.from_json(job.settings or ""),
            job.queued_at or 0.0,
            job.started_at or 0.0,
            job.attempts,
            place.resumed_at_step,
        )
        try:
            deliver(self._parts.outbox, _folder(job), commission, event, place.ready, self._parts.now)
        except OutboxError as error:
            self._parts.ledger.requeue(job.id, outcome="not delivered", detail=str(error), counts=False)
            self._set_job_aside(job, error)
            return
        self._set_aside.pop(job.id, None)
        self._parts.arrivals.solved(job)
        done = self._parts.ledger.finish(job.id, loss=event.delivered.total)
        self._parts.checkpoints.discard(job.identity or "")
        steps = f"{len(event.curve)} step" + "s" * (len(event.curve) != 1)
        text = (
            f"It is painted, in {steps} and {event.seconds:.0f} s: {_folder(job)} (loss {event.delivered.total:.4g})."
        )
        text = " ".join((text, *event.remarks))
        self._tell("done", text, job, details={"folder": str(_folder(job)), "seconds": event.seconds})
        self._look_after(done)

    def _on_failed(self, job: Job, event: JobFailed) -> None:
        if event.kind == "TruncatedPhotoError" and self._parts.arrivals.truncated(job):
            return
        self._parts.checkpoints.discard(job.identity or "")
        self._fail(job, event.kind, event.message, event.remedy)

    # Ends.

    def _fail(self, job: Job, kind: str, reason: str, remedy: str) -> None:
        failed = self._parts.ledger.fail(job.id, kind=kind, reason=reason, remedy=remedy)
        if failed.id == job.id:  # else a later photo of the same name has taken its place
            self._parts.arrivals.report(job, reason, remedy)

    def _look_after(self, job: Job) -> None:
        try:
            words = self._parts.aftercare(job.path, job.photo_sha256 or "")
        except OutboxError as error:
            self._tell("problem", f"The original stays where it is: {error}", job, Level.WARNING)
            return
        if words:
            self._tell("removed", words, job)

    def _set_job_aside(self, job: Job, error: OutboxError) -> bool:
        """Try ``job`` later. False if the whole outbox is in trouble, and not this job's place alone: then all wait."""
        if not self._parts.outbox.takes_files():
            self._pause(job, error)
            return False
        times = self._set_aside[job.id].times + 1 if job.id in self._set_aside else 1
        pause = _TROUBLE_PAUSE_SECONDS * 2 ** min(times - 1, _MOST_DOUBLINGS)
        self._set_aside[job.id] = _SetAside(times, self._parts.clock() + pause)
        text = f"{error} It is tried again in {pause:.0f} s; the others go on."
        self._tell("problem", text, job, Level.ERROR)
        return True

    def _pause(self, job: Job, error: OutboxError | InboxGoneError) -> None:
        """Let all jobs wait for a while, and tell why, once for as long as none can be begun."""
        self._not_before = self._parts.clock() + _TROUBLE_PAUSE_SECONDS
        trouble, self._trouble = self._trouble, str(error)
        if trouble != self._trouble:
            text = f"{error} It is tried again every {_TROUBLE_PAUSE_SECONDS:.0f} s."
            self._tell("problem", text, job, Level.ERROR)


def _size(job: Job) -> tuple[int, int] | None:
    return (job.width, job.height) if job.width and job.height else None


def _folder(job: Job) -> PurePosixPath:
    assert job.folder is not None  # a job is given its place before it starts
    return job.folder


def _photo_facts(job: Job) -> PhotoFacts:
    return PhotoFacts.of(job.path, job.photo_sha256 or "", job.size, job.mtime_ns)
