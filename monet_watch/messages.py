"""Messages to people who are elsewhere, through apprise: a collection is finished, or there are problems.

One message tells of a whole folder when nothing in it waits any more, and one of all the problems of a few minutes; a
problem that is solved by then is left out. What cannot be sent is told once, kept, and tried again after growing
pauses. What is kept is forgotten at the end of the process.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from monet_watch.clerk import Clerk, Office
from monet_watch.errors import LedgerError
from monet_watch.ledger import Job, JobState, Ledger
from monet_watch.notices import Level, Notice
from monet_watch.printable import printable
from monet_watch.troubles import pause

if TYPE_CHECKING:
    from apprise import Apprise

__all__ = ["MOST_LISTED", "Messages", "faults_of_addresses"]

MOST_LISTED = 20
"""Of the problems that one message tells."""

_QUIET_SECONDS = 10.0  # after a folder's last news: more may be on its way
_FIRST_PAUSE_SECONDS = 60.0
_MOST_KEPT = 50  # messages that could not be sent
_NEWS = ("done", "copied", "problem", "removed", "scanned")  # after which a folder may be finished
_EXTRA = "pip install 'monet-watch[notify]'"


@dataclass(frozen=True, slots=True)
class _Message:
    """A message, and the numbers of the addresses that it is still to be sent to; ``tried`` so many times."""

    title: str
    body: str
    is_bad: bool
    addresses: tuple[int, ...]
    tried: int = 0
    retry_at: float = 0.0


def faults_of_addresses(addresses: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with ``notify.urls``, or the installation. Addresses may hold passwords: none is told."""
    if not addresses:
        return
    if find_spec("apprise") is None:
        yield f"notify: this needs apprise, which is not installed; run: {_EXTRA}"
        return
    for number, address in enumerate(addresses, start=1):
        if _service(address) is None:
            kind = address.partition("://")[0] if "://" in address else "something without ://"
            words = "is none that apprise can use; its documentation says how addresses of each service are written"
            yield f"notify.urls: address {number} ({printable(kind)}) {words}"


def _service(address: str) -> "Apprise | None":
    """Whoever sends to ``address``; None where apprise cannot make sense of it."""
    from apprise import Apprise

    log = logging.getLogger("apprise")
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # what it says is told as a notice, or holds passwords
    service = Apprise()
    return service if service.add(address) else None


