"""Painting one picture: arrays and a recipe in, a stream of events out.

>>> for event in paint(content, style, recipe, network):
...     match event:
...         case Step(number, losses): ...
...         case Finished(image): ...
"""

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

    Raises PhotoError if a picture has the wrong shape or is too small, PaintingError if a loss is not finite.
    """
    styles = [style] if isinstance(style, np.ndarray) else list(style)
    photo = _to_tensor(content, recipe.image_size, recipe.enlarge, network.device)
    style_side = max(SMALLEST_SIDE, round(recipe.image_size * recipe.style_scale))
    paintings = [_to_tensor(picture, style_side, False, network.device) for picture in styles]
    targets = style_targets(network, paintings, recipe.style_layers)
    objective = Objective(network, photo, targets, recipe)
    optimiser = PixelOptimiser(_initial_image(photo, recipe), objective, recipe)
    curve: list[Losses] = []
    if resume is not None:
        optimiser.restore(resume.state)
        curve = [Losses(*row) for row in resume.state["curve"].tolist()]
    yield from _steps(optimiser, recipe, curve, stop)
    if len(curve) == recipe.steps:
        yield _finish(optimiser, objective, curve)


def _steps(
    optimiser: PixelOptimiser, recipe: Recipe, curve: list[Losses], stop: Callable[[], bool]
) -> Iterator[Event]:
    """Take the steps that are left, append each one's losses to ``curve``, and yield what happens."""
    for number in range(len(curve) + 1, recipe.steps + 1):
        losses = optimiser.step()
        _check_finite(losses, number)
        curve.append(losses)
        yield Step(number, losses)
        stopping = number < recipe.steps and stop()
        if number % recipe.save_every == 0:
            yield Snapshot(number, _to_picture(optimiser.image))
        if stopping or (number % recipe.save_every == 0 and number < recipe.steps):
            yield _checkpoint(optimiser, curve)
        if stopping:
            return


def _checkpoint(optimiser: PixelOptimiser, curve: Sequence[Losses]) -> Checkpoint:
    rows = [(losses.total, losses.style, losses.content, losses.tv) for losses in curve]
    state = optimiser.state(CHECKPOINT_LIMIT_BYTES)
    return Checkpoint(len(curve), {**state, "curve": torch.tensor(rows, dtype=torch.float64)})


def _finish(optimiser: PixelOptimiser, objective: Objective, curve: Sequence[Losses]) -> Finished:
    image = _to_picture(optimiser.image)
    if not bool(torch.isfinite(optimiser.image).all()):
        raise PaintingError(*_not_finite(len(curve)))
    with torch.no_grad():
        delivered = objective(_from_picture(image, optimiser.image.device)).to_floats()
    return Finished(image, tuple(curve), delivered, reason="all steps taken")


def _check_finite(losses: Losses, number: int) -> None:
    if not np.isfinite(losses.total):
        raise PaintingError(*_not_finite(number))


def _not_finite(number: int) -> tuple[str, str]:
    return (
        f"The loss is not a finite number at step {number}: the optimisation ran away.",
        "Lower lr or the weights in the settings (the recipe's own values are known to work).",
    )


def _initial_image(photo: Tensor, recipe: Recipe) -> Tensor:
    if recipe.initial_image == "photo":
        return photo
    generator = torch.Generator().manual_seed(recipe.seed)
    return torch.rand(photo.shape, generator=generator).to(photo.device)


def _to_tensor(picture: Picture, short_side: int, enlarge: bool, device: torch.device) -> Tensor:
    """Return ``picture`` resized, as float32 (1, 3, H, W) in [0, 1]."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise PhotoError(
            f"A picture must be a uint8 array of shape (H, W, 3), not {picture.dtype} of shape {picture.shape}."
        )
    resized = resize(picture, short_side, enlarge)
    height, width = resized.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise PhotoError(
            f"The picture is too small: {width} × {height} pixels, and each side needs {SMALLEST_SIDE}.",
            "Use a larger picture, or set enlarge: true.",
        )
    return _from_picture(resized, device)


def _from_picture(picture: Picture, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).to(device)  # (H, W, 3)
    return tensor.permute(2, 0, 1).unsqueeze(0).to(torch.float32).div(255).contiguous()


def _to_picture(image: Tensor) -> Picture:
    pixels = image.squeeze(0).permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return pixels.to("cpu", torch.uint8).numpy()
