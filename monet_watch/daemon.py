"""The daemon: one loop over one mailbox. Messages in, decisions out.

Watchdog's threads, the surveyor's, the workers' pipes and the signal handlers only post; only this loop changes the
ledger. A test drives it without threads: it posts messages, calls `Daemon.turn`, and looks at the ledger.
"""

import contextlib
import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from monet_watch.aftercare import LookedAfter
from monet_watch.arrivals import Arrivals
from monet_watch.crew import FromWorker
from monet_watch.dispatch import Dispatch
from monet_watch.errors import LedgerError, LedgerUnavailableError, MonetWatchError, SettingsError
from monet_watch.hours import ActiveHours
from monet_watch.housekeeping import HOUSEKEEPING_SECONDS
from monet_watch.inbox.hints import EventsLost, FileGone, FileTouched, FolderAppeared, FolderGone, WatchMessage
from monet_watch.inbox.survey import Hashed, HashFailed, InboxGone, InboxGoneError, Scanned, SurveyMessage, Unreadable
from monet_watch.inbox.watch import Watch
from monet_watch.ledger import (
    CONFIG_FAULT_KEY,
    HEARTBEAT_KEY,
    PAUSED_KEY,
    RESTING_KEY,
    TROUBLE_KEY,
    JobState,
    Ledger,
    Overview,
    WatchState,
)
from monet_watch.notices import Level, Listener, Notice, tell
from monet_watch.outlook import looking_ahead
from monet_watch.renewal import ConfigFile, Renewal
from monet_watch.requests import Desk
from monet_watch.service import Notifier, ReloadAsked, StopAsked
from monet_watch.troubles import pause
from monet_watch.workers.base import JobCheckpoint, JobSnapshot, JobStep, WorkerSaid

__all__ = ["HEARTBEAT_SECONDS", "Daemon", "DaemonParts", "Mailbox", "Message", "Outcome", "View"]

HEARTBEAT_SECONDS = 10.0
"""Between two notes in the ledger that the daemon is alive."""

_DRAIN_SECONDS = 7.0  # for a checkpoint after a stop was asked for; the whole must end within ten, however busy
_LONGEST_NAP_SECONDS = 1.0
_VIEW_SECONDS = 0.25
_VIEW_SHARE = 0.02  # of the loop's time is the most that goes into telling how things stand
_MOMENT_SECONDS = 0.1  # for which messages may keep the loop from what is due
_RETRY_WATCH_SECONDS = 15.0
_LOOK_FOR_INBOX_SECONDS = 5.0  # while it is away
_WATCH_PATIENCE_SECONDS = 600.0  # in which an inbox that is there must be watched, if it is ever to be
_DESK_SECONDS = 1.0
_UNSEEN_REMEDY = "Check its permissions and its disk; each look through the inbox tries it again."
_DUE_IN_ANY_CASE = ("heartbeat", "watchdog", "claim", "tidy")  # at the end, too, when nothing else is tended to
_FIRST_OUTAGE_SECONDS, _LONGEST_OUTAGE_SECONDS = 1.0, 30.0  # between two tries to use a ledger that cannot be used

Message = WatchMessage | SurveyMessage | FromWorker | LookedAfter | StopAsked | ReloadAsked | Notice
"""All that can arrive in the mailbox."""


class Outcome(IntEnum):
    """How a run ended; the values are exit codes."""

    FINE = 0
    PROBLEMS = 1


