"""The objective as a device can bear it: in which precision, in which tiles, and with which layers at rest."""

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from monet_watch.engine.colour import Colours, colours_of
from monet_watch.engine.events import Losses
from monet_watch.engine.losses import Evaluation, Moments, Objective, style_targets
from monet_watch.engine.precision import Precision
from monet_watch.engine.tiles import smaller
from monet_watch.engine.vgg import VGG19
from monet_watch.recipes import LAYERS, Recipe

__all__ = ["Evaluator", "StyleMemory", "is_out_of_memory", "let_go"]

Result = TypeVar("Result")
Key = TypeVar("Key")

_SHORTAGES = ("can't allocate memory", "out of memory", "not enough memory", "ALLOC_FAILED", "bad_alloc")

_REST_STEPS = 8  # a layer at rest is measured again after so many


def is_out_of_memory(error: Exception) -> bool:
    """Say whether ``error`` means that the device's memory was too short."""
    # On the CPU and on MPS torch raises plain RuntimeErrors, known by their words only.
    text = str(error)
    told = isinstance(error, RuntimeError) and any(words in text for words in _SHORTAGES)
    return told or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)


def let_go(device: torch.device) -> None:
    """Free the memory of what nobody refers to any more, on a card for others as well."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


# Settings that style targets depend on.
_MEASURING = ("style_layers", "style_statistic", "style_tap", "padding", "style_scale", "enlarge_style")


@dataclass(frozen=True, slots=True)
class _StyleKey:
    pictures: tuple[bytes, ...]
    numbers: Recipe
    precision: Precision
    # They change nothing but the rounding; and even that must not depend on which photo came first, if a painting is
    # to be repeated to the byte.
    tiles: tuple[int | None, ...]


class _Latest(Generic[Key, Result]):
    """What was asked for lately, in ``room`` places."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._known: dict[Key, Result] = {}

    def get(self, key: Key, make: Callable[[], Result]) -> Result:
        if key not in self._known:
            found = make()
            while len(self._known) >= self._room:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        self._known[key] = self._known.pop(key)  # the latest is the last to go
        return self._known[key]


class StyleMemory:
    """What was measured lately of style pictures, ``room`` of each kind: photos of one folder share it.

    Pictures are known by ``names``, and made by ``styles`` only where they have to be measured.
    """

    def __init__(self, network: VGG19, room: int = 8) -> None:
        self.network = network
        self._moments = _Latest[_StyleKey, dict[str, Moments]](room)
        self._colours = _Latest[tuple[bytes, ...], Colours](room)

    def colours(self, names: tuple[bytes, ...], styles: Callable[[], Iterable[Tensor]]) -> Colours:
        """Return what `colours_of` says of what ``styles`` returns."""
        return self._colours.get(names, lambda: colours_of(styles()))

    def targets(
        self,
        names: tuple[bytes, ...],
        styles: Callable[[], Iterable[Tensor]],
        recipe: Recipe,
        precision: Precision,
        tiles: tuple[int | None, ...],
    ) -> Mapping[str, Moments]:
        """Return what `style_targets` says of what ``styles`` returns: measured in ``tiles``."""
        numbers = Recipe(**{name: getattr(recipe, name) for name in _MEASURING})
        key = _StyleKey(names, numbers, precision, tiles)
        return self._moments.get(
            key, lambda: style_targets(self.network, styles(), recipe, precision=precision, tiles=tiles)
        )


