"""The fault points, in this one place, and the program with one of them armed.

A fault point is a moment of the real daemon between two changes of state: before or after a call that changes
something on disk, or in the middle of writing a file. Run as a script, this module is the program itself (the same
command line), but that it ends by SIGKILL when it reaches the fault point that the environment names. The points are
laid around the program from outside, so that it knows nothing of them; a call that is renamed makes the script fail.

``MONET_WATCH_FAULT``         the point
``MONET_WATCH_FAULT_TIMES``   which time it is reached counts; 1 if not given
``MONET_WATCH_FAULT_VICTIM``  ``worker``: the worker alone is killed, and the daemon goes on
``MONET_WATCH_CALLS``         a file into which the calls that change files are written (`tests.end_to_end.disk`)
``MONET_WATCH_WORKER``        ``pretends``: it paints nothing, and starts at once, without torch
"""

import fnmatch
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any

__all__ = ["FAULT_POINTS", "MOMENTS_OF_A_WORKER", "Moment", "Needs", "When", "main"]


class When(StrEnum):
    """When, of a call."""

    BEFORE = "before"
    HALFWAY = "halfway"
    AFTER = "after"


class Needs(StrEnum):
    """What has to be in the house for a daemon to come by a moment."""

    PHOTO = "a photo"
    COPY = "a copy of a photo that is painted"
    PROBLEM = "a file that cannot be painted"
    TOUCHED = "a problem whose file was touched"
    GONE = "a problem whose file is gone"
    BEGUN = "a painting under way when the last run was killed"
    DELIVERED = "a painting whose record is written, and the ledger was not told"
    EMPTY_LEDGER = "paintings, and no ledger"


_EVERY_WAY = ("keep", "move", "delete")


@dataclass(frozen=True, slots=True)
class Moment:
    """Before, in the middle of, or after ``call``, where one of its arguments fits the pattern ``of``.

    ``call`` is ``module:name`` or ``module:Class.method``. ``after`` are the settings with which it is ever reached.
    """

    call: str
    when: When
    of: str = "*"
    needs: Needs = Needs.PHOTO
    after: tuple[str, ...] = _EVERY_WAY


_BEFORE, _HALFWAY, _AFTER = When
_LEDGER = "monet_watch.ledger:Ledger"
_WRITE = "monet_watch.outbox.files:_write_durably"
_MOVE, _REMOVED = ("move",), ("move", "delete")


def _ledger(method: str, needs: Needs = Needs.PHOTO) -> Mapping[str, Moment]:
    return {
        f"ledger not told: {method}": Moment(f"{_LEDGER}.{method}", _BEFORE, needs=needs),
        f"ledger told: {method}": Moment(f"{_LEDGER}.{method}", _AFTER, needs=needs),
    }


def _file(what: str, of: str, needs: Needs = Needs.PHOTO, after: tuple[str, ...] = _EVERY_WAY) -> Mapping[str, Moment]:
    """The moments of a file that is written under a temporary name and renamed."""
    return {
        f"{what} half-written": Moment(_WRITE, _HALFWAY, of, needs, after),
        f"{what} under its temporary name": Moment("os:replace", _BEFORE, of, needs, after),
        f"{what} renamed": Moment("os:replace", _AFTER, of, needs, after),
    }


FAULT_POINTS: Mapping[str, Moment] = {
    # The ledger is made; a lost one is filled again from the records in the outbox.
    "ledger without tables": Moment("monet_watch.database:Database._migrate", _BEFORE, needs=Needs.EMPTY_LEDGER),
    "ledger without rows": Moment("monet_watch.database:Database._migrate", _AFTER, needs=Needs.EMPTY_LEDGER),
    "a record read back": Moment(f"{_LEDGER}.remember", _AFTER, needs=Needs.EMPTY_LEDGER),
    "all records read back": Moment("monet_watch.checkpoints:Checkpoints.keep_only", _BEFORE, needs=Needs.EMPTY_LEDGER),
    # The photo is seen, and is whole.
    **_ledger("add"),
    **_ledger("retry", Needs.TOUCHED),
    **_ledger("wait", Needs.TOUCHED),
    "scan committed": Moment("monet_watch.arrivals:Arrivals.scanned", _AFTER),
    **_ledger("queue_untouched"),
    **_ledger("queue", Needs.COPY),
    # It begins.
    **_ledger("place"),
    **_ledger("start"),
    "job offered": Moment("monet_watch.workers.local:LocalWorker.offer", _AFTER),
    **_ledger("sized"),
    **_ledger("progress"),
    # What it leads to on its way.
    "folder made": Moment("os:mkdir", _AFTER, "*/outbox/*"),
    **_file("stage", "*/outbox/*/progress_*.png"),
    **_file("checkpoint", "*/checkpoints/*.checkpoint"),
    # It is painted.
    **_file("painting", "*/outbox/*/photo-*.png"),
    **_file("plot", "*/outbox/*/loss.png"),
    **_file("record", "*/outbox/*/painting.json"),
    **_ledger("finish"),
    "checkpoint not removed": Moment("os:unlink", _BEFORE, "*.checkpoint"),
    "checkpoint removed": Moment("os:unlink", _AFTER, "*.checkpoint"),
    # The original is looked after.
    "original untouched": Moment("monet_watch.aftercare:Aftercare.__call__", _BEFORE, after=_REMOVED),
    "folder of the archive made": Moment("os:mkdir", _AFTER, "*/archive/*", after=_MOVE),
    **_file("archived photo", "*/archive/*", after=_MOVE),
    "archived photo without its time": Moment("os:utime", _BEFORE, "*/archive/*", after=_MOVE),
    "original not removed": Moment("monet_watch.inbox.survey:remove_photo", _BEFORE, after=_REMOVED),
    "original removed": Moment("monet_watch.inbox.survey:remove_photo", _AFTER, after=_REMOVED),
    # A copy gets its own files.
    **_file("copied painting", "*/outbox/copy-*/copy-*.png", Needs.COPY),
    **_file("copied record", "*/outbox/copy-*/painting.json", Needs.COPY),
    **_ledger("adopt", Needs.COPY),
    # What cannot be painted is reported; the report goes with its photo.
    **_ledger("fail", Needs.PROBLEM),
    **_file("report", "*/outbox/*.problem.txt", Needs.PROBLEM),
    "report not removed": Moment("os:unlink", _BEFORE, "*/outbox/problem-*.problem.txt", Needs.GONE),
    "report removed": Moment("os:unlink", _AFTER, "*/outbox/problem-*.problem.txt", Needs.GONE),
    **_ledger("forget", Needs.GONE),
    # A run after a killed one puts things in order.
    **_ledger("recover", Needs.BEGUN),
    "painting under way found": Moment("monet_watch.checkpoints:Checkpoints.load", _AFTER, needs=Needs.BEGUN),
    "painting flushed after a kill": Moment("monet_watch.outbox.files:Outbox.flush", _AFTER, needs=Needs.DELIVERED),
    "delivered painting adopted": Moment(f"{_LEDGER}.adopt", _AFTER, needs=Needs.DELIVERED),
    # Whatever it is, the ledger keeps all of it or nothing.
    "change not committed": Moment("monet_watch.database:Database.change", _BEFORE, "COMMIT"),
    "change committed": Moment("monet_watch.database:Database.change", _AFTER, "COMMIT"),
    "heartbeat noted": Moment(f"{_LEDGER}.note", _AFTER),
}
"""Each fault point by what is, or is not, done at it."""

