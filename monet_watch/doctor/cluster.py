"""Whether the cluster of the config can be used, and what its machines are like."""

from collections.abc import Iterator, Mapping

from monet_watch.config import Config
from monet_watch.doctor.findings import Finding, Premises, fine, note, wrong
from monet_watch.doctor.machine import STEP_SIZE
from monet_watch.errors import WeightsError
from monet_watch.household import cluster_of, find_weights, threads_there
from monet_watch.wording import number
from monet_watch.workers.cluster import Connected, NodeFacts
from monet_watch.workers.nodes import examine_nodes

__all__ = ["check_cluster", "look_at_nodes"]

_MEND = "Mend it on that machine, or take it out of the cluster: ray stop."


def check_cluster(premises: Premises) -> Iterator[Finding]:
    """Whether the cluster is there, if the config names one, and what a step takes at each of its nodes."""
    given = premises.config.cluster
    if given is None:
        return
    most_room, here = 0, premises.torch().version
    try:
        for report in premises.nodes():
            if isinstance(report, Connected):
                yield fine("cluster", f"{given.address}: {report.words}")
            else:
                most_room = max(most_room, report.room)
                yield from _of_node(report, here)
    except WeightsError:  # of which another check tells; without them no step can be taken
        return
    if not most_room:
        demand = cluster_of(given, "doctor").demand
        remedy = "Join machines that have it, or have workers take less: cluster.gpus_per_worker and cpus_per_worker."
        yield wrong("cluster", f"No machine of the cluster can hold a worker, which takes {demand}.", remedy)


def _of_node(facts: NodeFacts, torch_here: str) -> Iterator[Finding]:
    if facts.fault:
        where = f"{facts.node}: {facts.device}: " if facts.device else f"{facts.node}: "
        yield wrong("node", where + facts.fault, facts.remedy or _MEND)
    elif facts.remark:
        yield note("node", f"{facts.node}: {facts.remark}")
    else:
        yield fine("node", f"{facts.node}: {facts.device}, {facts.name}, {_abilities(facts)}")
    if facts.torch and torch_here and facts.torch != torch_here:
        text = f"{facts.node} has torch {facts.torch}, and this machine {torch_here}."
        yield note("node", text, "Paintings may differ in their last bits; with the same torch on all they do not.")


def _abilities(facts: NodeFacts) -> str:
    kind = "" if facts.device.startswith("cuda") else " free"
    memory = f"{facts.memory_bytes / 2**30:.1f} GiB{kind}, " if facts.memory_bytes is not None else ""
    step = f"{number(facts.seconds_per_step or 0.0)} s for a step at {STEP_SIZE} × {STEP_SIZE} pixels"
    workers = f"room for {facts.room} worker{'s' * (facts.room != 1)}"
    return f"{memory}{facts.precision}, {step}; {workers}"


def look_at_nodes(config: Config, environ: Mapping[str, str]) -> Iterator[Connected | NodeFacts]:
    """Yield what the config's cluster is like, as `examine_nodes`. Raises WeightsError and WorkerError."""
    given = config.cluster
    if given is not None:
        weights_file = find_weights(config, environ)
        yield from examine_nodes(cluster_of(given, "doctor"), weights_file, threads_there(given, config), STEP_SIZE)
