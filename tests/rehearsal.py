"""A whole house in one thread: the real daemon, arrivals, dispatch, ledger and files; workers that pretend.

The clock is the test's. The watch says nothing unless it is told to, and photos are any bytes, since the workers that
pretend decode nothing. `Rehearsal.rest` lets everything that is under way come to its end.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from monet_watch.aftercare import Aftercare, Caretaker
from monet_watch.arrivals import Arrivals, ArrivalsParts
from monet_watch.checkpoints import Checkpoints
from monet_watch.config import Config
from monet_watch.crew import Crew
from monet_watch.daemon import Daemon, DaemonParts, Mailbox, Message
from monet_watch.delivery import read_record
from monet_watch.dispatch import Dispatch, DispatchParts
from monet_watch.exhibition import Exhibition
from monet_watch.hours import ActiveHours
from monet_watch.housekeeping import Housekeeping
from monet_watch.inbox.hints import FileGone, FileTouched
from monet_watch.inbox.ignore import IgnoreList, Sieve
from monet_watch.inbox.presence import Presence
from monet_watch.inbox.settle import Settling
from monet_watch.inbox.survey import Hashed, SurveyMessage, Surveyor
from monet_watch.inbox.watch import ScriptedWatch, WatchRefusedError
from monet_watch.ledger import INBOX_KEY, Job, Ledger, Overview
from monet_watch.notices import Notice
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.record import PaintingRecord
from monet_watch.plan import Planner
from monet_watch.renewal import ConfigFile
from monet_watch.requests import Answer, Desk, Effects, Request, RequestBox
from monet_watch.service import Notifier
from monet_watch.settings import Defaults, FolderSettings, StyleSettings, is_settings_file, is_style_picture
from monet_watch.styles.library import StyleLibrary
from monet_watch.undelivered import Undelivered
from monet_watch.workers.base import Post, WeightsFile, Worker, WorkerEvent
from monet_watch.workers.memory import MemoryWorker, tiny_png

__all__ = ["LIMIT_BYTES", "Clock", "Rehearsal"]

WEIGHTS = WeightsFile("oxford", Path("weights.bin"), "00" * 32)
EPOCH = 1_700_000_000.0
LIMIT_BYTES = 1000  # photos of more are problems
_INBOX = PurePosixPath()


class Clock:
    """A monotonic clock, in seconds, that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountingMailbox(Mailbox):
    """Knows how many messages were taken out of it."""

    taken = 0

    def next(self, timeout_seconds: float) -> Message | None:
        message = super().next(timeout_seconds)
        self.taken += message is not None
        return message


class CountingSurveyor(Surveyor):
    """Knows how many requests have not been answered."""

    asked = 0
    answered = 0

    def scan(self, sub: PurePosixPath = _INBOX) -> None:
        self.asked += 1
        super().scan(sub)

    def hash(self, *paths: PurePosixPath) -> None:
        self.asked += len(paths)
        super().hash(*paths)


class Manager(Notifier):
    """Remembers what the service manager was told."""

    def __init__(self) -> None:
        super().__init__(None, watchdog_interval_seconds=30.0)
        self.words: list[str] = []

    def _send(self, message: str) -> None:
        self.words.append(message)


class View:
    """Remembers the last overview that it was to show."""

    overview: Overview | None = None

    def update(self, overview: Overview) -> None:
        self.overview = overview


