"""The files of contact sheets: their names, what each says of itself, and how one takes another's place."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import write_whole

__all__ = ["SHEET_NAME", "sheet_comment", "sheet_digest", "sheet_name", "write_sheet"]

SHEET_NAME = "contact-sheet.jpg"
"""Of the first page."""

_COMMENT = "monet-watch contact sheet "
_DIGEST = re.compile(rf"{_COMMENT}([0-9a-f]{{64}})".encode())
_WITHIN_BYTES = 1 << 16  # of the file, in which the comment stands


def sheet_name(page: int) -> str:
    """Return the file name of a page, counted from 1: ``contact-sheet.jpg``, ``contact-sheet-2.jpg``."""
    return SHEET_NAME if page == 1 else f"contact-sheet-{page}.jpg"


def sheet_comment(digest: str) -> bytes:
    """Return what a page says of itself: that it is one, and the SHA-256 in hexadecimal of what the sheet shows."""
    return f"{_COMMENT}{digest}".encode("ascii")


def sheet_digest(path: Path) -> str:
    """Return the digest of the page in ``path``; empty where none of ours lies there."""
    try:
        with path.open("rb") as file:
            found = _DIGEST.search(file.read(_WITHIN_BYTES))
    except OSError:
        return ""
    return found[1].decode("ascii") if found else ""


def write_sheet(folder: Path, pages: Sequence[bytes]) -> None:
    """Write the ``pages`` of a sheet into ``folder``, and remove what is left of an earlier one that had more.

    The first page is written last: a sheet is there when that is. Raises OutboxError where a file of somebody else's
    has its name, or it cannot be written.
    """
    paths = [folder / sheet_name(number) for number in range(1, len(pages) + 1)]
    for path in paths:
        if os.path.lexists(path) and not sheet_digest(path):
            raise OutboxError(f"{path} is somebody else's.", "Move it away, or set contact_sheet: false in the config.")
    for path, data in reversed(list(zip(paths, pages, strict=True))):
        write_whole(path, data)
    number = len(pages) + 1
    while sheet_digest(path := folder / sheet_name(number)):
        path.unlink()
        number += 1
