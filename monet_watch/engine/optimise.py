"""L-BFGS on the pixels, one evaluation at a time, and its state as plain tensors.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989), as torch.optim.LBFGS has
it, without line search. With ``max_iter=1`` each call evaluates the loss and its gradient exactly once and then
moves the image; the path is the same as that of longer calls, because the optimiser keeps its history between them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from monet_watch.engine.events import Losses
from monet_watch.engine.losses import WeightedLosses
from monet_watch.recipes import Recipe

__all__ = ["PixelOptimiser"]

_SCALARS = ("func_evals", "n_iter", "t", "prev_loss")
_VECTORS = ("d", "prev_flat_grad", "H_diag")


class PixelOptimiser:
    """Moves ``image`` (1, 3, H, W) so that ``objective`` of it falls. The image may leave [0, 1] on its way."""

    def __init__(self, image: Tensor, objective: Callable[[Tensor], WeightedLosses], recipe: Recipe) -> None:
        self._image = image.clone().requires_grad_(True)
        self._objective = objective
        self._lbfgs = torch.optim.LBFGS([self._image], lr=recipe.lr, max_iter=1, history_size=recipe.history_size)
        self._losses: WeightedLosses | None = None

    @property
    def image(self) -> Tensor:
        """The image (1, 3, H, W) as it is, without a graph."""
        return self._image.detach()

    def step(self) -> Losses:
        """Evaluate the loss and its gradient once, move the image, and return the losses before the move."""
        self._lbfgs.step(self._evaluate)
        assert self._losses is not None
        return self._losses.to_floats()

    def _evaluate(self) -> float:
        self._lbfgs.zero_grad()
        self._losses = self._objective(self._image)
        torch.autograd.backward(self._losses.total)
        return float(self._losses.total)

    def state(self, limit_bytes: int) -> dict[str, Tensor]:
        """Return copies of the image and of the optimiser's memory, on the CPU.

        Of the history of curvature pairs, the latest are kept that fit into ``limit_bytes`` together with the rest.
        """
        lbfgs = self._lbfgs.state[self._image]
        state = {"image": self.image, **{name: lbfgs[name] for name in _VECTORS if name in lbfgs}}
        state |= {name: torch.tensor(lbfgs[name], dtype=torch.float64) for name in _SCALARS if name in lbfgs}
        room = limit_bytes // (self._image.numel() * self._image.element_size()) - 3
        pairs = min(len(lbfgs.get("ro", [])), max(0, room // 2))
        if pairs:
            for name in ("old_dirs", "old_stps", "ro"):
                state[name] = torch.stack([value.reshape(-1) for value in lbfgs[name][-pairs:]])
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned, for an image of the same size."""
        device = self._image.device
        with torch.no_grad():
            self._image.copy_(state["image"])
        lbfgs = self._lbfgs.state[self._image]
        lbfgs |= {name: state[name].to(device) for name in _VECTORS if name in state}
        lbfgs |= {name: float(state[name]) for name in _SCALARS if name in state}
        for name in ("old_dirs", "old_stps"):
            lbfgs[name] = list(state[name].to(device)) if name in state else []
        lbfgs["ro"] = [value.squeeze(0) for value in state["ro"].to(device)] if "ro" in state else []
