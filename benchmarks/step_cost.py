"""What a whole step costs, against the bare convolutions that it cannot do without.

    python -m benchmarks.step_cost [--size 512] [--rounds 15]

Bare convolutions are each layer's forward and the gradient of its input, alone, one after the other, summed. All
contenders take turns in one process, so that a busy moment of the machine meets them all.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.machine import add_common_options, alone, describe_machine, set_up_as_worker, write_json
from benchmarks.pictures import Pair, add_style_option, pairs_of, style_files
from benchmarks.plain import PlainScript, load_reference
from monet_watch.engine.events import Step
from monet_watch.engine.paint import Painter
from monet_watch.engine.precision import Precision, resolve_precision
from monet_watch.engine.tiles import block_of
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import CLASSIC, LAYERS, SWIFT, Recipe
from monet_watch.weights import load_network

__all__ = ["main"]

_ENDLESS = {"steps": 100_000, "save_every": 100_000, "least_gain": 0.0}


# --- Bare convolutions


@dataclass(frozen=True, slots=True, eq=False)
class _Bare:
    """One layer's convolution: what goes in, what comes back, and the filters, in one precision."""

    x: Tensor
    g: Tensor
    weight: Tensor
    bias: Tensor
    flipped: Tensor

    def forward(self) -> Tensor:
        return F.conv2d(self.x, self.weight, self.bias, padding=1)

    def backward(self) -> Tensor:
        """The gradient of the input as the engine makes it."""
        return F.conv2d(self.g, self.flipped, padding=1)

    def torch_s_backward(self) -> Tensor:
        one, none = [1, 1], [0, 0]
        found: Tensor = torch.ops.aten.convolution_backward(
            self.g, self.x, self.weight, [len(self.bias)], one, one, one, False, none, 1, [True, False, False]
        )[0]
        return found

    @property
    def products(self) -> int:
        """Multiplications in one direction."""
        return self.g.shape[2] * self.g.shape[3] * self.weight.numel()


def _bare(network: VGG19, name: str, size: int, precision: Precision, layout: torch.memory_format) -> _Bare:
    filters = network.filters(precision)[name]
    made, given = filters.weight.shape[:2]
    side = size >> block_of(name)
    generator = torch.Generator().manual_seed(0)

    def laid(tensor: Tensor) -> Tensor:
        return tensor.to(filters.weight.dtype).contiguous(memory_format=layout)

    x, g = (laid(torch.randn(1, channels, side, side, generator=generator)) for channels in (given, made))
    return _Bare(x, g, laid(filters.weight), filters.bias, laid(filters.flipped))


# --- Taking turns


@dataclass(slots=True)
class _Turns:
    """Something that is done once a round, in parts, and the seconds that every part took each time."""

    name: str
    parts: Sequence[Callable[[], object]]
    warm_up: int = 2
    seconds: list[list[float]] = field(default_factory=list)

    def take(self) -> None:
        found = []
        for part in self.parts:
            started = time.perf_counter()
            part()
            found.append(time.perf_counter() - started)
        self.seconds.append(found)

    def to_json(self) -> dict[str, Any]:
        """Return the seconds as plain data: of each part the best and the median of all rounds, summed."""
        found = np.array(self.seconds)  # (rounds, parts)
        best, median = found.min(axis=0).sum(), np.median(found, axis=0).sum()
        rounds = found.sum(axis=1).tolist()
        return {"name": self.name, "best": float(best), "median": float(median), "rounds": rounds}


def _bare_turns(network: VGG19, size: int, precision: Precision) -> Iterator[_Turns]:
    engine = [_bare(network, name, size, precision, network.memory_format) for name in LAYERS]
    steps = [part for bare in engine for part in (bare.forward, bare.backward)]
    yield _Turns(f"bare convolutions, {precision}, as the engine", steps)
    planar = [_bare(network, name, size, precision, torch.contiguous_format) for name in LAYERS]
    steps = [part for bare in planar for part in (bare.forward, bare.torch_s_backward)]
    yield _Turns(f"bare convolutions, {precision}, as torch, NCHW", steps)


def _recipe_turns(network: VGG19, name: str, pair: Pair, recipe: Recipe) -> _Turns:
    endless = recipe.with_changes({**_ENDLESS, "image_size": min(pair.photo.shape[:2])})
    steps = (event for event in Painter(network).paint(pair.photo, pair.style, endless) if isinstance(event, Step))
    # Until its history is full, L-BFGS has less to do in every step.
    return _Turns(name, [lambda: next(steps)], warm_up=min(recipe.history_size, 12) + 1)


def _turns(pair: Pair, weights: str, size: int) -> list[_Turns]:
    network = load_network(weights, "cpu")
    precision = resolve_precision(SWIFT.precision, network.device)
    script = PlainScript(load_reference(weights), pair, 0.03)
    return [
        *_bare_turns(network, size, precision),
        *(_bare_turns(network, size, "fp32") if precision != "fp32" else ()),
        _recipe_turns(network, f"swift, {precision}, all layers", pair, SWIFT.with_changes({"rest_below": 0.0})),
        _recipe_turns(network, f"swift, {precision}", pair, SWIFT),
        _recipe_turns(network, "classic, fp32", pair, CLASSIC),
        _Turns("plain script, fp32", [script.step]),
    ]


def _measured(pair: Pair, options: argparse.Namespace) -> list[dict[str, Any]]:
    set_up_as_worker(options.threads)
    turns = _turns(pair, options.weights, options.size)
    for each in turns:
        for _ in range(each.warm_up if options.warm_up is None else options.warm_up):
            each.take()
        each.seconds.clear()
    for _ in range(options.rounds):
        for each in turns:
            each.take()
    return [{**each.to_json(), "threads": torch.get_num_threads()} for each in turns]


# --- What is told


def _bare_of(name: str, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The bare convolutions as the engine makes them, in the precision that ``name`` names."""
    precision = "fp32" if "fp32" in name else found[0]["name"].split(", ")[1]
    return next(each for each in found if each["name"] == f"bare convolutions, {precision}, as the engine")


def _with_ratios(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    bares = [_bare_of(each["name"], found) for each in found]
    return [
        {**each, "best_to_bare": each["best"] / bare["best"], "median_to_bare": each["median"] / bare["median"]}
        for each, bare in zip(found, bares, strict=True)
    ]


def _show(results: Mapping[str, Any]) -> None:
    table = Table(title=f"One step at {results['settings']['size']}², {results['settings']['rounds']} rounds")
    table.add_column("")
    for column in ("best s", "median s", "best to bare", "median to bare"):
        table.add_column(column, justify="right")
    for each in results["steps"]:
        ratios = (f"{each['best_to_bare']:.2f}", f"{each['median_to_bare']:.2f}")
        table.add_row(each["name"], f"{each['best']:.3f}", f"{each['median']:.3f}", *ratios)
    Console(width=120).print(table)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels of the picture's sides (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured (%(default)s)")
    parser.add_argument("--warm-up", type=int, help="rounds that do not count; by default until histories are full")
    parser.add_argument("--pair", default="china", help="PHOTO, or PHOTO+STYLE (%(default)s)")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/step-cost")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write JSON."""
    options = _parsed(arguments)
    (pair,) = pairs_of([options.pair], style_files(options.style), options.size)
    found = alone(_measured, pair, options)
    settings = {"size": options.size, "rounds": options.rounds, "pair": pair.name}
    results = {"machine": describe_machine(options.threads), "settings": settings, "steps": _with_ratios(found)}
    write_json(options.output / "step_cost.json", results)
    _show(results)


if __name__ == "__main__":
    main()
