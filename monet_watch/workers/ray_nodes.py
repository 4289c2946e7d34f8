"""A few real steps on each node of a Ray cluster, for the doctor. Only in a process of its own, as `ray_driver`.

A node is asked twice: first for its version, which takes no room, so that a busy node tells it as well; then an actor
takes the room that a worker would, and steps there. Nothing of that outlives this process.
"""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import ray
import ray.exceptions
import ray.util
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from monet_watch import __version__
from monet_watch.errors import WorkerError
from monet_watch.workers.cluster import NAMESPACE_PREFIX, Cluster, NodeFacts
from monet_watch.workers.local import measured_step, torch_facts
from monet_watch.workers.machine import available_memory
from monet_watch.workers.ray_driver import Joined, answers, hide_main, kill
from monet_watch.workers.ray_faults import how_it_was_lost, require_same_version
from monet_watch.workers.studio import WeightsData

__all__ = ["Bench", "examine"]

_VERSION_SECONDS = 60.0  # that a node may take to start the first process: see README, "What it costs"
_ROOM_SECONDS = 20.0  # to start one more
_STEPS_SECONDS = 300.0  # to load torch from wherever it lies, and to take the steps
_WORKERS_SECONDS = 5.0  # in which workers say where they are
_PAINTING = "busy: its workers are painting"
_RESTING = "busy: its workers are there, and paint nothing at present"
_LATE = "`ray status` on the head says how its machines are; Ray's logs are in /tmp/ray/session_latest on each."

Answer = TypeVar("Answer")


class Bench:
    """An actor in the room of a worker, at the node that people know as ``node``; it takes steps there."""

    def __init__(self, node: str) -> None:
        hide_main()
        self._node = node

    def is_there(self) -> bool:
        """That it has begun."""
        return True

    def look(self, weights: WeightsData, device: str, threads: int | None, image_size: int) -> NodeFacts:
        """Return what ``device`` is like; steps are taken on a square with sides of ``image_size`` pixels."""
        torch = torch_facts((device,))
        if torch.fault:
            return NodeFacts(self._node, fault=f"torch cannot be used: {torch.fault}")
        (found,) = torch.devices
        cards = ray.get_gpu_ids()  # an actor sees those alone, and counts them from 0
        device = f"cuda:{cards[0]}" if cards else device
        if found.fault:
            return NodeFacts(self._node, device, fault=found.fault)
        memory = available_memory() if found.memory_bytes is None else found.memory_bytes
        facts = NodeFacts(self._node, device, found.name, found.precision, memory, torch=torch.version)
        try:
            with tempfile.TemporaryDirectory(prefix="monet-watch-") as folder:
                seconds = measured_step(weights.unpacked(Path(folder)), found.device, threads, image_size)
        except (WorkerError, OSError) as error:
            return replace(facts, fault=str(error))
        return replace(facts, seconds_per_step=seconds)


def examine(connection: Connection, cluster: Cluster, joined: Joined, threads: int | None, image_size: int) -> None:
    """Send that the cluster is there, then what is found at its nodes, all at the same time, and None at the end."""
    connection.send(joined.report)
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    tour = _Tour(cluster, joined.weights, threads, image_size, _workers())
    with ThreadPoolExecutor(max(1, len(nodes))) as visitors:
        for visit in as_completed([visitors.submit(tour.visit, node) for node in nodes]):
            for facts in visit.result():
                connection.send(facts)
    connection.send(None)


def _workers() -> dict[str, list[bool]]:
    """Whether each worker paints, by the id of its node: workers of any daemon that say at once where they are."""
    named = ray.util.list_named_actors(all_namespaces=True)
    ours = [each for each in named if each["namespace"].startswith(NAMESPACE_PREFIX)]
    said: dict[str, tuple[str, str]] = answers(ours, lambda actor: actor.whereabouts.remote(), _WORKERS_SECONDS)
    found: dict[str, list[bool]] = {}
    for node, holds in said.values():
        found.setdefault(node, []).append(bool(holds))
    return found


@dataclass(frozen=True, slots=True)
class _Tour:
    """What every node is asked, and the ``workers`` that are at each."""

    cluster: Cluster
    weights: "ray.ObjectRef[WeightsData]"
    threads: int | None
    image_size: int
    workers: Mapping[str, list[bool]]

    def visit(self, node: Mapping[str, Any]) -> list[NodeFacts]:
        """Return what is found at ``node``, which is as ray lists it: once, or of each card on which it paints."""
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        room = _room(node["Resources"], self.cluster)
        try:
            found = self._look(name, node["NodeID"], room)
        except WorkerError as error:
            found = [NodeFacts(name, fault=error.message, remedy=error.remedy)]
        except Exception as error:  # the boundary: ray raises what its parts raise
            found = [NodeFacts(name, fault=how_it_was_lost(error).reason)]
        return [replace(each, room=room) for each in found]

    def _look(self, name: str, node_id: str, room: int) -> list[NodeFacts]:
        at = NodeAffinitySchedulingStrategy(node_id, soft=False)
        version = ray.remote(_version).options(num_cpus=0, max_retries=0, scheduling_strategy=at).remote()
        require_same_version(_got(version, _VERSION_SECONDS, "It has begun nothing"))
        workers = self.workers.get(node_id, [])
        if not room:
            return [NodeFacts(name, remark=f"holds no worker: it does not offer {self.cluster.demand}")]
        if room <= len(workers):
            return [NodeFacts(name, remark=_PAINTING if any(workers) else _RESTING)]
        count = room - len(workers) if self.cluster.gpus_per_worker >= 1 else 1  # one for each card that is free
        cpus, gpus = self.cluster.cpus_per_worker, self.cluster.gpus_per_worker
        bench: Any = ray.remote(Bench).options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy=at)
        benches = [bench.remote(name) for _ in range(count)]
        try:
            return self._tried(name, benches)
        finally:
            for each in benches:
                kill(each)

    def _tried(self, name: str, benches: Sequence["ActorHandle[Bench]"]) -> list[NodeFacts]:
        asked: dict[ray.ObjectRef[bool], ActorHandle[Bench]] = {each.is_there.remote(): each for each in benches}
        begun, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ROOM_SECONDS)
        if not begun:
            taken = f"busy: something else has taken the {self.cluster.demand} of a worker, or it is slow to begin"
            return [NodeFacts(name, remark=taken)]
        device = "cuda" if self.cluster.gpus_per_worker else "cpu"
        arguments = (self.weights, device, self.threads, self.image_size)
        looks: list[ray.ObjectRef[NodeFacts]] = [asked[each].look.remote(*arguments) for each in begun]
        return [_got(look, _STEPS_SECONDS, "It has not taken a step") for look in looks]


def _version() -> str:
    return __version__


def _got(answer: "ray.ObjectRef[Answer]", seconds: float, late: str) -> Answer:
    try:
        return ray.get(answer, timeout=seconds)
    except ray.exceptions.GetTimeoutError as error:
        raise WorkerError(f"{late} within {seconds:g} s.", _LATE) from error


def _room(resources: Mapping[str, float], cluster: Cluster) -> int:
    """How many workers a node that offers these ``resources`` can hold."""
    wanted = {"GPU": cluster.gpus_per_worker, "CPU": cluster.cpus_per_worker}
    return min((int(resources.get(name, 0.0) / count) for name, count in wanted.items() if count), default=1)
