"""Every place of work keeps the protocol's promises: the process, the actor on a cluster, and the in-memory twin."""

import contextlib
import io
import itertools
import os
import queue
import signal
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from monet_watch.recipes import Recipe
from monet_watch.workers.base import (
    Allowance,
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
    WorkerDied,
    WorkerReady,
    WorkerSaid,
    WorkerWaits,
)
from monet_watch.workers.cluster import Cluster
from monet_watch.workers.local import LocalWorker
from monet_watch.workers.memory import MemoryWorker
from monet_watch.workers.ray import RayCluster, RayWorker
from tests.ray_head import RayHead, wait_until

ENDS = (JobFinished, JobFailed, JobStopped)
PATIENCE_SECONDS = 120


KINDS = ("memory", "local", "ray")


class Place:
    """A worker and its mailbox. While ``open`` is not set, the daemon reads nothing."""

    def __init__(self, make):
        self.make = make
        self.mailbox = queue.Queue()
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.worker = make(self.post)

    def post(self, event):
        if not self.open.is_set() and not isinstance(self.worker, MemoryWorker):
            self.waiting.set()
            self.open.wait(PATIENCE_SECONDS)
        self.mailbox.put(event)

    def next_event(self):
        if isinstance(self.worker, MemoryWorker) and self.mailbox.empty():
            assert self.worker.proceed(), "nothing more comes"
        event = self.mailbox.get(timeout=PATIENCE_SECONDS)
        return self.next_event() if isinstance(event, WorkerSaid | WorkerWaits) else event

    def events_until(self, *kinds):
        """The events up to the first of ``kinds``, which is the last of them."""
        events = [self.next_event()]
        while not isinstance(events[-1], kinds):
            assert not isinstance(events[-1], WorkerDied), events[-1]
            events.append(self.next_event())
        return events

    def begin(self):
        """Start the worker, and wait until it is ready."""
        self.worker.start()
        self.ready = self.next_event()
        assert isinstance(self.ready, WorkerReady), self.ready

    def end(self):
        self.worker.stop(timeout_seconds=PATIENCE_SECONDS)

    def crash(self):
        """Whatever paints is killed."""
        if isinstance(self.worker, MemoryWorker):
            self.worker.die("it was ended by SIGKILL")
        else:
            os.kill(self.painter(), signal.SIGKILL)

    def painter(self):
        """The id of the process that paints."""
        return self.worker.pid if isinstance(self.worker, LocalWorker) else painters(self.head)[-1]

    def restart_daemon(self):
        """The daemon is killed, and another one begins with a worker of its own."""
        if isinstance(self.worker, RayWorker):
            self.worker.forsake()
        else:
            self.worker.stop(0)
        self.mailbox = queue.Queue()
        self.worker = self.make(self.post)
        self.begin()


def painters(head):
    """The worker processes of a cluster, those started last at the end."""
    found = [pid for pid in head.pids(of="spawn_main") if "spawn_main" in cmdline(pid) and is_child_of_an_actor(pid)]
    return sorted(found, key=lambda pid: int(status(pid)[19]))  # by the time of their start


def actors(head):
    """The processes of the actors of a cluster."""
    return [pid for pid in head.pids(of="ray::RayStudio") if cmdline(pid).startswith("ray::RayStudio")]


def cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def is_child_of_an_actor(pid):
    return "ray::" in cmdline(status(pid)[1])


def status(pid):
    """What the system says of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def rests(pid):
    """Whether a process sleeps, and has used no processor for a moment."""
    before = status(pid)[11:13]
    time.sleep(1.0)
    return status(pid)[11:13] == before and status(pid)[0] == "S"


def lives(pid):
    with contextlib.suppress(OSError):
        return status(pid)[0] != "Z"
    return False


@pytest.fixture(scope="session")
def head():
    with RayHead() as head:
        yield head


@pytest.fixture(scope="module")
def make_place(tiny_weights, request):
    def make(kind):
        if kind == "memory":
            return Place(lambda post: MemoryWorker(post, automatic=False))
        if kind == "local":
            return Place(lambda post: LocalWorker("cpu", tiny_weights, post, threads=1))
        head = request.getfixturevalue("head")
        cluster = Cluster(head.address, f"test-{uuid.uuid4().hex}", 0, 0.5, 60, head.token_file)
        place = Place(lambda post: RayCluster(cluster, tiny_weights, Allowance(threads=1)).worker("ray:1", post))
        place.head = head
        return place

    return make


@pytest.fixture(scope="module", params=KINDS)
def place(request, make_place):
    """A worker that is ready; the tests of this module share it, one job after another."""
    place = make_place(request.param)
    place.begin()
    yield place
    place.end()


@pytest.fixture(params=KINDS)
def fresh(request, make_place):
    """A worker of the test's own, that is ready."""
    place = make_place(request.param)
    place.begin()
    yield place
    place.open.set()
    place.end()


