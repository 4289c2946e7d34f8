"""The in-memory twin of a worker: no process, no torch, and a painting in no time, for tests of whatever uses one.

Left alone, `MemoryWorker` paints every job at once. Made with ``automatic=False`` it waits to be told, so that a
test decides what happens and when: `proceed` does the next thing that it would have done by itself; `find`, `ready`,
`begin`, `step`, `snapshot`, `checkpoint`, `finish`, `fail`, `die` and `vanish` do what they say.
"""

import struct
import zlib
from collections.abc import Iterator

from monet_watch.engine.events import Losses
from monet_watch.errors import WorkerError
from monet_watch.recipes import Recipe
from monet_watch.sketch import Sketch
from monet_watch.workers.base import (
    Capabilities,
    DevicesFound,
    Health,
    JobCheckpoint,
    JobFailed,
    JobFinished,
    JobSnapshot,
    JobStarted,
    JobStep,
    JobStopped,
    PaintJob,
    PictureFile,
    Post,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
)
from monet_watch.workers.monitor import Monitor

__all__ = ["MemoryWorker", "tiny_png"]

_SECONDS_PER_STEP = 0.5
_SIZE = 32  # pixels, of every painting
_WEBP = bytes.fromhex(  # a grey picture of 1 x 1 pixels
    "524946461e000000574542505650384c110000002f000000000750c00216b0ff8188e87f0000"
)


def tiny_png(shade: int = 128) -> bytes:
    """Return a valid PNG of 1 x 1 pixels, grey of ``shade`` (0 to 255)."""
    chunks = (
        (b"IHDR", struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((0, shade)))),
        (b"IEND", b""),
    )
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


