"""The rule and the ledger together: whole queues painted by workers that pretend, in simulated time."""

import heapq
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monet_watch.chooser import Chooser
from monet_watch.ledger import BATCH_PAUSE_SECONDS, JobState, Ledger
from monet_watch.plan import Plan
from monet_watch.recipes import SWIFT
from monet_watch.scheduling import IdleWorker

SIZES = (128, 256, 512, 1024)  # short sides in pixels; the work grows with their squares


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Queue:
    """A ledger, a chooser and a clock. ``begun`` holds (time, name) of each job that began, ``waits`` by name."""

    def __init__(self, ledger, clock):
        self.ledger, self.clock = ledger, clock
        self.chooser = Chooser(ledger, clock, clock)
        self.begun, self.identities = [], {}

    def drop(self, folder, number, size=512, identity=None, priority=0):
        path = PurePosixPath(folder, f"{number}.jpg")
        recipe = SWIFT.with_changes({"image_size": size})
        job = self.ledger.queue(
            path,
            size=1,
            mtime_ns=1,
            photo_sha256="",
            settings_key=f"{folder} {size}",
            identity=identity or str(path),
            settings=Plan("", recipe, (), {}, "oxford", "").to_json(),
            steps=recipe.steps,
            priority=priority,
        )
        self.identities[job.id] = size
        return job

    def paint(self, speeds, die_of=frozenset()):
        """Paint everything with workers of these ``speeds``; the first attempt at a job in ``die_of`` is lost."""
        idle, busy, began, died = dict(enumerate(speeds)), [], self.clock.now, set()
        while True:
            workers = [IdleWorker(number, speed) for number, speed in idle.items()]
            for each in self.chooser.choose(workers, len(speeds)) if workers else ():
                job = self.ledger.start(each.job_id, str(each.number))
                self.begun.append((self.clock.now, str(job.path)))
                seconds = self.identities[job.id] ** 2 / idle.pop(each.number)
                heapq.heappush(busy, (self.clock.now + seconds, each.number, job.id))
            if not busy:
                return self.clock.now - began
            self.clock.now, number, job_id = heapq.heappop(busy)
            if job_id in die_of - died:
                died.add(job_id)
                self.ledger.requeue(job_id, outcome="worker died")
            else:
                self.ledger.finish(job_id)
            idle[number] = speeds[number]


@pytest.fixture
def queue(tmp_path):
    clock = Clock()
    with Ledger.open(tmp_path / "ledger.db", clock) as ledger:
        yield Queue(ledger, clock)


def order(queue):
    return [name for _, name in queue.begun]


drops = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(SIZES), st.booleans(), st.sampled_from([0, 0, 0, 1])),
    min_size=1,
    max_size=40,
)
speeds = st.lists(st.sampled_from([1e4, 2e4, 1e5]), min_size=1, max_size=5)


@given(drops, speeds, st.sets(st.integers(1, 40), max_size=5))
@settings(max_examples=40, deadline=None)
def test_whatever_is_queued_is_painted_once_and_a_death_loses_nothing(tmp_path_factory, arrivals, speeds, die_of):
    clock = Clock()
    with Ledger.open(tmp_path_factory.mktemp("queue") / "ledger.db", clock) as ledger:
        queue = Queue(ledger, clock)
        for number, (folder, size, pauses, priority) in enumerate(arrivals):
            clock.now += BATCH_PAUSE_SECONDS if pauses else 0.0
            queue.drop(folder, number, size, priority=priority)
        queue.paint(speeds, die_of)
        assert ledger.counts()[JobState.DONE] == len(arrivals)
        assert len(queue.begun) == len(arrivals) + len(die_of & set(queue.identities))


@given(drops, speeds)
@settings(max_examples=40, deadline=None)
def test_the_whole_takes_no_longer_than_graham_s_bound(tmp_path_factory, arrivals, speeds):
    """No worker is idle while a job waits: of equal workers, never more than all the work shared, and the longest."""
    clock = Clock()
    speed, count = speeds[0], len(speeds)
    with Ledger.open(tmp_path_factory.mktemp("queue") / "ledger.db", clock) as ledger:
        queue = Queue(ledger, clock)
        for number, (folder, size, _, priority) in enumerate(arrivals):
            queue.drop(folder, number, size, priority=priority)
        seconds = queue.paint([speed] * count)
        work = [size**2 / speed for _, size, _, _ in arrivals]
        assert seconds <= sum(work) / count + max(work) * (1 - 1 / count) + 1e-3


