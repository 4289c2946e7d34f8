"""The watcher: file system events in, frozen messages out.

Messages are hints, not the truth (`monet_watch.inbox.hints`), whatever they come from: inotify, another system's
events, or looking through folders again and again. Folders reached over a symlink are not watched, as they are not
scanned.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Protocol, Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver
from watchdog.utils import BaseThread

from monet_watch.errors import MonetWatchError
from monet_watch.inbox.hints import FileGone, FileTouched, FolderAppeared, FolderGone, WatchMessage
from monet_watch.inbox.home import Home
from monet_watch.inbox.mounts import MountPoint, Mounts, mountinfo
from monet_watch.inbox.parts import Parts, parts_of
from monet_watch.inbox.polling import Poller
from monet_watch.inbox.survey import inbox_identity

__all__ = ["Mode", "ScriptedWatch", "Watch", "WatchRefusedError", "WatchdogWatch"]

_CLOSE_SECONDS = 5.0
_HAS_INOTIFY: Final = sys.platform == "linux"
_ROOT = PurePosixPath()
_WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_MANY_WATCHES = 1 << 20


class WatchRefusedError(MonetWatchError):
    """The inbox is there, but the system does not let it be watched in the way that was asked for."""


class Mode(StrEnum):
    """How the inbox is watched. AUTO chooses; MIXED is by events here and by polling there, SCANS not at all."""

    AUTO = "auto"
    EVENTS = "events"
    POLLING = "polling"
    MIXED = "events and polling"
    SCANS = "scans"


class Watch(Protocol):
    """Watches the inbox between entering and leaving it as a context manager."""

    @property
    def mode(self) -> Mode:
        """EVENTS, POLLING, MIXED or SCANS, never AUTO, once started. It changes when the system grants no more."""

    @property
    def reason(self) -> str:
        """Why this mode, in plain words, once started; and what to do for a better one, where there is one."""

    @property
    def limited(self) -> bool:
        """Whether the system grants less than was asked for."""

    def trouble(self) -> str:
        """Why changes are no longer noticed, empty while they are. Then leave this watch, enter another, and scan."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class WatchdogWatch:
    """Watches ``root`` and everything below it that ``enters`` says is of interest.

    ``post`` is called from other threads; it must only post. AUTO takes events, but for the parts whose file system has
    none for changes made elsewhere, and for what the system refuses; those are looked through every
    ``polling_seconds``.

    Entering raises `InboxGoneError` if ``root`` is not there, and `WatchRefusedError` if events were asked for and
    there are none at all (AUTO polls, and ``reason`` tells).
    """

    def __init__(
        self,
        root: Path,
        post: Callable[[WatchMessage], None],
        mode: Mode = Mode.AUTO,
        polling_seconds: float = 5.0,
        enters: Callable[[PurePosixPath], bool] = lambda folder: True,
    ) -> None:
        self._root = root
        self._post = post
        self._wish = mode
        self._polling_seconds = polling_seconds
        self._enters = enters
        self._running: _Running | None = None

    @property
    def mode(self) -> Mode:
        """How it is watched once started; before, what was asked for."""
        return self._running.mode if self._running is not None else self._wish

    @property
    def reason(self) -> str:
        """Why this mode, in plain words, once started."""
        if self._running is None:
            return ""
        asked = "" if self._wish is Mode.AUTO else "The settings ask for it."
        sentences = (asked or self._running.nature(), self._running.shortage(self._polling_seconds))
        return " ".join(filter(None, sentences))

    @property
    def folders(self) -> int:
        """How many folders are watched by events."""
        return self._running.folders if self._running is not None else 0

    @property
    def limited(self) -> bool:
        """Whether the system grants less than was asked for."""
        return self._running is not None and bool(self._running.shortage(self._polling_seconds))

    def trouble(self) -> str:
        """Why changes are no longer noticed, empty while they are: a thread ended, or the inbox is another folder."""
        return self._running.trouble() if self._running is not None else "it has not been started"

    def __enter__(self) -> Self:
        home, mounted = Home(self._root), mountinfo()
        parts = self._parts(home.path, Mounts.parse(mounted))
        self._running = running = _Running(home, parts, mounted, self._post, self._polling_seconds)
        try:
            running.start()
        except OSError as error:
            self._refused(running, error)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _parts(self, home: Path, mounts: Mounts) -> Parts:
        match self._wish:
            case Mode.EVENTS:
                return Parts(home, (_ROOT,), {}, self._enters)
            case Mode.POLLING:
                return Parts(home, (), {_ROOT: ""}, self._enters)
            case Mode.SCANS:
                return Parts(home, (), {}, self._enters)
            case _:
                return parts_of(home, mounts, self._enters)

    def _refused(self, running: "_Running", error: OSError) -> None:
        why = _why_refused(error)
        try:
            inbox_identity(self._root)  # an inbox that has vanished is not a system that refuses
            if self._wish is Mode.EVENTS:
                raise WatchRefusedError(
                    f"{self._root} cannot be watched by events: {why}.", "Or set watch: auto."
                ) from error
        except MonetWatchError:
            self.__exit__(None, None, None)
            raise
        running.poll_instead(why)


