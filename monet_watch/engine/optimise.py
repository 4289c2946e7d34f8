"""L-BFGS on the pixels, one evaluation at a time, and its state as plain tensors.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989), as torch.optim.LBFGS has
it, without line search. With ``max_iter=1`` each call evaluates the loss and its gradient exactly once and then
moves the image; the path is the same as that of longer calls, because the optimiser keeps its history between them.

Two things differ from torch's defaults, and only where those fail:

- The tolerances are 0. They compare gradients and slopes with absolute numbers, but a gradient's size follows the
  weights of the losses and the number of pixels, and an optimiser that once stops so stands still for good.
- Without a curvature pair, a step is the gradient over |y| / |s|, the size of the curvature along the last move s,
  whose gradient changed by y. Where the loss bends downwards along the first gradient (often: one photo and style in
  three), torch rejects that pair, knows nothing of the curvature, and goes on with the bare gradient times lr: some
  ten thousand times too far, to a loss above that of noise. Where torch accepts its first pair, nothing differs.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from monet_watch.engine.events import Losses
from monet_watch.engine.losses import Evaluation
from monet_watch.errors import PaintingError
from monet_watch.recipes import Recipe

__all__ = ["PixelOptimiser"]

_COUNTS = ("func_evals", "n_iter")
_NUMBERS = ("t", "prev_loss", "H_diag")  # which torch keeps as numbers or as tensors of one number, as it comes
_VECTORS = ("d", "prev_flat_grad")
_HISTORY = ("old_dirs", "old_stps")
_LEAST_CURVATURE = 1e-10  # torch's own bound on yᵀs, below which it rejects a pair


class PixelOptimiser:
    """Moves ``image`` (1, 3, H, W) so that ``objective`` of it falls. The image may leave [0, 1] on its way."""

    def __init__(self, image: Tensor, objective: Callable[[Tensor], Evaluation], recipe: Recipe) -> None:
        self._image = image.clone().requires_grad_(True)
        self._objective = objective
        self._lr = recipe.lr
        self._lbfgs = torch.optim.LBFGS(
            [self._image],
            lr=recipe.lr,
            max_iter=1,
            history_size=recipe.history_size,
            tolerance_grad=0,
            tolerance_change=0,
        )
        self._losses: Losses | None = None

    @property
    def image(self) -> Tensor:
        """The image (1, 3, H, W) as it is, without a graph."""
        return self._image.detach()

    def step(self) -> Losses:
        """Evaluate the loss and its gradient once, move the image, and return the losses before the move."""
        self._lbfgs.step(self._evaluate)  # type: ignore[no-untyped-call]
        assert self._losses is not None
        return self._losses

    def _evaluate(self) -> float:
        evaluation = self._objective(self.image)
        self._image.grad, self._losses = evaluation.gradient, evaluation.losses
        self._scale_without_curvature()
        return self._losses.total

    def _scale_without_curvature(self) -> None:
        """Set the length of the next move where the history is empty and the last move's pair will be rejected."""
        lbfgs = self._lbfgs.state[self._image]
        if not lbfgs.get("n_iter") or lbfgs["old_dirs"] or self._image.grad is None:
            return
        move = lbfgs["d"] * lbfgs["t"]  # s, (3·H·W,)
        change = self._image.grad.reshape(-1) - lbfgs["prev_flat_grad"]  # y, (3·H·W,)
        if bool(change.dot(move) > _LEAST_CURVATURE):
            return
        scale = float(move.norm() / change.norm())
        if math.isfinite(scale):
            lbfgs["H_diag"] = scale / self._lr  # torch multiplies the gradient by both
        else:
            lbfgs["n_iter"] = 0  # nothing changed: the next move is as careful as the first

    def state(self, limit_bytes: int) -> dict[str, Tensor]:
        """Return copies of the image and of the optimiser's memory, on the CPU.

        Of the history of curvature pairs, the latest are kept that fit into ``limit_bytes`` together with the rest.
        """
        lbfgs = self._lbfgs.state[self._image]
        state = {"image": self.image, **{name: lbfgs[name] for name in _VECTORS if name in lbfgs}}
        # float() first: a double cannot exist on every device.
        state |= {
            name: torch.tensor(float(lbfgs[name]), dtype=torch.float64) for name in _COUNTS + _NUMBERS if name in lbfgs
        }
        room = limit_bytes // (self._image.numel() * self._image.element_size()) - 1 - len(_VECTORS)
        pairs = min(len(lbfgs.get("ro", ())), max(0, room // 2))
        if pairs:
            state |= {name: torch.stack(lbfgs[name][-pairs:]) for name in _HISTORY}
            state["ro"] = torch.stack(lbfgs["ro"][-pairs:])
        return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned, which is copied.

        Raises PaintingError if it is no such state, or one of an image of another size.
        """
        try:
            self._restore(state)
        except (KeyError, ValueError, RuntimeError) as error:
            message = "The checkpoint does not belong to this painting."
            raise PaintingError(message, "Paint it from the start.") from error

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        if state["image"].shape != self._image.shape:
            raise ValueError(f"an image of shape {tuple(state['image'].shape)}")
        with torch.no_grad():
            self._image.copy_(state["image"])
        lbfgs = self._lbfgs.state[self._image]
        lbfgs |= {name: int(state[name]) for name in _COUNTS if name in state}
        lbfgs |= {name: float(state[name]) for name in _NUMBERS if name in state}
        lbfgs |= {name: self._flat(state[name]) for name in _VECTORS if name in state}
        pairs = {name: [self._flat(row) for row in state.get(name, ())] for name in _HISTORY}
        lbfgs |= {**pairs, "ro": list(state.get("ro", torch.empty(0)).to(self._image.device, copy=True))}

    def _flat(self, vector: Tensor) -> Tensor:
        """Return a copy of ``vector`` on the device, once it is known to have the image's size (3·H·W,)."""
        return vector.reshape(self._image.numel()).to(self._image.device, copy=True)
