"""What lies in the inbox: full scans, single looks, careful reading, and a thread that does them off the loop.

The inbox belongs to strangers. The rules, the same for all of them:

- Folders are entered only if they are real folders: a symlink to one is never followed. They are opened one inside the
  other, so that no folder swapped for a symlink leads out of the inbox between the look and the opening.
- A file is a regular file, or a symlink that leads to one inside the inbox. Nothing else is ever opened: a FIFO would
  hold the reader for ever, and a device may do anything.
- Entries vanish and change while they are looked at; that is no error.
- An inbox that is not there is not an empty inbox: `InboxGoneError` says so, and nothing counts as deleted.

Names that are not UTF-8 travel as Python's surrogate escapes and come back as the same bytes.
"""

import errno
import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, zip_longest
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple

from monet_watch.errands import Errands
from monet_watch.errors import MonetWatchError, PhotoError, PhotoTooLargeError
from monet_watch.inbox.ignore import Kind, Sieve
from monet_watch.inbox.settle import FileFacts

__all__ = [
    "SMALL_BYTES",
    "ChangedWhileReadError",
    "Found",
    "HashFailed",
    "Hashed",
    "HashedFile",
    "InboxGone",
    "InboxGoneError",
    "PhotoGoneError",
    "Scanned",
    "SurveyMessage",
    "Surveyor",
    "Unreadable",
    "UnreadablePhotoError",
    "folder_name",
    "inbox_identity",
    "look",
    "look_at_all",
    "read_photo",
    "remove_photo",
    "survey",
]

SMALL_BYTES = 1 << 20
"""A file of no more is read in one go."""

_ROOT = PurePosixPath()
_FEW = 20  # photos of a folder whose hashes are asked for together; of many, so many are hashed without a pause

# Windows knows none of these flags, nor opening relative to a folder; there, looking before opening has to be enough.
_FOLDER_FLAGS: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NOT_FOLLOWING: Final = getattr(os, "O_NOFOLLOW", 0)
_FILE_FLAGS: Final = (
    os.O_RDONLY
    | _NOT_FOLLOWING
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_HAS_DIR_FD = os.open in os.supports_dir_fd
_JUNCTION: Final = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)
_IS_A_LINK: Final = (errno.ELOOP, errno.EMLINK)  # what systems say of a symlink that must not be followed


class InboxGoneError(MonetWatchError):
    """The inbox itself is not there, is no folder, or may not be read. What was in it is *not* thereby deleted."""


class UnreadablePhotoError(PhotoError):
    """The file cannot be read: no permission, no regular file, a link out of the inbox, a disk that fails."""


class PhotoGoneError(UnreadablePhotoError):
    """The file is not there."""


class ChangedWhileReadError(UnreadablePhotoError):
    """The file changed while it was read: what was read is worth nothing, and the file is not whole yet."""


class Found(NamedTuple):
    """A file that matters: ``raw`` is its path, relative to the inbox, as bytes; ``kind`` is PHOTO or SETTINGS."""

    raw: bytes
    facts: FileFacts
    kind: Kind

    @property
    def path(self) -> PurePosixPath:
        """Its path, made each time it is asked for: of most files of a scan nobody asks."""
        return PurePosixPath(os.fsdecode(self.raw))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that could not be looked at; ``reason`` is in plain words."""

    path: PurePosixPath
    reason: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """Everything that lies below the folder ``sub`` (``PurePosixPath()`` is the inbox itself), by the paths' bytes."""

    sub: PurePosixPath
    found: tuple[Found, ...] = field(repr=False)
    errors: tuple[Unreadable, ...] = ()

    def covers(self, path: PurePosixPath) -> bool:
        """Whether this scan would have found ``path``: if it does and ``path`` is not in ``found``, the file is gone.

        It does not cover what lies outside ``sub``, or in a folder that could not be read.
        """
        return path.is_relative_to(self.sub) and not any(path.is_relative_to(error.path) for error in self.errors)


class HashedFile(NamedTuple):
    """The file with ``facts`` has the SHA-256 ``sha256`` (hexadecimal)."""

    path: PurePosixPath
    sha256: str
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class Hashed:
    """Files that were hashed without a pause: one, or small ones of one folder."""

    files: tuple[HashedFile, ...]


