"""Killed at every fault point, and at random moments: nothing lost, nothing doubled, nothing half-written.

`tests.end_to_end.faults` holds the fault points, `tests.end_to_end.inspection` what must be true afterwards.
"""

import contextlib
import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from monet_watch.workers.base import WeightsFile
from tests.end_to_end import faults
from tests.end_to_end.disk import Disk, calls
from tests.end_to_end.faults import FAULT_POINTS, MOMENTS_OF_A_WORKER, Moment, Needs
from tests.end_to_end.house import LIMIT_SECONDS, DaemonProcess, Home
from tests.end_to_end.inspection import Findings, inspect, inspect_midway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker by Linux's /proc"),
]


class House(Home):
    """A house of small photos and a tiny network, which knows all that was dropped into it."""

    def __init__(
        self,
        folder: Path,
        weights: WeightsFile,
        make_photo: Callable[..., bytes],
        after: str,
        *,
        worker: str = "paints",
        **defaults: object,
    ) -> None:
        super().__init__(
            folder,
            with_style=False,
            after=after,
            archive="archive",
            weights=str(weights.path),
            settle_seconds=0.05,
            nice=0,
            defaults={"image_size": 32, "steps": 4, "save_every": 2, "least_gain": 0.0, **defaults},
        )
        self._make = make_photo
        self._worker = worker
        self._seeds = itertools.count()
        self.photos: dict[str, bytes] = {}
        self.problems: dict[str, bytes] = {}
        self.write("style.png", make_photo(32, 32, next(self._seeds)))

    def drop_photo(self, folder: str = "") -> None:
        number = next(self._seeds)
        self._drop(self.photos, f"{folder}photo-{number:03d}.png", self._make(32, 40, number))

    def drop_copy(self, of: str) -> None:
        self._drop(self.photos, f"copy-{next(self._seeds):03d}.png", self.photos[of])

    def drop_problem(self) -> None:
        number = next(self._seeds)
        self._drop(self.problems, f"problem-{number:03d}.png", b"no photo, number %d" % number)

    def remove_problem(self) -> None:
        name = next(iter(self.problems))  # the oldest, which has a report
        del self.problems[name]
        (self.inbox / name).unlink()

    def touch_problem(self) -> None:
        time_of_it = next(self._seeds)
        os.utime(self.inbox / next(iter(self.problems)), (time_of_it, time_of_it))

    def lose_the_ledger(self) -> None:
        for path in self.state.glob("ledger.sqlite3*"):
            path.unlink()

    def _drop(self, among: dict[str, bytes], name: str, data: bytes) -> None:
        among[name] = data
        self.write(f"{name}.part", data).rename(self.inbox / name)

    def life(self, fault: str = "", **env: str) -> DaemonProcess:
        """A daemon that paints all that is there, and then ends, unless ``fault`` is reached."""
        armed = {"MONET_WATCH_FAULT": fault} if fault else {}
        return Armed(self, "--once", MONET_WATCH_WORKER=self._worker, **armed, **env)

    def run(self, fault: str = "", **env: str) -> DaemonProcess:
        """Such a life to its end."""
        with self.life(fault, **env) as daemon:
            daemon.ended()
        return daemon


