"""The daemon among the machine's services: what systemd is told, one daemon per state folder, and how to stop.

Nothing here needs systemd: where it is absent, the same calls do nothing.
"""

import contextlib
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Self

from filelock import FileLock, Timeout

from monet_watch.errors import AlreadyRunningError, LedgerError, LedgerUnavailableError

__all__ = [
    "LOCK_NAME",
    "NO_SPACE",
    "START_SECONDS",
    "Notifier",
    "ReloadAsked",
    "StopAsked",
    "act_as_owner",
    "held_since",
    "holder",
    "is_alive",
    "is_held",
    "leave_no_core",
    "single_instance",
    "step_back",
    "stop_signals",
]

LOCK_NAME = "lock"
"""The file in the state folder that a running daemon holds."""

START_SECONDS = 120.0
"""How long a start may take without a word, however long the service manager waits by itself."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk, or a share of it, that is full."""

_HOLDER_NAME = "lock.pid"
_PROGRAM_FILES = (os.__file__, __file__)
_LONGEST_STATUS_BYTES = 2000  # systemd ignores a datagram of more than 4096 bytes
_SEND_SECONDS = 1.0
_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")


class Notifier:
    """Tells the service manager how the daemon is, by the protocol of sd_notify(3).

    ``address`` is a socket's path, or ``@`` and the name of an abstract socket; None, or a system without such
    sockets: every call does nothing. A message that can't be delivered is dropped: painting matters more.
    ``watchdog_interval_seconds`` says how often to call `watchdog`; None: it isn't asked for.
    """

    def __init__(self, address: str | None, watchdog_interval_seconds: float | None = None) -> None:
        self._address = _socket_address(address)
        self.watchdog_interval_seconds = watchdog_interval_seconds

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; what can't be understood is left out."""
        return cls(environ.get("NOTIFY_SOCKET"), _watchdog_interval(environ))

    def starting(self) -> None:
        """Say that the start goes on, and may take `START_SECONDS` more before `ready` or the next such word."""
        self._send(f"EXTEND_TIMEOUT_USEC={START_SECONDS * 1_000_000:.0f}")

    def ready(self) -> None:
        """Say that the daemon has started: photos that arrive are noticed. After `reloading`: that it is done."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the config is read again, until `ready`; ``systemctl reload`` waits for that."""
        # Systemd wants the time of the word, so as to tell it from the end of an earlier reload.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """Say in one line what the daemon does; ``systemctl status`` shows it."""
        self._send(f"STATUS={_one_line(text)}")

    def watchdog(self) -> None:
        """Say that the daemon is alive. Without this in twice the interval, systemd restarts the daemon."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the daemon is about to end, on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(_SEND_SECONDS)
            connection.connect(self._address)
            connection.sendall(message.encode())


def _socket_address(address: str | None) -> str | None:
    """Return the address as the socket module wants it, None for kinds of sockets that aren't spoken here."""
    if not address or address[0] not in "/@" or not hasattr(socket, "AF_UNIX"):
        return None
    return "\0" + address[1:] if address[0] == "@" else address


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Half of what systemd waits for, as sd_watchdog_enabled(3) advises; None where it isn't this process's affair."""
    try:
        meant_for = int(environ.get("WATCHDOG_PID") or os.getpid())
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2e6 if meant_for == os.getpid() and microseconds > 0 else None


def _one_line(text: str) -> str:
    """Return ``text`` without line breaks (they would end the message), valid as UTF-8 and not too long."""
    visible = "".join(each if each.isprintable() or "\ud800" <= each <= "\udfff" else " " for each in text)
    data = " ".join(visible.split()).encode("utf-8", "backslashreplace")
    return data[:_LONGEST_STATUS_BYTES].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody asks the daemon to stop, by ``signal_name`` (such as ``SIGTERM``), for the ``count``-th time."""

    signal_name: str
    count: int

    @property
    def at_once(self) -> bool:
        """Whether to leave everything as it is and end; False the first time: take no work, save, then end."""
        return self.count > 1


@dataclass(frozen=True, slots=True)
class ReloadAsked:
    """Somebody asks the daemon, by SIGHUP, to read its config again."""


