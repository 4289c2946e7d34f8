"""The outbox belongs to one daemon: a hidden file in it says to which, on whatever machine that runs.

The lock on the state folder keeps two daemons from one ledger; this keeps two with ledgers of their own from painting
into one folder. Locks of files are of little worth on network shares, so the file holds a claim that others can judge:

- On the same running system the process is there or not, and one that was killed is not.
- A claim from before the machine's last start is void.
- Of another machine (or another container) only the file's time is known. Its daemon renews it; one that has not been
  renewed for `SILENCE_SECONDS`, by the clock of the file server, is void.
"""

import contextlib
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from monet_watch.errors import AlreadyRunningError, OutboxError
from monet_watch.outbox.files import write_whole
from monet_watch.service import is_alive

__all__ = ["CLAIM_NAME", "SILENCE_SECONDS", "Claim", "OutboxClaim"]

CLAIM_NAME = ".monet-watch.claim"
"""The file in the outbox."""

SILENCE_SECONDS = 120.0
"""A claim of another machine that has not been renewed for so long is void."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who paints into an outbox: ``host`` for people; ``machine``, ``boot`` and ``space`` say which running system.

    ``pid`` is the process's number there, ``started`` what tells it from another one that had that number before.
    """

    host: str
    machine: str
    boot: str
    space: str
    pid: int
    started: str
    token: str

    @classmethod
    def mine(cls) -> Self:
        """The claim of this process."""
        host = socket.gethostname()
        machine = _read("/etc/machine-id") or host
        boot, space = _read("/proc/sys/kernel/random/boot_id"), _namespace()
        return cls(host, machine, boot, space, os.getpid(), _started(os.getpid()), secrets.token_hex(8))

    def holds(self, me: "Claim", silent_seconds: float) -> bool:
        """Whether it does, as ``me`` can see, if it was renewed ``silent_seconds`` ago by the file server's clock."""
        if (self.machine, self.boot, self.space) == (me.machine, me.boot, me.space):
            return is_alive(self.pid) and _started(self.pid) == self.started
        if self.machine == me.machine and self.boot != me.boot:
            return False
        return silent_seconds < SILENCE_SECONDS


class OutboxClaim:
    """The claim of this process on the outbox ``root``, between `take` and `release`."""

    def __init__(self, root: Path) -> None:
        self._path = root / CLAIM_NAME
        self._mine = Claim.mine()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def take(self) -> None:
        """Claim the outbox. Raises AlreadyRunningError if another daemon does.

        Where nothing can be written nobody paints, and `renew` claims it later.
        """
        self.look()
        with contextlib.suppress(OutboxError):
            self._write()

    def look(self) -> None:
        """Raise AlreadyRunningError if another daemon claims the outbox; nothing is changed."""
        other = self._other()
        if other is not None:
            raise _claimed(self._path.parent, other)

    def renew(self) -> None:
        """Say that this daemon is still there. Raises AlreadyRunningError if another has taken the outbox meanwhile."""
        if not self._is_mine():
            self.take()
            return
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def release(self) -> None:
        """Give the outbox up, if it is this process's."""
        if self._is_mine():
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _is_mine(self) -> bool:
        found = self._found()
        return found is not None and found.token == self._mine.token

    def _write(self) -> None:
        write_whole(self._path, json.dumps(asdict(self._mine)).encode())

    def _found(self) -> Claim | None:
        try:
            return Claim(**json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def _other(self) -> Claim | None:
        """The claim of another that holds."""
        found = self._found()
        if found is None or found.token == self._mine.token:
            return None
        return found if found.holds(self._mine, self._silence()) else None

    def _silence(self) -> float:
        """How long ago the file was renewed, by the clock of whoever keeps it."""
        probe = self._path.with_name(f"{CLAIM_NAME}-{self._mine.token}")
        try:
            write_whole(probe, b"")
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except (OSError, OutboxError):
            return 0.0  # nothing can be told: rather wait than paint twice
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)


def _claimed(outbox: Path, other: Claim) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"Another monet-watch (process {other.pid} on {other.host}) paints into the outbox {outbox}.",
        "Let it paint, or stop it first. A second one needs an outbox of its own. "
        f"If that machine is gone for good, wait {SILENCE_SECONDS:.0f} s, or remove {outbox / CLAIM_NAME}.",
    )


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    return ""


def _namespace() -> str:
    """Which numbers of processes are meant: those of a container are its own."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (it is no path)
    return ""


def _started(pid: int) -> str:
    """When the process was started, in the system's own count; empty where that is not told."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""
