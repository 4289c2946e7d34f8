"""The ledger keeps what it was told, refuses what makes no sense, and is still right after a kill."""

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from monet_watch.errors import LedgerError
from monet_watch.ledger import BATCH_PAUSE_SECONDS, Attempt, Job, JobState, Ledger, NewPhoto, WholePhoto
from monet_watch.sketch import Sketch

PHOTO = PurePosixPath("holiday/IMG_1234.jpg")
OTHER = PurePosixPath("holiday/IMG_1235.jpg")
FOLDER = PurePosixPath("holiday/IMG_1234")
WAITING, QUEUED, RUNNING, DONE, PROBLEM = JobState


class Clock:
    """Seconds since the epoch, one more each time it is asked."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(file: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(file, clock) as ledger:
        yield ledger


def queue(ledger: Ledger, path: PurePosixPath = PHOTO, identity: str = "a", **changes: Any) -> Job:
    facts: dict[str, Any] = {
        "size": 1000,
        "mtime_ns": 5,
        "photo_sha256": f"photo {identity}",
        "settings_key": "key",
        "settings": '{"steps": 400}',
        "steps": 400,
    }
    return ledger.queue(path, identity=identity, **{**facts, **changes})


def wait(ledger: Ledger, path: PurePosixPath = PHOTO, **changes: Any) -> Job:
    return ledger.wait(path, **{"size": 10, "mtime_ns": 1, "reason": "It is on its way.", **changes})


def remember(ledger: Ledger, path: PurePosixPath = PHOTO, identity: str = "a", **changes: Any) -> Job:
    facts: dict[str, Any] = {
        "size": 1000,
        "mtime_ns": 5,
        "photo_sha256": "photo",
        "settings_key": "key",
        "settings": "{}",
        "steps": 400,
        "folder": FOLDER,
        "loss": 39.4,
        "width": 768,
        "height": 512,
        "finished_at": 1_600_000_000.0,
    }
    return ledger.remember(path, identity=identity, **{**facts, **changes})


def run(ledger: Ledger, path: PurePosixPath = PHOTO, identity: str = "a") -> Job:
    return ledger.start(queue(ledger, path, identity).id, "cpu")


def done(ledger: Ledger, path: PurePosixPath = PHOTO, identity: str = "a") -> Job:
    job = run(ledger, path, identity)
    ledger.place(job.id, PurePosixPath(f"{path.with_suffix('')}-{identity}"))
    return ledger.finish(job.id)


def problem(ledger: Ledger, path: PurePosixPath = PHOTO, identity: str = "a") -> Job:
    return ledger.fail(
        queue(ledger, path, identity).id, kind="NotAPhotoError", reason="It is text.", remedy="Replace it."
    )


def ids(jobs: tuple[Job, ...]) -> list[int]:
    return [job.id for job in jobs]


class TestWait:
    def test_a_photo_on_its_way_is_written_down_with_the_reason(self, ledger):
        job = ledger.wait(PHOTO, size=10, mtime_ns=7, reason="Its settings are broken.", remedy="Mend them.", kind="E")

        assert (job.path, job.state, job.size, job.mtime_ns) == (PHOTO, WAITING, 10, 7)
        assert (job.reason, job.remedy, job.kind) == ("Its settings are broken.", "Mend them.", "E")
        assert job.identity is None
        assert ledger.get(job.id) == job

    def test_waiting_again_changes_the_row_and_makes_no_other(self, ledger):
        first = wait(ledger)

        second = wait(ledger, size=20, reason="Still.")

        assert (second.id, second.size, second.reason, second.seen_at) == (first.id, 20, "Still.", first.seen_at)
        assert ids(ledger.known(PHOTO)) == [first.id]

    @pytest.mark.parametrize("make", [queue, problem])
    def test_a_queued_photo_or_a_problem_can_be_set_back(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        waiting = wait(ledger)

        assert (waiting.id, waiting.state, waiting.queued_at, waiting.finished_at) == (job.id, WAITING, None, None)

    @pytest.mark.parametrize("make", [run, done])
    def test_a_photo_that_changes_after_its_start_gets_a_second_row(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        waiting = wait(ledger)

        assert ids(ledger.known(PHOTO)) == [waiting.id, job.id]
        assert ledger.get(job.id) == job


class TestQueue:
    def test_a_whole_photo_takes_its_place_with_everything_that_is_known_of_it(self, ledger, clock):
        waiting = wait(ledger, kind="E", remedy="Patience.")

        job = queue(ledger)

        assert job == Job(
            waiting.id,
            PHOTO,
            QUEUED,
            size=1000,
            mtime_ns=5,
            photo_sha256="photo a",
            settings_key="key",
            identity="a",
            settings='{"steps": 400}',
            steps=400,
            seen_at=waiting.seen_at,
            queued_at=clock.time,
        )

    def test_queued_again_with_the_same_identity_it_keeps_its_place_attempts_and_folder(self, ledger):
        job = run(ledger)
        ledger.place(job.id, FOLDER)
        job = ledger.requeue(job.id, outcome="worker died")
        queue(ledger, OTHER, "b")

        again = queue(ledger, mtime_ns=6)

        assert (again.id, again.mtime_ns, again.queued_at) == (job.id, 6, job.queued_at)
        assert (again.attempts, again.folder) == (1, FOLDER)
        assert ledger.next_queued() == again

    def test_with_another_identity_it_is_another_painting_and_begins_anew(self, ledger):
        job = run(ledger)
        ledger.place(job.id, FOLDER)
        ledger.sized(job.id, 640, 480)
        ledger.progress(job.id, step=9, loss=3.0, seconds_per_step=1.0)
        job = ledger.requeue(job.id, outcome="worker died")

        anew = queue(ledger, identity="b")

        assert (anew.id, anew.identity, anew.attempts, anew.folder) == (job.id, "b", 0, None)
        assert (anew.step, anew.loss, anew.seconds_per_step, anew.width, anew.height) == (0, None, None, None, None)
        assert anew.queued_at > job.queued_at
        assert ledger.folder_owner(FOLDER) is None

    @pytest.mark.parametrize("make", [run, done])
    def test_what_is_painted_or_under_way_is_not_queued_but_is_the_newest_again(self, ledger, make):
        job = make(ledger)
        waiting = wait(ledger, mtime_ns=99)

        found = queue(ledger, size=1000, mtime_ns=99)

        assert (found.id, found.state, found.mtime_ns, found.attempts) == (job.id, job.state, 99, 1)
        assert ledger.known(PHOTO) == (found,)
        with pytest.raises(LedgerError):
            ledger.get(waiting.id)

    def test_a_photo_changed_back_to_what_was_painted_before_leads_to_that_painting(self, ledger):
        first, second = done(ledger, identity="a"), done(ledger, identity="b")
        assert ids(ledger.known(PHOTO)) == [second.id, first.id]

        queue(ledger, identity="a")

        assert ids(ledger.known(PHOTO)) == [first.id, second.id]

    def test_a_problem_that_is_queued_again_has_none_any_more(self, ledger):
        problem(ledger)

        job = queue(ledger)

        assert (job.state, job.kind, job.reason, job.remedy, job.finished_at) == (QUEUED, "", "", "", None)

    def test_a_copy_of_a_painted_photo_is_queued(self, ledger):
        done(ledger, PHOTO)

        assert queue(ledger, OTHER).state is QUEUED

    def test_the_same_settings_are_stored_once(self, ledger, file):
        for number in range(50):
            queue(ledger, PurePosixPath(f"{number}.jpg"), settings="x" * 10_000)

        with contextlib.closing(sqlite3.connect(file)) as raw:
            assert raw.execute("SELECT count(*) FROM plans").fetchone() == (1,)
        assert {job.settings for job in ledger.overview(50).queued} == {"x" * 10_000}


class TestForget:
    @pytest.mark.parametrize("make", [wait, queue, problem])
    def test_a_photo_that_is_gone_leaves_no_unfinished_row(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        assert ledger.forget(PHOTO) == (job,)
        assert ledger.known(PHOTO) == ()

    def test_paintings_made_or_under_way_stay(self, ledger):
        first, second = done(ledger, identity="a"), run(ledger, identity="b")

        assert ledger.forget(PHOTO) == ()
        assert ids(ledger.known(PHOTO)) == [second.id, first.id]

    def test_the_id_of_a_forgotten_job_is_never_given_again(self, ledger):
        job = queue(ledger)
        ledger.forget(PHOTO)

        assert queue(ledger).id != job.id

    def test_its_attempts_go_with_it(self, ledger, file):
        job = run(ledger)
        ledger.requeue(job.id, outcome="stopped")
        ledger.forget(PHOTO)

        assert ledger.attempts(job.id) == ()


class TestFolders:
    def test_a_folder_belongs_to_the_job_that_was_placed_there(self, ledger):
        job = ledger.place(queue(ledger).id, FOLDER)

        assert job.folder == FOLDER
        assert ledger.folder_owner(FOLDER) == job
        assert ledger.folder_owner(PurePosixPath("elsewhere")) is None

    @pytest.mark.parametrize(
        ("stored", "asked"),
        [
            ("Été/IMG", "e\u0301te\u0301/img"),  # decomposed, and another case
            ("e\u0301te\u0301", "ÉTÉ"),
            ("STRASSE", "straße"),
            ("µm", "μm"),  # the micro sign and the Greek letter
        ],
    )
    def test_names_that_a_share_takes_for_one_are_one_folder(self, ledger, stored, asked):
        job = ledger.place(queue(ledger).id, PurePosixPath(stored))

        assert ledger.folder_owner(PurePosixPath(asked)) == job
        assert str(job.folder) == stored

    def test_nobody_is_placed_in_the_folder_of_another(self, ledger):
        ledger.place(queue(ledger, PHOTO).id, FOLDER)
        other = queue(ledger, OTHER)

        with pytest.raises(LedgerError, match="IMG_1234"):
            ledger.place(other.id, PurePosixPath("holiday/img_1234"))
        with pytest.raises(LedgerError, match="IMG_1234"):
            ledger.adopt(other.id, FOLDER)
        assert ledger.get(other.id) == other

    def test_a_job_may_be_placed_where_it_is(self, ledger):
        job = ledger.place(queue(ledger).id, FOLDER)

        assert ledger.place(job.id, FOLDER) == job


class TestTheWayOfAJob:
    def test_a_start_is_an_attempt(self, ledger, clock):
        job = ledger.start(queue(ledger).id, "cuda:1")

        assert (job.state, job.attempts, job.worker, job.started_at) == (RUNNING, 1, "cuda:1", clock.time)
        assert ledger.attempts(job.id) == (Attempt(job.id, 1, "cuda:1", clock.time),)
        assert ledger.running() == (job,)

    def test_progress_can_be_read(self, ledger):
        job = run(ledger)

        ledger.sized(job.id, 768, 512)
        ledger.progress(job.id, step=100, loss=192.5, seconds_per_step=1.5)

        job = ledger.get(job.id)
        assert (job.step, job.loss, job.width, job.height) == (100, 192.5, 768, 512)
        assert job.seconds_per_step == 1.5

    def test_a_loss_that_is_no_number_is_none(self, ledger):
        job = run(ledger)

        ledger.progress(job.id, step=1, loss=float("nan"), seconds_per_step=None)

        assert ledger.get(job.id).loss is None

    def test_a_finished_job_is_done_with_its_last_loss(self, ledger, clock):
        job = run(ledger)
        ledger.progress(job.id, step=400, loss=40.0, seconds_per_step=1.0)

        job = ledger.finish(job.id)

        assert (job.state, job.loss, job.finished_at, job.worker) == (DONE, 40.0, clock.time, "cpu")
        (attempt,) = ledger.attempts(job.id)
        assert attempt.outcome == "done"
        assert attempt.ended_at is not None

    def test_the_loss_told_at_the_end_counts(self, ledger):
        assert ledger.finish(run(ledger).id, loss=39.4).loss == 39.4

    def test_an_adopted_job_is_done_without_an_attempt(self, ledger, clock):
        job = ledger.adopt(queue(ledger).id, FOLDER)

        assert (job.state, job.folder, job.attempts, job.finished_at) == (DONE, FOLDER, 0, clock.time)
        assert ledger.attempts(job.id) == ()

    def test_an_adopted_job_is_as_far_and_as_large_as_what_was_copied(self, ledger):
        job = ledger.adopt(queue(ledger).id, FOLDER, step=58, loss=39.4, width=512, height=640)

        assert (job.step, job.loss, job.width, job.height) == (58, 39.4, 512, 640)

    def test_a_running_job_can_fail(self, ledger, clock):
        job = ledger.fail(run(ledger).id, kind="PaintingError", reason="Not finite.", remedy="Lower lr.")

        assert (job.state, job.kind, job.reason, job.remedy) == (PROBLEM, "PaintingError", "Not finite.", "Lower lr.")
        assert job.finished_at == clock.time
        assert [(a.outcome, a.detail) for a in ledger.attempts(job.id)] == [("problem", "Not finite.")]
        assert ledger.problems() == (job,)

    def test_a_queued_job_can_fail_without_an_attempt(self, ledger):
        job = problem(ledger)

        assert (job.state, job.attempts) == (PROBLEM, 0)

    def test_an_interrupted_attempt_can_be_taken_off_again_but_stays_in_the_list(self, ledger):
        job = run(ledger)
        ledger.requeue(job.id, outcome="worker died", detail="signal 9")
        ledger.start(job.id, "cpu")

        job = ledger.requeue(job.id, outcome="stopped", counts=False)

        assert (job.state, job.attempts, job.worker, job.started_at) == (QUEUED, 1, "", None)
        told = [(a.number, a.outcome, a.detail) for a in ledger.attempts(job.id)]
        assert told == [(1, "worker died", "signal 9"), (2, "stopped", "")]

    def test_a_job_that_is_queued_again_is_the_next(self, ledger):
        job = run(ledger, PHOTO, "a")
        queue(ledger, OTHER, "b")

        again = ledger.requeue(job.id, outcome="stopped")

        assert again.queued_at == job.queued_at
        assert ledger.next_queued() == again

    @pytest.mark.parametrize("make", [queue, run])
    def test_a_photo_that_was_not_whole_waits_again(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        waiting = ledger.unsettle(job.id, reason="It ends too early.", remedy="Wait.", kind="TruncatedPhotoError")

        assert (waiting.id, waiting.state, waiting.queued_at, waiting.worker) == (job.id, WAITING, None, "")
        assert (waiting.reason, waiting.remedy, waiting.kind) == ("It ends too early.", "Wait.", "TruncatedPhotoError")
        assert all(attempt.outcome == "not whole" for attempt in ledger.attempts(job.id))
        assert ledger.waiting() == (waiting,)


class TestRetry:
    def test_a_problem_goes_to_the_end_of_the_queue_with_nothing_held_against_it(self, ledger):
        job = run(ledger, PHOTO, "a")
        job = ledger.fail(job.id, kind="WorkerError", reason="It died.", remedy="")
        queue(ledger, OTHER, "b")

        (again,) = ledger.retry(PHOTO)

        assert (again.id, again.state, again.attempts, again.reason, again.kind) == (job.id, QUEUED, 0, "", "")
        assert [each.path for each in ledger.overview().queued] == [OTHER, PHOTO]
        assert len(ledger.attempts(job.id)) == 1

    def test_all_problems_can_be_tried_again_in_their_order(self, ledger):
        first, second = problem(ledger, PHOTO, "a"), problem(ledger, OTHER, "b")
        wait(ledger, PurePosixPath("new.jpg"))

        assert ids(ledger.retry()) == [first.id, second.id]
        assert ids(ledger.overview().queued) == [first.id, second.id]
        assert ledger.overview().counts[WAITING] == 1

    @pytest.mark.parametrize("make", [wait, queue, run, done])
    def test_what_is_no_problem_is_left_alone(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        assert ledger.retry(PHOTO) == ()
        assert ledger.retry() == ()
        assert ledger.get(job.id).state is job.state

    def test_a_photo_that_could_not_be_read_has_no_identity_and_waits(self, ledger):
        job = wait(ledger)
        ledger.fail(job.id, kind="UnreadablePhotoError", reason="Permission denied.", remedy="Allow it.")

        (again,) = ledger.retry()

        assert (again.id, again.state, again.queued_at, again.reason) == (job.id, WAITING, None, "")


class TestOvertaken:
    """A running job whose photo has changed meanwhile is finished, or goes; it never stands beside the newer one."""

    ENDS: tuple[Callable[[Ledger, Job], object], ...] = (
        lambda ledger, job: ledger.requeue(job.id, outcome="stopped", counts=False),
        lambda ledger, job: ledger.fail(job.id, kind="E", reason="It failed.", remedy=""),
        lambda ledger, job: ledger.unsettle(job.id, reason="It ends too early."),
    )

    @pytest.mark.parametrize("end", ENDS)
    def test_by_a_changed_photo_it_goes_when_it_ends_without_a_painting(self, ledger, end):
        job = run(ledger, identity="a")
        newer = queue(ledger, identity="b")

        assert end(ledger, job) == newer
        assert ledger.known(PHOTO) == (newer,)

    @pytest.mark.parametrize("end", ENDS)
    def test_by_an_earlier_painting_that_is_wanted_again_it_goes_too(self, ledger, end):
        finished = done(ledger, identity="a")
        job = run(ledger, identity="b")
        wanted = queue(ledger, identity="a")

        assert end(ledger, job) == wanted
        assert ledger.known(PHOTO) == (ledger.get(finished.id),)

    def test_at_a_restart_it_is_not_brought_back(self, ledger):
        run(ledger, identity="a")
        newer = queue(ledger, identity="b")

        assert ledger.recover() == ()
        assert ledger.known(PHOTO) == (newer,)

    def test_it_can_be_finished(self, ledger):
        job = run(ledger, identity="a")
        newer = queue(ledger, identity="b")

        assert ledger.finish(job.id).state is DONE
        assert ids(ledger.known(PHOTO)) == [newer.id, job.id]

    def test_the_newer_one_waits_until_it_has_ended(self, ledger):
        job = run(ledger, identity="a")
        newer = queue(ledger, identity="b")

        assert ledger.next_queued() is None
        with pytest.raises(LedgerError, match="under way"):
            ledger.start(newer.id, "cuda:1")
        ledger.finish(job.id)
        assert ledger.next_queued() == newer


class TestNextQueued:
    def test_who_has_waited_longest_is_next(self, ledger):
        jobs = [queue(ledger, PurePosixPath(f"{name}.jpg"), name) for name in "cab"]

        order = []
        while (job := ledger.next_queued()) is not None:
            order.append(job.id)
            ledger.start(job.id, "cpu")

        assert order == ids(tuple(jobs))

    def test_of_two_at_the_same_moment_the_first_is_next(self, file):
        with Ledger.open(file, lambda: 1.0) as ledger:
            first = queue(ledger, OTHER, "b")
            queue(ledger, PHOTO, "a")

            assert ledger.next_queued() == first

    def test_a_copy_of_the_photo_under_way_is_passed_over_until_that_is_done(self, ledger):
        job = run(ledger, PHOTO, "a")
        copy = queue(ledger, OTHER, "a")
        later = queue(ledger, PurePosixPath("later.jpg"), "c")

        assert ledger.next_queued() == later
        with pytest.raises(LedgerError, match="under way"):
            ledger.start(copy.id, "cuda:1")
        ledger.finish(job.id)
        assert ledger.next_queued() == copy

    def test_an_empty_queue_has_no_next(self, ledger):
        wait(ledger)
        problem(ledger, OTHER)

        assert ledger.next_queued() is None


class TestTurns:
    """The order of the queue, as the ledger's docstring states it."""

    def test_the_highest_priority_comes_first(self, ledger):
        for name, priority in (("low", -1), ("middle", 0), ("high", 7)):
            queue(ledger, PurePosixPath(f"{name}.jpg"), name, priority=priority)

        assert painted(ledger) == ["high.jpg", "middle.jpg", "low.jpg"]

    def test_folders_take_turns(self, file):
        with Ledger.open(file, lambda: 1.0) as ledger:
            for folder in "abc":
                for number in range(3):
                    queue(ledger, PurePosixPath(f"{folder}/{number}"), f"{folder}{number}")

            order = painted(ledger)

        assert order == ["a/0", "b/0", "c/0", "a/1", "b/1", "c/1", "a/2", "b/2", "c/2"]

    def test_a_photo_that_comes_alone_does_not_wait_for_the_bulk_in_its_own_folder(self, file):
        clock = Hands()
        with Ledger.open(file, clock) as ledger:
            for number in range(1000):
                queue(ledger, PurePosixPath(f"{number}.jpg"), f"{number}")
            clock.time += BATCH_PAUSE_SECONDS
            queue(ledger, PurePosixPath("alone.jpg"), "alone")

            assert painted(ledger, 3) == ["0.jpg", "alone.jpg", "1.jpg"]

    def test_a_clock_that_is_set_back_makes_nobody_wait_for_a_bulk(self, file):
        clock = Hands()
        with Ledger.open(file, clock) as ledger:
            queue(ledger, PurePosixPath("bulk/before.jpg"), "before")
            clock.time -= 3600
            for number in range(100):
                queue(ledger, PurePosixPath(f"bulk/{number}.jpg"), f"{number}")
            queue(ledger, PurePosixPath("alone.jpg"), "alone")

            assert "alone.jpg" in painted(ledger, 4)

    def test_the_list_of_what_comes_next_is_in_that_order(self, ledger):
        for name, priority in (("a/0", 0), ("a/1", 0), ("b/0", 0), ("c/0", 1)):
            queue(ledger, PurePosixPath(name), name, priority=priority)

        told = [str(job.path) for job in ledger.overview().queued]

        assert told == painted(ledger)

    def test_another_priority_moves_what_is_queued_of_a_folder_and_nothing_else(self, ledger):
        for name in ("a/0", "a/1", "a/b/0", "c/0"):
            queue(ledger, PurePosixPath(name), name)

        ledger.prioritise(PurePosixPath("c"), 1)
        ledger.prioritise(PurePosixPath("a/b"), -1)

        assert [job.priority for job in ledger.overview().queued] == [1, 0, 0, -1]
        assert painted(ledger) == ["c/0", "a/0", "a/1", "a/b/0"]

    def test_a_bulk_that_is_given_a_priority_begins_its_turns_beside_those_that_have_it(self, ledger):
        for number in range(6):
            queue(ledger, PurePosixPath(f"vip/{number}"), f"vip{number}", priority=1)
        assert painted(ledger, 3) == ["vip/0", "vip/1", "vip/2"]
        for number in range(6):
            queue(ledger, PurePosixPath(f"bulk/{number}"), f"bulk{number}")

        ledger.prioritise(PurePosixPath("bulk"), 1)

        assert painted(ledger, 5) == ["vip/3", "bulk/0", "vip/4", "bulk/1", "vip/5"]

    def test_the_front_of_the_queue_is_in_that_order_and_says_what_may_begin_in_any(self, file):
        with Ledger.open(file, lambda: 1.0) as ledger:
            for name, priority in (("a/0", 0), ("a/1", 0), ("b/0", 0), ("c/0", 0), ("vip/0", 1)):
                queue(ledger, PurePosixPath(name), name, priority=priority)

            front = ledger.front(10)

            assert [each.identity for each in front] == painted(ledger)
        assert [each.identity for each in front] == ["vip/0", "a/0", "b/0", "c/0", "a/1"]
        turns = [each.turn for each in front]
        assert turns == sorted(turns)
        assert [turns.count(turn) for turn in dict.fromkeys(turns)] == [1, 1, 3]

    def test_the_first_few_photos_of_a_batch_go_ahead_of_a_bulk(self, file):
        clock = Hands()
        with Ledger.open(file, clock) as ledger:
            for number in range(20):
                queue(ledger, PurePosixPath(f"bulk/{number}"), f"bulk/{number}")
            painted(ledger, 8)
            clock.time += 1
            for number in range(6):
                queue(ledger, PurePosixPath(f"new/{number}"), f"new/{number}")

            turns = {each.identity: each.turn for each in ledger.front(20)}

        for number in range(4):
            assert turns[f"new/{number}"] < turns[f"bulk/{number + 9}"] < turns[f"new/{number + 1}"]
        assert turns["new/4"] == turns["bulk/13"]

    def test_the_front_of_the_queue_is_no_longer_than_was_asked_for(self, ledger):
        for number in range(5):
            queue(ledger, PurePosixPath(f"{number}"), f"{number}")

        assert [each.identity for each in ledger.front(2)] == ["0", "1"]

    def test_a_job_that_its_worker_died_of_has_its_place_again(self, ledger):
        jobs = [queue(ledger, PurePosixPath(f"{number}.jpg"), f"{number}") for number in range(3)]
        ledger.start(jobs[0].id, "cpu")
        ledger.requeue(jobs[0].id, outcome="worker died")

        assert painted(ledger) == ["0.jpg", "1.jpg", "2.jpg"]

    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0.0, BATCH_PAUSE_SECONDS])), max_size=40))
    @settings(max_examples=60, deadline=None)
    def test_nobody_starves_and_a_batch_keeps_its_order(self, arrivals):
        """Even while a photo arrives with every painting: a round can at most double the one before."""
        clock, order, batches = Hands(), list[str](), dict[tuple[str, int], list[str]]()
        last = dict[str, tuple[float, int]]()
        with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder, "ledger.db"), clock) as ledger:
            for number in range(4):
                queue(ledger, PurePosixPath(f"bulk/{number}"), f"bulk/{number}")
            for number, (name, pause) in enumerate(arrivals):
                clock.time += pause
                before, count = last.get(name, (-100.0, 0))
                last[name] = clock.time, count + (clock.time - before >= BATCH_PAUSE_SECONDS)
                batches.setdefault((name, last[name][1]), []).append(f"{name}/{number}")
                queue(ledger, PurePosixPath(f"{name}/{number}"), f"{name}/{number}")
                order += painted(ledger, 1)
            order += painted(ledger)

        batches["bulk", 1] = [f"bulk/{number}" for number in range(4)]
        assert sorted(order) == sorted(path for members in batches.values() for path in members)
        for members in batches.values():
            assert [path for path in order if path in members] == members
        for number in range(4):
            assert order.index(f"bulk/{number}") < 2 ** (number + 1)


