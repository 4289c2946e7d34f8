"""The command of ``after_painting``: run once for each painting that is delivered, one after the other.

Which paintings are due is asked of the ledger, and whether the command was begun of each painting's record, so that a
stop at any moment changes nothing: a painting whose command was not begun is due at the next start. One whose command
was begun, and was not seen to end, is not run again: the record then says that it was interrupted. What was painted
before the setting was there is never due.
"""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from monet_watch.clerk import Clerk, Office
from monet_watch.commands import Command, Ending
from monet_watch.config import Config
from monet_watch.errors import OutboxError
from monet_watch.ledger import Job, Ledger
from monet_watch.notices import Level, Notice
from monet_watch.outbox.files import RECORD_NAME, write_whole
from monet_watch.outbox.record import CommandFacts, PaintingRecord, iso_time

__all__ = ["SINCE_NAME", "AfterPainting", "variables"]

SINCE_NAME = "after-painting.json"
"""The file in the state folder that says since when what is finished is due, in seconds since the epoch."""

_INTERRUPTED = "interrupted"


def variables(config: Config, job: Job, record: PaintingRecord) -> dict[str, str]:
    """Return what the command finds in its environment of the painting of ``job``. Paths are absolute."""
    folder = config.outbox / _folder(job)
    return {
        "MONET_WATCH_PHOTO": str(config.inbox / job.path),
        "MONET_WATCH_PAINTING": str(folder / Path(record.painting).name),
        "MONET_WATCH_FOLDER": str(folder),
        "MONET_WATCH_RECORD": str(folder / RECORD_NAME),
        "MONET_WATCH_PLOT": str(folder / "loss.png"),
        "MONET_WATCH_STYLE": ", ".join(style.name for style in record.styles),
        "MONET_WATCH_IDENTITY": record.identity,
    }


