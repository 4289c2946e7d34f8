"""The process between the daemon and a Ray cluster, and the actor that paints there. Only here is ray imported.

Ray ends the process of a driver whose node is lost, waits for minutes where nobody answers, and writes to its standard
error as it likes. So the daemon keeps it in a process of its own (`monet_watch.workers.ray`), which can be lost.

The actors are detached: they outlive this process, and the next one finds them by the cluster's list of names.
"""

import contextlib
import os
import queue
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import IO, Any, TypeVar

import ray
import ray.exceptions
import ray.util
from ray.actor import ActorHandle

from monet_watch.errors import WorkerError
from monet_watch.workers.base import Allowance, PaintJob, WeightsFile, WorkerDied, WorkerEvent, WorkerWaits
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
)
from monet_watch.workers.ray_faults import cannot_connect, how_it_was_lost, require_same_version
from monet_watch.workers.studio import Studio, WeightsData

__all__ = ["Joined", "RayStudio", "answers", "connect", "drive", "hide_main", "kill"]

_KNOCK_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_WAITING_SECONDS = 5.0  # between two signs of life of a worker for which the cluster has no room: see hang_seconds
_ANSWER_SECONDS = 30.0
_END_SECONDS = 5.0  # that dismissed actors may take, at the end of this process
_ATTEND_SECONDS = 30.0  # between two words to an actor that somebody listens; less where it lingers for less
_RESTARTS = 3  # of an actor whose process or node was lost; then the daemon makes another one
_AHEAD = 16  # events that the cluster sends before they were taken
_THREADS = 16  # of an actor: its listener, those before it that have not ended yet, and short calls

Answer = TypeVar("Answer")


class RayStudio(Studio):
    """A `Studio` that ends as an actor does."""

    def __init__(self, weights: WeightsData, device: str, allowance: Allowance, linger_seconds: float) -> None:
        hide_main()
        me = ray.get_runtime_context().current_actor
        super().__init__(weights, device, allowance, linger_seconds, lambda: ray.kill(me))

    def pids(self) -> tuple[int, ...]:
        """The ids of the actor's process and of the worker process beside it."""
        return (os.getpid(), *super().pids())

    def whereabouts(self) -> tuple[str, str]:
        """The id that ray gave its node, and what `holds` says."""
        return ray.get_runtime_context().get_node_id(), self.holds()


def hide_main() -> None:
    """Have processes that an actor spawns not run the program of this one, which imports ray, up to its main part."""
    sys.modules["__main__"].__dict__.pop("__file__", None)


@dataclass(frozen=True, slots=True)
class Joined:
    """This process is a driver of a cluster: what there is to report of it, and the weights in its object store."""

    report: Connected
    weights: "ray.ObjectRef[WeightsData]"


def connect(cluster: Cluster, weights: WeightsFile, said: IO[bytes]) -> Joined:
    """Make this process a driver of ``cluster``. ``said`` is the file that its standard error goes into.

    Raises WorkerError, which says why it cannot be one, and what to do, and OSError.
    """
    _knock(cluster.address)
    try:
        context = ray.init(cluster.address, namespace=cluster.namespace, log_to_driver=False, configure_logging=False)
    except Exception as error:  # the boundary: ray raises what its parts raise
        said.seek(0)
        raise cannot_connect(cluster, error, said.read().decode("utf-8", "replace")) from error
    nodes = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
    return Joined(Connected(nodes, str(context.dashboard_url or "")), ray.put(WeightsData.of(weights)))


def drive(connection: Connection, cluster: Cluster, joined: Joined, allowance: Allowance) -> None:
    """Do what is ordered on ``connection`` until its other end is gone. Runs as the main function of a process."""
    connection.send(joined.report)
    with contextlib.suppress(EOFError, OSError):
        _Driver(connection, _Studios(cluster, joined.weights, allowance)).run()


