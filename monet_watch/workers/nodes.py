"""What the nodes of a Ray cluster are like, for the doctor; the daemon's workers there are those of `ray`."""

import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from monet_watch.errors import WorkerError
from monet_watch.workers.base import WeightsFile
from monet_watch.workers.cluster import Cluster, Connected, NodeFacts, Unreachable
from monet_watch.workers.process import SPAWN, start_process
from monet_watch.workers.ray_entry import CONNECT_SECONDS, join_cluster

__all__ = ["examine_nodes"]

_LONGEST_SECONDS = 600.0  # more than all that `ray_nodes` waits for
_KILL_SECONDS = 10.0


def examine_nodes(
    cluster: Cluster, weights: WeightsFile, threads: int | None, image_size: int
) -> Iterator[Connected | NodeFacts]:
    """Yield that ``cluster`` is there, then what is found at its nodes, whichever answers first.

    Where there is room for a worker a few steps are taken, on a square with sides of ``image_size`` pixels. Ray is in a
    process of its own meanwhile. Raises WorkerError where the cluster cannot be reached, or used, or is lost.
    """
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = start_process(_examine, (theirs, cluster, weights, threads, image_size), "monet-watch doctor")
    theirs.close()
    try:
        with ours:
            yield from _reports(ours, cluster)
    finally:
        process.kill()
        process.join(_KILL_SECONDS)


def _reports(ours: Connection, cluster: Cluster) -> Iterator[Connected | NodeFacts]:
    seconds, until = CONNECT_SECONDS, time.monotonic() + CONNECT_SECONDS + _LONGEST_SECONDS
    while ours.poll(seconds):
        try:
            report: Connected | NodeFacts | Unreachable | None = ours.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(
                f"{cluster.words} is lost: the process that looked at it has ended.", "Look again."
            ) from error
        if report is None:
            return
        if isinstance(report, Unreachable):
            raise WorkerError(report.reason, report.remedy)
        yield report
        seconds = max(0.0, until - time.monotonic())
    raise WorkerError(f"{cluster.words} does not answer.", "Is it up, and does the firewall let it be reached?")


# What follows runs in the new process. Ray is imported there alone.


def _examine(
    connection: Connection, cluster: Cluster, weights: WeightsFile, threads: int | None, image_size: int
) -> None:
    joined = join_cluster(connection, cluster, weights)
    if joined is None:
        return
    from monet_watch.workers.ray_nodes import examine

    examine(connection, cluster, joined, threads, image_size)
    os._exit(0)  # the daemon's actors go on
