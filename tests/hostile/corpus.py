"""Damaged and malicious pictures, made here: the same ones each time.

`damaged` cuts and flips whole files of every format, `bombs` are small files that ask for much, `oddities` are files
that are strange and mostly harmless. Each is a `Hostile`, named after what is wrong with it.
"""

import gzip
import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pillow_heif
from PIL import Image

__all__ = [
    "FORMATS", "Hostile", "bit_flips", "bombs", "chunk", "damaged", "oddities", "png", "truncations", "whole",
    "with_chunks",
]  # fmt: skip

Image.init()
pillow_heif.register_heif_opener()

CUTS = 50
"""Points at which each whole file is cut."""

FLIPS = 25
"""Files with flipped bits that are made of each whole file."""

_HUGE = 64 * 2**20  # bytes of a text or a profile that was squeezed into some thousands


@dataclass(frozen=True, slots=True)
class Hostile:
    """``name`` says what is wrong with ``data``, and ends as a file of the format does that it pretends to be."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Format:
    kind: str
    suffix: str
    options: Mapping[str, object] = field(default_factory=dict)
    mode: str = "RGB"
    frames: int = 1


FORMATS: Mapping[str, _Format] = {
    "png": _Format("PNG", "png"),
    "png-alpha": _Format("PNG", "png", mode="RGBA"),
    "png-palette": _Format("PNG", "png", mode="P"),
    "png-16-bit": _Format("PNG", "png", mode="I;16"),
    "apng": _Format("PNG", "apng", {"save_all": True}, frames=3),
    "jpeg": _Format("JPEG", "jpg"),
    "jpeg-grey": _Format("JPEG", "jpeg", mode="L"),
    "jpeg-cmyk": _Format("JPEG", "jpg", mode="CMYK"),
    "jpeg-progressive": _Format("JPEG", "jpg", {"progressive": True}),
    "mpo": _Format("MPO", "jpg", {"save_all": True}, frames=2),
    "webp": _Format("WEBP", "webp"),
    "webp-lossless": _Format("WEBP", "webp", {"lossless": True}, "RGBA"),
    "webp-animated": _Format("WEBP", "webp", {"save_all": True}, frames=3),
    "tiff": _Format("TIFF", "tif"),
    "tiff-lzw": _Format("TIFF", "tiff", {"compression": "tiff_lzw"}),
    "tiff-deflate": _Format("TIFF", "tif", {"compression": "tiff_adobe_deflate"}),
    "tiff-jpeg": _Format("TIFF", "tif", {"compression": "jpeg"}),
    "tiff-packbits": _Format("TIFF", "tif", {"compression": "packbits"}),
    "tiff-fax": _Format("TIFF", "tif", {"compression": "group4"}, "1"),
    "tiff-float": _Format("TIFF", "tif", mode="F"),
    "tiff-pages": _Format("TIFF", "tif", {"save_all": True}, frames=3),
    "bmp": _Format("BMP", "bmp"),
    "dib": _Format("DIB", "dib"),
    "gif": _Format("GIF", "gif", mode="P"),
    "gif-animated": _Format("GIF", "gif", {"save_all": True}, "P", frames=3),
    "heic": _Format("HEIF", "heic"),
    "avif": _Format("AVIF", "avif"),
    "avif-animated": _Format("AVIF", "avifs", {"save_all": True}, frames=3),
    "jpeg2000": _Format("JPEG2000", "jp2"),
    "jpeg2000-bare": _Format("JPEG2000", "j2k", {"no_jp2": True}),
    "ppm": _Format("PPM", "ppm"),
    "pgm": _Format("PPM", "pgm", mode="L"),
    "pbm": _Format("PPM", "pbm", mode="1"),
    "tga": _Format("TGA", "tga"),
    "tga-squeezed": _Format("TGA", "tga", {"compression": "tga_rle"}),
    "pcx": _Format("PCX", "pcx"),
    "ico": _Format("ICO", "png"),
    "icns": _Format("ICNS", "png"),
    "dds": _Format("DDS", "jpg"),
    "sgi": _Format("SGI", "jpg"),
    "spider": _Format("SPIDER", "tif", mode="F"),
    "msp": _Format("MSP", "bmp", mode="1"),
    "xbm": _Format("XBM", "bmp", mode="1"),
}
"""What Pillow opens and can also write; some with the suffix of another, which must not matter."""


def _scene(mode: str, seed: int = 0) -> Image.Image:
    rows, columns = np.mgrid[0:24, 0:32]
    waves = [127 + 100 * np.sin(rows / 5 + seed + channel) * np.cos(columns / 7) for channel in range(3)]
    picture = Image.fromarray(np.stack(waves, -1).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    return picture.quantize(32) if mode == "P" else picture.convert(mode)


@cache
def whole(name: str) -> bytes:
    """Return a small picture without faults, in the format of that name."""
    kind = FORMATS[name]
    others = [_scene(kind.mode, seed) for seed in range(1, kind.frames)]
    more = {"append_images": others} if others else {}
    file = io.BytesIO()
    _scene(kind.mode).save(file, kind.kind, **kind.options, **more)
    return file.getvalue()


def truncations(name: str, cuts: int = CUTS) -> Iterator[Hostile]:
    """The file cut at ``cuts`` points, the first of which leaves nothing."""
    data = whole(name)
    for cut in range(cuts):
        yield Hostile(f"{name}-cut-{cut}.{FORMATS[name].suffix}", data[: len(data) * cut // cuts])


def bit_flips(name: str, files: int = FLIPS) -> Iterator[Hostile]:
    """``files`` copies of the file, each with 1 to 12 bits flipped, half of them near its beginning."""
    dice = random.Random(f"bits of {name}")
    for number in range(files):
        data = bytearray(whole(name))
        reach = len(data) if number % 2 else min(len(data), 200)
        for _ in range(dice.randint(1, 12)):
            data[dice.randrange(reach)] ^= 1 << dice.randrange(8)
        yield Hostile(f"{name}-flipped-{number}.{FORMATS[name].suffix}", bytes(data))


def damaged() -> Iterator[Hostile]:
    """Every format, cut and flipped."""
    for name in FORMATS:
        yield from truncations(name)
        yield from bit_flips(name)


# --- Files made by hand


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *chunks: bytes, depth: int = 8, colours: int = 2) -> bytes:
    """A PNG file with this size in its header, whatever its compressed ``pixels`` hold, ``chunks`` before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    body = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def with_chunks(*chunks: bytes) -> bytes:
    """A small PNG file without faults, but for the ``chunks`` that follow its header."""
    return whole("png")[:33] + b"".join(chunks) + whole("png")[33:]


