"""Which console is opened where."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console

from monet_watch.console.lines import JsonConsole, PlainConsole
from monet_watch.console.live import LiveConsole
from monet_watch.console.unrepeated import Unrepeated
from monet_watch.console.view import ConsoleKind, ConsoleView
from monet_watch.notices import Level

__all__ = ["is_journal", "open_console", "open_live"]


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` goes straight to systemd's journal (``$JOURNAL_STREAM`` names its device and inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def open_console(
    kind: ConsoleKind,
    level: Level = Level.INFO,
    *,
    stream: TextIO,
    inbox: Path,
    outbox: Path,
    priorities: bool = False,
) -> ConsoleView:
    """Return the view of this ``kind`` on ``stream``; plain lines where a live one is not possible.

    ``priorities`` says that the stream is the journal (`is_journal`). No line is told more than once a minute (see
    `Unrepeated`).
    """
    return Unrepeated(_view_of_kind(kind, level, stream, inbox, outbox, priorities), level)


def open_live(stream: TextIO, inbox: Path, outbox: Path, level: Level = Level.INFO) -> LiveConsole | None:
    """Return the live view on ``stream``; None where that is no terminal, or one that cannot move its cursor."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not (_is_terminal(stream) and console.is_interactive):
        return None
    with contextlib.suppress(AttributeError, ValueError):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    return LiveConsole(console, inbox, outbox, level=level)


def _view_of_kind(
    kind: ConsoleKind, level: Level, stream: TextIO, inbox: Path, outbox: Path, priorities: bool
) -> ConsoleView:
    if kind == "json":
        return JsonConsole(stream, level=level, priorities=priorities)
    live = None if kind == "plain" or priorities else open_live(stream, inbox, outbox, level)
    return live or PlainConsole(stream, level=level, priorities=priorities)


def _is_terminal(stream: TextIO) -> bool:
    """Ask the stream itself: rich takes a file for a terminal where ``FORCE_COLOR`` is set."""
    try:
        return stream.isatty()
    except ValueError:
        return False
