"""What commands ask of the daemon: requests left as files in the state folder, and what becomes of each.

Only the daemon's loop changes the ledger. A command leaves its request in the `RequestBox`; the loop takes it, has the
`Desk` do it, and leaves an answer. Where no daemon runs, the command takes its place for a moment and does the same.
A request that was done but not yet answered when the power failed is done again, which changes nothing more.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePosixPath

from monet_watch.errors import LedgerError, MonetWatchError, OutboxError, SettingsError
from monet_watch.faults import nearest
from monet_watch.ledger import PAUSED_KEY, Job, JobState, Ledger
from monet_watch.notices import Level, Listener, tell
from monet_watch.outbox.files import Outbox, write_whole
from monet_watch.printable import printable

__all__ = ["REQUESTS_NAME", "Act", "Answer", "Desk", "Effects", "Request", "RequestBox", "known_photo"]

REQUESTS_NAME = "requests"
"""The folder in the state folder where requests are left."""

_REQUEST = re.compile(r"(\d+)-[0-9a-f]+\.request")
_ANSWER_SUFFIX = ".answer"
_MOST_ANSWERS = 50  # that nobody has collected


class Act(StrEnum):
    """What can be asked for."""

    RETRY = "retry"
    FORGET = "forget"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Request:
    """Something to be done: with the photos at ``paths``, relative to the inbox. To retry none means to retry all."""

    act: Act
    paths: tuple[PurePosixPath, ...] = ()

    def to_json(self) -> bytes:
        """Return the request as ASCII text; names that are no UTF-8 survive as escapes."""
        return json.dumps({"act": self.act, "paths": [str(path) for path in self.paths]}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Request":
        """Read what `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        values = json.loads(data)
        return cls(Act(values["act"]), tuple(PurePosixPath(path) for path in values["paths"]))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, in words. ``fine``: all of it was done."""

    fine: bool
    text: str


class RequestBox:
    """The folder of requests that wait, and of answers that wait to be collected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stay: set[str] = set()  # of whom nobody here may remove them: at least nothing is done twice

    def leave(self, request: Request) -> str:
        """Leave ``request``, whole and on disk on return, behind all that wait; return its name for `collect`.

        Raises LedgerError where that cannot be.
        """
        number = 1 + max((int(name.partition("-")[0]) for name in self._names()), default=0)
        name = f"{number:012d}-{secrets.token_hex(4)}.request"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / name, request.to_json())
        except (OSError, OutboxError) as error:
            why = f"{error.strerror or error}." if isinstance(error, OSError) else error.message
            remedy = "Ask as the user whom the daemon runs as, or as root, and check the free space."
            raise LedgerError(f"Nothing can be asked of the daemon by way of {self._folder}: {why}", remedy) from error
        return name

    def waiting(self) -> Iterator[tuple[str, Request]]:
        """Yield the requests with their names, the first left first; what is none of ours is removed."""
        for name in sorted(set(self._names()) - self._stay):
            try:
                yield name, Request.from_json((self._folder / name).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                self._remove(name)

    def answer(self, name: str, answer: Answer) -> None:
        """The request was dealt with: it goes, and the answer lies there for whoever waits for it."""
        text = json.dumps([answer.fine, answer.text]).encode()
        with contextlib.suppress(OutboxError):  # on a full disk, whoever waits has to look at the status
            write_whole(self._folder / f"{name}{_ANSWER_SUFFIX}", text)
        self._remove(name)
        for old in sorted(self._names(_ANSWER_SUFFIX))[:-_MOST_ANSWERS]:
            self._remove(old)

    def collect(self, name: str) -> Answer | None:
        """Return the answer to the request and remove it; None while there is none."""
        path = self._folder / f"{name}{_ANSWER_SUFFIX}"
        try:
            fine, text = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        self._remove(path.name)
        return Answer(fine, text)

    def _names(self, suffix: str = "") -> list[str]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 (looked at every second)
        except OSError:
            return []
        return [name for name in names if name.endswith(suffix) and _REQUEST.fullmatch(name.removesuffix(suffix))]

    def _remove(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError:
            self._stay.add(name)


def _nothing(path: PurePosixPath) -> None:
    """Where no daemon runs, its next start looks at everything."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Who in a running daemon has to hear of what was done.

    ``look_again`` is given a photo whose job waits or is forgotten. ``hurry`` ends every pause that is no job's own.
    """

    look_again: Callable[[PurePosixPath], None] = _nothing
    hurry: Callable[[], None] = lambda: None


class Desk:
    """Does what is asked for, in the ledger and the outbox. ``now`` gives seconds since the epoch."""

    def __init__(
        self,
        box: RequestBox,
        ledger: Ledger,
        outbox: Outbox,
        listen: Listener,
        now: Callable[[], float],
        effects: Effects = Effects(),
    ) -> None:
        self._box = box
        self._ledger = ledger
        self._outbox = outbox
        self._tell = partial(tell, listen)
        self._now = now
        self._effects = effects

    def serve(self) -> int:
        """Do all that is asked for and answer it; return how many requests there were."""
        count = 0
        for name, request in self._box.waiting():
            answers = self._answers(request)
            for path, answer in answers:
                level = Level.INFO if answer.fine else Level.WARNING
                self._tell("asked", f"{answer.text.removesuffix('.')} (`{request.act}`).", path or "", level)
            self._box.answer(name, _together([answer for _, answer in answers]))
            count += 1
        return count

    def _answers(self, request: Request) -> list[tuple[PurePosixPath | None, Answer]]:
        """Do what is asked for, and say what becomes of it, of each photo that is named."""
        return [(path, self._do(request.act, path)) for path in request.paths or (None,)]

    def _do(self, act: Act, path: PurePosixPath | None) -> Answer:
        try:
            match act, path:
                case Act.PAUSE, _:
                    return self._pause()
                case Act.RESUME, _:
                    return self._resume()
                case Act.RETRY, None:
                    return self._retry_all()
                case Act.RETRY, PurePosixPath():
                    return self._retry(path)
                case Act.FORGET, PurePosixPath():
                    return self._forget(path)
        except MonetWatchError as error:
            return Answer(False, str(error))
        return Answer(False, "Nothing is named that could be done.")

    # Pause.

    def _pause(self) -> Answer:
        if self._ledger.noted(PAUSED_KEY):
            return Answer(True, "It is paused already.")
        self._ledger.note(PAUSED_KEY, str(self._now()))
        return Answer(True, "Paused: what is being painted stops after a checkpoint, until `monet-watch resume`.")

    def _resume(self) -> Answer:
        if not self._ledger.noted(PAUSED_KEY):
            return Answer(True, "It is not paused.")
        self._ledger.note(PAUSED_KEY, "")
        return Answer(True, "Resumed: painting goes on where it was.")

    # Retry.

    def _retry_all(self) -> Answer:
        jobs = self._ledger.retry()
        for job in jobs:
            self._renewed(job)
        count = len(jobs) + self._ledger.hurry()
        self._effects.hurry()
        if not count:
            return Answer(True, "There is nothing to try again.")
        return Answer(True, f"{count} photo{'s' * (count > 1)} will be tried again.")

    def _retry(self, path: PurePosixPath) -> Answer:
        for job in self._ledger.known(path)[:1]:
            return self._retry_job(job)
        return Answer(False, f"{path} is not known.")

    def _retry_job(self, job: Job) -> Answer:
        match job.state:
            case JobState.RUNNING:
                return Answer(True, f"{job.path} is being painted.")
            case JobState.PROBLEM:
                for again in self._ledger.retry(job.path):
                    self._renewed(again)
                return Answer(True, f"{job.path} will be tried again.")
            case JobState.WAITING:
                self._effects.look_again(job.path)
                return Answer(True, f"{job.path} is looked at again; it waits because: {job.reason}")
            case JobState.QUEUED:
                put_off = self._ledger.hurry([job.id])
                self._effects.hurry()
                words = "will be tried again, without a further pause" if put_off else "is in the queue already"
                return Answer(True, f"{job.path} {words}.")
            case JobState.DONE:
                return self._repaint(job)

    def _repaint(self, job: Job) -> Answer:
        """A painting removed by hand stays removed until someone asks again: here they do."""
        if job.folder is not None and self._outbox.holds(job.folder):
            words = f"is painted: see {job.folder} in the outbox. To have it painted anew, remove that folder first"
            return Answer(False, f"{job.path} {words}.")
        self._ledger.repaint(job.id)
        return Answer(True, f"{job.path} will be painted anew: its painting was removed.")

    def _renewed(self, job: Job) -> None:
        with contextlib.suppress(OutboxError):  # painting it, or failing again, writes there as well and tells of it
            self._outbox.clear_problem(job.path)
        if job.state is JobState.WAITING:
            self._effects.look_again(job.path)

    # Forget.

    def _forget(self, path: PurePosixPath) -> Answer:
        jobs = self._ledger.known(path)
        if not jobs:
            return Answer(False, f"{path} is not known.")
        if any(job.state is JobState.RUNNING for job in jobs):
            return Answer(False, f"{path} is being painted; ask again when it is done, or after `monet-watch pause`.")
        begun = [job.folder for job in self._ledger.erase(path) if job.folder and job.state is not JobState.DONE]
        with contextlib.suppress(OutboxError):
            self._outbox.clear_problem(path)
            for folder in begun:
                self._outbox.abandon(folder)
        self._effects.look_again(path)
        words = (
            "is forgotten: that it was seen, tried or painted. Its files stay; if the photo is in the inbox, it is new"
        )
        self._tell("forgotten", f"It {words}.", path, Level.DEBUG)
        return Answer(True, f"{path} {words}.")


def _together(answers: list[Answer]) -> Answer:
    """All of them as one, with a line for each, whatever a name in it holds."""
    return Answer(all(answer.fine for answer in answers), "\n".join(printable(answer.text) for answer in answers))


def known_photo(given: str, inbox: Path, ledger: Ledger, cwd: Path) -> PurePosixPath:
    """Return the photo that ``given`` means, relative to the inbox: as it stands, from ``cwd``, or in full.

    Raises SettingsError, with the nearest names, for a photo that the ledger does not know.
    """
    candidates = list(dict.fromkeys(_candidates(given, inbox, cwd)))
    for path in candidates:
        if ledger.known(path):
            return path
    raise _unknown(given, inbox, candidates, ledger)


def _candidates(given: str, inbox: Path, cwd: Path) -> Iterator[PurePosixPath]:
    for place in (inbox / given, cwd / given):
        for root, path in ((inbox, place), (inbox.resolve(), place.parent.resolve() / place.name)):
            normal = Path(os.path.normpath(path))
            if normal.is_relative_to(root):
                yield PurePosixPath(normal.relative_to(root).as_posix())


def _unknown(given: str, inbox: Path, candidates: list[PurePosixPath], ledger: Ledger) -> SettingsError:
    if not candidates:
        fault = f"{given} does not lie in the inbox {inbox}; name a photo as it lies there"
    elif any((inbox / path).is_file() for path in candidates):
        fault = f"{given} lies in the inbox and was not looked at yet; it is painted as soon as the daemon has seen it"
    else:
        near = _nearest(candidates[0], ledger)
        advice = f"did you mean {near}?" if near else "`monet-watch status` shows what there is"
        fault = f"{given}: there is no such photo; {advice}"
    return SettingsError(fault, faults=(fault,))


def _nearest(path: PurePosixPath, ledger: Ledger) -> PurePosixPath | None:
    """The photo that may be meant: one of the same folder, or else of any."""
    known = ledger.known_paths()
    beside = {each.name: each for each in known if each.parent == path.parent}
    for choices in (beside, {each.name: each for each in known}):
        name = nearest(path.name, choices)
        if name is not None:
            return choices[name]
    return None
