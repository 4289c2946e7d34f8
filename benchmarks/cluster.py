"""Two actors of a Ray cluster, a processor each, against one worker at home with two threads: pictures and throughput.

All paint the same photos, as the daemon's workers do. The cluster is one of this machine's own, started and ended
here. The actors' pictures are compared, byte by byte, with those of a worker at home with one thread, as each of them
has; with two threads sums are made in another order.

What a cluster costs is measured as well: how long it takes until an actor is ready (the first of a daemon, and one more
when the daemon is connected), the memory of each process (its proportional share, from Linux's smaps_rollup), and the
bytes that each photo sends through the cluster, by kind of event, pickled as Ray sends them.
"""

import argparse
import hashlib
import io
import multiprocessing
import pickle
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from benchmarks.machine import add_common_options, describe_machine, write_json
from benchmarks.pictures import photo, square, style_files
from monet_watch import weights
from monet_watch.recipes import SWIFT
from monet_watch.weights import default_folder
from monet_watch.workers.base import (
    Allowance,
    JobFailed,
    JobFinished,
    PaintJob,
    PictureFile,
    Post,
    WeightsFile,
    Worker,
    WorkerEvent,
    WorkerReady,
    WorkerSaid,
    WorkerWaits,
)
from monet_watch.workers.cluster import Cluster
from monet_watch.workers.local import LocalWorker
from monet_watch.workers.ray import RayCluster
from tests.ray_head import RayHead

_NAMES = ("china", "coffee", "astronaut", "flower")
_PATIENCE_SECONDS = 600

Make = Callable[[str, Post], Worker]


def _jobs(options: argparse.Namespace) -> list[PaintJob]:
    (style,) = style_files(()).values()
    recipe = SWIFT.with_changes({"image_size": options.size, "steps": options.steps, "least_gain": 0.0})
    files = (PictureFile(style.name, style.read_bytes()),)
    names = [_NAMES[number % len(_NAMES)] for number in range(options.photos)]
    photos = [PictureFile(name, _png(name, options.size)) for name in names]
    return [PaintJob(number, f"{number}", each, files, recipe, 10**8) for number, each in enumerate(photos)]