def _knock(address: str) -> None:
    """Raise WorkerError where nobody listens at ``address``: ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
    except OSError as error:
        words = f"The Ray cluster at {address} does not answer: {error.strerror or error}."
        raise WorkerError(
            words, "Is `ray start --head` running there, and does the firewall let it be reached?"
        ) from error


@dataclass
class _Studios:
    """The actors of this daemon in the cluster: those that are there, and those that are made."""

    cluster: Cluster
    weights: "ray.ObjectRef[WeightsData]"
    allowance: Allowance
    found: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Look for actors that an earlier driver left, those with a painting first."""
        everybody = ray.util.list_named_actors(all_namespaces=True)
        named = [each for each in everybody if each["namespace"] == self.cluster.namespace]
        paintings: dict[str, str] = answers(named, lambda actor: actor.holds.remote(), _LOOK_SECONDS)
        self.found = sorted((each["name"] for each in named), key=lambda name: bool(paintings.get(name)))

    def take(self) -> "ActorHandle[RayStudio]":
        """One that is there and has no listener here, or another one. It may have to wait for room."""
        with self.lock:
            while self.found:
                with contextlib.suppress(ValueError):  # it has ended since
                    return ray.get_actor(self.found.pop())
        cluster = self.cluster
        options: dict[str, Any] = {
            "name": f"studio-{uuid.uuid4().hex[:12]}",
            "lifetime": "detached",
            "num_gpus": cluster.gpus_per_worker,
            "num_cpus": cluster.cpus_per_worker,
            "max_restarts": _RESTARTS,
            "max_concurrency": _THREADS,
        }
        device = "cuda" if cluster.gpus_per_worker else "cpu"
        studio: Any = ray.remote(RayStudio).options(**options)
        actor: ActorHandle[RayStudio] = studio.remote(self.weights, device, self.allowance, cluster.linger_seconds)
        return actor


def answers(
    named: Iterable[Mapping[str, str]], ask: "Callable[[ActorHandle[RayStudio]], ray.ObjectRef[Answer]]", seconds: float
) -> dict[str, Answer]:
    """Return what actors, ``named`` as ray lists them, answer within so many seconds, by their names."""
    asked: dict[ray.ObjectRef[Answer], str] = {}
    for each in named:
        with contextlib.suppress(ValueError):  # it has ended since
            asked[ask(ray.get_actor(each["name"], each["namespace"]))] = each["name"]
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=seconds) if asked else ([], [])
    found: dict[str, Answer] = {}
    for answer in done:
        with contextlib.suppress(ray.exceptions.RayError):  # it is lost
            found[asked[answer]] = ray.get(answer)
    return found


class _Driver:
    """Does what the daemon orders. Each worker has a thread that listens to it and one that speaks to it."""

    def __init__(self, connection: Connection, studios: _Studios) -> None:
        self._connection = connection
        self._studios = studios
        self._sending = threading.Lock()
        self._links: dict[str, _Link] = {}
        self._leaving: list[_Link] = []

    def run(self) -> None:
        while True:
            order: Order | Close = self._connection.recv()
            if isinstance(order, Close):
                self._wait_for_ends()
                return
            if isinstance(order, Hire):
                link = _Link(order.worker, self._studios, self._report)
                self._links[order.worker] = link
                link.start()
            elif isinstance(order, Dismiss) and order.worker in self._links:
                link = self._links.pop(order.worker)
                self._leaving = [*(each for each in self._leaving if not each.ended.is_set()), link]
                link.dismiss(order.timeout_seconds)
            elif order.worker in self._links:
                self._links[order.worker].orders.put(order)

    def _wait_for_ends(self) -> None:
        """Those who were dismissed give back what they held before this process goes."""
        until = time.monotonic() + _END_SECONDS
        for link in self._leaving:
            link.ended.wait(max(0.0, until - time.monotonic()))

    def _report(self, report: Report) -> None:
        with self._sending, contextlib.suppress(OSError):  # the daemon is gone: so is this process, in a moment
            self._connection.send(report)


