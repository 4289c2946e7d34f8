"""Files that appear whole: written under a temporary name in the same folder, flushed to disk, renamed.

Nothing here overwrites what it did not write: a painting gets a folder of its own, claimed by making it.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.output import Format
from monet_watch.printable import printable

__all__ = [
    "LONGEST_NAME_BYTES",
    "PHOTO_NAME",
    "RECORD_NAME",
    "TIMELAPSE_NAMES",
    "Contents",
    "Outbox",
    "flush",
    "further_name",
    "in_utf8",
    "make_folders",
    "painting_name",
    "progress_name",
    "remove_file",
    "remove_temporaries",
    "stage_number",
    "sync_folder",
    "write_whole",
]

RECORD_NAME = "painting.json"
"""The record of a painting: written last, so that a folder that holds it holds everything."""

PHOTO_NAME = "photo.webp"
"""The photo as it was painted, upright and of the painting's size: the original may move away."""

TIMELAPSE_NAMES = ("timelapse.webp", "timelapse.mp4")
"""The painting's stages as a moving picture, of either kind."""

LONGEST_NAME_BYTES = 255
"""What file systems allow a name to have."""

_ROOM_BYTES = 1 << 20  # about what a painting takes
_TEMPORARY_PREFIX = ".monet-watch-"
_TEMPORARY_SUFFIX = ".tmp"
_PROBLEM_SUFFIX = ".problem.txt"
# A folder of the inbox may bear a painting's name, and the photos in it must not take the names of its files.
_RESERVED_FOLDERS = re.compile(r".*\.(html|jpg|json|mp4|png|txt|webp)", re.IGNORECASE | re.DOTALL)
_RESERVED_STEMS = re.compile(r"loss|progress_\d+", re.IGNORECASE)
_RESERVED_FURTHER = re.compile(r"photo|timelapse", re.IGNORECASE)
_SUFFIXES: Mapping[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_MARK, _MARK_WITHIN_BYTES = b"Software\0monet-watch", 4096  # in the text that comes first in each picture of ours
_STAGE_PREFIX = "progress_"
_STAGE = re.compile(r"progress_\d+\.png")
_NOTHING_TO_FLUSH = (errno.EINVAL, errno.ENOTSUP)  # what file systems say that keep no entries back


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is seen whole or not at all, and is on disk on return.

    Raises OutboxError, with the operating system's reason, and leaves nothing half-written.
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}")
    try:
        _write_durably(temporary, data)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutboxError(f"{path} cannot be written: {error.strerror or error}.", _remedy(error)) from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_file(path: Path) -> None:
    """Remove the file ``path`` if it is there. Raises OutboxError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_removed(path, error) from error


def sync_folder(folder: Path) -> None:
    """Flush the folder's entries to disk, where the system and the file system know such a thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOTHING_TO_FLUSH:
            raise
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Flush a file that is there already, and its folder, to disk: whoever wrote it may not have come to that."""
    with path.open("rb" if os.name == "posix" else "rb+") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


def make_folders(path: Path, root: Path) -> None:
    """Make the folder ``path`` and what is missing above it; on return its whole way is on disk, with ``root`` itself.

    The folders that were there are flushed as well: whoever made them may have been stopped before that. Raises
    OSError.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    below_root = {folder for folder in path.parents if folder.is_relative_to(root)}
    for folder in sorted({made.parent for made in missing} | below_root):
        sync_folder(folder)
    with contextlib.suppress(PermissionError):  # a folder that may be passed through and not read cannot be flushed
        sync_folder(root.parent)


