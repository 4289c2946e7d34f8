"""The list of all paintings, in pieces: one that is added rewrites the last piece, and never the whole.

The list of the pieces names the contact sheets, too.

Each piece, and the list of the pieces, is a script that calls a function of the gallery's own script with JSON. A
browser runs scripts beside a page that it has opened from a folder, where it would read no other file.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from monet_watch.outbox.files import write_whole
from monet_watch.outbox.gallery.entries import Entry
from monet_watch.outbox.gallery.names import link, path_of

__all__ = ["PIECE_SIZE", "Catalogue", "script"]

PIECE_SIZE = 200
"""Paintings in one piece: about 80 KB."""

_LIST_NAME = "list.js"
_FORMAT = 1


def script(function: str, *arguments: object) -> bytes:
    """Return a script that calls ``function`` of the gallery's own script; in ASCII, whatever the names hold."""
    return f"monetWatch.{function}({', '.join(map(_json, arguments))});\n".encode("ascii")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _arguments(data: bytes, function: str) -> list[Any]:
    """Read what `script` wrote. Raises ValueError for anything else."""
    text = data.decode("ascii").strip()
    start = f"monetWatch.{function}("
    if not (text.startswith(start) and text.endswith(");")):
        raise ValueError(f"no call of {function}")
    arguments: list[Any] = json.loads(f"[{text[len(start) : -2]}]")
    return arguments


@dataclass(slots=True)
class _Piece:
    entries: dict[PurePosixPath, Entry] = field(default_factory=dict)
    version: str = ""

    def data(self, number: int) -> bytes:
        return script("piece", number, [entry.plain() for entry in self.entries.values()])


class Catalogue:
    """The paintings by their folders, in memory and in the files of ``folder``. Raises OutboxError where it writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: list[_Piece] = []
        self._places: dict[PurePosixPath, int] = {}
        self._sheets: dict[PurePosixPath, int] = {}
        self._stamp: object = None

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, folder: PurePosixPath) -> bool:
        return folder in self._places

    @property
    def entries(self) -> list[Entry]:
        """All paintings, in the order in which they were added."""
        return [entry for piece in self._pieces for entry in piece.entries.values()]

    def folders(self) -> set[PurePosixPath]:
        """The folders of all paintings, relative to the outbox."""
        return set(self._places)

    def entry(self, folder: PurePosixPath) -> Entry:
        """Return the painting of ``folder``. Raises KeyError where there is none."""
        return self._pieces[self._places[folder]].entries[folder]

    def piece_of(self, folder: PurePosixPath) -> int:
        """Return in which piece the painting of ``folder`` is."""
        return self._places[folder]

    def load(self) -> bool:
        """Read what the files hold, unless nobody else has changed them; False if there is nothing to be read."""
        stamp = self._look()
        if stamp is not None and stamp == self._stamp:
            return True
        self.clear()
        if stamp is None:
            return False
        try:
            self._read()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self.clear()
            return False
        self._stamp = stamp
        return True

    def _look(self) -> object:
        try:
            facts = (self._folder / _LIST_NAME).stat()
        except OSError:
            return None
        return (facts.st_ino, facts.st_size, facts.st_mtime_ns)

    def _read(self) -> None:
        listed = _arguments((self._folder / _LIST_NAME).read_bytes(), "list")[0]
        if listed["format"] != _FORMAT:
            raise ValueError("of another version")
        for number, (_, version) in enumerate(listed["pieces"]):
            found, plain = _arguments(self._path(number).read_bytes(), "piece")
            if found != number:
                raise ValueError("another piece")
            entries = map(Entry.read, plain)
            piece = _Piece({entry.path: entry for entry in entries}, version)
            self._pieces.append(piece)
            self._places.update(dict.fromkeys(piece.entries, number))
        self._sheets = {path_of(address): int(pages) for address, pages in listed.get("sheets", {}).items()}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add paintings, or replace those of the same folders; `save` writes them."""
        for entry in entries:
            folder = entry.path
            self.remove([folder])
            if not self._pieces or len(self._pieces[-1].entries) >= PIECE_SIZE:
                self._pieces.append(_Piece())
            self._pieces[-1].entries[folder] = entry
            self._pieces[-1].version = ""
            self._places[folder] = len(self._pieces) - 1

    def remove(self, folders: Iterable[PurePosixPath]) -> list[Entry]:
        """Take the paintings of ``folders`` out, and return them; `save` writes what is left."""
        removed = []
        for folder in folders:
            number = self._places.pop(folder, None)
            if number is not None:
                removed.append(self._pieces[number].entries.pop(folder))
                self._pieces[number].version = ""
        return removed

    def sheets(self) -> dict[PurePosixPath, int]:
        """Return how many pages the contact sheet of each folder has that has one, relative to the outbox."""
        return dict(self._sheets)

    def put_sheets(self, pages: Mapping[PurePosixPath, int]) -> None:
        """Say what `sheets` is to return; `save` writes it."""
        if pages != self._sheets:
            self._sheets, self._stamp = dict(pages), None  # the list is to be written

    def clear(self) -> None:
        """Forget everything."""
        self._pieces, self._places, self._sheets, self._stamp = [], {}, {}, None

    def save(self) -> None:
        """Write the pieces that have changed, then the list of them and of the contact sheets, if that has."""
        changed = [number for number, piece in enumerate(self._pieces) if not piece.version]
        for number in changed:
            data = self._pieces[number].data(number)
            write_whole(self._path(number), data)
            self._pieces[number].version = hashlib.sha256(data).hexdigest()[:12]
        if changed or self._stamp is None:
            self._write_list()

    def _write_list(self) -> None:
        pieces = [[len(piece.entries), piece.version] for piece in self._pieces]
        sheets = {link(place): count for place, count in self._sheets.items()}
        listed = {"format": _FORMAT, "pieces": pieces, "sheets": sheets}
        write_whole(self._folder / _LIST_NAME, script("list", listed))
        self._stamp = self._look()

    def _path(self, number: int) -> Path:
        return self._folder / f"piece-{number:05d}.js"
