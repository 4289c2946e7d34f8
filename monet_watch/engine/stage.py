"""One size of a painting: its photo, its objective and its optimiser, from the first step to the last."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from monet_watch.engine.colour import recolour
from monet_watch.engine.evaluator import Evaluator, StyleMemory, is_out_of_memory, let_go
from monet_watch.engine.events import Checkpoint, Event, Finished, Losses, Snapshot, Step
from monet_watch.engine.levels import Level, fitted_size
from monet_watch.engine.losses import Moments
from monet_watch.engine.optimise import Optimiser
from monet_watch.engine.parametrisation import parametrisation
from monet_watch.engine.photo import resize_exactly
from monet_watch.engine.precision import Precision
from monet_watch.engine.tiles import SMALLEST_TILE, choose_tile, memory_bytes
from monet_watch.errors import PaintingError, PhotoError
from monet_watch.recipes import Recipe

__all__ = [
    "CHECKPOINT_LIMIT_BYTES",
    "CHECKPOINT_SECONDS",
    "SMALLEST_SIDE",
    "Materials",
    "Progress",
    "Stage",
    "check_size",
    "to_picture",
    "to_tensor",
]

Picture = NDArray[np.uint8]

SMALLEST_SIDE = 16
"""Pixels: the network halves a picture four times, and something must be left of it."""

CHECKPOINT_LIMIT_BYTES = 16 * 2**20
"""A checkpoint holds the picture, and as much of the optimiser's memory as fits into this together with it."""

CHECKPOINT_SECONDS = 60.0
"""A checkpoint comes after so long, if the recipe's ``save_every`` steps have not been taken by then."""

_PATIENCE_STEPS = 10  # over which a recipe's least_gain is measured
# Share of least_gain, after a checkpoint that could not hold all of the optimiser's memory: steps win less until it has
# learnt as much again. Measured: 0.98 to 1.00 of the uninterrupted painting's delivered loss, and with 1 up to 1.02.
_PATIENCE_AFTER_LOSS = 0.75
_RUNAWAY = 10.0  # times the lowest loss at this size: the optimisation has lost its way
_MOST_RECOVERIES = 3
_HISTORY_SHARE = 4  # of the memory, one part in so many may be L-BFGS's history
_FEWEST_PAIRS = 3
_TOLD = (
    "precision",
    "remarks",
    "recoveries",
    "began",
    "patient_from",
    "rest",
)  # by a checkpoint, of a painting's progress
_VECTORS = 8  # of the picture's size in float32, that the optimiser works with beside its history


@dataclass(frozen=True, slots=True)
class Materials:
    """What a painting is made from, and with: uint8 pictures (H, W, 3), of which ``style_names`` are hashes.

    ``memory_bytes`` is what one painting may take beside the network, None as much as it needs. ``clock`` gives
    seconds.
    """

    content: Picture
    styles: tuple[Picture, ...]
    style_names: tuple[bytes, ...]
    recipe: Recipe
    memory: StyleMemory
    memory_bytes: int | None
    clock: Callable[[], float]


