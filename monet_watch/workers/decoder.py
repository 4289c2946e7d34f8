"""Where pictures are opened: a process of its own that has little memory and little time, and can be lost.

Codecs are large programs in C that read what strangers have written. A worker holds the network, perhaps a graphics
card, and an address space in which no bound has a meaning; so each worker has a small child that opens pictures for it.
One that takes too much, too long, or makes a codec crash costs that child, and is told as a problem of the picture.

The child gets bytes through its standard input and gives plain samples back through its standard output: nothing that
it says is ever executed. What codecs write to the standard error, as libtiff does, goes where the worker's own goes:
into lines of the log (`monet_watch.workers.murmur`).
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from monet_watch.engine.photo import Details, Photo, decode, pixels_of
from monet_watch.errors import NotAPhotoError, PhotoError, PhotoTooLargeError, TruncatedPhotoError, WorkerError
from monet_watch.workers.limits import address_space_bytes, limit_address_space

__all__ = ["BYTES_PER_PIXEL", "SPARE_BYTES", "Decoder", "main", "memory_to_open"]

BYTES_PER_PIXEL = 48
"""What a picture may take while it is opened; the greediest format, WebP with a profile, takes 39."""

SPARE_BYTES = 512 * 2**20
"""What any picture may take beside that: text, profiles, tables of codecs, stacks of their threads."""

_REQUEST = struct.Struct("<QQQd")  # bytes of the file, pixels and bytes of memory at most, seconds at most
_LONGEST_ANSWER = 64 * 1024  # bytes of the line before the samples
_ERRORS = {each.__name__: each for each in (NotAPhotoError, TruncatedPhotoError, PhotoTooLargeError)}
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
_ANEW = "Open it in a photo program, and save it anew as JPEG or PNG."
_CODEC_THREADS = 4  # each has a stack of its own
_PATIENCE_SECONDS = 5.0


def memory_to_open(limit_pixels: int, free_bytes: int | None) -> int:
    """Return how many bytes opening a picture of at most ``limit_pixels`` may take beside the file itself.

    Three quarters of ``free_bytes``, where that is known, if it is less than what such a picture can need.
    """
    needed = SPARE_BYTES + BYTES_PER_PIXEL * limit_pixels
    return needed if free_bytes is None else min(needed, free_bytes * 3 // 4)


class Decoder:
    """A child process that opens pictures. Use it as a context manager.

    It is started at once, so that it is there when the first picture comes, and again when one has ended it.
    ``seconds`` is what one picture may take, ``free_bytes`` says how much memory there is (None: not known).
    """

    def __init__(self, seconds: float, free_bytes: Callable[[], int | None] = lambda: None) -> None:
        self._seconds = seconds
        self._free_bytes = free_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = _started()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process is not None else None

    def decode(self, data: bytes, limit_pixels: int) -> Photo:
        """As `monet_watch.engine.photo.decode`, in the child.

        Raises what that raises, and NotAPhotoError too where the picture takes too long or a codec crashes;
        MemoryError where the system ended the child, and WorkerError where somebody did, or where there is less memory
        at present than such a picture may take.
        """
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _started()
        memory = memory_to_open(limit_pixels, self._free_bytes())
        try:
            _ask(self._process, _REQUEST.pack(len(data), limit_pixels, memory, self._seconds), data)
            return _answered(self._process, limit_pixels)
        except (EOFError, OSError, ValueError, TypeError, KeyError) as error:
            raise self._lost() from error

    def _lost(self) -> Exception:
        """The child is gone, or says what it must not: what to tell of the picture."""
        code = self._end()
        name = _signal_name(-code) if code < 0 else f"exit code {code}"
        if name == "SIGALRM":
            words = f"Opening it took more than {self._seconds:g} seconds, and was given up."
            return NotAPhotoError(words, f"{_ANEW} Or raise decode_seconds in the config.")
        if name == "SIGKILL":
            return MemoryError("the process that opened it was ended by the system")
        if name in _CRASHES or code >= 0:
            return NotAPhotoError(f"It makes the program that opens pictures crash ({name}).", _ANEW)
        return WorkerError(f"The process that opens pictures was ended by {name}.")

    def _end(self) -> int:
        """End the child, if there is one, and return its exit code: its own, if it has ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with process:  # closes the pipes, of which the end of the first ends an idle child
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            try:
                return process.wait(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode


def _started() -> subprocess.Popen[bytes]:
    """A child with this process's module path, in a session of its own: Ctrl-C in a terminal is not for it."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "MALLOC_ARENA_MAX": "2"}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def _ask(process: subprocess.Popen[bytes], request: bytes, data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(request)
    process.stdin.write(data)
    process.stdin.flush()


def _answered(process: subprocess.Popen[bytes], limit_pixels: int) -> Photo:
    """What the child answers. Raises EOFError, OSError, ValueError, TypeError or KeyError where it makes no sense."""
    assert process.stdout is not None
    answer = json.loads(_line(process.stdout))
    if "short" in answer:
        raise _short_of_memory(int(answer["short"]))
    if "error" in answer:
        raise _ERRORS[answer["error"]](str(answer["message"]), str(answer["remedy"]))
    height, width = int(answer["height"]), int(answer["width"])
    date_taken = answer["date_taken"]
    if height * width > limit_pixels or not (date_taken is None or isinstance(date_taken, str)):
        raise ValueError("not what was asked for")
    details = _details(answer["details"])
    image = _samples(process.stdout, (height, width, 3))
    alpha = _samples(process.stdout, (height, width)) if answer["has_alpha"] else None
    return Photo(image, alpha, date_taken, details)


def _short_of_memory(needed_bytes: int) -> WorkerError:
    mebibytes = needed_bytes >> 20
    return WorkerError(
        f"There is not enough memory to open it at present: that may take {mebibytes:,} MiB.",
        "It is opened when memory is free; or make the picture smaller.",
    )


def _details(answer: dict[str, object]) -> Details:
    make, model, description = (str(answer[name]) for name in ("make", "model", "description"))
    place = answer["location"]
    if place is None:
        return Details(make, model, description)
    if not isinstance(place, list):
        raise ValueError("not a place")
    north, east, metres = place
    return Details(make, model, description, (float(north), float(east), None if metres is None else float(metres)))


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline(_LONGEST_ANSWER)
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def _samples(stream: IO[bytes], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    samples = np.empty(shape, np.uint8)
    room = samples.data.cast("B")
    while room:
        read = stream.readinto(room)  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        room = room[read:]
    return samples


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


# --- In the child


def main() -> None:
    """Open the pictures that come on the standard input, until it ends."""
    _set_up()
    at_rest = address_space_bytes()
    while request := sys.stdin.buffer.read(_REQUEST.size):
        size, limit_pixels, memory_bytes, seconds = _REQUEST.unpack(request)
        if at_rest is not None:
            limit_address_space(at_rest + size + memory_bytes)
        data = sys.stdin.buffer.read(size)
        with _alarm_after(seconds):
            answer, samples = _answer(data, limit_pixels, memory_bytes)
        sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n")
        for each in samples:
            sys.stdout.buffer.write(each.data.cast("B"))
        sys.stdout.buffer.flush()
        del data, samples


def _set_up() -> None:
    """Let the system, when memory runs out, end this process rather than another, and an alarm end it in any case."""
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with contextlib.suppress(ImportError):
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = _CODEC_THREADS


@contextlib.contextmanager
def _alarm_after(seconds: float) -> Iterator[None]:
    """End this process after ``seconds``, whatever a codec is doing: nobody handles the signal, so it kills."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(
    data: bytes, limit_pixels: int, memory_bytes: int
) -> tuple[dict[str, object], tuple[NDArray[np.uint8], ...]]:
    try:
        photo = decode(data, limit_pixels)
    except PhotoError as error:
        needed = memory_to_open(pixels_of(data), None)
        if isinstance(error, PhotoTooLargeError) and memory_bytes < needed <= memory_to_open(limit_pixels, None):
            return {"short": needed}, ()  # an honest picture of this size may take more than it was given
        return {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}, ()
    height, width = photo.image.shape[:2]
    facts: dict[str, object] = {"height": height, "width": width, "has_alpha": photo.alpha is not None}
    facts |= {"date_taken": photo.date_taken, "details": asdict(photo.details)}
    return facts, (photo.image,) if photo.alpha is None else (photo.image, photo.alpha)


if __name__ == "__main__":
    main()