class Rehearsal:
    """Folders below ``folder``, and a daemon on them that has started. Use it as a context manager.

    With ``automatic`` workers everything is painted in no time; else ``worker`` is told what to do.
    """

    def __init__(
        self,
        folder: Path,
        *,
        automatic: bool = True,
        once: bool = False,
        devices: tuple[str, ...] = ("cpu",),
        after: Any = "keep",
        steps: int = 4,
        settle_seconds: float = 2.0,
        style: bytes = tiny_png(),
        hang_seconds: float = 600.0,
        hours: ActiveHours = ActiveHours(),  # noqa: B008 (frozen)
    ) -> None:
        self.folder = folder
        self.inbox, self.outbox, self.archive = (folder / name for name in ("inbox", "outbox", "archive"))
        for path in (self.inbox, self.outbox):
            path.mkdir(parents=True, exist_ok=True)
        if style:
            (self.inbox / "style.png").write_bytes(style)
        self.clock = Clock()
        self.notices: list[Notice] = []
        self.workers: list[MemoryWorker] = []
        self.watches: list[ScriptedWatch] = []
        self.exhibitions: list[Exhibition] = []
        self.view = View()
        self.manager = Manager()
        self.renewals: list[float] = []  # when the claim on the outbox was renewed
        self.blind = False  # whether no watch can be started
        self.clock_jump = 0.0  # seconds that the time of day is ahead of where it should be
        self.mailbox = CountingMailbox()
        self.requests = RequestBox(folder / "requests")
        self._automatic, self._once, self._devices, self._after = automatic, once, devices, after
        self._hang_seconds = hang_seconds
        self._hours = hours
        self.config = Config()
        self._settings = StyleSettings(steps=steps, save_every=2)
        self._stack = ExitStack()
        self.settling = Settling(settle_seconds)

    def __enter__(self) -> "Rehearsal":
        self.ledger = self._stack.enter_context(Ledger.open(self.folder / "ledger.sqlite3", self.time_of_day))
        self.ledger.recover()
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        self.undelivered = Undelivered(self.folder / "undelivered")
        sieve = Sieve(IgnoreList(()), lambda name: is_settings_file(name) or is_style_picture(name))
        self._surveyor = self._stack.enter_context(CountingSurveyor(self.inbox, sieve, self._post_answer, LIMIT_BYTES))
        self.daemon = self._assemble(sieve)
        self.daemon.start()
        while self._surveyor.asked != self._surveyor.answered:  # else the first scan sees half of what a test drops
            time.sleep(0.001)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _assemble(self, sieve: Sieve) -> Daemon:
        folder_settings = FolderSettings(self.inbox, Defaults(self._settings), StyleLibrary())
        outbox = Outbox(self.outbox)
        aftercare = Aftercare(self.inbox, self._after, self.archive, LIMIT_BYTES)
        self.caretaker = self._stack.enter_context(Caretaker(aftercare, outbox.surely_holds, self.mailbox.post))
        self.arrivals = Arrivals(
            ArrivalsParts(
                inbox=self.inbox,
                presence=Presence(
                    self.inbox, self.ledger.noted(INBOX_KEY) or "", lambda text: self.ledger.note(INBOX_KEY, text)
                ),
                sieve=sieve,
                settling=self.settling,
                planner=Planner(folder_settings, WEIGHTS),
                surveyor=self._surveyor,
                ledger=self.ledger,
                outbox=outbox,
                tell=self.tell,
                now=self.clock,
            ),
            lambda job: self.dispatch.admit(job),
        )
        self.dispatch = Dispatch(
            DispatchParts(
                inbox=self.inbox,
                ledger=self.ledger,
                outbox=outbox,
                arrivals=self.arrivals,
                checkpoints=self.checkpoints,
                undelivered=self.undelivered,
                caretaker=self.caretaker,
                crew=Crew(self._devices, self._hire, self.mailbox.post, self.clock, self._hang_seconds),
                tell=self.tell,
                clock=self.clock,
                now=self.time_of_day,
                limit_bytes=LIMIT_BYTES,
                limit_pixels=10**9,
                preview=self._preview,
            )
        )
        return Daemon(
            DaemonParts(
                mailbox=self.mailbox,
                ledger=self.ledger,
                arrivals=self.arrivals,
                dispatch=self.dispatch,
                desk=Desk(
                    self.requests,
                    self.ledger,
                    outbox,
                    self.tell,
                    self.time_of_day,
                    Effects(self.arrivals.again, self.dispatch.hurry),
                ),
                make_watch=self._make_watch,
                notifier=self.manager,
                view=self.view,
                tell=self.tell,
                clock=self.clock,
                now=self.time_of_day,
                renew_claim=lambda: self.renewals.append(self.clock.now),
                config_file=ConfigFile(Config(), None, self.load, lambda config: None, self.clock),
                hours=self._hours,
                rescan_seconds=300.0,
                inbox=self.inbox,
                tidy=Housekeeping(self.ledger, self.checkpoints, self.undelivered),
            ),
            self._once,
        )

    def _hire(self, device: str, post: Post) -> Worker:
        self.workers.append(MemoryWorker(post, device, automatic=self._automatic))
        return self.workers[-1]

    def load(self) -> Config:
        """The config that a reload finds."""
        return self.config

    def _make_watch(self) -> ScriptedWatch:
        if self.blind:
            raise WatchRefusedError("The inbox cannot be watched.")
        self.watches.append(ScriptedWatch(self.mailbox.post))
        return self.watches[-1]

    def _post_answer(self, message: SurveyMessage) -> None:
        self.mailbox.post(message)
        self._surveyor.answered += len(message.files) if isinstance(message, Hashed) else 1

    def time_of_day(self) -> float:
        return EPOCH + self.clock() + self.clock_jump

    def close_surveyor(self) -> None:
        """End the thread that looks through the inbox."""
        self._surveyor.close()

    @property
    def worker(self) -> MemoryWorker:
        """The worker that was hired last."""
        return self.workers[-1]

    # What the world does.

    def drop(self, name: str, data: bytes = b"a photo", *, closed: bool = True) -> Path:
        """Put a file into the inbox; the watch tells of it."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.watches[-1].say(FileTouched(PurePosixPath(name), closed))
        return path

    def remove(self, name: str) -> None:
        """Delete a file of the inbox; the watch tells of it."""
        (self.inbox / name).unlink()
        self.watches[-1].say(FileGone(PurePosixPath(name)))

    def ask(self, request: Request) -> Answer:
        """Leave a request as a command does, and return the answer."""
        name = self.requests.leave(request)
        self.advance(1)
        answer = self.requests.collect(name)
        assert answer is not None
        return answer

    def advance(self, seconds: float) -> None:
        """Let time go by, then let the daemon do what is due."""
        self.clock.now += seconds
        self.turn()

    def turn(self) -> None:
        """Turn the loop until nobody has anything to say, without a tick of the clock."""
        while True:
            before = (self.mailbox.taken, self._surveyor.asked)
            waits = self._surveyor.asked != self._surveyor.answered or self.dispatch.caring
            self.daemon.turn(0.05 if waits else 0.0)
            if not waits and (self.mailbox.taken, self._surveyor.asked) == before:
                return

    def rest(self) -> None:
        """Let every photo settle, be hashed, and be painted as far as the workers go by themselves."""
        self.turn()
        while self.settling.changing:
            self.clock.now = max(self.clock.now, self.settling.next_due() or 0.0)
            self.turn()

    def tell(self, notice: Notice) -> None:
        """What the daemon says."""
        self.notices.append(notice)
        for each in self.exhibitions:
            each.heard(notice)

    def _preview(self, job: Job, event: WorkerEvent) -> None:
        for each in self.exhibitions:
            each.preview(job, event)

    # What can be seen.

    def jobs(self, name: str) -> tuple[Job, ...]:
        return self.ledger.known(PurePosixPath(name))

    def states(self, name: str) -> list[str]:
        """The states of all the jobs of a photo, the newest first."""
        return [str(job.state) for job in self.jobs(name)]

    def told(self, event: str, name: str | None = None) -> list[str]:
        """What was said of this kind (of this photo), in words."""
        found = (each for each in self.notices if each.event == event)
        return [each.text for each in found if name is None or each.photo == name]

    def record(self, folder: str) -> PaintingRecord:
        return read_record(Outbox(self.outbox), PurePosixPath(folder))

    def records(self) -> list[str]:
        """The folders of the outbox that hold a painting."""
        found = (path for path in self.outbox.rglob("painting.json") if path.is_file())
        return sorted(str(path.parent.relative_to(self.outbox)) for path in found)

    def problems(self) -> list[str]:
        """The reports in the outbox."""
        return sorted(str(path.relative_to(self.outbox)) for path in self.outbox.rglob("*.problem.txt"))

    def files(self) -> Iterator[tuple[str, str]]:
        """Every file of the outbox, with the SHA-256 of its bytes."""
        for path in sorted(self.outbox.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.outbox)), hashlib.sha256(path.read_bytes()).hexdigest()
