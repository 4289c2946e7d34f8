"""Photos of every kind become upright 8-bit sRGB arrays, and everything else one of three errors."""

import io
import struct
import warnings
import zlib
from functools import cache

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage import color

from monet_watch.engine.levels import fitted_size
from monet_watch.engine.photo import decode, resize
from monet_watch.errors import NotAPhotoError, PhotoError, PhotoTooLargeError, TruncatedPhotoError

LIMIT = 10**7
EXIF_IFD, DATE_TIME, DATE_TIME_ORIGINAL, ORIENTATION = 0x8769, 306, 36867, 274

LOSSLESS = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "tga": ("TGA", {}),
    "pcx": ("PCX", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp": ("WEBP", {"lossless": True}),
    "jpeg2000": ("JPEG2000", {}),
}
LOSSY = {
    "jpeg": ("JPEG", {"quality": 95}),
    "jpeg-progressive": ("JPEG", {"quality": 95, "progressive": True}),
    "webp-lossy": ("WEBP", {"quality": 95}),
    "heic": ("HEIF", {"quality": 95}),
    "avif": ("AVIF", {"quality": 95}),
}
FORMATS = LOSSLESS | LOSSY
PALETTES = {"gif": ("GIF", {})}


def encoded(image: Image.Image | np.ndarray, name: str, **options: object) -> bytes:
    """Encode ``image`` in the format of that name above."""
    kind, usual = (FORMATS | PALETTES)[name]
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **usual, **options)
    return file.getvalue()


@cache
def scene() -> np.ndarray:
    """Return a smooth picture without symmetries, uint8, (48, 80, 3)."""
    rows, columns = np.mgrid[0:48, 0:80]
    waves = [127 + 100 * np.sin(rows / 9 + channel) * np.cos(columns / 17 - channel) for channel in range(3)]
    return (np.stack(waves, -1) + columns[..., None] / 4).astype(np.uint8)


@cache
def whole_file(name: str) -> bytes:
    """Return `scene` as a file with EXIF and without faults."""
    return encoded(scene(), name)


# --- Formats


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel(name):
    photo = decode(whole_file(name), LIMIT)
    np.testing.assert_array_equal(photo.image, scene())
    assert photo.alpha is None and photo.date_taken is None
    assert photo.image.dtype == np.uint8 and photo.image.flags.c_contiguous and photo.image.flags.writeable


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_come_close(name):
    difference = decode(whole_file(name), LIMIT).image.astype(float) - scene()
    assert np.abs(difference).mean() < 2.5


def test_gif_palette_becomes_colours():
    picture = Image.fromarray(scene()).quantize(64)
    expected = np.asarray(picture.getpalette()).reshape(-1, 3)[np.asarray(picture)]
    np.testing.assert_array_equal(decode(encoded(picture, "gif"), LIMIT).image, expected)


def test_one_bit_pictures_become_black_and_white():
    bits = scene()[..., 0] > 127
    file = encoded(Image.fromarray(bits), "png")
    np.testing.assert_array_equal(decode(file, LIMIT).image, np.stack([bits * np.uint8(255)] * 3, -1))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_counts(kind):
    red, blue = Image.new("RGB", (32, 16), "#ff0000"), Image.new("RGB", (32, 16), "#0000ff")
    file = io.BytesIO()
    red.save(file, kind, save_all=True, append_images=[blue])
    photo = decode(file.getvalue(), LIMIT)
    assert photo.image.shape == (16, 32, 3)
    assert np.abs(photo.image.astype(int) - (255, 0, 0)).max() <= 3


