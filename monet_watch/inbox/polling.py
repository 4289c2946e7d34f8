"""Looking through folders again and again, where no event tells of changes.

Nothing is followed, nothing is entered by recursion, and a round that takes long is followed by a long pause: whoever
fills the inbox decides how deep and how large it is.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from monet_watch.inbox.hints import FileGone, FileTouched, FolderAppeared, FolderGone, WatchMessage
from monet_watch.inbox.home import Home
from monet_watch.inbox.parts import Parts

__all__ = ["Poller"]

_PAUSE_SHARE = 4  # times as long as the last round took, the pause is at least; so it takes a fifth of a core at most
_CLOSE_SECONDS = 5.0

_Facts = tuple[int, ...]
_Picture = dict[PurePosixPath, _Facts | None]  # None stands for a folder


class Poller:
    """Looks through folders of the inbox every ``polling_seconds``, in a thread of its own, and posts the differences.

    Whoever is given a folder to look through hears `FolderAppeared` of it when it has been looked through for the first
    time: what had changed before is for a scan to find.
    """

    def __init__(self, home: Home, parts: Parts, post: Callable[[WatchMessage], None], polling_seconds: float) -> None:
        self._home = home
        self._parts = parts
        self._post = post
        self._polling_seconds = polling_seconds
        self._pictures: dict[PurePosixPath, _Picture] = {}
        self._added = threading.Event()
        self._tops: list[PurePosixPath] = []
        self._known: set[PurePosixPath] = set()
        self._stopping = False
        self._failed = ""
        # A daemon thread: one that hangs on a dead network mount must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="poller", daemon=True)

    @property
    def tops(self) -> int:
        """How many folders are looked through, each with all that lies below it."""
        return len(self._tops)

    def trouble(self) -> str:
        """Why nothing is noticed any more; empty while all is well, or there is nothing to look through."""
        is_ended = self._thread.ident is not None and not self._thread.is_alive()
        return self._failed or ("the thread that looks through folders has ended" if is_ended else "")

    def add(self, folder: PurePosixPath) -> None:
        """Look through ``folder``, too; from one thread at a time."""
        if folder not in self._known:
            self._known.add(folder)
            self._tops.append(folder)
            self._added.set()
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """End the thread, but don't wait for ever for one that hangs on a dead network mount."""
        self._stopping = True
        self._added.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            while not self._stopping:
                self._added.clear()
                began = time.monotonic()
                self._look_through(self._tops)
                took = time.monotonic() - began
                self._rest(began + took + max(self._polling_seconds, _PAUSE_SHARE * took))
        except Exception as error:
            self._failed = f"a folder could not be looked through: {error or type(error).__name__}"

    def _rest(self, until: float) -> None:
        """Wait; but for folders that were added, only their first look."""
        while self._added.wait(max(0.0, until - time.monotonic())) and not self._stopping:
            self._added.clear()
            self._look_through(top for top in self._tops if top not in self._pictures)

    def _look_through(self, tops: Iterable[PurePosixPath]) -> None:
        for top in tops:
            picture = self._picture(top)
            if self._stopping:
                return
            if top in self._pictures:
                self._compare(self._pictures[top], picture)
            else:
                self._post(FolderAppeared(top))
            self._pictures[top] = picture

    def _picture(self, top: PurePosixPath) -> _Picture:
        picture: _Picture = {}
        folders = [top]
        while folders and not self._stopping:
            folder = folders.pop()
            try:
                with os.scandir(self._home.path / folder) as entries:
                    inside = {folder / entry.name: _facts(entry) for entry in entries}
            except OSError:
                continue  # gone, or not readable for the moment: `Home.lacks` tells which
            picture |= inside
            folders += [path for path, facts in inside.items() if facts is None and self._parts.holds(path)]
        return picture

    def _compare(self, before: _Picture, after: _Picture) -> None:
        for path, facts in after.items():
            if path not in before or before[path] != facts:
                self._post(FolderAppeared(path) if facts is None else FileTouched(path))
        for path in before.keys() - after.keys():
            # A file system that fails looks empty: that something is gone is believed only when it is seen.
            if self._home.lacks(path):
                self._post(FolderGone(path) if before[path] is None else FileGone(path))


def _facts(entry: os.DirEntry[str]) -> _Facts | None:
    """What a change of the entry shows in; None for a folder. Of one that has just gone there is nothing to tell."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return None
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return ()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