class Hands:
    """A clock that goes on when it is told to."""

    time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


def painted(ledger: Ledger, most: int = 10_000) -> list[str]:
    """Paint what is queued, one after the other, and return the photos in that order."""
    order = []
    while len(order) < most and (job := ledger.next_queued()) is not None:
        ledger.start(job.id, "cpu")
        ledger.finish(job.id)
        order.append(str(job.path))
    return order


class TestFinished:
    def test_paintings_of_an_identity_are_listed_newest_first(self, ledger):
        first = done(ledger, PHOTO, "a")
        second = ledger.adopt(queue(ledger, OTHER, "a").id, PurePosixPath("copy"))
        done(ledger, PurePosixPath("else.jpg"), "b")
        queue(ledger, PurePosixPath("queued.jpg"), "a")

        assert list(ledger.finished("a")) == [second, first]
        assert list(ledger.finished("unknown")) == []

    def test_of_many_copies_all_are_listed_and_no_more_are_read_than_are_asked_for(self, ledger):
        paths = [PurePosixPath(f"{number}.jpg") for number in range(30)]
        jobs = [remember(ledger, path, folder=path, finished_at=at) for at, path in enumerate(paths)]
        assert list(ledger.finished("a")) == jobs[::-1]
        (query,) = statements(ledger, lambda ledger: next(ledger.finished("a")))
        assert len(connection(ledger).execute(query).fetchall()) < len(jobs)

    def test_one_without_a_folder_is_no_use(self, ledger):
        ledger.finish(run(ledger).id)

        assert list(ledger.finished("a")) == []


