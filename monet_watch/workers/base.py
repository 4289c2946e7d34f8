"""The protocol between the daemon and whatever place a painting is made in.

The daemon offers a `PaintJob` (bytes and frozen records) and receives a stream of events (frozen records and
encoded files). Pictures cross as encoded bytes, not as arrays: the daemon writes them as they are and needs
neither an image codec nor numpy, and its loop never waits for a PNG to be compressed.

Order of events for one job: ``JobStarted``, then ``JobStep``, ``JobSnapshot`` and ``JobCheckpoint`` in the order of
their numbers, then exactly one of ``JobFinished``, ``JobFailed`` and ``JobStopped``; or ``WorkerDied`` at any point.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from monet_watch.engine.events import Losses
from monet_watch.output import Format, Output
from monet_watch.recipes import Recipe
from monet_watch.sketch import Sketch

__all__ = [
    "Allowance",
    "Cancel",
    "Capabilities",
    "DevicesFound",
    "Health",
    "JobCheckpoint",
    "JobEvent",
    "JobFailed",
    "JobFinished",
    "JobSnapshot",
    "JobStarted",
    "JobStep",
    "JobStopped",
    "PaintJob",
    "PictureFile",
    "Post",
    "Stop",
    "WeightsFile",
    "Worker",
    "WorkerDied",
    "WorkerEvent",
    "WorkerReady",
    "WorkerSaid",
    "WorkerWaits",
    "pace",
]


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture as it lies in a file: ``name`` for messages, ``data`` the file's bytes."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """Network weights in a file: ``source`` is ``oxford``, ``torchvision`` or a path; the file's hash is ``sha256``."""

    source: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a worker may use of its machine: ``threads`` of the processor, and memory for one painting.

    ``nice`` (0 to 19) says how far it steps back where others want the processor, ``decode_seconds`` what opening one
    picture may take. What is None is for the worker to find; it then takes its share, where ``sharers`` workers paint
    on one processor, and ``sharers_of_card`` on its card. ``finds_others`` says that it is to tell which devices there
    are beside the one that it takes, and that each of them gets as many workers as this one.
    """

    threads: int | None = None
    memory_bytes: int | None = None
    sharers: int = 1
    nice: int = 0
    decode_seconds: float = 120.0
    sharers_of_card: int = 1
    finds_others: bool = False


@dataclass(frozen=True, slots=True)
class PaintJob:
    """One painting to make. ``resume`` is the data of the last `JobCheckpoint`, if there was one.

    Pictures of more than ``limit_pixels`` pixels are refused before they are decoded. ``attempt`` counts from 1; each
    one after a worker's death may use half the memory of the one before. ``output`` says which files are wanted.
    ``stages`` are those that were painted before, by their file names, where the moving picture is to show them.
    """

    job_id: int
    identity: str
    photo: PictureFile
    styles: tuple[PictureFile, ...]
    recipe: Recipe
    limit_pixels: int
    resume: bytes | None = field(default=None, repr=False)
    attempt: int = 1
    output: Output = field(default_factory=Output)
    stages: tuple[PictureFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """To a worker: stop the job under way after the present step."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: stop the job under way, then end."""


@dataclass(frozen=True, slots=True)
class DevicesFound:
    """Before `WorkerReady`, from a worker that was asked to find them: it takes the first of ``devices``."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The network is loaded. ``versions`` maps software names to versions; ``device`` is e.g. ``cuda:0``.

    ``precision`` is what the device does best; `JobFinished` says what a painting was painted in. ``memory_bytes`` is
    what one painting can have there, None where nobody knows; ``node`` names the machine where that is not this one.
    ``holds`` is the identity of a painting that the worker was at before the daemon came, and goes on with when it is
    offered; empty where there is none.
    """

    device: str
    device_name: str
    precision: str
    threads: int
    versions: Mapping[str, str]
    memory_bytes: int | None = None
    node: str = ""
    holds: str = ""

    @property
    def where(self) -> str:
        """The device, and the machine where that is not this one, for people."""
        return f"{self.device} on {self.node}" if self.node else self.device


@dataclass(frozen=True, slots=True)
class JobStarted:
    """The photo is decoded; the painting will be ``width`` x ``height`` pixels. ``first_step`` is 1 unless resumed.

    ``thumbnail`` is the photo, small, as a WebP file, and ``style_thumbnails`` the styles by their SHA-256.
    ``sketch`` is the photo as a terminal shows it.
    """

    job_id: int
    width: int
    height: int
    first_step: int
    thumbnail: bytes = field(default=b"", repr=False)
    style_thumbnails: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    sketch: Sketch | None = None


