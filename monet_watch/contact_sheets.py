"""When a contact sheet is due: a folder in which every photo is painted, or a problem, and more than one is painted.

It is made once for each change of what it shows, which its file says itself, so that nothing has to be remembered; it
goes when fewer than two paintings are left. A folder of the outbox has one sheet, which names all the folders of the
inbox whose paintings lie there: names that are no UTF-8, or differ in case alone, may have become one.
"""

import contextlib
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import PurePosixPath

from monet_watch.clerk import Clerk, Office
from monet_watch.errors import MonetWatchError
from monet_watch.ledger import Job, JobState, Ledger
from monet_watch.notices import Level, Notice
from monet_watch.outbox.files import RECORD_NAME, in_utf8
from monet_watch.outbox.sheet_files import SHEET_NAME, lonely_sheets, remove_sheet, sheet_digest
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
        self._has_looked_around = False
        self._failed: dict[str, tuple[int, float]] = {}
        self._clerk = Clerk("contact sheets", self._work, office)

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        if not self._office.config.contact_sheet:
            return
        match notice.event:
            case "done" | "copied" | "problem" | "removed" | "forgotten" if notice.photo:
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
            self._look_at(self._all_places())
        self._look_at(self._places_of(self._taken()))
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

    def _all_places(self) -> list[PurePosixPath]:
        """The folders of the outbox that have, or should have, a sheet."""
        root = self._office.config.outbox
        with self._ledger() as ledger:
            counts = ledger.painted_places()
        places = [place for place, count in counts.items() if count > 1 or os.path.lexists(root / place / SHEET_NAME)]
        if not self._has_looked_around:
            self._has_looked_around = True
            places += [place for place in lonely_sheets(root) if place not in counts]
        return places

    def _places_of(self, folders: Sequence[PurePosixPath]) -> list[PurePosixPath]:
        """Where in the outbox the paintings of those ``folders`` of the inbox lie, or would, that are finished."""
        with self._ledger() as ledger:
            finished = [folder for folder in folders if not ledger.is_unfinished(folder)]
            jobs = [job for folder in finished for job in ledger.photos_in(folder)]
        places = [job.folder.parent for job in jobs if job.folder is not None]
        return list(dict.fromkeys((*map(in_utf8, finished), *places)))

    def _look_at(self, places: Iterable[PurePosixPath]) -> None:
        for place in places:
            with self._ledger() as ledger:
                if ledger.is_unfinished(place):  # which is asked first, since it costs nothing in a bulk of photos
                    continue
                sources = sorted({source for source, other in ledger.sources_of(place) if self._is_same(place, other)})
                if any(map(ledger.is_unfinished, sources)):
                    continue
                photos = [job for source in sources for job in ledger.photos_in(source)]
            order = self._order(place, photos)
            sheet = place / SHEET_NAME
            if order is None:
                self._attempt(str(sheet), partial(self._remove, place), f"The contact sheet {sheet} cannot be removed")
            elif sheet_digest(order.root / sheet) != order.digest:
                self._attempt(order.digest, partial(self._make, order), f"The contact sheet {sheet} cannot be made")

    def _is_same(self, place: PurePosixPath, other: PurePosixPath) -> bool:
        """Whether two names mean one folder of the outbox, as they may where a share folds case."""
        root = self._office.config.outbox
        with contextlib.suppress(OSError):
            return place == other or (root / place).samefile(root / other)
        return False

    def _order(self, place: PurePosixPath, photos: Iterable[Job]) -> SheetOrder | None:
        """What a sheet of ``photos`` shows; None where there is nothing to be shown side by side."""
        config = self._office.config
        photos = list(photos)
        found = [(job.folder, job) for job in photos if job.folder is not None and self._is_painted(place, job)]
        if len(found) < 2:
            return None
        latest = sorted(found, key=lambda pair: pair[1].finished_at or 0.0)[-MOST_PAINTINGS:]
        shown = sorted(latest, key=lambda pair: _in_order(pair[1].path.name))
        sources = sorted({job.path.parent for _, job in found})
        title = " and ".join(source.as_posix() if source.parts else config.outbox.name for source in sources)
        names = [job.path.name if len(sources) == 1 else str(job.path) for _, job in shown]
        left_out, problems = len(found) - len(shown), sum(job.state is JobState.PROBLEM for job in photos)
        facts = [_LAYOUT, title, left_out, problems, [[str(path), str(job.path), job.identity] for path, job in shown]]
        return SheetOrder(
            config.outbox,
            place,
            title,
            tuple((path, name) for (path, _), name in zip(shown, names, strict=True)),
            left_out,
            problems,
            hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest(),
            int(config.limit_megapixels * _MEGA),
            config.nice,
        )

    def _is_painted(self, place: PurePosixPath, job: Job) -> bool:
        """Whether the painting that ``job`` led to lies right in ``place``."""
        if job.state is not JobState.DONE or job.folder is None or not self._is_same(place, job.folder.parent):
            return False
        return (self._office.config.outbox / job.folder / RECORD_NAME).is_file()

    def _remove(self, place: PurePosixPath) -> None:
        """Nothing is left to be shown side by side: the sheet goes."""
        sheet = place / SHEET_NAME
        if remove_sheet(self._office.config.outbox / place):
            text = f"The contact sheet {sheet} is gone: fewer than two of its paintings are left."
            self._office.tell("contact-sheet", text, details={"file": str(sheet), "paintings": 0})

    def _make(self, order: SheetOrder) -> None:
        self._maker.make(order)
        sheet, count = order.folder / SHEET_NAME, len(order.paintings)
        if sheet_digest(order.root / sheet) != order.digest:
            return  # given up at a stop
        text = f"The contact sheet of {order.title} shows {count} paintings: {sheet}."
        self._office.tell("contact-sheet", text, details={"file": str(sheet), "paintings": count})

    def _attempt(self, what: str, act: Callable[[], None], failure: str) -> None:
        """Do it; what fails is told once, and tried again with a look through the inbox, after pauses that grow."""
        times, retry_at = self._failed.get(what, (0, 0.0))
        if time.monotonic() < retry_at:
            return
        try:
            act()
        except MonetWatchError as error:
            self._failed[what] = (times + 1, time.monotonic() + pause(times + 1, _FIRST_PAUSE_SECONDS))
            if not times:
                self._office.tell("problem", f"{failure}: {error} Painting goes on.", level=Level.WARNING)
        else:
            self._failed.pop(what, None)


def _in_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Names as people count: IMG_9 before IMG_10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
