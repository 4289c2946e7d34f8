"""The daemon beyond one device, on paper: how many workers it keeps busy, and what a crowded queue costs it.

    python -m benchmarks.scale [--runs 1:200 10:2000 100:1000000 1000:1000000:50000]

A run is a number of workers, one of photos, and, if it is not to go on to the end, one of paintings after which it
stops: what goes on in the middle of a million photos is seen long before all of them are painted. Workers and time are
simulated: paintings take the steps and seconds that were measured, some workers are slow, and some die in the middle.
What decides and what remembers is real: `monet_watch.chooser` and a ledger in its file. The daemon is one loop, so
whatever it does for one worker the others wait for; how long that takes is measured, in the processor's time, and the
simulated clock goes on by as much.
"""

import argparse
import heapq
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import alone, peak_bytes, write_json
from monet_watch.chooser import MOST_AT_ONCE, Chooser
from monet_watch.ledger import BATCH_PAUSE_SECONDS, JobState, Ledger, WholePhoto
from monet_watch.plan import Plan
from monet_watch.recipes import SWIFT
from monet_watch.scheduling import IdleWorker

STEP_SECONDS = 0.44  # of swift at 512 × 512 pixels: see README
STEPS = (54, 62, 91, 111)  # that swift took for four pairs: see README
SIZES = (512, 512, 512, 512, 512, 512, 256, 1024)  # short sides in pixels, of the folders
FOLDERS = 40
SLOW_SHARE, SLOW_SPEED = 0.02, 0.25  # of the workers, compared with the others
SMALL_SHARE, SMALL_PIXELS = 0.1, 700 * 700  # of the workers paint no more in one piece
TILED = 1.3  # times as long as in one piece
DEATHS_PER_JOB = 0.002
RESTART_SECONDS = 30.0
CHECKPOINT_SECONDS = 60.0  # the most work that a death costs
DROP_EVERY_SECONDS = 120.0  # one to three photos, in a folder of their own, beside the bulk
BATCH = 250
EPOCH = 1_700_000_000.0
STEPS_MEASURED = 20_000
RUNS = ((1, 200, None), (10, 2000, None), (100, 1_000_000, None), (1000, 1_000_000, 100_000))
WIDEST = 130  # characters, of the tables


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run.

    ``of_ideal`` compares it with what workers as fast paint that never wait, die, or do anything twice; where a run
    goes on to the end, the wait for the last one counts, too.

    Times are in seconds, the simulated ones but for ``daemon_seconds``, which are the processor's. Waits are from the
    queue to the beginning, of the photos that were dropped by ones and threes beside the bulk.
    """

    workers: int
    photos: int
    painted: int
    deaths: int
    seconds: float
    ideal_seconds: float
    of_ideal: float
    daemon_seconds: float
    daemon_share: float
    job_milliseconds: float
    transactions_per_second: float
    drop_wait_median: float
    drop_wait_most: float
    lost: int
    doubled: int
    peak_bytes: int


@dataclass(slots=True)
class Worker:
    """A simulated one. ``speed`` is compared with that of the machine that was measured; 1 is as fast."""

    number: int
    speed: float
    largest: float | None
    styles: list[str] = field(default_factory=list)
    begun_at: float | None = None

    def as_idle(self) -> IdleWorker:
        return IdleWorker(self.number, self.speed, self.largest, frozenset(self.styles[-8:]))


@dataclass(frozen=True, slots=True)
class Photo:
    """What is known of a job when it begins: ``work`` in seconds at speed 1, ``steps`` and ``pixels``."""

    work: float
    steps: int
    pixels: int
    settings_key: str


class Clock:
    """The simulated time, in seconds; also the time of day."""

    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> float:
        return self.now


class Meter:
    """The processor's time that the daemon takes for a job: of the last few hundred, since to look costs, too."""

    def __init__(self) -> None:
        self.job_seconds = 0.001
        self.step_seconds = 0.0
        self.total = 0.0
        self._began, self._jobs = time.process_time(), 0

    def count(self, jobs: int) -> None:
        self._jobs += jobs
        if self._jobs >= 200:
            spent = time.process_time() - self._began
            self.total += spent
            self.job_seconds = spent / self._jobs
            self._began, self._jobs = time.process_time(), 0

    def close(self) -> None:
        self.total += time.process_time() - self._began


