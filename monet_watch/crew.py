"""Who paints: the devices, the workers that are hired for them, and what becomes of those that die or hang.

Where the devices are ``auto``, the first worker finds them, takes one, and the others are staffed as soon as it tells.
A device whose worker dies gets another one, after a pause that grows with every death in a row; while it cannot be
used the others go on. A worker that gives no sign of life for too long is ended and replaced as if it had died.
Everything here runs in the daemon's loop. Workers post their events to the mailbox as `FromWorker`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from monet_watch.forecast import pixels_in_one_piece
from monet_watch.ledger import Job, WorkerState
from monet_watch.roster import Kind, Seat, wanted
from monet_watch.scheduling import IdleWorker
from monet_watch.troubles import pause
from monet_watch.workers.base import Health, JobStep, Post, Worker, WorkerEvent, WorkerReady, pace

__all__ = ["AUTO", "HANG_SECONDS", "RAY", "Crew", "FromWorker", "Place", "Remote", "WorkerFactory"]

AUTO = "auto"
"""Stands for every device that there is, until a worker has found them."""

RAY = "ray"
"""How the names of places on a cluster begin."""

HANG_SECONDS = 600.0
"""A worker that is silent for so long is taken to hang, unless its steps are known to take longer."""

_LONGEST_STEPS = 20  # of a painting: so many times its longest step a worker may be silent
_BEFORE_STEPS = 6  # times as long may it take to load the network, or from the offer of a photo to its first step
_LONGEST_GAP_SECONDS = 10.0  # counted between two looks: while the daemon itself stands still nobody is heard

_FAILURES_REMEMBERED = 100  # of a place
_STYLES_REMEMBERED = 8  # by a worker: as many as its memory of styles has room for

_FIRST_RESTART_SECONDS = 1.0
_LONGEST_CLUSTER_PAUSE_SECONDS = 60.0
_MOST_FAILED_STARTS = 3  # in a row: then it is a problem that people should know of

WorkerFactory = Callable[[str, Post], Worker]
"""Makes a worker for a device, which gives its events to the `Post`."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What a cluster serves for: at most so many workers, each given back when it was idle for ``idle_seconds``.

    ``with_fallback`` says whether the devices at home paint while it cannot be reached.
    """

    most: int
    idle_seconds: float
    with_fallback: bool = False


@dataclass(frozen=True, slots=True)
class FromWorker:
    """A worker's event on its way to the loop; ``place`` and ``hire`` say whose it is."""

    place: int
    hire: int
    event: WorkerEvent = field(repr=False)


@dataclass(slots=True)
class Place:
    """A device, and whoever works there at the moment. ``hire`` counts the workers that it has had.

    ``deaths`` are those in a row, with no job brought to its end between them, ``failed_starts`` those of them that
    came before the network was loaded; ``last_words`` is the last one's reason, ``waits_for`` what keeps a worker from
    beginning. ``silent_seconds`` is how long nothing was heard of a worker that has something to do. ``speed`` is the
    work (see `monet_watch.scheduling`) that its paintings took, by the second, ``styles`` the keys of the settings that
    its worker painted with lately, ``failed`` the jobs whose last attempt was here and ended with the worker.
    ``painted`` counts the photos that were painted here, ``failures`` all deaths.
    """

    number: int
    device: str
    worker: Worker | None = None
    hire: int = 0
    ready: WorkerReady | None = None
    job: Job | None = None
    pace: float | None = None
    longest_step: float | None = None
    resumed_at_step: int | None = None
    deaths: int = 0
    failed_starts: int = 0
    restart_at: float | None = None
    last_words: str = ""
    silent_seconds: float = 0.0
    speed: float | None = None
    kind: Kind = Kind.HOME
    idle_since: float | None = None
    waits_for: str = ""
    styles: deque[str] = field(default_factory=lambda: deque(maxlen=_STYLES_REMEMBERED))
    failed: deque[int] = field(default_factory=lambda: deque(maxlen=_FAILURES_REMEMBERED))
    painted: int = 0
    failures: int = 0

    @property
    def idle(self) -> bool:
        """Whether its worker can be given a job."""
        return self.worker is not None and self.ready is not None and self.job is None

    @property
    def staffed(self) -> bool:
        """Whether its worker lives, or it gets one at a time that is known; or it needs none at present."""
        if self.vacant:
            return self.kind is not Kind.HOME
        return self.restart_at is not None or (self.worker is not None and self.worker.alive())

    @property
    def vacant(self) -> bool:
        """Whether it has no worker, and gets none."""
        return self.worker is None and self.restart_at is None

    def seat(self, now: float, idle_seconds: float) -> Seat:
        """It, as the choice of who is to have a worker needs to know it; ``now`` is on the clock."""
        self.idle_since = (self.idle_since or now) if self.idle else None
        rested = self.idle_since is not None and now - self.idle_since >= idle_seconds
        is_busy, is_ready = self.job is not None, self.ready is not None
        return Seat(self.number, self.kind, not self.vacant, is_ready, is_busy, rested, self.failed_starts > 0)

    @property
    def broken(self) -> bool:
        """Whether no worker can be started here, as far as is known."""
        return self.failed_starts >= _MOST_FAILED_STARTS

    @property
    def has_just_broken(self) -> bool:
        """Whether that is known since the last death."""
        return self.failed_starts == _MOST_FAILED_STARTS

    def take(self, job: Job) -> None:
        """``job`` is what the worker is offered next."""
        self.job = job
        self.pace = self.longest_step = self.resumed_at_step = None
        self.silent_seconds = 0.0
        if job.settings_key is not None and job.settings_key not in self.styles:
            self.styles.append(job.settings_key)

    def as_idle(self) -> IdleWorker:
        """Its worker, as the choice of a job for it needs to know it."""
        ready = self.ready
        largest = None if ready is None else pixels_in_one_piece(ready.memory_bytes, ready.precision)
        return IdleWorker(self.number, self.speed, largest, frozenset(self.styles), frozenset(self.failed))

    def has_painted(self, work: float, seconds: float) -> None:
        """Its worker has done so much work in so many seconds."""
        if work > 0 and seconds > 0:
            self.speed = pace(self.speed, work / seconds)

    def leave(self) -> None:
        """The worker has brought its job to an end."""
        self.job, self.deaths = None, 0

    def heard(self, event: WorkerEvent) -> None:
        """The worker has given a sign of life."""
        self.silent_seconds = 0.0
        if isinstance(event, JobStep):
            self.pace = pace(self.pace, event.seconds)
            self.longest_step = max(self.longest_step or 0.0, event.seconds)
        elif isinstance(event, WorkerReady):
            self.waits_for = ""

    def state(self, retry_at: float | None) -> WorkerState:
        """How its worker is, for people; another one is started at ``retry_at``, in seconds since the epoch."""
        known = self.worker.capabilities() if self.worker is not None else None
        health = self.worker.health() if self.worker is not None else Health.ENDED
        return WorkerState(
            device=known.device if known is not None else self.device,
            health=health.value,
            node=known.node if known is not None else "",
            photo=str(self.job.path) if self.job is not None else "",
            seconds_per_step=self.pace,
            step_seconds=tuple(sorted(known.step_seconds.items())) if known is not None else (),
            painted=self.painted,
            failures=self.failures,
            waits_for=self.last_words if retry_at is not None else self.waits_for,
            retry_at=retry_at,
        )