class TestToBePainted:
    """Identities that begin alike are found in the same place of an index, and are others nevertheless."""

    ONE, OTHER = "f" * 63 + "1", "f" * 63 + "2"

    def test_of_an_identity_the_job_that_was_queued_first_is_the_first(self, ledger):
        queue(ledger, PurePosixPath("other.jpg"), self.OTHER)
        jobs = [queue(ledger, PurePosixPath(name), self.ONE) for name in ("b.jpg", "a.jpg")]
        assert ledger.first_queued_of(self.ONE) == jobs[0]
        ledger.start(jobs[0].id, "cpu")
        assert ledger.first_queued_of(self.ONE) == jobs[1]

    @pytest.mark.parametrize("make", [done, problem])
    def test_what_is_painted_or_cannot_be_is_not_queued_and_not_wanted(self, ledger, make: Callable[..., Job]):
        queue(ledger, OTHER, self.OTHER)
        make(ledger, PHOTO, self.ONE)
        assert ledger.first_queued_of(self.ONE) is None
        assert ledger.wanted([self.ONE, self.OTHER, "unknown"]) == {self.OTHER}

    def test_what_waits_again_or_is_being_painted_is_wanted(self, ledger):
        ledger.unsettle(queue(ledger, PHOTO, self.ONE).id, reason="It ends too early.")
        run(ledger, OTHER, self.OTHER)
        assert ledger.wanted([self.ONE, self.OTHER]) == {self.ONE, self.OTHER}


