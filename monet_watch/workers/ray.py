"""Workers on a Ray cluster, as the daemon knows them.

Ray itself is in a process of its own (`monet_watch.workers.ray_driver`): whatever becomes of the cluster, the daemon's
loop only gets messages, and neither waits for ray nor ends with it.
"""

import contextlib
import itertools
import math
import os
import queue
import threading
import time
from multiprocessing.connection import Connection

from monet_watch.errors import WorkerError
from monet_watch.workers.base import (
    Allowance,
    Capabilities,
    Health,
    PaintJob,
    Post,
    WeightsFile,
    WorkerDied,
    WorkerEvent,
    WorkerSaid,
    WorkerWaits,
)
from monet_watch.workers.cluster import (
    CancelAt,
    Close,
    Cluster,
    Connected,
    Dismiss,
    Dismissed,
    Hire,
    OfferTo,
    Order,
    Report,
    Said,
    Unreachable,
)
from monet_watch.workers.monitor import Monitor
from monet_watch.workers.process import SPAWN
from monet_watch.workers.ray_entry import CONNECT_SECONDS, join_cluster

__all__ = ["RayCluster", "RayWorker"]

_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_CONNECTING_SECONDS = 5.0  # between two signs of life while nobody has answered: see hang_seconds
_HIRES = itertools.count(1)


class RayCluster:
    """A cluster, and the process that drives it while any worker there is wanted."""

    def __init__(self, cluster: Cluster, weights: WeightsFile, allowance: Allowance) -> None:
        self._cluster = cluster
        self._weights = weights
        self._allowance = allowance
        self._lock = threading.Lock()
        self._driver: _DriverProcess | None = None

    def worker(self, name: str, post: Post) -> "RayWorker":
        """A worker there, not yet started. ``post`` is called from another thread."""
        return RayWorker(name, self, post)

    def hire(self, worker: "RayWorker") -> "_DriverProcess":
        """Let ``worker`` be served; the process is started if there is none."""
        with self._lock:
            if self._driver is None or not self._driver.add(worker):
                self._driver = _DriverProcess(self._cluster, self._weights, self._allowance)
                self._driver.add(worker)
                self._driver.start()
            return self._driver


