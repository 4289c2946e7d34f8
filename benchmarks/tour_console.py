"""The pictures of the console in the README's tour: a real run in a real terminal (tmux), as it stands there.

    python -m benchmarks.tour_console [--size 96] [--output docs]

What tmux holds of the screen, with its colours, is set by rich as an SVG, which asks nobody for a font.
"""

import argparse
import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from benchmarks.tour import furnish
from monet_watch.outbox.files import RECORD_NAME
from tests.end_to_end.house import PROGRAM, wait_until
from tests.terminal import Tmux

__all__ = ["SCREENS", "main"]

SCREENS = ((160, 40), (80, 30))
"""Columns and lines of the terminals."""

_PAINTED = 2  # of the photos, before the pictures are taken
_LIMIT_SECONDS = 4 * 3600.0
_COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
_FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


@contextlib.contextmanager
def console(work: Path) -> Iterator[Tmux]:
    """A terminal in which the program paints what lies in ``work``, until the context ends."""
    command = [str(PROGRAM), "run", "--config", "config.yaml"]
    terminal = Tmux(160, 40, ["sh", "-c", f"cd {shlex.quote(str(work))} && exec {shlex.join(command)}"], _COLOURS, work)
    try:
        yield terminal
    finally:
        terminal.close()


def is_ready(terminal: Tmux, work: Path) -> bool:
    """Whether some are painted, and another is well under way."""
    painted = len(list((work / "outbox").rglob(RECORD_NAME)))
    screen = "\n".join(terminal.screen())
    return painted >= _PAINTED and "▀▀▀" in screen and "done at" in screen and "█" in screen


def _is_drawn(screen: list[str], columns: int) -> bool:
    """Whether the view stands there as a terminal so wide has it, and not as a resize has broken it."""
    pictured = [line for line in screen if "▀▀▀" in line]
    beside = "\n".join(pictured)
    is_whole = any(line.startswith("monet-watch  ") for line in screen) and max(map(len, screen)) <= columns
    return is_whole and "done at" in beside and "▁▁" in beside and "─" in beside


def as_svg(ansi: str, columns: int) -> str:
    """Return a screen, with its colours, as a picture of a terminal so many columns wide."""
    page = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in ansi.rstrip("\n").split("\n"):
        page.print(Text.from_ansi(line), no_wrap=True, overflow="crop", crop=False)
    svg = page.export_svg(title="monet-watch run")
    return _FETCHED_FONT.sub("", svg).replace("Fira Code", "DejaVu Sans Mono")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="short side of the paintings, in pixels")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="where the pictures go")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="share-") as folder:
        work = Path(folder) / "paintings"
        furnish(work, options.size)
        with console(work) as terminal:
            wait_until(lambda: is_ready(terminal, work), "a painting is well under way", _LIMIT_SECONDS)
            for columns, lines in SCREENS:
                terminal.run("resize-window", "-x", columns, "-y", lines)
                terminal.wait_for(lambda screen, columns=columns: _is_drawn(screen, columns))
                svg = as_svg(terminal.run("capture-pane", "-p", "-e"), columns)
                (options.output / f"tour-console-{columns}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
