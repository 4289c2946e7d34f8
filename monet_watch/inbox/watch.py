"""The watcher: file system events in, frozen messages out.

Messages are hints, not the truth. They may be doubled, late, out of order or lost (a queue that overflows, a folder
made while the limit of watches is reached), so whoever gets one looks for itself, and scans from time to time.
Folders reached over a symlink are not watched, as they are not scanned.
"""

import errno
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Protocol, Self, cast

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver, PollingObserverVFS
from watchdog.utils import BaseThread

from monet_watch.errors import MonetWatchError
from monet_watch.inbox.survey import InboxGoneError, inbox_identity

__all__ = [
    "FileGone",
    "FileTouched",
    "FolderAppeared",
    "FolderGone",
    "Mode",
    "ScriptedWatch",
    "Watch",
    "WatchMessage",
    "WatchRefusedError",
    "WatchdogWatch",
    "file_system_of",
    "needs_polling",
]

_MOUNTS = Path("/proc/self/mountinfo")
_CLOSE_SECONDS = 5.0
_DEEPEST_POLLED = 250  # levels; watchdog descends by recursion, and whoever fills the inbox decides how deep

# Where another machine, or another system under the same roof, changes files without this kernel's knowing.
_UNSEEN_CHANGES: Final = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "ncpfs", "afs", "coda", "9p", "fuse"),
        *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "ocfs2", "gfs2"),
        *("virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner"),
    )
)
_HOW_TO_RAISE: Final = {
    errno.ENOSPC: "the limit of inotify watches is reached; raise it with sysctl fs.inotify.max_user_watches=1048576",
    errno.EMFILE: "the limit of inotify instances, or of open files, is reached; "
    "raise it with sysctl fs.inotify.max_user_instances=1024",
}


class WatchRefusedError(MonetWatchError):
    """The inbox is there, but the system does not let it be watched in the way that was asked for."""


class Mode(StrEnum):
    """How the inbox is watched. AUTO chooses between the others."""

    AUTO = "auto"
    EVENTS = "events"
    POLLING = "polling"


@dataclass(frozen=True, slots=True)
class FileTouched:
    """A file was made, written or moved in. ``closed``: whoever wrote it has closed it or moved it into place."""

    path: PurePosixPath
    closed: bool = False


@dataclass(frozen=True, slots=True)
class FileGone:
    """A file was deleted or moved away, and nothing bears its name."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class FolderAppeared:
    """A folder was made or moved in: its files may have no events of their own; scan it."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class FolderGone:
    """A folder was deleted or moved away, with everything below it."""

    path: PurePosixPath


WatchMessage = FileTouched | FileGone | FolderAppeared | FolderGone
"""What a `Watch` posts. Paths are relative to the inbox; names that are not UTF-8 have surrogate escapes."""


