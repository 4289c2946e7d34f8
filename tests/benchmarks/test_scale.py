"""The simulation of many workers: nothing is lost in it, and what is measured goes through the real parts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale import STEP_SECONDS, Outcome, grow, simulate, through_the_loop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return simulate(workers=20, photos=600, painted=None, step_seconds=1e-4)


def test_every_photo_is_painted_once_though_workers_die(outcome):
    assert outcome.painted == outcome.photos >= 600
    assert outcome.deaths > 0
    assert (outcome.lost, outcome.doubled) == (0, 0)


def test_no_more_is_done_than_all_workers_at_their_speeds_can_do(outcome):
    assert 0.5 < outcome.of_ideal <= 1
    assert outcome.ideal_seconds <= outcome.seconds


def test_a_run_that_stops_in_the_middle_has_painted_as_much_as_was_asked_for():
    found = simulate(workers=5, photos=600, painted=50, step_seconds=1e-4)
    assert 50 <= found.painted < 60
    assert found.photos >= 600
    assert 0.7 < found.of_ideal <= 1


def test_two_workers_take_about_half_as_long_as_one():
    one, two = (simulate(workers, 60, None, 1e-4) for workers in (1, 2))
    assert two.seconds / two.photos == pytest.approx(one.seconds / one.photos / 2, rel=0.25)


def test_a_loop_that_takes_longer_for_a_step_keeps_workers_waiting(outcome):
    """Twenty workers take two steps in the time that it takes for one, and cannot be faster than it is."""
    slow = simulate(workers=20, photos=600, painted=None, step_seconds=STEP_SECONDS / 10)
    assert slow.of_ideal < 0.6 < outcome.of_ideal


def test_what_a_photo_costs_is_measured_in_a_queue_of_that_length():
    found = grow(300, jobs=20)
    assert found.queued == 300
    assert min(found.queue, found.paint, found.status, found.commits_per_second) > 0


def test_every_step_that_is_posted_goes_through_the_daemon_s_loop_into_the_ledger():
    """Which the measurement itself checks."""
    found = through_the_loop(workers=3, events=300)
    assert (found.workers, found.events) == (3, 300)
    assert 0 < found.median_turn <= found.longest_turn


@pytest.mark.slow
def test_it_prints_its_tables_and_writes_them(tmp_path):
    options = "--runs 2:10 3:40:12 --queued 50 --loop-workers 2 --events 40"
    command = [sys.executable, "-m", "benchmarks.scale", *options.split(), "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Simulated workers" in done.stdout and "of ideal" in done.stdout
    found = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))
    assert [row["workers"] for row in found["simulated"]] == [2, 3]
    assert found["growth"][0]["queued"] == 50
    assert found["loop"][0]["events"] == 40