class TestRemember:
    def test_a_painting_read_back_is_done(self, ledger):
        assert not ledger.known_paths()

        job = remember(ledger)

        assert ledger.known_paths()
        assert (job.state, job.path, job.identity, job.folder) == (DONE, PHOTO, "a", FOLDER)
        assert (job.loss, job.width, job.height, job.finished_at) == (39.4, 768, 512, 1_600_000_000.0)
        assert list(ledger.finished("a")) == [job]
        assert ledger.folder_owner(FOLDER) == job
        assert queue(ledger).id == job.id

    @pytest.mark.parametrize("make", [queue, problem])
    def test_what_was_still_to_be_painted_is_done_by_it(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        remembered = remember(ledger)

        assert (remembered.id, remembered.state, remembered.folder) == (job.id, DONE, FOLDER)
        assert (remembered.kind, remembered.reason, remembered.remedy) == ("", "", "")
        assert ledger.known(PHOTO) == (remembered,)
        assert queue(ledger) == ledger.get(job.id)

    def test_its_folder_is_nobody_else_s_who_has_not_painted_there(self, ledger):
        promised = ledger.place(queue(ledger, OTHER, "b").id, FOLDER)

        remembered = remember(ledger)

        assert ledger.get(promised.id).folder is None
        assert ledger.folder_owner(FOLDER) == remembered
        assert ledger.is_painted(FOLDER)

    def test_a_folder_that_is_only_promised_is_not_painted(self, ledger):
        ledger.place(queue(ledger).id, FOLDER)

        assert not ledger.is_painted(FOLDER)

    @pytest.mark.parametrize("make", [run, done])
    def test_what_is_known_is_left_as_it_is(self, ledger, make: Callable[[Ledger], Job]):
        job = make(ledger)

        assert remember(ledger) == job
        assert ledger.known(PHOTO) == (job,)

    def test_the_newest_painting_is_the_newest_in_whatever_order_they_are_read(self, ledger):
        middle = remember(ledger, identity="b", finished_at=20.0)
        newest = remember(ledger, identity="c", finished_at=30.0)
        oldest = remember(ledger, identity="a", finished_at=10.0)

        assert ledger.known(PHOTO) == (newest, middle, oldest)

    def test_a_photo_seen_is_newer_than_any_painting_read_back(self, ledger):
        waiting = wait(ledger)
        remember(ledger, finished_at=9e9)

        assert ledger.known(PHOTO)[0] == waiting


class TestKnownPaths:
    def test_the_paths_of_one_folder_are_those_that_lie_in_it_at_any_depth(self, ledger):
        inside = {"a/x.jpg", "a/b/x.jpg", "a/\udcff.jpg", "a/é.jpg"}
        for name in {*inside, "a.jpg", "a-b/x.jpg", "a0/x.jpg", "A/x.jpg", "x.jpg", "b/a/x.jpg"}:
            ledger.wait(PurePosixPath(name), size=1, mtime_ns=1, reason="")
        assert set(map(str, ledger.known_paths(PurePosixPath("a")))) == inside
        assert set(map(str, ledger.known_paths(PurePosixPath("a/b")))) == {"a/b/x.jpg"}

    def test_every_path_leads_to_its_newest_row(self, ledger):
        done(ledger, PHOTO, "a")
        queue(ledger, PHOTO, "b", size=7, mtime_ns=8, settings_key="other key")
        wait(ledger, OTHER, size=3, mtime_ns=4)
        remember(ledger, PurePosixPath("old.jpg"), "x", finished_at=2.0, size=2)
        remember(ledger, PurePosixPath("old.jpg"), "y", finished_at=1.0, size=1)

        known = ledger.known_paths()

        assert {path: (each.state, each.size) for path, each in known.items()} == {
            PHOTO: (QUEUED, 7),
            OTHER: (WAITING, 3),
            PurePosixPath("old.jpg"): (DONE, 2),
        }
        assert (known[PHOTO].mtime_ns, known[PHOTO].settings_key, known[PHOTO].photo_sha256) == (
            8,
            "other key",
            "photo b",
        )
        assert (known[OTHER].settings_key, known[OTHER].photo_sha256) == (None, None)

    @pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
    def test_parts_of_any_size_are_the_whole_in_the_order_of_the_paths_bytes(self, ledger, most):
        names = [b"a", b"a/b", b"a.jpg", b"b/caf\xe9", b"b/\xff/c", b"z"]
        for name in reversed(names):
            path = PurePosixPath(os.fsdecode(name))
            for identity in ("one", "two", "three"):
                done(ledger, path, f"{identity}{name!r}")
            wait(ledger, path)

        found, after = dict[bytes, object](), b""
        while True:
            part, upto = ledger.known_between(after, None, most)
            assert not set(part) & set(found)
            found |= part
            if upto is None:
                break
            after = upto

        assert list(found) == sorted(names)
        assert {PurePosixPath(os.fsdecode(path)): known for path, known in found.items()} == ledger.known_paths()
        assert list(ledger.known_between(b"a", b"b/caf\xe9")[0]) == [b"a.jpg", b"a/b", b"b/caf\xe9"]


CHANGES: dict[str, tuple[Callable[[Ledger, int], object], set[JobState]]] = {
    "started": (lambda ledger, job: ledger.start(job, "cpu"), {QUEUED}),
    "at a step": (lambda ledger, job: ledger.progress(job, step=1, loss=1.0, seconds_per_step=1.0), {RUNNING}),
    "given a size": (lambda ledger, job: ledger.sized(job, 1, 1), {RUNNING}),
    "done": (lambda ledger, job: ledger.finish(job), {RUNNING}),
    "done by a copy": (lambda ledger, job: ledger.adopt(job, FOLDER), {QUEUED}),
    "a problem": (lambda ledger, job: ledger.fail(job, kind="E", reason="R", remedy=""), {WAITING, QUEUED, RUNNING}),
    "queued again": (lambda ledger, job: ledger.requeue(job, outcome="stopped"), {RUNNING}),
    "waiting": (lambda ledger, job: ledger.unsettle(job, reason="R"), {QUEUED, RUNNING}),
}
MAKERS = {WAITING: wait, QUEUED: queue, RUNNING: run, DONE: done, PROBLEM: problem}


class TestRefusals:
    @pytest.mark.parametrize("state", JobState)
    @pytest.mark.parametrize("wanted", CHANGES)
    def test_each_change_is_made_in_its_states_only_and_the_message_names_job_state_and_change(
        self, ledger, wanted, state
    ):
        change, allowed = CHANGES[wanted]
        job = MAKERS[state](ledger)

        if state in allowed:
            change(ledger, job.id)
        else:
            with pytest.raises(LedgerError) as caught:
                change(ledger, job.id)
            assert caught.value.message == f"Job {job.id}, {PHOTO} cannot be {wanted}: it is {state}."
            assert ledger.get(job.id) == job

    @pytest.mark.parametrize("wanted", CHANGES)
    def test_a_job_that_is_not_there_cannot_be_changed(self, ledger, wanted):
        with pytest.raises(LedgerError, match="no job 77"):
            CHANGES[wanted][0](ledger, 77)

    def test_nor_placed(self, ledger):
        with pytest.raises(LedgerError, match="no job 77"):
            ledger.place(77, FOLDER)


class TestOverview:
    def test_an_empty_ledger_counts_nothing_in_each_state(self, ledger):
        overview = ledger.overview()

        assert overview.counts == dict.fromkeys(JobState, 0)
        assert overview.running == overview.queued == overview.waiting == overview.done == overview.problems == ()

    def test_counts_are_of_all_jobs_and_lists_of_the_first_few_in_their_orders(self, ledger):
        def three(make: Callable[[Ledger, PurePosixPath, str], Job]) -> list[int]:
            names = [f"{make.__name__}{number}" for number in range(3)]
            return [make(ledger, PurePosixPath(f"{name}.jpg"), name).id for name in names]

        def waiting(ledger: Ledger, path: PurePosixPath, _: str) -> Job:
            return wait(ledger, path)

        waits, runs, finished, problems, queued = map(three, (waiting, run, done, problem, queue))

        overview = ledger.overview(recent=2)

        assert overview.counts == dict.fromkeys(JobState, 3)
        assert ids(overview.running) == runs
        assert ids(overview.queued) == queued[:2]
        assert ids(overview.waiting) == waits[:2]
        assert ids(overview.done) == finished[:0:-1]
        assert ids(overview.problems) == problems[:0:-1]


class TestNotes:
    def test_the_last_note_under_a_key_is_kept(self, ledger):
        assert ledger.noted("weights") is None

        ledger.note("weights", "oxford")
        ledger.note("weights", "torchvision")

        assert ledger.noted("weights") == "torchvision"


class TestNames:
    @pytest.mark.parametrize(
        "raw",
        [
            b"caf\xe9.jpg",
            b"\xff\xfe/\x80.png",
            b"two\nlines.jpg",
            b'it\'s "quoted"; DROP TABLE jobs; --.jpg',
            b"\xed\xa0\x80",
        ],
    )
    def test_a_name_comes_back_byte_for_byte(self, ledger, file, raw):
        path = PurePosixPath(os.fsdecode(raw))
        job = ledger.place(queue(ledger, path).id, path.with_suffix(""))

        with Ledger.open_read_only(file) as reader:
            assert os.fsencode(reader.get(job.id).path) == raw
            assert reader.get(job.id).folder == path.with_suffix("")
            assert reader.folder_owner(path.with_suffix("")) == job
            assert list(reader.known_paths()) == [path]

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.binary(min_size=1, max_size=255).filter(lambda raw: not {0, ord("/")} & {*raw} and raw != b"."))
    def test_whatever_name_a_file_has_its_photo_is_found_again(self, ledger, name):
        path = PurePosixPath(os.fsdecode(name))

        job = wait(ledger, path)

        assert ledger.known(path) == (job,)
        assert os.fsencode(job.path) == name

    def test_names_that_differ_in_case_are_two_photos(self, ledger):
        assert wait(ledger, PurePosixPath("A.jpg")).id != wait(ledger, PurePosixPath("a.jpg")).id

    def test_a_reason_that_quotes_a_name_that_is_no_text_is_kept_readable(self, ledger):
        job = wait(ledger, reason="caf\udce9 cannot be read.")

        assert job.reason == "caf\\udce9 cannot be read."

    @pytest.mark.parametrize("mtime_ns", [-(10**18), 0, 13_569_465_600 * 10**9])
    def test_times_before_1970_and_in_the_25th_century_come_back_as_they_are(self, ledger, mtime_ns):
        assert wait(ledger, mtime_ns=mtime_ns).mtime_ns == mtime_ns
        assert ledger.known_paths()[PHOTO].mtime_ns == mtime_ns


class TestBatch:
    def test_changes_in_a_batch_are_seen_inside_at_once_and_outside_at_its_end(self, ledger, file):
        with Ledger.open_read_only(file) as reader:
            with ledger.batch():
                job = run(ledger)
                assert ledger.running() == (job,)
                assert not reader.known_paths()
            assert reader.running() == (job,)

    def test_an_exception_undoes_the_whole_batch(self, ledger):
        kept = queue(ledger, OTHER, "b")

        with pytest.raises(KeyboardInterrupt), ledger.batch():
            run(ledger)
            ledger.forget(OTHER)
            raise KeyboardInterrupt

        assert ledger.known(PHOTO) == ()
        assert ledger.known(OTHER) == (kept,)

    def test_a_refused_change_leaves_the_others_in_the_batch_alone(self, ledger):
        with ledger.batch():
            job = wait(ledger)
            with pytest.raises(LedgerError):
                ledger.finish(job.id)
            queue(ledger, OTHER, "b")

        assert ids(ledger.waiting()) == [job.id]
        assert ledger.next_queued().path == OTHER

    def test_a_batch_inside_a_batch_can_be_undone_alone(self, ledger):
        with ledger.batch():
            wait(ledger, PHOTO)
            with pytest.raises(ZeroDivisionError), ledger.batch():
                wait(ledger, OTHER)
                raise ZeroDivisionError
            with ledger.batch():
                wait(ledger, PurePosixPath("third.jpg"))

        assert [job.path.name for job in ledger.waiting()] == ["IMG_1234.jpg", "third.jpg"]


class TestPuttingOff:
    """Something that passes keeps a job from being painted: it waits for a stated time, in its place in the queue."""

    TOLD: ClassVar = {"kind": "OutOfMemory", "reason": "too little", "remedy": "wait"}

    def put_off(self, ledger: Ledger, job: Job, seconds: float = 100.0) -> Job:
        return ledger.put_off(job.id, seconds=seconds, **self.TOLD)

    def test_it_is_queued_again_with_the_reason_and_the_time_and_no_attempt_is_held_against_it(self, ledger, clock):
        job = ledger.start(queue(ledger).id, "cpu")
        later = self.put_off(ledger, job)
        assert (later.state, later.attempts, later.put_off, later.queued_at) == (QUEUED, 0, 1, job.queued_at)
        assert (later.kind, later.reason, later.remedy) == ("OutOfMemory", "too little", "wait")
        assert abs(later.retry_at - clock.time - 100) < 5
        assert [(each.outcome, each.detail) for each in ledger.attempts(job.id)] == [("put off", "too little")]

    def test_others_come_first_until_its_time_has_come_and_then_it_has_its_place_again(self, ledger, clock):
        first, second = queue(ledger), queue(ledger, OTHER, "b")
        later = self.put_off(ledger, first)
        assert ledger.next_queued().id == second.id
        assert ledger.next_retry() == later.retry_at
        assert ledger.overview().put_off == (later,)
        clock.time = later.retry_at
        assert ledger.next_queued().id == first.id
        assert ledger.next_retry() is None

    def test_every_time_is_counted_until_it_is_painted(self, ledger, clock):
        job = queue(ledger)
        for times in (1, 2, 3):
            assert self.put_off(ledger, job).put_off == times
            clock.time += 100
            started = ledger.start(job.id, "cpu")
            assert (started.put_off, started.retry_at, started.reason) == (times, None, "")
        done = ledger.finish(job.id)
        assert (done.put_off, done.retry_at, done.reason) == (0, None, "")

    def test_it_survives_a_restart(self, ledger, file, clock):
        later = self.put_off(ledger, queue(ledger))
        ledger.close()
        with Ledger.open(file, clock) as reopened:
            reopened.recover()
            assert reopened.get(later.id) == later
            assert reopened.next_queued() is None

    def test_a_clock_that_is_set_back_does_not_make_it_wait_for_years(self, ledger, clock):
        job = queue(ledger)
        self.put_off(ledger, job)
        clock.time -= 1e8
        assert ledger.next_queued().id == job.id

    def test_who_asks_for_it_ends_the_pause_of_one_or_of_all(self, ledger):
        first, second, third = (queue(ledger, PurePosixPath(f"{name}.jpg"), name) for name in "abc")
        for job in (first, second):
            self.put_off(ledger, job)
        assert ledger.hurry([second.id, third.id]) == 1
        assert ledger.get(second.id) == second
        assert ledger.hurry() == 1
        assert ledger.overview().put_off == ()

    def test_a_photo_that_is_touched_begins_anew(self, ledger):
        self.put_off(ledger, queue(ledger))
        waiting = ledger.wait(PHOTO, size=1, mtime_ns=1, reason="touched")
        assert (waiting.put_off, waiting.retry_at) == (0, None)

    def test_one_that_is_waiting_or_done_cannot_be_put_off(self, ledger):
        job = ledger.wait(PHOTO, size=1, mtime_ns=1, reason="new")
        with pytest.raises(LedgerError, match="cannot be put off"):
            self.put_off(ledger, job)

    def test_a_running_one_that_was_overtaken_goes(self, ledger):
        job = ledger.start(queue(ledger).id, "cpu")
        newer = queue(ledger, identity="newer")
        assert self.put_off(ledger, job).id == newer.id
        assert ledger.known(PHOTO) == (newer,)