class Studio:
    """A queue, its photos, and the workers that paint them."""

    def __init__(self, ledger: Ledger, clock: Clock, workers: int, photos: int, seed: int) -> None:
        self.ledger, self.clock, self.photos = ledger, clock, photos
        self.random = random.Random(seed)
        self.chooser = Chooser(ledger, clock, clock)
        self.workers = [self._worker(number) for number in range(workers)]
        self.begun: dict[int, Photo] = {}
        self.done: set[int] = set()
        self.doubled = self.deaths = self.transactions = 0
        self.finished_work = 0.0
        self.waits: list[float] = []
        self.left = dict[int, float]()  # seconds of work, of jobs that a worker died of
        self._numbers = itertools.count()
        self._plans = {size: _plan(size) for size in set(SIZES)}

    def _worker(self, number: int) -> Worker:
        is_slow, is_small = (self.random.random() < share for share in (SLOW_SHARE, SMALL_SHARE))
        return Worker(number, SLOW_SPEED if is_slow else 1.0, SMALL_PIXELS if is_small else None)

    def fill(self, count: int) -> None:
        """``count`` photos arrive in the folders, so many in each that they are queued together."""
        left = count
        while left:
            with self.ledger.batch():
                for folder in range(FOLDERS):
                    some = min(left, BATCH)
                    self.drop(some, f"bulk/{folder}", SIZES[folder % len(SIZES)])
                    left -= some

    def drop(self, count: int, folder: str, size: int = 512) -> None:
        """``count`` photos arrive in ``folder``, to be painted with a short side of ``size`` pixels."""
        numbers = list(itertools.islice(self._numbers, count))
        paths = [PurePosixPath(folder, f"{number}.jpg") for number in numbers]
        whole = [WholePhoto(path, 1, 1, "", f"{number:064x}") for path, number in zip(paths, numbers, strict=True)]
        settings_key, settings = f"{folder}, {size}", self._plans[size]
        self.ledger.queue_untouched(
            PurePosixPath(folder), whole, settings_key=settings_key, settings=settings, steps=SWIFT.steps
        )

    def photo(self, job_id: int, settings_key: str) -> Photo:
        """The same at each attempt."""
        known = self.begun.get(job_id)
        if known is None:
            chance = random.Random(job_id)
            side = int(settings_key.rpartition(" ")[2])
            pixels = int(side * side * chance.uniform(1.2, 1.6))
            steps = chance.choice(STEPS)
            work = steps * STEP_SECONDS * pixels / 512**2 * chance.lognormvariate(0, 0.1)
            known = self.begun[job_id] = Photo(work, steps, pixels, settings_key)
        return known

    @property
    def work(self) -> float:
        """What has been done, in seconds at speed 1; of what is under way, as much as its worker has worked."""
        busy = ((self.clock() - each.begun_at) * each.speed for each in self.workers if each.begun_at is not None)
        return self.finished_work + sum(busy)

    def begin(self, worker: Worker, job_id: int) -> tuple[float, float]:
        """Start the job; return the seconds that it takes there, and those until the worker dies, if it does."""
        job = self.ledger.start(job_id, f"worker {worker.number}")
        photo = self.photo(job_id, job.settings_key or "")
        self.ledger.sized(job_id, photo.pixels // 512, 512)
        self.transactions += 2
        if job.path.parts[0] == "drops" and job.attempts == 1:
            self.waits.append(self.clock() - (job.queued_at or 0.0))
        if photo.settings_key not in worker.styles[-8:]:
            worker.styles.append(photo.settings_key)
        is_tiled = worker.largest is not None and photo.pixels > worker.largest
        seconds = self.left.get(job_id, photo.work) * (TILED if is_tiled else 1.0) / worker.speed
        worker.begun_at = self.clock()
        dies = self.random.random() < DEATHS_PER_JOB
        return seconds, seconds * self.random.random() if dies else float("inf")

    def finish(self, job_id: int) -> None:
        """The painting is delivered."""
        self.ledger.finish(job_id)
        self.transactions += 1
        self.doubled += job_id in self.done
        self.done.add(job_id)
        self.finished_work += self.begun.pop(job_id).work
        self.left.pop(job_id, None)

    def die(self, job_id: int, worked: float) -> None:
        """The worker dies after so many seconds: what came after the last checkpoint is lost."""
        self.ledger.requeue(job_id, outcome="worker died", counts=False)
        self.transactions += 1
        self.deaths += 1
        saved = worked // CHECKPOINT_SECONDS * CHECKPOINT_SECONDS
        self.left[job_id] = max(1.0, self.left.get(job_id, self.begun[job_id].work) - saved)


def _plan(size: int) -> str:
    recipe = SWIFT.with_changes({"image_size": size})
    return Plan("key", recipe, (), dict.fromkeys(recipe.model_dump(), "recipe swift"), "oxford", "00" * 32).to_json()


def simulate(workers: int, photos: int, painted: int | None, step_seconds: float, seed: int = 0) -> Outcome:
    """Paint ``photos`` with ``workers``, until so many are ``painted`` (None: all).

    ``step_seconds`` is what the daemon's loop takes for the event of a step.
    """
    clock = Clock()
    with _ledger(clock) as ledger:
        studio = Studio(ledger, clock, workers, photos, seed)
        studio.fill(photos)
        studio.transactions = 0
        clock.now += 10 * BATCH_PAUSE_SECONDS
        meter = Meter()
        meter.step_seconds = step_seconds
        began = clock.now
        _run(studio, meter, painted)
        seconds = clock.now - began
        counts = ledger.counts()
    total = counts[JobState.DONE]
    ideal = studio.work / sum(worker.speed for worker in studio.workers)
    lost = 0 if painted else sum(counts.values()) - total
    waits = studio.waits or [0.0]
    return Outcome(
        workers, studio.photos, total, studio.deaths, seconds, ideal, ideal / seconds, meter.total,
        (meter.total + step_seconds * statistics.mean(STEPS) * total) / seconds, meter.total / total * 1000,
        studio.transactions / meter.total, statistics.median(waits), max(waits),
        lost, studio.doubled, peak_bytes(),
    )  # fmt: skip


@contextmanager
def _ledger(clock: Clock) -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder, "ledger.sqlite3"), clock) as ledger:
        yield ledger


