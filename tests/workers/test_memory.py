"""The in-memory worker does as it is told, so that a test can put a daemon into any situation."""

import io

import pytest
from PIL import Image

from monet_watch.errors import WorkerError
from monet_watch.recipes import Recipe
from monet_watch.workers.base import JobFailed, JobFinished, PaintJob, PictureFile, WorkerDied
from monet_watch.workers.memory import MemoryWorker, tiny_png


def make_job(job_id=1, steps=4):
    photo = PictureFile("photo.jpg", b"photo")
    return PaintJob(job_id, "identity", photo, (), Recipe(steps=steps, save_every=2), limit_pixels=100)


def names(events):
    return [type(event).__name__ for event in events]


def test_left_alone_it_paints_at_once():
    events = []
    worker = MemoryWorker(events.append)
    worker.start()
    worker.offer(make_job())

    assert names(events) == [
        "WorkerReady", "JobStarted", "JobStep", "JobStep", "JobSnapshot", "JobCheckpoint",
        "JobStep", "JobStep", "JobSnapshot", "JobFinished",
    ]  # fmt: skip


def test_told_what_to_do_it_does_that():
    events = []
    worker = MemoryWorker(events.append, automatic=False)
    worker.start()
    worker.offer(make_job())
    assert events == []
    worker.ready()
    worker.begin()
    worker.step(3)
    worker.fail("OutOfMemory", "There is not enough memory.")

    assert names(events) == ["WorkerReady", "JobStarted", "JobStep", "JobStep", "JobStep", "JobFailed"]
    assert isinstance(events[-1], JobFailed) and events[-1].kind == "OutOfMemory"


def test_once_dead_it_is_silent():
    events = []
    worker = MemoryWorker(events.append, automatic=False)
    worker.offer(make_job())
    worker.die("it was ended by SIGSEGV")
    worker.offer(make_job(2))
    worker.begin()

    assert events == [WorkerDied("it was ended by SIGSEGV")]


def test_the_next_job_may_be_offered_by_whoever_hears_that_the_last_one_is_done():
    events = []

    def hear(event):
        events.append(event)
        if isinstance(event, JobFinished) and event.job_id == 1:
            worker.offer(make_job(2))

    worker = MemoryWorker(hear)
    worker.offer(make_job(1))

    assert [event.job_id for event in events if isinstance(event, JobFinished)] == [1, 2]
    assert [job.job_id for job in worker.jobs] == [1, 2]


def test_a_second_job_at_the_same_time_is_refused():
    worker = MemoryWorker(lambda event: None, automatic=False)
    worker.offer(make_job(1))

    with pytest.raises(WorkerError, match="has a job already"):
        worker.offer(make_job(2))


def test_without_a_job_there_is_nothing_to_do():
    with pytest.raises(WorkerError, match="has no job"):
        MemoryWorker(lambda event: None, automatic=False).step()


def test_its_pictures_are_real():
    with Image.open(io.BytesIO(tiny_png(77))) as picture:
        assert picture.size == (1, 1) and picture.getpixel((0, 0)) == 77