class Watch(Protocol):
    """Watches the inbox between entering and leaving it as a context manager."""

    @property
    def mode(self) -> Mode:
        """EVENTS or POLLING, never AUTO, once started."""

    @property
    def reason(self) -> str:
        """Why this mode, in plain words, once started."""

    def alive(self) -> bool:
        """Whether changes are still noticed. If not: leave this watch, enter another, and scan."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def file_system_of(path: PurePosixPath, mountinfo: str) -> str:
    """Return the type of the file system that the absolute ``path`` lies on, empty if that cannot be told.

    ``mountinfo`` is the text of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)). The way goes from mount to mount as
    the kernel's does, so that what is hidden under a later mount does not count.
    """
    mounts = [mount for mount in map(_mount, mountinfo.split("\n")) if mount and path.is_relative_to(mount.point)]
    numbers = {mount.number for mount in mounts}
    above, file_system = "", ""
    while inner := [mount for mount in mounts if (mount.parent if mount.parent in numbers else "") == above]:
        reached = min(inner, key=lambda mount: len(mount.point.parts))
        mounts.remove(reached)
        above, file_system = reached.number, reached.file_system
    return file_system


def needs_polling(file_system: str) -> bool:
    """Whether files of such a file system change without events: network, FUSE and shared-folder mounts.

    ``fuseblk`` is not one of them: it holds a disk of this machine.
    """
    return file_system in _UNSEEN_CHANGES or file_system.startswith("fuse.")


class WatchdogWatch:
    """Watches ``root`` and everything below it with one watchdog observer.

    ``post`` is called from the observer's thread; it must only post. AUTO takes events unless the file system has none
    for changes made elsewhere, or the system refuses them. With polling, everything is looked at every
    ``polling_seconds``.

    Entering raises `InboxGoneError` if ``root`` is not there, and `WatchRefusedError` if the mode asked for cannot be
    had (AUTO falls back to polling, and ``reason`` tells).
    """

    def __init__(
        self, root: Path, post: Callable[[WatchMessage], None], mode: Mode = Mode.AUTO, polling_seconds: float = 5.0
    ) -> None:
        self._root = root
        self._post = post
        self._wish = mode
        self._polling_seconds = polling_seconds
        self._mode = mode
        self._reason = ""
        self._running: _Running | None = None

    @property
    def mode(self) -> Mode:
        """EVENTS or POLLING once started; before, what was asked for."""
        return self._mode

    @property
    def reason(self) -> str:
        """Why this mode, in plain words, once started."""
        return self._reason

    def alive(self) -> bool:
        """Whether changes are still noticed: every thread runs, and the inbox is there and is the same folder."""
        return self._running is not None and self._running.alive()

    def __enter__(self) -> Self:
        home = _Home(self._root)
        self._mode, self._reason = self._choose(home.path)
        if self._mode is Mode.EVENTS:
            self._start_events(home)
        if self._mode is Mode.POLLING:
            self._start_polling(home)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _choose(self, home: Path) -> tuple[Mode, str]:
        if self._wish is not Mode.AUTO:
            return self._wish, "The settings ask for it."
        file_system = _file_system_now(home)
        if needs_polling(file_system):
            return Mode.POLLING, f"The inbox lies on {file_system}, where changes made elsewhere cause no events."
        return Mode.EVENTS, "The inbox lies on a file system that tells of changes."

    def _start_events(self, home: "_Home") -> None:
        try:
            self._running = _Running(home, self._post, _events_observer)
            _probe(home.path)
        except (OSError, RecursionError) as error:
            self.__exit__(None, None, None)
            self._refused(error)

    def _refused(self, error: OSError | RecursionError) -> None:
        inbox_identity(self._root)  # an inbox that has vanished is not a system that refuses
        why = _why_refused(error)
        if self._wish is Mode.EVENTS:
            raise WatchRefusedError(
                f"{self._root} cannot be watched by events: {why}.", "Or set watch: auto."
            ) from error
        self._mode, self._reason = Mode.POLLING, f"There are no events from the system: {why}."

    def _start_polling(self, home: "_Home") -> None:
        def observer() -> BaseObserver:
            # The plain polling observer follows symlinks: out of the inbox, and round in circles.
            return PollingObserverVFS(stat=_lstat, listdir=os.scandir, polling_interval=self._polling_seconds)

        try:
            self._running = _Running(home, self._post, observer)
        except OSError as error:
            inbox_identity(self._root)
            raise WatchRefusedError(f"{self._root} cannot be looked through: {_why_refused(error)}.") from error


class ScriptedWatch:
    """A watch for tests: what it posts, and when it dies, is said by hand."""

    def __init__(
        self, post: Callable[[WatchMessage], None], mode: Mode = Mode.EVENTS, reason: str = "A script says so."
    ) -> None:
        self._post = post
        self._mode = mode
        self._reason = reason
        self._alive = False

    @property
    def mode(self) -> Mode:
        """As given."""
        return self._mode

    @property
    def reason(self) -> str:
        """As given."""
        return self._reason

    def alive(self) -> bool:
        """Whether it was entered, and neither left nor told to die."""
        return self._alive

    def say(self, *messages: WatchMessage) -> None:
        """Post ``messages``. Like a real watch, one that is not alive posts nothing."""
        for message in messages if self._alive else ():
            self._post(message)

    def die(self) -> None:
        """Notice nothing any more, as a watch does whose observer has ended."""
        self._alive = False

    def __enter__(self) -> Self:
        self._alive = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._alive = False


@dataclass(frozen=True, slots=True)
class _Mount:
    number: str
    parent: str
    point: PurePosixPath
    file_system: str


def _mount(line: str) -> _Mount | None:
    mounted, _, kind = line.partition(" - ")
    fields = mounted.split(" ")
    if len(fields) < 5 or not kind:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    parent = fields[1] if fields[1] != fields[0] else ""
    return _Mount(fields[0], parent, PurePosixPath(point), kind.split(" ")[0])


def _file_system_now(home: Path) -> str:
    try:
        return file_system_of(PurePosixPath(home), os.fsdecode(_MOUNTS.read_bytes()))
    except OSError:
        return ""  # no Linux


class _Home:
    """The inbox as it was when the watch began, and where it really lies: inotify follows no symlink to it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._identity = inbox_identity(root)
        self.path = Path(os.path.realpath(root))

    def is_there(self) -> bool:
        """Whether the inbox is still the same folder."""
        try:
            return inbox_identity(self._root) == self._identity
        except InboxGoneError:
            return False

    def inside(self, place: bytes | str) -> PurePosixPath | None:
        """The path relative to the inbox; None for the inbox itself, what lies outside, and no place at all."""
        path = Path(os.fsdecode(place))
        if not place or path == self.path or not path.is_relative_to(self.path):
            return None
        return PurePosixPath(*path.relative_to(self.path).parts)

    def lacks(self, path: PurePosixPath) -> bool:
        """Whether nothing is at ``path``. An error is no proof of that, and neither is an inbox that is not there."""
        try:
            os.lstat(self.path / path)
        except (FileNotFoundError, NotADirectoryError):
            return self.is_there()
        except OSError:
            return False
        return False