@dataclass(frozen=True, slots=True)
class HashFailed:
    """The file could not be read. ``kind`` names the error's class, ``reason`` and ``remedy`` are for people."""

    path: PurePosixPath
    kind: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class InboxGone:
    """The inbox is not there, or may not be read: nothing is known about what lies in it."""

    reason: str
    remedy: str = ""


SurveyMessage = Scanned | Hashed | HashFailed | InboxGone
"""What a `Surveyor` posts."""


def inbox_identity(root: Path) -> tuple[int, int]:
    """Device and inode of the inbox ``root``: another folder in its place (unmounted, replaced) has others.

    Raises `InboxGoneError` if it is not there, is no folder, or may not be read.
    """
    try:
        with os.scandir(root):
            status = os.stat(root)  # noqa: PTH116 (a Path's stat costs twice as much, and this is asked often)
    except OSError as error:
        raise _inbox_gone(root, _plain(error)) from error
    return status.st_dev, status.st_ino


def survey(
    root: Path, sieve: Sieve, sub: PurePosixPath = _ROOT, give_up: Callable[[], bool] = lambda: False
) -> Scanned:
    """Everything of interest below ``sub``, a folder of the inbox ``root``; ``give_up`` true ends the scan early.

    A ``sub`` that has vanished, is ignored or is a symlink holds nothing. Raises `InboxGoneError` if the inbox is not
    there, or is not the same folder at the end as it was at the beginning (unmounted, replaced).
    """
    before = inbox_identity(root)
    found: list[Found] = []
    errors: list[Unreadable] = []
    for item in _walk(root, sieve, sub):
        if give_up():
            break
        (found if isinstance(item, Found) else errors).append(item)  # type: ignore[arg-type]
    if inbox_identity(root) != before:
        raise _inbox_gone(root, "it was replaced while it was being read")
    return Scanned(sub, tuple(sorted(found, key=attrgetter("raw"))), tuple(errors))


def folder_name(path: PurePosixPath) -> str:
    """The folder of ``path`` as text, empty for the inbox itself: of very many neighbours, cheaper than its parent."""
    return str(path).rpartition("/")[0]


def look(root: Path, path: PurePosixPath) -> FileFacts | None:
    """The facts of the file at ``path``, relative to the inbox ``root``; None if no file is there, or none to be read.

    Raises `InboxGoneError` if the inbox is not there, and `UnreadablePhotoError` if the file system does not tell.
    """
    try:
        return _facts(root, path, _status(root, path))
    except (FileNotFoundError, NotADirectoryError, _RefusedError):
        inbox_identity(root)
        return None
    except OSError as error:
        inbox_identity(root)
        raise _unreadable(path, _plain(error)) from error


def look_at_all(root: Path, paths: Iterable[PurePosixPath]) -> Iterator[tuple[PurePosixPath, FileFacts | None]]:
    """What `look` says of each; None also where the file system does not tell. Neighbours cost little.

    Raises `InboxGoneError` if the inbox is not there.
    """
    for folder, neighbours in groupby(paths, key=folder_name):
        together = tuple(neighbours)
        found = _regular_ones(root, PurePosixPath(folder), together)
        for path, facts in zip_longest(together, found):
            yield path, facts or _look_or_none(root, path)


def read_photo(root: Path, path: PurePosixPath, limit_bytes: int) -> tuple[bytes, FileFacts]:
    """The bytes of the file at ``path``, relative to the inbox ``root``, and its facts.

    Raises `PhotoTooLargeError` if it has more than ``limit_bytes``, `ChangedWhileReadError` if it changed meanwhile,
    `PhotoGoneError` if it is not there, other `UnreadablePhotoError` s if it may not or cannot be read, and
    `InboxGoneError` if the inbox is not there.
    """
    with _reading(root, path, limit_bytes) as (file, facts):
        data = file.read(facts.size + 1)
    if len(data) != facts.size:
        raise _changed(path)
    return data, facts