def _run(studio: Studio, meter: Meter, painted: int | None) -> None:
    """Turn the loop until as much is done.

    An event is (when, order, worker, job, seconds that the worker had worked when it died); None stands for no worker
    (somebody drops something), no job (the worker is started again), no death.
    """
    clock, idle = studio.clock, dict.fromkeys(range(len(studio.workers)))
    events: list[tuple[float, int, int | None, int | None, float | None]] = []
    order, last_drop = itertools.count(), clock.now
    heapq.heappush(events, (clock.now + DROP_EVERY_SECONDS, next(order), None, None, None))
    while True:
        jobs = _give_out(studio, meter, idle, events, order)
        if len(studio.done) >= (painted or studio.photos):
            break
        clock.now = max(clock.now, events[0][0])
        while events and events[0][0] <= clock.now:
            _, _, worker, job_id, died_after = heapq.heappop(events)
            if worker is None:
                last_drop = _drop(studio, events, order, last_drop)
                continue
            jobs += job_id is not None
            _heed(studio, worker, job_id, died_after, idle, events, order)
        clock.now += jobs * (meter.job_seconds / 2 + meter.step_seconds * statistics.mean(STEPS))
        meter.count(jobs)
    meter.close()


def _give_out(studio: Studio, meter: Meter, idle: dict[int, None], events: list[Any], order: Iterator[int]) -> int:
    """Give jobs to idle workers; return how many."""
    count = 0
    while idle:
        some = [studio.workers[number].as_idle() for number in itertools.islice(idle, MOST_AT_ONCE)]
        chosen = studio.chooser.choose(some, len(studio.workers))
        if not chosen:
            break
        for each in chosen:
            del idle[each.number]
            seconds, until_death = studio.begin(studio.workers[each.number], each.job_id)
            ends, died = min(seconds, until_death), until_death < seconds
            event = (studio.clock.now + ends, next(order), each.number, each.job_id, ends if died else None)
            heapq.heappush(events, event)
            studio.clock.now += meter.job_seconds / 2
            count += 1
    return count


