"""Ways to paint a picture, run one at a time against the clock, each in a process of its own.

The clock runs from the decoded pictures and the loaded network on: what is measured of style and photo counts, what
the benchmark itself does (pictures of every step written to an album, judging) does not.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from benchmarks.machine import alone, peak_bytes, set_up_as_worker
from benchmarks.pictures import Pair, Picture
from benchmarks.plain import Judge, PlainScript, load_reference
from monet_watch.engine.events import Checkpoint, Event, Finished, Snapshot, Step
from monet_watch.engine.paint import Painter
from monet_watch.recipes import RECIPES, Recipe
from monet_watch.weights import load_network

__all__ = ["Album", "Contender", "End", "Limits", "Painted", "Plain", "Run", "Taken", "parse_recipe", "race", "timed"]

Item = TypeVar("Item")

_CHECK_EVERY = 10  # steps between looks at whether the target is reached


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Step ``number`` has been taken ``seconds`` after the start; ``loss`` is what it was before, by its own account.

    ``picture`` is what has come of it, uint8 (H, W, 3).
    """

    number: int
    seconds: float
    loss: float
    picture: Picture


@dataclass(frozen=True, slots=True)
class End:
    """The contender has ended by itself, and has its picture, ``seconds`` after the start."""

    seconds: float
    reason: str
    precision: str
    remarks: tuple[str, ...] = ()


class Contender(Protocol):
    """A way to paint: ``name`` is for tables."""

    @property
    def name(self) -> str: ...

    def paint(self, pair: Pair, weights: str, threads: int | None) -> Iterator[Taken | End]:
        """Paint ``pair`` in this process, whose settings it may change."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain script with torch's L-BFGS at ``lr``, which ends after ``steps``."""

    name: str
    lr: float
    steps: int

    def paint(self, pair: Pair, weights: str, threads: int | None) -> Iterator[Taken | End]:
        if threads is not None:
            torch.set_num_threads(threads)
        network = load_reference(weights)
        started = time.perf_counter()
        script = PlainScript(network, pair, self.lr)
        seconds = time.perf_counter() - started
        for number in range(1, self.steps + 1):
            started = time.perf_counter()
            loss = script.step()
            seconds += time.perf_counter() - started
            yield Taken(number, seconds, loss, script.picture)
        yield End(seconds, "all steps taken", "fp32")


@dataclass(frozen=True, slots=True)
class Painted:
    """monet-watch with ``recipe`` at the photo's size, set up as its worker does it."""

    name: str
    recipe: Recipe

    def paint(self, pair: Pair, weights: str, threads: int | None) -> Iterator[Taken | End]:
        set_up_as_worker(threads)
        painter = Painter(load_network(weights, "cpu"))
        watched = self.recipe.with_changes({"save_every": 1, "image_size": min(pair.photo.shape[:2])})
        seconds, loss = 0.0, float("nan")
        for event, took in timed(painter.paint(pair.photo, pair.style, watched)):
            seconds += took if self._is_its_own(event) else 0.0
            match event:
                case Step(_, losses):
                    loss = losses.total
                case Snapshot(number, picture):
                    yield Taken(number, seconds, loss, picture)
                case Finished():
                    yield End(seconds, event.reason, event.precision, event.remarks)

    def _is_its_own(self, event: Event) -> bool:
        """Say whether the recipe itself asks for ``event``: not all stages are its own, every step is watched."""
        return not isinstance(event, Snapshot | Checkpoint) or self.recipe.has_stage_at(event.number)


def timed(items: Iterator[Item]) -> Iterator[tuple[Item, float]]:
    """Pair each item with the seconds that it took to come, not counting what is done with those before it."""
    while True:
        asked = time.perf_counter()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, time.perf_counter() - asked


def parse_recipe(text: str) -> tuple[str, Recipe]:
    """Return the recipe that ``text`` means, and its name: ``swift``, or ``swift:padding=replicate,lr=0.5``.

    Raises SystemExit where there is no such recipe.
    """
    name, _, changes = text.partition(":")
    if name not in RECIPES:
        raise SystemExit(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    pairs = [change.partition("=") for change in changes.split(",") if change]
    return text, RECIPES[name].with_changes({key: value for key, _, value in pairs})


@dataclass(frozen=True, slots=True)
class Limits:
    """When a contender is told to stop: after ``steps``, or once its delivered loss is no higher than ``target``."""

    steps: int
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a contender: seconds since the start and its own account of the loss, for each step.

    ``end`` is None where it was told to stop.
    """

    name: str
    seconds: tuple[float, ...]
    losses: tuple[float, ...]
    end: End | None
    peak_bytes: int
    threads: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; a loss that is no finite number becomes null."""
        losses = [loss if np.isfinite(loss) else None for loss in self.losses]
        return {**asdict(self), "losses": losses}


class Album:
    """The pictures of every step of a run, in a file: in memory they would weigh more than the painting itself."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._size = size

    def picture(self, number: int) -> Picture:
        """Return the picture after step ``number``, uint8 (size, size, 3)."""
        shape = (self._size, self._size, 3)
        count = self._size * self._size * 3
        return np.fromfile(self.path, np.uint8, count, offset=(number - 1) * count).reshape(shape)


def race(contender: Contender, pair: Pair, limits: Limits, album: Path, weights: str, threads: int | None) -> Run:
    """Let ``contender`` paint ``pair`` in a process of its own; the pictures of all steps go to the file ``album``."""
    return alone(_race_here, contender, pair, limits, album, weights, threads)


def _race_here(contender: Contender, pair: Pair, limits: Limits, album: Path, weights: str, threads: int | None) -> Run:
    seconds, losses, end = list[float](), list[float](), None
    with album.open("wb") as file, _Referee(pair, limits, weights, threads) as referee:
        for event in contender.paint(pair, weights, threads):
            if isinstance(event, End):
                end = event
                break
            file.write(event.picture.tobytes())
            seconds.append(event.seconds)
            losses.append(event.loss)
            if referee.stops(event):
                break
        peak = peak_bytes()
    return Run(contender.name, tuple(seconds), tuple(losses), end, peak, torch.get_num_threads())


class _Referee:
    """Tells a contender when it may stop. The judge is called in when the contender's own account says so."""

    def __init__(self, pair: Pair, limits: Limits, weights: str, threads: int | None) -> None:
        self._seat = (pair, weights, threads)
        self._limits = limits
        self._judge: Judge | None = None

    def __enter__(self) -> "_Referee":
        return self

    def __exit__(self, *_: object) -> None:
        if self._judge is not None:
            self._judge.__exit__(None, None, None)

    def stops(self, taken: Taken) -> bool:
        target = self._limits.target
        if taken.number >= self._limits.steps:
            return True
        if target is None or taken.number % _CHECK_EVERY or not taken.loss <= target:
            return False
        self._judge = self._judge or Judge(*self._seat)
        return self._judge(taken.picture) <= target
