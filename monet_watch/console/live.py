"""The live view: the overview at the foot of a terminal, and what matters in lines above it."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live
from rich.text import Text

from monet_watch.console.lines import in_one_line
from monet_watch.console.overview import render_overview
from monet_watch.console.view import RANKS
from monet_watch.ledger import Overview
from monet_watch.notices import Level, Notice

__all__ = ["LiveConsole"]

_LEVEL_STYLES: Mapping[Level, str] = {Level.WARNING: "yellow", Level.ERROR: "bold red"}
_REDRAW_SECONDS = 0.25
_LEAVE_SECONDS = 2.0  # a terminal stopped by Ctrl-S must not keep the daemon from ending
_KEPT_LINES = 5


class LiveConsole:
    """The overview, redrawn in place a few times a second; notices of at least WARNING stand as lines above it.

    A thread of its own draws, so that a slow terminal never holds up the daemon: `update` and a notice only leave
    word. Where ``console`` is no terminal, or one that can't move its cursor, notices from ``level`` up are printed as
    lines and the overview once, at the end.
    """

    def __init__(
        self,
        console: Console,
        inbox: Path,
        outbox: Path,
        *,
        level: Level = Level.INFO,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._console = console
        self._inbox, self._outbox, self._clock = inbox, outbox, clock
        self.tell_from(level)
        self._overview: Overview | None = None
        self._seen: tuple[Overview | None, ConsoleDimensions] | None = None
        self._lines: deque[Text] = deque(maxlen=1000)
        self._kept: deque[Text] = deque(maxlen=_KEPT_LINES)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_over, name="console", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(_LEAVE_SECONDS)

    def __call__(self, notice: Notice) -> None:
        """Print the notice above the view, if it matters enough."""
        if RANKS[notice.level] >= self._rank:
            self._lines.append(_notice_line(notice, self._clock()))

    def tell_from(self, level: Level) -> None:
        """Print notices from ``level`` up; above a view that moves, none below WARNING."""
        self._rank = max(RANKS[level], RANKS[Level.WARNING]) if self._console.is_interactive else RANKS[level]

    def update(self, overview: Overview) -> None:
        """Show ``overview`` with the next redraw."""
        self._overview = overview

    def _draw_until_over(self) -> None:
        # A terminal that went away ends the view and nothing else; rich leaves by SystemExit when a pipe breaks.
        with contextlib.suppress(OSError, ValueError, SystemExit):
            screen = _Screen(self._console, self._view)
            try:
                while not self._over.wait(_REDRAW_SECONDS):
                    self._draw(screen)
                self._draw(screen)
            finally:
                screen.close()

    def _draw(self, screen: "_Screen") -> None:
        lines, seen = self._new_lines(), (self._overview, self._console.size)
        if lines or seen != self._seen:
            screen.draw(lines, self._kept)
        self._seen = seen

    def _new_lines(self) -> list[Text]:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        self._kept.extend(lines)
        return lines

    def _view(self) -> RenderableType:
        if self._overview is None:
            return Text("monet-watch  starting")
        height = self._console.height - 1 if self._console.is_interactive else None
        return render_overview(self._overview, now=self._clock(), inbox=self._inbox, outbox=self._outbox, height=height)


class _Screen:
    """A terminal with a view at its foot that is drawn again and again, and lines that scroll away above it."""

    def __init__(self, console: Console, view: Callable[[], RenderableType]) -> None:
        self._console, self._view = console, view
        self._width = console.width
        self._live = self._begin()

    def _begin(self) -> Live:
        live = Live(console=self._console, get_renderable=self._view, auto_refresh=False, vertical_overflow="crop")
        live.start()
        return live

    def draw(self, lines: Iterable[Text], kept: Iterable[Text]) -> None:
        """Print ``lines`` and draw the view; ``kept`` are the last lines, which a cleared screen shows again."""
        width = self._console.width
        with self._console:  # one write, so that nothing flickers
            if width < self._width and self._console.is_interactive:
                self._start_over()
                lines = kept
            for line in lines:
                self._console.print(line)
            self._live.refresh()
        self._width = width

    def _start_over(self) -> None:
        """Clear the screen: a narrower terminal has broken the view's lines, and where they lie is not known."""
        self._live.stop()
        self._console.clear()
        self._live = self._begin()

    def close(self) -> None:
        """Leave the view as it stands, and the cursor below it."""
        self._live.stop()


def _notice_line(notice: Notice, at: float) -> Text:
    when = f"{datetime.fromtimestamp(at):%H:%M:%S} "
    level = (f"{notice.level.value}: ", _LEVEL_STYLES.get(notice.level, ""))
    return Text.assemble((when, "dim"), level, in_one_line(notice))
