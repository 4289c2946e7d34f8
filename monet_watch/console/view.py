"""What every console is."""

from collections.abc import Mapping
from typing import Literal, Protocol, Self

from monet_watch.ledger import Overview
from monet_watch.notices import Level, Notice

__all__ = ["RANKS", "ConsoleKind", "ConsoleView"]

ConsoleKind = Literal["auto", "live", "plain", "json"]
"""How to show: ``auto`` is ``live`` at a terminal, ``plain`` elsewhere."""

RANKS: Mapping[Level, int] = {Level.DEBUG: 0, Level.INFO: 1, Level.WARNING: 2, Level.ERROR: 3}
"""The levels in the order in which they matter."""


class ConsoleView(Protocol):
    """A `Listener` that is also a context manager: it shows only between enter and exit; never raises, never blocks."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, notice: Notice) -> None:
        """Tell of one event."""

    def tell_from(self, level: Level) -> None:
        """From this moment on, tell what matters at least so much."""

    def update(self, overview: Overview) -> None:
        """Show how everything stands; a view that tells events only does nothing."""
