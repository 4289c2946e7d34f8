"""Where a named style lies, and the careful reading of files that strangers may have put there.

Two kinds of people name styles. The owner of the machine writes the daemon's config and the command line, and may name
any file. Whoever shares the inbox writes ``style.yaml``, and reaches only what lies in the inbox and in the library:
not ``..``, not absolute paths, not symlinks that lead out. That is checked when a style is looked up, and once more
when it is read, on the opened file itself, so that nothing can be exchanged in between.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

from monet_watch.faults import nearest, settings_error, shown
from monet_watch.inbox.ignore import is_photo_name

__all__ = [
    "BUNDLED",
    "DEFAULT_STYLE",
    "STYLE_LIMIT_BYTES",
    "StyleLibrary",
    "StyleSource",
    "is_picture_name",
    "read_inside",
    "read_style",
    "readable",
]

BUNDLED = Path(__file__).parent
"""The folder of the pictures that come with the program."""

DEFAULT_STYLE = "water-garden"
"""The bundled picture that serves where no style is named anywhere."""

STYLE_LIMIT_BYTES = 64 * 1024 * 1024
"""A larger style picture is refused."""

_MOST_LISTED = 12  # names of the library in one message
_MOST_COMPARED = 100  # names of a folder that are searched for the one that was meant

# Windows knows few of these; there, looking before opening has to be enough.
_FILE_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd

_MISSING = "is not there"
_TROUBLE: Mapping[int | None, str] = {
    errno.ENOENT: f"{_MISSING}; check how it is written",
    errno.ENOTDIR: f"{_MISSING}; check how it is written",
    errno.EACCES: "may not be read; give whoever runs monet-watch the permission to read it",
    errno.EPERM: "may not be read; give whoever runs monet-watch the permission to read it",
    errno.ELOOP: "is a link that leads nowhere; replace it by the file itself",
    errno.ENXIO: "is not a regular file; replace it by one",
    errno.EISDIR: "is a folder; name a file",
}


@dataclass(frozen=True, slots=True)
class StyleSource:
    """A style picture: ``name`` for people, ``path``, and the folder ``root`` that it must lie in (None: anywhere)."""

    name: str
    path: Path
    root: Path | None = None


class StyleLibrary:
    """The user's library ``folders``, in their order, then the ``bundled`` pictures.

    A picture is called as its file without the suffix; upper and lower case are the same. Of two with one name the
    first counts. The folders are looked at anew by each call, so that a picture put there is there.
    """

    def __init__(self, folders: Iterable[Path] = (), bundled: Path = BUNDLED) -> None:
        # The program's own files may be links into a package cache; the user's folders may be shared.
        self._places: tuple[tuple[Path, Path | None], ...] = (
            *((folder, folder) for folder in folders),
            (bundled, None),
        )

    def names(self) -> tuple[str, ...]:
        """The names of all pictures, sorted."""
        return tuple(sorted(source.name for source in self._catalogue().values()))

    def find(self, name: str) -> StyleSource:
        """Return the picture called ``name``. Raises SettingsError, with the name that was probably meant."""
        source = self._catalogue().get(_folded(name))
        if source is None:
            raise settings_error([self._unknown(name)])
        return readable(source)

    def find_shared(self, value: str, folder: Path, root: Path) -> StyleSource:
        """Look up a ``style:`` given by a YAML file in ``folder`` of the shared tree ``root``.

        ``value`` is a name of the library, or the path of a picture below ``folder``, or below one of the library's
        folders. Backslashes, as Windows writes them, separate folders too. Raises SettingsError.
        """
        if not _is_path(value):
            return self.find(value)
        path = _below(value)
        lying = folder / path
        if os.path.lexists(lying):
            return readable(StyleSource(lying.relative_to(root).as_posix(), lying, root))
        found = self._lying_at(path)
        if found is None:
            inside = _real(lying.parent).is_relative_to(_real(root))
            raise settings_error([_missing(value, lying.parent if inside else None)])
        return readable(found)

    def find_trusted(self, value: str, base: Path) -> StyleSource:
        """Look up a style given by the owner of the machine: any path, relative to ``base``, or a name of the library.

        Raises SettingsError.
        """
        if not _is_path(value) and (named := self._catalogue().get(_folded(value))):
            return readable(named)
        lying = base / _expanded(value)
        if os.path.lexists(lying):
            return readable(StyleSource(lying.name, lying))
        if not _is_path(value):
            raise settings_error([self._unknown(value)])
        found = self._lying_at(PurePosixPath(value)) if value == lying.name else None
        if found is None:
            raise settings_error([_missing(value, lying.parent)])
        return readable(found)

    def _catalogue(self) -> dict[str, StyleSource]:
        sources: dict[str, StyleSource] = {}
        for folder, root in self._places:
            for name in _pictures(folder):
                stem = PurePosixPath(name).stem
                sources.setdefault(_folded(stem), StyleSource(stem, folder / name, root))
        return sources

    def _lying_at(self, path: PurePosixPath) -> StyleSource | None:
        """The picture at ``path`` in the first folder of the library that has one."""
        for folder, root in self._places:
            if os.path.lexists(folder / path):
                return StyleSource(path.as_posix(), folder / path, root)
        return None

    def _unknown(self, name: str) -> str:
        names = self.names()
        near = nearest(name, names)
        meant = f"did you mean {near!r}?" if near is not None else "choose one of these"
        rest = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
        listed = f"it holds {', '.join(names[:_MOST_LISTED])}{rest}); {meant}" if names else "it is empty)"
        return f"there is no style {shown(name)} in the library ({listed}"


def read_inside(path: Path, root: Path | None, limit_bytes: int, name: str = "") -> bytes:
    """Return the content of the regular file ``path``, which must lie in ``root`` after all links (None: anywhere).

    ``name`` is what messages call it. Never blocks on a FIFO. Raises SettingsError if the file is missing, not a
    regular file, outside ``root``, not readable, or has more than ``limit_bytes`` bytes.
    """
    try:
        with os.fdopen(_open_regular(path, root), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit_bytes + 1) if size <= limit_bytes else b""
        if max(size, len(data)) > limit_bytes:
            raise _RefusedError(f"has {max(size, len(data))} bytes, more than {limit_bytes}; is it the right file?")
    except _RefusedError as error:
        raise settings_error([f"{name or path}: it {error}"]) from error
    except OSError as error:
        raise settings_error([f"{name or path}: it {_words(error)}"]) from error
    return data


def readable(source: StyleSource) -> StyleSource:
    """Return the same source, if its file lies where it must and can be opened. Raises SettingsError."""
    try:
        os.close(_open_regular(source.path, source.root))
    except _RefusedError as error:
        raise settings_error([f"{shown(source.name)} {error}"]) from error
    except OSError as error:
        raise settings_error([f"{shown(source.name)} {_words(error)}"]) from error
    return source


def read_style(source: StyleSource) -> bytes:
    """Read a style picture, at most `STYLE_LIMIT_BYTES`. Raises SettingsError, also if it is empty."""
    data = read_inside(source.path, source.root, STYLE_LIMIT_BYTES, source.name)
    if not data:
        raise settings_error([f"{source.name}: it is empty; copy the picture once more if nobody is doing so"])
    return data


def is_picture_name(name: str) -> bool:
    """Whether a file of this name may be a picture: whatever may be a photo may be a style."""
    return is_photo_name(name)


class _RefusedError(Exception):
    """A file that is not to be read; the text continues a sentence that begins with its name."""


def _open_regular(path: Path, root: Path | None) -> int:
    """A descriptor of the regular file ``path``. Raises _RefusedError or OSError."""
    try:
        real = _real(path)
        descriptor = os.open(real, _FILE_FLAGS) if root is None else _open_inside(real, _real(root))
    except ValueError as error:  # a NUL, which no file system knows
        raise _RefusedError("cannot be the name of a file") from error
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise _RefusedError(_TROUBLE[errno.EISDIR if stat.S_ISDIR(kind) else errno.ENXIO])
    return descriptor


def _open_inside(real: Path, root: Path) -> int:
    if not real.is_relative_to(root):
        raise _RefusedError("leads out of the folder it must lie in; copy the file itself to this place")
    parts = real.relative_to(root).parts
    if not (_HAS_DIR_FD and parts):
        return os.open(real, _FILE_FLAGS)
    return _open_stepwise(root, parts)


def _open_stepwise(root: Path, parts: tuple[str, ...]) -> int:
    """Open folder by folder without following links, so that none put there meanwhile can lead out of ``root``."""
    folder = os.open(root, _FOLDER_FLAGS)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _FILE_FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _words(error: OSError) -> str:
    return _TROUBLE.get(error.errno, f"cannot be read ({error.strerror or error})")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_path(value: str) -> bool:
    """Whether a style is named by a path: it has folders in it, or ends as pictures do."""
    return "/" in value or "\\" in value or value.startswith(("~", ".")) or is_picture_name(value)


def _below(value: str) -> PurePosixPath:
    """The path that a shared folder's YAML names. Raises SettingsError if it tries to leave that folder."""
    path = PurePosixPath(value.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(value).drive or value.startswith("~"):
        raise settings_error([f"{shown(value)} begins outside this folder; copy the picture here and write its name"])
    if ".." in path.parts:
        raise settings_error([f"{shown(value)} leads upwards (..); copy the picture here and write its name"])
    if not is_picture_name(path.name):
        raise settings_error([f"{shown(value)} does not end as pictures do; name one such as monet.jpg or monet.png"])
    return path


def _expanded(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise settings_error([f"the home folder in {shown(value)} is not known; write the path in full"]) from error


def _missing(value: str, folder: Path | None) -> str:
    """The words for a picture that is not there; ``folder`` is searched for the one that was meant."""
    near = nearest(PureWindowsPath(value).name, islice(_pictures(folder), _MOST_COMPARED)) if folder else None
    return f"{shown(value)} {_MISSING}; {f'did you mean {near!r}?' if near else 'check how it is written'}"


def _pictures(folder: Path) -> Iterator[str]:
    """The names of the pictures that lie in ``folder``, sorted; those that cannot be written in YAML are left out."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return
    yield from (name for name in names if is_picture_name(name) and not name.startswith(".") and name.isprintable())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()
