"""The files of contact sheets: their names, what each says of itself, and how one goes or takes another's place."""

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import RECORD_NAME, remove_file, write_whole

__all__ = [
    "SHEET_NAME",
    "count_pages",
    "lonely_sheets",
    "remove_sheet",
    "sheet_comment",
    "sheet_digest",
    "sheet_name",
    "write_sheet",
]

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
    _remove(list(_pages(folder, len(pages) + 1)))


def remove_sheet(folder: Path) -> bool:
    """Remove the sheet in ``folder``; return whether there was one. Raises OutboxError where it cannot be removed."""
    pages = list(_pages(folder))
    _remove(pages)
    return bool(pages)


def lonely_sheets(root: Path) -> Iterator[PurePosixPath]:
    """Yield the folders below ``root``, relative to it, with a sheet and fewer than two folders of paintings."""
    for name, folders, files in os.walk(root):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        if SHEET_NAME in files and sheet_digest(Path(name, SHEET_NAME)):
            paintings = (folder for folder in folders if Path(name, folder, RECORD_NAME).is_file())
            if len(list(itertools.islice(paintings, 2))) < 2:
                yield PurePosixPath(Path(name).relative_to(root).as_posix())


def count_pages(folder: Path) -> int:
    """Return how many pages the sheet in ``folder`` has; 0 where there is none."""
    return sum(1 for _ in _pages(folder))


def _pages(folder: Path, first: int = 1) -> Iterator[Path]:
    """The pages that lie in ``folder``, from page ``first`` on, up to the first that is none of ours."""
    return itertools.takewhile(sheet_digest, (folder / sheet_name(number) for number in itertools.count(first)))


def _remove(pages: Sequence[Path]) -> None:
    """The last page goes first: what is left after a stop is found by its first page."""
    for path in reversed(pages):
        remove_file(path)
