"""Two actors of a Ray cluster, a processor each, against one worker at home with two threads: pictures and throughput.

All paint the same photos, as the daemon's workers do. The cluster is one of this machine's own, started and ended
here. The actors' pictures are compared, byte by byte, with those of a worker at home with one thread, as each of them
has; with two threads sums are made in another order.
"""

import argparse
import hashlib
import io
import queue
import time
from collections.abc import Callable, Iterable, Sequence
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


def _paint(make: Make, count: int, jobs: Iterable[PaintJob]) -> tuple[dict[int, str], float]:
    """Have ``count`` workers paint ``jobs``; return the hash of each picture, and the seconds from the first offer."""
    mailbox: queue.Queue[tuple[int, WorkerEvent]] = queue.Queue()
    workers = [
        make(f"ray:{number}", lambda event, number=number: mailbox.put((number, event))) for number in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        _wait_until_ready(mailbox, count)
        return _painted(workers, mailbox, list(jobs))
    finally:
        for worker in workers:
            worker.stop(30)


def _wait_until_ready(mailbox: "queue.Queue[tuple[int, WorkerEvent]]", count: int) -> None:
    while count:
        _, event = mailbox.get(timeout=_PATIENCE_SECONDS)
        assert isinstance(event, WorkerReady | WorkerSaid | WorkerWaits), event
        count -= isinstance(event, WorkerReady)


def _painted(
    workers: list[Worker], mailbox: "queue.Queue[tuple[int, WorkerEvent]]", jobs: list[PaintJob]
) -> tuple[dict[int, str], float]:
    began, waiting, hashes = time.monotonic(), list(reversed(jobs)), dict[int, str]()
    for worker in workers:
        worker.offer(waiting.pop())
    while len(hashes) < len(jobs):
        number, event = mailbox.get(timeout=_PATIENCE_SECONDS)
        if isinstance(event, JobFinished):
            hashes[event.job_id] = hashlib.sha256(event.png).hexdigest()
            if waiting:
                workers[number].offer(waiting.pop())
    return hashes, time.monotonic() - began


def _measured(file: WeightsFile, jobs: list[PaintJob]) -> dict[str, Any]:
    def at_home(threads: int) -> Make:
        return lambda name, post: LocalWorker("cpu", file, post, threads=threads)

    one, _ = _paint(at_home(1), 1, jobs)
    _, home_seconds = _paint(at_home(2), 1, jobs)
    with RayHead(cpus=2) as head:
        cluster = Cluster(head.address, "benchmark", 0, 1, 60, head.token_file)
        actors, ray_seconds = _paint(RayCluster(cluster, file, Allowance(threads=1)).worker, 2, jobs)
    same = sum(actors[number] == one[number] for number in one)
    return {"same_bytes": same, "photos": len(jobs), "home_seconds": home_seconds, "cluster_seconds": ray_seconds}


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


if __name__ == "__main__":
    main()
