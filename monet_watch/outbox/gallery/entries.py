"""A finished painting as the gallery lists it: what its record says, in a line."""

import hashlib
import math
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Self

from monet_watch.outbox.gallery.names import link, link_part, path_of, shown
from monet_watch.outbox.record import PaintingRecord

__all__ = ["Entry", "mark_of"]

_HEX = re.compile(r"[0-9a-f]{16,64}")
_MARK_LENGTH = 32
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, in seconds since the epoch: no calendar shows what a stranger's file says beyond them."""


def mark_of(digest: str) -> str:
    """Return a name of files that belong to a SHA-256 ``digest``; whatever a record calls one names no other folder."""
    safe = digest if _HEX.fullmatch(digest) else hashlib.sha256(digest.encode("utf-8", "backslashreplace")).hexdigest()
    return safe[:_MARK_LENGTH]


@dataclass(frozen=True, slots=True)
class Entry:
    """One painting on the wall; everything is text to be shown, but for what is told here.

    ``folder`` is the address of the painting's folder and ``collection`` that of the folder it lies in, relative to the
    outbox and percent-encoded; ``within`` is the latter as text. ``file`` is the address of the painting in its folder.
    ``mark`` names its thumbnails, and each of ``style_marks`` that of a style. Sizes are in pixels, ``finished`` in
    seconds since the epoch, ``loss`` is the delivered one.
    """

    folder: str
    collection: str
    within: str
    file: str
    title: str
    photo: str
    mark: str
    width: int
    height: int
    finished: int
    styles: tuple[str, ...]
    style_marks: tuple[str, ...]
    recipe: str
    steps: int
    loss: float

    @classmethod
    def of(cls, folder: PurePosixPath, record: PaintingRecord, copied_at: float | None = None) -> Self:
        """Make the entry of the painting in ``folder``. A copy's record keeps the times of the painting it is of.

        Raises ValueError for a loss that is no number.
        """
        if not math.isfinite(record.delivered.total):
            raise ValueError("the loss of the picture is no number")
        finished = copied_at if copied_at is not None else datetime.fromisoformat(record.times.finished).timestamp()
        photo = record.photo.real_path()
        return cls(
            folder=link(folder),
            collection=link(folder.parent),
            within="" if folder.parent == PurePosixPath() else shown(folder.parent),
            file=link_part(record.painting),
            title=shown(photo.stem or folder.name),
            photo=shown(photo),
            mark=mark_of(record.identity),
            width=record.width,
            height=record.height,
            finished=int(max(_FIRST, min(finished, _LAST))),
            styles=tuple(shown(style.name) for style in record.styles),
            style_marks=tuple(mark_of(style.sha256) for style in record.styles),
            recipe=shown(record.recipe.recipe),
            steps=len(record.curve.total),
            loss=float(f"{record.delivered.total:.4g}"),
        )

    def plain(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Read what `plain` gave. Raises TypeError for anything else."""
        lists = {key: tuple(values.get(key, ())) for key in ("styles", "style_marks")}
        return cls(**{**values, **lists})

    @property
    def path(self) -> PurePosixPath:
        """The folder as the file system has it, relative to the outbox."""
        return path_of(self.folder)

    @property
    def file_name(self) -> str:
        """The painting's name as the file system has it."""
        return str(path_of(self.file))
