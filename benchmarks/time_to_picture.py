"""How long each way of painting takes to a picture as good as the plain script's after 400 steps.

    python -m benchmarks.time_to_picture [--quick] [--size 512] [--style monet.jpg]

A picture is as good as its delivered loss, that of the 8-bit file, judged by the reference in fp32.
"""

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import Album, Contender, Limits, Painted, Plain, Run, race
from benchmarks.machine import add_common_options, describe_machine, write_json
from benchmarks.pictures import Pair, add_style_option, pairs_of, style_files
from benchmarks.plain import Judge
from monet_watch.recipes import CLASSIC, SWIFT

__all__ = ["Crossing", "crossing", "main"]

_PLAIN, _TUTORIAL = "plain script", "tutorial, lr 1"
_PAIRS = ("china", "astronaut", "coffee", "flower")
_PATIENCE = 1.5  # times the plain script's steps are given to those that have not reached its picture yet
_LEAST_GROWTH = 1.4  # between the steps that are judged for the plot


@dataclass(frozen=True, slots=True)
class Crossing:
    """The first ``step`` whose picture is as good as the target, None where there is none.

    ``judged`` holds the delivered loss of each step that was looked at.
    """

    step: int | None
    judged: Mapping[int, float] = field(default_factory=dict)


def crossing(judge: Callable[[int], float], steps: int, target: float) -> Crossing:
    """Look for the first of the steps 1 to ``steps`` at which ``judge`` says ``target`` or less.

    Steps further and further apart are judged, and then those between the first that reaches it and the one before:
    the step before the one returned was judged as well, and does not reach it.
    """
    judged = {step: judge(step) for step in _spread(steps)}
    reached = [step for step, loss in judged.items() if loss <= target]
    if not reached:
        return Crossing(None, judged)
    above, below = max((step for step in judged if step < reached[0]), default=0), reached[0]
    while below - above > 1:
        middle = (above + below) // 2
        judged[middle] = judge(middle)
        above, below = (above, middle) if judged[middle] <= target else (middle, below)
    return Crossing(below, dict(sorted(judged.items())))


def _spread(steps: int) -> list[int]:
    found = [1]
    while found[-1] < steps:
        found.append(min(steps, max(found[-1] + 1, math.floor(found[-1] * _LEAST_GROWTH))))
    return found


# --- The races


def _contenders(steps: int) -> tuple[Contender, ...]:
    """The rivals of the plain script."""
    bound = math.ceil(_PATIENCE * steps)
    classic = CLASSIC.with_changes({"steps": bound})
    swift = SWIFT.with_changes({"steps": min(SWIFT.steps, bound)})
    return Plain(_TUTORIAL, 1.0, bound), Painted("classic", classic), Painted("swift", swift)


@dataclass(frozen=True, slots=True)
class _Course:
    """One pair and all that paint it; pictures and the album go to ``folder``."""

    pair: Pair
    judge: Judge
    folder: Path
    options: argparse.Namespace

    def run(self) -> dict[str, Any]:
        """Return what came of the pair, as plain data."""
        plain = self._race(Plain(_PLAIN, 0.03, self.options.steps), Limits(self.options.steps))
        target = self.judge(self._keep(plain))
        results = [self._result(plain, target)]
        for contender in _contenders(self.options.steps):
            # swift ends by itself, and what it has then is of interest, too.
            limits = Limits(10**9, None if contender.name == "swift" else target)
            run = self._race(contender, limits)
            self._keep(run)
            results.append(self._result(run, target))
        return {"pair": self.pair.name, "target": target, "contenders": results}

    def _race(self, contender: Contender, limits: Limits) -> Run:
        options = self.options
        run = race(contender, self.pair, limits, self._album.path, options.weights, options.threads)
        print(f"{self.pair.name}: {contender.name}, {len(run.seconds)} steps in {run.seconds[-1]:.1f} s", flush=True)
        return run

    @property
    def _album(self) -> Album:
        return Album(self.folder / "album", self.options.size)

    def _keep(self, run: Run) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """Write the last picture of ``run`` to a file, and return what the file holds."""
        name = f"{self.pair.name}-{run.name.replace(', ', '-').replace(' ', '-')}.png"
        path = self.options.output / name
        Image.fromarray(self._album.picture(len(run.seconds))).save(path)
        return np.array(Image.open(path))

    def _result(self, run: Run, target: float) -> dict[str, Any]:
        album = self._album
        found = crossing(lambda step: self.judge(album.picture(step)), len(run.seconds), target)
        reached = None if found.step is None else run.seconds[found.step - 1]
        delivered = found.judged[len(run.seconds)]
        verdict = {"reached_step": found.step, "reached_seconds": reached, "delivered": delivered}
        return {**run.to_json(), **verdict, "judged": {str(step): loss for step, loss in found.judged.items()}}


def _measure(pair: Pair, options: argparse.Namespace) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(dir=options.output) as folder,
        Judge(pair, options.weights, options.threads) as judge,
    ):
        return _Course(pair, judge, Path(folder), options).run()


# --- What is told of them


@dataclass(frozen=True, slots=True)
class _Row:
    """A contender over some pairs: medians. What was never reached took for ever, which a median can bear.

    ``by_plain`` divides the plain script's whole run by ``seconds``, ``by_tutorial`` the tutorial's own ``seconds``.
    """

    name: str
    seconds: float
    steps: float
    by_plain: float
    by_tutorial: float
    total_seconds: float
    total_steps: float
    delivered: float
    peak_bytes: float