@cache
def squeezed(size: int = _HUGE, filling: bytes = b"a") -> bytes:
    """``size`` bytes of nothing much, deflated to a thousandth."""
    return zlib.compress(filling * (size // len(filling)), 9)


def _blank_png(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
    """A PNG file of black pixels that are all there, in a thousandth of their size."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    packer, row = zlib.compressobj(9), bytes(1 + width * samples * depth // 8)
    pixels = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return png(width, height, pixels, depth=depth, colours=colours)


def _jpeg_segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def _jpeg_with(*segments: bytes) -> bytes:
    return whole("jpeg")[:2] + b"".join(segments) + whole("jpeg")[2:]


def _sized_jpeg(width: int, height: int, name: str = "jpeg") -> bytes:
    """A JPEG whose header tells another size (ITU-T T.81, B.2.2)."""
    data = bytearray(whole(name))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(entries: list[tuple[int, int, int, int]], rest: bytes = b"", following: int = 0) -> bytes:
    """A TIFF file of one directory: (tag, type, count, value) for each entry, then ``rest`` from byte 1000."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory += struct.pack("<I", following)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(1000, b"\0") + rest


def _tiff_of(width: int, height: int, *more: tuple[int, int, int, int], following: int = 0) -> bytes:
    size = min(width * height, 4096)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 1000),
        (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, size), *more,
    ]  # fmt: skip
    return tiff(sorted(entries), bytes(size), following)


def _gif(width: int, height: int, *blocks: bytes) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"".join(blocks) + b";"


def _gif_frame(width: int, height: int) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0"


def _webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _webp_canvas(width: int, height: int, flags: int = 0) -> bytes:
    return _riff(
        b"VP8X", bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def _ispe(data: bytes, width: int, height: int) -> bytes:
    """A HEIC or AVIF file whose property of the size is another (ISO/IEC 23008-12, 6.5.3)."""
    at = data.find(b"ispe")
    return data[: at + 8] + struct.pack(">II", width, height) + data[at + 16 :]


def _exif(*entries: tuple[int, int, int, int]) -> bytes:
    """An Exif block of one directory, which begins at its byte 8."""
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + directory + struct.pack(">I", 8)


# --- Small files that ask for much


def bombs() -> Iterator[Hostile]:
    """Files that would take gigabytes, or for ever, if they were believed."""
    yield from _by_dimensions()
    yield from _by_pixels()
    yield from _by_frames()
    yield from _by_metadata()
    yield from _by_structure()


def _by_dimensions() -> Iterator[Hostile]:
    most = 2**31 - 1
    yield Hostile("dimensions.png", png(most, most, b"\0"))
    yield Hostile("dimensions-wide.png", png(100_000, 100_000, zlib.compress(bytes(100))))
    yield Hostile("dimensions.jpg", _sized_jpeg(65500, 65500))
    yield Hostile("dimensions-progressive.jpg", _sized_jpeg(65500, 65500, "jpeg-progressive"))
    yield Hostile("dimensions.gif", _gif(65535, 65535, _gif_frame(65535, 65535)))
    yield Hostile("dimensions-canvas.gif", _gif(65535, 65535, _gif_frame(1, 1)))
    yield Hostile("dimensions.tif", _tiff_of(most, most))
    yield Hostile(
        "dimensions.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 100, 0, 54, 40, most, most, 1, 24, 0, 0, 0, 0, 0, 0)
    )
    yield Hostile("dimensions.webp", _webp(_webp_canvas(2**24, 2**8), whole("webp")[12:]))
    yield Hostile("dimensions.ppm", b"P6 100000 100000 255\n" + bytes(100))
    yield Hostile("dimensions-long.ppm", b"P6 " + b"9" * 5000 + b" 1 255\n")
    yield Hostile(
        "dimensions.tga",
        struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65535, 65535, 24, 0) + b"\xff\0\0\0" * 99,
    )
    yield Hostile("dimensions.qoi", b"qoif" + struct.pack(">IIBB", most, most, 3, 0) + b"\xfd" * 1000)
    yield Hostile("dimensions.heic", _ispe(whole("heic"), 2**30, 2**30))
    yield Hostile("dimensions.avif", _ispe(whole("avif"), 2**30, 2**30))
    yield Hostile(
        "dimensions.jp2", whole("jpeg2000").replace(struct.pack(">II", 24, 32), struct.pack(">II", most, most))
    )
    yield Hostile("dimensions.pcx", whole("pcx")[:8] + struct.pack("<HH", 65534, 65534) + whole("pcx")[12:])
    yield Hostile(
        "dimensions-psd.jpg", b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 300_000, 300_000, 8, 3) + bytes(14)
    )
    yield Hostile("dimensions-fits.jpg", _fits(2**31, 2**31))


