"""Every place of work keeps the protocol's promises: the process, and the in-memory twin that tests use for it."""

import contextlib
import io
import itertools
import queue

import pytest
from PIL import Image

from monet_watch.recipes import Recipe
from monet_watch.workers.base import (
    Health,
    JobCheckpoint,
    JobFailed,
    JobFinished,
    JobSnapshot,
    JobStarted,
    JobStep,
    JobStopped,
    PaintJob,
    PictureFile,
    WorkerReady,
)
from monet_watch.workers.local import LocalWorker
from monet_watch.workers.memory import MemoryWorker

ENDS = (JobFinished, JobFailed, JobStopped)
PATIENCE_SECONDS = 120


class Place:
    """A worker and its mailbox. ``waiting`` is what an empty mailbox is answered with."""

    def __init__(self, make):
        self.mailbox = queue.Queue()
        self.worker = make(self.mailbox.put)

    def next_event(self):
        if isinstance(self.worker, MemoryWorker) and self.mailbox.empty():
            assert self.worker.proceed(), "nothing more comes"
        return self.mailbox.get(timeout=PATIENCE_SECONDS)

    def events_until(self, *kinds):
        """The events up to the first of ``kinds``, which is the last of them."""
        events = [self.next_event()]
        while not isinstance(events[-1], kinds):
            events.append(self.next_event())
        return events


def make_place(kind, weights):
    if kind == "memory":
        return Place(lambda post: MemoryWorker(post, automatic=False))
    return Place(lambda post: LocalWorker("cpu", weights, post, threads=1))


@pytest.fixture(scope="module", params=["memory", "local"])
def place(request, tiny_weights):
    """A worker that is ready; the tests of this module share it, one job after another."""
    place = make_place(request.param, tiny_weights)
    place.worker.start()
    place.ready = place.next_event()
    assert isinstance(place.ready, WorkerReady)
    yield place
    place.worker.stop(timeout_seconds=PATIENCE_SECONDS)


@pytest.fixture
def make_job(make_photo):
    numbers = itertools.count(1)

    def make(steps=7, save_every=3, data=None, resume=None):
        photo = PictureFile("photo.png", make_photo(32, 32) if data is None else data)
        recipe = Recipe(image_size=32, steps=steps, save_every=save_every)
        styles = (PictureFile("style.png", make_photo(32, 32, seed=5)),)
        return PaintJob(next(numbers), "identity", photo, styles, recipe, limit_pixels=10_000_000, resume=resume)

    return make


def is_png(data):
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.format == "PNG"


def outline(events):
    return [(type(event).__name__, getattr(event, "number", None)) for event in events]


def test_a_job_s_events_come_in_the_promised_order(place, make_job):
    job = make_job(steps=7, save_every=3)
    place.worker.offer(job)
    events = place.events_until(*ENDS)

    assert outline(events) == [
        ("JobStarted", None),
        ("JobStep", 1), ("JobStep", 2), ("JobStep", 3), ("JobSnapshot", 3), ("JobCheckpoint", 3),
        ("JobStep", 4), ("JobStep", 5), ("JobStep", 6), ("JobSnapshot", 6), ("JobCheckpoint", 6),
        ("JobStep", 7), ("JobFinished", None),
    ]  # fmt: skip
    assert {event.job_id for event in events} == {job.job_id}
    assert place.mailbox.empty()


def test_a_finished_job_carries_its_files_its_size_and_the_losses_of_every_step(place, make_job):
    place.worker.offer(make_job(steps=4, save_every=2))
    started, *steps, finished = place.events_until(*ENDS)

    assert (finished.width, finished.height) == (started.width, started.height) == (32, 32)
    assert finished.curve == tuple(event.losses for event in steps if isinstance(event, JobStep))
    assert all(event.seconds > 0 for event in steps if isinstance(event, JobStep))
    assert is_png(finished.png) and is_png(finished.loss_plot)
    assert all(is_png(event.png) for event in steps if isinstance(event, JobSnapshot))
    assert finished.reason and finished.seconds > 0