class TestTheFile:
    def test_everything_is_as_it_was_after_it_was_closed_and_opened(self, file, clock):
        with Ledger.open(file, clock) as ledger:
            made = [
                wait(ledger, PurePosixPath("1")),
                run(ledger, PurePosixPath("2"), "b"),
                done(ledger),
                problem(ledger, OTHER, "d"),
            ]
            ledger.note("key", "value")
            attempts = ledger.attempts(made[1].id)

        with Ledger.open(file, clock) as ledger:
            assert [ledger.get(job.id) for job in made] == made
            assert ledger.attempts(made[1].id) == attempts
            assert ledger.noted("key") == "value"

    def test_what_ran_when_the_daemon_ended_is_queued_again_and_not_held_against_it(self, file, clock):
        with Ledger.open(file, clock) as ledger:
            job = run(ledger)
            ledger.place(job.id, FOLDER)
            ledger.progress(job.id, step=120, loss=100.0, seconds_per_step=1.0)

        with Ledger.open(file, clock) as ledger:
            (again,) = ledger.recover()

            assert (again.id, again.state, again.attempts, again.folder) == (job.id, QUEUED, 0, FOLDER)
            assert [attempt.outcome for attempt in ledger.attempts(job.id)] == ["interrupted"]
            assert ledger.recover() == ()

    def test_a_new_file_is_marked_with_the_program_and_the_version_and_keeps_a_log(self, ledger, file):
        with contextlib.closing(sqlite3.connect(file)) as raw:
            marks = [
                raw.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("user_version", "application_id", "journal_mode")
            ]

        assert marks == [8, int.from_bytes(b"MONW"), "wal"]

    @pytest.mark.parametrize("how", [Ledger.open, Ledger.open_read_only])
    def test_the_record_of_a_later_version_is_refused_with_a_remedy_and_left_alone(self, file, how):
        Ledger.open(file).close()
        with contextlib.closing(sqlite3.connect(file)) as raw:
            raw.execute("PRAGMA user_version = 99")
        before = file.read_bytes()

        with pytest.raises(LedgerError, match="later version") as caught:
            how(file)

        assert "Install the later version" in caught.value.remedy
        assert file.read_bytes() == before

    @pytest.mark.parametrize("how", [Ledger.open, Ledger.open_read_only])
    def test_a_file_that_is_no_database_is_refused_with_a_remedy_and_left_alone(self, file, how):
        file.write_bytes(b"A list of photos, by hand.\n" * 400)
        before = file.read_bytes()

        with pytest.raises(LedgerError, match=r"ledger\.db.*not a database") as caught:
            how(file)

        assert "Move it away" in caught.value.remedy
        assert file.read_bytes() == before

    @pytest.mark.parametrize("how", [Ledger.open, Ledger.open_read_only])
    def test_the_database_of_another_program_is_refused_and_left_alone(self, file, how):
        with contextlib.closing(sqlite3.connect(file)) as raw:
            raw.execute("CREATE TABLE recipes (name TEXT)")
        before = file.read_bytes()

        with pytest.raises(LedgerError, match="another program"):
            how(file)

        assert file.read_bytes() == before

    def test_a_damaged_file_is_found_out_when_it_is_opened(self, file):
        with Ledger.open(file) as ledger, ledger.batch():
            for number in range(500):
                wait(ledger, PurePosixPath(f"{number}.jpg"))
        data = bytearray(file.read_bytes())
        for page in range(4096, len(data), 2 * 4096):
            data[page : page + 200] = b"\xa5" * 200
        file.write_bytes(data)

        with pytest.raises(LedgerError) as caught:
            Ledger.open(file)

        assert "Move it away" in caught.value.remedy

    def test_a_file_cut_short_is_found_out_when_it_is_opened(self, file):
        with Ledger.open(file) as ledger, ledger.batch():
            for number in range(500):
                wait(ledger, PurePosixPath(f"{number}.jpg"))
        os.truncate(file, file.stat().st_size // 2)

        with pytest.raises(LedgerError):
            Ledger.open(file)

    def test_a_folder_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(LedgerError, match="nowhere"):
            Ledger.open(tmp_path / "nowhere" / "ledger.db")

    def test_a_closed_ledger_says_so(self, file):
        ledger = Ledger.open(file)
        ledger.close()

        with pytest.raises(LedgerError, match="closed"):
            ledger.running()

    def test_a_name_that_is_no_utf8_and_has_marks_of_an_address_is_opened(self, tmp_path):
        file = tmp_path / os.fsdecode(b"caf\xe9 ?mode=x#100%25.db")

        with Ledger.open(file) as ledger:
            wait(ledger)
            with Ledger.open_read_only(file) as reader:
                assert len(reader.waiting()) == 1
        assert list(tmp_path.iterdir()) == [file]


VERSION_1 = Path(__file__).with_name("ledger_version_1.sql")


def took(ledger: Ledger, job: Job) -> float:
    """What the last attempt took, in seconds."""
    *_, last = ledger.attempts(job.id)
    return last.ended_at - last.started_at


class TestSteps:
    """What remaining times are reckoned from."""

    def take(self, ledger, job, numbers, first=None, seconds=0.5):
        ledger.sized(job.id, 60, 40, first or numbers[0])
        for number in numbers:
            ledger.progress(job.id, step=number, loss=1000 / number, seconds_per_step=seconds, seconds=seconds)

    def test_the_steps_of_a_painting_under_way_are_kept_in_order(self, ledger):
        job = run(ledger)
        self.take(ledger, job, range(1, 4))
        taken = ledger.steps_taken(job.id)
        assert [(step.number, step.loss, step.seconds) for step in taken] == [
            (1, 1000.0, 0.5), (2, 500.0, 0.5), (3, 1000 / 3, 0.5),
        ]  # fmt: skip

    def test_of_a_long_painting_the_latest_steps_are_read_and_a_part_of_those_before(self, ledger):
        job = run(ledger)
        self.take(ledger, job, range(1, 2001))
        numbers = [step.number for step in ledger.steps_taken(job.id)]
        assert len(numbers) < 320
        assert numbers[-100:] == list(range(1901, 2001))
        assert numbers == sorted(set(numbers))
        assert max(after - before for before, after in itertools.pairwise(numbers)) <= 20

    def test_where_a_painting_goes_on_from_a_checkpoint_the_steps_after_it_are_taken_anew(self, ledger):
        job = run(ledger)
        self.take(ledger, job, range(1, 8))
        ledger.requeue(job.id, outcome="interrupted")
        ledger.start(job.id, "cpu")
        self.take(ledger, job, [5, 6], seconds=0.25)
        assert [(step.number, step.seconds) for step in ledger.steps_taken(job.id)] == [
            (1, 0.5), (2, 0.5), (3, 0.5), (4, 0.5), (5, 0.25), (6, 0.25),
        ]  # fmt: skip

    def test_what_a_painting_took_is_measured_when_it_is_done(self, ledger, clock):
        job = run(ledger)
        self.take(ledger, job, range(1, 9))
        clock.time += 5.5
        ledger.finish(job.id)
        (measure,) = ledger.measures()
        assert (measure.width, measure.height, measure.last_step) == (60, 40, 8)
        assert (measure.device, measure.settings) == ("cpu", job.settings)
        assert (measure.paces, measure.other_seconds) == (((60 * 40, 8, 4.0),), took(ledger, job) - 4.0)
        assert ledger.steps_taken(job.id) == ()

    def test_of_one_that_went_on_the_last_attempt_is_measured(self, ledger, clock):
        job = run(ledger)
        self.take(ledger, job, range(1, 8))
        ledger.requeue(job.id, outcome="interrupted")
        clock.time += 100
        ledger.start(job.id, "cuda:1")
        self.take(ledger, job, range(6, 10), seconds=0.25)
        clock.time += 3
        ledger.finish(job.id)
        (measure,) = ledger.measures()
        assert (measure.device, measure.last_step) == ("cuda:1", 9)
        assert (measure.paces, measure.other_seconds) == (((60 * 40, 4, 1.0),), took(ledger, job) - 1.0)

    def test_the_steps_at_each_size_that_it_went_through_are_measured_apart(self, ledger):
        job = run(ledger)
        self.take(ledger, job, range(1, 4), seconds=0.25)
        for number in range(4, 9):
            ledger.progress(job.id, step=number, loss=1.0, seconds_per_step=1.0, seconds=1.0)
        ledger.finish(job.id, sizes=[(3, 600), (400, 2400)])
        assert ledger.measures()[0].paces == ((600, 3, 0.75), (2400, 5, 5.0))

    def test_a_painting_whose_steps_nobody_timed_is_not_measured(self, ledger):
        job = run(ledger)
        ledger.sized(job.id, 60, 40)
        ledger.progress(job.id, step=1, loss=1.0, seconds_per_step=1.0)
        ledger.finish(job.id)
        assert ledger.measures() == ()

    def test_a_loss_that_is_no_number_is_read_as_none_was(self, ledger):
        job = run(ledger)
        ledger.progress(job.id, step=1, loss=float("nan"), seconds_per_step=1.0, seconds=1.0)
        (step,) = ledger.steps_taken(job.id)
        assert step.loss != step.loss

    def test_measures_come_the_latest_last_and_the_oldest_go(self, ledger, clock):
        for number in range(6):
            clock.time += 1
            job = run(ledger, PurePosixPath(f"{number}.jpg"), f"{number}")
            self.take(ledger, job, range(1, number + 2))
            ledger.finish(job.id)
        assert [measure.last_step for measure in ledger.measures()] == [1, 2, 3, 4, 5, 6]
        assert [measure.last_step for measure in ledger.measures(2)] == [5, 6]
        ledger.prune()
        assert len(ledger.measures()) == 6

    def test_what_a_painting_looks_like_is_known_while_it_is_under_way(self, ledger):
        job, sketch = run(ledger), Sketch(1, 2, bytes(range(6)))
        ledger.sketched(job.id, Sketch(1, 1, bytes(3)))
        ledger.sketched(job.id, sketch)
        assert ledger.overview().sketches == {job.id: sketch}
        ledger.finish(job.id)
        assert ledger.overview().sketches == {}

    def test_how_many_wait_for_each_of_the_settings_is_counted(self, ledger):
        for number in range(5):
            queue(ledger, PurePosixPath(f"{number}.jpg"), f"{number}", settings="A" if number < 3 else "B")
        assert sorted(ledger.queued_settings()) == [("A", 3), ("B", 2)]
        queue(ledger, PurePosixPath("0.jpg"), "0 anew", settings="B")
        ledger.forget(PurePosixPath("1.jpg"))
        job = ledger.start(ledger.known(PurePosixPath("2.jpg"))[0].id, "cpu")
        assert ledger.queued_settings() == (("B", 3),)
        ledger.requeue(job.id, outcome="interrupted")
        ledger.prune()
        assert sorted(ledger.queued_settings()) == [("A", 1), ("B", 3)]


class TestAnEarlierVersion:
    """``ledger_version_1.sql`` is what version 1 of the schema wrote: four folders' photos, in every state."""

    @pytest.fixture
    def upgraded(self, file: Path, clock: Clock) -> Iterator[Ledger]:
        with contextlib.closing(sqlite3.connect(file)) as raw:
            raw.executescript(VERSION_1.read_text(encoding="utf-8"))
        with Ledger.open(file, clock) as ledger:
            yield ledger

    def test_nothing_of_it_is_lost(self, upgraded):
        assert upgraded.overview().counts == {WAITING: 1, QUEUED: 5, RUNNING: 1, DONE: 1, PROBLEM: 1}
        job = upgraded.known(PurePosixPath("holiday/done.jpg"))[0]
        assert (job.identity, job.folder, job.settings) == ("x", PurePosixPath("holiday/done-x"), '{"steps": 400}')
        assert [attempt.outcome for attempt in upgraded.attempts(job.id)] == ["done"]
        assert upgraded.noted("heartbeat") == "0"

    def test_its_queue_is_a_batch_of_each_folder_that_take_turns(self, upgraded):
        upgraded.recover()
        deep = os.fsdecode(b"holiday/caf\xe9/deep.jpg")

        assert painted(upgraded) == [
            "holiday/c.jpg", "top.jpg", deep, "holiday/a.jpg", "holiday/b.jpg", "holiday/runs.jpg",
        ]  # fmt: skip

    def test_what_is_dropped_later_goes_on_with_its_folders_batch(self, upgraded):
        top, holiday = PurePosixPath("later.jpg"), PurePosixPath("holiday/later.jpg")
        queue(upgraded, top, "later")
        queue(upgraded, holiday, "later too")

        order = painted(upgraded)

        assert order.index("top.jpg") < order.index("later.jpg") < order.index("holiday/b.jpg")

    def test_whoever_only_reads_is_told_to_start_the_daemon_first(self, file):
        with contextlib.closing(sqlite3.connect(file)) as raw:
            raw.executescript(VERSION_1.read_text(encoding="utf-8"))
            raw.execute("PRAGMA journal_mode = WAL")

        with pytest.raises(LedgerError, match="earlier version") as caught:
            Ledger.open_read_only(file)
        assert "Start the daemon" in caught.value.remedy


READ = """
import os, sys
from pathlib import Path
from monet_watch.errors import LedgerError
from monet_watch.ledger import JobState, Ledger

if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with Ledger.open_read_only(Path(sys.argv[1])) as reader:
        print(reader.overview().counts[JobState.QUEUED], "queued")
except LedgerError as error:
    print(error)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A place for a ledger in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "ledger.db")


def read_without_permission(file: Path) -> str:
    """What a process says that reads the record and may not write in its folder (root becomes nobody for that)."""
    file.parent.chmod(0o555)
    try:
        told = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=True)
    finally:
        file.parent.chmod(0o755)
    return told.stdout.strip()


class TestReadOnly:
    def test_a_reader_sees_every_change_of_the_writer_beside_it(self, ledger, file):
        with Ledger.open_read_only(file) as reader:
            for number in range(20):
                job = wait(ledger, PurePosixPath(f"{number}.jpg"))
                assert reader.get(job.id) == job

    def test_a_reader_that_stays_open_keeps_nobody_from_writing(self, ledger, file):
        with Ledger.open_read_only(file) as reader:
            reader.overview()
            queue(ledger)
            assert reader.overview().counts[QUEUED] == 1

    def test_a_reader_changes_nothing(self, file):
        with Ledger.open(file) as ledger:
            job = queue(ledger)

        with Ledger.open_read_only(file) as reader:
            with pytest.raises(LedgerError, match="readonly"):
                reader.start(job.id, "cpu")
            assert reader.get(job.id) == job

    def test_the_record_can_be_read_while_no_daemon_runs(self, file, tmp_path):
        with Ledger.open(file) as ledger:
            job = queue(ledger)
        assert list(tmp_path.iterdir()) == [file]

        with Ledger.open_read_only(file) as reader:
            assert reader.overview().queued == (job,)

    def test_who_may_not_write_beside_the_record_can_read_it_while_no_daemon_runs(self, shared):
        with Ledger.open(shared) as ledger:
            queue(ledger)

        assert read_without_permission(shared) == "1 queued"
        assert list(shared.parent.iterdir()) == [shared]

    def test_who_may_not_write_beside_the_record_can_read_it_while_one_runs(self, shared):
        with Ledger.open(shared) as ledger:
            queue(ledger)

            assert read_without_permission(shared) == "1 queued"

    def test_who_may_not_write_beside_the_record_is_told_when_its_log_cannot_be_read(self, shared):
        with Ledger.open(shared) as ledger:
            queue(ledger)
            killed = shared.with_name("killed.db")
            for suffix in ("", "-wal"):
                shutil.copy(f"{shared}{suffix}", f"{killed}{suffix}")

        assert "killed.db cannot be used: unable to open" in read_without_permission(killed)

    def test_where_nothing_was_painted_yet_it_says_so_and_where_it_looked(self, file):
        with pytest.raises(LedgerError, match="Nothing has been painted yet") as caught:
            Ledger.open_read_only(file)

        assert str(file) in caught.value.message
        assert not file.exists()

    def test_a_file_that_is_empty_still_is_no_record_yet(self, file):
        file.touch()

        with pytest.raises(LedgerError, match="Nothing has been painted yet"):
            Ledger.open_read_only(file)


KILLED_IN_A_BATCH = """
import sys
from pathlib import Path, PurePosixPath
from monet_watch.ledger import Ledger

def queue(name):
    ledger.queue(PurePosixPath(name), size=1, mtime_ns=1, photo_sha256=name, settings_key="k", identity=name,
                 settings="{}", steps=1)

ledger = Ledger.open(Path(sys.argv[1]))
queue("first.jpg")
job = ledger.start(ledger.next_queued().id, "cpu")
queue("second.jpg")
with ledger.batch():
    for number in range(2000):
        queue(f"{number}.jpg")
    ledger.finish(job.id)
    print("in the batch", flush=True)
    sys.stdin.read()
"""

KILLED_AT_WORK = """
import itertools, sys
from pathlib import Path, PurePosixPath
from monet_watch.ledger import Ledger

ledger = Ledger.open(Path(sys.argv[1]))
for number in itertools.count():
    ledger.wait(PurePosixPath(f"{number}.jpg"), size=number, mtime_ns=1, reason="It is on its way.")
    print(number, flush=True)
"""


@contextlib.contextmanager
def process(program: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


class TestKilled:
    @pytest.mark.parametrize("how", [Ledger.open, Ledger.open_read_only])
    def test_in_the_middle_of_a_batch_the_last_committed_state_is_left(self, file, how):
        with process(KILLED_IN_A_BATCH, file) as child:
            assert child.stdout.readline() == "in the batch\n"
            child.kill()
            assert child.wait() == -signal.SIGKILL

        with how(file) as ledger:
            assert {str(path): known.state for path, known in ledger.known_paths().items()} == {
                "first.jpg": RUNNING,
                "second.jpg": QUEUED,
            }

    def test_at_any_moment_nothing_that_was_reported_is_lost(self, file):
        with process(KILLED_AT_WORK, file) as child:
            reported = [int(line) for line in itertools.islice(child.stdout, 200)]
            child.kill()
            reported += [int(line) for line in child.stdout if line.endswith("\n")]

        with Ledger.open(file) as ledger:
            stored = [job.size for job in ledger.waiting()]
        assert stored[: len(reported)] == reported
        assert len(stored) <= len(reported) + 1


@pytest.fixture(scope="module")
def crowded() -> Iterator[Ledger]:
    """20,000 queued photos, and a few in each other state."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder, "ledger.db"), Clock()) as ledger:
        with ledger.batch():
            for number in range(20_000):
                queue(ledger, PurePosixPath(f"{number}.jpg"), f"{number}")
        for make in (run, done, problem):
            make(ledger, PurePosixPath(make.__name__), make.__name__)
        wait(ledger, PurePosixPath("wait"))
        yield ledger


class TestManyPhotos:
    def test_a_whole_inbox_is_queued_in_one_batch(self, crowded):
        assert crowded.overview().counts[QUEUED] == 20_000
        assert crowded.next_queued().path.name == "0.jpg"
        assert len(crowded.known_paths()) == 20_004

    @pytest.mark.parametrize(
        "ask",
        [
            lambda ledger: ledger.next_queued(),
            lambda ledger: ledger.front(50),
            lambda ledger: ledger.next_retry(),
            lambda ledger: list(ledger.finished("done")),
            lambda ledger: ledger.known(PHOTO),
            lambda ledger: ledger.folder_owner(FOLDER),
            lambda ledger: ledger.problems(),
            lambda ledger: ledger.waiting(),
            lambda ledger: queue(ledger, PHOTO, "new"),
            lambda ledger: ledger.forget(PHOTO),
            lambda ledger: ledger.prioritise(PHOTO.parent, 1),
        ],
        ids=[
            "next",
            "front",
            "next retry",
            "finished",
            "known",
            "owner",
            "problems",
            "waiting",
            "queue",
            "forget",
            "prioritise",
        ],
    )
    def test_what_is_asked_for_each_photo_goes_straight_to_its_rows(self, crowded, ask):
        steps = plans(crowded, ask)

        assert any(step.startswith(("SEARCH jobs USING", "SCAN jobs USING")) for step in steps)
        assert long_steps(steps) == []

    @pytest.mark.parametrize("ask", [Ledger.known_paths, Ledger.overview])
    def test_what_is_asked_about_all_photos_walks_along_an_index(self, crowded, ask):
        steps = plans(crowded, ask)

        assert any(step.startswith(("SCAN jobs USING", "SEARCH jobs USING")) for step in steps)
        assert [step for step in steps if step == "SCAN jobs" or step == "USE TEMP B-TREE FOR ORDER BY"] == []

    def test_copies_are_found_by_their_identity(self, crowded):
        assert any("identity=?" in step for step in plans(crowded, lambda ledger: list(ledger.finished("done"))))

    @pytest.mark.parametrize("ask", [lambda ledger: ledger.first_queued_of("a"), lambda ledger: ledger.wanted(["a"])])
    def test_what_is_to_be_painted_is_found_by_its_identity(self, crowded, ask):
        assert "SEARCH jobs USING INDEX jobs_to_be_painted (<expr>=?)" in plans(crowded, ask)

    def test_the_newest_row_of_all_is_looked_for_once(self, crowded):
        wait(crowded, OTHER)
        assert [each for each in statements(crowded, lambda ledger: wait(ledger, OTHER)) if "max(turn)" in each] == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda ledger: ledger.add([NewPhoto(PurePosixPath("new.jpg"), 1, 1, "It is on its way.")]),
            lambda ledger: ledger.untouched([PHOTO, OTHER]),
            lambda ledger: ledger.painted(["a", "b"]),
            lambda ledger: ledger.queue_untouched(
                FOLDER,
                [WholePhoto(PHOTO, 1, 1, "a", "a", 1), WholePhoto(PurePosixPath("newer.jpg"), 1, 1, "b", "b")],
                settings_key="k",
                settings="{}",
                steps=1,
            ),
        ],
        ids=["add", "untouched", "painted", "queue"],
    )
    def test_what_is_asked_of_many_photos_together_goes_straight_to_their_rows(self, crowded, ask):
        assert long_steps(plans(crowded, ask)) == []