@given(drops, speeds)
@settings(max_examples=40, deadline=None)
def test_priority_is_never_inverted(tmp_path_factory, arrivals, speeds):
    clock = Clock()
    with Ledger.open(tmp_path_factory.mktemp("queue") / "ledger.db", clock) as ledger:
        queue, priorities = Queue(ledger, clock), {}
        for number, (folder, size, _, priority) in enumerate(arrivals):
            job = queue.drop(f"{folder}{priority}", number, size, priority=priority)
            priorities[str(job.path)] = priority
        queue.paint(speeds)
        found = [priorities[name] for name in order(queue)]
        assert found == sorted(found, reverse=True)


def test_a_photo_waits_for_two_of_each_batch_at_most_however_large_they_are(queue):
    folders = [f"bulk {number}" for number in range(5)]
    for number in range(50):
        for folder in folders:
            queue.drop(folder, number)
    queue.clock.now += BATCH_PAUSE_SECONDS
    queue.drop("alone", 0)
    queue.paint([1e5])
    assert order(queue).index("alone/0.jpg") <= 2 * len(folders)


def test_the_longest_of_equal_turns_begin_first_and_the_whole_ends_with_them(queue):
    """Eight quick ones and a long one, on two workers: begun last, the long one would take half as long again."""
    queue.drop("first", 0, 128)
    for number in range(8):
        queue.drop(f"quick {number}", 0, 256)
    queue.drop("long", 0, 512)
    seconds = queue.paint([1e4, 1e4])
    work = [128**2, *[256**2] * 8, 512**2]
    assert order(queue)[1] == "long/0.jpg"
    assert seconds == pytest.approx(sum(work) / 2 / 1e4, rel=0.1)


def test_a_slow_worker_does_not_hold_the_whole_up_with_a_long_painting(queue):
    """With a long one it is busy for longer than all workers are with all paintings; with a quick one it is not."""
    for number in range(20):
        queue.drop(f"quick {number}", 0, 256)
        queue.drop(f"long {number}", 0, 512)
    speeds = [1e4, 1e4, 1e4, 1e3]
    together = 20 * (256**2 + 512**2) / sum(speeds)
    assert 512**2 / speeds[-1] > together
    assert queue.paint(speeds) < together + 256**2 / speeds[-1]


def test_a_worker_alone_paints_the_quickest_of_equal_turns_first(queue):
    queue.drop("first", 0)
    for name, size in (("long", 1024), ("quick", 128), ("usual", 512)):
        queue.drop(name, 0, size)
    queue.paint([1e5])
    assert order(queue)[1:] == ["quick/0.jpg", "usual/0.jpg", "long/0.jpg"]


def test_in_a_queue_that_has_not_changed_nothing_is_looked_for_twice(queue, monkeypatch):
    """A whole inbox of copies waits for the one that is being painted."""
    for number in range(50):
        queue.drop("copies", number, identity="the same")
    idle = [IdleWorker(0), IdleWorker(1)]
    (begun,) = queue.chooser.choose(idle, 2)
    queue.ledger.start(begun.job_id, "0")
    looks = []
    front = queue.ledger.front
    monkeypatch.setattr(queue.ledger, "front", lambda *asked: looks.append(asked) or front(*asked))
    for _ in range(20):
        assert queue.chooser.choose(idle[1:], 2) == ()
        queue.ledger.progress(begun.job_id, step=1, loss=1.0, seconds_per_step=1.0)
    assert len(looks) == 1
    queue.drop("another", 0)
    assert len(queue.chooser.choose(idle[1:], 2)) == 1


def test_a_job_that_was_put_off_is_found_when_its_time_has_come(queue):
    job = queue.drop("a", 0)
    queue.ledger.put_off(job.id, kind="", reason="", remedy="", seconds=5.0)
    assert queue.chooser.choose([IdleWorker(0)], 1) == ()
    queue.clock.now += 4.0
    assert queue.chooser.choose([IdleWorker(0)], 1) == ()
    queue.clock.now += 1.0
    assert [each.job_id for each in queue.chooser.choose([IdleWorker(0)], 1)] == [job.id]


def test_jobs_that_wait_for_room_are_passed_over_until_there_is_some(queue):
    large, small = queue.drop("large", 0, 1024), queue.drop("small", 0, 128)
    assert [each.job_id for each in queue.chooser.choose([IdleWorker(0)], 1, frozenset({"large 1024"}))] == [small.id]
    queue.ledger.start(small.id, "0")
    assert queue.chooser.choose([IdleWorker(0)], 1, frozenset({"large 1024"})) == ()
    assert [each.job_id for each in queue.chooser.choose([IdleWorker(0)], 1)] == [large.id]


def test_a_device_on_which_the_whole_front_has_failed_takes_the_first_job_behind_it(queue):
    jobs = [queue.drop("bulk", number).id for number in range(60)]
    worker = IdleWorker(0, 1e5, failed=frozenset(jobs[:50]))
    (begins,) = queue.chooser.choose([worker], workers=2)
    assert begins.job_id in jobs[50:]
