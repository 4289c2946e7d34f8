"""What in the inbox is a photo, what is settings, and what is left alone.

Only names are looked at, so that the same answer holds for a file that is there, one that is gone, and one that is
still being written. A text file named ``x.jpg`` therefore counts as a photo (and is told of as a broken one), while
``notes.txt`` is left alone.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from pathlib import PurePosixPath

__all__ = ["PHOTO_SUFFIXES", "IgnoreList", "Kind", "Sieve", "is_photo_name"]

# What Pillow (with HEIC and AVIF) opens and people call a photo or a picture. Icons, documents, films, vector drawings
# and scientific data are left out although Pillow opens some of them: nobody drops them to have them painted.
PHOTO_SUFFIXES: frozenset[str] = frozenset({
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "tif", "tiff", "bmp", "dib", "gif",
    "heic", "heics", "heif", "heifs", "hif", "avif", "avifs",
    "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "ppm", "pgm", "pbm", "pnm", "tga", "qoi", "pcx",
})  # fmt: skip

_HIDDEN = (".*",)  # ._*, .DS_Store, vim swap, .syncthing.*, .stfolder, .nfs*, .smbdelete*, rsync's .IMG.jpg.AbC123
_LEFTOVERS = ("Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "Network Trash Folder", "Temporary Items")
_UNFINISHED = ("*.part", "*.crdownload", "*.tmp", "*.temp", "*.partial", "*.filepart", "*.download", "*.opdownload")
_EDITORS = ("~*", "*~", "*.sw[op]", "*.sb-????????-??????")
_SYSTEM_FOLDERS = (
    *("@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot"),
    *("$RECYCLE.BIN", "RECYCLER", "System Volume Information", "lost+found"),
)
_BUILT_IN = _HIDDEN + _LEFTOVERS + _UNFINISHED + _EDITORS + _SYSTEM_FOLDERS
_NEXTCLOUD_TRANSFER = r"(?s:.*)\.~[0-9a-f]+\Z"  # IMG.jpg.~1a2b: no glob says "hexadecimal digits to the end"

_FOLDERS_REMEMBERED = 4096


class Kind(StrEnum):
    """What a file in the inbox is to the daemon."""

    PHOTO = "photo"
    SETTINGS = "settings"
    NOTHING = "nothing"


def is_photo_name(name: str) -> bool:
    """Whether a file of this name (without folders) counts as a photo: it has one of `PHOTO_SUFFIXES`."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix.lower() in PHOTO_SUFFIXES


class IgnoreList:
    """What is left alone: the built-in names, and the user's own ``globs``.

    A glob without a slash fits a name at any depth, a folder's too; one with a slash in front of or between its parts
    fits the path from the inbox root. ``**`` stands for any number of folders, none included. Upper and lower case
    are the same. Whatever lies in an ignored folder is ignored.
    """

    def __init__(self, globs: Iterable[str] = ()) -> None:
        globs = [stripped for glob in globs if (stripped := glob.strip().rstrip("/"))]
        names = [glob for glob in globs if "/" not in glob]
        self._name = _any_of([*map(translate, [*_BUILT_IN, *names]), _NEXTCLOUD_TRANSFER])
        self._paths = [[_part(part) for part in glob.strip("/").split("/")] for glob in globs if "/" in glob]
        self._ignores_folder = lru_cache(_FOLDERS_REMEMBERED)(self.ignores_itself)

    def ignores(self, path: PurePosixPath) -> bool:
        """Whether ``path``, relative to the inbox root, is left alone, or any folder above it is."""
        # Not by recursion: folders may be nested deeper than Python's stack.
        return self.ignores_itself(path) or any(map(self._ignores_folder, path.parents))

    def ignores_itself(self, path: PurePosixPath) -> bool:
        """Whether ``path`` is left alone, whatever becomes of the folders above it."""
        return bool(path.parts) and self.ignores_in(path.parent, path.name)

    def ignores_in(self, folder: PurePosixPath, name: str) -> bool:
        """What `ignores_itself` says of ``name`` in ``folder``; no path is made of the two where none is needed."""
        if self._name.match(name) is not None:
            return True
        return bool(self._paths) and any(_fits((*folder.parts, name), glob) for glob in self._paths)


class Sieve:
    """Sorts paths by their names. ``is_settings_name`` says which file names hold settings or a style picture."""

    def __init__(self, ignore: IgnoreList, is_settings_name: Callable[[str], bool]) -> None:
        self._ignore = ignore
        self._is_settings_name = is_settings_name

    def kind(self, path: PurePosixPath) -> Kind:
        """What the file at ``path``, relative to the inbox root, is. A style picture is settings, not a photo."""
        kind = self._kind_of_name(path.name)
        return Kind.NOTHING if kind is not Kind.NOTHING and self._ignore.ignores(path) else kind

    def kind_inside(self, folder: PurePosixPath, name: str) -> Kind:
        """What `kind` says of the file ``name`` in a ``folder`` of which it is known that the walk `enters` it."""
        kind = self._kind_of_name(name)
        return Kind.NOTHING if kind is not Kind.NOTHING and self._ignore.ignores_in(folder, name) else kind

    def enters(self, folder: PurePosixPath) -> bool:
        """Whether anything below ``folder``, relative to the inbox root, can be of interest."""
        return not self._ignore.ignores(folder)

    def _kind_of_name(self, name: str) -> Kind:
        if self._is_settings_name(name):
            return Kind.SETTINGS
        return Kind.PHOTO if is_photo_name(name) else Kind.NOTHING


def _any_of(expressions: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(expressions), re.IGNORECASE)


def _part(glob: str) -> re.Pattern[str] | None:
    """One part of a path's glob; None stands for ``**``."""
    return None if glob == "**" else _any_of([translate(glob)])


def _fits(parts: Sequence[str], globs: Sequence[re.Pattern[str] | None]) -> bool:
    if not globs:
        return not parts
    first, rest = globs[0], globs[1:]
    if first is None:
        return any(_fits(parts[skipped:], rest) for skipped in range(len(parts) + 1))
    return bool(parts) and first.match(parts[0]) is not None and _fits(parts[1:], rest)
