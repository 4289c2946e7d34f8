"""The ledger: which photos there are, what is to be done with each, and what was done. SQLite, one writer.

A row of ``jobs`` is one photo (its path) with one identity (photo bytes, style bytes, resolved settings, weights).
States::

    waiting ──▶ queued ──▶ running ──▶ done
       ▲           ▲          │ │
       │           └──────────┘ └────▶ problem
       └── the photo is not whole yet, or its folder's settings are broken; the row need not have an identity yet

A waiting or a queued job, too, can become a problem, a queued or a running one can turn out not to be whole and wait
again, a queued one is done by a copy, and a problem is queued again where somebody asks for it.

A path has any number of done rows (one for each identity), at most one running row, and at most one that is neither:
what is to become of the photo that lies there. They are ordered by what the photo on disk last led to: `Ledger.wait`
and `Ledger.queue` make a row the newest of its path. A running job that something newer of the same path has overtaken
is still finished if it can be; where it ends without a painting, its row goes, because its photo, or the wish for
it, is gone.

The order of the queue:

1. The highest priority comes first.
2. Among equals, batches take turns, a photo each in every round. A batch is what was queued from the same folder
   without a pause of `BATCH_PAUSE_SECONDS`.
3. A batch begins in the round after the one that is under way, and of each folder one batch a round.
4. In a round, small new drops go ahead of the bulk: the first `NEW_PHOTOS` of a batch come before what is further on.
5. What is equal by these rules may begin in any order (see `monet_watch.scheduling`); where nothing speaks for another
   one, it is that of the batches' beginnings, the last first, and then who was queued first. Photos of one batch are
   never equal: they have a round each.

So whoever drops one photo waits for at most two of each batch that is there, and not for the thousands that another, or
the same, folder was given at once; and a round, once it is under way, grows no more, so that everyone's turn comes.
The round is a column of the row: the next job is the first entry of an index.
"""

import hashlib
import itertools
import json
import math
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from pathlib import Path, PurePosixPath
from sqlite3 import Row
from typing import Any, NamedTuple, Self

from monet_watch.database import Database
from monet_watch.errors import LedgerError
from monet_watch.ledger_schema import SCHEMA, TO_BE_PAINTED, UNFINISHED
from monet_watch.sketch import Sketch

__all__ = [
    "ARCHIVE_KEY",
    "BATCH_PAUSE_SECONDS",
    "CONFIG_FAULT_KEY",
    "HEARTBEAT_KEY",
    "INBOX_KEY",
    "LEDGER_NAME",
    "LONGEST_PUT_OFF_SECONDS",
    "NEW_PHOTOS",
    "OUTBOX_KEY",
    "PAUSED_KEY",
    "RESTING_KEY",
    "TROUBLE_KEY",
    "Attempt",
    "Job",
    "JobState",
    "Known",
    "Ledger",
    "Measure",
    "NewPhoto",
    "Outlook",
    "Overview",
    "Queued",
    "StepTaken",
    "WatchState",
    "WholePhoto",
    "WorkerState",
]

HEARTBEAT_KEY = "heartbeat"
"""The note of the ledger's last word, in seconds since the epoch: the daemon went round its loop, or somebody forgot.

What was painted later is unknown to this ledger, which was restored from a backup then.
"""

CONFIG_FAULT_KEY = "config fault"
"""The note that says in words why the config's file, as it is, is not in force; empty while it is."""

PAUSED_KEY = "paused"
"""The note that says, in seconds since the epoch, since when no painting is begun because somebody asked for that."""

RESTING_KEY = "resting"
"""The note that says in words why nothing is painted at present, and when that ends; empty while painting goes on."""

INBOX_KEY = "inbox"
"""The note of where the inbox lies, and which shares are mounted in it."""

OUTBOX_KEY = "outbox"
"""The note that says on which mount the outbox lies, as `Whereabouts` writes it."""

ARCHIVE_KEY = "archive"
"""The note that says the same of the archive."""

_WATCH_KEY = "watch"  # of the note of how the inbox is watched

_WORKERS_KEY = "workers"  # of the note of how the workers are

TROUBLE_KEY = "trouble"
"""The note that says in words what keeps paintings waiting until it passes; empty where nothing does."""

LEDGER_NAME = "ledger.sqlite3"
"""The ledger's file in the state folder."""

BATCH_PAUSE_SECONDS = 10.0
"""What is queued from a folder after such a pause is another batch."""

NEW_PHOTOS = 4
"""So many photos of a batch, the first ones, go ahead of the bulk in their rounds."""

LONGEST_PUT_OFF_SECONDS = 3600.0
"""For so long can a job be put off at a time."""

_ATTEMPTS_KEPT = 20
_MEASURES_KEPT = 500
_OF_WHAT_IS_UNDER_WAY = ("steps", "sketches")
_LATEST_STEPS = 100  # that tell how a painting goes
_SPREAD_STEPS = 200  # at most, of those before
_PATHS_REMEMBERED = 4096  # a job is read some ten times on its way, and to make a path takes as long as to read a row
_WORTH_COMPACTING_BYTES = 1 << 20
_COPIES_AT_ONCE = 10