class Crew:
    """The places of work. ``post`` takes what workers say, from any thread; ``clock`` is monotonic, in seconds."""

    def __init__(
        self,
        devices: Sequence[str],
        make_worker: WorkerFactory,
        post: Callable[[FromWorker], None],
        clock: Callable[[], float],
        hang_seconds: float = HANG_SECONDS,
        workers_per_device: int = 1,
        remote: Remote | None = None,
    ) -> None:
        self.places: list[Place] = []
        self._per_device = workers_per_device
        self._make_worker = make_worker
        self._post = post
        self._clock = clock
        self._hang_seconds = hang_seconds
        self._looked_at = clock()
        self._draining = False
        self._remote = remote
        self._kind = Kind.HOME if remote is None else Kind.FALLBACK
        for number in range(0 if remote is None else remote.most):
            self.places.append(Place(number, f"{RAY}:{number + 1}", kind=Kind.CLUSTER))
        for device in devices if remote is None or remote.with_fallback else ():
            self._add(device, 1 if device == AUTO else workers_per_device)

    def _add(self, device: str, count: int = 1) -> None:
        self.places += [Place(len(self.places) + number, device, kind=self._kind) for number in range(count)]

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each place."""
        return tuple(place.device for place in self.places)

    @property
    def busy(self) -> bool:
        """Whether a worker holds a job."""
        return any(place.job is not None for place in self.places)

    @property
    def ready_count(self) -> int:
        """How many workers there are that paint, or could."""
        return sum(place.ready is not None for place in self.places)

    def idle(self, most: int) -> list[Place]:
        """Return the places, up to so many, whose workers can be given a job."""
        return list(islice((place for place in self.places if place.idle), most))

    @property
    def staffed(self) -> bool:
        """Whether each place is."""
        return all(place.staffed for place in self.places)

    @property
    def broken(self) -> bool:
        """Whether no place is of any use, as far as is known."""
        return any(place.broken for place in self.places) and all(each.broken or each.vacant for each in self.places)

    @property
    def most_remote(self) -> int:
        """How many workers there may be on a cluster."""
        return 0 if self._remote is None else self._remote.most

    def open(self) -> None:
        """Start a worker at each place that has none and is to get none; of those on a cluster, the first."""
        for place in self.places if not self._draining else ():
            if place.vacant and (place.kind is Kind.HOME or (place.kind is Kind.CLUSTER and place.number == 0)):
                self._hire(place)

    def staff(self, waiting: int) -> None:
        """Start and end workers on a cluster, and those that serve meanwhile, so that ``waiting`` jobs are taken up."""
        if self._remote is None or self._draining:
            return
        now, idle_seconds = self._clock(), self._remote.idle_seconds
        numbers = wanted([place.seat(now, idle_seconds) for place in self.places], waiting)
        for place in self.places:
            if place.vacant and place.number in numbers:
                self._hire(place)
            elif not place.vacant and place.number not in numbers and place.job is None:
                self._release(place)

    def _release(self, place: Place) -> None:
        """Its worker is not needed at present."""
        if place.worker is not None:
            place.worker.stop(0)
        place.worker = place.ready = place.restart_at = None
        place.failed_starts = 0

    def states(self, now: float) -> tuple[WorkerState, ...]:
        """Return how each worker is, and each that is to be started; ``now`` is in seconds since the epoch."""
        ahead = now - self._clock()
        staffed = (place for place in self.places if not place.vacant)
        return tuple(place.state(None if place.restart_at is None else place.restart_at + ahead) for place in staffed)

    def next_due(self) -> float | None:
        """When a worker is to be started, on the clock; those that hang are found whenever somebody looks."""
        return min((place.restart_at for place in self.places if place.restart_at is not None), default=None)

    def replace_dead(self) -> None:
        """Start workers where the pause after a death is over."""
        for place in self.places:
            if place.restart_at is not None and place.restart_at <= self._clock():
                self._hire(place)

    def hanging(self) -> Iterator[Place]:
        """Yield the places whose workers have been silent for longer than can be explained."""
        now = self._clock()
        elapsed, self._looked_at = min(now - self._looked_at, _LONGEST_GAP_SECONDS), now
        for place in self.places:
            if place.worker is not None and (place.ready is None or place.job is not None):
                place.silent_seconds += elapsed
                if place.silent_seconds > self._patience(place):
                    yield place

    def _patience(self, place: Place) -> float:
        if place.longest_step is None:
            return _BEFORE_STEPS * self._hang_seconds
        return max(self._hang_seconds, _LONGEST_STEPS * place.longest_step)

    def whose(self, message: FromWorker) -> Place | None:
        """Return the place of the worker that says ``message``; None if it has been replaced."""
        place = self.places[message.place]
        return place if message.hire == place.hire else None

    def has_found(self, place: Place, devices: Sequence[str]) -> None:
        """The worker at ``place`` has found these devices, of which it takes the first: staff the others, too."""
        if place.device != AUTO:
            return
        place.device = devices[0]
        for device in devices:
            self._add(device, self._per_device - self.devices.count(device))
        self.open()  # those that serve while a cluster is away are started by `staff`

    def is_ready(self, place: Place, ready: WorkerReady) -> None:
        """The worker has loaded the network."""
        place.ready, place.failed_starts = ready, 0

    def has_failed_at(self, place: Place, job: Job) -> None:
        """The worker at ``place`` died in the middle of ``job``: its next attempt is to be elsewhere, if it can."""
        for each in self.places:
            if job.id in each.failed:
                each.failed.remove(job.id)
        place.failed.append(job.id)

    def dismiss(self, place: Place, reason: str) -> None:
        """The worker is dead, or is to be; unless all are to stop, another one is started after a pause."""
        place.last_words = reason
        place.failed_starts = 0 if place.ready is not None else place.failed_starts + 1
        place.deaths += 1
        place.failures += 1
        if place.worker is not None:
            place.worker.stop(0)
        place.worker = place.ready = place.job = None
        if not self._draining:
            place.restart_at = self._clock() + self._pause(place)

    def _pause(self, place: Place) -> float:
        """Before another worker is started; a cluster that is away may be back at any moment."""
        seconds = pause(place.deaths, _FIRST_RESTART_SECONDS)
        return seconds if place.kind is not Kind.CLUSTER else min(seconds, _LONGEST_CLUSTER_PAUSE_SECONDS)

    def hurry(self) -> None:
        """Start workers at once where a pause is under way."""
        for place in self.places:
            if place.restart_at is not None:
                place.restart_at = self._clock()

    def drain(self) -> None:
        """Start no worker any more, and ask each to stop after a checkpoint."""
        self._draining = True
        for place in self.places:
            place.restart_at = None
        self.cancel()

    def cancel(self) -> None:
        """Ask each worker to stop its job after a checkpoint."""
        for place in self.places:
            if place.job is not None and place.worker is not None:
                place.worker.cancel()

    def close(self, timeout_seconds: float) -> None:
        """End every worker; ``timeout_seconds`` is for all of them together."""
        deadline = self._clock() + timeout_seconds
        workers = [place.worker for place in self.places if place.worker is not None]
        for worker in workers:
            worker.ask_to_stop(timeout_seconds)
        for worker in workers:
            worker.stop(max(0.0, deadline - self._clock()))
        for place in self.places:
            place.worker = None

    def _hire(self, place: Place) -> None:
        place.hire += 1
        place.restart_at = place.ready = place.longest_step = None
        place.styles.clear()
        place.waits_for = ""
        place.silent_seconds = 0.0
        number, hire = place.number, place.hire
        place.worker = self._make_worker(place.device, lambda event: self._post(FromWorker(number, hire, event)))
        place.worker.start()