@pytest.fixture
def make_job(make_photo):
    numbers = itertools.count(1)

    def make(steps=7, save_every=3, data=None, resume=None):
        photo = PictureFile("photo.png", make_photo(32, 32) if data is None else data)
        recipe = Recipe(image_size=32, steps=steps, save_every=save_every)
        styles = (PictureFile("style.png", make_photo(32, 32, seed=5)),)
        return PaintJob(next(numbers), uuid.uuid4().hex, photo, styles, recipe, limit_pixels=10_000_000, resume=resume)

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


@pytest.mark.parametrize("kind", KINDS)
def test_before_its_start_and_after_its_end_a_worker_says_so(kind, make_place):
    place = make_place(kind)
    assert (place.worker.health(), place.worker.capabilities()) == (Health.UNSTARTED, None)
    place.worker.start()
    assert place.worker.health() in (Health.LOADING, Health.IDLE)
    place.next_event()
    place.worker.stop(timeout_seconds=PATIENCE_SECONDS)
    assert place.worker.health() is Health.ENDED
    assert place.worker.capabilities() is not None


def test_after_a_stop_nothing_is_heard_any_more(fresh, make_job):
    fresh.worker.offer(make_job(steps=5000, save_every=5000))
    fresh.events_until(JobStep)
    fresh.worker.stop(timeout_seconds=PATIENCE_SECONDS)
    with contextlib.suppress(queue.Empty):
        while True:  # what was posted before
            fresh.mailbox.get_nowait()

    fresh.worker.cancel()
    fresh.worker.stop(timeout_seconds=1)
    assert fresh.mailbox.empty()


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_was_never_started_can_be_stopped(kind, make_place):
    make_place(kind).worker.stop(timeout_seconds=1)


def test_a_picture_of_more_pixels_than_allowed_fails_in_words_and_the_next_one_is_painted(place, make_job):
    place.worker.offer(replace(make_job(), limit_pixels=32 * 32 - 1))
    *_, failed = place.events_until(*ENDS)
    assert isinstance(failed, JobFailed) and (failed.kind, failed.passes) == ("PhotoTooLargeError", False)

    place.worker.offer(make_job(steps=1))
    assert isinstance(place.events_until(*ENDS)[-1], JobFinished)