class RayWorker:
    """An actor on the cluster. See `monet_watch.workers.base.Worker`."""

    def __init__(self, name: str, cluster: RayCluster, post: Post) -> None:
        self._name = name
        self.key = f"{name} ({next(_HIRES)})"  # what a former worker of this name has said is not its own
        self._cluster = cluster
        self._post = post
        self._driver: _DriverProcess | None = None
        self._stopping = threading.Event()
        self._gone = threading.Event()
        self._end_told = False
        self._monitor = Monitor()

    @property
    def name(self) -> str:
        """The name that was given."""
        return self._name

    def start(self) -> None:
        """Have an actor found or made. `WorkerReady` follows when it has room and has loaded the network.

        A worker can be started once. Raises WorkerError the second time.
        """
        if self._driver is not None:
            raise WorkerError(f"The worker {self._name} was started before.")
        self._monitor.started()
        self._driver = self._cluster.hire(self)

    def offer(self, job: PaintJob) -> None:
        """Begin ``job``. If the actor is lost, `WorkerDied` follows in its place."""
        if self._driver is not None:
            self._monitor.offered()
        self._order(OfferTo(self.key, job))

    def cancel(self) -> None:
        """Ask the job under way to stop after the present step."""
        self._order(CancelAt(self.key))

    def alive(self) -> bool:
        """Whether somebody listens to it, or its end was told."""
        return self._end_told or (self._driver is not None and self._driver.alive())

    def health(self) -> Health:
        """How it is, from what it has said last."""
        return self._monitor.health

    def capabilities(self) -> Capabilities | None:
        """What it can do, once it is ready."""
        return self._monitor.capabilities

    def ask_to_stop(self, timeout_seconds: float) -> None:
        """Have the actor end, by force after ``timeout_seconds``, and return at once."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._monitor.ended()
        if self._driver is not None:
            self._order(Dismiss(self.key, timeout_seconds))

    def stop(self, timeout_seconds: float) -> None:
        """End the actor, and wait for that up to ``timeout_seconds``."""
        self.ask_to_stop(timeout_seconds)
        if self._driver is not None:
            self._gone.wait(timeout_seconds)
            self._gone.set()
            self._driver.remove(self)

    def forsake(self) -> None:
        """Leave the actor to whoever comes next, as the end of the daemon does."""
        self._stopping.set()
        self._gone.set()
        if self._driver is not None:
            self._driver.remove(self)

    def heard(self, event: WorkerEvent) -> None:
        """The driver has told ``event``."""
        if self._stopping.is_set() or self._end_told:
            return
        self._end_told = isinstance(event, WorkerDied)
        self._monitor.heard(event)
        self._post(event)

    def dismissed(self) -> None:
        """The actor has ended, as it was told to."""
        self._gone.set()

    def _order(self, order: Order) -> None:
        if self._driver is None:
            raise WorkerError(f"The worker {self._name} was not started.")
        self._driver.order(order)


class _DriverProcess:
    """The process that drives the cluster, and the workers that it serves; it ends when there are none.

    Two threads talk to it: one listens, and is there from its start to its end, and one sends it what is ordered.
    """

    def __init__(self, cluster: Cluster, weights: WeightsFile, allowance: Allowance) -> None:
        self._arguments = (cluster, weights, allowance)
        self._words = cluster.words
        self._lock = threading.Lock()
        self._workers: dict[str, RayWorker] = {}
        self._orders: queue.SimpleQueue[Order | Close] = queue.SimpleQueue()
        self._ended = False
        self._kill_at = math.inf
        self._reader = threading.Thread(target=self._run, name="events of the cluster", daemon=True)

    def start(self) -> None:
        self._reader.start()

    def alive(self) -> bool:
        return self._reader.is_alive()

    def add(self, worker: RayWorker) -> bool:
        """Serve ``worker``. False if the process is at its end."""
        with self._lock:
            if self._ended:
                return False
            self._workers[worker.key] = worker
        self.order(Hire(worker.key))
        return True

    def remove(self, worker: RayWorker) -> None:
        """Serve ``worker`` no more. Without any, the process ends."""
        with self._lock:
            self._workers.pop(worker.key, None)
            if self._workers or self._ended:
                return
            self._ended = True
        self._kill_at = time.monotonic() + _KILL_SECONDS
        self.order(Close())

    def order(self, order: Order | Close) -> None:
        self._orders.put(order)

    def _run(self) -> None:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_drive, args=(theirs, *self._arguments), name="monet-watch cluster", daemon=True)
        try:
            process.start()
        except OSError as error:
            self._tell_end(f"the machine cannot start a process for the cluster: {error.strerror}")
            return
        finally:
            theirs.close()  # so that the end of the process is the end of the pipe
        writer = threading.Thread(target=self._write, args=(ours,), name="orders to the cluster", daemon=True)
        writer.start()
        reason = self._listen(ours)
        process.kill()
        process.join(_KILL_SECONDS)
        self._tell_end(reason)
        self.order(Close())
        writer.join()
        ours.close()

    def _write(self, connection: Connection) -> None:
        with contextlib.suppress(OSError):  # its end is told by the thread that listens
            while not isinstance(order := self._orders.get(), Close):
                connection.send(order)
            connection.send(order)

    def _listen(self, connection: Connection) -> str:
        """Hand on what the process reports until its end, and return why that was."""
        reason = ""
        with contextlib.suppress(EOFError, OSError):
            if not self._answers(connection):
                return f"{self._words} does not answer within {CONNECT_SECONDS:g} s; is it up, and its firewall open?"
            while time.monotonic() < self._kill_at:
                if not connection.poll(_LOOK_SECONDS):
                    continue
                report: Report = connection.recv()
                reason = f"{report.reason} {report.remedy}".strip() if isinstance(report, Unreachable) else reason
                self._hand_on(report)
        return reason or f"{self._words} is lost: the process that drives it has ended"

    def _answers(self, connection: Connection) -> bool:
        """Wait for its first report; meanwhile the workers say that they wait for the cluster."""
        began = time.monotonic()
        said_at = began
        while (now := time.monotonic()) < min(began + CONNECT_SECONDS, self._kill_at):
            if connection.poll(_LOOK_SECONDS):
                return True
            if now - said_at >= _CONNECTING_SECONDS:
                said_at = now
                for worker in tuple(self._workers.values()):
                    worker.heard(WorkerWaits(f"it is connecting; {self._words} has not answered yet"))
        return False

    def _hand_on(self, report: Report) -> None:
        match report:
            case Said(worker, event):
                to = self._workers.get(worker)
                if to is not None:
                    to.heard(event)
            case Dismissed(worker):
                to = self._workers.get(worker)
                if to is not None:
                    to.dismissed()
            case Connected():
                for to in tuple(self._workers.values())[:1]:
                    to.heard(WorkerSaid(report.words))
            case _:
                pass

    def _tell_end(self, reason: str) -> None:
        with self._lock:
            self._ended = True
            workers = tuple(self._workers.values())
        for worker in workers:
            worker.heard(WorkerDied(reason, blameless=True))
            worker.dismissed()


# What follows runs in the new process. Ray is imported there, and never in the daemon.


def _drive(connection: Connection, cluster: Cluster, weights: WeightsFile, allowance: Allowance) -> None:
    joined = join_cluster(connection, cluster, weights)
    if joined is None:
        return
    from monet_watch.workers.ray_driver import drive

    drive(connection, cluster, joined, allowance)
    os._exit(0)  # actors go on: nothing is taken down that ray would take down