def long_steps(steps: Sequence[str]) -> list[str]:
    """The steps for which SQLite reads more than what was asked for.

    An index of the jobs in one state alone may be gone through, and the few jobs of a path be sorted.
    """
    short = [f"SCAN jobs USING INDEX {name}" for name in ("jobs_in_turn", "jobs_waiting", "jobs_done", "problems")]
    short += ["USE TEMP B-TREE FOR ORDER BY"] if any(step.endswith("(path=?)") for step in steps) else []
    return [step for step in steps if step.startswith(("SCAN jobs", "USE TEMP")) and step not in short]


class TestABulk:
    """Many photos at once become what they become one by one."""

    PATHS = tuple(PurePosixPath(f"bulk/{name}.jpg") for name in ("a", "b", "c"))

    @staticmethod
    def facts(path: PurePosixPath) -> dict[str, Any]:
        return {"size": 10 + ord(path.stem), "mtime_ns": 20 + ord(path.stem)}

    def one_by_one(self, ledger: Ledger) -> None:
        for path in self.PATHS:
            ledger.wait(path, reason="It is on its way.", **self.facts(path))

    def together(self, ledger: Ledger, *paths: PurePosixPath) -> Sequence[int]:
        return ledger.add([NewPhoto(path, *self.facts(path).values(), "It is on its way.") for path in paths])

    @staticmethod
    def all_but_times(ledger: Ledger) -> list[Job]:
        """The jobs in the order of the queue, or of their ids."""
        jobs = [*ledger.listed(list(JobState))]
        return sorted((replace(job, seen_at=0.0, queued_at=None) for job in jobs), key=lambda job: job.id)

    @pytest.fixture
    def twin(self, tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
        with Ledger.open(tmp_path / "twin.db", clock) as twin:
            yield twin

    def test_new_photos_wait_as_they_do_one_by_one(self, ledger, twin):
        ids = self.together(ledger, *self.PATHS)
        self.one_by_one(twin)
        assert self.all_but_times(ledger) == self.all_but_times(twin)
        assert [ledger.get(each).path for each in ids] == list(self.PATHS)
        assert ledger.counts()[WAITING] == 3

    @pytest.mark.parametrize("recorded", [0, 1, 3])
    @pytest.mark.parametrize("queued_before", [0, 3])
    def test_they_are_queued_as_they_are_one_by_one(self, ledger, twin, queued_before, recorded):
        """Whether rows tell of them already or not."""
        for each in (ledger, twin):
            for number in range(queued_before):
                queue(each, PurePosixPath(f"bulk/before-{number}.jpg"), f"before-{number}")
        self.together(ledger, *self.PATHS[:recorded])
        self.one_by_one(twin)
        common: dict[str, Any] = {"settings_key": "k", "settings": "{}", "steps": 7, "priority": 2}
        waiting = ledger.untouched(self.PATHS)
        photos = [
            WholePhoto(path, *self.facts(path).values(), f"bytes of {path}", str(path), job or 0)
            for path, job in zip(self.PATHS, waiting, strict=True)
        ]
        jobs = ledger.queue_untouched(PurePosixPath("bulk"), photos, **common)
        for path in self.PATHS:
            twin.queue(path, photo_sha256=f"bytes of {path}", identity=str(path), **self.facts(path), **common)
        assert self.all_but_times(ledger) == self.all_but_times(twin)
        assert [ledger.get(job).path for job in jobs] == list(self.PATHS)
        assert [job.turn for job in ledger.front(10)] == [job.turn for job in twin.front(10)]
        assert [job.id for job in ledger.front(10)] == [job.id for job in twin.front(10)]
        assert ledger.get(jobs[0]).settings == "{}"
        assert ledger.counts() == twin.counts()

    def test_of_the_recorded_the_first_is_queued_first_whatever_their_order(self, ledger):
        jobs = self.together(ledger, *self.PATHS)
        photos = [
            WholePhoto(path, *self.facts(path).values(), f"bytes of {path}", str(path), job)
            for path, job in zip(self.PATHS, jobs, strict=True)
        ]
        queued = ledger.queue_untouched(PurePosixPath("bulk"), photos[::-1], settings_key="k", settings="{}", steps=7)
        assert queued == list(jobs)[::-1]
        assert [job.id for job in ledger.front(10)] == list(jobs)

    def test_untouched_is_what_has_done_nothing_but_wait_and_what_nobody_knows(self, ledger):
        jobs = self.together(ledger, *self.PATHS)
        for make in (queue, run, done, problem):
            make(ledger, PurePosixPath(make.__name__), make.__name__)
        begun = queue(ledger, PHOTO, "begun")
        ledger.unsettle(begun.id, reason="It ends too early.")
        ledger.wait(PurePosixPath("done"), size=2, mtime_ns=2, reason="It has changed.")
        others = [PurePosixPath(name) for name in ("queue", "run", "done", "problem", "unknown")]
        assert ledger.untouched([PHOTO, *self.PATHS, *others]) == [None, *jobs, None, None, None, None, 0]

    def test_a_forgotten_job_s_number_is_nobody_s_again(self, ledger):
        (first,) = self.together(ledger, self.PATHS[0])
        ledger.forget(self.PATHS[0])
        (second,) = self.together(ledger, self.PATHS[0])
        assert second > first
        assert queue(ledger, PHOTO, "a").id > second

    def test_painted_are_the_identities_of_what_is_done(self, ledger):
        for make in (queue, run, done, problem):
            make(ledger, PurePosixPath(make.__name__), make.__name__)
        assert ledger.painted(["queue", "run", "done", "problem", "unknown"]) == {"done"}


def plans(ledger: Ledger, ask: Callable[[Ledger], object]) -> list[str]:
    """How SQLite finds what is asked for, step by step, as EXPLAIN QUERY PLAN tells it."""
    return [step for statement in statements(ledger, ask) for step in plan_of(ledger, statement)]


def connection(ledger: Ledger) -> sqlite3.Connection:
    return ledger._database._connection


def statements(ledger: Ledger, ask: Callable[[Ledger], object]) -> list[str]:
    """What SQLite executes to answer, with the values in it; but for the few jobs that run, which it may sort."""
    executed: list[str] = []
    connection(ledger).set_trace_callback(executed.append)
    try:
        ask(ledger)
    finally:
        connection(ledger).set_trace_callback(None)
    verbs = ("SELECT", "INSERT", "UPDATE", "DELETE")
    return [sql for sql in executed if sql.lstrip().startswith(verbs) and "state = 'running' ORDER BY" not in sql]


def plan_of(ledger: Ledger, statement: str) -> list[str]:
    return [row[3] for row in connection(ledger).execute(f"EXPLAIN QUERY PLAN {statement}")]


@dataclass
class Row:
    """A job as the model has it; ``turn`` grows each time the photo on disk leads to the row."""

    path: PurePosixPath
    state: JobState
    turn: int
    mtime_ns: int
    identity: str | None = None
    queued_at: float | None = None
    priority: int = 0
    round: int = 0
    opened: int = 0
    attempts: int = 0
    outcomes: list[str] = field(default_factory=list)
    folder: PurePosixPath | None = None


class Model:
    """The rules of the ledger once more, in a dict, without a thought for speed."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.turn = 0

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def of(self, path: PurePosixPath) -> list[int]:
        return sorted((job for job, row in self.rows.items() if row.path == path), key=lambda job: -self.rows[job].turn)

    def unfinished(self, path: PurePosixPath) -> int | None:
        states = (WAITING, QUEUED, PROBLEM)
        return next((job for job in self.of(path) if self.rows[job].state in states), None)

    def twin(self, path: PurePosixPath, identity: str) -> int | None:
        return next((job for job in self.of(path) if self.rows[job].identity == identity), None)

    def running(self) -> list[Row]:
        return [row for row in self.rows.values() if row.state is RUNNING]

    def may_start(self, job: int) -> bool:
        row = self.rows[job]
        clash = any(row.path == other.path or row.identity == other.identity for other in self.running())
        return row.state is QUEUED and not clash

    def next_queued(self) -> int | None:
        free = [job for job in self.rows if self.may_start(job)]
        return min(free, key=lambda job: (*self.turn_of(job), job), default=None)

    def turn_of(self, job: int) -> tuple[int, int, int, float]:
        row = self.rows[job]
        assert row.queued_at is not None
        return (-row.priority, row.round, -row.opened, row.queued_at)

    def take_place(self, path: PurePosixPath, priority: int, queued_at: float) -> tuple[int, int]:
        """Round and first round of the batch of a job that is queued at this moment."""
        level = [(job, row) for job, row in self.rows.items() if row.state is QUEUED and row.priority == priority]
        after = 1 + min((row.round for _, row in level), default=0)
        lane = [(row.queued_at, job) for job, row in level if row.path.parent == path.parent]
        if not lane:
            return after, after
        last = self.rows[max(lane)[1]]
        if queued_at - last.queued_at < BATCH_PAUSE_SECONDS:
            return max(after, last.round + 1), last.opened
        opened = max(after, last.opened + 1)
        return opened, opened

    def give_up(self, job: int, state: JobState, outcome: str) -> None:
        row = self.rows[job]
        if row.state is RUNNING:
            row.outcomes[-1] = outcome
        if self.of(row.path)[0] != job:
            del self.rows[job]
            return
        row.state = state
        if state is WAITING:
            row.queued_at = None


PATHS = [PurePosixPath("a.jpg"), PurePosixPath("b/it's.jpg"), PurePosixPath(os.fsdecode(b"caf\xe9\n.jpg"))]
some_path = st.sampled_from(PATHS)
some_paths = st.lists(some_path, unique=True)
some_identity = st.sampled_from(["one", "two"])
some_job = st.integers(1, 12)


class AnyWay(RuleBasedStateMachine):
    """Whatever is asked of the ledger in whatever order, it does what the model does, and refuses what that refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "ledger.db")
        self.clock = Clock()
        self.ledger = Ledger.open(self.file, self.clock)
        self.model = Model()
        self.mtime_ns = 0
        self.there: set[int] = set()
        self.gone: set[int] = set()

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def touched(self) -> int:
        self.mtime_ns += 1
        return self.mtime_ns

    def expect(self, job: int, *states: JobState) -> AbstractContextManager[object]:
        """Expects a refusal unless the job is in one of the states."""
        return self.expect_if(job in self.model.rows and self.model.rows[job].state in states)

    def expect_if(self, allowed: bool) -> AbstractContextManager[object]:
        return contextlib.nullcontext() if allowed else pytest.raises(LedgerError)

    @rule(path=some_path)
    def waits(self, path):
        job = wait(self.ledger, path, mtime_ns=self.touched())
        old = self.model.unfinished(path)
        assert job.id == old if old is not None else job.id not in self.model.rows
        row = self.model.rows.setdefault(job.id, Row(path, WAITING, 0, 0))
        row.state, row.turn, row.mtime_ns, row.queued_at = WAITING, self.model.next_turn(), self.mtime_ns, None

    @rule(path=some_path, identity=some_identity, priority=st.sampled_from([0, 0, 1]))
    def queues(self, path, identity, priority):
        job = queue(self.ledger, path, identity, mtime_ns=self.touched(), priority=priority)
        twin, old = self.model.twin(path, identity), self.model.unfinished(path)
        if twin is not None and self.model.rows[twin].state in (RUNNING, DONE):
            assert job.id == twin
            self.model.rows.pop(old, None)
            row = self.model.rows[twin]
        else:
            assert job.id == old if old is not None else job.id not in self.model.rows
            row = self.model.rows.setdefault(job.id, Row(path, WAITING, 0, 0))
            if row.identity != identity:
                row.attempts, row.folder = 0, None
            if row.identity != identity or row.state is not QUEUED or row.priority != priority:
                row.round, row.opened = self.model.take_place(path, priority, job.queued_at)
                row.queued_at, row.priority = job.queued_at, priority
                assert job.queued_at == self.clock.time or old is None
            row.state, row.identity = QUEUED, identity
        row.turn, row.mtime_ns = self.model.next_turn(), self.mtime_ns

    @rule(paths=some_paths)
    def wait_together(self, paths):
        new = [path for path, job in zip(paths, self.ledger.untouched(paths), strict=True) if job == 0]
        assert new == [path for path in paths if not self.model.of(path)]
        mtime_ns = self.touched()
        jobs = self.ledger.add([NewPhoto(path, 1, mtime_ns, "") for path in new])
        for job, path in zip(jobs, new, strict=True):
            self.model.rows[job] = Row(path, WAITING, self.model.next_turn(), mtime_ns)

    @rule(identity=some_identity, priority=st.sampled_from([0, 0, 1]), is_given_up=st.booleans())
    def are_queued_together(self, identity, priority, is_given_up):
        paths = [path for path in PATHS if path.parent == PurePosixPath()]
        known = zip(paths, self.ledger.untouched(paths), strict=True)
        mtime_ns = self.touched()
        photos = [WholePhoto(path, 1, mtime_ns, "", identity, job) for path, job in known if job is not None]
        with contextlib.suppress(ZeroDivisionError), self.ledger.batch():
            jobs = self.ledger.queue_untouched(
                PurePosixPath(), photos, settings_key="key", settings="{}", steps=400, priority=priority
            )
            if is_given_up:
                raise ZeroDivisionError
            for job, photo in sorted(zip(jobs, photos, strict=True), key=lambda each: each[0]):
                assert job == photo.id if photo.id else job not in self.model.rows
                queued_at = self.ledger.get(job).queued_at
                assert queued_at is not None
                place = self.model.take_place(photo.path, priority, queued_at)
                row = Row(photo.path, QUEUED, self.model.next_turn(), mtime_ns, identity, queued_at, priority, *place)
                self.model.rows[job] = row

    @rule(path=some_path)
    def forgets(self, path):
        gone = self.model.unfinished(path)
        assert ids(self.ledger.forget(path)) == ([] if gone is None else [gone])
        self.model.rows.pop(gone, None)

    @rule(job=some_job, name=st.sampled_from(["F", "f", "G"]))
    def places(self, job, name):
        owners = {
            each for each, row in self.model.rows.items() if row.folder and row.folder.name.lower() == name.lower()
        }
        owner = self.ledger.folder_owner(PurePosixPath(name))
        assert owners == (set() if owner is None else {owner.id})
        allowed = job in self.model.rows and owners <= {job}
        with self.expect_if(allowed):
            self.ledger.place(job, PurePosixPath(name))
        if allowed:
            self.model.rows[job].folder = PurePosixPath(name)

    @rule(job=some_job)
    def starts(self, job):
        allowed = job in self.model.rows and self.model.may_start(job)
        with self.expect_if(allowed):
            self.ledger.start(job, "cpu")
        if allowed:
            row = self.model.rows[job]
            row.state, row.attempts = RUNNING, row.attempts + 1
            row.outcomes.append("")

    @rule()
    def starts_the_next(self):
        job = self.model.next_queued()
        if job is not None:
            self.starts(job)

    @rule(job=some_job)
    def finishes(self, job):
        with self.expect(job, RUNNING):
            self.ledger.finish(job)
            self.model.rows[job].state = DONE
            self.model.rows[job].outcomes[-1] = "done"

    @rule(job=some_job)
    def adopts(self, job):
        folder = PurePosixPath(f"copy {job}")
        with self.expect(job, QUEUED):
            self.ledger.adopt(job, folder)
            self.model.rows[job].state, self.model.rows[job].folder = DONE, folder

    @rule(job=some_job)
    def fails(self, job):
        with self.expect(job, WAITING, QUEUED, RUNNING):
            self.ledger.fail(job, kind="E", reason="R", remedy="")
            self.model.give_up(job, PROBLEM, "problem")

    @rule(job=some_job)
    def is_not_whole(self, job):
        with self.expect(job, QUEUED, RUNNING):
            self.ledger.unsettle(job, reason="R")
            self.model.give_up(job, WAITING, "not whole")

    @rule(job=some_job, counts=st.booleans())
    def is_queued_again(self, job, counts):
        with self.expect(job, RUNNING):
            self.ledger.requeue(job, outcome="worker died", counts=counts)
            self.model.rows[job].attempts -= not counts
            self.model.give_up(job, QUEUED, "worker died")

    @rule(path=st.none() | some_path)
    def is_tried_again(self, path):
        problems = [job for job, row in self.model.rows.items() if row.state is PROBLEM and path in (None, row.path)]
        again = self.ledger.retry(path)
        assert sorted(ids(again)) == sorted(problems)
        for job in again:
            row = self.model.rows[job.id]
            if row.identity:
                row.round, row.opened = self.model.take_place(row.path, row.priority, job.queued_at)
            row.state, row.attempts, row.queued_at = (QUEUED if row.identity else WAITING), 0, job.queued_at

    @rule(job=some_job)
    def is_painted_anew(self, job):
        with self.expect(job, DONE):
            again = self.ledger.repaint(job)
            row = self.model.rows[job]
            self.model.rows.pop(self.model.unfinished(row.path), None)
            row.round, row.opened = self.model.take_place(row.path, row.priority, again.queued_at)
            row.state, row.attempts, row.queued_at, row.turn = QUEUED, 0, again.queued_at, self.model.next_turn()

    @rule(path=some_path)
    def is_erased(self, path):
        gone = [job for job, row in self.model.rows.items() if row.path == path and row.state is not RUNNING]
        assert sorted(ids(self.ledger.erase(path))) == sorted(gone)
        for job in gone:
            del self.model.rows[job]

    @rule()
    def the_daemon_starts_anew(self):
        self.ledger.close()
        self.ledger = Ledger.open(self.file, self.clock)
        running = [job for job, row in self.model.rows.items() if row.state is RUNNING]
        recovered = self.ledger.recover()
        for job in running:
            self.model.rows[job].attempts -= 1
            self.model.give_up(job, QUEUED, "interrupted")
        assert set(ids(recovered)) == {job for job in running if job in self.model.rows}

    @rule(path=some_path)
    def a_batch_is_given_up(self, path):
        with contextlib.suppress(ZeroDivisionError), self.ledger.batch():
            wait(self.ledger, path)
            self.ledger.retry()
            self.ledger.recover()
            raise ZeroDivisionError

    @invariant()
    def every_path_is_known_as_the_model_knows_it(self):
        for path in PATHS:
            jobs = self.ledger.known(path)
            assert ids(jobs) == self.model.of(path)
            for job in jobs:
                row = self.model.rows[job.id]
                assert (job.path, job.state, job.mtime_ns, job.identity) == (
                    path,
                    row.state,
                    row.mtime_ns,
                    row.identity,
                )
                assert (job.queued_at, job.attempts, job.folder) == (row.queued_at, row.attempts, row.folder)
                assert [attempt.outcome for attempt in self.ledger.attempts(job.id)] == row.outcomes

    @invariant()
    def lists_agree_with_the_model(self):
        overview = self.ledger.overview(recent=1)
        states = [row.state for row in self.model.rows.values()]
        assert overview.counts == {state: states.count(state) for state in JobState}
        known = {path: (each.state, each.mtime_ns) for path, each in self.ledger.known_paths().items()}
        newest = {path: self.model.rows[self.model.of(path)[0]] for path in PATHS if self.model.of(path)}
        assert known == {path: (row.state, row.mtime_ns) for path, row in newest.items()}
        following = self.ledger.next_queued()
        assert (following and following.id) == self.model.next_queued()

    @invariant()
    def a_number_is_never_given_twice(self):
        there = set(self.model.rows)
        self.gone |= self.there - there
        assert self.gone.isdisjoint(there)
        self.there = there

    @invariant()
    def a_path_has_at_most_one_row_that_runs_and_one_that_is_unfinished(self):
        for path in PATHS:
            states = [job.state for job in self.ledger.known(path)]
            assert states.count(RUNNING) <= 1
            assert sum(state in (WAITING, QUEUED, PROBLEM) for state in states) <= 1