def remove_photo(root: Path, path: PurePosixPath, facts: FileFacts) -> bool:
    """Remove the file at ``path``, relative to the inbox ``root``, if it has these ``facts``; whether it had.

    Not followed is a folder of the way that a symlink has taken the place of. Raises OSError where the system refuses.
    """
    try:
        with _folder(root, path.parent) as place:
            if _facts(root, path, _status_in(place, path.name)) != facts:
                return False
            _remove_in(place, path.name)
    except (FileNotFoundError, NotADirectoryError, _RefusedError):
        return False
    return True


class Surveyor(Errands[SurveyMessage]):
    """The thread that scans and hashes. Files of more than ``limit_bytes`` are not hashed.

    Requests are answered until `close`, which breaks off what is under way.
    """

    def __init__(self, root: Path, sieve: Sieve, post: Callable[[SurveyMessage], None], limit_bytes: int) -> None:
        super().__init__("surveyor", post)
        self._root = root
        self._sieve = sieve
        self._limit_bytes = limit_bytes

    def scan(self, sub: PurePosixPath = _ROOT) -> None:
        """Scan the folder ``sub``: `Scanned` or `InboxGone` follows."""
        self.ask(lambda: (self._scan(sub),))

    def hash(self, *paths: PurePosixPath) -> None:
        """Hash the files at ``paths``: `Hashed`, `HashFailed` or `InboxGone` follows for each.

        Many of one folder can wait: scans, and a few of another, go ahead of them.
        """
        for folder, neighbours in groupby(paths, key=folder_name):
            together = tuple(neighbours)
            for start in range(0, len(together), _FEW):
                part = together[start : start + _FEW]
                self.ask(partial(self._hash_all, PurePosixPath(folder), part), can_wait=len(together) > _FEW)

    def _scan(self, sub: PurePosixPath) -> SurveyMessage:
        try:
            return survey(self._root, self._sieve, sub, self.closing)
        except InboxGoneError as error:
            return InboxGone(error.message, error.remedy)
        except Exception as error:  # the thread must live on, and a scan that failed must not look like an empty folder
            return Scanned(sub, (), (Unreadable(sub, _plain(error)),))

    def _hash_all(self, folder: PurePosixPath, paths: Sequence[PurePosixPath]) -> Iterator[SurveyMessage]:
        """Hash files right in ``folder``: small ones together, up to one that is large or unusual."""
        left, small = deque(paths), list[HashedFile]()
        with suppress(OSError, ValueError, _RefusedError), _folder(self._root, folder) as place:
            while left:
                hashed = _hash_in(place, left[0], self._limit_bytes)
                if hashed is None:
                    yield from _together(small)
                    small = []
                    yield self._hash(left[0])
                else:
                    small.append(hashed)
                left.popleft()
        yield from _together(small)
        yield from map(self._hash, left)

    def _hash(self, path: PurePosixPath) -> SurveyMessage:
        try:
            return Hashed((self._hashed(path),))
        except InboxGoneError as error:
            return InboxGone(error.message, error.remedy)
        except PhotoError as error:
            return HashFailed(path, type(error).__name__, error.message, error.remedy)
        except Exception as error:  # the thread must live on
            return HashFailed(path, UnreadablePhotoError.__name__, f"{path} cannot be read: {_plain(error)}.")

    def _hashed(self, path: PurePosixPath) -> HashedFile:
        digest = hashlib.sha256()
        left = 0
        with _reading(self._root, path, self._limit_bytes) as (file, facts):
            left = facts.size
            while left >= 0 and not self.closing() and (chunk := file.read(SMALL_BYTES)):
                digest.update(chunk)
                left -= len(chunk)
        if left:
            raise _changed(path)
        return HashedFile(path, digest.hexdigest(), facts)


def _together(files: Sequence[HashedFile]) -> Iterator[Hashed]:
    if files:
        yield Hashed(tuple(files))


def _hash_in(place: int | str, path: PurePosixPath, limit_bytes: int) -> HashedFile | None:
    """Hash a small file that lies right in the folder ``place``; None for whatever is more, or in any way unusual."""
    try:
        if not stat.S_ISREG(_status_in(place, path.name).st_mode):
            return None
        file = _open_in(place, path.name)
    except (OSError, ValueError):  # the latter for a NUL, which no file system knows
        return None
    try:
        facts = _facts_of_regular(os.fstat(file))
        if facts is None or facts.size > min(limit_bytes, SMALL_BYTES):
            return None
        data = os.read(file, facts.size + 1)
        whole = len(data) == facts.size and _facts_of_regular(os.fstat(file)) == facts
        return HashedFile(path, hashlib.sha256(data).hexdigest(), facts) if whole else None
    except OSError:
        return None
    finally:
        os.close(file)