def _fits(width: int, height: int, packed: bytes = b"") -> bytes:
    cards = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "2"), ("NAXIS1", str(width)), ("NAXIS2", str(height))]
    head = "".join(f"{key:<8}= {value:>20}".ljust(80) for key, value in cards) + "END".ljust(80)
    return head.ljust(2880).encode() + packed


def _by_pixels() -> Iterator[Hostile]:
    """Pictures within the usual limit of a test, 10 million pixels, in files of some kilobytes."""
    yield Hostile("pixels.png", _blank_png(3000, 3000))
    yield Hostile("pixels-16-bit.png", _blank_png(3000, 3000, 16, 0))
    yield Hostile("pixels-alpha.png", _blank_png(3000, 3000, 8, 6))
    yield Hostile("pixels-short.png", png(3000, 3000, zlib.compress(bytes(10))))
    yield Hostile("pixels-too-many.png", png(10, 10, squeezed()))
    yield Hostile("pixels.gif", _gif(3000, 3000, _gif_frame(3000, 3000)))
    yield Hostile("pixels.jpg", _sized_jpeg(3000, 3000))
    yield Hostile("pixels-progressive.jpg", _sized_jpeg(3000, 3000, "jpeg-progressive"))
    yield Hostile("pixels-scans.jpg", _many_scans(300))


