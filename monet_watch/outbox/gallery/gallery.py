"""The gallery's files in the outbox: pages, the list of paintings, thumbnails, and what goes on at the moment.

One thread, or one process, at a time; `monet_watch.outbox.gallery.curator` sees to that.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import PHOTO_NAME, RECORD_NAME, TIMELAPSE_NAMES, Outbox, make_folders, write_whole
from monet_watch.outbox.gallery.catalogue import Catalogue, script
from monet_watch.outbox.gallery.entries import Entry, mark_of
from monet_watch.outbox.gallery.moment import Moment, Sitting
from monet_watch.outbox.gallery.names import link, shown
from monet_watch.outbox.gallery.pages import (
    ASSETS,
    MADE_BY,
    Place,
    Stage,
    asset,
    index_page,
    painting_page,
    root_of,
    version,
)
from monet_watch.outbox.record import PaintingRecord
from monet_watch.outbox.sheet_files import SHEET_NAME, count_pages

__all__ = ["GALLERY_NAME", "PAGE_NAME", "Gallery", "Thumbnail", "thumbnail_path"]

GALLERY_NAME = ".gallery"
"""The folder in the outbox of what all pages share. The inbox's hidden folders are left alone: no photo gets there."""

PAGE_NAME = "index.html"
"""Of the gallery in the outbox, and of each painting in its folder."""