def test_a_job_that_cannot_be_done_fails_in_words_and_the_next_one_is_painted(place, make_job):
    place.worker.offer(make_job(data=b""))
    *_, failed = place.events_until(*ENDS)
    assert isinstance(failed, JobFailed)
    assert failed.kind.endswith("Error") and failed.message

    place.worker.offer(make_job(steps=1))
    assert isinstance(place.events_until(*ENDS)[-1], JobFinished)


def test_a_cancelled_job_gives_a_checkpoint_and_goes_on_from_there(place, make_job):
    place.worker.offer(make_job(steps=5000, save_every=5000))
    place.events_until(JobStep)
    place.worker.cancel()
    *_, checkpoint, stopped = place.events_until(*ENDS)
    assert isinstance(checkpoint, JobCheckpoint) and isinstance(stopped, JobStopped)

    job = make_job(steps=checkpoint.number + 2, save_every=5000, resume=checkpoint.data)
    place.worker.offer(job)
    events = place.events_until(*ENDS)
    assert isinstance(events[0], JobStarted) and events[0].first_step == checkpoint.number + 1
    assert outline(events)[1:3] == [("JobStep", checkpoint.number + 1), ("JobStep", checkpoint.number + 2)]
    assert len(events[-1].curve) == checkpoint.number + 2


def test_a_cancel_without_a_job_says_nothing_and_harms_nothing(place, make_job):
    place.worker.cancel()
    place.worker.offer(make_job(steps=2))

    assert outline(place.events_until(*ENDS))[0] == ("JobStarted", None)


def test_the_name_is_there_before_anything_else(place):
    assert place.worker.name


def test_what_a_worker_can_do_is_known_once_it_is_ready_and_its_pace_after_the_first_step(place, make_job):
    capabilities = place.worker.capabilities()
    assert (capabilities.device, capabilities.kind) == (place.ready.device, place.ready.device.partition(":")[0])
    assert (capabilities.precision, capabilities.memory_bytes) == (place.ready.precision, place.ready.memory_bytes)

    place.worker.offer(make_job(steps=3))
    steps = [event.seconds for event in place.events_until(*ENDS) if isinstance(event, JobStep)]
    known = place.worker.capabilities()
    assert known.seconds_per_step(32 * 32) > 0
    assert known.seconds_per_step(64 * 64) == pytest.approx(4 * known.seconds_per_step(32 * 32))
    if capabilities.step_seconds == {}:
        assert min(steps) <= known.seconds_per_step(32 * 32) <= max(steps)


def test_a_worker_s_health_follows_its_job(place, make_job):
    assert place.worker.health() is Health.IDLE
    place.worker.offer(make_job(steps=5000, save_every=5000))
    assert place.worker.health() is Health.PAINTING
    place.events_until(JobStep)
    assert place.worker.health() is Health.PAINTING
    place.worker.cancel()
    place.events_until(JobStopped)
    assert place.worker.health() is Health.IDLE


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_before_its_start_and_after_its_end_a_worker_says_so(kind, tiny_weights):
    place = make_place(kind, tiny_weights)
    assert (place.worker.health(), place.worker.capabilities()) == (Health.UNSTARTED, None)
    place.worker.start()
    assert place.worker.health() in (Health.LOADING, Health.IDLE)
    place.next_event()
    place.worker.stop(timeout_seconds=PATIENCE_SECONDS)
    assert place.worker.health() is Health.ENDED
    assert place.worker.capabilities() is not None


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_after_a_stop_nothing_is_heard_any_more(kind, tiny_weights, make_job):
    place = make_place(kind, tiny_weights)
    place.worker.start()
    place.next_event()
    place.worker.offer(make_job(steps=5000, save_every=5000))
    place.events_until(JobStep)
    place.worker.stop(timeout_seconds=PATIENCE_SECONDS)
    with contextlib.suppress(queue.Empty):
        while True:  # what was posted before
            place.mailbox.get_nowait()

    place.worker.cancel()
    place.worker.stop(timeout_seconds=1)
    assert place.mailbox.empty()


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_worker_that_was_never_started_can_be_stopped(kind, tiny_weights):
    make_place(kind, tiny_weights).worker.stop(timeout_seconds=1)
