"""Text that fits: cut to a width in cells, whatever letters it is made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from monet_watch.printable import printable

__all__ = ["Block", "Page", "named", "packed", "shortened"]


Block = list[Text]
"""The lines of one job, which are shown together or not at all."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where something is shown: ``width`` in cells, ``height`` in lines (None: as many as are needed), and ``now``.

    ``has_colours`` says whether a pixel can be shown in a colour of its own.
    """

    width: int
    height: int | None
    now: float
    has_colours: bool = False


def packed(parts: Iterable[Text], separator: str, width: int) -> Block:
    """Join the parts, beginning another line where one does not fit."""
    lines: Block = []
    for part in parts:
        if lines and lines[-1].cell_len + len(separator) + part.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], separator, part)
        else:
            lines.append(part)
    return lines


def shortened(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells: its middle is left out, for both ends of a path tell something."""
    if cell_len(text) <= width:
        return text
    if width < 8:
        return set_cell_size(text, max(0, width))
    head = (width - 1) // 3
    tail = text
    while cell_len(tail) > width - 1 - head:
        tail = tail[1:]
    return f"{set_cell_size(text, head).rstrip()}…{tail}"


def named(path: object, width: int, indent: int = 2) -> Text:
    """Return ``path`` behind ``indent`` spaces, in at most ``width`` cells."""
    return Text(" " * indent + shortened(printable(str(path)), width - indent))
