"""Stopped, killed, started again: what is under way goes on, and what is done is not done again."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.house import DaemonProcess, Home, Photos, program, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker by Linux's /proc"),
]

LONG = {"steps": 30, "save_every": 4, "least_gain": 0.0}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home", defaults=LONG)


def in_mid_painting(daemon: DaemonProcess, photo: str = "coffee.png") -> int:
    """Wait until a checkpoint is written and some steps more are taken; return the number of such a step."""
    return int(daemon.wait_for("step", photo, step=6)["details"]["step"])


def checkpoints(home: Home) -> list[Path]:
    return list((home.state / "checkpoints").glob("*.checkpoint"))


def steps_told(daemon: DaemonProcess) -> list[int]:
    return [event["details"]["step"] for event in daemon.told("step")]


def assert_goes_on_and_finishes(home: Home, told_before: int) -> None:
    """The next run goes on where the last one stopped, and paints the whole curve."""
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 0, daemon.log
    started = daemon.wait_for("painting", "coffee.png")
    assert "going on" in started["text"], daemon.log
    assert 1 < steps_told(daemon)[0] <= told_before + 2
    record = home.record("coffee")
    assert len(record.curve.total) == LONG["steps"]
    assert record.resumed_at_step == steps_told(daemon)[0] - 1
    assert not checkpoints(home)


def stopped_by(home: Home, how) -> DaemonProcess:
    home.drop(Photos.coffee)
    with home.daemon() as daemon:
        in_mid_painting(daemon)
        begun = time.monotonic()
        how(daemon)
        assert daemon.ended(limit_seconds=30) == 0, daemon.log
        assert time.monotonic() - begun < 10
    daemon.wait_for("stopped")
    assert len(checkpoints(home)) == 1
    assert not home.records()
    return daemon


def test_sigterm_stops_after_a_checkpoint_and_the_next_run_goes_on(home):
    daemon = stopped_by(home, lambda daemon: daemon.signal(signal.SIGTERM))
    status = json.loads(program("status", "--config", home.config, "--json").stdout)
    assert status["daemon_running"] is False
    assert status["counts"]["queued"] == 1
    assert_goes_on_and_finishes(home, steps_told(daemon)[-1])


def test_ctrl_c_in_a_terminal_stops_after_a_checkpoint_and_the_next_run_goes_on(home):
    daemon = stopped_by(home, lambda daemon: daemon.interrupt())
    assert not list(daemon.told("worker-died"))
    assert_goes_on_and_finishes(home, steps_told(daemon)[-1])


def test_a_second_signal_ends_it_at_once_and_one_is_enough_within_ten_seconds(home):
    """Even where the worker hangs: it is stopped by SIGSTOP, and can neither save nor end by itself."""
    home.drop(Photos.coffee)
    with home.daemon() as daemon:
        in_mid_painting(daemon)
        worker = daemon.worker()
        os.kill(worker, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("stopping")
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.ended(limit_seconds=30) == 0
        assert time.monotonic() - begun < 5
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker")
    with home.daemon() as daemon:
        assert "going on" in daemon.wait_for("painting", "coffee.png")["text"]
        os.kill(daemon.worker(), signal.SIGSTOP)
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.ended(limit_seconds=30) == 0
        assert time.monotonic() - begun < 10
    assert len(checkpoints(home)) == 1


def test_a_worker_killed_in_mid_job_is_replaced_and_the_job_tried_again(home):
    home.drop(Photos.coffee)
    with home.daemon("--once") as daemon:
        in_mid_painting(daemon)
        os.kill(daemon.worker(), signal.SIGKILL)
        died = daemon.wait_for("worker-died")
        assert "SIGKILL" in died["text"]
        assert daemon.ended() == 0, daemon.log
    first, second = daemon.told("painting", "coffee.png")
    assert "going on" not in first["text"]
    assert "going on" in second["text"]
    assert home.record("coffee").times.attempts == 2
    assert len(home.record("coffee").curve.total) == LONG["steps"]


def test_a_daemon_killed_in_mid_job_takes_its_worker_along_and_goes_on_at_the_next_start(home):
    home.drop(Photos.coffee)
    with home.daemon() as daemon:
        step = in_mid_painting(daemon)
        worker = daemon.worker()
        daemon.kill()
        assert daemon.ended() == -signal.SIGKILL
        wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker")
    assert_goes_on_and_finishes(home, step + 30)
    assert not [path for path in home.outbox.rglob("*") if path.suffix == ".tmp"]


def test_a_run_on_what_is_painted_paints_nothing_even_without_its_state(tmp_path):
    """Bytes and times of every file stay; the records in the outbox are enough to know the paintings by."""
    home = Home(tmp_path / "home", defaults={"steps": 3, "save_every": 2})
    home.drop(Photos.coffee)
    home.drop(Photos.rocket, "trip/rocket.jpg")
    run_once(home)
    before = home.snapshot()
    assert home.records() == ["coffee", "trip/rocket"]
    assert not list(run_once(home).told("painting"))
    assert home.snapshot() == before
    home.state.rename(tmp_path / "lost")
    assert not list(run_once(home).told("painting"))
    assert home.snapshot() == before


def run_once(home: Home) -> DaemonProcess:
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 0, daemon.log
    return daemon


def test_a_photo_with_a_problem_makes_a_single_run_end_with_one(tmp_path):
    home = Home(tmp_path / "home", defaults={"steps": 2})
    home.write("letter.jpg", "no photo\n")
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 1, daemon.log
    assert (home.outbox / "letter.jpg.problem.txt").exists()
