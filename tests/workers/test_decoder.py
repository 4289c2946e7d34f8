"""Pictures are opened in a process that can be lost: whatever becomes of it is told of the picture, in words."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import monet_watch.workers.decoder as decoder_module
from monet_watch.engine.photo import Details, Photo, decode
from monet_watch.errors import NotAPhotoError, PhotoTooLargeError, TruncatedPhotoError, WorkerError
from monet_watch.troubles import passes
from monet_watch.workers.decoder import BYTES_PER_PIXEL, SPARE_BYTES, Decoder, memory_to_open

LIMIT = 10**6
SECONDS = 120.0

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited on Linux")


@pytest.fixture(scope="module")
def decoder():
    with Decoder(SECONDS) as decoder:
        yield decoder


def png(mode="RGB", size=(40, 30)):
    rng, file = np.random.default_rng(3), io.BytesIO()
    channels = len(mode)
    Image.fromarray(rng.integers(0, 256, (*size[::-1], channels), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_is_the_same_as_without_a_process(decoder, mode):
    here, there = decode(png(mode), LIMIT), decoder.decode(png(mode), LIMIT)
    np.testing.assert_array_equal(here.image, there.image)
    np.testing.assert_array_equal(here.alpha, there.alpha)
    assert here.date_taken is there.date_taken is None
    assert there.image.flags.writeable and there.image.flags.c_contiguous


def test_the_camera_the_words_and_the_place_come_along(decoder):
    exif = Image.Exif()
    exif[271], exif[272], exif[270] = "Nikon", "Z 6", "Nymphéas".encode()
    exif.get_ifd(0x8825).update({1: "S", 2: (10.0, 30.0, 36.0), 3: "W", 4: (1.0, 0.0, 0.0), 5: b"\1", 6: 12.5})
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, "JPEG", exif=exif)
    assert decoder.decode(file.getvalue(), LIMIT).details == Details("Nikon", "Z 6", "Nymphéas", (-10.51, -1.0, -12.5))


def test_the_date_taken_comes_along(decoder):
    exif, file = Image.Exif(), io.BytesIO()
    exif[306] = "2020:02:29 12:00:00"
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    assert decoder.decode(file.getvalue(), LIMIT).date_taken == "2020:02:29 12:00:00"


@pytest.mark.parametrize(
    ("data", "limit", "error"),
    [
        (b"Dear diary, today I saw a bridge.", LIMIT, NotAPhotoError),
        (png()[:-500], LIMIT, TruncatedPhotoError),
        (png(), 1199, PhotoTooLargeError),
        (b"", LIMIT, NotAPhotoError),
    ],
)
def test_errors_are_the_same_as_without_a_process_and_the_process_lives_on(decoder, data, limit, error):
    pid = decoder.decode(png(), LIMIT) and decoder.pid
    with pytest.raises(error) as there:
        decoder.decode(data, limit)
    with pytest.raises(error) as here:
        decode(data, limit)
    assert (there.value.message, there.value.remedy) == (here.value.message, here.value.remedy)
    assert decoder.decode(png(), LIMIT) and decoder.pid == pid


@pytest.fixture
def ended_while_opening(monkeypatch):
    """A function of a signal: opens a picture in a child that meets it on its way."""

    def opened(number):
        with Decoder(SECONDS) as decoder:
            monkeypatch.setattr("monet_watch.workers.decoder._ask", lambda *_: os.kill(decoder.pid, number))
            try:
                decoder.decode(png(), LIMIT)
            finally:
                monkeypatch.undo()
                assert decoder.decode(png(), LIMIT).image.shape == (30, 40, 3)

    return opened


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_codec_that_crashes_is_a_problem_of_the_picture_and_the_next_one_is_opened(ended_while_opening, number):
    with pytest.raises(NotAPhotoError, match=f"crash .{number.name}.") as caught:
        ended_while_opening(number)
    assert "save it anew" in caught.value.remedy


def test_a_child_that_the_system_ends_is_a_lack_of_memory(ended_while_opening):
    with pytest.raises(MemoryError):
        ended_while_opening(signal.SIGKILL)


def test_a_child_that_somebody_ends_is_told_as_what_it_is(ended_while_opening):
    with pytest.raises(WorkerError, match="SIGTERM"):
        ended_while_opening(signal.SIGTERM)


def test_a_picture_that_takes_too_long_is_given_up():
    with Decoder(0.1) as decoder, pytest.raises(NotAPhotoError, match=r"more than 0\.1 seconds") as caught:
        decoder.decode(png(size=(8000, 8000)), 10**8)
    assert "decode_seconds" in caught.value.remedy


def greedy_picture(side):
    """A grey picture of 16 bits, of which each pixel takes more than 16 bytes while it is opened."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((side, side), np.uint16)).save(file, "PNG")
    return file.getvalue()