@dataclass(slots=True)
class Progress:
    """How far a painting has come, over all its sizes.

    ``began`` is how many steps came before the size it is at, ``patient_from`` before those that are judged by whether
    they pay; ``rest`` is what its `Evaluator` says of layers at rest. ``saved_at`` is when the last checkpoint was
    taken, or the first step begun, by a clock that no other process knows: a checkpoint does not tell it.
    """

    precision: Precision
    curve: list[Losses] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    recoveries: int = 0
    began: int = 0
    patient_from: int = 0
    rest: tuple[int, dict[str, float]] = (0, {})
    saved_at: float | None = None

    def remark(self, text: str) -> None:
        """Keep a line for people, once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def state(self) -> dict[str, Tensor]:
        """Return it as tensors: the ``curve`` (n, 4), and the rest as the bytes of a JSON text."""
        rows = [(each.total, each.style, each.content, each.tv) for each in self.curve]
        rest = {name: getattr(self, name) for name in _TOLD}
        text = torch.tensor(list(json.dumps(rest).encode()), dtype=torch.uint8)
        return {"curve": torch.tensor(rows, dtype=torch.float64).view(-1, 4), "progress": text}

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> "Progress":
        """Return what `state` was made from. Raises ValueError, TypeError or KeyError where it is none."""
        rest = json.loads(bytes(state["progress"].tolist()))
        if state["curve"].ndim != 2 or state["curve"].shape[1] != 4 or not isinstance(rest, dict):
            raise ValueError(f"a curve of shape {tuple(state['curve'].shape)}")
        count, resting = rest["rest"]
        rest = {name: rest[name] for name in _TOLD} | {"rest": (int(count), dict(resting))}
        return cls(curve=[Losses(*row) for row in state["curve"].tolist()], **rest)


class Stage:
    """A painting at the size of ``level``.

    It begins with the change that the stage ``before`` made of the photo, or where ``resume`` was taken. ``stopped``
    says, after `events`, that the painting was asked to stop.
    """

    def __init__(
        self,
        materials: Materials,
        level: Level,
        progress: Progress,
        before: "Stage | None" = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self.stopped = False
        self._materials = materials
        self._level = level
        self._progress = progress
        self._reason = "all steps taken"
        self._has_been_sound = False
        self._least_gain = materials.recipe.least_gain
        self._device = materials.memory.network.device
        photo = self._photo()
        self._evaluator = self._make_evaluator(photo)
        self._pairs = self._affordable_pairs()
        # What a checkpoint replaces need not be made; but what the next size adds is the change of this beginning.
        is_replaced = resume is not None and self._is_final
        self.optimiser = self._make_optimiser(photo if is_replaced else self._initial_image(photo))
        self._initial = None if self._is_final else self.optimiser.variable.clone()
        if resume is None:
            self._begin(before)
        else:
            self._resume(resume)

    # --- How it begins

    def _make_evaluator(self, photo: Tensor) -> Evaluator:
        return Evaluator(
            self._materials.memory.network, photo, self._targets, self._materials.recipe,
            precision=self._progress.precision, tiles=self._tile, remark=self._progress.remark,
        )  # fmt: skip

    def _make_optimiser(self, image: Tensor) -> Optimiser:
        recipe, level = self._materials.recipe, self._level
        return Optimiser(
            image, self._evaluator, parametrisation(recipe, level.height, level.width, self._device),
            lr=recipe.lr, history_size=self._pairs, history_dtype=_history_dtype(recipe),
        )  # fmt: skip

    def _begin(self, before: "Stage | None") -> None:
        if before is not None:
            self.optimiser.change_by(self._carried(before))
        self._progress.began = self._progress.patient_from = len(self._progress.curve)
        self._progress.recoveries = 0

    def _resume(self, checkpoint: Checkpoint) -> None:
        is_whole = self.optimiser.restore(checkpoint.state)
        self._least_gain *= 1.0 if is_whole else _PATIENCE_AFTER_LOSS
        self._evaluator.rest = self._progress.rest
        self._has_been_sound = True
        if not self.optimiser.remembers:  # it needs some steps before they pay again
            self._progress.patient_from = len(self._progress.curve)

    # --- What it is made from

    @property
    def change(self) -> Tensor:
        """What the optimiser's variable (1, 3, H, W) has become, less what it was from the photo."""
        assert self._initial is not None, "nothing comes after the full size"
        return self.optimiser.variable - self._initial

    def _photo(self) -> Tensor:
        level = self._level
        return to_tensor(resize_exactly(self._materials.content, level.width, level.height), self._device)

    @cached_property
    def _style_sizes(self) -> list[tuple[int, int]]:
        """Return (width, height) of each style picture."""
        recipe = self._materials.recipe
        short_side = max(SMALLEST_SIDE, round(recipe.image_size * recipe.style_scale * self._level.scale))
        pictures = self._materials.styles
        sizes = [fitted_size(each.shape[1], each.shape[0], short_side, recipe.enlarge_style) for each in pictures]
        for width, height in sizes:
            check_size("style picture", width, height)
        return sizes

    @property
    def _style_names(self) -> tuple[bytes, ...]:
        return (*self._materials.style_names, str(self._style_sizes).encode())

    @cached_property
    def _styles(self) -> list[Picture]:
        return list(map(_resized, self._materials.styles, self._style_sizes))

    def _style_tensors(self) -> Iterator[Tensor]:
        """Yield the styles one at a time: each takes four times the memory of its picture."""
        return (to_tensor(picture, self._device) for picture in self._styles)

    def _targets(self, precision: Precision, tile: int | None) -> Mapping[str, Moments]:
        recipe, sizes = self._materials.recipe, self._style_sizes
        tiles = tuple(_least(tile, self._fitting_tile(width, height, precision)) for width, height in sizes)
        return self._materials.memory.targets(self._style_names, self._style_tensors, recipe, precision, tiles)

    def _initial_image(self, photo: Tensor) -> Tensor:
        match self._materials.recipe.initial_image:
            case "photo":
                return photo
            case "recoloured":
                colours = self._materials.memory.colours(self._style_names, self._style_tensors)
                return recolour(photo, colours).clamp(0, 1)
            case "noise":
                generator = torch.Generator().manual_seed(self._materials.recipe.seed)
                return torch.rand(photo.shape, generator=generator).to(photo.device)

    def _carried(self, before: "Stage") -> Tensor:
        """Return what the stage before has come to, as a difference (1, 3, H, W) from where this one begins.

        It is the change of the photo, whose own details are finer here; noise has no details to keep.
        """
        if self._materials.recipe.initial_image == "noise":
            return self._enlarged(before.optimiser.variable) - self.optimiser.variable
        return self._enlarged(before.change)

    def _enlarged(self, picture: Tensor) -> Tensor:
        # On the CPU, once for each size: Metal has learnt it late.
        size = (self._level.height, self._level.width)
        return F.interpolate(picture.to("cpu"), size=size, mode="bicubic", align_corners=False).to(self._device)

    # --- What the memory allows

    @property
    def _vector_bytes(self) -> int:
        return 3 * self._level.width * self._level.height * 4

    def _affordable_pairs(self) -> int:
        """Return how many pairs L-BFGS may remember."""
        wanted, limit = self._materials.recipe.history_size, self._materials.memory_bytes
        if limit is None:
            return wanted
        pair_bytes = 2 * self._vector_bytes * _history_dtype(self._materials.recipe).itemsize // 4
        pairs = min(wanted, max(_FEWEST_PAIRS, limit // _HISTORY_SHARE // pair_bytes))
        if pairs < wanted:
            self._progress.remark(
                f"L-BFGS remembered {pairs} pairs instead of {wanted}, so as to keep within the memory."
            )
        return pairs

    def _tile(self, precision: Precision) -> int | None:
        """Return the tiles that keep an evaluation in ``precision`` within the memory."""
        width, height = self._level.width, self._level.height
        tile = self._fitting_tile(width, height, precision)
        if tile is not None:
            self._remark_tiles(tile, memory_bytes(height, width, precision, tile) + self._held_bytes, precision)
        return tile

    def _fitting_tile(self, width: int, height: int, precision: Precision) -> int | None:
        """Return the tiles in which a picture of this size keeps within the memory, or comes nearest to it."""
        limit = self._materials.memory_bytes
        if limit is None:
            return None
        try:
            return choose_tile(height, width, precision, max(0, limit - self._held_bytes))
        except PaintingError:  # slower than anybody would like, and still better than no painting
            return SMALLEST_TILE

    @property
    def _held_bytes(self) -> int:
        """What the optimiser takes of the memory."""
        return (self._materials.memory_bytes or 0) // _HISTORY_SHARE + _VECTORS * self._vector_bytes

    def _remark_tiles(self, tile: int, needed: int, precision: Precision) -> None:
        limit = self._materials.memory_bytes or 0
        what = f"Painted in tiles of {tile} pixels at {self._level.width} × {self._level.height}"
        if needed > limit:
            text = f"{what}, with {needed / 2**30:.1f} GiB: that is more than the {limit / 2**30:.1f} GiB of memory"
            self._progress.remark(f"{text} there were for it.")
        elif precision == self._progress.precision:
            self._progress.remark(f"{what}, so as to keep within {limit / 2**30:.1f} GiB of memory.")

    # --- The steps

    def events(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Take the steps that are left at this size, append each one's losses to the curve, and yield what happens."""
        progress = self._progress
        curve = progress.curve
        if progress.saved_at is None:
            progress.saved_at = self._materials.clock()
        while len(curve) < self._level.last and not self._is_done():
            losses = self._step()
            if losses is None:
                continue
            curve.append(losses)
            number, now = len(curve), self._materials.clock()
            yield Step(number, losses)
            last = self._is_final and (number == self._level.last or self._is_done())
            due = self._materials.recipe.has_stage_at(number)
            self.stopped = not last and stop()
            if due:
                yield Snapshot(number, self._picture(number))
            if self.stopped or (not last and (due or now - progress.saved_at >= CHECKPOINT_SECONDS)):
                yield self._checkpoint()
                progress.saved_at = now
            if self.stopped:
                return

    @property
    def _is_final(self) -> bool:
        return self._level.scale == 1.0

    def _is_done(self) -> bool:
        """Say whether it ends before all steps are taken, and keep the reason."""
        least = self._least_gain
        if self._reason == "all steps taken" and least and self._is_final and not self._pays(least):
            self._reason = "further steps no longer pay"
        return self._reason != "all steps taken"

    def _pays(self, least: float) -> bool:
        """Say whether the last ten steps brought the lowest loss down by ``least`` of it.

        L-BFGS without line search leaps up now and then, for a step or two: a leap is no reason to end, and no place.
        """
        totals = [losses.total for losses in self._progress.curve[self._progress.patient_from :]]
        if len(totals) <= _PATIENCE_STEPS:
            return True
        lowest = min(totals)
        return min(totals[:-_PATIENCE_STEPS]) - lowest >= least * lowest or totals[-1] > (1 + least) * lowest

    def _step(self) -> Losses | None:
        """Take a step and return its losses; None if they were of no use, and it goes on from where it was before."""
        losses = self.optimiser.measure()
        if self._is_sound(losses):
            self._has_been_sound = True
            self._move()
            return losses
        self._recover(losses)
        return None

    def _move(self) -> None:
        """Move the image; where the memory is too short for that, with less remembered of earlier moves."""
        while True:
            try:
                self.optimiser.move()
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                shortage = error.with_traceback(None)  # whose frames hold the tensors that filled the memory
            pairs = self.optimiser.remember_less()
            if pairs is None:
                raise shortage
            let_go(self._device)
            self._progress.remark(f"L-BFGS went on with {pairs} pairs: the memory was too short for more.")

    def _is_sound(self, losses: Losses) -> bool:
        progress = self._progress
        lowest = min((each.total for each in progress.curve[progress.began :]), default=math.inf)
        finite = math.isfinite(losses.total) and self.optimiser.can_move
        return finite and (losses.total <= _RUNAWAY * lowest or not self.optimiser.has_moved)

    def _recover(self, losses: Losses) -> None:
        """Go back before the last move; in fp32, if it was not in that already.

        Where there is no way back, or the same has happened too often, the painting ends with the picture before;
        raises PaintingError where there is none.
        """
        progress, number = self._progress, len(self._progress.curve) + 1
        what = self._what_is_wrong(losses)
        progress.recoveries += 1
        progress.patient_from = len(progress.curve)
        has_moved = self.optimiser.has_moved
        self.optimiser.undo()
        if self._evaluator.precision not in ("fp32", "fp64"):
            progress.remark(f"Went on in fp32 from step {number}: the loss in {progress.precision} {what}.")
            progress.precision = "fp32"
            self._evaluator.go_on_in("fp32")
        elif not has_moved and not self._has_been_sound:
            raise _ran_away(number)
        elif not has_moved or progress.recoveries > _MOST_RECOVERIES:
            self._reason = f"the loss {what} at step {number}: this is the picture before"
            progress.remark(f"Ended {'early' if self._is_final else 'its coarse steps early'}: {self._reason}.")
        else:
            progress.remark(f"Began anew with small moves at step {number}: the loss {what}.")

    def _what_is_wrong(self, losses: Losses) -> str:
        if not math.isfinite(losses.total):
            return "was no finite number"
        return "had run away" if self.optimiser.can_move else "had a gradient that was no finite number"

    # --- What it gives

    def _picture(self, number: int) -> Picture:
        """Return the image after step ``number``, at full size."""
        image = self.optimiser.image
        if not bool(image.isfinite().all()):
            raise _ran_away(number)
        return to_picture(image)

    def _checkpoint(self) -> Checkpoint:
        state = self.optimiser.state(CHECKPOINT_LIMIT_BYTES)
        self._progress.rest = self._evaluator.rest
        return Checkpoint(len(self._progress.curve), {**state, **self._progress.state()})

    def finish(self) -> Finished:
        """Return the painting as it is, with its losses as a file will hold it."""
        progress = self._progress
        image, tile = self._picture(len(progress.curve)), self._evaluator.tile
        self.optimiser.forget()  # what it remembers is most of the memory, and fp32 takes more than the steps did
        delivered = self._evaluator.delivered(to_tensor(image, self._device))
        curve, remarks = tuple(progress.curve), tuple(progress.remarks)
        return Finished(image, curve, delivered, self._reason, progress.precision, remarks, tile, self._pairs)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return resize_exactly(picture, *size)


def _least(*tiles: int | None) -> int | None:
    """Return the smallest of ``tiles``, of which None is the whole picture."""
    return min((tile for tile in tiles if tile is not None), default=None)


def _history_dtype(recipe: Recipe) -> torch.dtype:
    # Bare pixels are the published method, whose path is torch's to the bit.
    return torch.float32 if recipe.parametrisation == "pixels" else torch.bfloat16


def _ran_away(number: int) -> PaintingError:
    message = f"The loss is not a finite number at step {number}: the optimisation ran away."
    remedy = "Lower lr or the weights in the settings (the recipe's own values are known to work)."
    return PaintingError(message, remedy)


def check_size(name: str, width: int, height: int) -> None:
    """Raise PhotoError if a picture is smaller than the network needs; ``name`` is for the message."""
    if min(height, width) < SMALLEST_SIDE:
        message = f"The {name} is too small: {width} × {height} pixels, and each side needs {SMALLEST_SIDE}."
        raise PhotoError(message, "Use a larger picture.")


def to_tensor(picture: Picture, device: torch.device) -> Tensor:
    """Return a picture, uint8 (H, W, 3), as float32 (1, 3, H, W) in [0, 1]."""
    tensor = torch.tensor(np.ascontiguousarray(picture), device=device)  # (H, W, 3)
    return tensor.permute(2, 0, 1).unsqueeze(0).to(torch.float32).div(255).contiguous()


def to_picture(image: Tensor) -> Picture:
    """Return an image (1, 3, H, W) as uint8 (H, W, 3); what is out of [0, 1] is cut off."""
    pixels = image.squeeze(0).permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return pixels.to("cpu", torch.uint8).contiguous().numpy()
