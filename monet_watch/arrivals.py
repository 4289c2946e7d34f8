"""From the inbox to the queue: what was seen, is it whole, what is to be done with it.

The way of a photo: seen (event or scan) → at rest → hashed → settings resolved → queued. Everything here runs in the
daemon's loop; the reading of files is done by the surveyor's thread, which posts what it found.

A bulk of a hundred thousand photos goes this way in parts, each of which takes the loop for a moment only: what a scan
has found is compared with the ledger piece by piece, in the order of the paths that both are sorted by; looks and
hashes are worked off as they come; and what belongs together is one transaction, with one wait for the disk. The record
tells of each of them when it is queued, or, if it is on its way for longer than a few seconds, that it waits.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, groupby, islice
from pathlib import Path, PurePosixPath

from monet_watch.errors import LedgerUnavailableError, OutboxError, SettingsError
from monet_watch.inbox.ignore import Kind, Sieve
from monet_watch.inbox.presence import Presence
from monet_watch.inbox.settle import FileFacts, Gone, Settling, Whole
from monet_watch.inbox.survey import (
    SMALL_BYTES,
    Found,
    HashedFile,
    HashFailed,
    InboxGoneError,
    Scanned,
    Surveyor,
    UnreadablePhotoError,
    folder_name,
    inbox_identity,
    look,
    look_at_all,
)
from monet_watch.ledger import Job, JobState, Known, Ledger, NewPhoto, WholePhoto
from monet_watch.notices import About, Detail, Level, Listener, tell
from monet_watch.outbox.files import Outbox
from monet_watch.output import Output
from monet_watch.plan import Plan, Planner
from monet_watch.settings import identity

__all__ = ["Arrivals", "ArrivalsParts"]

_SETTLING = "It was seen; it is taken when nobody has written to it for a while."
_SEEN_MANY = "were seen; each is taken when nobody has written to it for a while."
_QUEUED = "It is whole and waits for its turn."
_QUEUED_MANY = "are whole and wait for their turn."
_BROKEN = "The settings of this folder cannot be used, and its photos wait."
_EMPTY = "It is empty; it is taken when something has been written to it."
_INBOX = PurePosixPath()
_MOMENT_SECONDS = 0.1  # for which a bulk may take the loop at a time
_GATHER_SECONDS = 0.1  # the longest that a photo waits for others that are being read
_PART = 400  # photos that are worked off together
_BATCH = 1000  # photos that are queued together: each time, all of an index is written anew
_MANY = 20  # photos of a folder, at once, that are told of in one line
_CLEAR_AGAIN_SECONDS = 30.0  # between two tries to remove a report that could not be removed
_UNRECORDED_SECONDS = 5.0  # that a bulk may be on its way before the record tells of each of its photos
_Seen = tuple[PurePosixPath, FileFacts]
_UNFINISHED = (JobState.WAITING, JobState.QUEUED, JobState.PROBLEM)


@dataclass(frozen=True, slots=True)
class ArrivalsParts:
    """What arrivals work with. ``now`` is a monotonic clock in seconds.

    ``keeps_originals`` says that nothing becomes of a photo that is painted, so that nobody need be given it again.
    """

    inbox: Path
    presence: Presence
    sieve: Sieve
    settling: Settling
    planner: Planner
    surveyor: Surveyor
    ledger: Ledger
    outbox: Outbox
    tell: Listener
    now: Callable[[], float]
    keeps_originals: bool = False


class Arrivals:
    """Follows every photo until it is queued. ``admit`` is given each job that is queued, or found to be done."""

    def __init__(self, parts: ArrivalsParts, admit: Callable[[Job], None]) -> None:
        self._parts = parts
        self._tell = partial(tell, parts.tell)
        self._admit = admit
        self._scans = 0
        self._comparisons: deque[_Comparison] = deque()
        self._hashed: deque[HashedFile] = deque()
        self._hashed_at = 0.0  # since when the first of them has waited to be queued
        self._text: tuple[Plan | None, str] = None, ""
        self._hashing: dict[PurePosixPath, FileFacts] = {}  # with what had rested of each
        self._unrecorded: deque[tuple[float, list[_Seen]]] = deque()
        self._held: dict[PurePosixPath, FileFacts] = {}
        self._settings_seen: dict[PurePosixPath, FileFacts] = {}
        self._settings_pending: set[PurePosixPath] = set()
        self._settings_scanned: dict[PurePosixPath, FileFacts] = {}
        self._broken: dict[PurePosixPath, tuple[str, ...]] = {}
        self._cleared: set[PurePosixPath] = set()
        self._uncleared: dict[PurePosixPath, None] = {}  # whose reports could not be removed
        self._clear_at = 0.0
        self._shares_missing: tuple[PurePosixPath, ...] = ()

    @property
    def attended(self) -> bool:
        """Whether somebody looks through the inbox when that is asked for."""
        return self._parts.surveyor.alive()

    @property
    def busy(self) -> bool:
        """Whether anything is on its way to the queue, or into the record.

        Empty files, which may stay so for ever, do not count as soon as the record tells of them.
        """
        is_under_way = self._scans > 0 or bool(self._hashing or self._hashed or self._unrecorded)
        return is_under_way or self._parts.settling.changing

    @property
    def broken_folders(self) -> int:
        """How many folders wait for their settings to be mended."""
        return len(self._broken)

    def next_due(self) -> float | None:
        """When `tend` has something to do, on the monotonic clock."""
        if self._comparisons:
            return self._parts.now()
        dues = [self._parts.settling.next_due(), self._queue_at(), self._record_at(), self._clear_again_at()]
        return min((due for due in dues if due is not None), default=None)

    def tend(self) -> None:
        """Go on with what there is to do, for a moment. Raises InboxGoneError where the inbox is away."""
        until = self._parts.now() + _MOMENT_SECONDS
        while self._tend_parts() and self._parts.now() < until:
            pass

    def _tend_parts(self) -> bool:
        """Do a part of everything; whether there was anything to do."""
        at_work = [self._look_again(), self._record_late(), self._queue_hashed(), self._clear_late()]
        at_work.append(bool(self._comparisons))
        if self._comparisons:
            self._compare(self._comparisons[0])
        return any(at_work)

    def _has_come(self, due: float | None) -> bool:
        return due is not None and due <= self._parts.now()

    # Seen.

    def scan(self, folder: PurePosixPath = _INBOX) -> None:
        """Have ``folder``, relative to the inbox, scanned; `scanned` or `scan_failed` is then to be called."""
        self._scans += 1
        self._parts.surveyor.scan(folder)

    def scan_failed(self) -> None:
        """A scan or the reading of a photo failed because the inbox is away: nothing is known, nothing forgotten."""
        self._scans = max(0, self._scans - 1)
        self._hashing.clear()

    def touched(self, path: PurePosixPath, closed: bool) -> None:
        """A file was made, written or moved in."""
        kind = self._parts.sieve.kind(path)
        if kind is Kind.NOTHING:
            return
        facts = self._look(path)
        if facts is None:
            self.gone(path)
        elif kind is Kind.SETTINGS:
            self._see_settings(path, facts, closed)
        else:
            self._see(path, facts, self._newest(path), closed)

    def scanned(self, scanned: Scanned) -> None:
        """A scan has ended: whatever events missed is made good, settings at once, photos by `tend`.

        Settings whose settling ended because the inbox was away hold nothing up any longer: they are what it finds.

        Raises InboxGoneError, and believes nothing of it, where the inbox is away.
        """
        try:
            self._check_presence(scanned)
        except InboxGoneError:
            self._scans = max(0, self._scans - 1)
            raise
        self._settings_pending = {path for path in self._settings_pending if path in self._parts.settling}
        self._parts.planner.refresh()
        self._recheck_broken()
        settings = {found.path: found.facts for found in scanned.found if found.kind is Kind.SETTINGS}
        with self._parts.ledger.batch(durable=False):
            for path, facts in settings.items():
                self._see_settings(path, facts, closed=False, is_scanned=True)
            for path in [path for path in self._settings_seen if path not in settings and scanned.covers(path)]:
                if self._parts.presence.share_missing_above(path) is None:
                    self._settings_gone(path)
        self._comparisons.append(_Comparison(scanned))

    def _compare(self, comparison: "_Comparison") -> None:
        """Compare a part of what a scan found with the ledger. Raises InboxGoneError where the inbox is away."""
        part = comparison.part()
        known, upto = self._parts.ledger.known_between(comparison.after, comparison.upto(part), _PART)
        try:
            with self._parts.ledger.batch(durable=False):
                part = [found for found in part if upto is None or found.raw <= upto]
                for folder, neighbours in groupby(part, key=lambda found: found.raw.rpartition(b"/")[0]):
                    self._see_all(PurePosixPath(os.fsdecode(folder)), neighbours, known)
                for raw, each in known.items():
                    self._missed(PurePosixPath(os.fsdecode(raw)), each, comparison.scanned)
        except InboxGoneError:
            self._end_comparison()  # the scan when it is there again makes good what is left
            raise
        comparison.at += len(part)
        if upto == comparison.end:
            self._end_comparison()
            self._tell_scanned(comparison.scanned)
        comparison.after = upto or b""

    def _end_comparison(self) -> None:
        self._comparisons.popleft()
        self._scans = max(0, self._scans - 1)

    def _tell_scanned(self, scanned: Scanned) -> None:
        if scanned.sub == _INBOX:
            text = f"{len(scanned.found)} files of interest lie in the inbox."
            self._tell("scanned", text, details={"files": len(scanned.found)}, level=Level.DEBUG)

    def _check_presence(self, scanned: Scanned) -> None:
        presence = self._parts.presence
        if scanned.sub != _INBOX:
            presence.check()
            return
        counts = self._parts.ledger.counts()
        is_missed = bool(self._unrecorded) or any(counts[state] for state in _UNFINISHED)
        presence.scanned([found.raw for found in scanned.found], is_missed)
        missing = presence.missing()
        for share in missing:
            if share not in self._shares_missing:
                self._tell("problem", f"{_not_mounted(share)} Its photos wait.", share, Level.WARNING)
        self._shares_missing = missing

    def gone(self, path: PurePosixPath) -> None:
        """A file was deleted or moved away; a folder's files are named one by one by the scan that follows.

        Raises InboxGoneError where the inbox is away: then nothing is gone, and neither is what lay on a share that is
        not mounted, or in a folder that may not be read.
        """
        self._parts.presence.check()
        share = self._parts.presence.share_missing_above(path)
        if share is not None:
            self._wait_to_be_seen(path, _not_mounted(share), "It is taken when its share is mounted again.")
            return
        if self._parts.sieve.kind(path) is Kind.SETTINGS:
            self._settings_gone(path)
            return
        try:
            look(self._parts.inbox, path)
        except UnreadablePhotoError as error:
            self._wait_to_be_seen(path, error.message, "It is taken when that can be read again.")
            return
        self._parts.settling.gone(path)
        self._held.pop(path, None)
        states = [job.state for job in self._parts.ledger.known(path)]
        if any(state in _UNFINISHED for state in states):
            # A photo that waits may have one of the file that it replaced.
            self._clear_problem(path, is_there=JobState.PROBLEM in states)
            for job in self._parts.ledger.forget(path):
                self.abandon(job)
                self._tell("removed", "It was removed from the inbox before it was painted.", job)

    def _wait_to_be_seen(self, path: PurePosixPath, reason: str, remedy: str) -> None:
        """Nobody knows of ``path``: what waits, waits until a scan finds it again."""
        self._parts.settling.gone(path)
        self._held.pop(path, None)
        for job in self._parts.ledger.known(path):
            if job.state in (JobState.WAITING, JobState.QUEUED) and job.reason != reason:
                self._parts.ledger.wait(path, size=job.size, mtime_ns=job.mtime_ns, reason=reason, remedy=remedy)
                self._tell("waiting", f"{reason} {remedy}", path, Level.DEBUG)

    def truncated(self, job: Job) -> bool:
        """The photo ended too early: True if it waits for the rest, False if it has waited long enough.

        Raises InboxGoneError where the inbox is away; then it waits, too.
        """
        reason = "It ends too early; it may still be on its way, and is looked at again."
        try:
            facts = self._look(job.path)
        except InboxGoneError:
            self.given_up(job, self._parts.ledger.unsettle(job.id, reason=reason))
            raise
        if facts is not None and not self._parts.settling.truncated(job.path, facts, self._parts.now()):
            return False
        self.given_up(job, self._parts.ledger.unsettle(job.id, reason=reason))
        if facts is None:
            with suppress(LedgerUnavailableError):  # the job cannot be given up twice, and a scan finds it gone, too
                self.gone(job.path)
        else:
            self._tell("waiting", reason, job)
        return True

    def again(self, path: PurePosixPath) -> None:
        """The photo, or what it is painted with, is not what it was when it was queued: look at both again."""
        self._parts.planner.refresh()
        self._held.pop(path, None)
        facts = self._look(path)
        if facts is None:
            self.gone(path)
        else:
            self._settle(path, facts, closed=False)

    def report(self, job: Job, reason: str, remedy: str) -> None:
        """Say in the outbox, and to whoever listens, why ``job`` cannot be painted and what to do about it."""
        self._tell("problem", f"{reason} {remedy}".strip(), job, Level.ERROR)
        self._write_report(job.path, reason, remedy)

    def solved(self, job: Job) -> None:
        """``job`` is about to be done: no report of what was wrong with its photo stays, unless of a later one."""
        if self._parts.ledger.known(job.path)[0].id == job.id:
            self._clear_problem(job.path)

    def _write_report(self, path: PurePosixPath, reason: str, remedy: str) -> None:
        self._uncleared.pop(path, None)
        try:
            self._parts.outbox.tell_problem(path, "This photo could not be painted.", reason, remedy)
        except OutboxError as trouble:
            self._tell("problem", f"Its report cannot be written: {trouble}", path, Level.ERROR)

    def _look(self, path: PurePosixPath) -> FileFacts | None:
        """The facts of a file; one of which the file system tells nothing is not there until a scan finds it."""
        try:
            return look(self._parts.inbox, path)
        except UnreadablePhotoError:
            return None

    def _see_all(self, folder: PurePosixPath, photos: Iterable[Found], known: dict[bytes, Known]) -> None:
        """See the photos right in ``folder``, and take what is known of them out of ``known``.

        Most photos of a scan are those of which nothing has changed, or those that nobody has heard of.
        """
        new, unrecorded = list[_Seen](), list[_Seen]()
        settled = _Settled(lambda: self._plan(folder), self._parts.keeps_originals)
        for found in photos:
            each = known.pop(found.raw, None)
            if each is not None and settled.holds(found.facts, each):
                continue
            path = found.path
            if each is None and not self._is_on_its_way(path):
                new.append((path, found.facts))
                continue
            self._see(path, found.facts, each, closed=False)
            if each is None:
                unrecorded.append((path, found.facts))
        if new:
            self._settle_new(new)
        if unrecorded:  # still, or again, because the disk was full when they were recorded
            self._record_later(unrecorded)

    def _settle_new(self, new: list[_Seen]) -> None:
        now = self._parts.now()
        is_bulk = len(new) > _MANY
        jobs = () if is_bulk else self._parts.ledger.add(_new_photos(new))
        for path, facts in new:
            self._parts.settling.saw(path, facts, now)
        if is_bulk:
            self._record_later(new)
            self._tell_many("waiting", _SEEN_MANY, [path for path, _ in new], Level.DEBUG)
            return
        for job, (path, facts) in zip(jobs, new, strict=True):
            self._tell("waiting", _reason_to_settle(facts), About(job, path), Level.DEBUG)

    def _is_on_its_way(self, path: PurePosixPath) -> bool:
        return path in self._parts.settling or path in self._hashing

    def _record_later(self, photos: list[_Seen]) -> None:
        """Have those of the ``photos`` recorded that will still be on their way after a while.

        Most of a bulk are queued before that, and would be recorded twice for nothing.
        """
        self._unrecorded.append((self._parts.now() + _UNRECORDED_SECONDS, photos))

    def _record_late(self) -> bool:
        """Record the first of the photos of `_record_later` whose time has come; whether there were any."""
        if not self._has_come(self._record_at()):
            return False
        _, photos = self._unrecorded[0]
        late = [(path, facts) for path, facts in photos if self._is_on_its_way(path)]
        if late:
            jobs = self._parts.ledger.untouched([path for path, _ in late])
            self._parts.ledger.add(_new_photos(seen for seen, job in zip(late, jobs, strict=True) if job == 0))
        self._unrecorded.popleft()
        return True

    def _record_at(self) -> float | None:
        """When `_record_late` has something to do: at once where nothing is on its way but empty files."""
        if not self._unrecorded:
            return None
        is_over = not self._hashing and not self._comparisons and not self._parts.settling.changing
        return self._parts.now() if is_over else self._unrecorded[0][0]

    def _tell_many(self, event: str, text: str, paths: Sequence[PurePosixPath], level: Level = Level.INFO) -> None:
        """Tell of many photos of a folder in one line: a journal that gets a hundred thousand at once drops most."""
        count, first, last = len(paths), paths[0].name, paths[-1].name
        details: dict[str, Detail] = {"photos": count, "first": first, "last": last}
        self._tell(event, f"{count} photos, {first} to {last}, {text}", paths[0].parent, level, details)

    def _see(self, path: PurePosixPath, facts: FileFacts, known: Known | None, closed: bool) -> None:
        if path in self._parts.settling:
            if known is None or known.state is JobState.WAITING:
                self._parts.settling.saw(path, facts, self._parts.now(), closed)
            else:  # that it waits was lost, because the disk was full when it was recorded
                self._settle(path, facts, closed)
        elif path in self._hashing:
            pass  # whether it has changed meanwhile is seen then
        elif known is not None and _could_not_be_read(facts, known):
            self._hash({path: facts})  # nothing of the file itself has to change for that to be solved
        elif known is not None and self._unchanged(path, facts, known):
            if known.state is JobState.DONE:
                if not self._parts.keeps_originals:
                    self._admit(self._parts.ledger.known(path)[0])
            elif known.state is JobState.PROBLEM and not self._parts.outbox.tells_problem(path):
                self._report_again(self._parts.ledger.known(path)[0])
            elif known.state is JobState.QUEUED:
                self._keep_priority(path.parent, known)
        else:
            self._settle(path, facts, closed, is_new=known is None)

    def _keep_priority(self, folder: PurePosixPath, known: Known) -> None:
        """See that what is queued of ``folder`` has the priority that its settings give it."""
        plan = self._plan(folder)
        if plan is not None and plan.priority != known.priority:
            self._parts.ledger.prioritise(folder, plan.priority)

    def _settle(self, path: PurePosixPath, facts: FileFacts, closed: bool, is_new: bool = False) -> None:
        ledger = self._parts.ledger
        if not is_new and any(job.state is JobState.PROBLEM for job in ledger.known(path)):
            ledger.retry(path)  # whoever touches a photo with a problem has its attempts counted anew
        reason = _reason_to_settle(facts)
        job = ledger.wait(path, size=facts.size, mtime_ns=facts.mtime_ns, reason=reason)
        self._parts.settling.saw(path, facts, self._parts.now(), closed)
        self._tell("waiting", reason, job, Level.DEBUG)

    def _unchanged(self, path: PurePosixPath, facts: FileFacts, known: Known) -> bool:
        if (known.size, known.mtime_ns) != (facts.size, facts.mtime_ns):
            return False
        plan = self._plan(path.parent)
        if plan is None:
            return self._held.get(path) == facts or known.state in (JobState.DONE, JobState.RUNNING)
        if known.state in (JobState.DONE, JobState.RUNNING) and known.settings_key in plan.former_keys:
            return self._in_force(path, plan, known.photo_sha256).settings_key == known.settings_key
        return known.state is not JobState.WAITING and known.settings_key == plan.settings_key

    def _report_again(self, job: Job) -> None:
        """The report is missing: its disk was full, or the daemon was stopped before it was written."""
        self._write_report(job.path, job.reason, job.remedy)

    def _newest(self, path: PurePosixPath) -> Known | None:
        for job in self._parts.ledger.known(path)[:1]:
            return Known(job.state, job.size, job.mtime_ns, job.settings_key, job.photo_sha256, job.priority)
        return None

    def _missed(self, path: PurePosixPath, known: Known, scanned: Scanned) -> None:
        """The scan did not find ``path``; it may have come since, or may be left alone by the settings of today."""
        if known.state not in _UNFINISHED or not scanned.covers(path):
            return
        if self._parts.sieve.kind(path) is Kind.NOTHING or self._look(path) is None:
            self.gone(path)

    # At rest.

    def _look_again(self) -> bool:
        """Look at what may be whole by this time, or at a part of it; whether there was any.

        Small files are not looked at but read, which shows as well whether they are as they were.
        """
        parts = self._parts
        due = parts.settling.due(parts.now(), _PART)
        small = [path for path in due if self._is_read_at_once(path)] if not self._settings_pending else []
        if small:
            inbox_identity(parts.inbox)  # where the inbox is away, they stay due
            self._hash({path: parts.settling.take(path) for path in small})
        whole = dict[PurePosixPath, FileFacts]()
        try:
            for path, facts in look_at_all(parts.inbox, [path for path in due if path in parts.settling]):
                match parts.settling.looked(path, facts, parts.now()):
                    case Whole(_, facts) if self._is_to_be_taken(path, facts):
                        whole[path] = facts
                    case Gone():
                        self.gone(path)
                    case _ if facts is not None and path in self._settings_pending and parts.settling.stays_empty(path):
                        parts.settling.gone(path)  # else its photos would wait for it, and nobody be told why
                        self._settings_whole(path, facts)
                    case _:
                        pass
        finally:  # nobody waits for these any more
            self._hash(whole)
        return bool(due)

    def _is_read_at_once(self, path: PurePosixPath) -> bool:
        return 0 < self._parts.settling.facts(path).size <= SMALL_BYTES

    def _is_to_be_taken(self, path: PurePosixPath, facts: FileFacts) -> bool:
        """Whether what has come to rest is a photo, and nothing is on its way that it has to be painted by."""
        if not self._settings_pending:
            return True
        if path in self._settings_pending:
            self._settings_whole(path, facts)
            return False
        if any(each.parent in path.parents for each in self._settings_pending):
            self._parts.settling.saw(path, facts, self._parts.now())
            return False
        return True

    # Hashed.

    def _hash(self, files: Mapping[PurePosixPath, FileFacts]) -> None:
        wanted = {path: facts for path, facts in files.items() if path not in self._hashing}
        if wanted:
            self._hashing |= wanted
            self._parts.surveyor.hash(*wanted)

    def hashed(self, files: Iterable[HashedFile]) -> None:
        """These files' bytes are known: `tend` queues those that are as they were when they had rested.

        An answer that nobody waits for is let go: its file may not have rested, and a scan sees to it.
        """
        whole = list[HashedFile]()
        for hashed in files:
            rested = self._hashing.get(hashed.path)
            if rested == hashed.facts:
                whole.append(hashed)
            elif rested is not None:
                self._settle(hashed.path, hashed.facts, closed=False)
                del self._hashing[hashed.path]  # not before: where the record fails, all of them are heard once more
        if not self._hashed:
            self._hashed_at = self._parts.now()
        self._hashed.extend(whole)

    def _queue_at(self) -> float | None:
        """When those of which the bytes are known are queued: together with what is still being read, if that is soon.

        Each time costs a wait for the disk.
        """
        if not self._hashed:
            return None
        is_enough = len(self._hashed) >= min(_BATCH, len(self._hashing))
        return self._hashed_at + (0.0 if is_enough else _GATHER_SECONDS)

    def _queue_hashed(self) -> bool:
        """Queue some of the photos whose bytes are known, if it is time; whether there were any.

        What follows from that comes when it is on disk.
        """
        if not self._has_come(self._queue_at()):
            return False
        some = tuple(islice(self._hashed, _BATCH))
        is_last = len(some) == len(self._hashed)  # whose wait for the disk is that of all before it, too
        with self._parts.ledger.batch(durable=is_last):
            jobs = self._queue_all(some)
        for hashed in some:
            self._hashed.popleft()
            self._hashing.pop(hashed.path, None)
        for job in jobs:
            self._admit(job)
        return True

    def _queue_all(self, some: Sequence[HashedFile]) -> list[Job]:
        """Queue the photos, and return the jobs from which more may follow: most of a bulk are new to everybody."""
        jobs = []
        distinct = {hashed.path: hashed for hashed in some}.values()
        for name, neighbours in groupby(distinct, key=lambda hashed: folder_name(hashed.path)):
            photos = list(neighbours)
            folder = PurePosixPath(name)
            plan = self._plan(folder)
            if plan is not None:
                photos = self._queue_unpainted(folder, plan, photos)
            jobs += [job for job in map(self._queue, photos) if job is not None]
        return jobs

    def _queue_unpainted(self, folder: PurePosixPath, plan: Plan, photos: Sequence[HashedFile]) -> list[HashedFile]:
        """Queue together those of the ``photos`` of which nothing is known, and that nobody has painted so.

        Return the others.
        """
        keys = (plan.settings_key, *plan.former_keys)
        jobs = self._parts.ledger.untouched([hashed.path for hashed in photos])
        identities = [
            [] if job is None else [identity(hashed.sha256, key) for key in keys]
            for hashed, job in zip(photos, jobs, strict=True)
        ]
        painted = self._parts.ledger.painted(list(chain.from_iterable(identities)))
        new, others = [], []
        for hashed, job, own in zip(photos, jobs, identities, strict=True):
            if job is not None and painted.isdisjoint(own):
                facts = hashed.facts
                new.append(WholePhoto(hashed.path, facts.size, facts.mtime_ns, hashed.sha256, own[0], job))
            else:
                others.append(hashed)
        queued = self._parts.ledger.queue_untouched(
            folder,
            new,
            settings_key=plan.settings_key,
            settings=self._text_of(plan),
            steps=plan.recipe.steps,
            priority=plan.priority,
        )
        self._queued_together(folder, [photo.path for photo in new], queued)
        return others

    def _queued_together(self, folder: PurePosixPath, paths: Sequence[PurePosixPath], jobs: Sequence[int]) -> None:
        if self._held:
            for path in paths:
                self._held.pop(path, None)
        self._clear_problems(folder, paths)
        self._tell_queued(paths, jobs)

    def _tell_queued(self, paths: Sequence[PurePosixPath], jobs: Sequence[int]) -> None:
        if len(paths) > _MANY:
            self._tell_many("queued", _QUEUED_MANY, paths)
            return
        for job, path in zip(jobs, paths, strict=True):
            self._tell("queued", _QUEUED, About(job, path))

    def _queue(self, hashed: HashedFile) -> Job | None:
        """Queue the photo, or hold it until its settings are mended."""
        plan = self._plan(hashed.path.parent)
        if plan is None:
            self._hold(hashed.path, hashed.facts)
            return None
        self._held.pop(hashed.path, None)
        plan = self._in_force(hashed.path, plan, hashed.sha256)
        self._clear_problem(hashed.path)
        wanted = identity(hashed.sha256, plan.settings_key)
        self._abandon_others(hashed.path, wanted)
        job = self._parts.ledger.queue(
            hashed.path,
            size=hashed.facts.size,
            mtime_ns=hashed.facts.mtime_ns,
            photo_sha256=hashed.sha256,
            settings_key=plan.settings_key,
            identity=wanted,
            settings=self._text_of(plan),
            steps=plan.recipe.steps,
            priority=plan.priority,
        )
        if job.state is JobState.QUEUED:
            self._tell("queued", _QUEUED, job)
        return job

    def _text_of(self, plan: Plan) -> str:
        """The plan as text; photos of one folder come one after the other, and have one plan."""
        if self._text[0] is not plan:
            self._text = plan, plan.to_json()
        return self._text[1]

    def _abandon_others(self, path: PurePosixPath, wanted: str) -> None:
        """Of a painting that was begun, stopped, and is wanted in another way by this time, no stages stay."""
        for job in self._parts.ledger.known(path):
            if job.state in _UNFINISHED and job.identity != wanted:
                self.abandon(job)

    def given_up(self, job: Job, newest: Job) -> None:
        """An attempt at ``job`` has ended; ``newest`` is what its path leads to: another, if it was overtaken."""
        if newest.id != job.id:
            self.abandon(job)

    def abandon(self, job: Job) -> None:
        """``job`` will not be painted: of what was begun, no stages stay in the outbox."""
        if job.folder is None:
            return
        try:
            self._parts.outbox.abandon(job.folder)
        except OutboxError as trouble:
            self._tell("problem", f"Its stages stay: {trouble}", job, Level.WARNING)

    def hash_failed(self, failed: HashFailed) -> None:
        """The photo could not be read: gone, changed since it had rested, or not readable."""
        rested = self._hashing.pop(failed.path, None)
        facts = self._look(failed.path)
        if facts is None:
            self.gone(failed.path)
        elif failed.kind == "ChangedWhileReadError" or rested not in (None, facts):
            self._settle(failed.path, facts, closed=False)
        else:
            self._unreadable(failed, facts)

    def _unreadable(self, failed: HashFailed, facts: FileFacts) -> None:
        """A problem that every scan looks at again, and that is told once for each way of being one."""
        for job in self._parts.ledger.known(failed.path)[:1]:
            if _tells_of(job, failed, facts):
                if not self._parts.outbox.tells_problem(job.path):
                    self._report_again(job)
                return
        job = self._parts.ledger.wait(
            failed.path, size=facts.size, mtime_ns=facts.mtime_ns, reason=failed.reason, remedy=failed.remedy
        )
        self._parts.ledger.fail(job.id, kind=failed.kind, reason=failed.reason, remedy=failed.remedy)
        self.report(job, failed.reason, failed.remedy)

    def _hold(self, path: PurePosixPath, facts: FileFacts) -> None:
        self._held[path] = facts
        faults = "; ".join(self._broken[path.parent])
        reason = f"The settings of its folder cannot be used: {faults}{'' if faults.endswith('?') else '.'}"
        remedy = "It is painted as soon as they are mended."
        job = self._parts.ledger.wait(
            path, size=facts.size, mtime_ns=facts.mtime_ns, reason=reason, remedy=remedy, kind="SettingsError"
        )
        self._tell("waiting", f"{reason} {remedy}".strip(), job, Level.WARNING)

    # Settings.

    def _see_settings(self, path: PurePosixPath, facts: FileFacts, closed: bool, is_scanned: bool = False) -> None:
        if self._settings_seen.get(path) == facts:
            return
        if is_scanned:
            self._settings_scanned[path] = facts
        self._settings_pending.add(path)
        self._parts.settling.saw(path, facts, self._parts.now(), closed)

    def _settings_whole(self, path: PurePosixPath, facts: FileFacts) -> None:
        first_look = path not in self._settings_seen
        is_compared = self._settings_scanned.pop(path, None) == facts
        self._settings_pending.discard(path)
        self._settings_seen[path] = facts
        self._settings_changed(path, is_compared and first_look)
        if not first_look:
            self._tell("settings", "It was changed.", path, Level.DEBUG)

    def _settings_gone(self, path: PurePosixPath) -> None:
        self._parts.settling.gone(path)
        self._settings_pending.discard(path)
        self._settings_scanned.pop(path, None)
        if self._settings_seen.pop(path, None) is not None:
            self._settings_changed(path)

    def _settings_changed(self, path: PurePosixPath, is_compared: bool = False) -> None:
        """See what follows for the photos below, unless the scan that found the settings, as they are, does so."""
        self._parts.planner.refresh()
        self._recheck_broken()
        self._plan(path.parent)
        if not is_compared:
            self.scan(path.parent)

    def _in_force(self, path: PurePosixPath, plan: Plan, sha256: str | None) -> Plan:
        """``plan``, with the recipe that the photo is painted with if a former default alone makes that differ.

        That another recipe is the default is nobody's wish to have everything painted again.
        """
        if not plan.former_keys or sha256 is None:
            return plan
        for job in self._painted(path, plan, sha256):
            earlier = Plan.from_json(job.settings or "{}")
            if plan.follows(earlier):
                return replace(plan, settings_key=earlier.settings_key, recipe=earlier.recipe, former_keys=())
        return plan

    def _painted(self, path: PurePosixPath, plan: Plan, sha256: str) -> Iterator[Job]:
        """What counts as the photo's painting: its path's own, under way or the latest, or else one that it copies."""
        keys = (plan.settings_key, *plan.former_keys)
        if not self._parts.ledger.has_begun(path, [identity(sha256, key) for key in keys]):
            return
        jobs = [job for job in self._parts.ledger.known(path) if job.settings]
        running, done = ([job for job in jobs if job.state is state] for state in (JobState.RUNNING, JobState.DONE))
        own = [job for job in (*running, *done[:1]) if job.photo_sha256 == sha256]
        yield from own
        is_done = any(job.state is JobState.DONE for job in own)
        if is_done or next(self._twins(sha256, plan.settings_key), None) is not None:
            return
        for key in plan.former_keys:
            yield from self._twins(sha256, key)

    def _twins(self, sha256: str, key: str) -> Iterator[Job]:
        """The finished paintings of these bytes, of any path, that still lie in the outbox."""
        finished = self._parts.ledger.finished(identity(sha256, key))
        lies_there = self._parts.outbox.surely_holds
        return (job for job in finished if job.settings and job.folder and lies_there(job.folder))

    def _recheck_broken(self) -> None:
        for folder in list(self._broken):
            if self._plan(folder) is None and not self._parts.outbox.tells_problem(folder / "style.yaml"):
                self._report_broken(folder)

    def _plan(self, folder: PurePosixPath) -> Plan | None:
        """Return the folder's plan; None, told once, if its settings are broken."""
        try:
            plan = self._parts.planner.plan(folder)
        except SettingsError as error:
            self._tell_broken(folder, error)
            return None
        self._tell_mended(folder)
        return plan

    def output(self, folder: PurePosixPath) -> Output:
        """Return in which files the paintings of ``folder`` are wanted at this moment; the usual if nobody can say."""
        plan = self._plan(folder)
        return Output() if plan is None else plan.output

    def _tell_broken(self, folder: PurePosixPath, error: SettingsError) -> None:
        if self._broken.get(folder) == error.faults:
            return
        self._broken[folder] = error.faults
        self._tell("settings-broken", f"{_BROKEN} {'; '.join(error.faults)}", folder / "style.yaml", Level.ERROR)
        self._report_broken(folder)

    def withdraw_reports_on_settings(self) -> None:
        """Take back what the outbox tells of settings: whoever goes on looks at them anew, and tells it again."""
        for folder in self._broken:
            self._clear_problem(folder / "style.yaml", is_there=True)

    def _report_broken(self, folder: PurePosixPath) -> None:
        self._uncleared.pop(folder / "style.yaml", None)
        remedy = "Mend it; the photos that wait are then painted by themselves."
        try:
            self._parts.outbox.tell_problem(folder / "style.yaml", _BROKEN, self._broken[folder], remedy)
        except OutboxError as trouble:
            self._tell("problem", str(trouble), folder, Level.ERROR)

    def _tell_mended(self, folder: PurePosixPath) -> None:
        was_broken = self._broken.pop(folder, None) is not None
        if was_broken:
            self._tell("settings-mended", "The settings can be used again.", folder / "style.yaml")
        if was_broken or folder not in self._cleared:
            self._cleared.add(folder)  # a report may be left from before a restart
            self._clear_problem(folder / "style.yaml", is_there=was_broken)

    def _clear_problems(self, folder: PurePosixPath, paths: Sequence[PurePosixPath]) -> None:
        """Clear what is told of photos right in ``folder``; before many, look whether there is anything."""
        if len(paths) <= _MANY or self._parts.outbox.tells_problems_in(folder):
            for path in paths:
                self._clear_problem(path)

    def _clear_problem(self, path: PurePosixPath, is_there: bool = False) -> None:
        """Remove the report of ``path``; one that ``is_there`` may lie on a share that is not mounted at present.

        Where that cannot be done it is tried again, which is told once for all of them.
        """
        try:
            if is_there:
                self._parts.outbox.require()
            self._parts.outbox.clear_problem(path)
        except OutboxError as trouble:
            if not self._uncleared:
                self._tell("problem", str(trouble), path, Level.WARNING)
            self._uncleared[path] = None
            self._clear_at = self._parts.now() + _CLEAR_AGAIN_SECONDS
        else:
            self._uncleared.pop(path, None)

    def _clear_again_at(self) -> float | None:
        return self._clear_at if self._uncleared else None

    def _clear_late(self) -> bool:
        """Remove some of the reports that could not be removed, if it is time to try; whether there were any."""
        if not self._has_come(self._clear_again_at()):
            return False
        for path in list(islice(self._uncleared, _MANY)):
            self._clear_problem(path, is_there=True)
            if path in self._uncleared:
                break
        return True


