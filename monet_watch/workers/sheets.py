"""Contact sheets, made in a process of their own: it opens pictures of the outbox, which are anybody's.

A codec that crashes, or a picture that takes too long, costs that process and the sheet, and nothing else.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from monet_watch.errors import MonetWatchError, OutboxError
from monet_watch.outbox.files import PHOTO_NAME, RECORD_NAME
from monet_watch.outbox.record import PaintingRecord
from monet_watch.outbox.sheet_files import write_sheet
from monet_watch.service import leave_no_core, step_back
from monet_watch.workers.process import SPAWN, set_up_process, start_process

if TYPE_CHECKING:
    from PIL import Image

    from monet_watch.outbox.contact_sheet import Head

__all__ = ["SheetMaker", "SheetOrder", "make_sheet"]

_LONGEST_SECONDS = 900.0
_DAY = "%-d %B %Y" if os.name == "posix" else "%d %B %Y"


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """A sheet to be made in ``folder`` of the outbox at ``root``.

    ``paintings`` holds the folder of each painting, relative to the outbox, with its photo's name, in their order;
    ``left_out`` counts those for which there is no room, and ``problems`` the photos that could not be painted.
    ``digest`` is the SHA-256 of all that. Pictures of more than ``limit_pixels`` are not opened.
    ``nice`` (0 to 19) is how far it steps back for others.
    """

    root: Path
    folder: PurePosixPath
    title: str
    paintings: tuple[tuple[PurePosixPath, str], ...]
    left_out: int
    problems: int
    digest: str
    limit_pixels: int
    nice: int = 0


class SheetMaker:
    """Makes sheets, each in a process; `end` may be called from another thread."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._ended = False

    def make(self, order: SheetOrder) -> None:
        """Make a sheet, and return when it is there, or after `end`.

        Raises OutboxError where it cannot be made, and WorkerError where no process can be started.
        """
        ours, theirs = SPAWN.Pipe(duplex=False)
        with ours:
            with theirs:
                self._process = start_process(_serve, (theirs, order), "monet-watch contact sheet")
            if self._ended:
                self._process.kill()
            trouble = _answer(ours)
        if trouble is None:
            self._process.kill()
        self._process.join()
        if trouble is None and not self._ended:
            raise OutboxError("The process that draws it was ended, or took too long.")
        if trouble:
            raise OutboxError(trouble)

    def end(self) -> None:
        """Give up the sheet that is being made."""
        self._ended = True
        if self._process is not None:
            self._process.kill()


def _answer(ours: Connection) -> str | None:
    """What is wrong with a sheet that was made; None where nobody says anything."""
    try:
        return str(ours.recv()) if ours.poll(_LONGEST_SECONDS) else None
    except (EOFError, OSError):
        return None


# --- In the child


def _serve(connection: Connection, order: SheetOrder) -> None:
    set_up_process()
    step_back(order.nice)
    leave_no_core()
    try:
        make_sheet(order)
    except (MonetWatchError, OSError, MemoryError) as error:
        connection.send(str(error) or type(error).__name__)
    else:
        connection.send("")


def make_sheet(order: SheetOrder) -> None:
    """Make a sheet here. Raises OutboxError."""
    from monet_watch.outbox.contact_sheet import Pair, draw_sheet

    warnings.simplefilter("ignore")  # fonts lack characters, and damaged pictures are left out
    folder = order.root / order.folder
    records = [(order.root / path, name, _record(order.root / path)) for path, name in order.paintings]
    found = [(path, name, record) for path, name, record in records if record is not None]
    styles = {_styles(record) for _, _, record in found}
    pairs = [
        Pair(
            caption=name,
            note=_styles(record) if len(styles) > 1 else "",
            width=record.width,
            height=record.height,
            photo=partial(_opened, path / PHOTO_NAME, "WEBP", order.limit_pixels),
            painting=partial(_opened, path / Path(record.painting).name, "PNG", order.limit_pixels),
        )
        for path, name, record in found
    ]
    if not pairs:
        raise OutboxError(f"There is no painting in {folder} any more.")
    head = _head(order, [record for _, _, record in found])
    write_sheet(folder, list(draw_sheet(head, pairs, order.digest)))


def _record(folder: Path) -> PaintingRecord | None:
    try:
        return PaintingRecord.from_bytes((folder / RECORD_NAME).read_bytes())
    except (OSError, OutboxError):
        return None


def _styles(record: PaintingRecord) -> str:
    return ", ".join(style.name for style in record.styles)


def _head(order: SheetOrder, records: Sequence[PaintingRecord]) -> "Head":
    from monet_watch.outbox.contact_sheet import Head

    count = len(records)
    words = [f"{count} painting{'s' * (count != 1)}"]
    if order.left_out:
        words = [f"the latest {count} of {count + order.left_out:,} paintings"]
    styles = {_styles(record) for record in records}
    words += [next(iter(styles))] if len(styles) == 1 else []
    words.append(_days([datetime.fromisoformat(record.times.finished).astimezone() for record in records]))
    if order.problems:
        words.append(f"{order.problems} photo{'s' * (order.problems != 1)} could not be painted")
    return Head(order.title, "  ·  ".join(words))


def _days(times: Sequence[datetime]) -> str:
    first, last = (f"{time:{_DAY}}" for time in (min(times), max(times)))
    return first if first == last else f"{first} to {last}"


def _opened(path: Path, kind: str, limit_pixels: int) -> "Image.Image | None":
    """The picture in ``path``, on white where it is transparent; None where it cannot be opened."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the limit is the config's
    try:
        with Image.open(path, formats=(kind,)) as opened:
            if opened.width * opened.height > limit_pixels:
                return None
            picture = opened.convert("RGBA") if opened.has_transparency_data else opened.convert("RGB")
    except Exception:  # whatever a damaged file makes a codec raise
        return None
    if picture.mode == "RGB":
        return picture
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
