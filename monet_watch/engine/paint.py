"""Painting one picture: arrays and a recipe in, a stream of events out.

>>> for event in paint(content, style, recipe, network):
...     match event:
...         case Step(number, losses): ...
...         case Finished(image): ...
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monet_watch.engine.events import Checkpoint, Event, Finished, Losses, Snapshot, Step
from monet_watch.engine.losses import Objective, style_targets
from monet_watch.engine.optimise import PixelOptimiser
from monet_watch.engine.photo import resize
from monet_watch.engine.vgg import VGG19
from monet_watch.errors import PaintingError, PhotoError
from monet_watch.recipes import Recipe

__all__ = ["CHECKPOINT_LIMIT_BYTES", "SMALLEST_SIDE", "paint"]

Picture = NDArray[np.uint8]

SMALLEST_SIDE = 16
"""Pixels: the network halves a picture four times, and something must be left of it."""

CHECKPOINT_LIMIT_BYTES = 64 * 2**20
"""A checkpoint holds as much of the optimiser's history as fits into this."""


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
    says. Yields a `Step` for each step, a `Snapshot` and a `Checkpoint` every ``recipe.save_every`` steps, and
    `Finished` at the end. ``resume`` goes on from a checkpoint. ``stop`` is asked after every step; once it says
    True, a `Checkpoint` follows and the stream ends without `Finished`.

    Raises PhotoError if a picture has the wrong shape or is too small or there is no style, PaintingError if a loss
    is not finite, or ``resume`` belongs to another painting.
    """
    photo = _to_tensor("photo", content, recipe.image_size, recipe.enlarge, network.device)
    targets = style_targets(network, _style_tensors(style, recipe, network.device), recipe)
    objective = Objective(network, photo, targets, recipe)
    optimiser = PixelOptimiser(_initial_image(photo, recipe), objective, recipe)
    curve = _resumed(optimiser, resume, recipe) if resume is not None else []
    yield from _steps(optimiser, recipe, curve, stop)
    if len(curve) == recipe.steps:
        yield _finish(optimiser, objective, curve)


def _style_tensors(style: Picture | Sequence[Picture], recipe: Recipe, device: torch.device) -> list[Tensor]:
    styles = [style] if isinstance(style, np.ndarray) else style
    if len(styles) == 0:
        raise PhotoError("There is no style picture.", "Give at least one.")
    short_side = max(SMALLEST_SIDE, round(recipe.image_size * recipe.style_scale))
    return [_to_tensor("style picture", picture, short_side, False, device) for picture in styles]


def _resumed(optimiser: PixelOptimiser, checkpoint: Checkpoint, recipe: Recipe) -> list[Losses]:
    """Bring ``optimiser`` to where it was, and return the losses of the steps until then."""
    rows = checkpoint.state.get("curve", torch.empty(0))
    if rows.shape != (checkpoint.number, 4) or checkpoint.number > recipe.steps:
        raise PaintingError("The checkpoint does not belong to this recipe.", "Paint it from the start.")
    optimiser.restore(checkpoint.state)
    return [Losses(*row) for row in rows.tolist()]


def _steps(optimiser: PixelOptimiser, recipe: Recipe, curve: list[Losses], stop: Callable[[], bool]) -> Iterator[Event]:
    """Take the steps that are left, append each one's losses to ``curve``, and yield what happens."""
    for number in range(len(curve) + 1, recipe.steps + 1):
        losses = optimiser.step()
        if not math.isfinite(losses.total):
            raise _ran_away(number)
        curve.append(losses)
        yield Step(number, losses)
        last, due = number == recipe.steps, number % recipe.save_every == 0
        stopping = not last and stop()
        if due:
            yield Snapshot(number, _picture(optimiser, number))
        if stopping or (due and not last):
            yield _checkpoint(optimiser, curve)
        if stopping:
            return


def _checkpoint(optimiser: PixelOptimiser, curve: Sequence[Losses]) -> Checkpoint:
    rows = [(losses.total, losses.style, losses.content, losses.tv) for losses in curve]
    state = optimiser.state(CHECKPOINT_LIMIT_BYTES)
    return Checkpoint(len(curve), {**state, "curve": torch.tensor(rows, dtype=torch.float64)})


def _finish(optimiser: PixelOptimiser, objective: Objective, curve: Sequence[Losses]) -> Finished:
    image = _picture(optimiser, len(curve))
    delivered = objective.losses(_from_picture(image, optimiser.image.device))
    return Finished(image, tuple(curve), delivered, reason="all steps taken")


def _picture(optimiser: PixelOptimiser, number: int) -> Picture:
    """Return the image after step ``number``, uint8, (H, W, 3)."""
    image = optimiser.image
    if not bool(image.isfinite().all()):  # its loss would have been measured by the next step only
        raise _ran_away(number)
    pixels = image.squeeze(0).permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return pixels.to("cpu", torch.uint8).contiguous().numpy()


def _ran_away(number: int) -> PaintingError:
    message = f"The loss is not a finite number at step {number}: the optimisation ran away."
    remedy = "Lower lr or the weights in the settings (the recipe's own values are known to work)."
    return PaintingError(message, remedy)


def _initial_image(photo: Tensor, recipe: Recipe) -> Tensor:
    if recipe.initial_image == "photo":
        return photo
    generator = torch.Generator().manual_seed(recipe.seed)
    return torch.rand(photo.shape, generator=generator).to(photo.device)


def _to_tensor(name: str, picture: Picture, short_side: int, enlarge: bool, device: torch.device) -> Tensor:
    """Return ``picture`` resized, as float32 (1, 3, H, W) in [0, 1]; ``name`` is for messages."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        found = f"{picture.dtype} of shape {picture.shape}"
        raise PhotoError(f"The {name} must be a uint8 array of shape (H, W, 3), not {found}.")
    resized = resize(picture, short_side, enlarge) if picture.size else picture
    height, width = resized.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        message = f"The {name} is too small: {width} × {height} pixels, and each side needs {SMALLEST_SIDE}."
        raise PhotoError(message, "Use a larger picture.")
    return _from_picture(resized, device)


def _from_picture(picture: Picture, device: torch.device) -> Tensor:
    tensor = torch.tensor(np.ascontiguousarray(picture), device=device)  # (H, W, 3)
    return tensor.permute(2, 0, 1).unsqueeze(0).to(torch.float32).div(255).contiguous()
