"""L-BFGS: the direction that a few remembered moves, and what they changed of the gradient, give.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989), algorithm 2.1, without line
search. Without a preconditioner the arithmetic is, operation by operation, that of torch.optim.LBFGS, so that its
paths are reproduced to the bit. What is there beyond it:

- The initial inverse Hessian may be γ·M with a fixed symmetric positive M, where torch has γ alone. This is the same
  as optimising p with x = A·p and M = A·Aᵀ, but moves and changes stay those of x.
- The vectors remembered may be kept in half the memory. What is rounded is a direction, never the image.
- A pair below torch's bound on yᵀs is kept where y and s point the same way for all that: the bound is an absolute
  number, which would reject every pair where the weights of the losses are small.
- A pair that is rejected while nothing is remembered still says how large the curvature is: see `direction`.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["LBFGS"]

_LEAST_CURVATURE = 1e-10  # torch's own bound on yᵀs, below which it rejects a pair
_LEAST_COSINE = 1e-7  # of the angle between y and s: less than that is rounding


class LBFGS:
    """The memory of ``history_size`` pairs, each of two vectors of the image's size, kept as ``dtype``."""

    def __init__(
        self,
        history_size: int,
        precondition: Callable[[Tensor], Tensor] = lambda vector: vector,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._history_size = history_size
        self._precondition = precondition
        self._dtype = dtype
        self._moves: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._factors: list[Tensor] = []  # 1 / yᵀs of each pair
        self._scale: float | Tensor | None = None  # γ

    def __len__(self) -> int:
        return len(self._moves)

    def remember(self, move: Tensor, change: Tensor) -> None:
        """Take in that the last ``move`` s (n,) changed the gradient by ``change`` y (n,).

        Where the loss bends downwards along s, and nothing better is known, only the size |y| / |s| is kept.
        """
        product = change.dot(move)
        smoothed = self._precondition(change)
        if bool(product > _LEAST_CURVATURE) or _agree(move, change, product):
            self._append(move, change, 1 / product)
            self._scale = product / change.dot(smoothed)
        elif not self._moves:
            size = float(move.norm() / smoothed.norm())
            self._scale = size if math.isfinite(size) else None

    def _append(self, move: Tensor, change: Tensor, factor: Tensor) -> None:
        self._keep_latest(self._history_size - 1)
        kept = move.to(self._dtype), change.to(self._dtype)  # both, before one is remembered: memory may run out
        self._moves.append(kept[0])
        self._changes.append(kept[1])
        self._factors.append(factor)

    def _keep_latest(self, count: int) -> None:
        for remembered in (self._moves, self._changes, self._factors):
            del remembered[: max(0, len(remembered) - count)]

    def shrink(self) -> None:
        """Forget the older half of the pairs, and do not remember more than are left, but for one."""
        count = len(self) // 2
        self._keep_latest(count)
        self._history_size = max(1, count)

    @property
    def knows_a_scale(self) -> bool:
        """Whether the length of `direction` means anything."""
        return self._scale is not None

    @property
    def has_pairs(self) -> bool:
        """Whether any pair is remembered."""
        return bool(self._moves)

    def direction(self, gradient: Tensor) -> Tensor:
        """Return minus the inverse Hessian's product with ``gradient`` (n,): a move, if `knows_a_scale`.

        Without any curvature known it is minus the preconditioned gradient. Where only rejected pairs have been seen
        it is that over |y| / |s|: torch would take the bare gradient times its learning rate, some ten thousand times
        too far, in one photo and style of three.
        """
        q = gradient.neg()
        shares = []
        for move, change, factor in zip(
            reversed(self._moves), reversed(self._changes), reversed(self._factors), strict=True
        ):
            share = _dot(move, q) * factor
            shares.append(share)
            q.add_(change, alpha=-share)  # type: ignore[arg-type]  # torch takes a tensor of one number
        r = self._precondition(q) * (1.0 if self._scale is None else self._scale)
        for move, change, factor, share in zip(
            self._moves, self._changes, self._factors, reversed(shares), strict=True
        ):
            r.add_(move, alpha=share - _dot(change, r) * factor)  # type: ignore[arg-type]
        return r

    def forget(self) -> None:
        """Begin again, with nothing remembered."""
        for remembered in (self._moves, self._changes, self._factors):
            remembered.clear()
        self._scale = None

    def state(self, limit_bytes: int) -> dict[str, Tensor]:
        """Return copies of the latest pairs that fit into ``limit_bytes``, on the CPU."""
        # float() first: a double cannot exist on every device.
        state = {} if self._scale is None else {"scale": torch.tensor(float(self._scale), dtype=torch.float64)}
        if self._moves:
            pair_bytes = 2 * self._moves[0].numel() * self._moves[0].element_size()
            kept = min(len(self._moves), limit_bytes // pair_bytes)
            if kept:
                latest = {"moves": self._moves, "changes": self._changes, "factors": self._factors}
                state |= {name: torch.stack(vectors[-kept:]).to("cpu") for name, vectors in latest.items()}
        return state

    def restore(self, state: Mapping[str, Tensor], like: Tensor) -> None:
        """Remember what `state` returned, for images of as many numbers as ``like`` (n,), where that lives.

        Raises ValueError where it is a state of other images, KeyError where a part is missing.
        """
        self.forget()
        self._scale = float(state["scale"]) if "scale" in state else None
        if "moves" not in state:
            return
        moves, changes, factors = state["moves"], state["changes"], state["factors"]
        if moves.shape != changes.shape or moves.shape != (len(factors), like.numel()):
            raise ValueError(f"pairs of shapes {tuple(moves.shape)} and {tuple(changes.shape)}")
        for rows, remembered in ((moves, self._moves), (changes, self._changes)):
            remembered += [row.to(like.device, self._dtype, copy=True) for row in rows]
        self._factors += list(factors.to(like.device, copy=True))


def _agree(move: Tensor, change: Tensor, product: Tensor) -> bool:
    return bool(product > _LEAST_COSINE * move.norm() * change.norm())


def _dot(remembered: Tensor, vector: Tensor) -> Tensor:
    return remembered.to(vector.dtype).dot(vector)
