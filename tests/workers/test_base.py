"""What is known of a worker's pace, from its steps."""

import pytest

from monet_watch.workers.base import Capabilities, WorkerReady

READY = WorkerReady("cuda:1", "a card", "bf16", 8, {}, memory_bytes=2**34, node="atelier")


def test_at_first_a_worker_can_do_what_it_says_and_its_pace_is_not_known():
    known = Capabilities.of(READY)
    assert (known.device, known.kind, known.precision) == ("cuda:1", "cuda", "bf16")
    assert (known.memory_bytes, known.node, known.seconds_per_step(512 * 512)) == (2**34, "atelier", None)


def test_a_size_that_was_never_painted_takes_as_long_as_it_has_pixels_beside_the_nearest_that_was():
    known = Capabilities.of(READY).measured(256 * 256, 1.0).measured(1024 * 1024, 20.0)
    assert known.seconds_per_step(128 * 128) == pytest.approx(0.25)
    assert known.seconds_per_step(256 * 256) == pytest.approx(1.0)
    assert known.seconds_per_step(2048 * 2048) == pytest.approx(80.0)


def test_the_pace_at_a_size_follows_the_steps_of_that_size_alone():
    known = Capabilities.of(READY).measured(256 * 256, 1.0).measured(1024 * 1024, 20.0)
    for _ in range(100):
        known = known.measured(256 * 256, 3.0)
    assert known.seconds_per_step(256 * 256) == pytest.approx(3.0, rel=1e-3)
    assert known.seconds_per_step(1024 * 1024) == pytest.approx(20.0)


def test_sizes_of_nearly_the_same_number_of_pixels_share_what_is_known():
    known = Capabilities.of(READY)
    for width in range(500, 530):
        known = known.measured(512 * width, 512 * width / 2**18)
    assert len(known.step_seconds) == 1
    assert known.seconds_per_step(512 * 512) == pytest.approx(1.0)
