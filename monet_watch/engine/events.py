"""What the engine says while it paints: frozen events, in the order in which they happen.

This module needs no torch, so that whoever only reads events stays light.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["Checkpoint", "Event", "Finished", "Losses", "Snapshot", "Step"]


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one step, each multiplied by its weight, so that ``total = style + content + tv``.

    ``tv`` is all that counts the differences of neighbouring pixels: ``tv_weight`` and ``smooth_weight`` of the recipe.
    """

    total: float
    style: float
    content: float
    tv: float


@dataclass(frozen=True, slots=True)
class Step:
    """Step ``number`` (counted from 1) has been taken; ``losses`` were measured before it moved the image."""

    number: int
    losses: Losses


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The painting after step ``number``: uint8, shape (H, W, 3), sRGB."""

    number: int
    image: "NDArray[np.uint8]"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that is needed to go on after step ``number``: named tensors on the CPU.

    Give it to ``paint(..., resume=checkpoint)`` with the same content, style, recipe and network. The painting is then
    the same to the byte, unless L-BFGS remembered more than `monet_watch.engine.paint.CHECKPOINT_LIMIT_BYTES` can
    hold (2 pairs of swift's 12 at 512 × 512 pixels): of those it keeps the latest, and another painting, as good,
    comes of it.
    """

    number: int
    state: "dict[str, torch.Tensor]"


@dataclass(frozen=True, slots=True)
class Finished:
    """The painting: ``image`` is uint8, shape (H, W, 3), sRGB; ``curve`` holds the losses of every step.

    ``delivered`` are the losses of ``image`` itself, 8-bit and in range: what the viewer gets.
    ``reason`` says why it ended: ``"all steps taken"``. ``precision`` is what the network computed in, at the end.
    ``remarks`` say in a line each, for people, what went otherwise than asked for. ``tile`` is the side in pixels of
    the tiles that it was painted in at its full size, None for one piece; ``pairs`` is how many moves L-BFGS could
    remember there.
    """

    image: "NDArray[np.uint8]"
    curve: tuple[Losses, ...]
    delivered: Losses
    reason: str
    precision: str = "fp32"
    remarks: tuple[str, ...] = ()
    tile: int | None = None
    pairs: int | None = None


Event = Step | Snapshot | Checkpoint | Finished
"""Anything that ``paint`` yields."""