TestAnyWay = AnyWay.TestCase
TestAnyWay.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# Upkeep.


def test_of_a_job_that_is_tried_for_ever_the_last_twenty_starts_are_kept_and_counted_on(ledger):
    job = queue(ledger)
    for _ in range(50):
        ledger.start(job.id, "cpu")
        ledger.requeue(job.id, outcome="not delivered", counts=False)
    ledger.prune()
    assert [attempt.number for attempt in ledger.attempts(job.id)] == list(range(31, 51))
    ledger.start(job.id, "cpu")
    assert [attempt.number for attempt in ledger.attempts(job.id)] == list(range(31, 52))
    ledger.prune()
    assert ledger.attempts(job.id)[-1].ended_at is None


def test_settings_that_no_job_has_are_forgotten_and_those_of_jobs_are_not(ledger, file):
    queue(ledger, settings="{1}")
    queue(ledger, settings="{2}", identity="b")
    ledger.prune()
    with contextlib.closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT text FROM plans").fetchall() == [("{2}",)]
    assert ledger.known(PHOTO)[0].settings == "{2}"


def test_no_painting_is_forgotten_however_long_its_photo_has_been_gone(ledger):
    job = queue(ledger)
    ledger.start(job.id, "cpu")
    ledger.finish(job.id)
    ledger.forget(PHOTO)
    ledger.prune()
    assert [job.state for job in ledger.known(PHOTO)] == [DONE]


