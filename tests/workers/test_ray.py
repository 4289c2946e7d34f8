"""What the daemon hears of a cluster that is slow to answer, or of no use: with ray, and without any cluster."""

import platform
import queue
import socket

import pytest
import ray
from ray._private.utils import check_version_info

from monet_watch import __version__
from monet_watch.workers import ray as ray_workers
from monet_watch.workers.base import Allowance, WorkerWaits
from monet_watch.workers.cluster import Cluster
from monet_watch.workers.ray import RayCluster
from monet_watch.workers.ray_faults import cannot_connect, how_it_was_lost

PATIENCE_SECONDS = 120
CLIENT = Cluster("ray://10.0.0.1:10001", "test")


def test_while_a_cluster_has_not_answered_its_workers_say_that_they_wait_for_it(tiny_weights, monkeypatch):
    monkeypatch.setattr(ray_workers, "_CONNECTING_SECONDS", 0.1)
    said = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        worker = RayCluster(Cluster(address, "test"), tiny_weights, Allowance()).worker("ray:1", said.put)
        worker.start()
        heard = said.get(timeout=PATIENCE_SECONDS)
        worker.stop(0)
    assert heard == WorkerWaits(f"it is connecting; The Ray cluster at {address} has not answered yet")


@pytest.mark.parametrize("other", [{"ray_version": "99.1.0"}, {"python_version": "3.99.1"}])
def test_ray_s_own_words_about_other_versions_are_understood(other):
    same = {"ray_version": ray.__version__, "python_version": platform.python_version()}
    there = same | other
    with pytest.raises(RuntimeError) as raised:
        check_version_info(there, "node 10.0.0.2")
    told = str(cannot_connect(CLIENT, raised.value, ""))
    assert f"runs Ray {there['ray_version']} and Python {there['python_version']}, and this machine" in told
    assert "Install the same versions" in told


def test_a_server_that_fails_before_it_can_tell_its_version_is_told_with_ours_and_the_reason():
    error = ConnectionAbortedError("Initialization failure from server:\nTraceback:\n  File x\nAttributeError: no y")
    told = str(cannot_connect(CLIENT, error, ""))
    assert f"Ray {ray.__version__}" in told and "AttributeError: no y." in told and "other versions" in told


@pytest.mark.parametrize(("mode", "words"), [("token", "does not accept the token"), ("disabled", "there is none")])
def test_a_refused_token_and_one_that_is_missing_are_told_apart(monkeypatch, mode, words):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert words in str(cannot_connect(CLIENT, ConnectionError(), "UNAUTHENTICATED: InvalidAuthToken"))


def test_an_actor_that_cannot_be_made_is_told_with_the_reason_and_the_version_that_nodes_need():
    cause = ray.exceptions.RayTaskError("__init__", "TypeError: no argument x", TypeError(), actor_id="1")
    died = how_it_was_lost(ray.exceptions.ActorDiedError(cause))
    assert died.blameless and "TypeError: no argument x" in died.reason and f"monet-watch {__version__}?" in died.reason