def _remedy(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return "Move away what is in its place, or name another outbox."
    return f"Check the free space and the permissions of the outbox ({error.__class__.__name__})."


def remove_temporaries(root: Path, on_the_way: Callable[[], None] = lambda: None) -> int:
    """Remove what an interrupted write left below ``root``; return how many files there were.

    ``on_the_way`` is called in each folder.
    """
    removed = 0
    for folder, _, names in os.walk(root):
        on_the_way()
        removed += len(names) - len(_without_temporaries(folder, names))
    return removed


def _without_temporaries(folder: str, names: list[str]) -> list[str]:
    """Remove those of the files ``names`` in ``folder`` that an interrupted write left; return the others."""
    left = {name for name in names if name.startswith(_TEMPORARY_PREFIX) and name.endswith(_TEMPORARY_SUFFIX)}
    for name in left:
        with contextlib.suppress(OSError):
            Path(folder, name).unlink()
    return [name for name in names if name not in left]


def progress_name(number: int) -> str:
    """Return the file name of the stage after step ``number``: ``progress_0050.png``."""
    return f"{_STAGE_PREFIX}{number:04d}.png"


def stage_number(name: str) -> int:
    """Return the step of a `progress_name`."""
    return int(name.removesuffix(".png").removeprefix(_STAGE_PREFIX))


def painting_name(photo_name: str) -> str:
    """Return the painting's file name: the photo's, as PNG, unless a stage or the plot bears that name."""
    stem = in_utf8(PurePosixPath(photo_name)).stem
    name = f"{stem}.painting.png" if _RESERVED_STEMS.fullmatch(stem) else f"{stem}.png"
    return name if _fits(name) else f"{_shortened(stem, '.png')}.png"


def further_name(painting: str, kind: Format) -> str:
    """Return the name of the file beside ``painting``, the name of a PNG, that holds it in another format."""
    stem, suffix = painting.removesuffix(".png"), _SUFFIXES[kind]
    name = f"{stem}.painting{suffix}" if _RESERVED_FURTHER.fullmatch(stem) else f"{stem}{suffix}"
    return name if _fits(name) else f"{_shortened(stem, suffix)}{suffix}"


def in_utf8(photo: PurePosixPath) -> PurePosixPath:
    """Return the path with U+FFFD for bytes that are no UTF-8: names in the outbox can be shown and shared."""
    return PurePosixPath(os.fsencode(str(photo)).decode("utf-8", "replace"))


def _fits(name: str) -> bool:
    return len(os.fsencode(name)) <= LONGEST_NAME_BYTES


def _shortened(name: str, suffix: str) -> str:
    """Cut ``name`` so that it and ``suffix`` fit, with a piece of its hash so that two long names stay two."""
    mark = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    room = LONGEST_NAME_BYTES - len(os.fsencode(suffix)) - len(mark)
    return os.fsencode(name)[:room].decode("utf-8", "ignore") + mark


@contextlib.contextmanager
def _looking_at(path: Path) -> Iterator[Path]:
    """Translate the errors of a disk or a share that does not tell what lies at ``path``: it may well be there."""
    try:
        yield path
    except OSError as error:
        raise OutboxError(f"{path} cannot be looked at: {error.strerror or error}.", _remedy(error)) from error


def _not_removed(path: Path | str, error: OSError) -> OutboxError:
    return OutboxError(f"{path} cannot be removed: {error.strerror or error}.", _remedy(error))


def _is_own_stage(path: Path) -> bool:
    """Whether the file is a progress picture, and says itself that this program made it."""
    if not _STAGE.fullmatch(path.name):
        return False
    try:
        with path.open("rb") as file:
            return _MARK in file.read(_MARK_WITHIN_BYTES)
    except OSError:
        return False


def _are_own_stages(folder: str, names: Sequence[str]) -> bool:
    return all(map(_STAGE.fullmatch, names)) and all(_is_own_stage(Path(folder, name)) for name in names)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a ``folder`` of the outbox: a painting's record, or stages of ours and nothing else (``is_begun``).

    ``has_reports`` says whether any `Outbox.tell_problem` of what is right in that folder of the inbox is there.
    """

    folder: PurePosixPath
    has_record: bool
    is_begun: bool
    has_reports: bool


class Outbox:
    """The folder where paintings appear. Folders in its methods are relative to ``root``.

    ``stages_kept`` says how many progress pictures a finished painting keeps; None: all. ``check`` raises OutboxError
    where the folder is not the outbox, such as while its share is not mounted: then nothing is written or missed there.
    """

    def __init__(self, root: Path, stages_kept: int | None = None, check: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self._stages_kept = stages_kept
        self._check = check

    def require(self) -> None:
        """Raise OutboxError where the folder is not the outbox, such as while its share is not mounted."""
        self._check()

    def choose_folder(
        self, photo: PurePosixPath, identity: str, is_taken: Callable[[PurePosixPath], bool]
    ) -> PurePosixPath:
        """Return a folder for the painting of ``photo`` that nobody has: named after it, or with a suffix.

        ``is_taken`` says whether another painting was promised a folder that may not be there yet. Raises OutboxError
        where there is none, or nobody can tell.
        """
        for folder in self._candidates(photo, identity):
            if not self._is_occupied(folder) and not is_taken(folder):
                return folder
        raise OutboxError(f"There is no free name for a painting of {photo} in {self.root}.")

    def _is_occupied(self, folder: PurePosixPath) -> bool:
        """Whether anything is there, be it a link that leads nowhere."""
        self._check()
        with _looking_at(self.root / folder) as path, contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
            return True
        return False

    def claim_folder(self, photo: PurePosixPath, identity: str) -> PurePosixPath:
        """Make a folder that was not there for the painting of ``photo``, and return it. Raises OutboxError.

        Of several processes that do so at once, each gets a folder of its own.
        """
        folder = self.choose_folder(photo, identity, lambda folder: False)
        while not self._made(self.root / folder):
            folder = self.choose_folder(photo, identity, lambda folder: False)
        return folder

    def _made(self, path: Path) -> bool:
        """Make the folder ``path``; False if somebody else has made something of that name."""
        self._check()
        try:
            make_folders(path.parent, self.root)
            path.mkdir()
            sync_folder(path.parent)
        except OSError as error:
            if isinstance(error, FileExistsError) and os.path.lexists(path):
                return False
            raise OutboxError(f"{path} cannot be made: {error.strerror or error}.", _remedy(error)) from error
        return True

    def _candidates(self, photo: PurePosixPath, identity: str) -> Iterator[PurePosixPath]:
        photo = in_utf8(photo)
        stem = photo.stem.rstrip(". ") or "photo"
        if not _RESERVED_FOLDERS.fullmatch(stem) and _fits(stem):
            yield photo.with_name(stem)
        for length in range(6, len(identity) + 1):
            suffix = f"-{identity[:length]}"
            name = stem + suffix
            yield photo.with_name(name if _fits(name) else _shortened(stem, suffix) + suffix)

    def make_folder(self, folder: PurePosixPath) -> Path:
        """Make ``folder`` if it is not there and return where it lies. Raises OutboxError."""
        self._check()
        path = self.root / folder
        try:
            make_folders(path, self.root)
        except OSError as error:
            raise OutboxError(f"{path} cannot be made: {error.strerror or error}.", _remedy(error)) from error
        return path

    def write(self, folder: PurePosixPath, name: str, data: bytes) -> None:
        """Write a file of a painting. Raises OutboxError."""
        write_whole(self.make_folder(folder) / name, data)

    def takes_files(self) -> bool:
        """Whether it can be written at all: if so, a painting that cannot has a trouble of its own."""
        return self.trouble() is None

    def trouble(self) -> OutboxError | None:
        """What keeps it from being written at all; None if a file of a painting's size can be."""
        try:
            self._check()
            with tempfile.NamedTemporaryFile(dir=self.root, prefix=_TEMPORARY_PREFIX, suffix=_TEMPORARY_SUFFIX) as file:
                file.write(bytes(_ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OutboxError as error:
            return error
        except OSError as error:
            return OutboxError(f"{self.root} cannot be written: {error.strerror or error}.", _remedy(error))
        return None

    def read(self, folder: PurePosixPath, name: str) -> bytes:
        """Return a file of a painting. Raises OutboxError if it is gone."""
        try:
            return (self.root / folder / name).read_bytes()
        except OSError as error:
            raise OutboxError(f"{self.root / folder / name} cannot be read: {error.strerror or error}.") from error

    def stages(self, folder: PurePosixPath) -> list[str]:
        """Return the names of the progress pictures in ``folder``, in order of their steps. Raises OutboxError."""
        self._check()
        with _looking_at(self.root / folder) as path:
            names = os.listdir(path) if path.is_dir() else []  # noqa: PTH208 (names, not paths)
        return sorted(filter(_STAGE.fullmatch, names), key=lambda name: (len(name), name))

    def holds(self, folder: PurePosixPath) -> bool:
        """Whether there is a whole painting in ``folder``. Raises OutboxError where nobody can tell."""
        self._check()
        with _looking_at(self.root / folder / RECORD_NAME) as path:
            return path.is_file()

    def surely_holds(self, folder: PurePosixPath) -> bool:
        """Whether there is a whole painting in ``folder``; False, too, where nobody can tell."""
        try:
            return self.holds(folder)
        except OutboxError:
            return False

    def has(self, folder: PurePosixPath, name: str) -> bool:
        """Whether there is such a file of a painting."""
        return (self.root / folder / name).is_file()

    def flush(self, folder: PurePosixPath) -> None:
        """Flush the painting in ``folder`` to disk, as far as whoever wrote it may not have done. Raises OutboxError.

        After that it is as safe as one that `write` wrote.
        """
        path = self.make_folder(folder)
        try:
            for file in filter(Path.is_file, path.iterdir()):
                flush(file)
        except OSError as error:
            raise OutboxError(f"{path} cannot be flushed: {error.strerror or error}.", _remedy(error)) from error

    def remove_stages(self, folder: PurePosixPath, after: int) -> None:
        """Remove the progress pictures of the steps after step ``after``. Raises OutboxError."""
        for name in self.stages(folder):
            if stage_number(name) > after:
                remove_file(self.root / folder / name)

    def abandon(self, folder: PurePosixPath) -> None:
        """Remove the stages of a painting that will not be finished, and its folder if it holds nothing more.

        Nothing is removed where there is a whole painting. Raises OutboxError.
        """
        if self.holds(folder):
            return
        self.remove_stages(folder, after=0)
        with contextlib.suppress(OSError):
            (self.root / folder).rmdir()

    def kept_stages(self, names: Sequence[str]) -> list[str]:
        """Return which of the stages ``names`` of a finished painting stay: the last, and others evenly before it."""
        wanted, count = self._stages_kept, len(names)
        if wanted is None or wanted >= count:
            return list(names)
        return [names[count * number // wanted - 1] for number in range(1, wanted + 1)]

    def thin_stages(self, folder: PurePosixPath) -> None:
        """Remove the progress pictures that a finished painting does not keep. Raises OutboxError."""
        names = self.stages(folder)
        for name in sorted(set(names) - set(self.kept_stages(names))):
            remove_file(self.root / folder / name)

    def look_through(self) -> Iterator[Contents]:
        """Say of each folder what is in it, and remove what interrupted writes left there."""
        for path, folders, names in os.walk(self.root):
            kept = _without_temporaries(path, names)
            folder = PurePosixPath(Path(path).relative_to(self.root))
            is_begun = bool(kept) and not folders and _are_own_stages(path, kept)
            has_reports = any(name.endswith(_PROBLEM_SUFFIX) for name in kept)
            yield Contents(folder, RECORD_NAME in kept, is_begun, has_reports)

    def remove_begun(self, folder: PurePosixPath) -> None:
        """Remove a folder that holds stages of ours and nothing else, as far as that can be done.

        It is what is left of a painting that was begun, and then was to be made in another way.
        """
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def records(self) -> Iterator[Path]:
        """Yield the path of every painting's record."""
        for folder, _, names in os.walk(self.root):
            if RECORD_NAME in names:
                yield Path(folder, RECORD_NAME)

    def tell_problem(self, path: PurePosixPath, headline: str, reason: str | Sequence[str], remedy: str) -> None:
        """Say beside where the painting would be what is wrong with ``path`` (in the inbox), and what to do.

        Each reason is one line, whatever a name in it holds. Raises OutboxError.
        """
        reasons = (reason,) if isinstance(reason, str) else reason
        why = "\n            ".join(map(printable, reasons))
        file, what_to_do = printable(str(path)), printable(remedy)
        text = f"{headline}\n\nFile:       {file}\nWhy:        {why}\nWhat to do: {what_to_do}\n"
        target = Path(self._problem(path))
        self.make_folder(in_utf8(path).parent)
        write_whole(target, text.encode())

    def tells_problem(self, path: PurePosixPath) -> bool:
        """Whether what `tell_problem` wrote of ``path`` is there."""
        return os.path.lexists(self._problem(path))

    def tells_problems_in(self, folder: PurePosixPath) -> bool:
        """Whether what `tell_problem` wrote of any file right in ``folder`` may be there."""
        try:
            with os.scandir(self.root / in_utf8(folder)) as entries:
                return any(entry.name.endswith(_PROBLEM_SUFFIX) for entry in entries)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def clear_problem(self, path: PurePosixPath) -> None:
        """Remove what `tell_problem` wrote, if it is there. Raises OutboxError."""
        problem = self._problem(path)
        try:
            os.unlink(problem)  # noqa: PTH108 (a Path takes longer to be made, and this is done for every photo)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _not_removed(problem, error) from error

    def _problem(self, path: PurePosixPath) -> str:
        folder, slash, photo = os.fsencode(path).decode("utf-8", "replace").rpartition("/")  # as `in_utf8` has it
        name = photo + _PROBLEM_SUFFIX
        if not _fits(name):
            name = _shortened(photo, _PROBLEM_SUFFIX) + _PROBLEM_SUFFIX
        return f"{self.root}/{folder}{slash}{name}"