class _Link:
    """One worker: an actor, and the two threads that serve it; a third one ends it, whatever the others wait for."""

    def __init__(self, worker: str, studios: _Studios, report: Any) -> None:
        self.orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self.ended = threading.Event()
        self._worker = worker
        self._studios = studios
        self._report = report
        self._actor: ActorHandle[RayStudio] | None = None
        self._is_there = threading.Event()
        self._dismissed = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._listen, name=f"events of {self._worker}", daemon=True).start()
        threading.Thread(target=self._speak, name=f"orders to {self._worker}", daemon=True).start()

    def dismiss(self, timeout_seconds: float) -> None:
        self._dismissed.set()
        self.orders.put(None)
        threading.Thread(target=self._end, args=(timeout_seconds,), name=f"end of {self._worker}", daemon=True).start()

    def _say(self, event: WorkerEvent) -> None:
        if not self._dismissed.is_set():
            self._report(Said(self._worker, event))

    # Listening.

    def _listen(self) -> None:
        try:
            self._actor = self._studios.take()
            if self._dismissed.is_set():
                kill(self._actor)  # whoever dismissed it may have come before there was anybody to end
                return
            self._wait_for_room(self._actor)
            self._is_there.set()
            for event in self._events(self._actor):
                self._say(event)
            died = WorkerDied("another daemon has taken it over", blameless=True)
        except WorkerError as error:
            died = WorkerDied(str(error), blameless=True)
        except Exception as error:  # the boundary: whatever becomes of the cluster, the daemon hears of it
            died = how_it_was_lost(error)
        self._say(died)

    def _wait_for_room(self, actor: "ActorHandle[RayStudio]") -> None:
        waited = 0.0
        answer: ray.ObjectRef[str] = actor.version.remote()
        while not self._dismissed.is_set():
            done, _ = ray.wait([answer], timeout=_LOOK_SECONDS)
            if done:
                require_same_version(ray.get(answer))
                return
            waited += _LOOK_SECONDS
            if waited % _WAITING_SECONDS == 0:
                demand = self._studios.cluster.demand
                self._say(WorkerWaits(f"the cluster has no room for it ({demand}), or is slow to start it"))

    def _events(self, actor: "ActorHandle[RayStudio]") -> Iterator[WorkerEvent]:
        """What the actor says. Ray's client, which ``ray://`` stands for, cannot stream: there it is asked for more."""
        if self._studios.cluster.is_by_client:
            yield from self._read_events(actor)
            return
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": _AHEAD}
        reference: ray.ObjectRef[WorkerEvent]
        for reference in actor.listen.options(**options).remote():
            yield ray.get(reference)

    def _read_events(self, actor: "ActorHandle[RayStudio]") -> Iterator[WorkerEvent]:
        attached: ray.ObjectRef[int] = actor.attach.remote()
        listener = ray.get(attached)
        while not self._dismissed.is_set():
            events: list[WorkerEvent] | None = ray.get(actor.read.remote(listener))
            if events is None:
                return
            yield from events

    # Speaking.

    def _speak(self) -> None:
        seconds = min(_ATTEND_SECONDS, self._studios.cluster.linger_seconds / 3)
        while not self._dismissed.is_set():
            with contextlib.suppress(ray.exceptions.RayError):  # who listens hears what has become of the actor
                try:
                    self._obey(self.orders.get(timeout=seconds))
                except queue.Empty:
                    self._attend()

    def _attend(self) -> None:
        if self._actor is not None and self._is_there.is_set():
            ray.get(self._actor.attend.remote())

    def _obey(self, order: Order | None) -> None:
        match order:
            case OfferTo(job=job) if self._actor is not None:
                self._offer(self._actor, job)
            case CancelAt() if self._actor is not None:
                ray.get(self._actor.cancel.remote())

    def _offer(self, actor: "ActorHandle[RayStudio]", job: PaintJob) -> None:
        """The photo's bytes go through the object store, and from there to the node."""
        ray.get(actor.offer.remote(ray.put(job)))

    def _end(self, seconds: float) -> None:
        actor = self._actor
        if actor is not None:
            with contextlib.suppress(ray.exceptions.RayError, TimeoutError):
                ray.get(actor.close.remote(seconds), timeout=seconds + _LOOK_SECONDS)
            kill(actor)
        self.ended.set()
        self._report(Dismissed(self._worker))


def kill(actor: "ActorHandle[Any]") -> None:
    """End an actor at once, if it has not ended already."""
    with contextlib.suppress(ray.exceptions.RayError, ValueError):
        ray.kill(actor)
