"""What runs inside a worker: photo bytes in, events and encoded files out.

`painting_events` is the work itself and knows no process; `serve` is the loop of a worker process around it, whose
pictures are opened in a smaller process beside it (`monet_watch.workers.decoder`).

A worker is deterministic: the same job gives the same bytes on the same device with as many threads. On CUDA that
takes deterministic cuDNN algorithms and a fixed cuBLAS workspace; all that the method differentiates
(convolution, average pooling, matrix products, sums) has deterministic kernels there.
"""

import contextlib
import hashlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from monet_watch import __version__
from monet_watch.engine.devices import device_name, every_device
from monet_watch.engine.evaluator import is_out_of_memory, let_go
from monet_watch.engine.events import Checkpoint, Event, Finished, Snapshot, Step
from monet_watch.engine.levels import fitted_size, levels
from monet_watch.engine.paint import Painter, fits
from monet_watch.engine.photo import Photo, decode, resize_exactly
from monet_watch.engine.precision import best_precision
from monet_watch.engine.vgg import VGG19, load_vgg19
from monet_watch.errors import MonetWatchError, PhotoError, WorkerError
from monet_watch.outbox.files import stage_number
from monet_watch.outbox.metadata import Metadata
from monet_watch.outbox.picture import (
    LONGEST_SIDES,
    encode_further,
    encode_png,
    encode_thumbnail,
    encode_webp,
    sketch_of,
)
from monet_watch.outbox.timelapse import Birth
from monet_watch.output import Format
from monet_watch.recipes import SWIFT
from monet_watch.troubles import passes
from monet_watch.workers.allocator import give_back_memory, keep_large_blocks
from monet_watch.workers.base import (
    Allowance,
    Cancel,
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
    Stop,
    WeightsFile,
    WorkerDied,
    WorkerEvent,
    WorkerReady,
)
from monet_watch.workers.decoder import Decoder
from monet_watch.workers.limits import limit_private_memory, private_bytes
from monet_watch.workers.machine import available_memory, memory_for_a_painting, physical_cores
from monet_watch.workers.sender import Deferred, Sender

__all__ = ["describe", "measure_step", "painting_events", "serve", "set_up_torch"]

OpenPicture = Callable[[bytes, int], Photo]
"""Opens a picture of at most so many pixels, as `monet_watch.engine.photo.decode` does."""

_SPARE_BYTES = 2**30  # for the stacks of threads, for pictures on their way, and for estimates that are too low

_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "cusolver error", "HIP error")

_WARM_UP_STEPS = 2
_MEASURED_STEPS = 5


def painting_events(
    job: PaintJob,
    painter: Painter,
    stop: Callable[[], bool],
    memory_bytes: int | None = None,
    open_picture: OpenPicture = decode,
) -> Iterator[WorkerEvent]:
    """Paint ``job`` and yield what happens; every error but one becomes a `JobFailed`.

    ``stop`` is asked after every step; once it says True, a `JobCheckpoint` and `JobStopped` end the stream.
    ``memory_bytes`` is what the painting may use; None where nobody knows.

    Raises WorkerError where the device fails: it is of no more use to this process, whatever the job.
    """
    for event in _deferred_events(job, painter, stop, memory_bytes, open_picture):
        yield event() if callable(event) else event


def _deferred_events(
    job: PaintJob, painter: Painter, stop: Callable[[], bool], memory_bytes: int | None, open_picture: OpenPicture
) -> Iterator[WorkerEvent | Deferred]:
    """The events of `painting_events`; what is large may be encoded by another thread while the painting goes on."""
    try:
        yield from _Painting(job, memory_bytes, open_picture).events(painter, stop)
    except MonetWatchError as error:
        yield JobFailed(job.job_id, type(error).__name__, error.message, error.remedy, passes(error))
    except Exception as error:  # the boundary: whatever a job does, the worker goes on to the next
        if is_out_of_memory(error):
            yield _out_of_memory(job, error)
        elif _is_lost_device(error):
            raise WorkerError(f"the device {painter.network.device} failed: {_first_line(error)}") from error
        elif passes(error):
            yield _machine_trouble(job, error)
        else:
            yield _unexpected(job, error)


def _is_lost_device(error: Exception) -> bool:
    """After an error of CUDA's own every later call in the process fails as well, so that no next job could be painted.

    Torch has a class for some of them only, and only in later versions.
    """
    return isinstance(error, RuntimeError) and str(error).startswith(_LOST)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _out_of_memory(job: PaintJob, error: Exception) -> JobFailed:
    message = f"There is not enough memory to paint it: {error}"
    remedy = "Set a lower memory_limit in the config, so that it is painted in smaller tiles, or a smaller image_size."
    return JobFailed(job.job_id, "OutOfMemory", message, remedy, passes=True)