@linux_only
def test_a_lack_of_memory_is_told_as_one_that_passes_and_the_next_picture_is_opened():
    with Decoder(SECONDS, free_bytes=lambda: 40 * 2**20) as decoder:
        with pytest.raises(WorkerError, match="not enough memory to open it at present") as caught:
            decoder.decode(greedy_picture(3000), 10**7)
        assert passes(caught.value)
        assert decoder.decode(png(), LIMIT).image.shape == (30, 40, 3)


@linux_only
def test_a_picture_is_opened_when_the_memory_that_it_lacked_is_free():
    free = [40 * 2**20]
    with Decoder(SECONDS, free_bytes=lambda: free[0]) as decoder:
        with pytest.raises(WorkerError):
            decoder.decode(greedy_picture(3000), 10**7)
        free[0] = 2**40
        assert decoder.decode(greedy_picture(3000), 10**7).image.shape == (3000, 3000, 3)


@pytest.mark.parametrize(
    ("memory_bytes", "limit", "verdict"),
    [
        (SPARE_BYTES + 1200 * BYTES_PER_PIXEL, LIMIT, "PhotoTooLargeError"),
        (SPARE_BYTES + 1200 * BYTES_PER_PIXEL - 1, LIMIT, "short"),
        (1, 1199, "PhotoTooLargeError"),
    ],
)
def test_a_picture_that_takes_more_than_its_size_explains_or_is_above_the_limit_is_no_lack_of_memory(
    monkeypatch, memory_bytes, limit, verdict
):
    def greedy(data: bytes, limit_pixels: int) -> Photo:
        raise PhotoTooLargeError("There is not enough memory to open it.")

    monkeypatch.setattr(decoder_module, "decode", greedy)
    answer, samples = decoder_module._answer(png(), limit, memory_bytes)
    assert answer.get("error", "short") == verdict
    assert not samples


def test_the_memory_is_what_such_pictures_need_or_most_of_what_there_is():
    assert memory_to_open(10**6, None) == SPARE_BYTES + BYTES_PER_PIXEL * 10**6
    assert memory_to_open(10**6, 2**40) == SPARE_BYTES + BYTES_PER_PIXEL * 10**6
    assert memory_to_open(10**9, 2**30) == 3 * 2**28


def plain(**changes) -> bytes:
    """A child's answer about a picture, with ``changes``."""
    details = {"make": "", "model": "", "description": "", "location": None}
    answer = {"height": 1, "width": 1, "has_alpha": False, "date_taken": None, "details": details}
    return json.dumps({**answer, **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"no json\n",
        b"[]\n",
        b'{"error": "SystemExit", "message": "", "remedy": ""}\n',
        plain(height=100000, width=100000),
        plain(height=-1, width=5),
        plain(height=5, width=5) + b"short",
        plain(height=1, width=1, details=[]) + b"abc",
        plain(height=1, width=1, details={"make": "", "model": "", "description": "", "location": "here"}) + b"abc",
        plain(height=1, width=1, details={"make": "", "model": "", "description": "", "location": [{}, 1, 2]}) + b"abc",
        b'{"height": 1, "width": 1, "has_alpha": false, "date_taken": {"$(id)": "\\u202e"}}\nabc',
        b"x" * 100_000,
    ],
)
def test_a_child_that_says_nonsense_is_not_believed(monkeypatch, answer):
    script = f"import sys; sys.stdin.buffer.read(32); sys.stdout.buffer.write({answer!r}); sys.stdout.flush()"
    with Decoder(SECONDS) as decoder:
        popen = __import__("subprocess").Popen
        monkeypatch.setattr(
            "subprocess.Popen", lambda command, **options: popen([sys.executable, "-c", script], **options)
        )
        decoder._end()
        with pytest.raises((NotAPhotoError, WorkerError)):
            decoder.decode(b"x", LIMIT)


def test_no_process_is_left_behind():
    with Decoder(SECONDS) as decoder:
        pid = decoder.pid
    assert pid is not None and decoder.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="this system does not show its processes")
def test_a_child_whose_worker_was_killed_ends():
    script = (
        "import os, signal\n"
        "from monet_watch.workers.decoder import Decoder\n"
        "decoder = Decoder(60.0).__enter__()\n"
        "print(decoder.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    deadline = time.monotonic() + 60
    while Path(f"/proc/{done.stdout.strip()}/cmdline").exists():
        if not Path(f"/proc/{done.stdout.strip()}/cmdline").read_bytes():
            break  # it has ended, and waits for whoever adopted it
        assert time.monotonic() < deadline
        time.sleep(0.02)