class ScriptedWatch:
    """A watch for tests: what it posts, and when it dies, is said by hand."""

    def __init__(
        self, post: Callable[[WatchMessage], None], mode: Mode = Mode.EVENTS, reason: str = "A script says so."
    ) -> None:
        self._post = post
        self._trouble = "it has not been started"
        self.mode = mode
        self.reason = reason
        self.limited = False

    def trouble(self) -> str:
        """Empty if it was entered, and neither left nor told to die."""
        return self._trouble

    def say(self, *messages: WatchMessage) -> None:
        """Post ``messages``. Like a real watch, one that is in trouble posts nothing."""
        for message in messages if not self._trouble else ():
            self._post(message)

    def die(self) -> None:
        """Notice nothing any more, as a watch does whose thread has ended."""
        self._trouble = "a script has ended it"

    def __enter__(self) -> Self:
        self._trouble = ""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._trouble = "it was left"


class _Running:
    """What watches, part by part, once it has started."""

    def __init__(
        self, home: Home, parts: Parts, mounted: str, post: Callable[[WatchMessage], None], polling_seconds: float
    ) -> None:
        self._home = home
        self._parts = parts
        self._mounted = mounted
        self._mounts = _mounts_of(home.path, mounted)
        self._is_remounted = False
        self._post = post
        self._poller = Poller(home, parts, post, polling_seconds)
        self._events: _Events | None = None
        self._refused = ""
        self._beyond = 0

    @property
    def mode(self) -> Mode:
        """How it is watched at this moment."""
        if self._events is None:
            return Mode.POLLING if self._poller.tops else Mode.SCANS
        return Mode.MIXED if self._poller.tops else Mode.EVENTS

    @property
    def folders(self) -> int:
        """How many folders are watched by events."""
        return self._events.folders if self._events is not None else 0

    def start(self) -> None:
        """Begin. Raises OSError if there are no events where there should be; the rest has begun then."""
        for part in self._parts.by_polling:
            self._poller.add(part)
        if self._parts.by_events:
            self._events = _start_events(self._home, self._parts, self._post, self._poll_beyond)

    def poll_instead(self, why: str) -> None:
        """Look through everything: there are no events, for the reason ``why``."""
        self._refused = why
        for part in self._parts.by_events:
            self._poller.add(part)

    def _poll_beyond(self, folder: PurePosixPath) -> None:
        self._beyond += 1
        self._poller.add(folder)

    def nature(self) -> str:
        """What the file systems allow, in plain words."""
        polled = dict(self._parts.by_polling)
        at_the_root = polled.pop(_ROOT, None)
        if at_the_root:
            return f"The inbox lies on {at_the_root}, where changes made elsewhere cause no events."
        told = "The inbox lies on a file system that tells of changes."
        but = ", ".join(f"{part} lies on {file_system}" for part, file_system in polled.items())
        return f"{told} But {but}, where changes made elsewhere cause no events." if but else told

    def shortage(self, polling_seconds: float) -> str:
        """What the system does not grant, and how to make it; empty if it grants all that is needed."""
        if self._refused:
            return f"There are no events from the system: {self._refused}."
        if not self._beyond or self._events is None:
            return ""
        return (
            f"{self._events.folders} folders are watched by events; {self._beyond} more, with all that lies in them, "
            f"are looked through every {polling_seconds:g} s instead: {_why_refused(OSError(errno.ENOSPC, ''))}."
        )

    def trouble(self) -> str:
        """Why changes are no longer noticed, empty while they are."""
        if not self._home.is_there():
            return "the inbox is not there, or is not the same folder any more"
        if self._mounts_changed():
            return "what is mounted in the inbox has changed"
        return (self._events.trouble() if self._events is not None else "") or self._poller.trouble()

    def _mounts_changed(self) -> bool:
        mounted = mountinfo()
        if mounted != self._mounted:
            self._mounted = mounted
            self._is_remounted = _mounts_of(self._home.path, mounted) != self._mounts
        return self._is_remounted

    def stop(self) -> None:
        """End the threads, but don't wait for ever for one that hangs on a dead network mount."""
        self._poller.stop()
        if self._events is not None:
            stopper = threading.Thread(target=self._events.stop, name="watch-stopper", daemon=True)
            stopper.start()
            stopper.join(_CLOSE_SECONDS)


