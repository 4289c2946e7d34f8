"""What a checkpoint costs the painting that it is taken of.

    python -m benchmarks.checkpoint_cost [--size 512] [--rounds 15]

Steps with and without a checkpoint take turns. A step with one is all of it: what the painting waits for while its
state is copied, and the step after that, while another thread encodes the copy and sends it to a process that writes it
to a disk, as the daemon does.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save

from benchmarks.contenders import timed
from benchmarks.machine import add_common_options, alone, describe_machine, set_up_as_worker, write_json
from benchmarks.pictures import Pair, add_style_option, pairs_of, style_files
from monet_watch.engine.events import Checkpoint, Event, Step
from monet_watch.engine.paint import Painter
from monet_watch.recipes import SWIFT
from monet_watch.weights import load_network
from monet_watch.workers.base import JobCheckpoint
from monet_watch.workers.sender import Sender

__all__ = ["main"]

# Every layer in every step: the steps that measure the deepest one again would all fall on the same side.
_ENDLESS = {"steps": 100_000, "save_every": 2, "least_gain": 0.0, "rest_below": 0.0}


def _write_down(connection: Connection, path: Path) -> None:
    """Do what the daemon does with checkpoints, until the other end is closed."""
    while True:
        try:
            checkpoint = connection.recv()
        except EOFError:
            return
        with path.open("wb") as file:
            file.write(checkpoint.data)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _sender() -> Iterator[Sender]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        reader = context.Process(target=_write_down, args=(theirs, Path(folder, "checkpoint")))
        reader.start()
        theirs.close()
        with ours, Sender(ours) as sender:
            yield sender
        reader.join()


def _send(sender: Sender, checkpoint: Checkpoint) -> int:
    """Hand ``checkpoint`` over as the worker does; return how many bytes its numbers take."""
    sender.send(lambda: JobCheckpoint(1, checkpoint.number, save(checkpoint.state)))
    return sum(value.nbytes for value in checkpoint.state.values())


def _take_turns(events: Iterator[Event], sender: Sender, steps: int, warm_up: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {"without": [], "with": [], "copying": []}
    copying, size = 0.0, 0
    for event, seconds in timed(events):
        if isinstance(event, Checkpoint):
            copying = seconds
            size = _send(sender, event)
        elif isinstance(event, Step) and event.number > warm_up:
            if copying:
                found["copying"].append(copying)
            found["with" if copying else "without"].append(copying + seconds)
        if isinstance(event, Step):
            copying = 0.0
            if event.number >= warm_up + steps:
                break
    return {**found, "bytes": size}


def _measured(pair: Pair, options: argparse.Namespace) -> dict[str, Any]:
    set_up_as_worker(options.threads)
    recipe = SWIFT.with_changes({**_ENDLESS, "image_size": options.size})
    events = Painter(load_network(options.weights, "cpu")).paint(pair.photo, pair.style, recipe)
    # Until its history is full, L-BFGS has less to do in every step, and a checkpoint less to hold.
    warm_up = 2 * recipe.history_size if options.warm_up is None else options.warm_up
    with _sender() as sender:
        found = _take_turns(events, sender, 2 * options.rounds, warm_up)
    return {**found, "threads": torch.get_num_threads()}


def _with_medians(found: dict[str, Any]) -> dict[str, Any]:
    medians = {name: statistics.median(found[name]) for name in ("without", "with", "copying")}
    return {**found, "medians": medians, "delay": medians["with"] / medians["without"] - 1}


def _show(results: dict[str, Any]) -> None:
    medians, steps = results["medians"], results["settings"]
    tell = Console(width=120, highlight=False).print
    tell(f"A step at {steps['size']}², medians of {steps['rounds']} rounds taken in turns:")
    tell(f"  without a checkpoint {medians['without']:.3f} s")
    tell(f"  with one             {medians['with']:.3f} s, of which {medians['copying']:.3f} s copy its state")
    tell(f"  of {results['bytes'] / 2**20:.1f} MiB: {100 * results['delay']:.1f} % longer")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels of the picture's sides (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="steps of either kind that are measured (%(default)s)")
    parser.add_argument("--warm-up", type=int, help="steps that do not count; by default until the history is full")
    parser.add_argument("--pair", default="china", help="PHOTO, or PHOTO+STYLE (%(default)s)")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/checkpoint-cost")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print what was found and write JSON."""
    options = _parsed(arguments)
    (pair,) = pairs_of([options.pair], style_files(options.style), options.size)
    settings = {"size": options.size, "rounds": options.rounds, "pair": pair.name}
    found = _with_medians(alone(_measured, pair, options))
    results = {"machine": describe_machine(options.threads), "settings": settings, **found}
    write_json(options.output / "checkpoint_cost.json", results)
    _show(results)


if __name__ == "__main__":
    main()