def _many_scans(times: int) -> bytes:
    """A progressive JPEG with its last scan again and again: each goes over all of the pixels."""
    data = _sized_jpeg(2000, 2000, "jpeg-progressive")
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def _by_frames() -> Iterator[Hostile]:
    yield Hostile("frames.gif", _gif(8, 8, *([_gif_frame(8, 8)] * 20_000)))
    yield Hostile("frames-large.gif", _gif(3000, 3000, *([_gif_frame(3000, 3000)] * 500)))
    animation = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Hostile("frames.apng", with_chunks(animation))
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 32, 24, 0, 0, 1, 1, 0, 0))
    yield Hostile("frames-many.apng", with_chunks(animation, *([control] * 20_000)))
    yield Hostile("frames.webp", _many_webp_frames(2000))
    yield Hostile("frames-loop.tif", _tiff_of(16, 16, following=8))
    yield Hostile("frames-chain.tif", _chain_of_pages(20_000))


def _many_webp_frames(count: int) -> bytes:
    picture = whole("webp")[12:]
    place = bytes(6) + (31).to_bytes(3, "little") + (23).to_bytes(3, "little") + bytes(4)
    frames = _riff(b"ANMF", place + picture) * count
    return _webp(_webp_canvas(32, 24, 2), _riff(b"ANIM", bytes(6)), frames)


def _chain_of_pages(count: int) -> bytes:
    """Pages that are a directory without entries each, the first of which is a picture."""
    pages = b"".join(struct.pack("<HI", 0, 1256 + 6 * (number + 1)) for number in range(count))
    return _tiff_of(16, 16, following=1256) + pages