def _heed(
    studio: Studio,
    worker: int,
    job_id: int | None,
    died_after: float | None,
    idle: dict[int, None],
    events: list[Any],
    order: Iterator[int],
) -> None:
    """A worker has finished its job, died in the middle of it, or, without a job, been started again."""
    studio.workers[worker].begun_at = None
    if job_id is not None and died_after is not None:
        studio.die(job_id, died_after * studio.workers[worker].speed)
        heapq.heappush(events, (studio.clock.now + RESTART_SECONDS, next(order), worker, None, None))
        return
    if job_id is not None:
        studio.finish(job_id)
    idle[worker] = None


def _drop(studio: Studio, events: list[Any], order: Iterator[int], last: float) -> float:
    """Somebody drops a photo or a few beside the bulk, as long as there is one."""
    if studio.ledger.counts()[JobState.QUEUED] > len(studio.workers):
        count = studio.random.randint(1, 3)
        studio.drop(count, "drops")
        studio.photos += count
        heapq.heappush(events, (studio.clock.now + DROP_EVERY_SECONDS, next(order), None, None, None))
    return studio.clock.now


@dataclass(frozen=True, slots=True)
class Growth:
    """What one photo costs with so many in the queue, in milliseconds of the processor's time.

    ``commits_per_second`` are changes of a job's state that were flushed to this disk, by the clock on the wall.
    """

    queued: int
    queue: float
    paint: float
    status: float
    commits_per_second: float
    peak_bytes: int


