"""Workers by their places: who is hired when, and who is taken to hang."""

from pathlib import PurePosixPath

import pytest

from monet_watch.crew import Crew
from monet_watch.forecast import pixels_in_one_piece
from monet_watch.ledger import Job, JobState, WorkerState
from monet_watch.recipes import Recipe
from monet_watch.workers.base import PaintJob, PictureFile, WorkerReady
from monet_watch.workers.memory import MemoryWorker
from tests.rehearsal import Clock

LOOKS = 1.0  # seconds between two looks of the loop
HANG_SECONDS = 30.0


class Office:
    """A crew of one, whose worker does what the test says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.workers: list[MemoryWorker] = []
        self.crew = Crew(("cpu",), self.hire, self.hear, self.clock, HANG_SECONDS)
        self.crew.open()

    def hire(self, device, post):
        self.workers.append(MemoryWorker(post, device, automatic=False))
        return self.workers[-1]

    def hear(self, message):
        self.place.heard(message.event)
        if isinstance(message.event, WorkerReady):
            self.crew.is_ready(self.place, message.event)

    @property
    def place(self):
        return self.crew.places[0]

    def begin(self):
        """The worker is ready, and is given a job."""
        self.workers[-1].ready()
        self.place.take(Job(1, PurePosixPath("a.jpg"), JobState.RUNNING, 1, 1))
        self.workers[-1].offer(PaintJob(1, "id", PictureFile("a.jpg", b"a"), (), Recipe(), 1))

    def hangs_after(self, seconds):
        """Whether the worker, silent from here on, is found to hang after ``seconds`` and not before."""
        found = []
        for look in range(1, int(seconds / LOOKS) + 2):
            self.clock.now += LOOKS
            found += [look * LOOKS for _ in self.crew.hanging()]
        return found == [seconds + LOOKS]


@pytest.fixture
def office():
    return Office()


def test_a_worker_may_take_six_times_as_long_to_load_the_network(office):
    assert office.hangs_after(6 * HANG_SECONDS)


def test_so_may_one_that_replaces_another_that_was_in_the_middle_of_a_painting(office):
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step()
    office.crew.dismiss(office.place, "it was ended by SIGKILL")
    office.clock.now += 1.0
    assert not list(office.crew.hanging())
    office.crew.replace_dead()
    assert office.hangs_after(6 * HANG_SECONDS)


def test_a_worker_may_take_six_times_as_long_to_its_first_step(office):
    office.begin()
    assert office.hangs_after(6 * HANG_SECONDS)


def test_a_worker_that_takes_steps_hangs_when_it_is_silent_for_the_stated_time(office):
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step()
    assert office.hangs_after(HANG_SECONDS)


def test_one_whose_steps_take_long_may_be_silent_for_twenty_of_them(office, monkeypatch):
    monkeypatch.setattr("monet_watch.workers.memory._SECONDS_PER_STEP", 4.0)
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step()
    assert office.hangs_after(80.0)


def test_whatever_is_heard_is_a_sign_of_life(office):
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step()
    for _ in range(3):
        office.clock.now += HANG_SECONDS / 2
        assert not list(office.crew.hanging())
        office.workers[-1].checkpoint()
    assert office.hangs_after(HANG_SECONDS)


def test_a_worker_that_has_nothing_to_do_does_not_hang(office):
    office.workers[-1].ready()
    for _ in range(1000):
        office.clock.now += 10.0
        assert not list(office.crew.hanging())


def test_while_the_daemon_itself_stood_still_nobody_was_silent(office):
    """After a stop by a signal, or a long scan, the worker has had no chance to be heard."""
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step()
    office.clock.now += 100_000.0
    assert not list(office.crew.hanging())


def test_the_pauses_before_a_new_worker_grow_with_every_death_until_a_job_comes_to_its_end(office):
    crew, clock = office.crew, office.clock
    for pause in (1.0, 2.0, 4.0):
        crew.dismiss(office.place, "it was ended by SIGSEGV")
        assert crew.next_due() == clock.now + pause
        clock.now += pause
        crew.replace_dead()
        office.begin()
    office.place.leave()
    crew.dismiss(office.place, "it was ended by SIGSEGV")
    assert crew.next_due() == clock.now + 1.0


def test_the_longest_pause_is_an_hour(office):
    for _ in range(100):
        office.crew.dismiss(office.place, "no such device")
    assert office.crew.next_due() == office.clock.now + 3600.0


def hired(devices, **options):
    """A crew, and the devices that workers were made for, in that order."""
    made = []

    def hire(device, post):
        made.append(device)
        return MemoryWorker(post, device, automatic=False)

    crew = Crew(devices, hire, lambda message: None, Clock(), HANG_SECONDS, **options)
    crew.open()
    return crew, made


def test_each_device_gets_as_many_workers_as_are_asked_for():
    crew, made = hired(("cuda:0", "cpu"), workers_per_device=2)
    assert made == ["cuda:0", "cuda:0", "cpu", "cpu"]
    assert [place.number for place in crew.places] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("found", "after"),
    [
        (("cpu",), ["auto", "cpu"]),
        (("cuda:0", "cuda:1"), ["auto", "cuda:0", "cuda:1", "cuda:1"]),
    ],
)
def test_so_does_each_of_those_that_auto_stands_for(found, after):
    crew, made = hired(("auto",), workers_per_device=2)
    assert made == ["auto"]
    crew.has_found(crew.places[0], found)
    assert made == after
    assert list(crew.devices) == [device for device in found for _ in range(2)]


def test_devices_that_are_found_twice_are_staffed_once():
    crew, made = hired(("auto",))
    for _ in range(2):
        crew.has_found(crew.places[0], ("cuda:0", "cuda:1"))
    assert made == ["auto", "cuda:1"]


def test_devices_that_are_found_while_all_are_to_stop_are_not_staffed():
    crew, made = hired(("auto",))
    crew.drain()
    crew.has_found(crew.places[0], ("cuda:0", "cuda:1"))
    assert made == ["auto"]


def test_a_worker_is_known_by_what_it_has_painted_and_by_the_memory_that_it_tells():
    crew, _ = hired(("cuda:0",))
    place, job = crew.places[0], Job(1, PurePosixPath("a.jpg"), JobState.RUNNING, 1, 1, settings_key="monet")
    crew.is_ready(place, WorkerReady("cuda:0", "a card", "bf16", 1, {}, memory_bytes=8 * 2**30))
    fresh = place.as_idle()
    assert (fresh.speed, fresh.styles) == (None, frozenset())
    assert fresh.largest == pixels_in_one_piece(8 * 2**30, "bf16")
    place.take(job)
    place.has_painted(work=3000.0, seconds=10.0)
    assert (place.as_idle().speed, place.as_idle().styles) == (300.0, {"monet"})


def test_a_worker_that_replaces_another_has_measured_no_style_and_is_as_fast_as_the_other_was():
    crew, _ = hired(("cuda:0",))
    place = crew.places[0]
    place.take(Job(1, PurePosixPath("a.jpg"), JobState.RUNNING, 1, 1, settings_key="monet"))
    place.has_painted(work=3000.0, seconds=10.0)
    crew.dismiss(place, "it was ended by SIGKILL")
    crew.hurry()
    crew.replace_dead()
    assert (place.as_idle().speed, place.as_idle().styles) == (300.0, frozenset())


def test_a_worker_is_told_with_its_device_its_photo_and_what_its_steps_took(office):
    office.begin()
    office.workers[-1].begin()
    office.workers[-1].step(3)
    (state,) = office.crew.states(now=0.0)
    (size, seconds), *others = state.step_seconds
    assert (state.device, state.node, state.health, state.photo) == ("cpu", "", "painting", "a.jpg")
    assert state.seconds_per_step == pytest.approx(office.place.pace)
    assert office.workers[-1].capabilities().seconds_per_step(size) == pytest.approx(seconds)
    assert (others, state.failures, state.waits_for, state.retry_at) == ([], 0, "", None)


def test_one_that_failed_is_told_with_the_reason_and_the_time_of_day_at_which_it_is_tried_again(office):
    office.begin()
    office.crew.dismiss(office.place, "it was ended by SIGKILL")
    pause = office.place.restart_at - office.clock()
    (state,) = office.crew.states(now=5000.0)
    told = WorkerState("cpu", "ended", failures=1, waits_for="it was ended by SIGKILL", retry_at=5000.0 + pause)
    assert state == told
    office.crew.hurry()
    office.crew.replace_dead()
    assert office.crew.states(now=5000.0) == (WorkerState("cpu", "loading", failures=1),)


def test_what_a_worker_waits_for_before_it_can_begin_is_told_until_it_is_ready(office):
    office.place.waits_for = "There is no room in the cluster."
    assert [state.waits_for for state in office.crew.states(now=0.0)] == ["There is no room in the cluster."]
    office.workers[-1].ready()
    assert [(state.health, state.waits_for) for state in office.crew.states(now=0.0)] == [("idle", "")]


def test_places_that_need_no_worker_at_present_are_not_told_of():
    crew, _ = hired(("cpu",))
    crew.places[0].worker = None
    assert crew.states(now=0.0) == ()


def test_at_the_end_all_workers_are_asked_to_stop_before_any_is_waited_for():
    asked, waited = [], []

    class Slow(MemoryWorker):
        def ask_to_stop(self, timeout_seconds):
            asked.append(self)

        def stop(self, timeout_seconds):
            waited.append((self, len(asked)))

    crew = Crew(("cuda:0", "cuda:1", "cpu"), lambda device, post: Slow(post, device), lambda _: None, Clock())
    crew.open()
    crew.close(timeout_seconds=2.0)
    assert [count for _, count in waited] == [3, 3, 3]
    assert [worker for worker, _ in waited] == asked
