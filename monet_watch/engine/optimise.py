"""The optimiser of a painting: L-BFGS on whatever the parametrisation moves, one evaluation of the loss at a time.

Each step evaluates the loss and its gradient exactly once and then moves the image. Nothing is tested for being
small: torch's tolerances compare gradients and slopes with absolute numbers, but a gradient's size follows the
weights of the losses and the number of pixels, and an optimiser that once stops so stands still for good.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from monet_watch.engine.events import Losses
from monet_watch.engine.lbfgs import LBFGS
from monet_watch.engine.losses import Evaluation
from monet_watch.engine.parametrisation import Parametrisation
from monet_watch.errors import PaintingError

__all__ = ["Optimiser"]

_FARTHEST = 1000.0  # that one number may move: taken back, it is still exact to a fraction of an 8-bit level


class Optimiser:
    """Moves an image (1, 3, H, W) so that ``objective`` of it falls; ``image`` is where it begins.

    Moves are ``lr`` times what L-BFGS says, which remembers ``history_size`` pairs as ``history_dtype``.
    """

    def __init__(
        self,
        image: Tensor,
        objective: Callable[[Tensor], Evaluation],
        parametrisation: Parametrisation,
        *,
        lr: float,
        history_size: int,
        history_dtype: torch.dtype = torch.float32,
    ) -> None:
        self._objective = objective
        self._parametrisation = parametrisation
        self._lr = lr
        self._variable = parametrisation.variable(image).clone()
        self._lbfgs = LBFGS(history_size, parametrisation.precondition, history_dtype)
        self._gradient: Tensor | None = None  # (n,), where the image is
        self._has_learnt = False  # from the last move, since the image was measured
        self._last: tuple[Tensor, Tensor, float] | None = None  # gradient and direction (n,), and how far it went

    @property
    def image(self) -> Tensor:
        """The image (1, 3, H, W) as it is."""
        return self._parametrisation.image(self._variable)

    @property
    def variable(self) -> Tensor:
        """What is moved, (1, 3, H, W)."""
        return self._variable

    def change_by(self, difference: Tensor) -> None:
        """Add ``difference`` (1, 3, H, W) to what is moved; what was remembered of the last move is forgotten."""
        self._variable = self._variable + difference
        self._last = None

    def step(self) -> Losses:
        """Evaluate the loss and its gradient once, move the image, and return the losses before the move."""
        losses = self.measure()
        self.move()
        return losses

    def measure(self) -> Losses:
        """Evaluate the loss and its gradient where the image is, and return the losses."""
        image = self.image
        evaluation = self._objective(image)
        self._gradient = self._parametrisation.pull_back(evaluation.gradient, image).reshape(-1)
        self._has_learnt = False
        return evaluation.losses

    @property
    def can_move(self) -> bool:
        """Whether the gradient that was measured is finite."""
        return self._gradient is not None and bool(self._gradient.sum().isfinite())

    def move(self) -> None:
        """Move the image, once, by what was measured where it is.

        Where that fails, for want of memory, nothing has moved, and it can be tried again.
        """
        assert self._gradient is not None
        gradient = self._gradient
        if self._last is not None and not self._has_learnt:
            last_gradient, direction, length = self._last
            self._lbfgs.remember(direction * length, gradient - last_gradient)
            self._has_learnt = True
        direction = self._finite_direction(gradient)
        length = self._length(direction, gradient)
        self._variable.view(-1).add_(direction, alpha=length)
        self._last = (gradient, direction, length)
        self._gradient, self._has_learnt = None, False

    def _finite_direction(self, gradient: Tensor) -> Tensor:
        """Return where to move. What overflows is forgotten, and where even that does not help, nothing moves."""
        direction = self._lbfgs.direction(gradient)
        if not bool(direction.isfinite().all()):
            self._lbfgs.forget()
            direction = self._lbfgs.direction(gradient)
        return direction if bool(direction.isfinite().all()) else torch.zeros_like(direction)

    def _length(self, direction: Tensor, gradient: Tensor) -> float:
        farthest = float(torch.linalg.vector_norm(direction, torch.inf))
        length = self._wanted_length(direction, gradient)
        return _FARTHEST / farthest if length * farthest > _FARTHEST else length

    def _wanted_length(self, direction: Tensor, gradient: Tensor) -> float:
        if not self._lbfgs.knows_a_scale:
            return float(self._parametrisation.first_length(direction, gradient))
        return self._lr if self._lbfgs.has_pairs else 1.0  # a mere size of the curvature is no guess to be careful with

    @property
    def has_moved(self) -> bool:
        """Whether there is a last move to take back."""
        return self._last is not None

    @property
    def remembers(self) -> bool:
        """Whether moves are chosen by what was learnt from earlier ones."""
        return self._lbfgs.has_pairs

    def remember_less(self) -> int | None:
        """Give back half of the memory of what was learnt; return how many pairs are left, None if there was none."""
        if not self._lbfgs.has_pairs:
            return None
        self._lbfgs.shrink()
        return len(self._lbfgs)

    def forget(self) -> None:
        """Give back the memory of all that was learnt; the image stays."""
        self._last = self._gradient = None
        self._has_learnt = False
        self._lbfgs.forget()

    def undo(self) -> None:
        """Take the last move back, if it `has_moved`, and forget all that was learnt.

        The next move is as careful as the first.
        """
        if self._last is not None:
            _, direction, length = self._last
            self._variable.view(-1).sub_(direction, alpha=length)
        self.forget()

    def state(self, limit_bytes: int) -> dict[str, Tensor]:
        """Return copies of the variable and, as far as ``limit_bytes`` allow, of what the optimiser remembers.

        They lie on the CPU. The variable and the curvature's size are always among them; then comes the last move,
        then the latest pairs. ``pairs`` is how many there were.
        """
        state = {"variable": self._variable, "pairs": torch.tensor(len(self._lbfgs)), **self._lbfgs.state(0)}
        room = limit_bytes - _bytes(self._variable)
        if self._last is not None and room >= 2 * _bytes(self._variable):
            gradient, direction, length = self._last
            state |= {"gradient": gradient, "direction": direction, "length": torch.tensor(length, dtype=torch.float64)}
            room -= 2 * _bytes(self._variable)
            state |= self._lbfgs.state(room)
        return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}

    def restore(self, state: Mapping[str, Tensor]) -> bool:
        """Go on from what `state` returned, which is copied; return whether nothing had been left out of it.

        Raises PaintingError if it is no such state, or one of an image of another size.
        """
        try:
            self._restore(state)
        except (KeyError, ValueError, RuntimeError) as error:
            message = "The checkpoint does not belong to this painting."
            raise PaintingError(message, "Paint it from the start.") from error
        return self._last is not None and len(self._lbfgs) == int(state.get("pairs", torch.tensor(0)))

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        if state["variable"].shape != self._variable.shape:
            raise ValueError(f"a picture of shape {tuple(state['variable'].shape)}")
        self._lbfgs.restore(state, self._variable)
        self._last = None
        if "length" in state:
            self._last = (self._flat(state["gradient"]), self._flat(state["direction"]), float(state["length"]))
        self._variable = state["variable"].to(self._variable, copy=True)

    def _flat(self, vector: Tensor) -> Tensor:
        """Return a copy of ``vector`` on the device, once it is known to have the image's size (3·H·W,)."""
        return vector.reshape(self._variable.numel()).to(self._variable, copy=True)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
