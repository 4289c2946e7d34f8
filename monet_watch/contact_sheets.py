"""When a contact sheet is due: a folder in which every photo is painted, or a problem, and more than one is painted.

It is made once for each change of what it shows, which its file says itself, so that nothing has to be remembered.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable
from pathlib import PurePosixPath

from monet_watch.clerk import Clerk, Office
from monet_watch.errors import MonetWatchError
from monet_watch.ledger import Job, JobState, Ledger
from monet_watch.notices import Level, Notice
from monet_watch.outbox.files import RECORD_NAME
from monet_watch.outbox.sheet_files import SHEET_NAME, sheet_digest
from monet_watch.troubles import pause
from monet_watch.workers.sheets import SheetMaker, SheetOrder

__all__ = ["MOST_PAINTINGS", "ContactSheets"]

MOST_PAINTINGS = 240
"""On one sheet, which are about eight pages; of more, the latest are shown."""

_LAYOUT = 1  # to be raised with every change of how a sheet looks, so that those that are there are made anew
_QUIET_SECONDS = 5.0  # after a folder's last news: more may be on its way
_FIRST_PAUSE_SECONDS = 300.0
_MEGA = 1_000_000


class ContactSheets:
    """Sees to the contact sheets of all folders. ``maker`` draws them."""

    def __init__(self, office: Office, maker: SheetMaker | None = None, quiet_seconds: float = _QUIET_SECONDS) -> None:
        self._office = office
        self._maker = maker or SheetMaker()
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._due: dict[PurePosixPath, float] = {}
        self._everything = False
        self._makers_of: dict[PurePosixPath, PurePosixPath] = {}
        self._failed: dict[str, tuple[int, float]] = {}
        self._clerk = Clerk("contact sheets", self._work, office)

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        if not self._office.config.contact_sheet:
            return
        match notice.event:
            case "done" | "copied" | "problem" | "removed" if notice.photo:
                with self._lock:
                    self._due[PurePosixPath(notice.photo).parent] = time.monotonic() + self._quiet_seconds
            case "scanned":
                self._everything = True
            case _:
                return
        self._clerk.wake()

    def end(self) -> None:
        """Begin no sheet any more, but those of a run that was to paint once all that is there."""
        self._clerk.end()

    @property
    def ended(self) -> bool:
        """Whether everything is done."""
        return self._clerk.ended

    def give_up(self) -> None:
        """Leave the sheet that is being made for the next start."""
        self._maker.end()

    # In the thread.

    def _work(self) -> float | None:
        if self._clerk.ending and not self._office.once:
            return None
        if self._everything:
            self._everything = False
            with self._ledger() as ledger:
                self._look_at(ledger.painted_folders())
        self._look_at(self._taken())
        with self._lock:
            return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def _taken(self) -> list[PurePosixPath]:
        """The folders that have been quiet for a while; at the end of a run, all that had news."""
        now = time.monotonic()
        with self._lock:
            folders = [folder for folder, due in self._due.items() if due <= now or self._clerk.ending]
            for folder in folders:
                del self._due[folder]
        return folders

    def _ledger(self) -> Ledger:
        return Ledger.open_read_only(self._office.ledger)

    def _look_at(self, folders: Iterable[PurePosixPath]) -> None:
        for folder in folders:
            with self._ledger() as ledger:
                photos = () if ledger.is_unfinished(folder) else ledger.photos_in(folder)
            order = self._order(folder, photos)
            if order is not None and self._is_wanted(folder, order):
                self._make(order)

    def _order(self, folder: PurePosixPath, photos: Iterable[Job]) -> SheetOrder | None:
        """What a sheet of ``photos`` shows; None where there is nothing to be shown side by side."""
        config = self._office.config
        root = config.outbox
        photos = list(photos)
        found = [
            (job.folder, job)
            for job in photos
            if job.state is JobState.DONE and job.folder is not None and (root / job.folder / RECORD_NAME).is_file()
        ]
        if len(found) < 2:
            return None
        latest = sorted(found, key=lambda pair: pair[1].finished_at or 0.0)[-MOST_PAINTINGS:]
        shown = sorted(latest, key=lambda pair: _in_order(pair[1].path.name))
        left_out, problems = len(found) - len(shown), sum(job.state is JobState.PROBLEM for job in photos)
        title = folder.as_posix() if folder.parts else root.name
        facts = [_LAYOUT, title, left_out, problems, [[str(path), str(job.path), job.identity] for path, job in shown]]
        return SheetOrder(
            root,
            shown[0][0].parent,
            title,
            tuple((path, job.path.name) for path, job in shown),
            left_out,
            problems,
            hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest(),
            int(config.limit_megapixels * _MEGA),
            config.nice,
        )

    def _is_wanted(self, folder: PurePosixPath, order: SheetOrder) -> bool:
        if sheet_digest(order.root / order.folder / SHEET_NAME) == order.digest:
            return False
        if self._makers_of.setdefault(order.folder, folder) != folder:
            return False  # two names that are no UTF-8 have become one in the outbox
        return time.monotonic() >= self._failed.get(order.digest, (0, 0.0))[1]

    def _make(self, order: SheetOrder) -> None:
        place = order.folder / SHEET_NAME
        try:
            self._maker.make(order)
        except MonetWatchError as error:
            self._fails(order, f"The contact sheet {place} cannot be made: {error} Painting goes on.")
            return
        self._failed.pop(order.digest, None)
        count = len(order.paintings)
        text = f"The contact sheet of {order.title} shows {count} paintings: {place}."
        self._office.tell("contact-sheet", text, details={"file": str(place), "paintings": count})

    def _fails(self, order: SheetOrder, text: str) -> None:
        """Tell it once, and try it again with one of the looks through the inbox, after pauses that grow."""
        times = self._failed.get(order.digest, (0, 0.0))[0] + 1
        self._failed[order.digest] = (times, time.monotonic() + pause(times, _FIRST_PAUSE_SECONDS))
        if times == 1:
            self._office.tell("problem", text, level=Level.WARNING)


def _in_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Names as people count: IMG_9 before IMG_10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