def _regular_ones(root: Path, folder: PurePosixPath, paths: Sequence[PurePosixPath]) -> list[FileFacts | None]:
    """The facts of each of the ``paths``, all right in ``folder``, that is a regular file; none if it is not there."""
    try:
        with _folder(root, folder) as place:
            return [_regular_in(place, path.name) for path in paths]
    except (OSError, _RefusedError):
        return []


def _regular_in(place: int | str, name: str) -> FileFacts | None:
    try:
        return _facts_of_regular(_status_in(place, name))
    except OSError:
        return None


def _look_or_none(root: Path, path: PurePosixPath) -> FileFacts | None:
    try:
        return look(root, path)
    except UnreadablePhotoError:
        return None


class _RefusedError(Exception):
    """The path leads out of the inbox, or to something that is never opened; the text says why."""


def _walk(root: Path, sieve: Sieve, sub: PurePosixPath) -> Iterator[Found | Unreadable]:
    folders = [sub] if sieve.enters(sub) else []
    while folders:
        folder = folders.pop()
        above = b"" if folder == _ROOT else os.fsencode(folder) + b"/"
        try:
            with _folder(root, folder) as place, os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        path = folder / entry.name
                        folders += [path] if sieve.enters(path) else []
                    elif (kind := sieve.kind_inside(folder, entry.name)) is not Kind.NOTHING:
                        yield from _found(root, folder, entry, kind, above + os.fsencode(entry.name))
        except (FileNotFoundError, NotADirectoryError, _RefusedError):
            continue
        except OSError as error:
            yield Unreadable(folder, _plain(error))


def _found(
    root: Path, folder: PurePosixPath, entry: "os.DirEntry[str]", kind: Kind, raw: bytes
) -> Iterator[Found | Unreadable]:
    try:
        status = entry.stat(follow_symlinks=False) if _HAS_DIR_FD else os.lstat(entry.path)  # Windows gives no inode
        facts = look(root, folder / entry.name) if stat.S_ISLNK(status.st_mode) else _facts_of_regular(status)
    except FileNotFoundError:
        return
    except UnreadablePhotoError as error:
        yield Unreadable(folder / entry.name, error.message)
    except OSError as error:
        yield Unreadable(folder / entry.name, _plain(error))
    else:
        if facts is not None:
            yield Found(raw, facts, kind)


