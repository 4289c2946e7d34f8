"""What a process says beside its events: lines that codecs and libraries write to its standard error.

They would reach the journal, or somebody's terminal, as they are, whatever a hostile picture makes a codec say, and
nobody would know of which photo they speak.
"""

import io
import os
import time
from collections.abc import Callable, Iterator

__all__ = ["listen", "speak_into"]

_LONGEST_LINE_BYTES = 500
_MOST_LINES = 10  # in so many seconds; a codec can have a word for every line of a picture
_PERIOD_SECONDS = 10.0


def speak_into(descriptor: int) -> None:
    """Let everything that this process writes to its standard output and error go into the pipe ``descriptor``."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def listen(descriptor: int, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
    """Tell each line that comes out of the pipe ``descriptor`` until its end, and close it.

    Long lines are broken; of more than ten lines in ten seconds the rest is only counted. What is no UTF-8 is escaped;
    other characters are as they are, and whoever shows them escapes them.
    """
    told, left_out, since = 0, 0, clock()
    with os.fdopen(descriptor, "rb") as pipe:
        for text in _lines(pipe):
            if clock() - since >= _PERIOD_SECONDS:
                _tell_count(left_out, tell)
                told, left_out, since = 0, 0, clock()
            if told < _MOST_LINES:
                tell(text)
                told += 1
            else:
                left_out += 1
    _tell_count(left_out, tell)


def _lines(pipe: io.BufferedReader) -> Iterator[str]:
    while line := pipe.readline(_LONGEST_LINE_BYTES):
        text = line.decode("utf-8", "backslashreplace").strip()
        if text:
            yield text


def _tell_count(left_out: int, tell: Callable[[str], None]) -> None:
    if left_out:
        tell(f"and {left_out} line{'s' * (left_out > 1)} more.")