def _png(name: str, size: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(square(photo(name), size)).save(file, "PNG")
    return file.getvalue()


@dataclass
class _Run:
    """What one kind of worker took: ``hashes`` of the pictures by job, and ``sent`` bytes by kind of message."""

    ready_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    hashes: dict[int, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=dict)


Mailbox = queue.Queue[tuple[int, WorkerEvent]]


def _paint(make: Make, count: int, jobs: Sequence[PaintJob], look: Callable[[], dict[str, list[float]]] = dict) -> _Run:
    """Have ``count`` workers paint ``jobs``; ``look`` tells of the memory, while they do."""
    run, mailbox, workers = _Run(), Mailbox(), list[Worker]()
    try:
        for number in range(count):
            began = time.monotonic()
            workers.append(make(f"ray:{number}", lambda event, number=number: mailbox.put((number, event))))
            workers[-1].start()
            _wait_until_ready(mailbox)
            run.ready_seconds.append(time.monotonic() - began)
        _paint_all(run, workers, mailbox, list(reversed(jobs)), look)
        return run
    finally:
        for worker in workers:
            worker.stop(30)


def _wait_until_ready(mailbox: Mailbox) -> None:
    while not isinstance(event := mailbox.get(timeout=_PATIENCE_SECONDS)[1], WorkerReady):
        assert isinstance(event, WorkerSaid | WorkerWaits), event


def _paint_all(
    run: _Run,
    workers: list[Worker],
    mailbox: Mailbox,
    waiting: list[PaintJob],
    look: Callable[[], dict[str, list[float]]],
) -> None:
    began, count = time.monotonic(), len(waiting)
    idle = list(range(len(workers)))
    while len(run.hashes) < count:
        while idle and waiting:
            job = waiting.pop()
            run.sent["PaintJob"] += _size(job)
            workers[idle.pop()].offer(job)
        number, event = mailbox.get(timeout=_PATIENCE_SECONDS)
        run.sent[type(event).__name__] += _size(event)
        assert not isinstance(event, JobFailed), event
        if isinstance(event, JobFinished):
            run.hashes[event.job_id] = hashlib.sha256(event.png).hexdigest()
            run.memory = run.memory or look()
            idle.append(number)
    run.seconds = time.monotonic() - began


def _size(message: object) -> int:
    return len(pickle.dumps(message, protocol=5))


def _memory(head: RayHead) -> dict[str, list[float]]:
    """The MB of memory of each process, by its kind."""
    found: dict[str, list[float]] = {}
    for name, pid in _processes(head):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found.setdefault(name, []).append(int(rollup.partition("\nPss:")[2].split()[0]) / 1000)
    return found


def _processes(head: RayHead) -> Iterator[tuple[str, int]]:
    for child in multiprocessing.active_children():
        if child.name == "monet-watch cluster" and child.pid is not None:
            yield "beside the daemon", child.pid
    for pid in head.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        is_painter = b"spawn_main" in words or b"monet_watch.workers.decoder" in words
        yield "actor" if words.startswith(b"ray::RayStudio") else "painter" if is_painter else "Ray's own", pid


def _measured(file: WeightsFile, jobs: list[PaintJob]) -> dict[str, Any]:
    def at_home(threads: int) -> Make:
        return lambda name, post: LocalWorker("cpu", file, post, threads=threads)

    one = _paint(at_home(1), 1, jobs)
    home = _paint(at_home(2), 1, jobs)
    with RayHead(cpus=2) as head:
        cluster = Cluster(head.address, "benchmark", 0, 1, 60, head.token_file)
        actors = _paint(RayCluster(cluster, file, Allowance(threads=1)).worker, 2, jobs, lambda: _memory(head))
    same = sum(actors.hashes[number] == one.hashes[number] for number in one.hashes)
    return {
        "same_bytes": same,
        "photos": len(jobs),
        "home_seconds": home.seconds,
        "cluster_seconds": actors.seconds,
        "ready_seconds": actors.ready_seconds,
        "ready_seconds_at_home": one.ready_seconds,
        "memory_mb": actors.memory,
        "bytes_of_a_photo": {kind: size / len(jobs) for kind, size in actors.sent.most_common()},
    }


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="pixels of the pictures' sides (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each painting (%(default)s)")
    parser.add_argument("--photos", type=int, default=8, help="how many are painted (%(default)s)")
    add_common_options(parser, "benchmarks/results/cluster")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print what was found and write JSON."""
    options = _parsed(arguments)
    found = _measured(weights.find(options.weights, default_folder()), _jobs(options))
    results = {"machine": describe_machine(options.threads), "size": options.size, "steps": options.steps, **found}
    write_json(options.output / "cluster.json", results)
    tell = Console(width=120, highlight=False).print
    tell(f"{found['photos']} photos at {options.size}², {options.steps} steps each:")
    tell(f"  one worker at home, two threads  {found['home_seconds']:.1f} s")
    tell(f"  two actors, a processor each     {found['cluster_seconds']:.1f} s")
    tell(f"  throughput of the actors: {found['home_seconds'] / found['cluster_seconds']:.2f} times as much")
    tell(f"  pictures with the same bytes as with one thread at home: {found['same_bytes']} of {found['photos']}")
    first, *further = (f"{seconds:.1f} s" for seconds in found["ready_seconds"])
    tell(f"  until the first actor is ready: {first}; one more: {', '.join(further)}")
    for name, each in found["memory_mb"].items():
        tell(f"  memory of {len(each)} processes ({name}): {sum(each):.0f} MB together, {max(each):.0f} MB the largest")
    sent = found["bytes_of_a_photo"]
    tell(f"  sent for a photo: {sum(sent.values()) / 1e6:.2f} MB")
    for kind, size in sent.items():
        tell(f"    {kind:<14}{size / 1e6:.3f} MB")


if __name__ == "__main__":
    main()