@contextmanager
def _reading(root: Path, path: PurePosixPath, limit_bytes: int) -> Iterator[tuple[BinaryIO, FileFacts]]:
    """The file, opened, with its facts; they are the same when the block ends, or `ChangedWhileReadError` is raised."""
    try:
        with _open(root, path) as file:
            facts = _facts_of_open(file)
            if facts.size > limit_bytes:
                raise _too_large(path, facts.size, limit_bytes)
            yield file, facts
            if _facts_of_open(file) != facts:
                raise _changed(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        inbox_identity(root)
        raise PhotoGoneError(f"{path} is not there.", "Drop it again if it is to be painted.") from error
    except _RefusedError as error:
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        inbox_identity(root)
        raise _unreadable(path, _plain(error)) from error


def _open(root: Path, path: PurePosixPath) -> BinaryIO:
    with _folder(root, path.parent) as place:
        status = _status_in(place, path.name)
        if not stat.S_ISLNK(status.st_mode):
            return _opened(place, path.name, status)
    real = _real(root, path)
    with _folder(root, real.parent) as place:
        return _opened(place, real.name, _status_in(place, real.name))


def _opened(place: int | str, name: str, status: os.stat_result) -> BinaryIO:
    if _facts_of_regular(status) is None:
        raise _RefusedError("it is no ordinary file")
    return os.fdopen(_open_in(place, name), "rb")


def _open_in(place: int | str, name: str) -> int:
    if isinstance(place, int):
        return os.open(name, _FILE_FLAGS, dir_fd=place)
    return os.open(_join(place, name), _FILE_FLAGS)


def _real(root: Path, path: PurePosixPath) -> PurePosixPath:
    """Where the file at ``path`` lies: there, or where the symlink at ``path`` leads to if that is in the inbox."""
    if not stat.S_ISLNK(_status(root, path).st_mode):
        return path
    try:
        target = Path(os.path.realpath(root / path, strict=True))
    except OSError as error:
        if error.errno in _IS_A_LINK:
            raise _RefusedError("it is a link that leads back to itself") from error
        raise
    home = Path(os.path.realpath(root))
    if not target.is_relative_to(home):
        raise _RefusedError("it is a link that leads out of the inbox")
    return PurePosixPath(*target.relative_to(home).parts)


def _status(root: Path, path: PurePosixPath) -> os.stat_result:
    with _folder(root, path.parent) as place:
        return _status_in(place, path.name)


def _status_in(place: int | str, name: str) -> os.stat_result:
    if isinstance(place, int):
        return os.stat(name, dir_fd=place, follow_symlinks=False)
    return os.lstat(_join(place, name))


def _remove_in(place: int | str, name: str) -> None:
    if isinstance(place, int):
        os.unlink(name, dir_fd=place)
    else:
        Path(place, name).unlink()


@contextmanager
def _folder(root: Path, path: PurePosixPath) -> Iterator[int | str]:
    """The folder, as a descriptor where the system knows opening relative to one, else as a path.

    Raises NotADirectoryError if it is none, or if it or a folder above it, up to the inbox, is a symlink.
    """
    if path.is_absolute() or ".." in path.parts:
        raise _RefusedError("it does not lie in the inbox")
    if not _HAS_DIR_FD:
        yield _checked(root, path)
        return
    descriptor = os.open(root, _FOLDER_FLAGS)
    try:
        for name in path.parts:
            outer, descriptor = descriptor, _step(descriptor, name)
            os.close(outer)
        yield descriptor
    finally:
        os.close(descriptor)


def _step(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS | _NOT_FOLLOWING, dir_fd=folder)
    except OSError as error:
        if error.errno in _IS_A_LINK:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        raise


def _checked(root: Path, path: PurePosixPath) -> str:
    place = str(root)
    for name in path.parts:
        place = _join(place, name)
        status = os.lstat(place)
        is_junction = _JUNCTION is not None and getattr(status, "st_reparse_tag", 0) == _JUNCTION
        if is_junction or not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return place


def _join(place: str, name: str) -> str:
    return os.path.join(place, name)  # noqa: PTH118 (Path would drop a dot and resolve a drive)


def _facts(root: Path, path: PurePosixPath, status: os.stat_result) -> FileFacts | None:
    """Of the file at ``path`` that has this ``status``, or, if that is a symlink's, of what it leads to."""
    return _facts_of_regular(_status(root, _real(root, path)) if stat.S_ISLNK(status.st_mode) else status)


def _facts_of_regular(status: os.stat_result) -> FileFacts | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileFacts(status.st_size, status.st_mtime_ns, status.st_ino)


def _facts_of_open(file: BinaryIO) -> FileFacts:
    facts = _facts_of_regular(os.fstat(file.fileno()))
    if facts is None:
        raise _RefusedError("it is no ordinary file")
    return facts


def _inbox_gone(root: Path, reason: str) -> InboxGoneError:
    remedy = "Make the folder, or mount its share; until then nothing in it counts as deleted."
    return InboxGoneError(f"The inbox {root} cannot be read: {reason}.", remedy)


def _unreadable(path: PurePosixPath, reason: str) -> UnreadablePhotoError:
    remedy = "Put the photo itself there, as a file that the program may read."
    return UnreadablePhotoError(f"{path} cannot be read: {reason}.", remedy)


def _changed(path: PurePosixPath) -> ChangedWhileReadError:
    remedy = "It is read again when nobody has written to it for a while."
    return ChangedWhileReadError(f"{path} changed while it was read.", remedy)


def _too_large(path: PurePosixPath, size: int, limit_bytes: int) -> PhotoTooLargeError:
    message = f"{path} has {size:,} bytes, more than the {limit_bytes:,} that are read."
    return PhotoTooLargeError(message, "Make the file smaller.")


def _plain(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
