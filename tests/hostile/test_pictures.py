"""No picture, however damaged or malicious, does more than to be painted or to be told as a problem."""

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from monet_watch.engine.photo import Photo, decode
from monet_watch.errors import PhotoError
from monet_watch.workers.decoder import Decoder, memory_to_open
from tests.hostile.corpus import FORMATS, Hostile, bit_flips, bombs, oddities, truncations, whole

LIMIT = 10**7


def outcome(picture: Hostile, opened: Callable[[bytes, int], Photo] = decode) -> str:
    """``painted`` or ``problem``; the latter says why, and what to do, in one line that can be shown anywhere."""
    try:
        image = opened(picture.data, LIMIT).image
    except PhotoError as error:
        assert error.message.isprintable() and error.remedy.isprintable() and error.message and error.remedy
        return "problem"
    assert image.ndim == 3 and image.shape[2] == 3 and 0 < image.size <= 3 * LIMIT
    return "painted"


@pytest.fixture
def tally(capsys: pytest.CaptureFixture[str]) -> Callable[[str, Iterable[Hostile]], Counter[str]]:
    """A function of a title and pictures: tries each of them, and prints what became of them."""

    def tried(title: str, pictures: Iterable[Hostile]) -> Counter[str]:
        counts = Counter(map(outcome, pictures))
        words = f"{title}: {counts.total()} files, {counts['painted']} painted, {counts['problem']} problems"
        with capsys.disabled():
            sys.stdout.write(f"\n{words}\n")
        return counts

    return tried


@pytest.fixture(scope="module")
def strange() -> dict[str, Hostile]:
    """The oddities, by their names without the ending."""
    return {each.name.partition(".")[0]: each for each in oddities()}


def test_whole_pictures_of_every_format_are_painted(tally):
    counts = tally("whole pictures", (Hostile(name, whole(name)) for name in FORMATS))
    assert counts == {"painted": len(FORMATS)}


def test_pictures_cut_anywhere_are_painted_or_told(tally):
    counts = tally("cut at 50 points", (each for name in FORMATS for each in truncations(name)))
    assert counts.total() == 50 * len(FORMATS)


def test_pictures_with_flipped_bits_are_painted_or_told(tally):
    counts = tally("flipped bits", (each for name in FORMATS for each in bit_flips(name)))
    assert counts.total() == 25 * len(FORMATS) and counts["painted"] and counts["problem"]


def test_bombs_are_painted_or_told(tally):
    assert tally("bombs", bombs()).total() > 70


def test_oddities_are_painted_or_told(tally):
    assert tally("oddities", oddities()).total() > 150


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "tiff-lzw", "bmp", "gif", "ppm", "jpeg2000"])
@pytest.mark.parametrize("size", ["60000-by-1", "1-by-60000", "1-by-1"])
def test_a_very_long_picture_and_a_single_pixel_are_pictures(strange, name, size):
    assert outcome(strange[f"{name}-{size}"]) == "painted"


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_ending_does_not_matter(strange, name):
    assert outcome(strange[f"{name}-called"]) == "painted"


def mapped_bytes(pid: int, field: str) -> int:
    """What the system knows of a process: ``VmSize`` of its address space, ``VmPeak`` at most, ``VmHWM`` in memory."""
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited on Linux")
def test_no_bomb_takes_more_memory_than_is_stated_or_ends_the_process_that_opens_it(capsys):
    largest, slowest = 0, (0.0, "")
    with Decoder(seconds=300) as decoder:
        decoder.decode(whole("png"), LIMIT)
        pid, at_rest = decoder.pid, mapped_bytes(decoder.pid or 0, "VmSize")
        for picture in itertools.chain(bombs(), oddities()):
            before = time.monotonic()
            outcome(picture, decoder.decode)
            slowest = max(slowest, (time.monotonic() - before, picture.name))
            largest = max(largest, len(picture.data))
        assert decoder.pid == pid
        peak, in_memory = mapped_bytes(decoder.pid or 0, "VmPeak"), mapped_bytes(decoder.pid or 0, "VmHWM")
    assert peak <= at_rest + largest + memory_to_open(LIMIT, None)
    words = f"at most {in_memory / 2**20:.0f} MiB in memory; the slowest, {slowest[1]}, took {slowest[0]:.1f} s"
    with capsys.disabled():
        sys.stdout.write(f"\nbombs and oddities in a process of their own: {words}\n")
