"""What runs inside a worker: photo bytes in, events and encoded files out. The only place that meets a codec.

`painting_events` is the work itself and knows no process; `serve` is the loop of a worker process around it.
"""

import contextlib
import io
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from monet_watch import __version__
from monet_watch.engine.events import Checkpoint, Event, Finished, Losses, Snapshot, Step
from monet_watch.engine.paint import paint
from monet_watch.engine.photo import Photo, decode, fitted_size, resize
from monet_watch.engine.vgg import VGG19, load_vgg19
from monet_watch.errors import MonetWatchError, PhotoError
from monet_watch.outbox.picture import encode_png
from monet_watch.outbox.plot import plot_losses
from monet_watch.workers.base import (
    Cancel,
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

__all__ = ["describe", "painting_events", "serve"]


def painting_events(job: PaintJob, network: VGG19, stop: Callable[[], bool]) -> Iterator[WorkerEvent]:
    """Paint ``job`` and yield what happens; every error becomes a `JobFailed`.

    ``stop`` is asked after every step; once it says True, a `JobCheckpoint` and `JobStopped` end the stream.
    """
    try:
        yield from _Painting(job).events(network, stop)
    except MonetWatchError as error:
        yield JobFailed(job.job_id, type(error).__name__, error.message, error.remedy)
    except (MemoryError, torch.OutOfMemoryError) as error:
        remedy = "Set a smaller image_size, or give the machine more memory."
        yield JobFailed(job.job_id, "OutOfMemory", f"There is not enough memory to paint it: {error}", remedy)
    except Exception as error:  # the boundary: whatever a job does, the worker goes on to the next
        message = f"An unexpected error stopped the painting: {type(error).__name__}: {error}"
        yield JobFailed(job.job_id, type(error).__name__, message, "Please report it, with the photo if you can.")


class _Painting:
    """One job on its way: what the encoders of its files need to know."""

    def __init__(self, job: PaintJob) -> None:
        self._job = job
        self._photo = decode(job.photo.data, job.limit_pixels)
        height, width = self._photo.image.shape[:2]
        self._width, self._height = fitted_size(width, height, job.recipe.image_size, job.recipe.enlarge)
        self._started = time.monotonic()
        self._stepped = self._started

    def events(self, network: VGG19, stop: Callable[[], bool]) -> Iterator[WorkerEvent]:
        job = self._job
        styles = [_decode_style(style, job.limit_pixels).image for style in job.styles]
        resume = _load_checkpoint(job.resume) if job.resume is not None else None
        first_step = resume.number + 1 if resume is not None else 1
        yield JobStarted(job.job_id, self._width, self._height, first_step)
        self._stepped = time.monotonic()
        finished = False
        for event in paint(self._photo.image, styles, job.recipe, network, resume, stop):
            finished = isinstance(event, Finished)
            yield self._translate(event)
        if not finished:
            yield JobStopped(job.job_id)

    def _translate(self, event: Event) -> WorkerEvent:
        job_id = self._job.job_id
        match event:
            case Step(number, losses):
                return JobStep(job_id, number, losses, self._lap())
            case Snapshot(number, image):
                png = self._png(image)
                self._lap()
                return JobSnapshot(job_id, number, png)
            case Checkpoint(number, state):
                return JobCheckpoint(job_id, number, save_tensors(state))
            case Finished(image, curve, delivered, reason):
                return self._finished(image, curve, delivered, reason)

    def _lap(self) -> float:
        """Seconds since the last call: the time of a step, without the encoding of pictures between steps."""
        now = time.monotonic()
        seconds, self._stepped = now - self._stepped, now
        return seconds

    def _png(self, image: NDArray[np.uint8]) -> bytes:
        alpha = self._photo.alpha
        if alpha is not None:
            alpha = resize(alpha, self._job.recipe.image_size, self._job.recipe.enlarge)
        text = {
            "Software": f"monet-watch {__version__}",
            "Recipe": self._job.recipe.recipe,
            "Identity": self._job.identity,
        }
        return encode_png(image, alpha=alpha, text=text, date_taken=self._photo.date_taken)

    def _finished(
        self, image: NDArray[np.uint8], curve: tuple[Losses, ...], delivered: Losses, reason: str
    ) -> JobFinished:
        job = self._job
        plot = plot_losses(curve, title=job.photo.name, save_every=job.recipe.save_every, reason=reason)
        seconds = time.monotonic() - self._started
        return JobFinished(
            job.job_id, self._png(image), plot, self._width, self._height, curve, delivered, reason, seconds
        )


def _decode_style(style: PictureFile, limit_pixels: int) -> Photo:
    try:
        return decode(style.data, limit_pixels)
    except PhotoError as error:
        message = f"The style picture {style.name} cannot be used: {error.message}"
        raise PhotoError(message, "Replace the style picture, or name another one in style.yaml.") from error


def _load_checkpoint(data: bytes) -> Checkpoint:
    state = load_tensors(data)
    return Checkpoint(len(state["curve"]), state)


def describe(network: VGG19) -> WorkerReady:
    """Say where ``network`` runs and with which software."""
    device = network.device
    if device.type == "cuda":
        device_name = torch.cuda.get_device_name(device)
    else:
        device_name = f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
    versions = {
        "monet-watch": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
    return WorkerReady(str(device), device_name, "fp32", torch.get_num_threads(), versions)


def serve(connection: Connection, weights: WeightsFile, device: str, threads: int | None) -> None:
    """Load the network, then paint what arrives on ``connection`` until `Stop`, or until the other end is gone.

    Runs as the main function of a process. Ctrl-C in a terminal reaches every process of the group: here it is
    ignored, since the daemon says when to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _quiet_standard_input()
    if threads is not None:
        torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, deterministic CUDA products are refused
    torch.use_deterministic_algorithms(True, warn_only=True)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        # When the daemon is gone there is nobody to tell; whoever starts next goes on from the last checkpoint.
        try:
            network = load_vgg19(weights.path, weights.sha256, device)
        except (MonetWatchError, RuntimeError, AssertionError) as error:  # torch has no class for a missing device
            connection.send(WorkerDied(str(error)))
            return
        connection.send(describe(network))
        _Server(connection, network).run()


def _quiet_standard_input() -> None:
    """Let no library wait for, or read, the terminal of the daemon."""
    sys.stdin = io.StringIO()


@dataclass
class _Server:
    connection: Connection
    network: VGG19
    stopped: bool = False

    def run(self) -> None:
        while not self.stopped:
            match self.connection.recv():
                case PaintJob() as job:
                    self._paint(job)
                case Stop():
                    return
                case _:
                    pass  # a Cancel that crossed the end of its job

    def _paint(self, job: PaintJob) -> None:
        for event in painting_events(job, self.network, self._asked_to_stop):
            self.connection.send(event)

    def _asked_to_stop(self) -> bool:
        cancelled = False
        while self.connection.poll():
            message = self.connection.recv()
            self.stopped = self.stopped or isinstance(message, Stop)
            cancelled = cancelled or isinstance(message, Cancel | Stop)
        return cancelled
