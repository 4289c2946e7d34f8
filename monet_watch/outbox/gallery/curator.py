"""Who keeps the gallery: a thread that is told what happened and writes it, so that nobody who paints waits for it.

Orders that have not been carried out are held together: of ten moments only the last is shown, and of paintings that
are finished in the meantime each is hung once. What cannot be written is told, kept, and tried again after a pause.
"""

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from monet_watch.errors import MonetWatchError
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.gallery.gallery import Gallery, Thumbnail
from monet_watch.outbox.gallery.moment import Moment

__all__ = ["LOCK_NAME", "Curator", "gallery_lock", "rebuild"]

LOCK_NAME = "gallery.lock"
"""In the state folder: who holds it may write the gallery."""

_PAUSE_SECONDS = 30.0
_SHOW_SECONDS = 3.0  # between two looks at what goes on
_MOST_THUMBNAILS = 500  # that wait; a gallery that cannot be written must not fill the memory


def gallery_lock(state: Path) -> FileLock:
    """Return what lets one process at a time write the gallery."""
    return FileLock(state / LOCK_NAME)


@dataclass(slots=True)
class _Orders:
    """What is to be done."""

    thumbnails: dict[tuple[str, str], Thumbnail] = field(default_factory=dict)
    finished: dict[PurePosixPath, None] = field(default_factory=dict)
    sheets: frozenset[PurePosixPath] = frozenset()
    sweep: bool = False
    moment: Moment | None = None

    def __bool__(self) -> bool:
        return bool(self.urgent or self.moment)

    @property
    def urgent(self) -> bool:
        """Whether there is more to do than to show what goes on, which changes with every step."""
        return bool(self.thumbnails or self.finished or self.sheets or self.sweep)

    def followed_by(self, later: "_Orders") -> "_Orders":
        kept = list({**self.thumbnails, **later.thumbnails}.items())[-_MOST_THUMBNAILS:]
        finished = {**self.finished, **later.finished}
        sheets, sweep = self.sheets | later.sheets, self.sweep or later.sweep
        return _Orders(dict(kept), finished, sheets, sweep, later.moment or self.moment)


class Curator:
    """Keeps the gallery of ``outbox`` while the context lasts. Its methods may be called from any thread.

    ``patience_seconds`` is how long the end waits for what is still to be written, ``pause_seconds`` how long it waits
    before what could not be written is tried again.
    """

    def __init__(
        self, outbox: Outbox, state: Path, patience_seconds: float = 1.0, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        self._outbox = outbox
        self._gallery = Gallery(outbox.root)
        self._lock = gallery_lock(state)
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._changed = threading.Condition()
        self._orders = _Orders(sweep=True)
        self._closed = False
        self._retry_at = self._show_at = float("-inf")
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._patience_seconds)

    @property
    def trouble(self) -> str:
        """Why the gallery is not as it should be; empty while it is."""
        return self._trouble

    def keep(self, thumbnail: Thumbnail) -> None:
        """Keep a small picture of what is being painted."""
        self._order(_Orders(thumbnails={(thumbnail.identity, thumbnail.name): thumbnail}))

    def hang(self, folder: PurePosixPath) -> None:
        """A painting is finished in ``folder``, relative to the outbox."""
        self._order(_Orders(finished={folder: None}))

    def look_at_sheet(self, folder: PurePosixPath) -> None:
        """The contact sheet in ``folder``, relative to the outbox, has been made, or has gone."""
        self._order(_Orders(sheets=frozenset({folder})))

    def sweep(self) -> None:
        """Look through the outbox for what was removed, and for what was added by somebody else."""
        self._order(_Orders(sweep=True))

    def show(self, moment: Moment) -> None:
        """Show what goes on."""
        self._order(_Orders(moment=moment))

    def _order(self, orders: _Orders) -> None:
        with self._changed:
            self._orders = self._orders.followed_by(orders)
            self._changed.notify_all()

    def _run(self) -> None:
        while (orders := self._next()) is not None:
            left = self._carry_out(orders)
            now = time.monotonic()
            self._retry_at = now + self._pause_seconds if left else now
            if orders.moment is not None:
                self._show_at = now + _SHOW_SECONDS
            with self._changed:
                self._orders = left.followed_by(self._orders)

    def _next(self) -> _Orders | None:
        """Wait until there is something to do, and take all of it; None at the end."""
        with self._changed:
            while not self._closed and (pause := self._pause()) != 0:
                self._changed.wait(pause)
            orders, self._orders = self._orders, _Orders()
            return orders if orders and time.monotonic() >= self._retry_at else None

    def _pause(self) -> float | None:
        """The seconds until something is to be done; None while there is nothing."""
        if not self._orders:
            return None
        due = self._retry_at if self._orders.urgent else max(self._retry_at, self._show_at)
        return max(0.0, due - time.monotonic())

    def _carry_out(self, orders: _Orders) -> _Orders:
        """Do all of it, and return what has to be tried again."""
        try:
            with self._lock.acquire(timeout=_PAUSE_SECONDS):
                self._write(orders)
        except Timeout:
            return orders  # somebody makes it anew, which takes a while
        except (MonetWatchError, OSError) as error:
            self._trouble = f"The gallery cannot be written: {_in_words(error)}"
            return orders
        except Exception as error:  # the boundary: whatever is wrong with the gallery, painting goes on
            self._trouble = f"The gallery is not complete: {type(error).__name__}: {error}"
            return _Orders()
        self._trouble = ""
        return _Orders()

    def _write(self, orders: _Orders) -> None:
        gallery = self._gallery
        self._outbox.require()  # in what an unmounted share leaves behind a gallery would pass for paintings
        gallery.open()
        for thumbnail in orders.thumbnails.values():
            gallery.keep(thumbnail)
        if orders.finished:
            gallery.add(orders.finished)
        if orders.sheets:
            gallery.look_at_sheets(orders.sheets)
        if orders.sweep:
            gallery.sweep()
        if orders.moment is not None:
            gallery.show(orders.moment)


def _in_words(error: MonetWatchError | OSError) -> str:
    if isinstance(error, MonetWatchError):
        return str(error)
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{place}{error.strerror or error}. Check the free space and the permissions of the outbox."


def rebuild(root: Path, state: Path) -> int:
    """Make the gallery of the outbox at ``root`` anew, and return how many paintings it shows.

    A daemon that runs goes on with what is made here. Raises OutboxError and OSError.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(gallery_lock(state))
        return Gallery(root).rebuild()
