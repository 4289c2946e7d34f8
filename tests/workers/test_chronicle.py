"""What a worker said of a painting is kept for whoever comes later."""

import pytest

from monet_watch.engine.events import Losses
from monet_watch.output import Output
from monet_watch.recipes import Recipe
from monet_watch.workers.base import (
    JobCheckpoint,
    JobFailed,
    JobSnapshot,
    JobStarted,
    JobStep,
    JobStopped,
    PaintJob,
    PictureFile,
    WorkerDied,
    WorkerReady,
    WorkerSaid,
)
from monet_watch.workers.chronicle import MOST_CHECKPOINTS, Chronicle

READY = WorkerReady("cpu", "a processor", "fp32", 1, {})
STARTED, STEP = JobStarted(1, 32, 32, 1), JobStep(1, 1, Losses(1, 1, 0, 0), 0.1)


def job(identity="one", job_id=1, **more):
    return PaintJob(job_id, identity, PictureFile("a.png", b"a"), (), Recipe(), 100, **more)


@pytest.fixture
def chronicle():
    chronicle = Chronicle()
    chronicle.write(READY)
    return chronicle


def heard(chronicle, listener):
    """All that is due for a listener."""
    events = []
    while new := chronicle.read(listener, 100):
        events += new
    return events


def test_a_listener_hears_first_that_the_worker_is_ready_and_of_a_painting_once_it_has_offered_it(chronicle):
    listener = chronicle.attach()
    assert heard(chronicle, listener) == [READY]
    chronicle.begin(job())
    chronicle.write(STARTED)
    assert heard(chronicle, listener) == [STARTED]


def test_who_comes_later_is_told_what_is_held_and_hears_all_of_it_as_its_own_job(chronicle):
    chronicle.begin(job())
    chronicle.write(STARTED)
    chronicle.write(STEP)
    listener = chronicle.attach()
    (ready,) = heard(chronicle, listener)
    assert ready.holds == "one"
    assert chronicle.adopt(job(job_id=9))
    assert heard(chronicle, listener) == [JobStarted(9, 32, 32, 1), JobStep(9, 1, STEP.losses, 0.1)]


def test_another_painting_or_the_same_in_other_files_is_not_what_is_told_of(chronicle):
    chronicle.begin(job())
    assert not chronicle.adopt(job("two"))
    assert not chronicle.adopt(job(output=Output(formats=("png", "jpeg"))))


@pytest.mark.parametrize("end", [JobStopped(1), JobFailed(1, "PhotoError", "no", "")])
def test_a_painting_that_was_not_finished_is_not_held(chronicle, end):
    chronicle.begin(job())
    chronicle.write(end)
    assert chronicle.holds == "" and not chronicle.under_way
    assert not chronicle.adopt(job())


def test_the_former_listener_is_sent_away(chronicle):
    former = chronicle.attach()
    chronicle.attach()
    assert chronicle.read(former, 100) is None


def test_of_many_checkpoints_that_nobody_took_the_last_ones_are_kept_and_everything_else(chronicle):
    chronicle.begin(job())
    for number in range(1, 101):
        chronicle.write(JobSnapshot(1, number, b"png"))
        chronicle.write(JobCheckpoint(1, number, b"state"))
    listener = chronicle.attach()
    chronicle.adopt(job())
    events = heard(chronicle, listener)
    assert [event.number for event in events if isinstance(event, JobSnapshot)] == list(range(1, 101))
    assert [event.number for event in events if isinstance(event, JobCheckpoint)] == list(
        range(101 - MOST_CHECKPOINTS, 101)
    )


def test_the_end_is_told_once_and_after_everything_else(chronicle):
    chronicle.begin(job())
    listener = chronicle.attach()
    chronicle.adopt(job())
    chronicle.write(STARTED)
    chronicle.write(WorkerDied("it was ended by SIGKILL"))
    assert [type(event) for event in heard(chronicle, listener)] == [WorkerReady, JobStarted, WorkerDied]
    assert not chronicle.under_way


def test_what_a_worker_says_beside_a_painting_is_not_kept(chronicle):
    chronicle.write(WorkerSaid("hello"))
    listener = chronicle.attach()
    chronicle.begin(job())
    chronicle.write(WorkerSaid("a codec's word"))
    assert heard(chronicle, listener)[1:] == [WorkerSaid("a codec's word")]