_PLOT_NAME = "loss.png"
_VERSION_NAME = "version.txt"
_STEP = re.compile(r"progress_(\d+)\.png")
_HEAD_BYTES = 1000  # of a page, in which it says who wrote it
_SOME = 50  # paintings, after which what was found is written


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture, as a WebP file: of a painting (``identity``), or of a style (its SHA-256) where it is one.

    ``name`` is ``painting``, ``photo``, ``style`` or the number of a step.
    """

    identity: str
    name: str
    data: bytes = field(repr=False)


def thumbnail_path(identity: str, name: str) -> str:
    """Return where a `Thumbnail` lies, relative to the outbox."""
    mark = mark_of(identity)
    if name == "style":
        return f"{GALLERY_NAME}/styles/{mark}.webp"
    return f"{GALLERY_NAME}/thumbnails/{mark[:2]}/{mark}/{name}.webp"


class Gallery:
    """The gallery of the outbox at ``root``. What cannot be written raises OutboxError, or OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._outbox = Outbox(root)
        self._folder = root / GALLERY_NAME
        self._catalogue = Catalogue(self._folder / "data")
        self._shown: bytes = b""

    def open(self) -> None:
        """Make what is missing: the folder, the pages that are always there, and all of it after an update."""
        make_folders(self._folder / "data", self._root)
        known = self._catalogue.load()
        if self._is_furnished():
            if not known:
                self.sweep()
            return
        for name in ASSETS:
            write_whole(self._folder / name, asset(name))
        self._write_page(self._root / PAGE_NAME, index_page(self._root.name))
        self.sweep(everything=True)
        write_whole(self._folder / _VERSION_NAME, version().encode())

    def _is_furnished(self) -> bool:
        try:
            noted = (self._folder / _VERSION_NAME).read_bytes()
        except OSError:
            return False
        return noted == version().encode() and (self._root / PAGE_NAME).is_file()

    def rebuild(self) -> int:
        """Make all pages and the list anew from the paintings' records; return how many paintings there are."""
        (self._folder / _VERSION_NAME).unlink(missing_ok=True)
        self._catalogue.clear()
        self.open()
        return len(self._catalogue)

    # Paintings.

    def add(self, folders: Iterable[PurePosixPath]) -> None:
        """Paintings are finished: write their pages, and put them on the list. What is none is left out."""
        found = [pair for folder in folders if (pair := self._read(folder)) is not None]
        self._catalogue.add(entry for entry, _ in found)
        for entry, record in found:
            self._write_page_of(entry, record)
        self._catalogue.save()

    def sweep(self, everything: bool = False) -> None:
        """Look through the outbox: add what is not on the list, take out what is gone.

        ``everything``: write the pages of those as well that are on the list.
        """
        lost: list[OSError] = []
        present: dict[PurePosixPath, bool] = {}  # whether the painting that is on the list lies there still
        sheets: list[PurePosixPath] = []
        for folder, names in self._folders(lost.append):
            if RECORD_NAME in names:
                present[folder] = folder not in self._catalogue or self._catalogue.entry(folder).file_name in names
            if SHEET_NAME in names:
                sheets.append(folder)
        self._catalogue.put_sheets(self._sheets(sheets))
        self._take_out(folder for folder in self._catalogue.folders() if self._is_gone(folder, present, lost))
        wanted = [folder for folder in present if everything or folder not in self._catalogue]
        found = sorted(filter(None, map(self._read, wanted)), key=lambda pair: pair[0].finished)
        self._catalogue.add(entry for entry, _ in found)
        for number, (entry, record) in enumerate(found, start=1):
            self._write_page_of(entry, record)
            if number % _SOME == 0:
                self._catalogue.save()
        self._catalogue.save()

    def _folders(self, on_error: Callable[[OSError], None]) -> Iterator[tuple[PurePosixPath, Collection[str]]]:
        """Every folder with a painting or a contact sheet, relative to the outbox, and the names of its files."""
        for folder, subfolders, names in os.walk(self._root, onerror=on_error):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            if RECORD_NAME in names or SHEET_NAME in names:
                yield PurePosixPath(Path(folder).relative_to(self._root).as_posix()), names

    def _sheets(self, folders: Iterable[PurePosixPath]) -> dict[PurePosixPath, int]:
        """How many pages the contact sheets in ``folders`` have, as far as there are any of ours."""
        pages = {folder: count_pages(self._root / folder) for folder in folders}
        return {folder: count for folder, count in pages.items() if count}

    def look_at_sheets(self, folders: Iterable[PurePosixPath]) -> None:
        """The contact sheets in ``folders`` have been made, or have gone."""
        folders = frozenset(folders)
        others = {folder: pages for folder, pages in self._catalogue.sheets().items() if folder not in folders}
        self._catalogue.put_sheets(others | self._sheets(folders))
        self._catalogue.save()

    def _is_gone(self, folder: PurePosixPath, present: Mapping[PurePosixPath, bool], lost: Sequence[OSError]) -> bool:
        """Whether somebody has removed the painting; of a folder that cannot be read nothing is known."""
        if folder in present:
            return not present[folder]
        path = self._root / folder
        return not any(path.is_relative_to(os.fsdecode(error.filename)) for error in lost if error.filename)

    def _take_out(self, folders: Iterable[PurePosixPath]) -> None:
        removed = self._catalogue.remove(list(folders))
        if not removed:
            return
        self._catalogue.save()
        left = {entry.mark for entry in self._catalogue.entries}
        for mark in {entry.mark for entry in removed} - left:
            shutil.rmtree(self._folder / "thumbnails" / mark[:2] / mark, ignore_errors=True)
        for entry in removed:  # its page alone is not worth a folder
            self._remove_page(entry.path)

    def _remove_page(self, folder: PurePosixPath) -> None:
        page = self._root / folder / PAGE_NAME
        with contextlib.suppress(OSError):
            if page.is_file() and _is_ours(page) and not (page.parent / RECORD_NAME).exists():
                page.unlink()
                page.parent.rmdir()  # only if nothing else is in it

    def _read(self, folder: PurePosixPath) -> tuple[Entry, PaintingRecord] | None:
        """The painting in ``folder``; None where there is none, or its record is damaged."""
        try:
            record = PaintingRecord.from_bytes(self._outbox.read(folder, RECORD_NAME))
            facts = (self._root / folder / RECORD_NAME).stat()
            entry = Entry.of(folder, record, facts.st_mtime if record.copied_from else None)
            there = (self._root / folder / entry.file_name).is_file()
        except (OutboxError, OSError, ValueError):
            return None
        return (entry, record) if there else None

    def _write_page_of(self, entry: Entry, record: PaintingRecord) -> None:
        folder = entry.path
        place = self._place(folder, record)
        with contextlib.suppress(FileNotFoundError):  # removed since it was read
            self._write_page(self._root / folder / PAGE_NAME, painting_page(entry, record, place))

    def _write_page(self, path: Path, data: bytes) -> None:
        if not path.parent.is_dir():
            return
        if os.path.lexists(path) and not (path.is_file() and _is_ours(path)):
            raise OutboxError(f"{path} is somebody else's.", "Move it away, or set gallery: false in the config.")
        write_whole(path, data)

    def _place(self, folder: PurePosixPath, record: PaintingRecord) -> Place:
        names = set(os.listdir(self._root / folder))  # noqa: PTH208 (only the names)
        root = root_of(folder)
        return Place(
            root=root,
            piece=self._catalogue.piece_of(folder),
            stages=tuple(self._stages(root, record, names)),
            photo=PHOTO_NAME if PHOTO_NAME in names else "",
            plot=_PLOT_NAME if _PLOT_NAME in names else "",
            timelapse=next((name for name in TIMELAPSE_NAMES if name == record.timelapse and name in names), ""),
            styles=tuple(self._styles(root, record)),
        )

    def _styles(self, root: str, record: PaintingRecord) -> Iterator[tuple[str, str]]:
        for style in record.styles:
            small = thumbnail_path(style.sha256, "style")
            if (self._root / small).is_file():
                yield root + small, shown(style.name)

    def _stages(self, root: str, record: PaintingRecord, names: Collection[str]) -> Iterator[Stage]:
        for name in record.stages:
            found = _STEP.fullmatch(name)
            if found is None or name not in names:
                continue
            small = thumbnail_path(record.identity, found[1])
            yield Stage(int(found[1]), link(name), root + small if (self._root / small).is_file() else link(name))

    # What goes on.

    def keep(self, thumbnail: Thumbnail) -> None:
        """Keep a thumbnail."""
        path = self._root / thumbnail_path(thumbnail.identity, thumbnail.name)
        if thumbnail.name == "style" and path.is_file():
            return
        make_folders(path.parent, self._root)
        write_whole(path, thumbnail.data)

    def show(self, moment: Moment) -> None:
        """Show what goes on."""
        pictures = {sitting.identity: self._pictures(sitting) for sitting in moment.running}
        data = script("moment", moment.plain(pictures))
        if data != self._shown:
            write_whole(self._folder / "data" / "moment.js", data)
            self._shown = data

    def _pictures(self, sitting: Sitting) -> dict[str, str]:
        """The addresses of the latest stage of what is being painted, and of its thumbnail, as far as there are any."""
        stages = [] if sitting.folder is None else self._outbox.stages(sitting.folder)
        number = next((found[1] for name in stages[-1:] if (found := _STEP.fullmatch(name))), "")
        pictures = {"latest": link(f"{sitting.folder}/{stages[-1]}")} if number else {}
        for name in filter(None, (number, "photo")):
            small = thumbnail_path(sitting.identity, name)
            if (self._root / small).is_file():
                return pictures | {"small": small}
        return pictures | ({"small": pictures["latest"]} if pictures else {})


def _is_ours(page: Path) -> bool:
    with page.open("rb") as file:
        return MADE_BY in file.read(_HEAD_BYTES)
