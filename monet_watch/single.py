"""One photo, no daemon: the same worker, the same files."""

import contextlib
import glob
import hashlib
import queue
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from monet_watch import errors
from monet_watch.console import ConsoleView
from monet_watch.delivery import Commission, deliver, deliver_stage, read_record
from monet_watch.errors import MonetWatchError, OutboxError, PaintingError, PhotoError, PhotoTooLargeError, WorkerError
from monet_watch.ledger import Job, JobState, Overview, StepTaken
from monet_watch.notices import Level, Notice, tell
from monet_watch.outbox.files import RECORD_NAME, Outbox
from monet_watch.outbox.record import PhotoFacts
from monet_watch.outlook import outlook_of
from monet_watch.plan import Plan, make_plan
from monet_watch.settings import ResolvedSettings, identity
from monet_watch.sketch import Sketch
from monet_watch.workers.base import (
    JobFailed,
    JobFinished,
    JobSnapshot,
    JobStarted,
    JobStep,
    PaintJob,
    PictureFile,
    WeightsFile,
    Worker,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
    WorkerSaid,
    pace,
)
from monet_watch.workers.local import LocalWorker

__all__ = ["Order", "paint_photo"]

_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """A photo, where its painting shall appear, and how and by what it is painted."""

    photo: Path
    outbox: Path
    settings: ResolvedSettings
    weights: WeightsFile
    device: str = "auto"
    threads: int | None = None
    memory_bytes: int | None = None
    limit_pixels: int = 200_000_000
    limit_bytes: int = 512_000_000
    decode_seconds: float = 120.0


def paint_photo(order: Order, console: ConsoleView) -> Path:
    """Paint ``order`` and return the folder of the painting; a painting that is there already is not made again.

    Stops that come as KeyboardInterrupt leave nothing behind. Raises PhotoError, SettingsError, OutboxError,
    PaintingError and WorkerError.
    """
    data = _read(order.photo, order.limit_bytes)
    plan = make_plan(order.settings, order.weights)
    digest = hashlib.sha256(data).hexdigest()
    outbox = Outbox(order.outbox)
    name = identity(digest, plan.settings_key)
    present = _painted(outbox, order.photo, name)
    if present is not None:
        console(Notice("done", f"It is painted already: {present}.", order.photo.name))
        return outbox.root / present
    facts = order.photo.stat()
    photo = PhotoFacts.of(PurePosixPath(order.photo.name), digest, facts.st_size, facts.st_mtime_ns)
    job = Job(
        id=1, path=PurePosixPath(order.photo.name), state=JobState.RUNNING, size=len(data), mtime_ns=0, identity=name,
        steps=plan.recipe.steps, started_at=time.time(), queued_at=time.time(), photo_sha256=digest,
        settings=plan.to_json(),
    )  # fmt: skip
    folder = outbox.claim_folder(job.path, name)  # one that cannot be made is told before the painting, not after it
    with _cleaned_up_unless_finished(outbox.root / folder), console:
        sitting = _Sitting(order, outbox, folder, plan, photo, console, job)
        sitting.run(PictureFile(order.photo.name, data))
    return outbox.root / folder