_INBOX = PurePosixPath()


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger, as it was when it was read.

    ``path`` is relative to the inbox, ``folder`` (where the painting lies) to the outbox. Times are seconds since
    the epoch. ``loss`` is the total of the last step; ``steps`` the upper bound of the recipe. ``settings`` is the
    JSON text that the daemon stored when it queued the job. ``reason`` and ``remedy`` say why a job waits or is
    a problem; ``kind`` is the name of the error's class. ``attempts`` counts the starts that are held against the
    job. ``seen_at`` is when the row was made, ``queued_at`` when the job took its place in the queue, ``finished_at``
    when it was done or became a problem. ``priority`` is that of its place in the queue.

    A queued job with a ``retry_at`` is not begun before that time: something that passes, which ``reason`` tells, has
    kept it from being painted ``put_off`` times in a row.
    """

    id: int
    path: PurePosixPath
    state: JobState
    size: int
    mtime_ns: int
    photo_sha256: str | None = None
    settings_key: str | None = None
    identity: str | None = None
    settings: str | None = field(default=None, repr=False)
    folder: PurePosixPath | None = None
    attempts: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    seconds_per_step: float | None = None
    width: int | None = None
    height: int | None = None
    kind: str = ""
    reason: str = ""
    remedy: str = ""
    worker: str = ""
    seen_at: float = 0.0
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    priority: int = 0
    put_off: int = 0
    retry_at: float | None = None

    @property
    def changed_at(self) -> float:
        """When it last got into another state, as far as is known."""
        times = (self.finished_at, self.started_at, self.queued_at)
        return next((at for at in times if at is not None), self.seen_at)

    @property
    def seconds_taken(self) -> float | None:
        """How long the last attempt took, whatever was done to the clock meanwhile; None before it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A step of a painting: its number, the loss (no number: NaN), and how long it took."""

    number: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measure:
    """What a painting of ``width`` × ``height`` pixels took on ``device``, with the settings' text as it was queued.

    ``paces`` tells of each size that it went through: how many pixels, how many steps of the last attempt, and how long
    these took together. ``other_seconds`` is all else of that attempt. ``last_step`` is the painting's.
    """

    device: str
    settings: str
    width: int
    height: int
    last_step: int
    paces: tuple[tuple[int, int, float], ...]
    other_seconds: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected: of each painting under way, by the number of its job, and of all that is to be painted.

    ``remaining_seconds`` and ``expected_steps`` say when each is done, the time in which painting rests included;
    ``curves`` what its loss was, thinned out where there were many steps. What cannot be told yet is left out;
    ``all_seconds`` is None then.
    """

    remaining_seconds: Mapping[int, float] = field(default_factory=dict)
    expected_steps: Mapping[int, int] = field(default_factory=dict)
    curves: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    all_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the console and ``status`` show: counts by state, and the jobs worth a line each.

    ``running`` holds all of them, the first started first; the others the first few: ``queued`` the next first,
    ``waiting`` the oldest first, ``done`` and ``problems`` the newest first. ``put_off`` holds those of the queued jobs
    that are tried again at a stated time, the next first. ``trouble`` says in words what keeps all of them waiting, or
    a device from being used, and when that is tried again. ``resting`` says in words why nothing is
    painted at present (paused, or not the hour for it); empty while painting goes on. ``config_fault`` says why the
    config's file, as it is, is not in force. ``outlook`` is empty until somebody has looked ahead
    (`monet_watch.outlook`). ``sketches`` are what the running paintings look like, by the number of the job.
    ``workers`` are the daemon's, as of its last heartbeat.
    """

    counts: Mapping[JobState, int]
    running: tuple[Job, ...] = ()
    queued: tuple[Job, ...] = ()
    waiting: tuple[Job, ...] = ()
    done: tuple[Job, ...] = ()
    problems: tuple[Job, ...] = ()
    put_off: tuple[Job, ...] = ()
    trouble: str = ""
    resting: str = ""
    config_fault: str = ""
    watch: "WatchState | None" = None
    outlook: Outlook = field(default_factory=Outlook)
    sketches: Mapping[int, Sketch] = field(default_factory=dict)
    workers: "tuple[WorkerState, ...]" = ()


@dataclass(frozen=True, slots=True)
class WatchState:
    """How a daemon watches its inbox; times are seconds since the epoch, None before there was such a time.

    ``mode`` is how and ``reason`` why so, in plain words; ``limited`` says that the system grants less than it should.
    ``trouble`` says why nothing is watched; empty while all is well. ``scanned_at`` is when everything was looked
    through last. ``restarted_at`` is when the watch was last made anew, and ``restarted_for`` why.
    """

    mode: str = ""
    reason: str = ""
    limited: bool = False
    trouble: str = ""
    scanned_at: float | None = None
    restarted_at: float | None = None
    restarted_for: str = ""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How one of a daemon's workers is, or the place of one that is to be started.

    ``device`` is what it paints on, or what was asked for while that is not known; ``node`` names the machine where
    that is not this one. ``health`` is a `monet_watch.workers.base.Health`, ``photo`` what it paints, relative to the
    inbox, empty where it paints none. ``seconds_per_step`` is that of its last painting, ``step_seconds`` by size:
    pairs of pixels and seconds, the smallest first. ``painted`` counts photos, and ``failures`` how often a worker
    died, hung or could not be started there, both since the daemon started. ``waits_for`` says why there is none, or
    why it cannot begin, and ``retry_at`` when another one is started, in seconds since the epoch.
    """

    device: str
    health: str
    node: str = ""
    photo: str = ""
    seconds_per_step: float | None = None
    step_seconds: tuple[tuple[int, float], ...] = ()
    painted: int = 0
    failures: int = 0
    waits_for: str = ""
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a scan compares a photo with: the newest row of its path."""

    state: JobState
    size: int
    mtime_ns: int
    settings_key: str | None
    photo_sha256: str | None
    priority: int


class NewPhoto(NamedTuple):
    """A photo that no row tells of, and why it waits."""

    path: PurePosixPath
    size: int
    mtime_ns: int
    reason: str


class WholePhoto(NamedTuple):
    """A photo that is whole: its facts, and the identity of the painting that it is to be.

    ``id`` is the job as which it waits, 0 where no row tells of it.
    """

    path: PurePosixPath
    size: int
    mtime_ns: int
    photo_sha256: str
    identity: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Queued:
    """What the choice of the next job needs of a queued one; it has no more, since there are many to choose from.

    ``turn`` is its place in the order by the first four rules: the smallest is the first, and equal ones may begin in
    any order. ``settings_key`` is the same for jobs that differ in their photo alone. ``width`` and ``height`` (pixels)
    are those of the painting where an earlier attempt has told them.
    """

    id: int
    identity: str
    turn: tuple[int, int, int]
    settings_key: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a job on a worker; ``ended_at`` is None while it is under way.

    ``number`` counts every start from 1. ``outcome`` is ``done``, ``problem``, ``interrupted`` (the daemon ended),
    ``not whole`` (the photo was not) or what the daemon called it when it queued the job again.
    """

    job_id: int
    number: int
    worker: str
    started_at: float
    ended_at: float | None = None
    outcome: str = ""
    detail: str = ""