class Mailbox:
    """Where every thread leaves its messages for the loop."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def post(self, message: Message) -> None:
        """Leave a message; from any thread, never blocks. Safe in a signal handler, too."""
        self._messages.put(message)

    def drop(self, *kinds: type[Message]) -> list[Message]:
        """Take out and return all messages of these kinds: whoever they were meant for is not there any more."""
        kept: list[Message] = []
        dropped: list[Message] = []
        while (message := self.next(0)) is not None:
            (dropped if isinstance(message, kinds) else kept).append(message)
        for each in kept:
            self.post(each)
        return dropped

    def next(self, timeout_seconds: float) -> Message | None:
        """Return the oldest message; None if none arrives within ``timeout_seconds``."""
        try:
            return self._messages.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._messages.get_nowait()
        except queue.Empty:
            return None


class View(Protocol):
    """Whoever shows how things stand."""

    def update(self, overview: Overview) -> None:
        """Show ``overview``; must not raise and must not block."""


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """What the daemon works with. ``clock`` is monotonic, ``now`` the time of day, both in seconds."""

    mailbox: Mailbox
    ledger: Ledger
    arrivals: Arrivals
    dispatch: Dispatch
    desk: Desk
    config_file: ConfigFile
    renew_claim: Callable[[], None]
    make_watch: Callable[[], Watch]
    notifier: Notifier
    view: View
    tell: Listener
    clock: Callable[[], float]
    now: Callable[[], float]
    hours: ActiveHours
    rescan_seconds: float
    inbox: Path
    tidy: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Outage:
    """The ledger could not be used ``times`` times in a row; it is tried again ``until``, on the monotonic clock."""

    times: int
    until: float


class Daemon:
    """Runs until it is asked to stop; ``once``: until all that was in the inbox is painted, or cannot be."""

    def __init__(self, parts: DaemonParts, once: bool = False) -> None:
        self._parts = parts
        self._tell = partial(tell, parts.tell)
        self._once = once
        self._watch: Watch | None = None
        self._watch_stack = ExitStack()
        self._lost_for = ""
        self._watch_state = WatchState()
        self._watched_at = parts.clock()
        self._missing = ""
        self._inbox_away = False
        self._not_seen: set[Unreadable] = set()
        self._started = False
        self._stop_at: float | None = None
        self._renewal: Renewal | None = None
        self._renew_at = 0.0
        self._due = {
            "scan": 0.0,
            "heartbeat": 0.0,
            "watchdog": 0.0,
            "claim": 0.0,
            "watch": 0.0,
            "desk": 0.0,
            "tidy": 0.0,
        }
        self._resting: str | None = None
        self._trouble: str | None = None
        self._outage: _Outage | None = None
        self._unheard: deque[Message] = deque()
        self._view_at = 0.0
        self._changed = True

    @property
    def renewal(self) -> Renewal | None:
        """The config that another daemon is to go on with, where this one has ended for that."""
        return self._renewal

    def run(self) -> Outcome:
        """Run to the end, or until a config is to be taken over; the workers are then left for whoever goes on.

        Raises LedgerError, and WorkerError where it is to run once and no worker can be started."""
        with self._watch_stack:
            try:
                self.start()
                while not self.finished():
                    self.turn(self.nap())
                return self._outcome()
            finally:
                self._stop()

    # The loop.

    def start(self) -> None:
        """Start the workers, watch and scan the inbox, and tell the service manager."""
        parts = self._parts
        parts.dispatch.open()
        try:
            self._tend_desk()
            self._tend_watch()
        except LedgerUnavailableError as error:
            self._wait_for_ledger(error)
        self._tell("started", f"Watching {parts.inbox}.")
        self._due["scan"] = parts.clock() + parts.rescan_seconds
        parts.arrivals.scan()
        parts.notifier.ready()
        self._started = True

    def nap(self) -> float:
        """Seconds until something is due: how long to wait for a message."""
        try:
            due = min(self._dues())
        except LedgerUnavailableError as error:
            due = self._wait_for_ledger(error)
        return min(max(0.0, due - self._parts.clock()), _LONGEST_NAP_SECONDS)

    def _dues(self) -> Iterator[float]:
        """The times, on the clock, at which there is something to do."""
        if self._stop_at is not None:
            yield self._stop_at
        if self._outage is not None:
            yield self._outage.until
            return
        if self._unheard:
            yield self._parts.clock()
        yield from (self._due[name] for name in (_DUE_IN_ANY_CASE if self._stop_at is not None else self._due))
        if self._changed:
            yield self._view_at
        if self._stop_at is None:
            yield from self._dues_of_work()

    def _dues_of_work(self) -> Iterator[float]:
        if (due := self._parts.dispatch.next_due()) is not None:
            yield due
        if not self._inbox_away and (due := self._parts.arrivals.next_due()) is not None:
            yield due

    def turn(self, timeout_seconds: float = 0.0) -> None:
        """Handle what has arrived, waiting up to ``timeout_seconds`` for it, then do what is due.

        While the ledger cannot be used, nothing is: messages wait, and so does everybody but systemd's watchdog, and
        other daemons that would take the outbox.
        """
        self._collect(timeout_seconds)
        if self._outage is not None and self._parts.clock() < self._outage.until:
            self._feed_watchdog()
            self._renew_claim()
            return
        try:
            self._hear_all()
            self._tend()
        except LedgerUnavailableError as error:
            self._wait_for_ledger(error)
            return
        self._end_outage()
        helpless = self._parts.dispatch.helpless
        if self._once and helpless is not None:
            raise helpless

    def _collect(self, timeout_seconds: float) -> None:
        """Take what has arrived out of the mailbox; whoever asks for the end is heard at once."""
        message = self._parts.mailbox.next(timeout_seconds)
        while message is not None:
            if isinstance(message, StopAsked):
                self._stop_asked(message)
            else:
                self._keep(message)
            message = self._parts.mailbox.next(0)

    def _keep(self, message: Message) -> None:
        """Keep ``message`` until it is handled, which while the ledger cannot be used may take days.

        Then what is large and needs no ledger is handled at once, and what the next scan finds anyway is let go.
        """
        match message:
            case _ if self._outage is None:
                self._unheard.append(message)
            case FromWorker(event=JobSnapshot() | JobCheckpoint() | WorkerSaid()):
                self._parts.dispatch.handle(message)
            case FileTouched() | FileGone() | FolderAppeared() | FolderGone() | EventsLost():
                pass
            case _:
                self._unheard.append(message)

    def _hear_all(self) -> None:
        """Handle each message; one at which the ledger fails is heard once more when it can be used again.

        What is due does not wait for the end of a flood: after a moment the rest waits for the next turn.
        """
        until = self._parts.clock() + _MOMENT_SECONDS
        while self._unheard and self._parts.clock() <= until:
            self._changed = True
            if _is_step(self._unheard[0]):
                self._hear_steps(until)
            else:
                self._handle(self._unheard[0])
                self._unheard.popleft()

    def _hear_steps(self, until: float) -> None:
        """Handle the steps that come next, with one commit: a thousand workers take thousands of them in a second.

        Where the ledger fails, how far those paintings are is told by their next steps.
        """
        with self._parts.ledger.batch(durable=False):
            while self._unheard and _is_step(self._unheard[0]) and self._parts.clock() <= until:
                self._handle(self._unheard.popleft())

    def _wait_for_ledger(self, error: LedgerUnavailableError) -> float:
        """Return when to try again, on the clock."""
        if self._once:
            raise error  # nobody is there to free space
        times = 1 if self._outage is None else self._outage.times + 1
        seconds = min(pause(times, _FIRST_OUTAGE_SECONDS), _LONGEST_OUTAGE_SECONDS)
        self._outage = _Outage(times, self._parts.clock() + seconds)
        if times == 1:
            text = f"{error} It is tried again and again; what is being painted goes on."
            self._tell("problem", text, level=Level.ERROR)
            self._parts.notifier.status(error.message)
            self._keep_little()
        return self._outage.until

    def _keep_little(self) -> None:
        """Go through what is unheard as `_keep` does. The first is tried again: as long as it fails, pauses grow."""
        later = [self._unheard.pop() for _ in range(len(self._unheard) - 1)]
        for message in reversed(later):
            self._keep(message)

    def _end_outage(self) -> None:
        if self._outage is not None:
            self._outage = None
            self._tell("resting", "The record can be used again; everything goes on.")
            self._due["scan"] = self._parts.clock()  # for whatever was forgotten on the way

    def finished(self) -> bool:
        """Whether there is a reason to end the loop."""
        if self._stop_at is not None:
            return not self._parts.dispatch.busy or self._parts.clock() >= self._stop_at
        if self._renewal is not None and self._outage is None and not self._unheard:
            is_free = not (self._renewal.needs_new_workers and self._parts.dispatch.busy)
            return is_free or self._parts.clock() >= self._renew_at
        return self._once and self._is_quiet()

    def _is_quiet(self) -> bool:
        counts = self._parts.ledger.counts()
        is_arriving = self._parts.arrivals.busy and not self._inbox_away  # nobody knows whether it comes back
        if is_arriving or self._parts.dispatch.caring or counts[JobState.RUNNING]:
            return False
        return not counts[JobState.QUEUED] or self._parts.dispatch.paused  # nobody is there to clear a full disk

    def _outcome(self) -> Outcome:
        counts = self._parts.ledger.counts()
        unpainted = counts[JobState.PROBLEM] + counts[JobState.WAITING] + counts[JobState.QUEUED]
        is_bad = unpainted or self._not_seen or self._inbox_away
        if not self._once or self._stop_at is not None or not is_bad:
            return Outcome.FINE
        text = f"Photos that could not be painted: {unpainted}. The outbox, and `monet-watch status`, say why."
        if self._not_seen:
            text += f" Files and folders that could not be looked at: {len(self._not_seen)}."
        away = "The inbox is away: whatever else lies in it was not painted."
        self._tell("problem", away if self._inbox_away else text, level=Level.ERROR)
        return Outcome.PROBLEMS

    # Messages.

    def _handle(self, message: Message) -> None:
        try:
            self._sort(message)
        except InboxGoneError as error:
            self._inbox_gone(error.message, error.remedy)

    def _sort(self, message: Message) -> None:
        arrivals = self._parts.arrivals
        match message:
            case FileTouched() | FileGone() | FolderAppeared() | FolderGone() | EventsLost():
                self._heed(message)
            case Scanned():
                self._scanned(message)
            case Hashed(files):
                arrivals.hashed(files)
            case HashFailed():
                arrivals.hash_failed(message)
            case InboxGone(reason, remedy):
                arrivals.scan_failed()
                self._inbox_gone(reason, remedy)
            case FromWorker():
                self._parts.dispatch.handle(message)
            case LookedAfter():
                self._parts.dispatch.looked_after(message)
            case ReloadAsked():
                self._read_config()
            case Notice():
                self._parts.tell(message)

    def _scanned(self, scanned: Scanned) -> None:
        self._parts.arrivals.scanned(scanned)
        if self._inbox_away:
            self._inbox_away = False
            self._tell("started", f"The inbox {self._parts.inbox} is there again.")
            self._parts.dispatch.inbox_is_back()
        self._tell_errors(scanned)
        if scanned.sub == PurePosixPath():
            self._note_watch(trouble="", scanned_at=self._parts.now())

    def _tell_errors(self, scanned: Scanned) -> None:
        """Tell what could not be looked at, once for as long as that is so."""
        for error in scanned.errors:
            if error not in self._not_seen:
                text = f"It cannot be looked at: {error.reason.rstrip('.')}. {_UNSEEN_REMEDY}"
                self._tell("problem", text, error.path, Level.WARNING)
        elsewhere = {error for error in self._not_seen if not error.path.is_relative_to(scanned.sub)}
        self._not_seen = elsewhere | set(scanned.errors)

    def _inbox_gone(self, reason: str, remedy: str) -> None:
        if not self._inbox_away:
            self._inbox_away = True
            self._tell("problem", f"{reason} {remedy}".strip(), level=Level.ERROR)
        self._note_watch(trouble=f"{reason} {remedy}".strip())
        self._due["scan"] = min(self._due["scan"], self._parts.clock() + _LOOK_FOR_INBOX_SECONDS)

    def _heed(self, hint: WatchMessage) -> None:
        match hint:
            case FileTouched(path, closed):
                self._parts.arrivals.touched(path, closed)
            case FileGone(path):
                self._parts.arrivals.gone(path)
            case FolderAppeared(path) | FolderGone(path):
                self._parts.arrivals.scan(path)
            case EventsLost():
                self._events_lost()

    def _events_lost(self) -> None:
        text = "More happened in the inbox at once than the system remembers; everything is looked through."
        self._tell("watching", text, level=Level.WARNING)
        self._due["scan"] = self._parts.clock()  # and once, however often it is said

    def _read_config(self) -> None:
        """Read the config again, and make ready to take it over; one that cannot be used changes nothing."""
        parts = self._parts
        parts.notifier.reloading()
        try:
            renewal, fault = parts.config_file.renewal(), ""
        except MonetWatchError as error:
            faults = error.faults if isinstance(error, SettingsError) else (str(error),)
            renewal, fault = None, f"The config stays as it was: {'; '.join(faults)}"
        parts.ledger.note(CONFIG_FAULT_KEY, fault)
        if renewal is not None:
            self._take_over(renewal)
            return
        if fault:
            self._tell("config-broken", fault, level=Level.ERROR)
        else:
            self._tell("config", "The config was read again; nothing in it is another than before.")
        parts.notifier.ready()

    def _take_over(self, renewal: Renewal) -> None:
        if self._stop_at is not None:
            return
        self._renewal = renewal
        self._renew_at = self._parts.clock() + _DRAIN_SECONDS
        text = f"The config has changed, and holds from this moment on: {', '.join(sorted(renewal.changed))}."
        if renewal.needs_new_workers:
            text += " What is being painted stops after a checkpoint and goes on with it."
            self._parts.dispatch.suspend()
        self._tell("config", text)

    def _stop_asked(self, asked: StopAsked) -> None:
        self._renewal = None  # the next start reads the config anyway
        if asked.at_once:
            self._stop_at = self._parts.clock()
        elif self._stop_at is None:
            self._stop_at = self._parts.clock() + _DRAIN_SECONDS
            self._parts.notifier.stopping()
            self._tell("stopping", f"{asked.signal_name}: what is being painted stops after a checkpoint.")
            self._parts.dispatch.drain()

    # What is due.

    def _tend(self) -> None:
        if self._stop_at is None:
            self._tend_arrivals()
            if self._is_due("scan", self._parts.rescan_seconds):
                self._parts.arrivals.scan()
            self._tend_watch()
            self._tend_desk()
            self._parts.dispatch.tend()
        self._keep_alive()
        self._show()

    def _tend_arrivals(self) -> None:
        """Go on with what arrives, unless the inbox is away: what is due there is due again when it is back."""
        if self._inbox_away:
            return
        try:
            self._parts.arrivals.tend()
        except InboxGoneError as error:
            self._inbox_gone(error.message, error.remedy)

    def _is_due(self, name: str, interval_seconds: float) -> bool:
        if self._parts.clock() < self._due[name]:
            return False
        self._due[name] = self._parts.clock() + interval_seconds
        return True

    def _tend_watch(self) -> None:
        """Start the watch, or a new one if it has died; while it cannot be started the scans do its work."""
        if self._watch is not None:
            self._lost_for = self._watch.trouble()
            if not self._lost_for:
                self._due["watch"] = self._parts.clock() + _LONGEST_NAP_SECONDS
                self._say_how_it_watches(self._watch)
                return
        if not self._is_due("watch", _RETRY_WATCH_SECONDS):
            return
        self._watch = None
        with contextlib.suppress(MonetWatchError):
            self._watch_stack.close()
        try:
            self._watch = self._watch_stack.enter_context(self._parts.make_watch())
        except InboxGoneError as error:
            self._inbox_gone(error.message, error.remedy)
        except MonetWatchError as error:
            text = f"{error} Until then the scans find what is new."
            self._tell("problem", text, level=Level.ERROR)
            self._note_watch(trouble=text)
        else:
            self._watch_started(self._watch)

    def _watch_started(self, watch: Watch) -> None:
        self._say_how_it_watches(watch)
        if self._lost_for:
            text = f"The watch on the inbox had ended ({self._lost_for}); it was started again."
            self._tell("watching", text, level=Level.WARNING)
            self._note_watch(restarted_at=self._parts.now(), restarted_for=self._lost_for)
        if self._started:
            self._parts.arrivals.scan()  # for what has happened in the meantime

    def _say_how_it_watches(self, watch: Watch) -> None:
        """Tell once how, and again when that changes: the system may grant too little to an inbox that grows."""
        if (watch.mode, watch.limited) != (self._watch_state.mode, self._watch_state.limited):
            level = Level.WARNING if watch.limited else Level.DEBUG
            self._tell("watching", watch.reason, level=level, details={"mode": watch.mode})
        self._note_watch(mode=watch.mode.value, reason=watch.reason, limited=watch.limited)

    def _note_watch(self, **changes: Any) -> None:
        state = replace(self._watch_state, **changes)
        if state != self._watch_state:
            self._watch_state, self._changed = state, True
            self._parts.ledger.note_watch(state)

    def _tend_desk(self) -> None:
        """Do what commands ask for, and paint or rest, as they and the hour want it."""
        if not self._is_due("desk", _DESK_SECONDS):
            return
        if self._parts.desk.serve():
            self._changed = True
        if self._renewal is None and self._parts.config_file.has_changed():
            self._read_config()
        reason = self._reason_to_rest()
        if reason != self._resting and self._renewal is None:
            self._rest(reason)

    def _reason_to_rest(self) -> str:
        since, now = self._parts.ledger.noted(PAUSED_KEY), self._parts.now()
        if since:
            return f"Paused since {_local(float(since))}; `monet-watch resume` goes on."
        if not self._parts.hours.active(now):
            return f"Painting goes on at {_local(self._parts.hours.next_start(now))} (active_hours)."
        return ""

    def _rest(self, reason: str) -> None:
        """Let painting rest for ``reason``, or go on where there is none.

        At the start it is noted in any case: a run that was killed could not take its own note back.
        """
        self._parts.ledger.note(RESTING_KEY, reason)
        has_rested, self._resting, self._changed = bool(self._resting), reason, True
        if reason:
            self._tell("resting", f"{reason} What is being painted stops after a checkpoint.")
            self._parts.dispatch.suspend()
        elif has_rested:
            self._tell("resting", "Painting goes on.")
            self._parts.dispatch.resume()

    def _keep_alive(self) -> None:
        self._feed_watchdog()
        self._renew_claim()
        if self._is_due("heartbeat", HEARTBEAT_SECONDS):
            self._parts.ledger.note(HEARTBEAT_KEY, str(self._parts.now()))
            self._parts.ledger.note_workers(self._parts.dispatch.workers())
            self._look_for_ledger()
        if self._is_due("tidy", HOUSEKEEPING_SECONDS):
            self._parts.tidy()
        self._note_trouble()

    def _renew_claim(self) -> None:
        """Say to other daemons that the outbox is this one's; what is being painted needs no ledger for that."""
        if self._is_due("claim", HEARTBEAT_SECONDS):
            self._parts.renew_claim()

    def _look_for_ledger(self) -> None:
        if not self._parts.ledger.is_in_place():
            raise LedgerError(
                "The state folder was removed or replaced, and the record with it.",
                "Start again: the finished paintings are read back from the outbox, and the inbox is scanned.",
            )

    def _note_trouble(self) -> None:
        """Let the status tell what keeps paintings waiting."""
        trouble = self._parts.dispatch.trouble
        if trouble != self._trouble:
            self._parts.ledger.note(TROUBLE_KEY, trouble)
            self._trouble, self._changed = trouble, True

    def _feed_watchdog(self) -> None:
        interval = self._parts.notifier.watchdog_interval_seconds or HEARTBEAT_SECONDS
        if self._is_due("watchdog", interval):
            self._say_that_it_lives()

    def _say_that_it_lives(self) -> None:
        """Keep systemd's watchdog quiet, unless a part has ended that nobody here replaces: a restart helps then."""
        missing = self._who_is_missing()
        if not missing:
            self._parts.notifier.watchdog()
        elif missing != self._missing:
            text = f"{missing} has ended and cannot be started again. Where systemd watches, it restarts the daemon."
            self._tell("problem", text, level=Level.ERROR)
        self._missing = missing

    def _who_is_missing(self) -> str:
        clock = self._parts.clock()
        if self._inbox_away or (self._watch is not None and not self._watch.trouble()):
            self._watched_at = clock
        if not self._parts.arrivals.attended:
            return "The thread that looks through the inbox"
        if not self._parts.dispatch.attended:
            return "The thread that looks after originals"
        if not self._parts.dispatch.staffed:
            return "The thread that listens to a worker"
        if self._stop_at is None and clock - self._watched_at > _WATCH_PATIENCE_SECONDS:
            return "The watch on the inbox"
        return ""

    def _show(self) -> None:
        if self._changed and self._parts.clock() >= self._view_at:
            began = self._parts.clock()
            ledger = self._parts.ledger
            overview = looking_ahead(ledger.overview(), ledger, self._parts.hours, self._parts.now())
            self._parts.view.update(overview)
            self._parts.notifier.status(_status_line(overview))
            took = self._parts.clock() - began  # which grows with the number of photos
            self._view_at = self._parts.clock() + max(_VIEW_SECONDS, took / _VIEW_SHARE)
            self._changed = False

    def _stop(self) -> None:
        if self._renewal is not None:
            self._parts.arrivals.withdraw_reports_on_settings()
            if self._renewal.needs_new_workers:
                with contextlib.suppress(LedgerError):  # whoever goes on puts it in order
                    self._parts.dispatch.close(2.0)
            return
        at_once = self._stop_at is not None and self._parts.clock() >= self._stop_at
        with contextlib.suppress(LedgerError):  # the next start puts it in order
            self._parts.dispatch.close(0.0 if at_once else 2.0)
            self._parts.ledger.note(HEARTBEAT_KEY, str(self._parts.now()))
            self._parts.ledger.note(TROUBLE_KEY, "")
            self._parts.ledger.note_workers(())
            self._note_watch(mode="", reason="", trouble="")
            self._parts.view.update(self._parts.ledger.overview())
        self._tell("stopped", "Stopped; what is queued goes on at the next start.")


def _is_step(message: Message) -> bool:
    return isinstance(message, FromWorker) and isinstance(message.event, JobStep)


def _status_line(overview: Overview) -> str:
    counts = overview.counts
    painting = ", ".join(f"painting {job.path} (step {job.step} of at most {job.steps})" for job in overview.running)
    busy = painting or overview.resting or overview.trouble or "idle"
    return (
        f"{busy}; {counts[JobState.QUEUED]} queued, {counts[JobState.WAITING]} waiting, "
        f"{counts[JobState.DONE]} done, {counts[JobState.PROBLEM]} with a problem"
    )


def _local(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"