# --- Orientation and date


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return how a camera stores ``upright`` with that Orientation (Exif 2.32: where row 0 and column 0 lie)."""
    transposed = upright.swapaxes(0, 1)
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: transposed,
        6: transposed[::-1],  # row 0 is the right side, column 0 the top
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],  # row 0 is the left side, column 0 the bottom
    }[orientation]


@pytest.mark.parametrize("name", ["jpeg", "tiff", "tiff-lzw", "png", "webp", "heic", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(name, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = encoded(np.ascontiguousarray(stored(scene(), orientation)), name, exif=exif.tobytes())
    image = decode(file, LIMIT).image
    assert image.shape == scene().shape
    assert np.abs(image.astype(float) - scene()).mean() < 2.5


def test_alpha_is_turned_with_its_picture():
    alpha = np.arange(48 * 80, dtype=np.uint32).reshape(48, 80).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    file = encoded(np.ascontiguousarray(stored(np.dstack([scene(), alpha]), 6)), "png", exif=exif.tobytes())
    np.testing.assert_array_equal(decode(file, LIMIT).alpha, alpha)


def dated(original: str | None, changed: str | None, name: str = "jpeg") -> str | None:
    exif = Image.Exif()
    if changed is not None:
        exif[DATE_TIME] = changed
    if original is not None:
        exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] = original
    return decode(encoded(scene(), name, exif=exif.tobytes()), LIMIT).date_taken


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "heic"])
def test_the_date_taken_comes_from_exif(name):
    assert dated("2019:07:14 18:03:59", "2020:01:01 00:00:00", name) == "2019:07:14 18:03:59"


@pytest.mark.parametrize(
    ("original", "changed", "expected"),
    [
        (None, "2020:02:29 12:00:00", "2020:02:29 12:00:00"),
        ("0000:00:00 00:00:00", "2020:02:29 12:00:00", "2020:02:29 12:00:00"),
        ("    :  :     :  :  ", None, None),
        ("2019-07-14 18:03:59", None, None),
        ("2019:02:30 18:03:59", None, None),
        ("2019:07:14 18:03:59\n", None, None),
        (None, None, None),
    ],
)
def test_a_date_that_is_none_is_not_told(original, changed, expected):
    assert dated(original, changed) == expected


def test_damaged_exif_is_no_obstacle():
    file = encoded(scene(), "jpeg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12" + b"\xff" * 40)
    photo = decode(file, LIMIT)
    assert photo.image.shape == (48, 80, 3) and photo.date_taken is None


# --- Colour management: profiles written by hand (ICC.1:2001-04), expectations from the primaries


def s15f16(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    body, table = b"", struct.pack(">I", len(tags))
    for name, data in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4xI4s4s4s12x4s28x", 128 + len(table + body), 0x02400000, kind, space, connection, b"acsp")
    header += s15f16(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + s15f16(*values)


def gamma_tag(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


D65_XY = (0.3127, 0.3290)
PRIMARIES = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)),
}
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])


def xyz_of(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def rgb_to_xyz(name: str) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ under D65, from the primaries."""
    columns = np.stack([xyz_of(*xy) for xy in PRIMARIES[name]], axis=1)
    return columns * np.linalg.solve(columns, xyz_of(*D65_XY))