def _new_photos(photos: Iterable[_Seen]) -> list[NewPhoto]:
    return [NewPhoto(path, facts.size, facts.mtime_ns, _reason_to_settle(facts)) for path, facts in photos]


def _reason_to_settle(facts: FileFacts) -> str:
    return _SETTLING if facts.size else _EMPTY


def _could_not_be_read(facts: FileFacts, known: Known) -> bool:
    """Whether it is a problem with bytes that nobody has seen: those have a settings' key."""
    is_the_same = (known.size, known.mtime_ns) == (facts.size, facts.mtime_ns)
    return is_the_same and known.state is JobState.PROBLEM and known.settings_key is None


def _tells_of(job: Job, failed: HashFailed, facts: FileFacts) -> bool:
    """Whether ``job`` is the problem that ``failed`` tells of, of the file as it is."""
    told = (job.state, job.size, job.mtime_ns, job.kind, job.reason, job.remedy)
    return told == (JobState.PROBLEM, facts.size, facts.mtime_ns, failed.kind, failed.reason, failed.remedy)


def _not_mounted(share: PurePosixPath) -> str:
    return f"What was mounted at {share} in the inbox is not mounted."


class _Settled:
    """Tells of the photos of a folder which are as they were, and wait or are painted as its ``plan`` wants it.

    The plan is asked for when it is first needed: settings that are still on their way are nobody's fault.
    """

    def __init__(self, plan: Callable[[], Plan | None], keeps_originals: bool) -> None:
        self._make_plan = plan
        self._keeps_originals = keeps_originals

    @cached_property
    def _plan(self) -> Plan | None:
        return self._make_plan()

    def holds(self, facts: FileFacts, known: Known) -> bool:
        """Whether there is nothing to do for a photo with these ``facts``."""
        if known.size != facts.size or known.mtime_ns != facts.mtime_ns:
            return False
        plan = self._plan
        if plan is None or known.settings_key != plan.settings_key:
            return False
        if known.state is JobState.QUEUED:
            return known.priority == plan.priority
        return known.state is JobState.DONE and self._keeps_originals


class _Comparison:
    """A scan that is compared with the ledger, and how far that is: all paths up to ``after`` are done."""

    def __init__(self, scanned: Scanned) -> None:
        self.scanned = scanned
        self.photos = [found for found in scanned.found if found.kind is Kind.PHOTO]
        self.at = 0
        above = os.fsencode(scanned.sub)
        self.after = b"" if scanned.sub == _INBOX else above + b"/"
        self.end = None if scanned.sub == _INBOX else above + b"0"  # the character that follows the slash

    def part(self) -> list[Found]:
        """The next photos."""
        return self.photos[self.at : self.at + _PART]

    def upto(self, part: Sequence[Found]) -> bytes | None:
        """The last path of ``part``; of the last part, where all of the scanned folder ends."""
        return part[-1].raw if self.at + len(part) < len(self.photos) else self.end