@contextlib.contextmanager
def single_instance(state_folder: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold the state folder (made where it is missing) so that no second daemon works on it.

    Whoever holds it has ``patience_seconds`` to let go. The operating system lets go of it when the process ends,
    however it ends. Raises AlreadyRunningError while another process holds it, LedgerUnavailableError while its disk is
    full, LedgerError where the folder can't be used for another reason.
    """
    lock = FileLock(state_folder / LOCK_NAME)
    try:
        state_folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience_seconds)
    except Timeout as error:
        raise _already_running(state_folder) from error
    except OSError as error:
        place = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        message = f"The state folder {state_folder} cannot be used: {error.strerror or error}{place}."
        if error.errno in NO_SPACE:
            raise LedgerUnavailableError(message, "Free some space on its disk.") from error
        raise LedgerError(
            message, "Check whose it is, and its permissions, or name another one (`state:` in the config)."
        ) from error
    try:
        with _signed(state_folder / _HOLDER_NAME):
            yield
    finally:
        lock.release()


def step_back(nice: int) -> None:
    """Leave the processor, and with it the disk, to others where they want them: ``nice`` is from 0 to 19 (most).

    A process that is to step back further already stays there. Where there is no such thing nothing is done.
    """
    if hasattr(os, "setpriority"):
        present = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(present, nice))


def act_as_owner(path: Path) -> None:
    """Where root asks, go on as the account to which what lies at ``path``, or else the folder above it, belongs.

    What root made in a daemon's folders, the daemon of another account could neither change nor remove. An account that
    cannot so much as read this program runs no daemon: then, and without the right to become another one, root goes on.
    """
    if os.name != "posix" or os.geteuid() != 0:
        return
    status = next(each for each in (path, *path.parents) if each.exists()).stat()
    if status.st_uid == 0:
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups(_groups_of(status.st_uid, status.st_gid))
        os.setegid(status.st_gid)
        os.seteuid(status.st_uid)
    except OSError:
        return
    if not all(map(_can_be_read, _PROGRAM_FILES)):
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _can_be_read(file: str | Path) -> bool:
    try:
        Path(file).open("rb").close()
    except OSError:
        return False
    return True


def _groups_of(user: int, group: int) -> list[int]:
    import pwd

    try:
        return os.getgrouplist(pwd.getpwuid(user).pw_name, group)
    except KeyError:  # an account that has no name here
        return [group]


def leave_no_core() -> None:
    """Have no core file written should this process crash: it would hold gigabytes, and somebody's photo."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def is_held(state_folder: Path) -> bool:
    """Whether a daemon holds the state folder at this moment; one that was killed does not."""
    if not (state_folder / LOCK_NAME).exists():
        return False
    lock = FileLock(state_folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # the folder is another user's
        return is_alive(holder(state_folder))
    lock.release()
    return False


def holder(state_folder: Path) -> int | None:
    """Return the number of the process that holds the state folder, as far as it has left word."""
    with contextlib.suppress(OSError, ValueError):
        return int((state_folder / _HOLDER_NAME).read_text(encoding="ascii"))
    return None


def held_since(state_folder: Path) -> float:
    """Return when whoever holds the state folder took it, in seconds since the epoch; 0 where it has left no word."""
    with contextlib.suppress(OSError):
        return (state_folder / _HOLDER_NAME).stat().st_mtime
    return 0.0


def is_alive(number: int | None) -> bool:
    """Whether there is a process of that number, where the system can say so without harm."""
    if number is None or os.name != "posix":
        return number is not None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _signed(signature: Path) -> Iterator[None]:
    """Leave the process's number beside the lock: a locked file itself can't be read everywhere."""
    with contextlib.suppress(OSError):
        signature.write_text(f"{os.getpid()}\n", encoding="ascii")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            signature.unlink(missing_ok=True)


def _already_running(state_folder: Path) -> AlreadyRunningError:
    number = holder(state_folder)
    who = f"Another monet-watch (process {number})" if number else "Another monet-watch"
    stop = f"kill {number}" if number else "Ctrl-C where it runs"
    return AlreadyRunningError(
        f"{who} is at work here: it holds the state folder {state_folder}.",
        f"Let it paint, or stop it first (`{stop}`, or `systemctl stop monet-watch` where it is a service). "
        "A second one needs an inbox, an outbox and a state folder of its own.",
    )


def stop_signals(post: Callable[[StopAsked | ReloadAsked], None]) -> AbstractContextManager[None]:
    """Turn SIGINT, SIGTERM (on Windows also Ctrl-Break) and SIGHUP into messages to ``post`` until the context ends.

    SIGHUP asks for a reload, unless the terminal is gone that the program was started in: then it asks to stop. Where
    it is ignored, as under nohup, it stays ignored. ``post`` is called from a thread of its own, never inside a signal
    handler, so that it may take locks.
    Raises RuntimeError outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("stop_signals works in the main thread only: Python runs signal handlers nowhere else")
    return _handled(post)


@contextlib.contextmanager
def _handled(post: Callable[[StopAsked | ReloadAsked], None]) -> Iterator[None]:
    arrived: SimpleQueue[str | None] = SimpleQueue()  # its put is safe in a handler that interrupts another put
    had_terminal = _has_terminal()

    def handler(number: int, _frame: FrameType | None) -> None:
        arrived.put(signal.Signals(number).name)

    def deliver() -> None:
        stops = 0
        for name in iter(arrived.get, None):
            if name == "SIGHUP" and _has_terminal() == had_terminal:
                post(ReloadAsked())
            else:
                stops += 1
                post(StopAsked(name, stops))

    courier = threading.Thread(target=deliver, name="stop-signals", daemon=True)
    courier.start()
    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    known = [each for each in known if each.name != "SIGHUP" or signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in known}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)
        arrived.put(None)
        courier.join(timeout=1.0)


def _has_terminal() -> bool:
    """Whether there is a terminal that the process belongs to."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