def _mounts_of(home: Path, mounted: str) -> tuple[MountPoint | None, ...]:
    mounts = Mounts.parse(mounted)
    return (mounts.holding(PurePosixPath(home)), *mounts.below(PurePosixPath(home)))


class _Events(Protocol):
    """Whatever tells of changes by events."""

    @property
    def folders(self) -> int: ...

    def trouble(self) -> str: ...

    def stop(self) -> None: ...


def _start_events(
    home: Home, parts: Parts, post: Callable[[WatchMessage], None], beyond: Callable[[PurePosixPath], None]
) -> _Events:
    if not _HAS_INOTIFY:
        return _Observed(home, post)
    from monet_watch.inbox.inotify import EventTree  # another system cannot so much as import it

    return EventTree(home, parts, post, beyond).__enter__()


class _Observed:
    """Another system's events: watchdog's observer, with every thread that it started."""

    folders = 1

    def __init__(self, home: Home, post: Callable[[WatchMessage], None]) -> None:
        if Observer is PollingObserver:  # watchdog's answer on a system that it knows no events of
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._translator = _Translator(home, post)
        before = set(threading.enumerate())
        self._observer = Observer()
        try:
            self._observer.schedule(self._translator, str(home.path), recursive=True)
            self._observer.start()
        except BaseException:
            self.stop()
            raise
        self._threads = [thread for thread in _watchdog_threads() if thread not in before]

    def trouble(self) -> str:
        if not all(thread.is_alive() for thread in self._threads):
            return "a thread that reads events has ended"
        return self._translator.failed

    def stop(self) -> None:
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()


def _watchdog_threads() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if isinstance(thread, BaseThread))


class _Translator(FileSystemEventHandler):
    """From watchdog's events to messages. Events of opening, and of closing what was only read, mean nothing here."""

    def __init__(self, home: Home, post: Callable[[WatchMessage], None]) -> None:
        self._home = home
        self._post = post
        self.failed = ""

    def dispatch(self, event: FileSystemEvent) -> None:
        """Translate ``event``. Never raises: that would end watchdog's thread."""
        if event.is_synthetic:
            return  # watchdog's guess at what lies in a moved folder; `FolderAppeared` leads to a scan that knows
        try:
            super().dispatch(event)
        except Exception as error:  # whatever it is, an event is lost
            self.failed = f"an event could not be handled: {error or type(error).__name__}"

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


def _why_refused(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the limit of inotify watches is reached; raise it with sysctl fs.inotify.max_user_watches={_enough()}"
    if error.errno == errno.EMFILE:
        return (
            "the limit of inotify instances, or of open files, is reached; "
            "raise it with sysctl fs.inotify.max_user_instances=1024"
        )
    return error.strerror or str(error)


def _enough() -> int:
    try:
        return max(_MANY_WATCHES, 2 * int(_WATCH_LIMIT.read_text()))
    except (OSError, ValueError):
        return _MANY_WATCHES
