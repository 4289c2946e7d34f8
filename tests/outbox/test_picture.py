"""The painting's file: exact pixels, sRGB said, alpha back, the date kept and nothing else of the photo."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms

from monet_watch.engine.photo import decode
from monet_watch.outbox.picture import encode_png

EXIF_IFD, GPS_IFD, DATE_TIME, DATE_TIME_ORIGINAL = 0x8769, 0x8825, 306, 36867
DATE = "2019:07:14 18:03:59"


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def alpha() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (20, 30), np.uint8)


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file, and check each one's checksum (PNG, third edition, 5.3)."""
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    position = 8
    while position < len(file):
        length, kind = struct.unpack_from(">I4s", file, position)
        data = file[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", file, position + 8 + length)[0] == zlib.crc32(kind + data)
        yield kind, data
        position += 12 + length


def opened(file: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(file))
    picture.load()
    return picture


def test_the_pixels_are_kept_exactly(image):
    picture = opened(encode_png(image))
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), image)


def test_alpha_is_restored_and_colours_under_it_are_kept(image, alpha):
    picture = opened(encode_png(image, alpha=alpha))
    assert picture.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(picture), np.dstack([image, alpha]))


def test_the_file_says_that_its_colours_are_srgb(image):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(opened(encode_png(image)).info["icc_profile"])).profile
    assert "sRGB" in profile.profile_description
    primaries = [(x, y) for x, y, _ in profile.chromaticity]
    np.testing.assert_allclose(primaries, [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], atol=2e-3)  # IEC 61966-2-1
    np.testing.assert_allclose(decode(encode_png(image), 10**6).image.astype(int), image, atol=1)


def test_text_is_written_as_latin_1_where_that_suffices_and_as_utf_8_elsewhere(image):
    text = {"Software": "monet-watch 1.0", "Recipe": "première", "Title": "睡蓮 🌸", "Identity": "ab" * 32}
    file = encode_png(image, text=text)
    assert opened(file).text == text
    kinds = {data.split(b"\0")[0]: kind for kind, data in chunks(file) if kind in {b"tEXt", b"iTXt"}}
    assert kinds == {b"Software": b"tEXt", b"Recipe": b"tEXt", b"Title": b"iTXt", b"Identity": b"tEXt"}


@pytest.mark.parametrize("value", ["", "a\0b", "line\nline", "\udcff is no character", "x" * 100_000])
def test_no_text_breaks_the_file(image, value):
    file = encode_png(image, text={"Comment": value, "K" * 200: "long keyword"})
    assert [kind for kind, _ in chunks(file)][-1] == b"IEND"
    np.testing.assert_array_equal(np.asarray(opened(file)), image)


def test_the_date_taken_is_kept_and_no_place(image):
    exif = opened(encode_png(image, date_taken=DATE)).getexif()
    assert exif[DATE_TIME] == DATE
    assert exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] == DATE
    assert not exif.get_ifd(GPS_IFD)
    assert decode(encode_png(image, date_taken=DATE), 10**6).date_taken == DATE


def test_without_a_date_there_is_no_exif(image):
    assert b"eXIf" not in [kind for kind, _ in chunks(encode_png(image))]


def test_the_same_painting_gives_the_same_bytes_whatever_the_time(image, alpha):
    arguments = {"alpha": alpha, "text": {"Software": "monet-watch"}, "date_taken": DATE}
    first = encode_png(image, **arguments)
    assert encode_png(image, **arguments) == first
    profile = opened(first).info["icc_profile"]
    assert struct.unpack_from(">6H", profile, 24) == (2000, 1, 1, 0, 0, 0)  # dateTimeNumber, ICC.1, 7.2.8