def summary(pairs: Sequence[Mapping[str, Any]]) -> list[_Row]:
    """Return the medians over ``pairs``, which are as the JSON holds them, for each contender."""
    names = [each["name"] for each in pairs[0]["contenders"]]
    return [_row(name, [{each["name"]: each for each in pair["contenders"]} for pair in pairs]) for name in names]


def _row(name: str, pairs: Sequence[Mapping[str, Mapping[str, Any]]]) -> _Row:
    def median(value: Callable[[Mapping[str, Mapping[str, Any]]], float]) -> float:
        return statistics.median(map(value, pairs))

    return _Row(
        name,
        median(lambda pair: _reached(pair[name])),
        median(lambda pair: _or_never(pair[name]["reached_step"])),
        median(lambda pair: pair[_PLAIN]["seconds"][-1] / _reached(pair[name])),
        median(lambda pair: _quotient(_reached(pair[_TUTORIAL]), _reached(pair[name]))),
        median(lambda pair: _total_seconds(pair[name])),
        median(lambda pair: len(pair[name]["seconds"])),
        median(lambda pair: pair[name]["delivered"]),
        median(lambda pair: pair[name]["peak_bytes"]),
    )


def _total_seconds(result: Mapping[str, Any]) -> float:
    return float(result["end"]["seconds"] if result["end"] else result["seconds"][-1])


def _or_never(value: float | None) -> float:
    return math.inf if value is None else value


def _reached(result: Mapping[str, Any]) -> float:
    return _or_never(result["reached_seconds"])


def _quotient(above: float, below: float) -> float:
    return 0.0 if math.isinf(below) else above / below


_COLUMNS = ("seconds to it", "steps", "× plain", "× tutorial", "seconds in all", "steps", "delivered", "peak GiB")


def _table(title: str, pairs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title)
    table.add_column("")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for row in summary(pairs):
        table.add_row(*_cells(row))
    return table


def _cells(row: _Row) -> Iterator[str]:
    missed = math.isinf(row.seconds)
    yield row.name
    yield f"not reached: {row.delivered:.4g}" if missed else f"{row.seconds:.1f}"
    yield "-" if missed else f"{row.steps:.0f}"
    yield from ("-" if not 0 < ratio < math.inf else f"{ratio:.1f}" for ratio in (row.by_plain, row.by_tutorial))
    yield f"{row.total_seconds:.1f}"
    yield f"{row.total_steps:.0f}"
    yield f"{row.delivered:.2f}"
    yield f"{row.peak_bytes / 2**30:.2f}"


def _show(results: Mapping[str, Any]) -> None:
    console = Console(width=120)
    pairs = results["pairs"]
    for pair in pairs:
        console.print(_table(f"{pair['pair']}: a delivered loss of {pair['target']:.2f}", [pair]))
    if len(pairs) > 1:
        console.print(_table(f"Medians of {len(pairs)} pairs at {results['settings']['size']} pixels", pairs))


_COLOURS = {_PLAIN: "#7a7a7a", _TUTORIAL: "#d9822b", "classic": "#2f6db5", "swift": "#2a9d55"}


def _plot(results: Mapping[str, Any], path: Path) -> None:
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, pair in enumerate(results["pairs"]):
        for result in pair["contenders"]:
            steps = [int(step) for step in result["judged"]]
            seconds = [result["seconds"][step - 1] for step in steps]
            label = result["name"] if number == 0 else None
            axes.plot(seconds, result["judged"].values(), color=_COLOURS[result["name"]], lw=1.2, label=label)
        axes.axhline(pair["target"], color="#b0b0b0", lw=0.7, ls=":")
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="delivered loss")
    axes.set_title(f"{results['settings']['size']} pixels, {results['machine']['processor']}")
    axes.grid(visible=True, which="both", alpha=0.15)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


# --- The command


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels of a picture's sides (%(default)s)")
    parser.add_argument("--pairs", nargs="+", default=list(_PAIRS), help="PHOTO, or PHOTO+STYLE (%(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="steps of the plain script (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="256 pixels and the first pair only")
    parser.add_argument("--resume", action="store_true", help="go on with an earlier run's results in the folder")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/time-to-picture")
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.pairs = min(options.size, 256), options.pairs[:1]
    return options


def _begun(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    settings = {
        **{name: getattr(options, name) for name in ("size", "steps", "weights", "threads")},
        "styles": {name: sha256(file.read_bytes()).hexdigest() for name, file in style_files(options.style).items()},
    }
    if not (options.resume and path.exists()):
        return {"machine": describe_machine(options.threads), "settings": settings, "pairs": []}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found["settings"] != settings:
        raise SystemExit(f"{path} was made with other settings: {found['settings']}.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the races, pair by pair; the results so far are on disk after each."""
    options = _parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "time_to_picture.json"
    results = _begun(options, path)
    present = {pair["pair"] for pair in results["pairs"]}
    for pair in pairs_of(options.pairs, style_files(options.style), options.size):
        if pair.name not in present:
            results["pairs"].append(_measure(pair, options))
            write_json(path, results)
            _plot(results, options.output / "time_to_picture.png")
    _show(results)
    print(f"Written to {options.output}.")


if __name__ == "__main__":
    main()