class Armed(DaemonProcess):
    """The program with the fault points."""

    def __init__(self, house: House, *arguments: str, **env: str) -> None:
        super().__init__(house, *arguments, **env)
        self._command = [sys.executable, faults.__file__, *self._command[1:]]

    def wait_for_number(self, events: int) -> bool:
        """Wait until so many events were told, or until it has ended; say whether they were."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.events) >= events or not self._reader.is_alive(), LIMIT_SECONDS)
        return len(self.events) >= events

    def painted_at_present(self) -> str | None:
        """The photo that is being painted, as far as was told."""
        for event in reversed(self.events):
            if event["event"] in ("painting", "step"):
                return str(event["photo"])
            if event["event"] in ("done", "problem"):
                return None
        return None


@pytest.fixture
def make_house(tmp_path, tiny_weights, make_photo) -> Callable[..., House]:
    return partial(House, tmp_path, tiny_weights, make_photo)


# At every fault point.


def prepare(house: House, moment: Moment) -> None:
    """Put into the house what it takes to come by ``moment``. It was run before, and knows problems."""
    match moment.needs:
        case Needs.COPY:
            house.drop_copy(next(iter(house.photos)))
        case Needs.PROBLEM:
            house.drop_problem()
        case Needs.TOUCHED:
            house.run()  # the ledger may have been lost since, and be told of nothing
            house.touch_problem()
        case Needs.GONE:
            house.remove_problem()
        case Needs.EMPTY_LEDGER:
            house.lose_the_ledger()
        case Needs.BEGUN:
            house.drop_photo()
            kill(house, "ledger told: progress")
        case Needs.DELIVERED:
            house.drop_photo()
            kill(house, "ledger not told: finish")
        case Needs.PHOTO:
            house.drop_photo(f"trip-{len(house.photos)}/")  # those before may be put away meanwhile, with their folder


def kill(house: House, fault: str) -> None:
    daemon = house.run(fault)
    assert daemon.returncode == -signal.SIGKILL, f"{fault} was not reached; {daemon.log}"
    assert_whole_midway(house, fault)


def assert_whole_midway(house: House, killed_at: str) -> None:
    assert not (findings := inspect_midway(house, house.photos)), f"{findings} after a kill at: {killed_at}"


def finish(house: House) -> Findings:
    """A last run, undisturbed, and what it leaves."""
    daemon = house.run()
    assert daemon.returncode == (1 if house.problems else 0), daemon.log
    return inspect(house, house.photos, house.problems)


def sweep(house: House, points: Sequence[str], kills_at_each: int) -> Findings:
    """Kill the daemon at each of the ``points``, one life after the other."""
    house.drop_photo()
    for _ in range(1 + kills_at_each * sum(FAULT_POINTS[point].needs is Needs.GONE for point in points)):
        house.drop_problem()
    house.run()
    for point in points:
        for _ in range(kills_at_each):
            prepare(house, FAULT_POINTS[point])
            kill(house, point)
    return finish(house)


def tell(record: Callable[[str, object], None], house: House, kills: int, findings: Findings) -> None:
    """Counts for the end of the test run's output."""
    record("kills", kills)
    record("photos", len(house.photos))
    record("lost", len(findings.lost))
    record("doubled", len(findings.doubled))
    record("half-written", len(findings.half_written))


def test_killed_at_every_fault_point_it_loses_doubles_and_halves_nothing(make_house, record_property):
    """With a worker that pretends: what is killed here is the daemon."""
    points = [point for point, moment in FAULT_POINTS.items() if not moment.call.endswith("LocalWorker.offer")]
    house = make_house("move", worker="pretends")
    findings = sweep(house, points, kills_at_each=1)
    tell(record_property, house, len(points), findings)
    assert not findings


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("after", ["keep", "move", "delete"])
def test_killed_twice_at_every_fault_point_over_a_real_worker_nothing_comes_of_it(make_house, record_property, after):
    points = [point for point, moment in FAULT_POINTS.items() if after in moment.after]
    house = make_house(after)
    findings = sweep(house, points, kills_at_each=2)
    tell(record_property, house, 2 * len(points), findings)
    assert not findings


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_worker_killed_alone_at_any_state_of_a_job_is_replaced(make_house, record_property):
    house = make_house("keep", steps=600, save_every=100)  # not over before the kill
    for point in MOMENTS_OF_A_WORKER:
        house.drop_photo()
        daemon = house.run(point, MONET_WATCH_FAULT_VICTIM="worker")
        assert daemon.returncode == 0, daemon.log
        assert len(list(daemon.told("worker-died"))) == 1, f"{point} was not reached; {daemon.log}"
    findings = finish(house)
    tell(record_property, house, len(MOMENTS_OF_A_WORKER), findings)
    assert not findings


# A power cut.


UNFLUSHED = ("folder made", "record renamed", "folder of the archive made", "archived photo renamed")