def test_a_ledger_from_which_much_was_forgotten_becomes_small_again(ledger, file):
    with ledger.batch():
        for number in range(3000):
            queue(ledger, PurePosixPath(f"{number}-{'x' * 200}.jpg"), f"{number}", settings=f"{{{'y' * 500}{number}}}")
    with ledger.batch():
        for path in ledger.known_paths():
            ledger.forget(path)
    ledger.prune()
    assert ledger.compact()
    ledger.close()
    assert file.stat().st_size < 1 << 20
    with Ledger.open_read_only(file) as again:
        assert not again.known_paths()


def test_a_folder_s_photos_are_what_each_last_led_to_and_none_of_those_below_or_beside_it(ledger):
    done(ledger, PurePosixPath("trip/a.jpg"))
    done(ledger, PurePosixPath("trip/a.jpg"), "b")
    problem(ledger, PurePosixPath("trip/b.jpg"), "c")
    for name in ("trip/below/a.jpg", "trip0/a.jpg", "trip.jpg", "tri/p.jpg"):
        done(ledger, PurePosixPath(name), name)

    photos = ledger.photos_in(PurePosixPath("trip"))
    assert [(job.path.name, job.state, job.identity) for job in photos] == [
        ("a.jpg", DONE, "b"),
        ("b.jpg", PROBLEM, "c"),
    ]
    assert [str(job.path) for job in ledger.photos_in(PurePosixPath())] == ["trip.jpg"]


@pytest.mark.parametrize("begin", [wait, queue, run])
def test_a_folder_is_unfinished_while_a_photo_right_in_it_waits_or_is_painted(ledger, begin):
    done(ledger, PurePosixPath("trip/a.jpg"))
    problem(ledger, PurePosixPath("trip/b.jpg"), "b")
    job = begin(ledger, PurePosixPath("trip/below/a.jpg"))

    folders = [PurePosixPath(name) for name in ("", "trip", "trip/below", "nowhere")]
    assert [ledger.is_unfinished(folder) for folder in folders] == [False, False, True, False]
    ledger.forget(job.path)
    assert ledger.is_unfinished(PurePosixPath("trip/below")) == (job.state is RUNNING)


def test_the_places_of_paintings_are_named_with_the_number_of_their_photos(ledger):
    for number, name in enumerate(("a.jpg", "b.jpg", "trip/a.jpg", "trip/b.jpg", "trip/c.jpg", "one/a.jpg")):
        done(ledger, PurePosixPath(name), str(number))
    done(ledger, PurePosixPath("one/a.jpg"), "again")
    problem(ledger, PurePosixPath("two/b.jpg"), "e")

    assert {str(place): count for place, count in ledger.painted_places().items()} == {".": 2, "trip": 3, "one": 1}


def test_a_place_is_traced_to_the_folders_of_its_photos_and_not_to_those_below_or_beside_it(ledger):
    names = ("a.jpg", "trip/a.jpg", "trip/b.jpg", "Trip/a.jpg", "trip/below/a.jpg", "trip0/a.jpg", "tri/p.jpg")
    for number, name in enumerate(names):
        done(ledger, PurePosixPath(name), str(number))
    problem(ledger, PurePosixPath("trip/c.jpg"), "e")

    for name, sources in (("", {"."}), ("trip", {"Trip", "trip"}), ("none", set())):
        assert ledger.sources_of(PurePosixPath(name)) == {(PurePosixPath(each),) * 2 for each in sources}
