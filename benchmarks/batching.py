"""Whether several small pictures are optimised faster together, as one batch, than one after the other.

    python -m benchmarks.batching [--sizes 128 256] [--batches 2 4] [--rounds 15]

What is measured is the network's part of a step, the way there and the way back, which is nearly all of it. The rest,
Gram matrices, L-BFGS and the pictures' own files, has to be done for each picture either way: what a batch wins here is
the most that it can win. Both ways take turns in one process, so that a busy moment of the machine meets both.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.machine import add_common_options, alone, describe_machine, set_up_as_worker, write_json
from monet_watch.engine.precision import Precision, best_precision
from monet_watch.engine.tiles import split
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import LAYERS
from monet_watch.weights import load_network

__all__ = ["Comparison", "compare", "main"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Seconds of one picture's part, together with others and alone: the median and the best of all rounds.

    ``gain`` is how many times as fast a batch is, by the best rounds: those that nobody disturbed.
    """

    size: int
    batch: int
    precision: str
    threads: int
    together: float
    alone: float
    best_together: float
    best_alone: float

    @property
    def gain(self) -> float:
        return self.best_alone / self.best_together


def _there_and_back(network: VGG19, images: Tensor, precision: Precision) -> Tensor:
    """The gradient of (N, 3, H, W) pictures, with nothing that would be added to it on the way."""
    (whole,) = split(images.shape[2], images.shape[3], None, LAYERS)
    with torch.no_grad():
        kept = dict(network.walk(images, whole, LAYERS, precision=precision, padding="zeros"))
        return network.gradient(kept, whole, lambda *_: None, precision=precision, padding="zeros")


def compare(network: VGG19, size: int, batch: int, precision: Precision, rounds: int) -> Comparison:
    """Take turns: ``batch`` pictures of ``size`` squared together, and one after the other."""
    images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    singles = images.split(1)
    # Of one thread the processor's time says the same, and others on the machine disturb it less.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    together, apart = list[float](), list[float]()
    for _ in range(rounds + 1):
        began = clock()
        _there_and_back(network, images, precision)
        between = clock()
        for each in singles:
            _there_and_back(network, each, precision)
        together.append((between - began) / batch)
        apart.append((clock() - between) / batch)
    del together[0], apart[0]  # what a first time costs
    times = (statistics.median(together), statistics.median(apart), min(together), min(apart))
    return Comparison(size, batch, precision, torch.get_num_threads(), *times)


def _measured(options: argparse.Namespace) -> list[Comparison]:
    set_up_as_worker(options.threads)
    network = load_network(options.weights, "cpu")
    precisions = dict.fromkeys((best_precision(network.device), "fp32"))
    return [
        compare(network, size, batch, precision, options.rounds)
        for precision in precisions
        for size in options.sizes
        for batch in options.batches
    ]


def _table(found: Sequence[Comparison]) -> Table:
    table = Table(title="The network's part of a step, for each picture")
    for name in (
        "pixels",
        "batch",
        "precision",
        "threads",
        "together, ms",
        "alone, ms",
        "best, ms",
        "best alone",
        "gain",
    ):
        table.add_column(name, justify="right")
    for each in found:
        times = (each.together, each.alone, each.best_together, each.best_alone)
        table.add_row(
            f"{each.size}²", str(each.batch), each.precision, str(each.threads),
            *(f"{1000 * seconds:.1f}" for seconds in times), f"{each.gain:.2f}",
        )  # fmt: skip
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256], help="pixels of the sides (%(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 4], help="pictures together (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured (%(default)s)")
    add_common_options(parser, "benchmarks/results/batching")
    options = parser.parse_args(arguments)
    found = alone(_measured, options)
    results: dict[str, Any] = {
        "machine": describe_machine(options.threads),
        "comparisons": [{**asdict(each), "gain": each.gain} for each in found],
    }
    write_json(options.output / "batching.json", results)
    Console(width=120).print(_table(found))


if __name__ == "__main__":
    main()