class _Translator(FileSystemEventHandler):
    """From watchdog's events to messages. Events of opening, and of closing what was only read, mean nothing here."""

    def __init__(self, home: _Home, post: Callable[[WatchMessage], None]) -> None:
        self._home = home
        self._post = post
        self.failed = False

    def dispatch(self, event: FileSystemEvent) -> None:
        """Translate ``event``. Never raises: that would end watchdog's thread."""
        if event.is_synthetic:
            return  # watchdog's guess at what lies in a moved folder; `FolderAppeared` leads to a scan that knows
        try:
            super().dispatch(event)
        except Exception:  # whatever it is, an event is lost: `WatchdogWatch.alive` tells
            self.failed = True

    def on_created(self, event: FileSystemEvent) -> None:
        self._appeared(event, event.src_path)

    def on_modified(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self._appeared(event, event.src_path)

    def on_attrib(self, event: FileSystemEvent) -> None:
        self.on_modified(event)  # touched, or made readable

    def on_closed(self, event: FileSystemEvent) -> None:
        self._appeared(event, event.src_path, closed=True)

    def on_moved(self, event: FileSystemEvent) -> None:
        self._vanished(event, event.src_path)
        self._appeared(event, event.dest_path, closed=not event.src_path)

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._vanished(event, event.src_path)

    def _appeared(self, event: FileSystemEvent, place: bytes | str, closed: bool = False) -> None:
        path = self._home.inside(place)
        if path is not None:
            self._post(FolderAppeared(path) if event.is_directory else FileTouched(path, closed))

    def _vanished(self, event: FileSystemEvent, place: bytes | str) -> None:
        # A folder that was moved out of the inbox is still watched under its former name, and a file system that fails
        # looks empty to polling: that something is gone is believed only when it is seen.
        path = self._home.inside(place)
        if path is None:
            return
        if self._home.lacks(path):
            self._post(FolderGone(path) if event.is_directory else FileGone(path))
        elif self._home.is_there():
            self._appeared(event, place)


class _Running:
    """A started observer, with every thread that it started."""

    def __init__(
        self, home: _Home, post: Callable[[WatchMessage], None], make_observer: Callable[[], BaseObserver]
    ) -> None:
        self._home = home
        self._translator = _Translator(home, post)
        before = set(threading.enumerate())
        self._observer = make_observer()
        try:
            self._observer.schedule(self._translator, str(home.path), recursive=True)
            self._observer.start()
        except BaseException:
            self.stop()
            raise
        self._threads = [thread for thread in _watchdog_threads() if thread not in before]

    def alive(self) -> bool:
        """Whether every thread runs, no event was lost on the way, and the inbox is there."""
        threads_run = all(thread.is_alive() for thread in self._threads)
        return threads_run and not self._translator.failed and self._home.is_there()

    def stop(self) -> None:
        """End the threads, but don't wait for ever for one that hangs on a dead network mount."""
        stopper = threading.Thread(target=self._stop, name="watch-stopper", daemon=True)
        stopper.start()
        stopper.join(_CLOSE_SECONDS)

    def _stop(self) -> None:
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()


def _watchdog_threads() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if isinstance(thread, BaseThread))


def _events_observer() -> BaseObserver:
    make = cast("Callable[..., BaseObserver]", Observer)
    if make is PollingObserver:  # watchdog's answer on a system that it knows no events of
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    # A folder in a new folder is found twice, by its event and by a walk; watchdog copes, but not without a word.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    # "Full" events tell a file that was moved into the inbox, and so is whole, from one that is being written.
    return make(generate_full_events=True) if sys.platform == "linux" else make()


def _probe(home: Path) -> None:
    """Raise OSError (ENOSPC) if the limit of inotify watches is reached: watchdog tells only of the topmost folder."""
    if sys.platform != "linux":
        return
    try:
        observer = _events_observer()
    except OSError:
        return  # of instances, one is enough
    try:
        observer.schedule(FileSystemEventHandler(), str(home))
        observer.start()
    finally:
        observer.stop()


def _why_refused(error: OSError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "folders are nested too deep in the inbox"
    return _HOW_TO_RAISE.get(error.errno or 0, error.strerror or str(error))


def _lstat(path: str) -> os.stat_result:
    if path.count(os.sep) > _DEEPEST_POLLED:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return os.lstat(path)