def grow(queued: int, jobs: int = 500) -> Growth:
    """Measure with ``queued`` photos: one more is queued; one is chosen, begun and done; somebody looks at it all."""
    clock, jobs = Clock(), min(jobs, queued // 2)
    with _ledger(clock) as ledger:
        studio = Studio(ledger, clock, 1, queued, seed=0)
        filling = _milliseconds(lambda: studio.fill(queued), queued)
        began = time.perf_counter()
        painting = _milliseconds(lambda: [_paint_one(studio) for _ in range(jobs)], jobs)
        commits = 2 * jobs / (time.perf_counter() - began)
        status = _milliseconds(lambda: [ledger.overview() for _ in range(jobs)], jobs)
    return Growth(queued, filling, painting, status, commits, peak_bytes())


def _paint_one(studio: Studio) -> None:
    (chosen,) = studio.chooser.choose([studio.workers[0].as_idle()], 2)
    studio.begin(studio.workers[0], chosen.job_id)
    studio.finish(chosen.job_id)


def _milliseconds(do: Any, times: int) -> float:
    began = time.process_time()
    do()
    return (time.process_time() - began) / times * 1000


@dataclass(frozen=True, slots=True)
class Loop:
    """What the daemon's own loop does with the steps of so many workers, all at once in its mailbox.

    Times are by the clock on the wall: ``longest_turn`` (seconds) is how long one who posts then may wait to be heard,
    ``median_turn`` how long usually.
    """

    workers: int
    events: int
    events_per_second: float
    median_turn: float
    longest_turn: float
    peak_bytes: int


def through_the_loop(workers: int, events: int) -> Loop:
    """Post ``events`` steps of ``workers`` that paint, and turn the real loop until all are heard."""
    from benchmarks.rehearsed import RealTimeHouse

    with tempfile.TemporaryDirectory() as folder, RealTimeHouse(Path(folder), workers) as house:
        house.begin()
        for number in range(events):
            house.workers[number % workers].step()
        turns = list[float]()
        while house.is_behind:
            turn = time.perf_counter()
            house.daemon.turn()
            turns.append(time.perf_counter() - turn)
        house.check(events)
    return Loop(workers, events, events / sum(turns), statistics.median(turns), max(turns), peak_bytes())


def _tables(result: dict[str, Any]) -> Iterator[Table]:
    heads = ("workers", "photos", "painted", "of ideal", "daemon busy", "ms a job", "transactions/s")
    more = ("a drop waits, s", "the longest", "deaths", "lost, doubled", "MiB")
    table = Table(*heads, *more, title="Simulated workers, real scheduler and ledger")
    for row in result["simulated"]:
        counts = (f"{row[name]:,}" for name in ("workers", "photos", "painted"))
        table.add_row(
            *counts, f"{row['of_ideal']:.3f}", f"{row['daemon_share']:.2%}",
            f"{row['job_milliseconds']:.2f}", f"{row['transactions_per_second']:,.0f}",
            f"{row['drop_wait_median']:.1f}", f"{row['drop_wait_most']:.1f}", f"{row['deaths']}",
            f"{row['lost']}, {row['doubled']}", f"{row['peak_bytes'] / 2**20:.0f}",
        )  # fmt: skip
    yield table
    table = Table("in the queue", "to queue one, ms", "to choose, begin and end one", "to look at it",
                  "commits/s", "MiB", title="What a photo costs as the queue grows")  # fmt: skip
    for row in result["growth"]:
        table.add_row(f"{row['queued']:,}", f"{row['queue']:.3f}", f"{row['paint']:.2f}", f"{row['status']:.2f}",
                      f"{row['commits_per_second']:,.0f}", f"{row['peak_bytes'] / 2**20:.0f}")  # fmt: skip
    yield table
    table = Table("workers", "steps", "steps/s", "a turn, ms", "the longest", "MiB",
                  title="Steps through the daemon's loop")  # fmt: skip
    for row in result["loop"]:
        table.add_row(f"{row['workers']:,}", f"{row['events']:,}", f"{row['events_per_second']:,.0f}",
                      f"{row['median_turn'] * 1000:.1f}", f"{row['longest_turn'] * 1000:.1f}",
                      f"{row['peak_bytes'] / 2**20:.0f}")  # fmt: skip
    yield table


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return everything, as the JSON file holds it; each measurement has a process of its own."""
    loops = [alone(through_the_loop, workers, options.events) for workers in options.loop_workers]
    step_seconds = 1 / loops[0].events_per_second
    growth = [alone(grow, count) for count in options.queued]
    simulated = [alone(simulate, *run, step_seconds, options.seed) for run in options.runs]
    return {
        "assumed": {
            "step_seconds": STEP_SECONDS, "steps": STEPS, "sizes": SIZES, "slow": [SLOW_SHARE, SLOW_SPEED],
            "deaths_per_job": DEATHS_PER_JOB, "restart_seconds": RESTART_SECONDS, "seed": options.seed,
        },
        "simulated": [asdict(each) for each in simulated],
        "growth": [asdict(each) for each in growth],
        "loop": [asdict(each) for each in loops],
    }  # fmt: skip


def _run_of(text: str) -> tuple[int, int, int | None]:
    """Read a run as it is written on the command line. Raises ValueError, which argparse tells."""
    workers, photos, painted = [*map(int, text.split(":")), None][:3]
    assert workers is not None and photos is not None
    return workers, photos, painted


def main() -> None:
    """Measure, print tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=_run_of, nargs="+", default=RUNS, metavar="WORKERS:PHOTOS[:PAINTED]")
    parser.add_argument("--queued", type=int, nargs="+", default=[1000, 10_000, 100_000], help="(%(default)s)")
    parser.add_argument("--loop-workers", type=int, nargs="+", default=[1, 100], help="(%(default)s)")
    parser.add_argument("--events", type=int, default=STEPS_MEASURED, help="steps through the loop (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of chance (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/scale"), help="(%(default)s)")
    options = parser.parse_args()
    result = measure(options)
    console = Console()
    console.width = max(console.width, WIDEST)
    for table in _tables(result):
        console.print(table)
    write_json(options.output / "scale.json", result)


if __name__ == "__main__":
    main()