class MemoryWorker:
    """A worker that pretends. See `monet_watch.workers.base.Worker`.

    ``jobs`` holds every job it was offered. A job whose photo is empty fails as one that is no photo does. Events are
    posted from within the call that leads to them. Of step n, the total loss is 100 / n.
    """

    def __init__(self, post: Post, name: str = "memory", *, automatic: bool = True) -> None:
        self.jobs: list[PaintJob] = []
        self._name = name
        self._send = post
        self._automatic = automatic
        self._job: PaintJob | None = None
        self._curve: list[Losses] = []
        self._script: Iterator[bool] = self._starting()
        self._alive = True
        self._vanished = False
        self._monitor = Monitor()

    @property
    def name(self) -> str:
        """The name that was given."""
        return self._name

    @property
    def job(self) -> PaintJob:
        """The job under way. Raises WorkerError where there is none."""
        if self._job is None:
            raise WorkerError(f"The worker {self._name} has no job.")
        return self._job

    def start(self) -> None:
        """Post `WorkerReady`, unless that is left to the test."""
        self._monitor.started()
        if self._automatic:
            self._proceed_to_the_end()

    def offer(self, job: PaintJob) -> None:
        """Take ``job``, and paint it at once unless that is left to the test.

        Raises WorkerError in the middle of another one.
        """
        if self._job is not None:
            raise WorkerError(f"The worker {self._name} has a job already.")
        self.jobs.append(job)
        self._job = job
        self._monitor.offered()
        self._curve = [_losses(number) for number in range(1, 1 + _steps_taken(job))]
        self._script = self._painting(job)
        if self._automatic:
            self._proceed_to_the_end()

    def cancel(self) -> None:
        """Post `JobCheckpoint`, if any step was taken, and `JobStopped`, if there is a job under way."""
        if self._job is None:
            return
        if self._curve:
            self.checkpoint()
        self._end(JobStopped(self.job.job_id))

    def alive(self) -> bool:
        """Whether it lives or its end was told; False only after `vanish`."""
        return not self._vanished

    def health(self) -> Health:
        """How it pretends to be."""
        return self._monitor.health

    def capabilities(self) -> Capabilities | None:
        """What it pretends to be able to do, once it is ready."""
        return self._monitor.capabilities

    def ask_to_stop(self, timeout_seconds: float) -> None:
        """Say nothing more."""
        self._alive = False
        self._monitor.ended()

    def stop(self, timeout_seconds: float) -> None:
        """Say nothing more."""
        self.ask_to_stop(timeout_seconds)

    def proceed(self) -> bool:
        """Do the next thing that an automatic worker would do; return whether there was one."""
        return next(self._script, False)

    def ready(self, holds: str = "") -> None:
        """The network is loaded; ``holds`` is the identity of a painting that it was at before."""
        versions = {"monet-watch": "memory"}
        self._post(WorkerReady(self._name, "a worker that pretends", "fp32", 1, versions, holds=holds))

    def find(self, *devices: str) -> None:
        """There are these devices."""
        self._post(DevicesFound(devices))

    def begin(self) -> None:
        """The photo is decoded."""
        self._post(JobStarted(self.job.job_id, _SIZE, _SIZE, len(self._curve) + 1, _WEBP))

    def step(self, count: int = 1) -> None:
        """``count`` steps have been taken."""
        for number in range(len(self._curve) + 1, len(self._curve) + count + 1):
            self._curve.append(_losses(number))
            self._post(JobStep(self.job.job_id, number, self._curve[-1], _SECONDS_PER_STEP))

    def snapshot(self) -> None:
        """The painting as it is after the last step."""
        number = len(self._curve)
        self._post(JobSnapshot(self.job.job_id, number, tiny_png(number % 256), _WEBP, Sketch(1, 1, bytes(3))))

    def checkpoint(self) -> None:
        """A checkpoint after the last step."""
        number = len(self._curve)
        self._post(JobCheckpoint(self.job.job_id, number, str(number).encode()))

    def finish(self, precision: str = "fp32", remarks: tuple[str, ...] = ()) -> None:
        """The painting is done after as many steps as were taken."""
        job, curve = self.job, tuple(self._curve)
        seconds = _SECONDS_PER_STEP * len(curve)
        delivered, reason = _losses(len(curve)), "all steps taken"
        files = (tiny_png(), tiny_png(255))
        further = {kind: tiny_png(number) for number, kind in enumerate(job.output.further, start=1)}
        kind = job.output.timelapse
        self._end(
            JobFinished(
                job.job_id,
                *files,
                _SIZE,
                _SIZE,
                curve,
                delivered,
                reason,
                seconds,
                precision,
                remarks,
                further=further,
                photo=_WEBP,
                thumbnail=_WEBP,
                timelapse=None if kind == "none" else PictureFile(f"timelapse.{kind}", _WEBP),
            )
        )

    def fail(self, kind: str, message: str, remedy: str = "", passes: bool = False) -> None:
        """The job cannot be done."""
        self._end(JobFailed(self.job.job_id, kind, message, remedy, passes))

    def die(self, reason: str = "it was ended by SIGKILL") -> None:
        """The worker is gone, and its job with it."""
        self._end(WorkerDied(reason))
        self._alive = False

    def vanish(self) -> None:
        """The worker is gone, and nobody is told."""
        self._alive, self._vanished = False, True

    def _proceed_to_the_end(self) -> None:
        while self.proceed():
            pass

    def _starting(self) -> Iterator[bool]:
        self.ready()
        yield True

    def _painting(self, job: PaintJob) -> Iterator[bool]:
        if not job.photo.data:
            self.fail("NotAPhotoError", f"{job.photo.name} is empty.", "Copy it again.")
            yield True
            return
        if _pixels(job.photo.data) > job.limit_pixels:
            self.fail("PhotoTooLargeError", f"{job.photo.name} has too many pixels.", "Make it smaller.")
            yield True
            return
        self.begin()
        yield True
        while len(self._curve) < job.recipe.steps:
            self.step()
            yield True
            yield from self._saving(job.recipe)
        self.finish()
        yield True

    def _saving(self, recipe: Recipe) -> Iterator[bool]:
        if recipe.has_stage_at(len(self._curve)):
            self.snapshot()
            yield True
            if len(self._curve) < recipe.steps:
                self.checkpoint()
                yield True

    def _end(self, event: WorkerEvent) -> None:
        # First, since whoever hears of the end may offer the next job at once.
        self._job, self._script = None, iter(())
        self._post(event)

    def _post(self, event: WorkerEvent) -> None:
        if self._alive:
            self._monitor.heard(event)
            self._send(event)


def _pixels(data: bytes) -> int:
    """The pixels that a PNG says it has; 0 for anything else, which the tests use as photos as well."""
    width, height = struct.unpack(">2I", data[16:24]) if data[:4] == b"\x89PNG" else (0, 0)
    return int(width * height)


def _steps_taken(job: PaintJob) -> int:
    return int(job.resume) if job.resume is not None else 0


def _losses(number: int) -> Losses:
    total = 100 / max(1, number)
    return Losses(total, style=total * 0.75, content=total * 0.25, tv=0.0)