def rgb_profile(name: str, gamma: float) -> bytes:
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ xyz_of(*D65_XY)))
    columns = (np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ rgb_to_xyz(name)).T
    tags = {name: xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= {name: gamma_tag(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return profile(b"RGB ", b"XYZ ", tags | {b"wtpt": xyz_tag(D50)})


@pytest.mark.parametrize("name", PRIMARIES)
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp", "heic"])
@pytest.mark.parametrize("pixel", [(100, 150, 200), (180, 120, 90), (128, 128, 128), (255, 255, 255)])
def test_profiles_are_brought_to_srgb(name, kind, pixel):
    gamma = 563 / 256
    linear = (np.array(pixel) / 255) ** gamma
    expected = 255 * color.xyz2rgb(rgb_to_xyz(name) @ linear)
    file = encoded(Image.new("RGB", (16, 16), pixel), kind, icc_profile=rgb_profile(name, gamma))
    tolerance = 1.5 if kind in LOSSLESS else 4
    np.testing.assert_allclose(decode(file, LIMIT).image[8, 8], expected, atol=tolerance)


def test_a_profile_of_srgb_changes_next_to_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = decode(encoded(scene(), "png", icc_profile=srgb), LIMIT).image
    assert np.abs(image.astype(int) - scene()).max() <= 1


def test_grey_profiles_are_honoured():
    file = encoded(
        Image.new("L", (4, 4), 100),
        "png",
        icc_profile=profile(b"GRAY", b"XYZ ", {b"wtpt": xyz_tag(D50), b"kTRC": gamma_tag(1.0)}),
    )
    expected = 255 * color.xyz2rgb(xyz_of(*D65_XY) * 100 / 255)
    np.testing.assert_allclose(decode(file, LIMIT).image[0, 0], expected, atol=1)


def test_grey_pixels_with_a_profile_for_colours_keep_their_place():
    file = encoded(Image.new("L", (4, 4), 100), "png", icc_profile=rgb_profile("Display P3", 1.0))
    expected = 255 * color.xyz2rgb(xyz_of(*D65_XY) * 100 / 255)
    np.testing.assert_allclose(decode(file, LIMIT).image[0, 0], expected, atol=1)


LAB_OF_INKS = {(0, 0, 0, 0): (100, 0, 0), (1, 0, 0, 0): (60, -30, -40), (0, 0, 1, 0): (90, -5, 80)}


def cmyk_profile() -> bytes:
    """Return a printer's profile, lut8Type (ICC.1, 10.9): some inks alone have a colour, all else is black."""
    corners = [LAB_OF_INKS.get((c, m, y, k), (0, 0, 0)) for c, m, y, k in np.ndindex(2, 2, 2, 2)]
    grid = bytes(value for L, a, b in corners for value in (round(L * 2.55), a + 128, b + 128))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + s15f16(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + grid + ramp * 3
    return profile(b"CMYK", b"Lab ", {b"wtpt": xyz_tag(D50), b"A2B0": table})


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
@pytest.mark.parametrize("inks", LAB_OF_INKS)
def test_cmyk_with_a_profile_gets_the_printers_colours(kind, inks):
    picture = Image.new("CMYK", (16, 16), tuple(255 * ink for ink in inks))
    file = encoded(picture, kind, icc_profile=cmyk_profile())
    expected = 255 * np.clip(lab_d50_to_srgb(LAB_OF_INKS[inks]), 0, 1)
    np.testing.assert_allclose(decode(file, LIMIT).image[8, 8], expected, atol=4)


def lab_d50_to_srgb(lab: tuple[float, float, float]) -> np.ndarray:
    xyz = color.lab2xyz(np.array(lab, float), illuminant="D50")
    cones = np.diag((BRADFORD @ xyz_of(*D65_XY)) / (BRADFORD @ D50))
    return color.xyz2rgb(np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ xyz)


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
@pytest.mark.parametrize(
    ("inks", "expected"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_cmyk_without_a_profile_comes_out_right_also_as_adobe_inverts_it(kind, inks, expected):
    file = encoded(Image.new("CMYK", (16, 16), inks), kind)
    np.testing.assert_allclose(decode(file, LIMIT).image[8, 8], expected, atol=2)


@pytest.mark.parametrize("lab", [(50, 0, 0), (60, 30, -40), (80, -20, 50)])
def test_lab_pictures_become_srgb(lab):
    picture = Image.new("LAB", (4, 4), (round(lab[0] * 2.55), lab[1] + 128, lab[2] + 128))
    np.testing.assert_allclose(
        decode(encoded(picture, "tiff"), LIMIT).image[0, 0], 255 * lab_d50_to_srgb(lab), atol=2.5
    )


@pytest.mark.parametrize(
    "broken",
    [b"no profile at all", rgb_profile("Display P3", 2.2)[:200], cmyk_profile(), bytes(128)],
    ids=["text", "truncated", "for CMYK", "zeros"],
)
def test_a_profile_that_does_not_fit_is_ignored(broken):
    np.testing.assert_array_equal(decode(encoded(scene(), "png", icc_profile=broken), LIMIT).image, scene())


# --- Deep samples

DEEP = np.array([[0, 1, 128, 129, 255, 256, 257, 1000, 32767, 32768, 65534, 65535]], np.uint16)


def scaled(values: np.ndarray) -> np.ndarray:
    return np.stack([np.round(values / 257).astype(np.uint8)] * 3, -1)


def png(bit_depth: int, colour_type: int, size: tuple[int, int], row: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of one row written by hand (PNG, third edition, 11)."""
    header = struct.pack(">IIBBBBB", *size, bit_depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"\0" + row)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def tiff(samples: np.ndarray, sample_format: int, photometric: int = 1, *extra: tuple[int, int]) -> bytes:
    """Return an uncompressed grey TIFF file of one strip, written by hand (TIFF 6.0, section 2)."""
    height, width = samples.shape
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    entries = dict(extra) | {256: width, 257: height, 258: 8 * samples.itemsize, 259: 1, 262: photometric, 273: 8}
    entries |= {277: 1, 278: height, 279: len(data), 339: sample_format}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + directory + bytes(4)


def test_grey_png_of_16_bits_is_scaled():
    row = DEEP.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(png(16, 0, (DEEP.size, 1), row), LIMIT).image, scaled(DEEP))


@pytest.mark.parametrize("colour_type", [2, 6])
def test_colour_png_of_16_bits_is_scaled_to_within_one_level(colour_type):
    channels = 3 if colour_type == 2 else 4
    samples = np.stack([DEEP] * channels, -1)
    samples[..., 3:] = 65535
    image = decode(png(16, colour_type, (DEEP.size, 1), samples.astype(">u2").tobytes()), LIMIT).image
    np.testing.assert_allclose(image.astype(int), scaled(DEEP), atol=1)


def test_the_transparent_value_of_a_16_bit_grey_png_is_clear():
    file = png(16, 0, (DEEP.size, 1), DEEP.astype(">u2").tobytes(), (b"tRNS", struct.pack(">H", 1000)))
    photo = decode(file, LIMIT)
    np.testing.assert_array_equal(photo.alpha, np.where(DEEP == 1000, 0, 255))
    np.testing.assert_array_equal(photo.image, np.where((DEEP == 1000)[..., None], 255, scaled(DEEP)))


def test_tiff_of_16_bits_is_scaled():
    np.testing.assert_array_equal(decode(tiff(DEEP, 1), LIMIT).image, scaled(DEEP))


def test_tiff_of_16_bits_with_white_at_zero_is_turned():
    np.testing.assert_array_equal(decode(tiff(DEEP, 1, 0), LIMIT).image, scaled(65535 - DEEP))


@pytest.mark.parametrize(("dtype", "sample_format"), [(np.uint32, 1), (np.int32, 2)])
def test_tiff_of_32_bits_is_scaled(dtype, sample_format):
    samples = np.array([[0, 2**20, 2**30, 2**31 - 1]]).astype(dtype)
    expected = np.round(255 * samples.astype(float) / (2**31 - 1))
    np.testing.assert_array_equal(decode(tiff(samples, sample_format), LIMIT).image[..., 0], expected)


def test_signed_samples_start_at_the_darkest():
    samples = np.array([[-1000, 0, 32767]], np.int32)
    expected = np.round(255 * (samples + 1000) / 33767)
    np.testing.assert_array_equal(decode(tiff(samples, 2), LIMIT).image[..., 0], expected)


def test_float_tiff_from_0_to_1_is_scaled_and_brighter_ones_are_not_clipped():
    unit = np.array([[0, 0.25, 0.5, 0.75]], np.float32)
    np.testing.assert_array_equal(decode(tiff(unit, 3), LIMIT).image[0, :, 0], [0, 64, 128, 191])
    np.testing.assert_array_equal(decode(tiff(unit * 16, 3), LIMIT).image[0, :, 0], [0, 85, 170, 255])


def test_what_is_no_number_in_a_float_tiff_is_black_and_infinity_is_white():
    samples = np.array([[np.nan, -np.inf, np.inf, 0.5]], np.float32)
    np.testing.assert_array_equal(decode(tiff(samples, 3), LIMIT).image[0, :, 0], [0, 0, 255, 128])


# --- Alpha


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


@pytest.fixture(scope="module")
def alpha() -> np.ndarray:
    rows, columns = np.mgrid[0:48, 0:80]
    return ((rows * 5 + columns * 3) % 256).astype(np.uint8)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "tga", "jpeg2000"])
def test_alpha_is_returned_apart_and_the_picture_lies_on_white(kind, alpha):
    photo = decode(encoded(np.dstack([scene(), alpha]), kind, **({"exact": True} if kind == "webp" else {})), LIMIT)
    np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_allclose(photo.image, on_white(scene(), alpha), atol=1)


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_alpha_survives_lossy_formats(kind, alpha):
    smooth = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (48, 1))
    photo = decode(encoded(np.dstack([scene(), smooth]), kind), LIMIT)
    assert np.abs(photo.alpha.astype(float) - smooth).mean() < 3


def test_grey_with_alpha_keeps_both(alpha):
    photo = decode(encoded(np.dstack([scene()[..., 0], alpha]), "png"), LIMIT)
    np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_allclose(photo.image, on_white(np.stack([scene()[..., 0]] * 3, -1), alpha), atol=1)


def test_premultiplied_tiff_gets_its_colours_back():
    colour, half = np.full((4, 4, 3), 200, np.uint8), np.full((4, 4), 128, np.uint8)
    premultiplied = np.dstack([np.full((4, 4, 3), round(200 * 128 / 255), np.uint8), half])
    file = io.BytesIO()
    tifffile.imwrite(file, premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    photo = decode(file.getvalue(), LIMIT)
    np.testing.assert_array_equal(photo.alpha, half)
    np.testing.assert_allclose(photo.image, on_white(colour, half), atol=2)


def test_a_palette_with_shades_of_transparency_keeps_them():
    indices = np.array([[0, 1, 2]], np.uint8)
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])
    file = png(8, 3, (3, 1), indices.tobytes(), (b"PLTE", palette), (b"tRNS", bytes([0, 128])))
    photo = decode(file, LIMIT)
    np.testing.assert_array_equal(photo.alpha, [[0, 128, 255]])
    np.testing.assert_allclose(photo.image, [[[255, 255, 255], [127, 255, 127], [0, 0, 255]]], atol=1)


def test_a_transparent_index_of_a_gif_is_clear():
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    photo = decode(encoded(picture, "gif", transparency=0), LIMIT)
    np.testing.assert_array_equal(photo.alpha, [[0, 255], [255, 0]])
    np.testing.assert_array_equal(photo.image[0], [[255, 255, 255], [200, 100, 50]])


@pytest.mark.parametrize(
    ("colour_type", "row", "clear"),
    [(0, bytes([7, 9]), struct.pack(">H", 7)), (2, bytes([7, 8, 9, 9, 8, 7]), struct.pack(">HHH", 7, 8, 9))],
)
def test_the_transparent_colour_of_a_png_is_clear(colour_type, row, clear):
    photo = decode(png(8, colour_type, (2, 1), row, (b"tRNS", clear)), LIMIT)
    np.testing.assert_array_equal(photo.alpha, [[0, 255]])
    np.testing.assert_array_equal(photo.image[0, 0], [255, 255, 255])


def test_alpha_without_any_transparency_is_none():
    opaque = np.dstack([scene(), np.full((48, 80), 255, np.uint8)])
    photo = decode(encoded(opaque, "png"), LIMIT)
    assert photo.alpha is None
    np.testing.assert_array_equal(photo.image, scene())


# --- What is refused


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"Dear diary,\ntoday I saw a water lily.\n", "text file"),
        ("Liebes Tagebuch, schöne Grüße".encode(), "text file"),
        ("Dear diary".encode("utf-16"), "text file"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "PostScript drawing"),
        (b"PK\x03\x04\x14\0\x06\0" + bytes(range(64)), "archive"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  " + bytes(range(64)), "video"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2" + bytes(range(64)), "video"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0", "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(range(64)), "RAW file"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(range(64)), "RAW file"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(range(64)), "RAW file"),
        (b"\xff\x0a\xfa\x1f\x01\x91\x08\x06\x01", "JPEG XL"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(64)), "program"),
    ],
)
def test_what_is_no_photo_is_told_by_what_it_looks_like(data, words):
    with pytest.raises(NotAPhotoError, match=words) as caught:
        decode(data, LIMIT)
    assert caught.value.remedy


def test_a_raw_file_in_the_clothes_of_a_tiff_is_not_painted_from_its_thumbnail():
    thumbnail = scene()[..., 0]
    for extra in [((254, 1), (330, 8)), ((50706, 0x01040000),)]:
        with pytest.raises(NotAPhotoError, match="RAW file"):
            decode(tiff(thumbnail, 1, 1, *extra), LIMIT)


def test_a_damaged_picture_is_told_with_its_kind():
    file = bytearray(encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "png"))
    file[200:300] = bytes(100)
    with pytest.raises(NotAPhotoError, match="PNG picture, but it is damaged"):
        decode(bytes(file), LIMIT)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"pcx", "tga"}))
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_picture_that_ends_too_early_is_told(name, share):
    file = whole_file(name)
    with pytest.raises(TruncatedPhotoError, match="ends too early"):
        decode(file[: int(len(file) * share)], LIMIT)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "png", "webp-lossy", "heic", "gif"])
def test_a_picture_whose_end_is_only_reserved_ends_too_early(name):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    picture = Image.fromarray(noise).quantize(256) if name == "gif" else noise
    file = encoded(picture, name)
    with pytest.raises(TruncatedPhotoError):
        decode(file[:-6000] + bytes(6000), LIMIT)


def test_black_rows_at_the_end_of_bare_samples_are_black_rows():
    picture = np.concatenate([scene(), np.zeros((100, 80, 3), np.uint8)])
    np.testing.assert_array_equal(decode(encoded(picture, "tiff"), LIMIT).image, picture)


def test_a_file_of_zeros_only_ends_too_early():
    with pytest.raises(TruncatedPhotoError):
        decode(bytes(100_000), LIMIT)


def test_a_jpeg_followed_by_other_data_is_whole():
    video = b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 100
    np.testing.assert_array_equal(
        decode(whole_file("jpeg") + video, LIMIT).image, decode(whole_file("jpeg"), LIMIT).image
    )


def test_the_limit_of_pixels_is_exact():
    file = whole_file("png")
    assert decode(file, 48 * 80).image.shape == (48, 80, 3)
    with pytest.raises(PhotoTooLargeError, match="3,840 pixels, and the limit is 3,839"):
        decode(file, 48 * 80 - 1)


@pytest.mark.parametrize("name", FORMATS)
def test_too_many_pixels_are_refused_in_every_format(name):
    with pytest.raises(PhotoTooLargeError, match="3,840 pixels"):
        decode(whole_file(name), 1000)


def test_a_decompression_bomb_is_refused_by_its_header():
    with pytest.raises(PhotoTooLargeError, match="10,000,000,000"):
        decode(png(8, 2, (100_000, 100_000), bytes(100)), LIMIT)


def test_pillows_own_limit_does_not_count_and_stays_as_it_was(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(whole_file("png"), LIMIT).image.shape == (48, 80, 3)
        assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(PhotoError):
        decode(b"nothing", LIMIT)
    assert Image.MAX_IMAGE_PIXELS == 10


# --- Hostile bytes


def only_photo_errors(data: bytes) -> None:
    try:
        photo = decode(data, LIMIT)
    except PhotoError as error:
        assert error.message and error.remedy
    else:
        assert photo.image.ndim == 3 and photo.image.shape[2] == 3


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.floats(0, 1))
def test_any_truncation_decodes_or_raises_a_photo_error(name, share):
    file = whole_file(name)
    only_photo_errors(file[: int(len(file) * share)])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_any_damage_decodes_or_raises_a_photo_error(name, data):
    file = bytearray(whole_file(name))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    only_photo_errors(bytes(file))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"RIFF", b"\x89PNG\r\n\x1a\n"])
)
def test_random_bytes_decode_or_raise_a_photo_error(data, beginning):
    only_photo_errors(beginning + data)


# --- Sizes

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, st.integers(1, 2000))
def test_the_short_side_is_exact_the_long_side_rounded_and_nothing_is_enlarged(width, height, short_side):
    fitted = fitted_size(width, height, short_side, enlarge=False)
    if min(width, height) <= short_side:
        assert fitted == (width, height)
    else:
        assert min(fitted) == short_side
        scale = short_side / min(width, height)
        assert abs(max(fitted) - max(width, height) * scale) <= 0.5 + 1e-9
        assert (fitted[0] <= fitted[1]) == (width <= height) or fitted[0] == fitted[1]


@given(SIDES, SIDES, st.integers(1, 100))
def test_enlarging_reaches_the_short_side(width, height, short_side):
    assert min(fitted_size(width, height, short_side, enlarge=True)) == short_side


@pytest.mark.parametrize(
    ("size", "expected"), [((6000, 4000), (768, 512)), ((4000, 6000), (512, 768)), ((1001, 1000), (513, 512))]
)
def test_sizes_known_by_heart(size, expected):
    assert fitted_size(*size, 512, enlarge=False) == expected


def test_a_line_is_not_enlarged_to_a_poster():
    with pytest.raises(PhotoTooLargeError, match="too narrow"):
        fitted_size(1, 50_000, 512, enlarge=True)


def test_resize_gives_the_fitted_size_for_pictures_and_alpha():
    assert resize(scene(), 24, enlarge=False).shape == (24, 40, 3)
    assert resize(np.ascontiguousarray(scene()[..., 0]), 24, enlarge=False).shape == (24, 40)
    assert resize(scene(), 96, enlarge=True).shape == (96, 160, 3)


def test_a_picture_of_the_right_size_is_returned_as_it_is():
    picture = scene()
    assert resize(picture, 48, enlarge=True) is picture
    assert resize(picture, 96, enlarge=False) is picture


def test_resizing_averages_over_what_it_leaves_out():
    checks = np.indices((256, 256)).sum(axis=0) % 2 * np.uint8(255)
    np.testing.assert_allclose(resize(checks.astype(np.uint8), 32, enlarge=False)[4:-4, 4:-4], 127.5, atol=2)


def test_resizing_keeps_the_mean_and_repeats_itself():
    once, twice = resize(scene(), 20, enlarge=False), resize(scene(), 20, enlarge=False)
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_allclose(once.mean(axis=(0, 1)), scene().mean(axis=(0, 1)), atol=1.5)


def test_a_very_long_picture_keeps_its_short_side():
    assert resize(np.zeros((3, 5000, 3), np.uint8), 1, enlarge=False).shape == (1, 1667, 3)
