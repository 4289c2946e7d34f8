"""A command of somebody else's: run without a shell, for so long and no longer, and what it said at the end kept."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["LAST_LINES", "Command", "Ending"]

LAST_LINES = 20
"""Of what a command says are kept."""

_LONGEST_LINE = 500  # characters
_KEPT_BYTES = LAST_LINES * 4 * _LONGEST_LINE
_CHUNK_BYTES = 1 << 16
_LAST_WORDS_SECONDS = 1.0  # for what is on its way when the command has ended
_OWN = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # of the environment: between the daemon and its manager


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: its exit ``status``, negative for a signal's number; None where it could not be started.

    ``timed_out`` and ``given_up`` say that it was ended from here. ``output`` are the last lines of what it said.
    """

    status: int | None
    seconds: float
    output: tuple[str, ...] = ()
    timed_out: bool = False
    given_up: bool = False


class Command:
    """A program and its arguments, run at most once. `give_up` may be called from another thread.

    It gets ``environ``, works in ``folder``, has no input, and leads a process group of its own, which is killed after
    ``limit_seconds``. What it starts in the background and leaves behind before that is its own affair.
    """

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, limit_seconds: float
    ) -> None:
        self._arguments = list(arguments)
        self._environ = {key: value for key, value in environ.items() if key not in _OWN}
        self._folder = folder
        self._limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def run(self) -> Ending:
        """Run it and return how it ended; never raises for what the command does, or for one that is not there."""
        began = time.monotonic()
        try:
            process = self._start()
        except (OSError, ValueError) as error:  # the latter for what no argument can hold
            return Ending(None, 0.0, (_in_words(error),))
        tail = _Tail(process.stdout)
        timed_out = False
        try:
            process.wait(self._limit_seconds)
        except subprocess.TimeoutExpired:
            timed_out = not self._given_up
            _kill(process)
            process.wait()
        return Ending(process.returncode, time.monotonic() - began, tail.lines(), timed_out, self._given_up)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            self._process = subprocess.Popen(
                self._arguments,
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
            )
            if self._given_up:
                _kill(self._process)
            return self._process

    def give_up(self) -> None:
        """End it, if it runs; `run` then returns."""
        with self._lock:
            self._given_up = True
            if self._process is not None:
                _kill(self._process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and what it has started in its group."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _in_words(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    return str(error)


class _Tail:
    """Reads a stream to its end, so that nobody who writes to it waits, and keeps the last of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, args=(stream,), name="a command's words", daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes] | None) -> None:
        if stream is None:
            return
        with stream, contextlib.suppress(OSError, ValueError):
            while chunk := os.read(stream.fileno(), _CHUNK_BYTES):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        with self._lock:
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= _KEPT_BYTES:
                self._size -= len(self._chunks.popleft())

    def lines(self) -> tuple[str, ...]:
        """The last lines; whoever holds the stream open beyond the command's end is not waited for."""
        self._thread.join(_LAST_WORDS_SECONDS)
        with self._lock:
            text = b"".join(self._chunks).decode("utf-8", "backslashreplace")
        return tuple(line[:_LONGEST_LINE] for line in text.splitlines()[-LAST_LINES:])