@pytest.mark.parametrize("after", ["move", "delete"])
def test_an_original_goes_only_when_a_power_cut_would_leave_what_it_led_to(make_house, tmp_path, after):
    """The painting's files, its record and the archived photo, and their folders' whole way: all are flushed before.

    That holds, too, where a daemon was killed before it had flushed what it wrote.
    """
    house, log = make_house(after, worker="pretends"), tmp_path / "calls.jsonl"
    for folder in ("trip/", "trip/day 1/", "trip/day 2/"):
        house.drop_photo(folder)
    for point in UNFLUSHED:
        if after in FAULT_POINTS[point].after:
            assert house.run(point, MONET_WATCH_CALLS=str(log)).returncode == -signal.SIGKILL
    assert house.run(MONET_WATCH_CALLS=str(log)).returncode == 0
    disk, gone = Disk(tmp_path), []
    for call, paths in calls(log):
        disk.follow(call, paths)
        if call == "to be removed" and paths[0].is_relative_to(house.inbox):
            gone.append(str(paths[0].relative_to(house.inbox)))
            wanted = led_to(house, gone[-1])
            assert [path for path in wanted if not disk.keeps(path)] == []
    assert sorted(gone) == sorted(house.photos)
    assert not inspect(house, house.photos, {})


def led_to(house: House, photo: str) -> list[Path]:
    folder = str(Path(photo).with_suffix(""))
    record = house.record(folder)
    archived = [house.archive / photo] if house.settings["after"] == "move" else []
    return [
        house.outbox / folder / name for name in (record.painting, "loss.png", "painting.json", *record.stages)
    ] + archived


# At random moments.


class Bedlam:
    """A house in which daemon and workers are killed at random moments, while photos are dropped."""

    def __init__(self, house: House, seed: int, photos: int, longest_life: int) -> None:
        self._house = house
        self._random = random.Random(seed)
        self._to_drop = photos
        self._longest_life = longest_life  # in events that are told
        self._workers_killed: Counter[str | None] = Counter()
        self.kills = 0

    def run(self, kills: int) -> None:
        """Start the daemon again and again until so many kills are done."""
        self._house.drop_problem()
        while self.kills < kills:
            for _ in range(min(self._to_drop, self._random.randint(1, 4))):
                self._drop()
            self._live_and_die()
            assert_whole_midway(self._house, f"kill {self.kills}")

    def tell(self, record: Callable[[str, object], None]) -> None:
        """Drop what was not dropped yet, paint all that is there, and look for what is wrong."""
        while self._to_drop:
            self._drop()
        findings = finish(self._house)
        tell(record, self._house, self.kills, findings)
        assert not findings

    def _drop(self) -> None:
        self._to_drop -= 1
        house, photos = self._house, list(self._house.photos)
        if photos and self._random.random() < 0.15:
            house.drop_copy(self._random.choice(photos))
        else:
            house.drop_photo(self._random.choice(["", "", "trip/", "trip/day 1/"]))

    def _live_and_die(self) -> None:
        """One life, which ends after a random number of events; one in four loses its worker before."""
        events = self._random.randint(1, self._longest_life)
        with self._house.life() as daemon:
            if self._random.random() < 0.25 and daemon.wait_for_number(events // 2):
                self._kill_worker(daemon)
            if not daemon.wait_for_number(events):
                self._to_drop += 1  # nothing was left to do
                return
            time.sleep(self._random.uniform(0, 0.02))  # between two events
            daemon.kill()
            self.kills += daemon.ended() == -signal.SIGKILL

    def _kill_worker(self, daemon: Armed) -> None:
        photo = daemon.painted_at_present()
        if self._workers_killed[photo] == 0:  # a photo that ends three workers is a problem, as it should be
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon.worker(), signal.SIGKILL)
                self._workers_killed[photo] += photo is not None
                self.kills += 1


def test_killed_at_random_moments_it_loses_doubles_and_halves_nothing(make_house, record_property):
    bedlam = Bedlam(make_house("move", steps=12, save_every=4), seed=8, photos=8, longest_life=30)
    bedlam.run(kills=8)
    bedlam.tell(record_property)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [200])
def test_killed_at_200_random_moments_over_40_photos_nothing_comes_of_it(make_house, record_property, seed):
    after = random.Random(seed).choice(["keep", "move", "delete"])
    bedlam = Bedlam(make_house(after, steps=80, save_every=8), seed, photos=40, longest_life=60)
    bedlam.run(kills=200)
    bedlam.tell(record_property)
