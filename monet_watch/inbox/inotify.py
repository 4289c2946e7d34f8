"""Events from Linux's inotify(7): one watch for each folder, set and counted here, over watchdog's descriptor.

Watchdog's own way down a tree tells nobody which folders the limit of watches has left out, follows what is mounted
below, however dead the other end, and goes by recursion into whatever depth a stranger has made.
"""

import errno
import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Container, Iterable
from pathlib import PurePosixPath
from typing import Final, Self

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from monet_watch.inbox.hints import EventsLost, FileGone, FileTouched, FolderAppeared, FolderGone, WatchMessage
from monet_watch.inbox.home import Home
from monet_watch.inbox.parts import Parts

__all__ = ["EventTree"]

_MASK: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
_WRITE_PAUSE_SECONDS = 0.05  # between two writes that are told of, while nothing else happens to the file
_WRITES_REMEMBERED = 1024
_MOVES_REMEMBERED = 256  # their halves mostly come one right after the other


class EventTree:
    """Watches the parts of ``parts`` that have events, folder by folder, and posts what happens.

    ``post`` and ``beyond`` are called from a thread of its own, ``beyond`` also while it starts: with each folder that
    the limit of watches leaves out, together with all that lies below it. Raises OSError if it cannot start.
    """

    def __init__(
        self, home: Home, parts: Parts, post: Callable[[WatchMessage], None], beyond: Callable[[PurePosixPath], None]
    ) -> None:
        self._home = home
        self._parts = parts
        self._post = post
        self._beyond = beyond
        self._failed = ""
        self._paths: dict[WatchDescriptor, PurePosixPath] = {}
        self._watched: dict[PurePosixPath, WatchDescriptor] = {}
        self._moves: deque[int] = deque(maxlen=_MOVES_REMEMBERED)
        self._writes: dict[PurePosixPath, float] = {}
        logging.getLogger("watchdog").addHandler(logging.NullHandler())  # what it says is told in our own words
        # A moved folder is found twice, under both its names; watchdog copes, but not without a word.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._descriptor = InotifyFD()

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return len(self._watched)

    def trouble(self) -> str:
        """Why nothing is noticed any more; empty while all is well."""
        if not self._descriptor.is_alive():
            return "the thread that reads events has ended"
        return self._failed

    def __enter__(self) -> Self:
        try:
            self._cover(self._parts.by_events, must={PurePosixPath()})
        except OSError:
            self.stop()
            raise
        self._descriptor.start()
        return self

    def stop(self) -> None:
        """End the thread, and give the watches back."""
        if self._descriptor.ident is None:
            self._descriptor.start()  # only a running one gives back what it holds
        self._descriptor.stop()
        self._descriptor.join()

    # Called by watchdog's thread.

    def on_event(self, event: InotifyEvent) -> None:
        """Tell what ``event`` means. Never raises: that would end the thread, and every later event with it."""
        folder = self._paths.get(event.wd)
        if folder is None or not event.name:
            return  # what happens to a folder itself is told by the one above it
        try:
            path = folder / os.fsdecode(event.name)
            if event.is_directory:
                self._on_folder(event, path)
            else:
                self._on_file(event, path)
        except Exception as error:  # whatever it is, an event is lost
            self._fail(error)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder is gone, or what it lay on was unmounted."""
        path = self._paths.pop(wd, None)
        if path is not None and self._watched.get(path) == wd:
            del self._watched[path]

    def on_queue_overflow(self) -> None:
        """Events were dropped: watch what has been made since, and forget what has been moved away."""
        before = set(self._paths)
        self._paths.clear()
        self._watched.clear()
        try:
            self._cover(self._parts.by_events)
            self._give_back(before - set(self._paths))
            self._post(EventsLost())
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failed = f"an event could not be handled: {error or type(error).__name__}"

    def _on_folder(self, event: InotifyEvent, path: PurePosixPath) -> None:
        if event.is_moved_from:
            self._leave(path)
        if event.is_moved_from or event.is_delete:
            self._vanished(path, FolderGone(path), FolderAppeared(path))
        elif (not event.is_attrib or path not in self._watched) and self._parts.holds(path):
            self._cover([path])
            self._post(FolderAppeared(path))

    def _on_file(self, event: InotifyEvent, path: PurePosixPath) -> None:
        if event.is_moved_from:
            self._moves.append(event.cookie)
        if event.is_moved_from or event.is_delete:
            self._vanished(path, FileGone(path), FileTouched(path))
        elif event.is_moved_to:
            self._post(FileTouched(path, closed=event.cookie not in self._moves))
        elif self._is_news(event, path):
            self._post(FileTouched(path, closed=event.is_close_write))

    def _vanished(self, path: PurePosixPath, gone: WatchMessage, there: WatchMessage) -> None:
        """Tell that something is gone if it is: by this time, another may bear its name."""
        if self._home.lacks(path):
            self._post(gone)
        elif self._home.is_there():
            self._post(there)

    def _is_news(self, event: InotifyEvent, path: PurePosixPath) -> bool:
        """Whether the event is worth telling: a large copy is thousands of writes."""
        if not event.is_modify:
            self._writes.pop(path, None)
            return True
        now = time.monotonic()
        if now - self._writes.get(path, float("-inf")) < _WRITE_PAUSE_SECONDS:
            return False
        if len(self._writes) >= _WRITES_REMEMBERED:
            self._writes.clear()
        self._writes[path] = now
        return True

    # Watches.

    def _cover(self, tops: Iterable[PurePosixPath], must: Container[PurePosixPath] = ()) -> None:
        """Watch the folders ``tops`` and all below them. Raises OSError if one of those that ``must`` be cannot be.

        A folder is watched before it is read, so that what is made in it meanwhile is told of or found. Those further
        up come first: where the limit of watches is reached, the large branches are watched at least near the root.
        """
        folders = deque(tops)
        while folders:
            folder = folders.popleft()
            try:
                if self._watch(folder):
                    folders.extend(self._parts.folders_in(folder))
            except OSError as error:
                if folder in must:
                    raise
                if error.errno == errno.ENOSPC:
                    self._beyond(folder)

    def _watch(self, folder: PurePosixPath) -> bool:
        if folder in self._watched:
            return False
        place = os.fsencode(self._home.path / folder)
        wd = self._descriptor.add_callback(place, _MASK, self, CallbackId(id(self)))
        if wd == -1:  # watchdog's answer where a folder may not be read; it is told of when that changes
            return False
        self.on_watch_deleted(wd)  # it may be that of a folder which was moved here, and of which that is not told yet
        self._paths[wd] = folder
        self._watched[folder] = wd
        return True

    def _leave(self, folder: PurePosixPath) -> None:
        """No longer watch what was moved away; where it is in the inbox still, it is found under its other name."""
        self._give_back({wd for wd, path in self._paths.items() if path == folder or folder in path.parents})

    def _give_back(self, watches: set[WatchDescriptor]) -> None:
        for wd in watches:
            self.on_watch_deleted(wd)
        self._descriptor.remove_callbacks([(wd, CallbackId(id(self))) for wd in watches])