def _read(photo: Path, limit_bytes: int) -> bytes:
    try:
        if not photo.is_file():
            raise PhotoError(f"{photo} is no file.", "Name the photo to paint.")
        if photo.stat().st_size > limit_bytes:
            message = f"{photo} has more than {limit_bytes / 1e6:g} MB, the most that the settings allow."
            raise PhotoTooLargeError(message, "Export it smaller, or raise limit_megabytes in the config.")
        return photo.read_bytes()
    except OSError as error:
        raise PhotoError(f"{photo} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _painted(outbox: Outbox, photo: Path, name: str) -> PurePosixPath | None:
    """The folder in which this very painting lies already, if there is one."""
    for path in outbox.root.glob(f"{glob.escape(photo.stem)}*/{RECORD_NAME}"):
        folder = PurePosixPath(path.parent.name)
        with contextlib.suppress(OutboxError):
            if read_record(outbox, folder).identity == name:
                return folder
    return None


@contextlib.contextmanager
def _cleaned_up_unless_finished(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        if not (folder / RECORD_NAME).exists():
            shutil.rmtree(folder, ignore_errors=True)


class _Sitting:
    """One painting on its way: worker's events in, files and a live view out."""

    def __init__(
        self,
        order: Order,
        outbox: Outbox,
        folder: PurePosixPath,
        plan: Plan,
        photo: PhotoFacts,
        console: ConsoleView,
        job: Job,
    ) -> None:
        self._order = order
        self._outbox = outbox
        self._folder = folder
        self._plan = plan
        self._photo = photo
        self._console = console
        self._job = job
        self._machine: WorkerReady | None = None
        self._steps: tuple[StepTaken, ...] = ()
        self._sketch: Sketch | None = None
        self._events: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()

    def run(self, picture: PictureFile) -> None:
        order = self._order
        worker = LocalWorker(
            order.device,
            order.weights,
            self._events.put,
            order.threads,
            order.memory_bytes,
            decode_seconds=order.decode_seconds,
        )
        worker.start()
        try:
            while not self._handle(worker, picture, self._events.get()):
                pass
        finally:
            worker.stop(_STOP_SECONDS)

    def _handle(self, worker: Worker, picture: PictureFile, event: WorkerEvent) -> bool:
        """Do what ``event`` calls for; True if the painting is finished."""
        match event:
            case WorkerReady():
                self._machine = event
                worker.offer(self._paint_job(picture))
            case WorkerDied(reason):
                raise WorkerError(f"The worker stopped: {reason}", "Check the device, the weights and the memory.")
            case WorkerSaid(text):
                self._tell("worker-said", f"The worker says: {text}")
            case JobFailed():
                raise _as_error(event, self._order.photo)
            case JobFinished():
                self._deliver(event)
                return True
            case _:
                self._show(event)
        return False

    def _paint_job(self, picture: PictureFile) -> PaintJob:
        name, styles = self._job.identity or "", self._plan.style_files()
        plan = self._plan
        return PaintJob(self._job.id, name, picture, styles, plan.recipe, self._order.limit_pixels, output=plan.output)

    def _show(self, event: WorkerEvent) -> None:
        job = self._job
        match event:
            case JobStarted():
                job = replace(job, width=event.width, height=event.height, started_at=time.time())
                self._tell("painting", f"It is being painted, {event.width} × {event.height} pixels.")
            case JobStep():
                job = replace(
                    job,
                    step=event.number,
                    loss=event.losses.total,
                    seconds_per_step=pace(job.seconds_per_step, event.seconds),
                )
                self._steps += (StepTaken(event.number, event.losses.total, event.seconds),)
                self._tell("step", f"Step {event.number} of at most {job.steps}.", Level.DEBUG)
            case JobSnapshot():
                name = deliver_stage(self._outbox, self._folder, event)
                self._tell(
                    "snapshot",
                    f"The stage after step {event.number} of at most {job.steps} is in {self._folder}/{name}.",
                )
        if isinstance(event, JobStarted | JobSnapshot):
            self._sketch = event.sketch or self._sketch
        self._job = job
        self._console.update(_overview(job, self._steps, self._sketch))

    def _deliver(self, finished: JobFinished) -> None:
        assert self._machine is not None
        job = self._job
        commission = Commission(
            job.identity or "", self._photo, self._plan, job.queued_at or 0.0, job.started_at or 0.0
        )
        deliver(self._outbox, self._folder, commission, finished, self._machine, time.time)
        self._job = replace(
            job, state=JobState.DONE, folder=self._folder, finished_at=time.time(), loss=finished.delivered.total
        )
        self._console.update(_overview(self._job))
        steps = f"{len(finished.curve)} step" + "s" * (len(finished.curve) != 1)
        text = f"It is painted, in {steps} and {finished.seconds:.0f} s (loss {finished.delivered.total:.4g})."
        self._tell("done", " ".join((text, *finished.remarks)))

    def _tell(self, event: str, text: str, level: Level = Level.INFO) -> None:
        tell(self._console, event, text, self._order.photo.name, level)


def _overview(job: Job, steps: tuple[StepTaken, ...] = (), sketch: Sketch | None = None) -> Overview:
    counts = {state: int(state is job.state) for state in JobState}
    if job.state is not JobState.RUNNING:
        return Overview(counts, done=(job,))
    sketches = {job.id: sketch} if sketch is not None else {}
    return Overview(counts, running=(job,), outlook=outlook_of([job], {job.id: steps}), sketches=sketches)


def _as_error(failed: JobFailed, photo: Path) -> MonetWatchError:
    kind = getattr(errors, failed.kind, PaintingError)
    return kind(f"{photo}: {failed.message}", failed.remedy)