class Messages:
    """Sends what the config wants to be told, in a thread."""

    def __init__(self, office: Office, quiet_seconds: float = _QUIET_SECONDS) -> None:
        self._office = office
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._new: Counter[PurePosixPath] = Counter()
        self._due: dict[PurePosixPath, float] = {}
        self._problems: dict[str, str] = {}
        self._problems_due = 0.0
        self._outgoing: deque[_Message] = deque()
        self._is_failing = False
        self._clerk = Clerk("sending of messages", self._work, office)

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        settings = self._office.config.notify
        if not settings.urls or not (notice.event in _NEWS or notice.level is Level.ERROR):
            return
        with self._lock:
            if notice.event in ("done", "copied"):
                self._problems.pop(notice.photo, None)
                if settings.collections:
                    self._new[PurePosixPath(notice.photo).parent] += 1
            if settings.problems and notice.level is Level.ERROR:
                self._problem(notice, settings.gather_seconds)
            self._expect(notice)
        self._clerk.wake()

    def _problem(self, notice: Notice, gather_seconds: float) -> None:
        if not self._problems:
            self._problems_due = time.monotonic() + gather_seconds
        self._problems[notice.photo or notice.text] = f"{notice.photo}: {notice.text}" if notice.photo else notice.text

    def _expect(self, notice: Notice) -> None:
        """Look after a while whether folders with new paintings are finished by what was told."""
        due = time.monotonic() + self._quiet_seconds
        if notice.event == "scanned":
            self._due |= dict.fromkeys(self._new, due)
        elif notice.photo and (folder := PurePosixPath(notice.photo).parent) in self._new:
            self._due[folder] = due

    def end(self) -> None:
        """Send what there is to be sent."""
        self._clerk.end()

    @property
    def ended(self) -> bool:
        """Whether everything is done."""
        return self._clerk.ended

    def give_up(self) -> None:
        """Nobody waits for what is being sent."""

    # In the thread.

    def _work(self) -> float | None:
        for folder in self._quiet_folders():
            self._tell_of(folder)
        self._tell_problems()
        self._send_all()
        now = time.monotonic()
        with self._lock:
            dues = [*self._due.values(), *([self._problems_due] if self._problems else [])]
        dues += [message.retry_at for message in self._outgoing]
        return max(0.0, min(dues) - now) if dues else None

    def _quiet_folders(self) -> list[PurePosixPath]:
        now = time.monotonic()
        with self._lock:
            folders = [folder for folder, due in self._due.items() if due <= now or self._clerk.ending]
            for folder in folders:
                del self._due[folder]
        return folders

    def _tell_of(self, folder: PurePosixPath) -> None:
        """Tell of a folder that is finished; of one that is not, its next news will."""
        try:
            with Ledger.open_read_only(self._office.ledger) as ledger:
                photos = () if ledger.is_unfinished(folder) else ledger.photos_in(folder)
        except LedgerError:
            return
        if not photos:
            return
        with self._lock:
            count = self._new.pop(folder, 0)
        if count:
            self._put(*_summary(folder, count, photos, str(self._office.config.outbox)), is_bad=False)

    def _tell_problems(self) -> None:
        with self._lock:
            if not self._problems or not (self._clerk.ending or self._problems_due <= time.monotonic()):
                return
            problems, self._problems = list(self._problems.values()), {}
        title = "monet-watch: " + (f"{len(problems)} problems" if len(problems) > 1 else "a problem")
        self._put(title, "\n".join(_listed(problems)), is_bad=True)

    def _put(self, title: str, body: str, is_bad: bool) -> None:
        addresses = tuple(range(len(self._office.config.notify.urls)))
        self._outgoing.append(_Message(printable(title), body, is_bad, addresses))
        while len(self._outgoing) > _MOST_KEPT:
            self._outgoing.popleft()

    def _send_all(self) -> None:
        now = time.monotonic()
        due = [message for message in self._outgoing if message.retry_at <= now]
        for message in due:
            self._outgoing.remove(message)
            left = tuple(number for number in message.addresses if not self._send(message, number))
            if left:
                tried = message.tried + 1
                retry_at = time.monotonic() + pause(tried, _FIRST_PAUSE_SECONDS)
                self._outgoing.append(replace(message, addresses=left, tried=tried, retry_at=retry_at))
            self._tell_how_it_goes(left)

    def _send(self, message: _Message, number: int) -> bool:
        """Send to one address; True, too, for one that is not in the config any more."""
        from apprise import NotifyFormat, NotifyType

        addresses = self._office.config.notify.urls
        service = _service(addresses[number]) if number < len(addresses) else None
        if service is None:
            return True
        kind = NotifyType.FAILURE if message.is_bad else NotifyType.SUCCESS
        return bool(
            service.notify(title=message.title, body=message.body, notify_type=kind, body_format=NotifyFormat.TEXT)
        )

    def _tell_how_it_goes(self, left: Sequence[int]) -> None:
        if left and not self._is_failing:
            where = ", ".join(str(number + 1) for number in left)
            text = f"A message could not be sent to address {where} of notify.urls; it is tried again and again."
            self._office.tell("problem", text, level=Level.WARNING)
        elif self._is_failing and not left:
            self._office.tell("notify", "Messages can be sent again.")
        self._is_failing = bool(left)


def _summary(folder: PurePosixPath, count: int, photos: Sequence[Job], outbox: str) -> tuple[str, str]:
    """The title and the body of the message that ``count`` paintings more finish a folder."""
    name = str(folder) if folder.parts else "the inbox"
    done = sum(job.state is JobState.DONE for job in photos)
    problems = [f"{job.path.name}: {job.reason}" for job in photos if job.state is JobState.PROBLEM]
    title = f"monet-watch: {count} new painting{'s' * (count != 1)} in {name}"
    lines = [f"Every photo in {printable(name)} is done; {done} {'is' if done == 1 else 'are'} painted."]
    if problems:
        lines += [f"{len(problems)} could not be painted:", *_listed(problems)]
    place = f"{outbox}/{folder}" if folder.parts else outbox
    return title, "\n".join([*lines, f"They lie in {printable(place)}."])


def _listed(lines: Sequence[str]) -> list[str]:
    shown = [f"- {printable(line)}" for line in lines[:MOST_LISTED]]
    return [*shown, f"- and {len(lines) - MOST_LISTED} more"] if len(lines) > MOST_LISTED else shown