def _machine_trouble(job: PaintJob, error: Exception) -> JobFailed:
    message = f"The machine stopped the painting: {error}"
    return JobFailed(job.job_id, type(error).__name__, message, "Check its disks and its limits.", passes=True)


def _unexpected(job: PaintJob, error: Exception) -> JobFailed:
    message = f"An unexpected error stopped the painting: {type(error).__name__}: {error}"
    return JobFailed(job.job_id, type(error).__name__, message, "Please report it, with the photo if you can.")


class _Painting:
    """One job on its way: what the encoders of its files need to know."""

    def __init__(self, job: PaintJob, memory_bytes: int | None, open_picture: OpenPicture) -> None:
        self._job = job
        self._memory_bytes = memory_bytes
        self._open_picture = open_picture
        self._photo = open_picture(job.photo.data, job.limit_pixels)
        height, width = self._photo.image.shape[:2]
        self._width, self._height = fitted_size(width, height, job.recipe.image_size, job.recipe.enlarge)
        self._birth = Birth(job.output.timelapse, self._width, self._height)
        self._started = time.monotonic()

    def events(self, painter: Painter, stop: Callable[[], bool]) -> Iterator[WorkerEvent | Deferred]:
        job = self._job
        styles = [_open_style(style, self._open_picture, job.limit_pixels).image for style in job.styles]
        resume = _usable_checkpoint(job, self._photo.image)
        first_step = 1 if resume is None else resume.number + 1
        yield self._begun(styles, first_step)
        self._show_what_was(first_step)
        finished = False
        events = painter.paint(self._photo.image, styles, job.recipe, resume, stop, self._memory_bytes)
        for event, seconds in _timed(events):
            finished = isinstance(event, Finished)
            yield self._translate(event, seconds)
        if not finished:
            yield JobStopped(job.job_id)

    def _begun(self, styles: Sequence[NDArray[np.uint8]], first_step: int) -> JobStarted:
        thumbnails = {
            hashlib.sha256(style.data).hexdigest(): encode_thumbnail(image)
            for style, image in zip(self._job.styles, styles, strict=True)
        }
        photo = encode_thumbnail(self._photo.image)
        sketch = sketch_of(self._photo.image)
        return JobStarted(self._job.job_id, self._width, self._height, first_step, photo, thumbnails, sketch)

    def _show_what_was(self, first_step: int) -> None:
        """Begin the moving picture: the photo, and the stages before ``first_step``, which anybody may have damaged."""
        self._birth.add(self._photo.image)
        for stage in self._job.stages:
            if stage_number(stage.name) < first_step:
                with contextlib.suppress(PhotoError):
                    self._birth.add(self._open_picture(stage.data, self._job.limit_pixels).image)

    def _translate(self, event: Event, seconds: float) -> WorkerEvent | Deferred:
        job_id = self._job.job_id
        match event:
            case Step(number, losses):
                return JobStep(job_id, number, losses, seconds)
            case Snapshot(number, image):
                self._birth.add(image)
                return JobSnapshot(job_id, number, self._png(image), encode_thumbnail(image), sketch_of(image))
            case Checkpoint(number, state):
                return lambda: JobCheckpoint(job_id, number, save_tensors(state))
            case Finished():
                return self._finished(event)

    def _png(self, image: NDArray[np.uint8]) -> bytes:
        return encode_png(image, self._alpha(image), self._metadata())

    def _alpha(self, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The photo's alpha at the size of ``image``: a coarse painting's pictures are smaller."""
        alpha = self._photo.alpha
        return None if alpha is None else resize_exactly(alpha, image.shape[1], image.shape[0])

    def _metadata(self) -> Metadata:
        job, details = self._job, self._photo.details
        return Metadata(
            software=f"monet-watch {__version__}",
            recipe=job.recipe.recipe,
            identity=job.identity,
            date_taken=self._photo.date_taken,
            make=details.make,
            model=details.model,
            description=details.description,
            location=details.location if job.output.keep_location else None,
        )

    def _further(self, image: NDArray[np.uint8]) -> tuple[dict[Format, bytes], tuple[str, ...]]:
        """The finished painting in the other formats that are wanted, and a remark for each that cannot hold it."""
        files, remarks, longest = dict[Format, bytes](), list[str](), max(image.shape[:2])
        for kind in self._job.output.further:
            if longest <= LONGEST_SIDES[kind]:
                files[kind] = encode_further(kind, image, self._alpha(image), self._metadata(), self._job.output)
            else:
                remarks.append(f"There is no {kind} file: with {longest:,} pixels on a side it would be too large.")
        return files, tuple(remarks)

    def _finished(self, event: Finished) -> JobFinished:
        job = self._job
        further, remarks = self._further(event.image)
        timelapse, words = self._timelapse(event.image)
        return JobFinished(
            job.job_id,
            self._png(event.image),
            self._loss_plot(event),
            self._width,
            self._height,
            event.curve,
            event.delivered,
            event.reason,
            time.monotonic() - self._started,
            event.precision,
            (*event.remarks, *remarks, *words),
            event.tile,
            event.pairs,
            self._memory_bytes,
            further=further,
            photo=encode_webp(resize_exactly(self._photo.image, self._width, self._height)),
            thumbnail=encode_thumbnail(event.image),
            timelapse=timelapse,
        )

    def _timelapse(self, image: NDArray[np.uint8]) -> tuple[PictureFile | None, tuple[str, ...]]:
        """The moving picture, if one is wanted, and what there is to say of it; the painting comes before it."""
        try:
            self._birth.add(image)
            moving = self._birth.moving_picture()
        except (OSError, ValueError, MemoryError) as error:
            return None, (f"There is no moving picture: {error or 'the memory does not suffice'}.",)
        if moving is None:
            return None, ()
        remarks = (moving.remark,) if moving.remark else ()
        return PictureFile(f"timelapse{moving.suffix}", moving.data), remarks

    def _loss_plot(self, event: Finished) -> bytes:
        from monet_watch.outbox.plot import plot_losses  # with matplotlib, which the first step need not wait for

        recipe, steps = self._job.recipe, len(event.curve)
        sizes = self._sizes() if not any("coarse steps" in remark for remark in event.remarks) else []
        return plot_losses(event.curve, self._job.photo.name, recipe.stages(steps), event.reason, recipe, sizes)

    def _sizes(self) -> list[tuple[int, int]]:
        """The first step and the short side of each size that the painting went through."""
        passed = levels(self._job.recipe, self._width, self._height)
        firsts = (1, *(level.last + 1 for level in passed))
        return [(first, min(level.width, level.height)) for first, level in zip(firsts, passed, strict=False)]


def _open_style(style: PictureFile, open_picture: OpenPicture, limit_pixels: int) -> Photo:
    try:
        return open_picture(style.data, limit_pixels)
    except PhotoError as error:
        message = f"The style picture {style.name} cannot be used: {error.message}"
        raise PhotoError(message, "Replace the style picture, or name another one in style.yaml.") from error


def _usable_checkpoint(job: PaintJob, photo: NDArray[np.uint8]) -> Checkpoint | None:
    """Return where to go on from. A checkpoint that is damaged, or of another size, costs time and not the painting."""
    if job.resume is None:
        return None
    try:
        state = load_tensors(job.resume)
        checkpoint = Checkpoint(len(state["curve"]), state)
    except (SafetensorError, KeyError, TypeError, ValueError):  # a tensor without dimensions has no length
        return None
    return checkpoint if fits(checkpoint, photo, job.recipe) else None


def _timed(events: Iterator[Event]) -> Iterator[tuple[Event, float]]:
    """Pair each event with the seconds that it took to come, not counting what is done with those before it."""
    while True:
        asked = time.monotonic()
        event = next(events, None)
        if event is None:
            return
        yield event, time.monotonic() - asked


def measure_step(weights: WeightsFile, device: str, threads: int | None, image_size: int) -> float:
    """Return the seconds that a step of the recipe swift takes at ``image_size`` squared: the median of a few.

    The pictures are random, which takes as long as any. Sets torch up for this process as `serve` does. Raises
    WeightsError, or SettingsError where there is no such device.
    """
    set_up_torch(Allowance(threads))
    network = load_vgg19(weights.path, weights.sha256, device)
    photo, style = np.random.default_rng(0).integers(0, 256, (2, image_size, image_size, 3), dtype=np.uint8)
    recipe = SWIFT.with_changes({"image_size": image_size, "steps": _WARM_UP_STEPS + _MEASURED_STEPS})
    events = _timed(Painter(network).paint(photo, style, recipe))
    steps = [seconds for event, seconds in events if isinstance(event, Step)]
    return statistics.median(steps[_WARM_UP_STEPS:])


def describe(network: VGG19, memory_bytes: int | None = None) -> WorkerReady:
    """Say where ``network`` runs, with which software, and that a painting can have ``memory_bytes`` there."""
    device = network.device
    versions = {
        "monet-watch": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a class of torch's own, which the daemon would import torch for
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
    threads, precision = torch.get_num_threads(), best_precision(device)
    return WorkerReady(str(device), device_name(device), precision, threads, versions, memory_bytes)


def serve(connection: Connection, weights: WeightsFile, device: str, allowance: Allowance) -> None:
    """Load the network, then paint what arrives on ``connection`` until `Stop`, or until the other end is gone.

    Runs as the main function of a process.
    """
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError), Sender(connection) as sender:
        device, allowance = _settled(device, allowance, sender)
        set_up_torch(allowance)
        # When the daemon is gone there is nobody to tell; whoever starts next goes on from the last checkpoint.
        try:
            with Decoder(allowance.decode_seconds, lambda: _share_of_memory(allowance)) as decoder:
                network = load_vgg19(weights.path, weights.sha256, device)
                _make_current(network.device)
                server = _Server(connection, sender, Painter(network), allowance, decoder.decode)
                sender.send(describe(network, server.memory_bytes()))
                server.run()
        except (MonetWatchError, RuntimeError) as error:  # a device that fails makes torch raise the latter
            sender.send(WorkerDied(str(error)))


def _settled(device: str, allowance: Allowance, sender: Sender) -> tuple[str, Allowance]:
    """Which device it is, and what it may use if each of the others gets as many workers."""
    if not allowance.finds_others:
        return device, allowance
    found = every_device()
    sender.send(DevicesFound(found))
    return found[0], replace(allowance, sharers=allowance.sharers * len(found))


def _make_current(device: torch.device) -> None:
    """Have what names no card mean this one: each that a process touches takes hundreds of megabytes of it."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def set_up_torch(allowance: Allowance) -> None:
    """Set torch, and the allocator that it works with, for the whole process.

    A step uses as many threads as the allowance says, else as many as OMP_NUM_THREADS (torch reads it), else this
    worker's share of the physical cores: a convolution keeps the whole of a core busy, and a second thread on it has
    nothing to add. Numbers too small to be normal count as zero: processors take a hundred times longer for them.
    """
    threads = allowance.threads or _share_of_cores(allowance.sharers)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_large_blocks()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, deterministic CUDA products are refused
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would fill every tensor that is about to be written, to guard against reading what never was.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _share_of_cores(sharers: int) -> int | None:
    """The threads of one worker where the processor is shared by so many; None leaves the choice to torch."""
    if "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, (physical_cores() or torch.get_num_threads()) // sharers)


def _free_memory(device: torch.device) -> int | None:
    """The bytes that a painting on ``device`` can have; what torch keeps of a card's memory and does not use counts."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return available_memory()


def _share_of_memory(allowance: Allowance) -> int | None:
    """The bytes of the machine's free memory that are this worker's to open a picture with."""
    free = available_memory()
    return None if free is None else free // allowance.sharers


@dataclass
class _Server:
    """Takes messages in turn; ``stopped`` once the worker is to end."""

    connection: Connection
    sender: Sender
    painter: Painter
    allowance: Allowance
    open_picture: OpenPicture
    at_rest: int | None = field(default_factory=private_bytes)
    stopped: bool = False

    def run(self) -> None:
        while not self.stopped:
            match self.connection.recv():
                case PaintJob() as job:
                    self._paint(job)
                case Stop():
                    self.stopped = True
                case _:
                    pass  # a Cancel that crossed the end of its job

    def _paint(self, job: PaintJob) -> None:
        memory_bytes = self.memory_bytes(job.attempt)
        self._limit_memory(memory_bytes)
        for event in _deferred_events(job, self.painter, self._asked_to_stop, memory_bytes, self.open_picture):
            self.sender.send(event)
        give_back_memory()
        let_go(self.painter.network.device)  # which another worker, or another program, may want meanwhile

    def memory_bytes(self, attempt: int = 1) -> int | None:
        """What the next painting may use; a card is shared by those alone who paint on it.

        A worker that the kernel ends for want of memory cannot say so: after any death the next attempt takes less.
        """
        device = self.painter.network.device
        sharers = self.allowance.sharers_of_card if device.type == "cuda" else self.allowance.sharers
        allowed = memory_for_a_painting(_free_memory(device), self.allowance.memory_bytes, sharers)
        return None if allowed is None else allowed >> (attempt - 1)

    def _limit_memory(self, memory_bytes: int | None) -> None:
        """Have what goes far beyond the allowance fail here, where a painting then goes on in smaller tiles.

        On a card, the memory that counts is not the process's own, and drivers reserve at will.
        """
        if memory_bytes is None or self.at_rest is None or self.painter.network.device.type != "cpu":
            return
        limit_private_memory(self.at_rest + memory_bytes * 4 // 3 + _SPARE_BYTES)

    def _asked_to_stop(self) -> bool:
        """Read what has arrived in the middle of a job. A pipe that has ended asks for an end as well."""
        cancelled = False
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll():
                message = self.connection.recv()
                self.stopped = self.stopped or isinstance(message, Stop)
                cancelled = cancelled or isinstance(message, Cancel | Stop)
            return cancelled
        self.stopped = True
        return True