@dataclass(frozen=True, slots=True)
class JobStep:
    """Step ``number`` was taken in ``seconds``."""

    job_id: int
    number: int
    losses: Losses
    seconds: float


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """The painting after step ``number``, as a PNG file, small as a WebP file, and as a ``sketch`` for a terminal."""

    job_id: int
    number: int
    png: bytes = field(repr=False)
    thumbnail: bytes = field(default=b"", repr=False)
    sketch: Sketch | None = None


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """What `PaintJob.resume` needs to go on after step ``number``."""

    job_id: int
    number: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobFinished:
    """The painting as a PNG file, its loss plot as a PNG file, and what is known about how it was made.

    ``delivered`` are the losses of the painting as it lies in the PNG, 8-bit and in range, in fp32. ``precision``,
    ``remarks``, ``tile`` and ``pairs`` are those of `monet_watch.engine.events.Finished`; ``memory_bytes`` is what the
    painting was allowed, None where it had no limit. ``further`` holds the painting in other formats than PNG.
    ``photo`` is the photo as it was painted, and ``thumbnail`` the painting, small; both are WebP files. ``timelapse``
    is the moving picture, where one was asked for.
    """

    job_id: int
    png: bytes = field(repr=False)
    loss_plot: bytes = field(repr=False)
    width: int
    height: int
    curve: tuple[Losses, ...] = field(repr=False)
    delivered: Losses
    reason: str
    seconds: float
    precision: str = "fp32"
    remarks: tuple[str, ...] = ()
    tile: int | None = None
    pairs: int | None = None
    memory_bytes: int | None = None
    further: Mapping[Format, bytes] = field(default_factory=dict, repr=False)
    photo: bytes = field(default=b"", repr=False)
    thumbnail: bytes = field(default=b"", repr=False)
    timelapse: PictureFile | None = None


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job cannot be done. ``kind`` is the name of the error's class; ``message`` and ``remedy`` are for people.

    ``passes`` says whether it may be possible later, with nothing changed: see `monet_watch.troubles`.
    """

    job_id: int
    kind: str
    message: str
    remedy: str
    passes: bool = False


@dataclass(frozen=True, slots=True)
class JobStopped:
    """The job was cancelled; a `JobCheckpoint` came before this if any step had been taken."""

    job_id: int


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker is gone: ``reason`` says how, as far as is known. Nothing more comes from it.

    ``blameless`` says that its job has nothing to do with it, as where a machine leaves a cluster.
    """

    reason: str
    blameless: bool = False


@dataclass(frozen=True, slots=True)
class WorkerSaid:
    """A line that the worker's process wrote to its standard error, such as a codec's word about a photo."""

    text: str


@dataclass(frozen=True, slots=True)
class WorkerWaits:
    """The worker lives, and cannot begin yet: ``reason`` says what it waits for, such as room in a cluster."""

    reason: str


JobEvent = JobStarted | JobStep | JobSnapshot | JobCheckpoint | JobFinished | JobFailed | JobStopped
"""What is said of a job."""

WorkerEvent = DevicesFound | WorkerReady | JobEvent | WorkerDied | WorkerSaid | WorkerWaits


class Health(StrEnum):
    """How a worker is."""

    UNSTARTED = "unstarted"
    LOADING = "loading"
    IDLE = "idle"
    PAINTING = "painting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a worker can do, as far as is known: what `WorkerReady` said, and what its steps have taken since.

    ``kind`` is ``cpu``, ``cuda`` or ``mps``; ``memory_bytes`` is what one painting can have, None where nobody knows.
    ``step_seconds`` maps sizes, in pixels and each twice the one before, to the seconds of a step at that size.
    """

    device: str
    kind: str
    precision: str
    memory_bytes: int | None = None
    node: str = ""
    step_seconds: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, ready: WorkerReady) -> "Capabilities":
        """What is known at first."""
        kind = ready.device.partition(":")[0]
        return cls(ready.device, kind, ready.precision, ready.memory_bytes, ready.node)

    def seconds_per_step(self, pixels: int) -> float | None:
        """Return what a step of a painting of so many pixels takes; None while no step was taken.

        From the nearest size that is known: a step takes as long as it has pixels.
        """
        if not self.step_seconds:
            return None
        nearest = min(self.step_seconds, key=lambda size: abs(math.log2(size) - math.log2(pixels)))
        return self.step_seconds[nearest] * pixels / nearest

    def measured(self, pixels: int, seconds: float) -> "Capabilities":
        """What is known after one more step of a painting of so many pixels."""
        size = 2 ** round(math.log2(pixels))
        known = pace(self.step_seconds.get(size), seconds * size / pixels)
        return replace(self, step_seconds={**self.step_seconds, size: known})


class Worker(Protocol):
    """A place where one painting at a time is made. Events go to the callback given when it was made.

    The callback may be called from any thread; it must only post.
    """

    @property
    def name(self) -> str:
        """A short name for people, such as ``cpu`` or ``cuda:1``."""

    def start(self) -> None:
        """Begin to load the network. `WorkerReady`, or `WorkerDied`, follows."""

    def offer(self, job: PaintJob) -> None:
        """Begin ``job``. Only after `WorkerReady`, and only while no other job is under way."""

    def cancel(self) -> None:
        """Stop the job under way after the present step: `JobCheckpoint`, then `JobStopped`, follow."""

    def alive(self) -> bool:
        """Whether it lives, or its end was told. If not, nobody hears any more what becomes of it."""

    def health(self) -> Health:
        """How it is, from what it has said last."""

    def capabilities(self) -> Capabilities | None:
        """What it can do; None before `WorkerReady`. It stays known after its end."""

    def ask_to_stop(self, timeout_seconds: float) -> None:
        """Have it end, within ``timeout_seconds`` if it can, and return at once. No event follows. See `stop`."""

    def stop(self, timeout_seconds: float) -> None:
        """End the worker; kill it if it has not ended after ``timeout_seconds``. No event follows."""


def pace(known: float | None, seconds: float) -> float:
    """Return the seconds that a step takes, from what was known and the latest: a mean with a memory of ten steps.

    Steady enough to read, and quick enough to follow the machine.
    """
    return seconds if known is None else 0.9 * known + 0.1 * seconds


Post = Callable[[WorkerEvent], None]
"""Where a worker's events go."""
