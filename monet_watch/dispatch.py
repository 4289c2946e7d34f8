"""Which job goes where: the queue, the jobs that workers hold, and what becomes of what they say.

Everything here runs in the daemon's loop; `monet_watch.crew` keeps the workers.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from monet_watch.aftercare import Caretaker, LookedAfter
from monet_watch.arrivals import Arrivals
from monet_watch.checkpoints import Checkpoints
from monet_watch.chooser import MOST_AT_ONCE, Chooser
from monet_watch.crew import Crew, FromWorker, Place
from monet_watch.delivery import (
    Commission,
    copy_painting,
    deliver_stage,
    painting_files,
    read_record,
    write_painting,
)
from monet_watch.errors import LedgerUnavailableError, OutboxError, PhotoError, SettingsError, WorkerError
from monet_watch.forecast import Forecast
from monet_watch.inbox.survey import InboxGoneError, UnreadablePhotoError, read_photo
from monet_watch.ledger import Job, JobState, Ledger, WorkerState
from monet_watch.notices import Level, Listener, tell
from monet_watch.outbox.files import Outbox, progress_name
from monet_watch.outbox.record import PaintingRecord, PhotoFacts
from monet_watch.plan import Plan
from monet_watch.remaining import sizes_of
from monet_watch.room import NoRoomError, Shortage, room_for
from monet_watch.troubles import FIRST_PAUSE, pause
from monet_watch.undelivered import Undelivered
from monet_watch.wording import duration
from monet_watch.workers.base import (
    DevicesFound,
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
    WorkerSaid,
    WorkerWaits,
)

__all__ = ["MOST_ATTEMPTS", "Dispatch", "DispatchParts"]

_COUNT_SECONDS = 1.0

MOST_ATTEMPTS = 3
"""A job that stops its worker so often is a problem."""

_LOOK_SECONDS = 5.0  # between two looks whether the outbox can be written, the inbox is there, or there is room again
_MOMENT_SECONDS = 0.1  # for which the loop may be kept from its messages


@dataclass(frozen=True, slots=True)
class DispatchParts:
    """What dispatch works with. ``clock`` is monotonic, ``now`` the time of day, both in seconds.

    ``preview`` is shown what workers say of their jobs, for the small pictures in it.
    """

    inbox: Path
    ledger: Ledger
    outbox: Outbox
    arrivals: Arrivals
    checkpoints: Checkpoints
    undelivered: Undelivered
    caretaker: Caretaker
    crew: Crew
    tell: Listener
    clock: Callable[[], float]
    now: Callable[[], float]
    limit_bytes: int
    limit_pixels: int
    preview: Callable[[Job, WorkerEvent], None] = lambda job, event: None
    retry_seconds: float = FIRST_PAUSE


@dataclass(frozen=True, slots=True)
class _Rest:
    """Nothing is begun ``until``, on the monotonic clock, because the inbox or the outbox, as a whole, is in trouble.

    ``text`` tells it.
    """

    reason: type[Exception]
    until: float
    text: str


@dataclass(frozen=True, slots=True)
class _Counted:
    """So many jobs waited at a ``revision`` of the queue; that is known ``until``, on the monotonic clock."""

    number: int
    revision: int
    until: float


class Dispatch:
    """Gives queued jobs to idle workers, delivers what they make, and replaces workers that die."""

    def __init__(self, parts: DispatchParts) -> None:
        self._parts = parts
        self._tell = partial(tell, parts.tell)
        self._crew = parts.crew
        self._draining = False
        self._suspended = False
        self._counted: _Counted | None = None
        self._rest: _Rest | None = None
        self._shortage = Shortage(parts.outbox.root, parts.checkpoints.folder)
        self._look_for_room_at = 0.0
        self._chooser = Chooser(parts.ledger, parts.clock, parts.now)
        self._has_more = False
        self._in_care: set[int] = set()
        self._stays: dict[PurePosixPath, str] = {}  # originals that could not be put away, and why

    # For the loop.

    def open(self) -> None:
        """Start a worker on each device."""
        self._crew.open()

    @property
    def busy(self) -> bool:
        """Whether a worker holds a job."""
        return self._crew.busy

    @property
    def caring(self) -> bool:
        """Whether an original is being looked after."""
        return bool(self._in_care)

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
    def attended(self) -> bool:
        """Whether somebody looks after originals."""
        return self._parts.caretaker.alive()

    @property
    def paused(self) -> bool:
        """Whether no queued job is begun: by somebody's wish, or because of something that passes."""
        return self._suspended or self._resting or self._all_wait

    def workers(self) -> tuple[WorkerState, ...]:
        """How each worker is, and each that is to be started."""
        return self._crew.states(self._parts.now())

    @property
    def trouble(self) -> str:
        """What keeps paintings waiting, or a device from being used, and when that is tried again; empty if nothing."""
        broken = (place for place in self._crew.places if place.broken)
        devices = [f"The worker on {each.device} cannot be started: {each.last_words.rstrip('.')}." for each in broken]
        rest = [] if self._rest is None else [self._rest.text]
        return " ".join([*rest, *([self._shortage.text] if self._shortage else []), *devices])

    @property
    def _resting(self) -> bool:
        return self._rest is not None and self._parts.clock() < self._rest.until

    @property
    def _all_wait(self) -> bool:
        """Whether every queued job is put off, or waits for room."""
        any_waits = bool(self._shortage) or self._parts.ledger.next_retry() is not None
        return any_waits and not self._parts.ledger.front(1, self._shortage.keys)

    def next_due(self) -> float | None:
        """When `tend` has something to do, on the monotonic clock."""
        restart_at = self._crew.next_due()
        retry_at = self._parts.ledger.next_retry()
        times = [] if restart_at is None else [restart_at]
        if self._rest is not None and self._resting:
            times.append(self._rest.until)
        if self._has_more:
            times.append(self._parts.clock())
        if self._shortage:
            times.append(self._look_for_room_at)
        if retry_at is not None:
            times.append(self._parts.clock() + retry_at - self._parts.now())
        return min(times, default=None)

    def tend(self) -> None:
        """End workers that hang, replace dead ones whose pause is over, and give jobs to idle ones."""
        for place in self._crew.hanging():
            self._on_death(place, f"it gave no sign of life for {place.silent_seconds:.0f} s, and was ended")
        self._crew.replace_dead()
        if not self._draining and self._rested():
            self._hand_over_kept()
            self._crew.staff(self._waiting())
            self._look_for_room()
            if not self._suspended and not self._resting:
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

    def hurry(self) -> None:
        """Let every pause end that is no job's own."""
        if self._rest is not None:
            self._rest = replace(self._rest, until=self._parts.clock())
        self._look_for_room_at = self._parts.clock()
        self._crew.hurry()

    def inbox_is_back(self) -> None:
        """The inbox was away and is there: nothing waits for it any longer."""
        if self._rest is not None and self._rest.reason is InboxGoneError:
            self._end_rest()

    def close(self, timeout_seconds: float) -> None:
        """End every worker; jobs under way wait in the queue again, to go on from their last checkpoint.

        ``timeout_seconds`` is for all of them together.
        """
        self._crew.close(timeout_seconds)
        self._parts.undelivered.save()
        for place in self._crew.places:
            if place.job is not None:
                self._requeue(place.job, "stopped", counts=False)
                place.job = None

    def admit(self, job: Job) -> None:
        """A job is queued, or was found done: copy what is painted already, and look after the original."""
        if job.state is JobState.QUEUED:
            with contextlib.suppress(OutboxError):  # it is tried, and told, when its turn comes
                self._copy_if_painted(job)
        elif job.state is JobState.DONE and job.folder is not None:
            self._look_after(job)

    def handle(self, message: FromWorker) -> None:
        """Do what a worker's event calls for.

        Of one that has been replaced nothing is heard, and of one that was dismissed neither that it is ready nor that
        it has died: that may have been under way when it was.
        """
        place = self._crew.whose(message)
        if place is None:
            return
        place.heard(message.event)
        match message.event:
            case DevicesFound(devices):
                self._crew.has_found(place, devices)
            case WorkerReady() as ready if place.worker is not None:
                self._on_ready(place, ready)
            case WorkerDied(reason, blameless) if place.worker is not None:
                self._on_death(place, reason, blameless)
            case WorkerSaid(text):
                self._tell("worker-said", f"The worker on {place.device} says: {text}", place.job or "")
            case WorkerWaits(reason):
                self._on_wait(place, reason)
            case WorkerReady() | WorkerDied():
                pass
            case event if place.job is not None and event.job_id == place.job.id:
                self._on_job_event(place, place.job, event)

    # Workers.

    def _on_ready(self, place: Place, ready: WorkerReady) -> None:
        self._crew.is_ready(place, ready)
        self._chooser.look_again()
        threads = f"{ready.threads} thread{'s' * (ready.threads != 1)}"
        text = f"{ready.where} is ready: {ready.device_name}, {ready.precision}, {threads}."
        self._tell("worker-ready", text, details={"device": ready.device})

    def _on_wait(self, place: Place, reason: str) -> None:
        """What it waits for is told once, while nobody else paints: a crew that grows as it can is in no trouble."""
        if reason != place.waits_for and not self._crew.ready_count:
            self._tell("worker-waits", f"The worker on {place.device} waits: {reason}.", level=Level.WARNING)
        place.waits_for = reason

    def _on_death(self, place: Place, reason: str, blameless: bool = False) -> None:
        job = place.job
        self._tell("worker-died", f"The worker on {place.device} stopped: {reason}", job or "", Level.ERROR)
        if job is not None and blameless:
            self._parts.ledger.requeue(job.id, outcome="worker lost", detail=reason, counts=False)
        elif job is not None:
            self._crew.has_failed_at(place, job)
            self._after_death(job, reason)
        self._crew.dismiss(place, reason)
        if place.has_just_broken:
            text = f"The worker on {place.device} cannot be started; it is tried again after growing pauses: {reason}"
            self._tell("problem", text, level=Level.ERROR)

    def _after_death(self, job: Job, reason: str) -> None:
        if job.attempts < MOST_ATTEMPTS:
            self._requeue(job, "worker died", reason)
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
        """Give jobs to idle workers, for a moment: what is found done on the way may be a whole inbox of copies."""
        until = self._parts.clock() + _MOMENT_SECONDS
        self._has_more = False
        self._go_on_with_held()
        while idle := self._crew.idle(MOST_AT_ONCE):
            workers = [place.as_idle() for place in idle]
            chosen = self._chooser.choose(workers, self._crew.ready_count, self._shortage.keys)
            if not chosen:
                self._end_waiting()
                return
            for each in chosen:
                if not self._begin(self._crew.places[each.number], self._parts.ledger.get(each.job_id)):
                    return
            if self._parts.clock() > until:
                self._has_more = True
                return

    def _go_on_with_held(self) -> None:
        """Give workers the jobs that they were at before this daemon came."""
        for place in self._crew.places:
            if not place.idle or place.ready is None or not place.ready.holds:
                continue
            identity, place.ready = place.ready.holds, replace(place.ready, holds="")
            job = self._parts.ledger.first_queued_of(identity)
            running = self._parts.ledger.running()
            if job is None or any(identity == each.identity or job.path == each.path for each in running):
                continue
            if not self._begin(place, job):
                return

    def _waiting(self) -> int:
        """How many jobs could be begun, up to as many as a cluster may have workers.

        It is looked up when the queue has changed, and once a second, for those that are put off.
        """
        if not self._crew.most_remote or self._suspended or self._resting:
            return 0
        counted, revision = self._counted, self._parts.ledger.revision
        if counted is None or counted.revision != revision or self._parts.clock() >= counted.until:
            number = len(self._parts.ledger.front(self._crew.most_remote, self._shortage.keys))
            counted = self._counted = _Counted(number, revision, self._parts.clock() + _COUNT_SECONDS)
        return counted.number

    def _begin(self, place: Place, job: Job) -> bool:
        """Start ``job`` at ``place``, find it another state, or set it aside; False if none can be started now."""
        try:
            self._start_or_look_again(place, job)
        except PhotoError as error:
            self._fail(job, type(error).__name__, error.message, error.remedy)
        except NoRoomError as error:
            self._pass_over(error)
        except InboxGoneError as error:
            self._begin_rest(error)
            return False
        except OutboxError as error:
            return self._not_written(job, error)
        return True

    def _start_or_look_again(self, place: Place, job: Job) -> None:
        try:
            if not self._is_painted(job):
                self._start(place, job)
        except (UnreadablePhotoError, SettingsError):
            self._parts.arrivals.again(job.path)

    def _is_painted(self, job: Job) -> bool:
        """Whether ``job`` is done by what is painted already. Raises OutboxError where that cannot be written."""
        return self._finish_if_delivered(job) or self._hand_over_if_kept(job) or self._copy_if_painted(job)

    def _start(self, place: Place, job: Job) -> None:
        plan = Plan.from_json(job.settings or "")
        self._shortage.require(job.settings_key or "", room_for(plan.recipe, _size(job)))
        photo, _ = read_photo(self._parts.inbox, job.path, self._parts.limit_bytes)
        paint_job = self._paint_job(job, plan, photo)
        if paint_job is None:
            self._parts.arrivals.again(job.path)
            return
        job = self._placed(job)
        assert place.worker is not None and place.ready is not None
        place.take(self._parts.ledger.start(job.id, place.ready.where))
        place.worker.offer(paint_job)
        self._end_rest()

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
        output, limit_pixels = self._parts.arrivals.output(job.path.parent), self._parts.limit_pixels
        stages = () if resume is None or output.timelapse == "none" else self._stages_so_far(job)
        return PaintJob(job.id, identity, picture, styles, plan.recipe, limit_pixels, resume, attempt, output, stages)

    def _stages_so_far(self, job: Job) -> tuple[PictureFile, ...]:
        """The stages of a painting that goes on, for its moving picture, as far as they can be read."""
        stages: list[PictureFile] = []
        with contextlib.suppress(OutboxError):
            for name in self._parts.outbox.stages(_folder(job)) if job.folder is not None else ():
                stages.append(PictureFile(name, self._parts.outbox.read(_folder(job), name)))  # noqa: PERF401
        return tuple(stages)

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

    def _hand_over_kept(self) -> None:
        """Deliver what was painted while the outbox could not be written, whether or not a worker is free."""
        for identity in self._parts.undelivered.paintings():
            if not self._parts.ledger.wanted([identity]):
                self._parts.undelivered.discard(identity)  # the photo has gone, or is to be painted in another way
            job = self._parts.ledger.first_queued_of(identity)
            if job is not None:
                self._try_to_hand_over(job)

    def _try_to_hand_over(self, job: Job) -> None:
        if job.retry_at is not None and job.retry_at > self._parts.now():
            return
        try:
            self._is_painted(job)
        except OutboxError as error:
            self._not_written(job, error)

    def _hand_over_if_kept(self, job: Job) -> bool:
        """Write the painting that could not be written before. True if ``job`` is done by that."""
        identity = job.identity or ""
        if not self._parts.undelivered.holds(identity):
            return False
        job = self._placed(job)
        record = self._parts.undelivered.hand_over(identity, self._parts.outbox, _folder(job), _photo_facts(job))
        if record is None:
            return False
        done = self._adopt(job, record)
        self._parts.undelivered.discard(identity)
        self._tell("done", f"It could be written at last: {_folder(job)}.", done)
        self._look_after(done)
        return True

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
        self._parts.preview(job, event)
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
        place.painted += isinstance(event, JobFinished)

    def _take_in(self, place: Place, job: Job, event: JobFinished | JobFailed | JobStopped) -> None:
        match event:
            case JobFinished():
                self._on_finished(place, job, event)
            case JobFailed():
                self._on_failed(job, event)
            case JobStopped():
                self._requeue(job, "stopped", counts=False)

    def _on_started(self, place: Place, job: Job, event: JobStarted) -> None:
        place.resumed_at_step = event.first_step - 1 if event.first_step > 1 else None
        self._parts.ledger.sized(job.id, event.width, event.height, event.first_step)
        self._sketched(job, event)
        resumed = f", going on at step {event.first_step}" if event.first_step > 1 else ""
        steps = f"{job.steps} step{'s' * (job.steps != 1)}"
        text = f"It is being painted, {event.width} × {event.height} pixels, at most {steps}{resumed}."
        self._tell("painting", text, job, details={"width": event.width, "height": event.height})

    def _on_step(self, place: Place, job: Job, event: JobStep) -> None:
        loss = event.losses.total
        self._parts.ledger.progress(
            job.id, step=event.number, loss=loss, seconds_per_step=place.pace, seconds=event.seconds
        )
        text = f"Step {event.number} of at most {job.steps}, loss {loss:.4g}."
        details = {"step": event.number, "steps": job.steps, "loss": loss, "seconds": event.seconds}
        self._tell("step", text, job, Level.DEBUG, details)

    def _sketched(self, job: Job, event: JobStarted | JobSnapshot) -> None:
        """Keep the small picture of the console; it is not worth an outage of the ledger, and soon there is another."""
        if event.sketch is not None:
            with contextlib.suppress(LedgerUnavailableError):
                self._parts.ledger.sketched(job.id, event.sketch)

    def _on_snapshot(self, job: Job, event: JobSnapshot) -> None:
        self._sketched(job, event)
        try:
            name = deliver_stage(self._parts.outbox, _folder(job), event)
        except OutboxError as error:
            kept = self._parts.undelivered.keep(job.identity or "", {progress_name(event.number): event.png})
            later = "; it is written together with the painting" if kept else ""
            self._tell("problem", f"A stage could not be written{later}: {error}", job, Level.WARNING)
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
        self._learn_speed(place, job, event, commission.plan)
        files = painting_files(commission, event, place.ready, self._parts.now())
        try:
            self._parts.undelivered.hand_over_stages(commission.identity, self._parts.outbox, _folder(job))
            write_painting(self._parts.outbox, _folder(job), files)
        except OutboxError as error:
            self._keep(job, files, error)
            return
        self._parts.arrivals.solved(job)
        sizes = sizes_of(commission.plan.recipe, event.width, event.height)
        done = self._parts.ledger.finish(job.id, loss=event.delivered.total, sizes=sizes)
        self._discard(job)
        steps = f"{len(event.curve)} step" + "s" * (len(event.curve) != 1)
        text = (
            f"It is painted, in {steps} and {event.seconds:.0f} s: {_folder(job)} (loss {event.delivered.total:.4g})."
        )
        text = " ".join((text, *event.remarks))
        self._tell("done", text, job, details={"folder": str(_folder(job)), "seconds": event.seconds})
        self._look_after(done)

    def _learn_speed(self, place: Place, job: Job, event: JobFinished, plan: Plan) -> None:
        steps = len(event.curve) - (place.resumed_at_step or 0)
        effort = Forecast.of(plan.recipe).effort * steps / plan.recipe.steps
        place.has_painted(event.width * event.height * effort, event.seconds)

    def _on_failed(self, job: Job, event: JobFailed) -> None:
        if event.kind == "TruncatedPhotoError" and self._parts.arrivals.truncated(job):
            return
        if event.passes:
            self._put_off(job, event.kind, event.message, event.remedy)
            return
        self._discard(job)
        self._fail(job, event.kind, event.message, event.remedy)

    def _keep(self, job: Job, files: Mapping[str, bytes], error: OutboxError) -> None:
        """The painting cannot be written: keep it, so that it need not be painted again."""
        if not self._parts.undelivered.keep(job.identity or "", files):
            text = "There is no room to keep the painting either; it is painted again from its last checkpoint."
            self._tell("problem", text, job, Level.ERROR)
        self._not_written(job, error)

    # Ends.

    def _discard(self, job: Job) -> None:
        self._parts.checkpoints.discard(job.identity or "")
        self._parts.undelivered.discard(job.identity or "")

    def _fail(self, job: Job, kind: str, reason: str, remedy: str) -> None:
        failed = self._parts.ledger.fail(job.id, kind=kind, reason=reason, remedy=remedy)
        self._parts.arrivals.given_up(job, failed)
        if failed.id == job.id:  # else a later photo of the same name has taken its place
            self._parts.arrivals.report(job, reason, remedy)

    def _look_after(self, job: Job) -> None:
        """Have the original treated, unless it is to be painted in another way as well: then after that."""
        if not self._parts.caretaker.has_work or job.id in self._in_care:
            return
        if self._parts.ledger.known(job.path)[0].state is JobState.DONE:
            self._in_care.add(job.id)
            self._parts.caretaker.look_after(job.id, job.path, job.photo_sha256 or "", _folder(job))

    def looked_after(self, message: LookedAfter) -> None:
        """Tell what became of an original; what keeps it is told once, however often that is tried."""
        self._in_care.discard(message.id)
        before = self._stays.pop(message.path, "")
        if message.fault:
            self._stays[message.path] = message.fault
        if message.fault and message.fault != before:
            self._tell("problem", f"The original stays where it is: {message.fault}", message, Level.WARNING)
        elif message.words:
            self._tell("removed", message.words, message)

    def _requeue(self, job: Job, outcome: str, detail: str = "", counts: bool = True) -> None:
        newest = self._parts.ledger.requeue(job.id, outcome=outcome, detail=detail, counts=counts)
        self._parts.arrivals.given_up(job, newest)

    # What passes.

    def _not_written(self, job: Job, error: OutboxError) -> bool:
        """Try ``job`` later. False if the whole outbox is in trouble, and not this job's place alone: then all wait."""
        if self._parts.outbox.takes_files():
            self._put_off(job, type(error).__name__, error.message, error.remedy)
            return True
        if self._parts.ledger.get(job.id).state is JobState.RUNNING:
            self._requeue(job, "not delivered", error.message, counts=False)
        self._begin_rest(error)
        return False

    def _put_off(self, job: Job, kind: str, reason: str, remedy: str) -> None:
        """Try ``job`` again after a pause; the others go on."""
        seconds = pause(job.put_off + 1, self._parts.retry_seconds)
        told = {"kind": kind, "reason": reason, "remedy": remedy}
        self._parts.arrivals.given_up(job, self._parts.ledger.put_off(job.id, seconds=seconds, **told))
        text = f"{reason} {remedy}".strip()
        self._tell("problem", f"{text} It is tried again in {duration(seconds)}.", job, Level.ERROR)

    def _begin_rest(self, error: OutboxError | InboxGoneError) -> None:
        """Begin nothing for a moment, and then look again; as long as the reason is the same it is told once."""
        is_known = self._rest is not None and self._rest.reason is type(error)
        until = self._parts.clock() + min(self._parts.retry_seconds, _LOOK_SECONDS)
        self._rest = _Rest(type(error), until, f"{error} It is looked at again every few seconds.")
        if not is_known:
            text = f"{error} It is tried again and again; until then nothing is begun."
            self._tell("problem", text, level=Level.ERROR)

    def _pass_over(self, error: NoRoomError) -> None:
        """Begin what takes less room meanwhile; that some wait for room is told once."""
        if len(self._shortage.keys) == 1:
            self._look_for_room_at = self._parts.clock() + _LOOK_SECONDS
            self._tell("problem", f"{error} What takes less is painted meanwhile.", level=Level.ERROR)

    def _look_for_room(self) -> None:
        if self._shortage and self._parts.clock() >= self._look_for_room_at:
            self._look_for_room_at = self._parts.clock() + _LOOK_SECONDS
            if self._shortage.look_again():
                self._tell("resting", "There is room again; painting goes on.")

    def _end_waiting(self) -> None:
        """Nothing can be begun: if nothing is queued either, whoever had to wait has gone."""
        self._end_rest()
        if not self._parts.ledger.counts()[JobState.QUEUED]:
            self._shortage.clear()

    def _rested(self) -> bool:
        """Whether anything can be begun, as far as is known. An outbox that took no files is tried with one."""
        if self._rest is None or self._resting:
            return self._rest is None
        if self._rest.reason is OutboxError:
            trouble = self._parts.outbox.trouble()
            if trouble is not None:
                self._begin_rest(trouble)
                return False
            self._end_rest()
        return True

    def _end_rest(self) -> None:
        if self._rest is not None:
            self._parts.ledger.hurry(kind=self._rest.reason.__name__)
            self._rest = None
            self._tell("resting", "Painting goes on.")


def _size(job: Job) -> tuple[int, int] | None:
    return (job.width, job.height) if job.width and job.height else None


def _folder(job: Job) -> PurePosixPath:
    assert job.folder is not None  # a job is given its place before it starts
    return job.folder


def _photo_facts(job: Job) -> PhotoFacts:
    return PhotoFacts.of(job.path, job.photo_sha256 or "", job.size, job.mtime_ns)
