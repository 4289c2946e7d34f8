"""The painting's files: exact pixels, sRGB said, alpha back, the date and the camera kept, the place if asked for."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.pictures import PHOTOS, photo
from monet_watch.engine.photo import decode
from monet_watch.outbox.metadata import Metadata
from monet_watch.outbox.picture import THUMBNAIL_SIDE, encode_further, encode_png, encode_thumbnail
from monet_watch.output import Output
from monet_watch.styles.library import BUNDLED

EXIF_IFD, GPS_IFD, DATE_TIME, DATE_TIME_ORIGINAL = 0x8769, 0x8825, 306, 36867
WORDS, MAKE, MODEL, SOFTWARE = 270, 271, 272, 305
DATE = "2019:07:14 18:03:59"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
FULL = Metadata("monet-watch 1.0", "swift", "ab", DATE, "Nikon", "Z 6", "A pond")


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
    file = encode_png(image, metadata=Metadata("monet-watch 1.0", "première", "ab" * 32, description="睡蓮 🌸"))
    text = {"Software": "monet-watch 1.0", "Recipe": "première", "Identity": "ab" * 32, "Description": "睡蓮 🌸"}
    assert {key: value for key, value in opened(file).text.items() if ":" not in key} == text
    kinds = {data.split(b"\0")[0]: kind for kind, data in chunks(file) if kind in {b"tEXt", b"iTXt"}}
    assert kinds.pop(b"XML:com.adobe.xmp") == b"iTXt"
    assert kinds == {b"Software": b"tEXt", b"Recipe": b"tEXt", b"Description": b"iTXt", b"Identity": b"tEXt"}


@pytest.mark.parametrize(
    "words", ["", "a\0b", "line\nline", "\udcff is none", "x" * 100_000, "<a & 'b' \"c\">]]>", "\x1b[31m\u202e\ufffe"]
)
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_no_words_break_a_file(image, kind, words):
    metadata = Metadata("monet-watch", words, "ab", description=words, make=words[:40])
    file = encoded(kind, image, metadata=metadata)
    assert opened(file).size == (30, 20)
    clean = "".join(each for each in words if each.isprintable() or each in "\n\t")[:2000]
    assert description(xmp(file)) == clean
    if kind == "png":
        assert [each for each, _ in chunks(file)][-1] == b"IEND"


def encoded(kind, image, alpha=None, metadata=FULL, **output) -> bytes:
    if kind == "png":
        return encode_png(image, alpha, metadata)
    return encode_further(kind, image, alpha, metadata, Output((kind,), **output))


def xmp(file: bytes) -> ElementTree.Element:
    """The XMP packet of a picture, read by a parser of XML."""
    info = opened(file).info
    packet = info.get("xmp") or info["XML:com.adobe.xmp"].encode()
    root = ElementTree.fromstring(packet.decode().strip("\ufeff"))
    return root.find(f".//{RDF}Description")


def description(node: ElementTree.Element) -> str:
    return (node.findtext(f"{{http://purl.org/dc/elements/1.1/}}description//{RDF}li") or "").strip("\0")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_each_format_tells_the_date_the_camera_the_words_and_who_made_it_and_no_place(image, kind):
    file = encoded(kind, image)
    exif = opened(file).getexif()
    assert (exif[MAKE], exif[MODEL], exif[WORDS], exif[SOFTWARE]) == ("Nikon", "Z 6", "A pond", "monet-watch 1.0")
    assert exif[DATE_TIME] == exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] == DATE
    assert not exif.get_ifd(GPS_IFD)
    node = xmp(file)
    assert node.get("{urn:monet-watch:1.0/}recipe") == "swift"
    assert (
        node.get("{urn:monet-watch:1.0/}identity") == node.get("{http://purl.org/dc/elements/1.1/}identifier") == "ab"
    )
    assert node.get("{http://ns.adobe.com/xap/1.0/}CreatorTool") == "monet-watch 1.0"
    assert node.get("{http://ns.adobe.com/photoshop/1.0/}DateCreated") == "2019-07-14T18:03:59"
    assert node.get("{http://ns.adobe.com/tiff/1.0/}Model") == "Z 6"
    assert description(node) == "A pond"
    assert not [key for key in node.attrib if "GPS" in key]
    again = decode(file, 10**6)
    assert (again.date_taken, again.details.make, again.details.location) == (DATE, "Nikon", None)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(
    "place", [(48.8566, 2.3522, 35.0), (-33.8568, 151.2153, None), (0.0, -0.0001, -3.25), (-90.0, -180.0, 0.0)]
)
def test_a_place_is_told_where_it_is_asked_for_to_a_centimetre(image, kind, place):
    file = encoded(kind, image, metadata=replace(FULL, location=place))
    north, east, metres = decode(file, 10**6).details.location
    assert (north, east) == pytest.approx(place[:2], abs=1e-7)
    assert metres == (None if place[2] is None else pytest.approx(place[2], abs=0.01))
    degrees, minutes = xmp(file).get("{http://ns.adobe.com/exif/1.0/}GPSLatitude")[:-1].split(",")
    assert int(degrees) + float(minutes) / 60 == pytest.approx(abs(place[0]), abs=1e-7)


def test_what_exif_has_no_letters_for_is_told_by_xmp(image):
    file = encode_png(image, metadata=replace(FULL, description="睡蓮"))
    assert WORDS not in opened(file).getexif()
    assert description(xmp(file)) == "睡蓮"


def test_where_nothing_is_known_there_is_no_exif(image):
    assert b"eXIf" not in [kind for kind, _ in chunks(encode_png(image))]


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_the_other_formats_say_that_their_colours_are_srgb_and_look_like_the_painting(kind):
    across = np.linspace(0, 255, 64, dtype=np.uint8)
    image = np.dstack((np.tile(across, (64, 1)), np.tile(across[:, None], (1, 64)), np.full((64, 64), 90, np.uint8)))
    file = encoded(kind, image, jpeg_quality=95, webp_quality=95)
    picture = opened(file)
    assert picture.format == kind.upper()
    assert picture.info["icc_profile"] == opened(encode_png(image)).info["icc_profile"]
    difference = np.asarray(picture.convert("RGB")).astype(int) - image
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_lower_quality_makes_a_smaller_file(image, kind):
    files = [encoded(kind, image, **{f"{kind}_quality": quality}) for quality in (30, 90)]
    assert len(files[0]) < len(files[1])


def test_a_jpeg_shows_what_is_transparent_on_white_and_a_webp_keeps_it(image):
    clear = np.zeros((20, 30), np.uint8)
    assert np.asarray(opened(encoded("jpeg", image, clear))).min() > 250
    np.testing.assert_array_equal(np.asarray(opened(encoded("webp", image, clear)))[..., 3], clear)


@pytest.mark.parametrize(("kind", "longest"), [("jpeg", 65_500), ("webp", 16_383)])
def test_what_a_format_cannot_hold_is_refused_and_one_pixel_less_is_not(kind, longest):
    with pytest.raises(ValueError, match="pixels on a side"):
        encoded(kind, np.zeros((1, longest + 1, 3), np.uint8))
    assert opened(encoded(kind, np.zeros((1, longest, 3), np.uint8))).size == (longest, 1)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_same_painting_gives_the_same_bytes_whatever_the_time(image, alpha, kind):
    first = encoded(kind, image, alpha)
    assert encoded(kind, image, alpha) == first
    profile = opened(first).info["icc_profile"]
    assert struct.unpack_from(">6H", profile, 24) == (2000, 1, 1, 0, 0, 0)  # dateTimeNumber, ICC.1, 7.2.8


@pytest.mark.parametrize(("name", "limit_bytes"), [*((name, 8000) for name in PHOTOS), ("a painting", 10_000)])
def test_a_thumbnail_is_a_few_kilobytes_and_shows_the_picture(name, limit_bytes):
    path = BUNDLED / "water-garden.jpg"
    picture = photo(name) if name in PHOTOS else np.array(Image.open(path).convert("RGB"))
    data = encode_thumbnail(picture)
    assert len(data) <= limit_bytes
    with Image.open(io.BytesIO(data)) as opened:
        small = opened.convert("RGB")
    assert max(small.size) == THUMBNAIL_SIDE
    wanted = Image.fromarray(picture).resize(small.size, Image.Resampling.LANCZOS)
    assert np.corrcoef(np.array(small).ravel(), np.array(wanted).ravel())[0, 1] > 0.9