class AfterPainting:
    """Runs the command that the config names, in a thread. ``environ`` is the daemon's own environment."""

    def __init__(self, office: Office, state: Path, environ: Mapping[str, str]) -> None:
        self._office = office
        self._environ = environ
        self._since_file = state / SINCE_NAME
        self._lock = threading.Lock()
        self._heard: dict[int, None] = {}
        self._settled: set[int] = set()
        self._command: Command | None = None
        self._clerk = Clerk("command of after_painting", self._work, office)
        self.take_over()

    def take_over(self) -> None:
        """The config is another: what is painted from now on is due, or, without a command, nothing any more."""
        self._wanted_at = time.time()
        if self._office.config.after_painting or self._since_file.exists():
            self._clerk.wake()

    def heard(self, notice: Notice) -> None:
        """The daemon told something."""
        if notice.event in ("done", "copied") and notice.job is not None and self._office.config.after_painting:
            with self._lock:
                self._heard[notice.job] = None
            self._clerk.wake()

    def end(self) -> None:
        """Begin no command any more, but those of a run that was to paint once all that is there."""
        self._clerk.end()

    @property
    def ended(self) -> bool:
        """Whether everything is done."""
        return self._clerk.ended

    def give_up(self) -> None:
        """End the command that runs."""
        with self._lock:
            self._office.once = False
            if self._command is not None:
                self._command.give_up()

    # In the thread.

    def _work(self) -> None:
        if not self._office.config.after_painting:
            self._since_file.unlink(missing_ok=True)
            return
        if self._since() is None:
            self._note(self._wanted_at)
        self._settle_all(self._due())

    def _settle_all(self, jobs: Sequence[Job]) -> None:
        """Settle each; one whose record cannot be written keeps nobody waiting, and stays due. Raises OutboxError."""
        fault: OutboxError | None = None
        for job in jobs:
            if self._clerk.ending and not self._office.once:
                return
            try:
                self._settle(job)
            except OutboxError as error:
                fault = fault or error
                continue
            self._settled.add(job.id)
            if fault is None and job.finished_at is not None:
                self._note(max(job.finished_at, self._since() or 0.0))
        if fault is not None:
            raise fault

    def _due(self) -> list[Job]:
        """What is finished and was not dealt with, the first finished first."""
        with self._lock:
            heard, self._heard = self._heard, {}
        since = self._since()
        with Ledger.open_read_only(self._office.ledger) as ledger:
            jobs = {job.id: job for job in ledger.finished_since(since)} if since is not None else {}
            jobs |= {number: ledger.get(number) for number in heard if number not in jobs}
        return [job for job in jobs.values() if job.id not in self._settled and job.folder is not None]

    def _since(self) -> float | None:
        try:
            return float(json.loads(self._since_file.read_bytes())["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _note(self, since: float) -> None:
        write_whole(self._since_file, json.dumps({"since": since}).encode())

    def _settle(self, job: Job) -> None:
        """Run the command of ``job``, unless that was done, or begun, before."""
        config = self._office.config
        place = config.outbox / _folder(job) / RECORD_NAME
        record = _read(place)
        if record is None or not config.after_painting:
            return  # the painting was removed
        if record.after_painting is None:
            program = Path(config.after_painting[0]).name
            begun = CommandFacts(program=program, started=iso_time(time.time()), outcome="running")
            _write(place, record, begun)
            self._run(job, record, begun)
        elif record.after_painting.outcome == "running":
            _write(place, record, record.after_painting.model_copy(update={"outcome": _INTERRUPTED}))
            text = f"`{record.after_painting.program}` was interrupted by a stop, and is not run again."
            self._office.tell("after-painting", text, job, Level.WARNING)

    def _run(self, job: Job, record: PaintingRecord, begun: CommandFacts) -> None:
        config, folder = self._office.config, self._office.config.outbox / _folder(job)
        environ = {**self._environ, **variables(config, job, record)}
        command = Command(config.after_painting, environ, folder, config.after_painting_seconds)
        with self._lock:
            self._command = command
        ending = command.run()
        with self._lock:
            self._command = None
        facts = _facts(begun, ending)
        self._tell(job, facts, config.after_painting_seconds)
        latest = _read(folder / RECORD_NAME)
        if latest is not None:
            _write(folder / RECORD_NAME, latest, facts)

    def _tell(self, job: Job, facts: CommandFacts, limit_seconds: float) -> None:
        words = {
            "ended": f"ended with exit status {facts.status} after {facts.seconds:.1f} s",
            "killed": f"took more than {limit_seconds:g} s and was ended",
            "not started": "cannot be started",
            _INTERRUPTED: "was interrupted by a stop, and is not run again",
        }[facts.outcome]
        is_fine = facts.outcome == "ended" and facts.status == 0
        said = "" if is_fine or not facts.output else f": {facts.output[-1]}"
        details = {"outcome": facts.outcome, "status": facts.status, "seconds": facts.seconds}
        level = Level.INFO if is_fine else Level.WARNING
        self._office.tell("after-painting", f"`{facts.program}` {words}{said or '.'}", job, level, details)


def _folder(job: Job) -> Path:
    assert job.folder is not None  # it is done
    return Path(job.folder)


def _read(place: Path) -> PaintingRecord | None:
    try:
        return PaintingRecord.from_bytes(place.read_bytes())
    except (OSError, OutboxError):
        return None


def _write(place: Path, record: PaintingRecord, facts: CommandFacts) -> None:
    """Write what became of the command into the record, unless that has gone. Raises OutboxError."""
    if os.path.lexists(place):
        write_whole(place, record.model_copy(update={"after_painting": facts}).to_bytes())


def _facts(begun: CommandFacts, ending: Ending) -> CommandFacts:
    if ending.given_up:
        outcome = _INTERRUPTED
    elif ending.timed_out:
        outcome = "killed"
    else:
        outcome = "not started" if ending.status is None else "ended"
    changes = {"outcome": outcome, "status": ending.status, "seconds": round(ending.seconds, 3)}
    return begun.model_copy(update={**changes, "output": ending.output})