class Evaluator:
    """Evaluates images (1, 3, H, W) against ``photo`` and one style, with what the device offers.

    ``tiles`` says in which tiles a precision fits into the memory. Where the memory is too short nevertheless it goes
    on in tiles, then in smaller ones, and says so through ``remark``.

    A style layer beyond all other layers costs a fifth of a step, and its loss is often next to nothing. While it is
    below the recipe's ``rest_below`` of the total, the layer is left out of seven steps in eight; its loss is counted
    as it was measured last.
    """

    def __init__(
        self,
        network: VGG19,
        photo: Tensor,
        targets: Callable[[Precision, int | None], Mapping[str, Moments]],
        recipe: Recipe,
        *,
        precision: Precision,
        tiles: Callable[[Precision], int | None],
        remark: Callable[[str], None],
    ) -> None:
        self._network = network
        self._photo = photo
        self._targets = targets
        self._recipe = recipe
        self._tiles = tiles
        self._tile = tiles(precision)
        self._remark = remark
        self._resting: dict[str, float] = {}
        self._count = 0
        self._objective: Objective | None = None
        self.precision: Precision = precision

    def __call__(self, image: Tensor) -> Evaluation:
        """Return the losses of ``image`` and their gradient."""
        evaluation = self._in_memory(lambda: self._evaluate(image))
        self._count += 1
        return evaluation

    def _evaluate(self, image: Tensor) -> Evaluation:
        objective = self._current()
        if self._resting and self._count % _REST_STEPS:
            found = objective.without(self._resting)(image)
            return Evaluation(_plus(found.losses, sum(self._resting.values())), found.gradient)
        found = objective(image)
        self._resting = self._idle(found)
        return found

    def _idle(self, found: Evaluation) -> dict[str, float]:
        """Return the style layers that may rest, with their losses: the deepest ones, if they matter little."""
        idle: dict[str, float] = {}
        for name in sorted(self._recipe.style_layers, key=LAYERS.index, reverse=True):
            is_needed = max(map(LAYERS.index, self._recipe.content_layers)) >= LAYERS.index(name)
            loss = found.style_layers.get(name, 0.0)
            if is_needed or loss + sum(idle.values()) >= self._recipe.rest_below * found.losses.total:
                break
            idle[name] = loss
        return idle if len(idle) < len(self._recipe.style_layers) else {}

    def delivered(self, image: Tensor) -> Losses:
        """Return the losses of ``image`` in fp32, whatever the painting's precision."""
        if self.precision != "fp32":
            self.go_on_in("fp32")
        return self._in_memory(lambda: self._current().losses(image))

    @property
    def tile(self) -> int | None:
        """The side in pixels of the tiles that it evaluates in; None for the whole picture."""
        return self._tile

    @property
    def rest(self) -> tuple[int, dict[str, float]]:
        """How many evaluations there were, and the layers at rest with their losses."""
        return self._count, dict(self._resting)

    @rest.setter
    def rest(self, rest: tuple[int, dict[str, float]]) -> None:
        self._count, self._resting = rest

    def go_on_in(self, precision: Precision) -> None:
        """Evaluate in ``precision`` from here on, in tiles that suit it."""
        self.precision = precision
        sides = [side for side in (self._tile, self._tiles(precision)) if side is not None]
        self._tile = min(sides, default=None)
        self._objective = None
        self._resting = {}

    def _current(self) -> Objective:
        if self._objective is None:
            targets = self._targets(self.precision, self._tile)
            self._objective = Objective(
                self._network, self._photo, targets, self._recipe, precision=self.precision, tile=self._tile
            )
        return self._objective

    def _in_memory(self, attempt: Callable[[], Result]) -> Result:
        """Return what ``attempt`` returns, in as small tiles as it takes."""
        while True:
            try:
                return attempt()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                shortage = error.with_traceback(None)  # whose frames hold the tensors that filled the memory
            self._take_smaller_tiles(shortage)

    def _take_smaller_tiles(self, shortage: Exception) -> None:
        height, width = self._photo.shape[2:]
        tile = smaller(self._tile, height, width)
        if tile is None:
            raise shortage
        self._tile, self._objective = tile, None
        let_go(self._photo.device)
        self._remark(f"Went on in tiles of {tile} pixels: the memory was too short for more at a time.")


def _plus(losses: Losses, style: float) -> Losses:
    return replace(losses, total=losses.total + style, style=losses.style + style)
