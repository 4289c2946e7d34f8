"""Painting one picture: arrays and a recipe in, a stream of events out.

>>> for event in paint(content, style, recipe, network):
...     match event:
...         case Step(number, losses): ...
...         case Finished(image): ...
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from monet_watch.engine.evaluator import StyleMemory
from monet_watch.engine.events import Checkpoint, Event
from monet_watch.engine.levels import Level, fitted_size, levels
from monet_watch.engine.precision import resolve_precision
from monet_watch.engine.stage import CHECKPOINT_LIMIT_BYTES, SMALLEST_SIDE, Materials, Progress, Stage, check_size
from monet_watch.engine.vgg import VGG19
from monet_watch.errors import PaintingError, PhotoError
from monet_watch.recipes import Recipe

__all__ = ["CHECKPOINT_LIMIT_BYTES", "SMALLEST_SIDE", "Painter", "fits", "paint"]

Picture = NDArray[np.uint8]


def paint(
    content: Picture,
    style: Picture | Sequence[Picture],
    recipe: Recipe,
    network: VGG19,
    resume: Checkpoint | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Paint ``content`` in the style of ``style`` and yield what happens, on the network's device.

    ``content`` and ``style`` are uint8, (H, W, 3), sRGB; several styles are blended. Both are resized as the recipe
    says. Yields a `Step` for each step, a `Snapshot` at each of ``recipe.stages``, a `Checkpoint` as often and at least
    every minute, and `Finished` at the end. Pictures of a painting that is still coarse are smaller. ``resume``
    goes on from a checkpoint. ``stop`` is asked after every step; once it says True, a `Checkpoint` follows and the
    stream ends without `Finished`.

    Raises PhotoError if a picture has the wrong shape or is too small or there is no style, PaintingError if no loss
    is finite, or ``resume`` belongs to another painting.
    """
    yield from Painter(network).paint(content, style, recipe, resume, stop)


class Painter:
    """Paints one picture after another with one network, and remembers the styles that it has measured.

    ``clock`` gives seconds; checkpoints go by it.
    """

    def __init__(self, network: VGG19, clock: Callable[[], float] = time.monotonic) -> None:
        self.network = network
        self._clock = clock
        self._memory = StyleMemory(network)

    def paint(
        self,
        content: Picture,
        style: Picture | Sequence[Picture],
        recipe: Recipe,
        resume: Checkpoint | None = None,
        stop: Callable[[], bool] = lambda: False,
        memory_bytes: int | None = None,
    ) -> Iterator[Event]:
        """Paint as the function of this name does.

        It takes no more than about ``memory_bytes`` beside the network; None is as much as it needs. A painting that
        does not fit is made in tiles, which give the same picture.
        """
        styles = [style] if isinstance(style, np.ndarray) else list(style)
        if not styles:
            raise PhotoError("There is no style picture.", "Give at least one.")
        _check_array("photo", content)
        for picture in styles:
            _check_array("style picture", picture)
        size = _finished_size(content, recipe)
        check_size("photo", *size)
        names = tuple(hashlib.sha256(f"{each.shape}".encode() + each.tobytes()).digest() for each in styles)
        materials = Materials(content, tuple(styles), names, recipe, self._memory, memory_bytes, self._clock)
        yield from _through_levels(materials, levels(recipe, *size), resume, stop)


def fits(checkpoint: Checkpoint, content: Picture, recipe: Recipe) -> bool:
    """Say whether a painting of ``content`` (H, W, 3) by ``recipe`` can go on from ``checkpoint``."""
    try:
        progress = Progress.restored(checkpoint.state)
    except (KeyError, ValueError, TypeError):
        return False
    level = _level_of(checkpoint, levels(recipe, *_finished_size(content, recipe)))
    return level is not None and checkpoint.number == len(progress.curve) <= level.last


def _level_of(checkpoint: Checkpoint, levels: Sequence[Level]) -> Level | None:
    """Return the level at whose size ``checkpoint`` was taken: by number of steps, one that ended early tells wrong."""
    shape = checkpoint.state["variable"].shape if "variable" in checkpoint.state else None
    return next((level for level in levels if shape == (1, 3, level.height, level.width)), None)


def _through_levels(
    materials: Materials, levels: Sequence[Level], resume: Checkpoint | None, stop: Callable[[], bool]
) -> Iterator[Event]:
    progress = _progress(materials, resume)
    first = None if resume is None else _level_of(resume, levels)
    stage = None
    for level in levels[0 if first is None else levels.index(first) :]:
        stage = Stage(materials, level, progress, stage, resume)
        resume = None
        yield from stage.events(stop)
        if stage.stopped:
            return
    assert stage is not None
    yield stage.finish()


def _progress(materials: Materials, resume: Checkpoint | None) -> Progress:
    """Return how far the painting is. What fp32 was needed for once stays in it."""
    precision = resolve_precision(materials.recipe.precision, materials.memory.network.device)
    if resume is None:
        return Progress(precision)
    if not fits(resume, materials.content, materials.recipe):
        raise PaintingError("The checkpoint does not belong to this painting.", "Paint it from the start.")
    progress = Progress.restored(resume.state)
    progress.precision = "fp32" if progress.precision == "fp32" else precision
    return progress


def _finished_size(content: Picture, recipe: Recipe) -> tuple[int, int]:
    height, width = content.shape[:2]
    return fitted_size(width, height, recipe.image_size, recipe.enlarge)


def _check_array(name: str, picture: Picture) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        found = f"{picture.dtype} of shape {picture.shape}"
        raise PhotoError(f"The {name} must be a uint8 array of shape (H, W, 3), not {found}.")
    check_size(name, picture.shape[1], picture.shape[0])
