"""What runs on a node of a cluster ends as a whole, whoever is there to see to it: here without the cluster."""

import threading

import pytest

from monet_watch.workers.base import Allowance, WorkerReady
from monet_watch.workers.studio import Studio, WeightsData

PATIENCE_SECONDS = 120


@pytest.fixture
def make_studio(tiny_weights):
    def make(linger_seconds):
        ended = threading.Event()
        return Studio(WeightsData.of(tiny_weights), "cpu", Allowance(threads=1), linger_seconds, ended.set), ended

    return make


def test_one_that_is_told_to_close_ends_its_process_and_then_itself(make_studio):
    """Otherwise the next daemon would find an actor that takes jobs, and nobody in it who paints them."""
    studio, ended = make_studio(linger_seconds=600)
    assert isinstance(next(studio.listen()), WorkerReady)
    assert not ended.is_set()
    studio.close(PATIENCE_SECONDS)
    assert ended.is_set() and studio.pids() == ()


def test_so_does_one_to_which_nobody_listens(make_studio):
    studio, ended = make_studio(linger_seconds=0.1)
    assert ended.wait(PATIENCE_SECONDS)
    assert studio.pids() == ()