class Ledger:
    """The record of all jobs, in its file. Used by one thread; closed by `close`, or as a context manager.

    Every method raises LedgerError where the file cannot be read or written, and where a job's state does not allow
    what is asked; then nothing is changed. What a method has changed is on disk when it returns (but `progress`, which
    a power cut may undo), or in a `batch`, when the batch ends.

    Lone surrogates in texts (not in paths) are stored as escapes.
    """

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._revision = 0
        self._turn: int | None = None  # the latest one, as soon as it is known

    @property
    def revision(self) -> int:
        """Another number whenever a job may have become another one, or got another place; not for a step of one."""
        return self._revision

    @classmethod
    def open(cls, path: Path, now: Callable[[], float] = time.time) -> Self:
        """Open the ledger in the file ``path`` for changes, and make it if it is not there.

        ``now`` gives seconds since the epoch. Raises LedgerError if the file is damaged, is no ledger, or was written
        by a later version of the program.
        """
        return cls(Database.open(path, SCHEMA), now)

    @classmethod
    def open_read_only(cls, path: Path, now: Callable[[], float] = time.time) -> Self:
        """Open the ledger for reading, whether or not a daemon is writing it. Raises LedgerError if there is none."""
        return cls(Database.open_read_only(path, SCHEMA), now)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def is_in_place(self) -> bool:
        """Whether its file is still where it was opened. What is written into one that is not is lost."""
        return self._database.is_in_place()

    def batch(self, durable: bool = True) -> AbstractContextManager[None]:
        """Keep all changes made inside together, with one wait for the disk; an exception undoes them all.

        Without ``durable`` nobody waits for the disk, and a power cut (but no crash of this program) may undo them.
        """
        return self._database.transaction(durable, is_bulk=True)

    # One photo.

    def get(self, job_id: int) -> Job:
        """Return the job as it is at present. Raises LedgerError if there is none (any more)."""
        for job in self._jobs("WHERE jobs.id = ?", job_id):
            return job
        raise LedgerError(f"There is no job {job_id}.")

    def known(self, path: PurePosixPath) -> tuple[Job, ...]:
        """Return all jobs of ``path``; the first is what the photo on disk last led to."""
        return self._jobs("WHERE path = ? ORDER BY turn DESC, finished_at DESC, id DESC", path)

    def has_begun(self, path: PurePosixPath, identities: Collection[str]) -> bool:
        """Whether ``path`` is being painted or has been, or any photo of one of the ``identities`` has been."""
        marks = ", ".join("?" * len(identities))
        found = self._database.rows(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE path = ? AND state IN ('running', 'done'))"
            f" OR EXISTS (SELECT 1 FROM jobs WHERE identity IN ({marks}) AND state = 'done')",
            _stored(path),
            *identities,
        )
        return bool(found[0][0])

    def known_paths(self, folder: PurePosixPath = _INBOX) -> dict[PurePosixPath, Known]:
        """Return for every path below ``folder`` what the photo on disk last led to."""
        start = os.fsencode(folder)
        known, _ = self.known_between(start + b"/", start + b"0") if folder.parts else self.known_between(b"", None)
        known.pop(start + b"0", None)  # the nought comes right after the slash, and is not below the folder
        return {_path(path): each for path, each in known.items()}

    def known_between(
        self, after: bytes, upto: bytes | None, most: int | None = None
    ) -> tuple[dict[bytes, Known], bytes | None]:
        """Return what `known_paths` does, by the paths' bytes, of those greater than ``after``; and the last of them.

        ``upto`` is the last path (None: there is no last one), which is returned, unless the answer ends earlier: no
        more than ``most`` rows are read, so that a large inbox can be looked through in parts of a moment each.
        """
        ceiling = "" if upto is None else "AND path <= ?"
        rows = self._database.rows(
            "SELECT path, state, size, mtime_ns, settings_key, photo_sha256, priority FROM jobs"
            f" WHERE path > ? {ceiling} ORDER BY path, turn, finished_at, id LIMIT {-1 if most is None else most}",
            *((after,) if upto is None else (after, upto)),
        )
        if len(rows) == most:
            cut = rows[-1][0]  # it may have rows that were not read
            rows = [row for row in rows if row[0] != cut]
            if not rows:
                return self.known_between(after, cut)
            upto = rows[-1][0]
        # Of the rows of a path, the last one stays in the dict.
        return {row[0]: Known(_STATES[row[1]], row[2], int(row[3]), *row[4:]) for row in rows}, upto

    def wait(
        self, path: PurePosixPath, *, size: int, mtime_ns: int, reason: str, remedy: str = "", kind: str = ""
    ) -> Job:
        """The photo cannot be queued yet: make its row, or set its unfinished one back, and say why.

        A power cut may undo it: the next scan sees the photo again.
        """
        with self._database.transaction(durable=False):
            return self._put(
                path,
                state=JobState.WAITING,
                size=size,
                mtime_ns=str(mtime_ns),
                settings_key=None,
                queued_at=None,
                **{**_NO_TROUBLE, "kind": kind, "reason": reason, "remedy": remedy},
                **_NOT_BEGUN,
            )

    def queue(
        self,
        path: PurePosixPath,
        *,
        size: int,
        mtime_ns: int,
        photo_sha256: str,
        settings_key: str,
        identity: str,
        settings: str,
        steps: int,
        priority: int = 0,
    ) -> Job:
        """The photo is whole and its settings are known: it takes its place in the queue.

        It keeps the place that it has if neither its identity nor its ``priority`` is another.

        Where it is painted with this identity already, or is being painted, nothing is queued: that job is returned,
        with the photo's size and time, and is the newest of its path.
        """
        with self._database.transaction():
            rows = self._standing(path)
            for twin in rows:
                if twin["identity"] == identity and twin["state"] in (JobState.RUNNING, JobState.DONE):
                    self.forget(path)
                    return self._update(twin["id"], size=size, mtime_ns=str(mtime_ns), turn=self._next_turn())
            unfinished = next((row for row in rows if row["state"] not in (JobState.RUNNING, JobState.DONE)), None)
            return self._put_over(
                unfinished,
                path,
                **self._fresh(unfinished, path, identity, priority),
                state=JobState.QUEUED,
                size=size,
                mtime_ns=str(mtime_ns),
                photo_sha256=photo_sha256,
                settings_key=settings_key,
                identity=identity,
                plan=self._plan(settings),
                steps=steps,
                **_NOT_BEGUN,
                **_NO_TROUBLE,
            )

    # Many photos at once.

    def add(self, photos: Sequence[NewPhoto]) -> Sequence[int]:
        """Photos of which there is no row cannot be queued yet: make their rows, as `wait` does, and return the ids."""
        now = self._now()
        with self._database.bulk(durable=False):
            self._revision += 1
            ids = self._next_ids(len(photos))
            rows = [
                (job, os.fsencode(each.path), self._next_turn(), each.size, str(each.mtime_ns), each.reason)
                for job, each in zip(ids, photos, strict=True)
            ]
            columns = ("id", "path", "turn", "size", "mtime_ns", "reason")
            self._database.insert_many("jobs", {"state": "waiting", "seen_at": now}, columns, rows)
        return ids

    def untouched(self, paths: Sequence[PurePosixPath]) -> list[int | None]:
        """Return for each of the ``paths`` the job as which it waits, and 0 where no row tells of it.

        None stands for those of which more is known, so that a painting of theirs may have been begun.
        """
        stored = [os.fsencode(path) for path in paths]
        rows = self._database.rows(_UNTOUCHED.format(", ".join("?" * len(stored))), *stored)
        found = {row[0]: row[1] if row[2] else None for row in rows}
        return [found.get(raw, 0) for raw in stored]

    def painted(self, identities: Collection[str]) -> set[str]:
        """Return those of the ``identities`` that some photo has been painted with."""
        query = (
            "SELECT DISTINCT identity FROM jobs WHERE identity IN (SELECT value FROM json_each(?)) AND state = 'done'"
        )
        return {row[0] for row in self._database.rows(query, json.dumps(list(identities)))}

    def queue_untouched(
        self,
        folder: PurePosixPath,
        photos: Sequence[WholePhoto],
        *,
        settings_key: str,
        settings: str,
        steps: int,
        priority: int = 0,
    ) -> list[int]:
        """Photos right in ``folder`` that are `untouched` take their places in the queue, as `queue` gives them.

        Return their jobs. Those of which no row tells come after the others.
        """
        if not photos:
            return []
        waiting = sorted((each for each in photos if each.id), key=attrgetter("id"))
        new = [each for each in photos if not each.id]
        with self._database.bulk():
            self._revision += 1
            common = self._place_in_queue(folder, priority)
            common |= {"settings_key": settings_key, "steps": steps, "plan": self._plan(settings)}
            rounds, ids = itertools.count(common.pop("round")), self._next_ids(len(new))

            def own(each: WholePhoto) -> tuple[object, ...]:
                facts = (each.size, str(each.mtime_ns), each.photo_sha256, each.identity)
                return (*facts, self._next_turn(), next(rounds))

            # The last of a batch is found by its number, so these are in the order of theirs.
            changes = ((*common.values(), *own(each), each.id) for each in waiting)
            self._database.change_many(_QUEUE_UNTOUCHED.format(" = ?, ".join((*common, *_OWN))), changes)
            rows = [(*own(each), os.fsencode(each.path), job) for job, each in zip(ids, new, strict=True)]
            common |= {"state": "queued", "seen_at": common["queued_at"]}
            self._database.insert_many("jobs", common, (*_OWN, "path", "id"), rows)
        made = iter(ids)
        return [each.id or next(made) for each in photos]

    # The order of the queue.

    def prioritise(self, folder: PurePosixPath, priority: int) -> None:
        """Give what is queued of ``folder``, a folder of the inbox, another priority.

        Its batches take turns with those of that priority from the next round on.
        """
        others = "state = 'queued' AND lane = ? AND (priority < ? OR priority > ?)"
        values = (_stored(folder), priority, priority)
        with self._database.transaction():
            first = self._database.rows(f"SELECT min(round) FROM jobs WHERE {others}", *values)[0][0]
            if first is None:
                return
            shift = 1 + self._round_under_way(priority) - first
            self._revision += 1
            self._database.change(
                f"UPDATE jobs SET priority = ?, round = round + ?, opened = opened + ? WHERE {others}",
                priority,
                shift,
                shift,
                *values,
            )

    def forget(self, path: PurePosixPath) -> tuple[Job, ...]:
        """The photo is gone: remove its unfinished row and return it. What runs or is done stays."""
        with self._database.transaction():
            jobs = self._unfinished(path)
            for job in jobs:
                self._remove(job)
            return jobs

    def remember(
        self,
        path: PurePosixPath,
        *,
        size: int,
        mtime_ns: int,
        photo_sha256: str,
        settings_key: str,
        identity: str,
        settings: str,
        steps: int,
        folder: PurePosixPath,
        loss: float | None,
        width: int | None,
        height: int | None,
        finished_at: float,
    ) -> Job:
        """Note a painting that is in the outbox, as its record tells; a photo that is to be painted so is done by that.

        Nothing is changed where it is known, or under way. Remembered paintings are older than everything that this
        ledger has seen, and among themselves they are ordered by ``finished_at``. The ``folder`` is nobody else's.
        """
        facts = {
            "size": size,
            "mtime_ns": str(mtime_ns),
            "photo_sha256": photo_sha256,
            "settings_key": settings_key,
            "step": steps,
            "steps": steps,
            "loss": loss,
            "width": width,
            "height": height,
            "finished_at": finished_at,
        }
        with self._database.transaction():
            for twin in self._twin(path, identity):
                if twin.state in (JobState.RUNNING, JobState.DONE):
                    return twin
                self._vacate(folder, twin.id)
                place = {"folder": folder, "folder_key": _folder_key(folder)}
                return self._update(twin.id, state=JobState.DONE, **facts, **place, **_NO_TROUBLE)
            self._vacate(folder)
            return self._insert(
                path=path,
                state=JobState.DONE,
                turn=0,
                identity=identity,
                plan=self._plan(settings),
                folder=folder,
                folder_key=_folder_key(folder),
                seen_at=finished_at,
                **facts,
            )

    def _vacate(self, folder: PurePosixPath, job_id: int = 0) -> None:
        """Whoever else was promised ``folder`` gets another one: somebody's painting lies there."""
        self._database.change(
            "UPDATE jobs SET folder = NULL, folder_key = NULL WHERE folder_key = ? AND id <> ? AND state <> 'done'",
            _folder_key(folder),
            job_id,
        )

    # Folders of the outbox.

    def place(self, job_id: int, folder: PurePosixPath) -> Job:
        """Say where the painting lies, or will lie. Raises LedgerError if the folder is another job's."""
        with self._database.transaction():
            return self._update(self.get(job_id).id, **self._placed(job_id, folder))

    def is_painted(self, folder: PurePosixPath) -> bool:
        """Whether a painting is known to lie in ``folder``."""
        query = "SELECT 1 FROM jobs WHERE folder_key = ? AND state = 'done' LIMIT 1"
        return bool(self._database.rows(query, _folder_key(folder)))

    def folder_owner(self, folder: PurePosixPath) -> Job | None:
        """Return the job whose painting lies, or will lie, in ``folder``.

        Names that differ in case, or in the Unicode form of their letters, are one folder, as on many network shares.
        """
        return _first(self._jobs("WHERE folder_key = ? ORDER BY jobs.id LIMIT 1", _folder_key(folder)))

    # The way of a job.

    def start(self, job_id: int, worker: str) -> Job:
        """A worker has got the job: queued → running, one attempt more.

        Raises LedgerError also while another job of the same path or the same identity is running.
        """
        with self._database.transaction():
            job = self._expect(job_id, "started", JobState.QUEUED)
            for other in self._jobs(_IN_THE_WAY, job.path, job.identity):
                raise LedgerError(f"{_name(job)} cannot be started: {_name(other)}, is under way.")
            started_at = self._now()
            self._database.insert(
                "INSERT INTO attempts (job_id, number, worker, started_at)"
                " SELECT ?, 1 + ifnull(max(number), 0), ?, ? FROM attempts WHERE job_id = ?",
                job.id,
                _stored(worker),
                started_at,
                job.id,
            )
            return self._update(
                job.id,
                state=JobState.RUNNING,
                attempts=job.attempts + 1,
                worker=worker,
                started_at=started_at,
                **_NO_PROGRESS,
                **_NO_REASON,
            )

    def progress(
        self, job_id: int, *, step: int, loss: float, seconds_per_step: float | None, seconds: float | None = None
    ) -> None:
        """Say how far a running job is. A loss that is no number is stored as None; ``seconds`` is what it took."""
        met = self._database.change_alone(
            "UPDATE jobs SET step = ?, loss = ?, seconds_per_step = ? WHERE id = ? AND state = 'running'",
            step,
            loss,
            seconds_per_step,
            job_id,
        )
        if not met:
            self._expect(job_id, "at a step", JobState.RUNNING)
        if seconds is not None:
            self._database.change_alone(_STEP_TAKEN, job_id, step, loss, seconds, job_id)

    def sized(self, job_id: int, width: int, height: int, first_step: int = 1) -> None:
        """Say how large (pixels) the painting of a running job will be, and which step it begins, or goes on, with."""
        sized = "UPDATE jobs SET width = ?, height = ? WHERE id = ? AND state = 'running'"
        if not self._database.change_alone(sized, width, height, job_id):
            self._expect(job_id, "given a size", JobState.RUNNING)
        self._database.change_alone("DELETE FROM steps WHERE job_id = ? AND number >= ?", job_id, first_step)

    def sketched(self, job_id: int, sketch: Sketch) -> None:
        """Say what a running job looks like: the photo, or its latest stage."""
        values = (job_id, sketch.width, sketch.height, sketch.rgb)
        self._database.change_alone("INSERT OR REPLACE INTO sketches VALUES (?, ?, ?, ?)", *values)

    def finish(self, job_id: int, *, loss: float | None = None, sizes: Sequence[tuple[int, int]] = ()) -> Job:
        """Its painting is in the outbox: running → done. ``loss`` is the painting's; without it, the last step's.

        ``sizes`` are those that it went through, each with its last step and its pixels: by them what it took is kept.
        """
        with self._database.transaction():
            job = self._expect(job_id, "done", JobState.RUNNING)
            self._end_attempt(job, "done")
            self._measure(job, sizes)
            loss = job.loss if loss is None else loss
            return self._update(job.id, state=JobState.DONE, finished_at=self._now(), loss=loss, **_NO_TROUBLE)

    def adopt(
        self,
        job_id: int,
        folder: PurePosixPath,
        *,
        step: int = 0,
        loss: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> Job:
        """Finished files of the same identity were copied to ``folder``: queued → done, without an attempt.

        The last step, the loss and the size (pixels) are those of the painting that was copied.
        """
        with self._database.transaction():
            job = self._expect(job_id, "done by a copy", JobState.QUEUED)
            facts = {"step": step, "loss": loss, "width": width, "height": height, **self._placed(job.id, folder)}
            return self._update(job.id, state=JobState.DONE, finished_at=self._now(), **facts, **_NO_TROUBLE)

    def fail(self, job_id: int, *, kind: str, reason: str, remedy: str) -> Job:
        """It cannot be painted: waiting, queued or running → problem.

        Where a running job has been overtaken it is removed instead, and the newest job of its path is returned.
        """
        with self._database.transaction():
            job = self._expect(job_id, "a problem", JobState.WAITING, JobState.QUEUED, JobState.RUNNING)
            self._end_attempt(job, "problem", reason)
            told = {"kind": kind, "reason": reason, "remedy": remedy}
            return self._give_up(job, state=JobState.PROBLEM, finished_at=self._now(), **told)

    def requeue(self, job_id: int, *, outcome: str, detail: str = "", counts: bool = True) -> Job:
        """Its attempt ended without a painting: running → queued, at the place in the queue that it had before.

        ``counts`` says whether the attempt is held against the job. Where it has been overtaken it is removed
        instead, and the newest job of its path is returned.
        """
        with self._database.transaction():
            job = self._expect(job_id, "queued again", JobState.RUNNING)
            self._end_attempt(job, outcome, detail)
            attempts = job.attempts if counts else max(0, job.attempts - 1)
            return self._give_up(job, state=JobState.QUEUED, attempts=attempts, **_NOT_BEGUN)

    def put_off(
        self, job_id: int, *, kind: str, reason: str, remedy: str, seconds: float, outcome: str = "put off"
    ) -> Job:
        """Something that passes keeps it from being painted: queued or running → queued, not to be begun for a while.

        It keeps its place in the queue, and no attempt is held against it. ``seconds`` are at most
        `LONGEST_PUT_OFF_SECONDS`. Where a running job has been overtaken it is removed instead, and the newest job of
        its path is returned.
        """
        with self._database.transaction():
            job = self._expect(job_id, "put off", JobState.QUEUED, JobState.RUNNING)
            self._end_attempt(job, outcome, reason)
            attempts = job.attempts - (job.state is JobState.RUNNING)
            told = {"kind": kind, "reason": reason, "remedy": remedy}
            later = {"put_off": job.put_off + 1, "retry_at": self._now() + seconds}
            return self._give_up(job, state=JobState.QUEUED, attempts=attempts, **_NOT_BEGUN, **told, **later)

    def hurry(self, job_ids: Collection[int] | None = None, kind: str | None = None) -> int:
        """Put the jobs with these ids, or all, off no longer, or those that errors of this ``kind`` put off.

        Returns how many there were.
        """
        columns = ", ".join(f"{name} = ?" for name in _NO_TROUBLE)
        which = "" if job_ids is None else " AND id IN (SELECT value FROM json_each(?))"
        which += "" if kind is None else " AND kind = ?"
        values = [*_NO_TROUBLE.values(), *([] if job_ids is None else [json.dumps(sorted(job_ids))])]
        values += [] if kind is None else [kind]
        with self._database.transaction():
            self._revision += 1
            changes = f"UPDATE jobs SET {columns} WHERE retry_at IS NOT NULL AND state = 'queued'{which}"
            return self._database.change(changes, *values)

    def unsettle(self, job_id: int, *, reason: str, remedy: str = "", kind: str = "") -> Job:
        """The photo is not whole after all: queued or running → waiting.

        Where a running job has been overtaken it is removed instead, and the newest job of its path is returned.
        """
        with self._database.transaction():
            job = self._expect(job_id, "waiting", JobState.QUEUED, JobState.RUNNING)
            self._end_attempt(job, "not whole", reason)
            told = {**_NO_TROUBLE, "kind": kind, "reason": reason, "remedy": remedy}
            return self._give_up(job, state=JobState.WAITING, queued_at=None, **_NOT_BEGUN, **told)

    def retry(self, path: PurePosixPath | None = None) -> tuple[Job, ...]:
        """Try problems again, with no attempt held against them: that of ``path``, or all of them; return the jobs.

        They go to the end of the queue. A problem without an identity becomes waiting.
        """
        with self._database.transaction():
            jobs = reversed(self.problems()) if path is None else self._unfinished(path)
            return tuple(self._try_again(job) for job in jobs if job.state is JobState.PROBLEM)

    def repaint(self, job_id: int) -> Job:
        """Somebody asks for a painting that was removed from the outbox: done → queued, as a problem is."""
        with self._database.transaction():
            job = self._expect(job_id, "painted anew", JobState.DONE)
            self.forget(job.path)
            self._update(job.id, turn=self._next_turn())
            return self._try_again(job)

    def erase(self, path: PurePosixPath) -> tuple[Job, ...]:
        """Forget all that is known of ``path``, paintings too, and return it. What runs stays."""
        with self._database.transaction():
            jobs = tuple(job for job in self.known(path) if job.state is not JobState.RUNNING)
            for job in jobs:
                self._remove(job)
            self.note(HEARTBEAT_KEY, str(self._now()))  # lest its paintings be taken for ones that are unknown
            return jobs

    def recover(self) -> tuple[Job, ...]:
        """At the start of the daemon: what was running when it ended is queued again, and returned."""
        with self._database.transaction():
            before = self.running()
            after = [self.requeue(job.id, outcome="interrupted", counts=False) for job in before]
            return tuple(kept for job, kept in zip(before, after, strict=True) if kept.id == job.id)

    # Lists.

    def next_queued(self) -> Job | None:
        """Return the job whose turn it is.

        A job whose identity is being painted is passed over (it will be a copy), and so is one whose path is, and one
        that is put off.
        """
        now = self._now()
        return _first(self._jobs(f"{_FREE} LIMIT 1", now, now + LONGEST_PUT_OFF_SECONDS))

    def front(self, most: int, without: Collection[str] = ()) -> tuple[Queued, ...]:
        """Return up to ``most`` jobs whose turn comes next, the first first, without those that are passed over.

        Those whose settings' keys are among ``without`` are passed over, too.
        """
        now = self._now()
        columns = "id, identity, priority, round, opened, settings_key, width, height"
        values = (now, now + LONGEST_PUT_OFF_SECONDS, json.dumps(sorted(without)), most)
        rows = self._database.rows(f"SELECT {columns} FROM jobs {_FREE_OF} LIMIT ?", *values)
        return tuple(
            Queued(row[0], row[1], (-row[2], row[3], row[3] - row[4] >= NEW_PHOTOS), row[5] or "", row[6], row[7])
            for row in rows
        )

    def next_retry(self) -> float | None:
        """Return when a job that is put off can be begun, in seconds since the epoch; None where none is."""
        now = self._now()
        values = (now, now + LONGEST_PUT_OFF_SECONDS)
        for row in self._database.rows(_NEXT_RETRY, *values):
            return float(row[0])
        return None

    def first_queued_of(self, identity: str) -> Job | None:
        """Return the job of ``identity`` that was queued first; None where none is queued."""
        return _first(self._jobs(_FIRST_QUEUED_OF, identity[:_BEGINNING], identity))

    def finished(self, identity: str) -> Iterator[Job]:
        """Go through the done jobs of ``identity`` that have a folder, the newest first.

        A few are read at a time: a photo may have thousands of copies, of which one mostly serves.
        """
        for start in itertools.count(0, _COPIES_AT_ONCE):
            jobs = self._jobs(f"{_FINISHED} LIMIT ? OFFSET ?", identity, _COPIES_AT_ONCE, start)
            yield from jobs
            if len(jobs) < _COPIES_AT_ONCE:
                return

    def waiting(self) -> tuple[Job, ...]:
        """Return the waiting jobs, the oldest first."""
        return self._jobs(_WAITING)

    def problems(self) -> tuple[Job, ...]:
        """Return the problems, the newest first."""
        return self._jobs(_PROBLEMS)

    def running(self) -> tuple[Job, ...]:
        """Return the running jobs, the first started first."""
        return self._jobs("WHERE state = 'running' ORDER BY started_at, id")

    def listed(
        self, states: Collection[JobState], folder: PurePosixPath = _INBOX, since: float = 0.0, most: int = -1
    ) -> tuple[Job, ...]:
        """Return the jobs in ``states`` of the photos below ``folder`` that have changed ``since``, the latest first.

        They come without their ``settings``. No more than ``most`` are returned, -1: all of them.
        """
        first, end = _below(folder)
        marks = ", ".join("?" * len(states))
        values = (*states, first, end, since, most)
        rows = self._database.rows(f"{_LISTED.format(marks)}", *map(_stored, values))
        return tuple(_job(row) for row in rows)

    def is_unfinished(self, folder: PurePosixPath) -> bool:
        """Whether any photo right in ``folder`` of the inbox waits, is queued, or is being painted."""
        rows = self._database.rows(_IS_UNFINISHED, *_right_in(folder) * 2)
        return bool(rows[0][0])

    def photos_in(self, folder: PurePosixPath) -> tuple[Job, ...]:
        """Return of each photo right in ``folder`` of the inbox what it last led to, without its ``settings``."""
        rows = self._database.rows(_PHOTOS_IN, *_right_in(folder))
        return tuple({job.path: job for job in map(_job, rows)}.values())

    def kinds_of_problems(self) -> dict[str, int]:
        """Return how many problems there are of each kind."""
        rows = self._database.rows("SELECT kind, count(*) FROM jobs WHERE state = 'problem' GROUP BY kind")
        return {row[0]: row[1] for row in rows}

    def oldest_unpainted(self) -> float | None:
        """Return since when the oldest photo has waited, or been queued; None where none does."""
        rows = self._database.rows(_OLDEST_UNPAINTED)
        return None if rows[0][0] is None else float(rows[0][0])

    def finished_since(self, at: float) -> tuple[Job, ...]:
        """Return the jobs that were done at ``at``, or later, the first first, without their ``settings``."""
        rows = self._database.rows(_FINISHED_SINCE, at)
        return tuple(map(_job, rows))

    def painted_places(self) -> dict[PurePosixPath, int]:
        """Return the folders of the outbox right in which paintings were put, each with of how many photos."""
        rows = self._database.rows("SELECT DISTINCT path, folder FROM jobs WHERE state = 'done' AND folder IS NOT NULL")
        photos = {(row[0], row[1].rpartition(b"/")[0]) for row in rows}
        return {_path(place): count for place, count in Counter(place for _, place in photos).items()}

    def sources_of(self, place: PurePosixPath) -> frozenset[tuple[PurePosixPath, PurePosixPath]]:
        """Return which folders of the inbox had paintings put right in ``place`` of the outbox, each with their place.

        That is ``place``, or one of the same name where a share folds case and Unicode forms.
        """
        rows = self._database.rows(_PAINTED_IN, *_right_in(place, _folder_key))
        return frozenset((_path(row[0]).parent, _path(row[1]).parent) for row in rows)

    def attempts(self, job_id: int) -> tuple[Attempt, ...]:
        """Return every start of a job, the first one first."""
        columns = "job_id, number, worker, started_at, ended_at, outcome, detail"
        rows = self._database.rows(f"SELECT {columns} FROM attempts WHERE job_id = ? ORDER BY number", job_id)
        return tuple(Attempt(*row) for row in rows)

    def sketches(self) -> dict[int, Sketch]:
        """Return what the running jobs look like, by their ids, as far as that is known."""
        return {row[0]: Sketch(row[1], row[2], row[3]) for row in self._database.rows(_SKETCHES)}

    def steps_taken(self, job_id: int) -> tuple[StepTaken, ...]:
        """Return the steps of a painting under way: the latest, and of a long one a part of those before."""
        rows = self._database.rows(_STEPS_TAKEN, job_id, _LATEST_STEPS, _SPREAD_STEPS)
        return tuple(StepTaken(row[0], math.nan if row[1] is None else row[1], row[2]) for row in rows)

    def measures(self, most: int = 50) -> tuple[Measure, ...]:
        """Return what the latest paintings took, the latest last."""
        rows = reversed(self._database.rows(_MEASURES, most))
        return tuple(
            Measure(row[0], row[1], row[2], row[3], row[4], tuple((*pace,) for pace in json.loads(row[5])), row[6])
            for row in rows
        )

    def queued_settings(self) -> tuple[tuple[str, int], ...]:
        """Return the settings of what is queued, as they were stored, and how many jobs each holds for."""
        rows = self._database.rows(_QUEUED_SETTINGS)
        return tuple((row[0], row[1]) for row in rows)

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs there are in each state (0 too), however many, at once."""
        rows = self._database.rows("SELECT state, number FROM counts")
        return dict.fromkeys(JobState, 0) | {JobState(state): number for state, number in rows}

    def overview(self, recent: int = 10) -> Overview:
        """Return the counts of all states (0 too) and up to ``recent`` jobs of each list, as of one moment."""
        with self._database.snapshot():
            return Overview(
                counts=self.counts(),
                running=self.running(),
                queued=self._jobs(f"{_QUEUED} LIMIT ?", recent),
                waiting=self._jobs(f"{_WAITING} LIMIT ?", recent),
                done=self._jobs(f"{_DONE} LIMIT ?", recent),
                problems=self._jobs(f"{_PROBLEMS} LIMIT ?", recent),
                put_off=self._jobs(f"{_PUT_OFF} LIMIT ?", recent),
                trouble=self.noted(TROUBLE_KEY) or "",
                resting=self.noted(RESTING_KEY) or "",
                config_fault=self.noted(CONFIG_FAULT_KEY) or "",
                watch=self.watch_state(),
                sketches=self.sketches(),
                workers=self.worker_states(),
            )

    # Notes.

    def note(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``, instead of what was there."""
        with self._database.transaction():
            self._database.change("INSERT OR REPLACE INTO notes VALUES (?, ?)", _stored(key), _stored(value))

    def noted(self, key: str) -> str | None:
        """Return what was noted last under ``key``; None if nothing was."""
        for row in self._database.rows("SELECT value FROM notes WHERE key = ?", _stored(key)):
            return str(row[0])
        return None

    def note_watch(self, state: WatchState) -> None:
        """Keep how the inbox is watched."""
        self.note(_WATCH_KEY, json.dumps(asdict(state)))

    def watch_state(self) -> WatchState | None:
        """Return how the inbox is, or was, watched; None before the first time."""
        noted = self.noted(_WATCH_KEY)
        return WatchState(**json.loads(noted)) if noted else None

    def note_workers(self, states: Sequence[WorkerState]) -> None:
        """Keep how the workers are."""
        self.note(_WORKERS_KEY, json.dumps([asdict(state) for state in states]))

    def worker_states(self) -> tuple[WorkerState, ...]:
        """Return how the workers are, or were when the daemon that noted it ended without a word."""
        return tuple(map(_worker_state, json.loads(self.noted(_WORKERS_KEY) or "[]")))

    # Upkeep.

    def wanted(self, identities: Collection[str]) -> set[str]:
        """Return those of the ``identities`` that some photo still waits to be painted with, or is painted with."""
        return {row[0] for row in self._database.rows(_WANTED, json.dumps(sorted(identities)))}

    def prune(self) -> None:
        """Forget what nobody asks for: of each job all starts but the last twenty, and settings that no job has.

        Jobs are never forgotten here: a painting that was removed by hand, or whose photo has gone, is not painted
        again for the sake of its row.
        """
        with self._database.transaction():
            self._database.change(
                "DELETE FROM attempts WHERE ended_at IS NOT NULL AND number <= ("
                " SELECT max(later.number) FROM attempts AS later WHERE later.job_id = attempts.job_id) - ?",
                _ATTEMPTS_KEPT,
            )
            for table in _OF_WHAT_IS_UNDER_WAY:
                self._database.change(
                    f"DELETE FROM {table} WHERE EXISTS ("
                    f" SELECT 1 FROM jobs WHERE id = {table}.job_id AND state IN ('done', 'problem'))"
                )
            self._database.change(
                "DELETE FROM measures WHERE measured_at < ("
                " SELECT min(measured_at) FROM (SELECT measured_at FROM measures ORDER BY measured_at DESC LIMIT ?))",
                _MEASURES_KEPT,
            )
            self._database.change("DELETE FROM queued_plans WHERE number = 0")
            self._database.change(
                "DELETE FROM plans WHERE digest NOT IN (SELECT plan FROM jobs WHERE plan IS NOT NULL)"
            )

    def compact(self) -> bool:
        """Give the room of what was forgotten back to the disk, where it is worth the while; return whether it was."""
        return self._database.compact(_WORTH_COMPACTING_BYTES)

    # Rows.

    def _jobs(self, where: str, *values: object) -> tuple[Job, ...]:
        rows = self._database.rows(f"{_SELECT} {where}", *map(_stored, values))
        return tuple(_job(row) for row in rows)

    def _twin(self, path: PurePosixPath, identity: str) -> tuple[Job, ...]:
        """The job of this path and identity: one, or none."""
        return self._jobs("WHERE path = ? AND identity = ?", path, identity)

    def _unfinished(self, path: PurePosixPath) -> tuple[Job, ...]:
        """The job of ``path`` that is neither running nor done: one, or none."""
        return self._jobs(f"WHERE path = ? AND {UNFINISHED}", path)

    def _insert(self, **columns: object) -> Job:
        self._revision += 1
        marks = ", ".join("?" * len(columns))
        values = map(_stored, columns.values())
        return self.get(self._database.insert(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", *values))

    def _update(self, job_id: int, **columns: object) -> Job:
        self._revision += 1
        changes = ", ".join(f"{name} = ?" for name in columns)
        values = map(_stored, columns.values())
        self._database.change(f"UPDATE jobs SET {changes} WHERE id = ?", *values, job_id)
        return self.get(job_id)

    def _remove(self, job: Job) -> None:
        self._revision += 1
        self._database.change("DELETE FROM jobs WHERE id = ?", job.id)

    def _standing(self, path: PurePosixPath) -> list[Row]:
        """All that decides about what can become of a path's rows, without their texts."""
        return self._database.rows("SELECT id, state, identity, priority FROM jobs WHERE path = ?", _stored(path))

    def _put(self, path: PurePosixPath, **columns: object) -> Job:
        """Change the path's unfinished row, or make it; it is the newest of its path."""
        rows = self._standing(path)
        unfinished = next((row for row in rows if row["state"] not in (JobState.RUNNING, JobState.DONE)), None)
        return self._put_over(unfinished, path, **columns)

    def _put_over(self, unfinished: Row | None, path: PurePosixPath, **columns: object) -> Job:
        columns["turn"] = self._next_turn()
        if unfinished is not None:
            return self._update(unfinished["id"], **columns)
        return self._insert(path=path, seen_at=self._now(), **columns)

    def _next_ids(self, count: int) -> range:
        """The ids of so many rows that are about to be made, in the transaction that is under way.

        They are those that SQLite would give, and it gives none twice; to ask it for one after the other costs a half
        more.
        """
        last = self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
        first = 1 + (last[0][0] if last else 0)
        return range(first, first + count)

    def _next_turn(self) -> int:
        if self._turn is None:
            self._turn = int(self._database.rows("SELECT ifnull(max(turn), 0) FROM jobs")[0][0])
        self._turn += 1
        return self._turn

    def _plan(self, settings: str) -> bytes:
        text = _readable(settings)
        digest = hashlib.sha256(text.encode()).digest()
        self._database.change("INSERT OR IGNORE INTO plans VALUES (?, ?)", digest, text)
        return digest

    def _fresh(self, unfinished: Row | None, path: PurePosixPath, identity: str, priority: int) -> dict[str, object]:
        """What a job begins with when it is queued: everything anew if it will be another painting."""
        if unfinished is None or unfinished["identity"] != identity:
            return {**self._place_in_queue(path.parent, priority), **_NO_HISTORY}
        keeps_place = (unfinished["state"], unfinished["priority"]) == (JobState.QUEUED, priority)
        return {} if keeps_place else self._place_in_queue(path.parent, priority)

    def _place_in_queue(self, folder: PurePosixPath, priority: int) -> dict[str, Any]:
        """The columns that say when the turn of a photo of ``folder`` comes, which is queued at this moment."""
        now, under_way, lane = self._now(), self._round_under_way(priority), _stored(folder)
        before = self._database.rows(_LAST_OF_LANE, lane, priority, now + BATCH_PAUSE_SECONDS)
        if before and abs(now - before[0]["queued_at"]) < BATCH_PAUSE_SECONDS:
            opened, turn = before[0]["opened"], 1 + max(before[0]["round"], under_way)
        else:
            opened = turn = 1 + max(before[0]["opened"] if before else 0, under_way)
        return {"queued_at": now, "lane": lane, "priority": priority, "round": turn, "opened": opened}

    def _round_under_way(self, priority: int) -> int:
        rows = self._database.rows("SELECT min(round) FROM jobs WHERE state = 'queued' AND priority = ?", priority)
        return int(rows[0][0] or 0)

    def _placed(self, job_id: int, folder: PurePosixPath) -> dict[str, object]:
        owner = self.folder_owner(folder)
        if owner is not None and owner.id != job_id:
            raise LedgerError(f"{folder} in the outbox is the folder of {_name(owner)}.")
        return {"folder": folder, "folder_key": _folder_key(folder)}

    def _expect(self, job_id: int, wanted: str, *states: JobState) -> Job:
        job = self.get(job_id)
        if job.state not in states:
            raise LedgerError(f"{_name(job)} cannot be {wanted}: it is {job.state}.")
        return job

    def _end_attempt(self, job: Job, outcome: str, detail: str = "") -> None:
        self._database.change(
            "UPDATE attempts SET ended_at = ?, outcome = ?, detail = ? WHERE job_id = ? AND ended_at IS NULL",
            self._now(),
            _stored(outcome),
            _stored(detail),
            job.id,
        )

    def _measure(self, job: Job, sizes: Sequence[tuple[int, int]]) -> None:
        """Keep what the steps of the attempt that has ended, if all of them are known, and the rest of it took."""
        steps = self._database.rows(_STEPS_OF_LAST_ATTEMPT, job.id)
        for table in _OF_WHAT_IS_UNDER_WAY:
            self._database.change(f"DELETE FROM {table} WHERE job_id = ?", job.id)
        if not steps or not job.width or len(steps) != 1 + steps[-1][0] - steps[0][0]:
            return
        paces = _paces([(step[0], step[1]) for step in steps], sizes or [(steps[-1][0], job.width * (job.height or 0))])
        rest = max(0.0, steps[0][2] - sum(step[1] for step in steps))
        values = (job.id, _stored(job.worker), steps[-1][0], json.dumps(paces), rest, self._now())
        self._database.change("INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?, ?, ?)", *values)

    def _give_up(self, job: Job, **columns: object) -> Job:
        """Change a job that ended without a painting, or remove it if something newer of its path overtook it."""
        newest = self.known(job.path)[0]
        if newest.id == job.id:
            return self._update(job.id, **columns)
        self._remove(job)
        return newest

    def _try_again(self, job: Job) -> Job:
        state = JobState.WAITING if job.identity is None else JobState.QUEUED
        place = {} if job.identity is None else self._place_in_queue(job.path.parent, job.priority)
        anew = {"queued_at": None, **_NOT_BEGUN, **_NO_PROGRESS, **_NO_TROUBLE}
        return self._update(job.id, state=state, attempts=0, **{**anew, **place})


_SELECT = "SELECT {} FROM jobs LEFT JOIN plans ON digest = plan".format(
    ", ".join("plans.text AS settings" if column.name == "settings" else column.name for column in fields(Job))
)
_LIGHT = ", ".join("NULL AS settings" if column.name == "settings" else column.name for column in fields(Job))
_BETWEEN = "{0} >= ? AND {0} < ? AND instr(substr({0}, ?), X'2F') = 0"
_RIGHT_IN = _BETWEEN.format("path")
_PAINTED_IN = f"SELECT path, folder FROM jobs WHERE state = 'done' AND {_BETWEEN.format('folder_key')}"
_PHOTOS_IN = f"SELECT {_LIGHT} FROM jobs WHERE {_RIGHT_IN} ORDER BY path, turn, finished_at, id"
_OLDEST_UNPAINTED = """
    SELECT min(at) FROM (
        SELECT min(seen_at) AS at FROM jobs WHERE state = 'waiting'
        UNION ALL SELECT min(queued_at) FROM jobs WHERE state = 'queued'
    )
"""
_FINISHED_SINCE = f"SELECT {_LIGHT} FROM jobs WHERE state = 'done' AND finished_at >= ? ORDER BY finished_at, id"
_IS_UNFINISHED = f"""
    SELECT EXISTS (SELECT 1 FROM jobs WHERE {UNFINISHED} AND state <> 'problem' AND {_RIGHT_IN})
        OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND {_RIGHT_IN})
"""
_CHANGED_AT = "coalesce(finished_at, started_at, queued_at, seen_at)"
_LISTED = "SELECT {} FROM jobs WHERE state IN ({{}}) AND path >= ? AND path < ? AND {} >= ? {}".format(
    _LIGHT,
    _CHANGED_AT,
    f"ORDER BY {_CHANGED_AT} DESC, id DESC LIMIT ?",
)
_UNTOUCHED = """
    SELECT path, id, count(*) = 1 AND state = 'waiting' AND identity IS NULL AND folder IS NULL
    FROM jobs WHERE path IN ({}) GROUP BY path
"""
_OWN = ("size", "mtime_ns", "photo_sha256", "identity", "turn", "round")  # that a photo of a batch has by itself
_QUEUE_UNTOUCHED = "UPDATE jobs SET state = 'queued', reason = '', remedy = '', kind = '', {} = ? WHERE id = ?"
_BEGINNING = 16  # characters of an identity, by which the index knows what is to be painted
_FIRST_QUEUED_OF = f"""
    WHERE substr(identity, 1, {_BEGINNING}) = ? AND {TO_BE_PAINTED}
        AND +identity = ? AND +state = 'queued' ORDER BY queued_at, id LIMIT 1
"""
_WANTED = f"""
    SELECT DISTINCT identity FROM json_each(?) CROSS JOIN jobs
    ON substr(identity, 1, {_BEGINNING}) = substr(value, 1, {_BEGINNING}) AND {TO_BE_PAINTED} AND identity = value
"""
_IN_TURN = "ORDER BY priority DESC, round, opened DESC, queued_at, id"
_QUEUED = f"WHERE state = 'queued' {_IN_TURN}"
# What was queued at a later time than this is from before the clock was set back, and not the last.
_LAST_OF_LANE = """
    SELECT queued_at, round, opened FROM jobs WHERE state = 'queued' AND lane = ? AND priority = ? AND queued_at < ?
    ORDER BY queued_at DESC, id DESC LIMIT 1
"""
# One at a time may be painted of each path, and of each identity, and an index of each knows it, if asked alone.
_IN_THE_WAY = """
    WHERE jobs.id IN (
        SELECT id FROM jobs WHERE state = 'running' AND path = ?
        UNION ALL SELECT id FROM jobs WHERE state = 'running' AND identity = ?
    ) LIMIT 1
"""
_WAITING = "WHERE state = 'waiting' ORDER BY seen_at, id"
_FINISHED = "WHERE identity = ? AND state = 'done' AND folder IS NOT NULL ORDER BY finished_at DESC, id DESC"
_DONE = "WHERE state = 'done' ORDER BY finished_at DESC, id DESC"
_PROBLEMS = "WHERE state = 'problem' ORDER BY finished_at DESC, id DESC"
# A time that is further off than any that was ever set is from before the clock was set back.
_STILL_PUT_OFF = "(state = 'queued' AND retry_at > ? AND retry_at <= ?)"
_NEXT_RETRY = """
    SELECT retry_at FROM jobs WHERE +state = 'queued' AND retry_at > ? AND retry_at <= ? ORDER BY retry_at LIMIT 1
"""
_PUT_OFF = "WHERE retry_at IS NOT NULL AND +state = 'queued' ORDER BY retry_at, id"  # by the index of these alone
_IS_FREE = f"""
    WHERE state = 'queued' AND NOT ifnull({_STILL_PUT_OFF}, 0)
        AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.state = 'running' AND other.path = jobs.path)
        AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.state = 'running' AND other.identity = jobs.identity)
"""
_FREE = f"{_IS_FREE} {_IN_TURN}"
_FREE_OF = f"{_IS_FREE} AND settings_key NOT IN (SELECT value FROM json_each(?)) {_IN_TURN}"

_SKETCHES = """
    SELECT job_id, sketches.width, sketches.height, rgb
    FROM sketches JOIN jobs ON jobs.id = job_id WHERE state = 'running'
"""
_STEP_TAKEN = """
    INSERT OR REPLACE INTO steps (job_id, number, attempt, loss, seconds)
    SELECT ?, ?, ifnull(max(number), 0), ?, ? FROM attempts WHERE job_id = ?
"""
_STEPS_OF_LAST_ATTEMPT = """
    SELECT steps.number, seconds, ended_at - started_at
    FROM attempts JOIN steps ON steps.job_id = attempts.job_id AND attempt = attempts.number
    WHERE attempts.job_id = ?1 AND attempts.number = (SELECT max(number) FROM attempts WHERE job_id = ?1)
    ORDER BY steps.number
"""
_STEPS_TAKEN = """
    WITH known AS (SELECT number, loss, seconds, (SELECT max(number) FROM steps WHERE job_id = ?1) AS last
                   FROM steps WHERE job_id = ?1)
    SELECT number, loss, seconds FROM known
    WHERE number > last - ?2 OR number % (1 + last / ?3) = 0 ORDER BY number
"""
_MEASURES = """
    SELECT device, plans.text, width, height, last_step, paces, other_seconds
    FROM measures JOIN jobs ON jobs.id = job_id JOIN plans ON digest = plan ORDER BY measured_at DESC LIMIT ?
"""
_QUEUED_SETTINGS = "SELECT plans.text, number FROM queued_plans JOIN plans ON digest = plan WHERE number > 0"

_PATH, _STATE, _MTIME, _FOLDER = map(
    [column.name for column in fields(Job)].index, ("path", "state", "mtime_ns", "folder")
)
_STATES: Mapping[str, JobState] = {state.value: state for state in JobState}  # quicker than the type itself
_NO_REASON: Mapping[str, object] = {"kind": "", "reason": "", "remedy": "", "retry_at": None}
_NO_TROUBLE: Mapping[str, object] = {**_NO_REASON, "put_off": 0}
_NO_PROGRESS: Mapping[str, object] = {"step": 0, "loss": None, "seconds_per_step": None}
_NOT_BEGUN: Mapping[str, object] = {"worker": "", "started_at": None, "finished_at": None}
_NO_HISTORY: Mapping[str, object] = {
    "attempts": 0,
    "folder": None,
    "folder_key": None,
    "width": None,
    "height": None,
    **_NO_PROGRESS,
}


def _job(row: Row) -> Job:
    values = list(row)  # in the order of the fields
    values[_PATH] = _path(values[_PATH])
    values[_STATE] = _STATES[values[_STATE]]
    values[_MTIME] = int(values[_MTIME])
    values[_FOLDER] = None if values[_FOLDER] is None else _path(values[_FOLDER])
    return Job(*values)


def _paces(steps: Sequence[tuple[int, float]], sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int, float]]:
    """Pixels, number of steps and their seconds of each of the ``sizes`` (last step, pixels) that has some."""
    found, before = [], 0
    for last, pixels in sizes:
        seconds = [took for number, took in steps if before < number <= last]
        before = last
        if seconds:
            found.append((pixels, len(seconds), sum(seconds)))
    return found


def _first(jobs: tuple[Job, ...]) -> Job | None:
    return jobs[0] if jobs else None


def _worker_state(facts: dict[str, Any]) -> WorkerState:
    sizes = tuple((pixels, seconds) for pixels, seconds in facts.pop("step_seconds"))
    return WorkerState(**facts, step_seconds=sizes)


def _name(job: Job) -> str:
    return f"Job {job.id}, {job.path}"


def _stored(value: object) -> object:
    """A value as SQLite takes it."""
    if isinstance(value, PurePosixPath):
        return os.fsencode(value)
    return _readable(value) if isinstance(value, str) else value


def _readable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 does not have, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _below(folder: PurePosixPath, encode: Callable[[PurePosixPath], bytes] = os.fsencode) -> tuple[bytes, bytes]:
    """Of the paths below ``folder``, the first that there could be, and what follows the last."""
    start = encode(folder)
    return (start + b"/", start + b"0") if folder.parts else (b"", b"\xff")  # the nought follows the slash


def _right_in(
    folder: PurePosixPath, encode: Callable[[PurePosixPath], bytes] = os.fsencode
) -> tuple[bytes, bytes, int]:
    """The values of `_BETWEEN`: the bounds, and where the rest of a path begins, counted from 1."""
    first, end = _below(folder, encode)
    return first, end, len(first) + 1


@lru_cache(_PATHS_REMEMBERED)
def _path(raw: bytes) -> PurePosixPath:
    return PurePosixPath(os.fsdecode(raw))


def _folder_key(folder: PurePosixPath) -> bytes:
    """What two names of the same folder have in common where a share folds case and Unicode forms."""
    folded = unicodedata.normalize("NFC", str(folder)).casefold()
    return unicodedata.normalize("NFC", folded).encode("utf-8", "surrogatepass")
