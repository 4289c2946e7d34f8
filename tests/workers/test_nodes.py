"""What the doctor is told of a cluster's nodes: two nodes of a real one, on this machine."""

import queue
import uuid
from pathlib import Path

import pytest

from monet_watch.errors import WorkerError
from monet_watch.recipes import Recipe
from monet_watch.workers.base import Allowance, JobStarted, PaintJob, PictureFile, WorkerReady
from monet_watch.workers.cluster import NAMESPACE_PREFIX, Cluster, Connected
from monet_watch.workers.nodes import examine_nodes
from monet_watch.workers.ray import RayCluster
from tests.ray_head import PATIENCE_SECONDS, RayHead

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds Ray's processes by Linux's /proc")


@pytest.fixture(scope="module")
def head():
    """One processor, and a node with two; their names are the same, since they are one machine."""
    with RayHead(cpus=1) as head:
        head.add_node(cpus=2)
        yield head


def cluster(head, cpus_per_worker):
    return Cluster(head.address, NAMESPACE_PREFIX + uuid.uuid4().hex, 0, cpus_per_worker, 60, head.token_file)


def test_at_every_node_that_holds_a_worker_steps_are_taken(head, tiny_weights):
    connected, *found = examine_nodes(cluster(head, 1), tiny_weights, 1, 32)

    assert connected == Connected(2)
    assert sorted(each.room for each in found) == [1, 2]
    for each in found:
        assert (each.device, each.fault, each.remark) == ("cpu", "", "")
        assert each.seconds_per_step > 0 and each.memory_bytes > 0 and each.torch


@pytest.mark.slow
def test_a_node_is_busy_where_workers_paint_and_holds_none_where_one_does_not_fit(head, tiny_weights, make_photo):
    said = queue.Queue()
    large = cluster(head, 2)
    worker = RayCluster(large, tiny_weights, Allowance(threads=1)).worker("ray:1", said.put)
    worker.start()
    wait_for(said, WorkerReady)
    picture = PictureFile("photo.png", make_photo(32, 32))
    worker.offer(PaintJob(1, "it", picture, (picture,), Recipe(image_size=32, steps=100_000), 10**6))
    wait_for(said, JobStarted)
    _, *found = examine_nodes(large, tiny_weights, 1, 32)
    worker.stop(PATIENCE_SECONDS)

    assert {each.room: each.remark for each in found} == {
        0: "holds no worker: it does not offer 2 CPU",
        1: "busy: its workers are painting",
    }


def wait_for(said, kind):
    while not isinstance(said.get(timeout=PATIENCE_SECONDS), kind):
        pass


def test_a_cluster_that_nobody_answers_for_is_told_at_once(tiny_weights):
    with pytest.raises(WorkerError, match=r"127\.0\.0\.1:9 does not answer: Connection refused.*ray start --head"):
        list(examine_nodes(Cluster("127.0.0.1:9", "test"), tiny_weights, 1, 32))
