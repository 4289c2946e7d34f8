"""Seconds of a step and memory, by the size of the picture.

    python -m benchmarks.sizes [--sizes 512 1024 2048 4096] [--memory-limit 12]

Each size is painted in a process of its own, from an enlarged photo, at full size from the first step on.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import parse_recipe, timed
from benchmarks.machine import add_common_options, alone, describe_machine, peak_bytes, set_up_as_worker, write_json
from benchmarks.pictures import Pair, add_style_option, pairs_of, style_files
from monet_watch.engine.events import Finished, Step
from monet_watch.engine.paint import Painter
from monet_watch.weights import load_network
from monet_watch.workers.machine import available_memory, memory_for_a_painting

__all__ = ["main"]


def _measured(pair: Pair, size: int, limit_bytes: int | None, options: argparse.Namespace) -> dict[str, Any]:
    set_up_as_worker(options.threads)
    painter = Painter(load_network(options.weights, "cpu"))
    _, recipe = parse_recipe(options.recipe)
    changes = {"image_size": size, "steps": options.steps, "coarsest": 0, "least_gain": 0.0, "save_every": 100_000}
    before, steps, finish, peak = peak_bytes(), list[float](), 0.0, 0
    events = painter.paint(pair.photo, pair.style, recipe.with_changes(changes), memory_bytes=limit_bytes)
    for event, seconds in timed(events):
        if isinstance(event, Step):
            steps.append(seconds)
            peak = peak_bytes()
        elif isinstance(event, Finished):
            finish, end = seconds, event
    return {
        "size": size,
        "tile": _tile(end.remarks),
        "first_step_seconds": steps[0],
        "step_seconds": float(np.median(steps[1:] or steps)),
        "finish_seconds": finish,
        "network_bytes": before,
        "step_peak_bytes": peak,
        "peak_bytes": peak_bytes(),
        "limit_bytes": limit_bytes,
        "precision": end.precision,
        "remarks": end.remarks,
    }


def _tile(remarks: Sequence[str]) -> int | None:
    """The side of the tiles that a painting's remarks tell of, the last ones taken; None where it was one piece."""
    found = [int(side) for remark in remarks for side in re.findall(r"in tiles of (\d+) pixels", remark)]
    return found[-1] if found else None


def _show(results: Mapping[str, Any]) -> None:
    table = Table(title=f"{results['settings']['recipe']}, by the picture's size")
    columns = ("pixels", "tiles", "s a step", "first step", "finish", "peak GiB of steps", "in all", "limit")
    for column in columns:
        table.add_column(column, justify="right")
    for each in results["sizes"]:
        seconds = (f"{each[name]:.2f}" for name in ("step_seconds", "first_step_seconds", "finish_seconds"))
        sizes = (each["step_peak_bytes"], each["peak_bytes"], each["limit_bytes"])
        memory = ("-" if size is None else f"{size / 2**30:.2f}" for size in sizes)
        table.add_row(f"{each['size']}²", str(each["tile"] or "none"), *seconds, *memory)
    Console(width=120).print(table)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="sides in pixels")
    parser.add_argument("--recipe", default="print", help="NAME, or NAME:setting=value,... (%(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="steps at each size; the first does not count")
    parser.add_argument("--memory-limit", type=float, metavar="GIB", help="by default what a worker would take")
    parser.add_argument("--photo", default="china", help="PHOTO, or PHOTO+STYLE (%(default)s)")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/sizes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure size by size; the results so far are on disk after each."""
    options = _parsed(arguments)
    settings = {"recipe": options.recipe, "photo": options.photo, "steps": options.steps}
    results: dict[str, Any] = {"machine": describe_machine(options.threads), "settings": settings, "sizes": []}
    given = None if options.memory_limit is None else int(options.memory_limit * 2**30)
    for size in options.sizes:
        (pair,) = pairs_of([options.photo], style_files(options.style), size)
        limit = memory_for_a_painting(available_memory(), given, 1)
        results["sizes"].append(alone(_measured, pair, size, limit, options))
        write_json(options.output / "sizes.json", results)
        _show(results)


if __name__ == "__main__":
    main()