def test_a_crash_in_the_middle_of_a_job_is_told_once_and_is_the_last_that_is_heard(fresh, make_job):
    fresh.worker.offer(make_job(steps=5000, save_every=5000))
    fresh.events_until(JobStep)
    fresh.crash()
    while not isinstance(event := fresh.next_event(), WorkerDied):
        assert isinstance(event, JobStep)

    assert "SIGKILL" in event.reason and not event.blameless
    assert fresh.worker.health() is Health.ENDED and fresh.worker.alive()
    fresh.worker.offer(make_job())
    fresh.worker.stop(timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(fresh.worker, MemoryWorker) or fresh.mailbox.empty()


def test_a_worker_that_hangs_is_ended_and_says_nothing_of_it(fresh, make_job):
    fresh.worker.offer(make_job(steps=5000, save_every=5000))
    fresh.events_until(JobStep)
    pid = None if isinstance(fresh.worker, MemoryWorker) else fresh.painter()
    if pid is not None:
        os.kill(pid, signal.SIGSTOP)
    fresh.worker.stop(timeout_seconds=0.1)

    heard = list(fresh.mailbox.queue)
    assert not any(isinstance(event, WorkerDied) for event in heard)
    if pid is not None:
        wait_until(lambda: not lives(pid))


def test_a_daemon_that_reads_slowly_hears_everything_in_order_when_it_reads_again(fresh, make_job):
    """Meanwhile the worker goes no further than one painting, and waits."""
    fresh.open.clear()
    job = make_job(steps=45, save_every=10)
    fresh.worker.offer(job)
    if not isinstance(fresh.worker, MemoryWorker):
        assert fresh.waiting.wait(PATIENCE_SECONDS)
        wait_until(lambda: rests(fresh.painter()))
    fresh.open.set()
    events = fresh.events_until(*ENDS)

    assert [event.number for event in events if isinstance(event, JobStep)] == list(range(1, 46))
    assert [event.number for event in events if isinstance(event, JobSnapshot)] == [10, 20, 30, 40]
    assert [event.number for event in events if isinstance(event, JobCheckpoint)] == [10, 20, 30, 40]
    assert isinstance(events[-1], JobFinished)


def test_a_daemon_that_is_killed_and_started_again_goes_on_with_the_painting_and_gets_it_once(fresh, make_job):
    job = make_job(steps=60, save_every=20)
    fresh.worker.offer(job)
    checkpoint = fresh.events_until(JobCheckpoint)[-1]
    fresh.restart_daemon()
    fresh.worker.offer(replace(job, job_id=777, resume=checkpoint.data))
    events = fresh.events_until(*ENDS)

    assert fresh.ready.holds in ("", job.identity)
    assert {event.job_id for event in events} == {777}
    numbers = [event.number for event in events if isinstance(event, JobStep)]
    assert numbers == list(range(1 if fresh.ready.holds else checkpoint.number + 1, 61))
    assert isinstance(events[-1], JobFinished) and len(events[-1].curve) == 60
    assert fresh.mailbox.empty()


def test_an_actor_to_which_nobody_listens_any_more_gives_its_room_back(tiny_weights, head):
    cluster = Cluster(head.address, f"test-{uuid.uuid4().hex}", 0, 0.5, 2, head.token_file)
    before = set(painters(head))
    place = Place(lambda post: RayCluster(cluster, tiny_weights, Allowance(threads=1)).worker("ray:1", post))
    place.begin()
    (mine,) = set(painters(head)) - before
    place.worker.forsake()
    wait_until(lambda: not lives(mine))


def test_of_the_actors_that_a_daemon_left_the_next_one_takes_that_with_a_painting_though_others_are_silent(
    tiny_weights, head, make_job
):
    cluster = Cluster(head.address, f"test-{uuid.uuid4().hex}", 0, 0.5, 60, head.token_file)
    crowd = RayCluster(cluster, tiny_weights, Allowance(threads=1))
    before = set(actors(head))
    silent, busy = (Place(lambda post: crowd.worker("ray:1", post)) for _ in range(2))
    silent.begin()
    (stopped,) = set(actors(head)) - before
    busy.begin()
    job = make_job(steps=5000, save_every=5000)
    busy.worker.offer(job)
    busy.events_until(JobStep)
    os.kill(stopped, signal.SIGSTOP)
    silent.worker.forsake()
    busy.make = lambda post: RayCluster(cluster, tiny_weights, Allowance(threads=1)).worker("ray:1", post)
    busy.restart_daemon()

    assert busy.ready.holds == job.identity
    os.kill(stopped, signal.SIGKILL)
    busy.end()


def test_an_actor_is_dismissed_though_it_waits_for_the_end_of_a_painting_that_hangs(make_place, make_job):
    place = make_place("ray")
    place.begin()
    place.worker.offer(make_job(steps=1000))
    place.events_until(JobStep)
    painter = place.painter()
    os.kill(painter, signal.SIGSTOP)
    place.restart_daemon()
    place.worker.offer(make_job())
    place.worker.stop(timeout_seconds=1)
    wait_until(lambda: not lives(painter))


def test_a_worker_for_which_a_cluster_has_no_room_says_what_it_wants_and_can_be_dismissed(tiny_weights, head):
    cluster = Cluster(head.address, f"test-{uuid.uuid4().hex}", 1, 0.5, 60, head.token_file)
    said = queue.Queue()
    worker = RayCluster(cluster, tiny_weights, Allowance(threads=1)).worker("ray:1", said.put)
    worker.start()
    while "room" not in str(event := said.get(timeout=PATIENCE_SECONDS)):
        assert isinstance(event, WorkerSaid | WorkerWaits)
    assert event == WorkerWaits("the cluster has no room for it (1 GPU and 0.5 CPU), or is slow to start it")
    worker.stop(timeout_seconds=5)
    wait_until(lambda: not worker.alive())
