"""What a process says beside its events is told in lines, few enough to read."""

import os
import subprocess
import sys
import threading

import pytest

from monet_watch.workers.murmur import listen


def heard(data: bytes, clock=lambda: 0.0):
    """What is told of ``data``, which a real pipe brings."""
    reading, writing = os.pipe()
    told = []
    listener = threading.Thread(target=listen, args=(reading, told.append, clock))
    listener.start()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
    listener.join(60)
    assert not listener.is_alive()
    return told


def test_each_line_is_told_without_its_end_and_empty_ones_are_not():
    assert heard(b"one\n\n  two \r\nthree") == ["one", "two", "three"]


def test_bytes_that_are_no_text_are_escaped_and_long_lines_are_broken():
    assert heard(b"\xff\xfe!\n") == ["\\xff\\xfe!"]
    assert [len(line) for line in heard(b"x" * 1200 + b"\n")] == [500, 500, 200]


def test_of_a_flood_the_first_lines_are_told_and_the_rest_is_counted():
    told = heard(b"".join(b"Bad code word at line %d.\n" % number for number in range(100_000)))
    assert told == [*(f"Bad code word at line {number}." for number in range(10)), "and 99990 lines more."]


def test_after_a_while_there_is_room_for_lines_again():
    times = iter([0.0, *[1.0] * 12, 11.0, *[12.0] * 100])
    told = heard(b"".join(b"%d\n" % number for number in range(14)), clock=lambda: next(times))
    assert told == [*map(str, range(10)), "and 2 lines more.", "12", "13"]


@pytest.mark.skipif(os.name != "posix", reason="a pipe is a file on POSIX systems only")
def test_whatever_a_library_writes_to_its_output_or_error_goes_into_the_pipe():
    code = "import os, sys; from monet_watch.workers.murmur import speak_into; speak_into(int(sys.argv[1]));"
    code += "os.write(1, b'out\\n'); os.write(2, b'err\\n'); print('said'); sys.stdout.flush(); os.abort()"
    reading, writing = os.pipe()
    done = subprocess.run([sys.executable, "-c", code, str(writing)], pass_fds=[writing], capture_output=True)
    os.close(writing)
    told = []
    listen(reading, told.append)
    assert told == ["out", "err", "said"]
    assert done.stdout == done.stderr == b""