def _by_metadata() -> Iterator[Hostile]:
    text = squeezed()
    yield Hostile("text-squeezed.png", with_chunks(chunk(b"zTXt", b"Comment\0\0" + text)))
    yield Hostile("text-many.png", with_chunks(*[chunk(b"zTXt", b"Comment\0\0" + squeezed(2**20))] * 200))
    yield Hostile("text-international.png", with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + text)))
    yield Hostile("text-plain.png", with_chunks(*[chunk(b"tEXt", b"Comment\0" + b"a" * 2**20)] * 32))
    yield Hostile("text-exif.png", with_chunks(chunk(b"zTXt", b"Raw profile type exif\0\0" + text)))
    yield Hostile("profile-squeezed.png", with_chunks(chunk(b"iCCP", b"x\0\0" + text)))
    yield Hostile("profile-false.png", with_chunks(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\xff" * 3000))))
    yield Hostile("exif-large.png", with_chunks(chunk(b"eXIf", b"MM\0*\0\0\0\x08" + b"\xff" * 2**22)))
    yield Hostile("profile-many.jpg", _jpeg_with(*_profile_segments(255)))
    yield Hostile("profile-numbers.jpg", _jpeg_with(*[_jpeg_segment(0xE2, b"ICC_PROFILE\0\0\0" + bytes(100))] * 300))
    yield Hostile("exif-many.jpg", _jpeg_with(*[_jpeg_segment(0xE1, b"Exif\0\0" + b"\xff" * 65000)] * 60))
    yield Hostile(
        "xmp-many.jpg", _jpeg_with(*[_jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 65000)] * 60)
    )
    yield Hostile("exif-in-itself.jpg", _jpeg_with(_jpeg_segment(0xE1, _exif((0x8769, 4, 1, 8)))))
    yield Hostile("exif-count.jpg", _jpeg_with(_jpeg_segment(0xE1, _exif((0x8769, 4, 1, 26), (306, 2, 2**32 - 1, 8)))))
    yield Hostile("exif-orientation.jpg", _jpeg_with(_jpeg_segment(0xE1, _exif((274, 3, 1, 0xFFFF0000)))))
    yield Hostile("comments.jpg", _jpeg_with(*[_jpeg_segment(0xFE, b"a" * 65000)] * 200))
    yield Hostile("comments.gif", _gif(8, 8, b"!\xfe" + (b"\xff" + b"a" * 255) * 20_000 + b"\0", _gif_frame(8, 8)))
    yield Hostile("extension-endless.gif", _gif(8, 8, b"!\xf9" + (b"\xff" + b"a" * 255) * 20_000))
    yield Hostile("xmp.webp", _webp(_webp_canvas(32, 24, 0x2C), whole("webp")[12:], _riff(b"XMP ", b"<" * 2**23)))
    yield Hostile(
        "profile.webp", _webp(_webp_canvas(32, 24, 0x20), _riff(b"ICCP", b"\xff" * 2**23), whole("webp")[12:])
    )
    yield Hostile("tag-count.tif", _tiff_of(16, 16, (270, 2, 2**32 - 1, 1000)))
    yield Hostile("profile-count.tif", _tiff_of(16, 16, (34675, 7, 2**32 - 1, 1000)))
    yield Hostile("xmp.tif", _tiff_of(16, 16, (700, 1, 2**30, 1000)))


def _profile_segments(count: int) -> Iterator[bytes]:
    for number in range(1, count + 1):
        yield _jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + b"\xff" * 65000)