MOMENTS_OF_A_WORKER = (
    "ledger told: start",
    "job offered",
    "ledger told: sized",
    "ledger told: progress",
    "stage renamed",
    "checkpoint renamed",
)
"""The fault points at which a worker paints, and can be killed alone."""


class _Armed:
    """The fault point in the running program: what is to happen there, and how often it was reached."""

    def __init__(self, moment: Moment, times: int, kill: Callable[[], None]) -> None:
        self._moment = moment
        self._times = times
        self._kill = kill
        self._target = ""

    def arm(self) -> None:
        """Lay the moment around its call. Modules that import the call by name must not have been imported yet."""
        self._wrap("monet_watch.outbox.files:write_whole", self._noting_target)
        wrapper = {_BEFORE: self._before, _HALFWAY: self._halfway, _AFTER: self._after}[self._moment.when]
        self._wrap(self._moment.call, wrapper)

    def _wrap(self, call: str, wrapper: Callable[..., Any]) -> None:
        module, _, names = call.partition(":")
        *owners, name = names.split(".")
        owner: Any = importlib.import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        original = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: wrapper(original, *args, **kwargs))

    def _noting_target(self, original: Callable[..., Any], path: Path, data: bytes) -> Any:
        self._target = str(path)
        return original(path, data)

    def _before(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._is_met(args):
            self._reached()
        return original(*args, **kwargs)

    def _after(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if self._is_met(args):
            self._reached()
        return result

    def _halfway(self, original: Callable[..., Any], path: Path, data: bytes) -> Any:
        if fnmatch.fnmatch(self._target, self._moment.of):
            path.write_bytes(data[: len(data) // 2])
            self._reached()
            path.unlink()
        return original(path, data)

    def _is_met(self, args: tuple[Any, ...]) -> bool:
        texts = [str(each) for each in args if isinstance(each, str | PurePath)]
        return self._moment.of == "*" or any(fnmatch.fnmatch(text, self._moment.of) for text in texts)

    def _reached(self) -> None:
        self._times -= 1
        if self._times == 0:
            self._kill()


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_worker() -> None:
    """The children of this process are its worker, and multiprocessing's resource tracker."""
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)


def _employ_pretenders() -> None:
    from monet_watch import household
    from monet_watch.workers.base import PaintJob
    from monet_watch.workers.memory import MemoryWorker

    class Pretender(MemoryWorker):
        """Takes a file that is no PNG for one that cannot be painted, as it does with an empty one."""

        def offer(self, job: PaintJob) -> None:
            is_picture = job.photo.data.startswith(b"\x89PNG")
            super().offer(job if is_picture else replace(job, photo=replace(job.photo, data=b"")))

    household._worker_factory = lambda *_: lambda device, post, *rest: Pretender(post, device)


def main() -> None:
    """Run the program, armed as the environment says."""
    if "MONET_WATCH_CALLS" in os.environ:
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from tests.end_to_end import disk

        disk.record(Path(os.environ["MONET_WATCH_CALLS"]))
    name = os.environ.get("MONET_WATCH_FAULT")
    if name is not None:
        victim = _kill_worker if os.environ.get("MONET_WATCH_FAULT_VICTIM") == "worker" else _kill_self
        _Armed(FAULT_POINTS[name], int(os.environ.get("MONET_WATCH_FAULT_TIMES", "1")), victim).arm()
    from monet_watch.cli import main as program

    if os.environ.get("MONET_WATCH_WORKER") == "pretends":
        _employ_pretenders()
    sys.argv[0] = "monet-watch"
    program()


if __name__ == "__main__":
    main()