def _by_structure() -> Iterator[Hostile]:
    yield Hostile("directory-in-itself.tif", _tiff_of(16, 16, (330, 4, 1, 8), (34665, 4, 1, 8), (34853, 4, 1, 8)))
    yield Hostile("entries.tif", tiff([(number, 3, 1, 1) for number in range(256, 65_000, 1)]))
    yield Hostile(
        "strips.tif", _tiff_of(16, 16, (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 2**28, 1000), (325, 4, 2**28, 1000))
    )
    yield Hostile("tiles.tif", _tiff_of(3000, 3000, (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1, 1000), (325, 4, 1, 1)))
    yield Hostile("rows.tif", _tiff_of(60_000, 1, (284, 3, 1, 2)))
    yield Hostile("big-offset.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60))
    yield Hostile("far-directory.tif", b"II*\0\xff\xff\xff\xff" + bytes(100))
    yield Hostile("chunk-length.png", whole("png")[:33] + b"\xff\xff\xff\xfftEXt" + bytes(100))
    yield Hostile("chunks.png", with_chunks(*[chunk(b"teSt", b"")] * 200_000))
    yield Hostile("chunks-of-pixels.png", whole("png")[:33] + chunk(b"IDAT", b"") * 200_000 + whole("png")[33:])
    yield Hostile("boxes.heic", whole("heic") + struct.pack(">I4s", 8, b"free") * 200_000)
    yield Hostile("box-in-box.heic", _nested_boxes(5000))
    yield Hostile("box-length.avif", whole("avif")[:24] + b"\xff\xff\xff\xff" + whole("avif")[28:])
    yield Hostile("packed-fits.jpg", _fits(3000, 3000, gzip.compress(bytes(2**24))))
    yield Hostile("markers.jpg", b"\xff\xd8" + b"\xff" * 2**22 + whole("jpeg")[2:])
    yield Hostile("tables.jpg", _jpeg_with(*[_jpeg_segment(0xC4, b"\0" + bytes(16)) for _ in range(20_000)]))
    yield Hostile("lines.ppm", b"P3 10 10 255\n" + b"#" * 2**22)
    yield Hostile("numbers.ppm", b"P3 1000 1000 255\n" + b"1" * 2**22)


def _nested_boxes(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = struct.pack(">I4s", 8 + len(inner), b"moov") + inner
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1")
    return head + inner


# --- Strange, and mostly harmless


def oddities() -> Iterator[Hostile]:
    """Empty sides, single pixels, very long ones, files that are two things at once, or other than they say."""
    yield from _of_strange_size()
    yield from _polyglots()
    yield from _by_wrong_name()


_SIZES = ((1, 1), (60_000, 1), (1, 60_000))
_LONG_SIDES = ("png", "jpeg", "tiff", "bmp", "gif", "ppm", "tga", "pcx", "jpeg2000", "avif", "heic", "webp", "tiff-lzw")


def _of_strange_size() -> Iterator[Hostile]:
    for name, (width, height) in itertools.product(_LONG_SIDES, _SIZES):
        kind, file = FORMATS[name], io.BytesIO()
        try:
            Image.new(kind.mode, (width, height)).save(file, kind.kind, **kind.options)
        except (ValueError, OSError, RuntimeError):  # the format has no pictures so long
            continue
        yield Hostile(f"{name}-{width}-by-{height}.{kind.suffix}", file.getvalue())
    for width, height in ((0, 0), (0, 5), (5, 0)):
        size = f"{width}-by-{height}"
        yield Hostile(f"{size}.png", png(width, height, zlib.compress(b"")))
        yield Hostile(f"{size}.jpg", _sized_jpeg(width, height))
        yield Hostile(f"{size}.gif", _gif(width, height, _gif_frame(width, height)))
        yield Hostile(f"{size}.tif", _tiff_of(width, height))
        yield Hostile(f"{size}.ppm", f"P6 {width} {height} 255\n".encode())
        yield Hostile(f"{size}.bmp", whole("bmp")[:18] + struct.pack("<ii", width, height) + whole("bmp")[26:])
        yield Hostile(f"{size}.tga", whole("tga")[:12] + struct.pack("<HH", width, height) + whole("tga")[16:])
        yield Hostile(f"{size}.heic", _ispe(whole("heic"), width, height))
    yield Hostile("negative.bmp", whole("bmp")[:18] + struct.pack("<ii", -32, -24) + whole("bmp")[26:])


def _polyglots() -> Iterator[Hostile]:
    script = b"<script>alert(1)</script><?php system($_GET['c']); ?>"
    yield Hostile("and-an-archive.jpg", whole("jpeg") + b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + bytes(18))
    yield Hostile("and-a-web-page.png", with_chunks(chunk(b"tEXt", b"Comment\0" + script)) + script)
    yield Hostile("and-a-script.gif", b"GIF89a/*" + whole("gif")[8:] + b"*/=1;alert(1)")
    yield Hostile("a-document-and-a-picture.jpg", b"%PDF-1.4\n" + whole("jpeg"))
    yield Hostile("a-web-page-and-a-picture.jpg", b"<html>" + script + whole("jpeg"))
    yield Hostile("two-pictures.jpg", whole("jpeg")[:20] + whole("png"))
    yield Hostile("picture-in-picture.tif", _tiff_of(16, 16) + whole("jpeg"))
    yield Hostile("a-drawing.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n")
    yield Hostile(
        "a-vector-drawing.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    )
    yield Hostile("a-macro.jpg", b"push graphic-context\nimage over 0,0 0,0 'https://example.com/x.jpg|id'\n")


def _by_wrong_name() -> Iterator[Hostile]:
    suffixes = sorted({each.suffix for each in FORMATS.values()})
    for number, name in enumerate(FORMATS):
        wrong = suffixes[(suffixes.index(FORMATS[name].suffix) + 1 + number % 5) % len(suffixes)]
        yield Hostile(f"{name}-called.{wrong}", whole(name))
    for suffix in suffixes:
        yield Hostile(f"nothing.{suffix}", b"")
        yield Hostile(f"zeros.{suffix}", bytes(10_000))
        yield Hostile(f"noise.{suffix}", random.Random(suffix).randbytes(3000))
