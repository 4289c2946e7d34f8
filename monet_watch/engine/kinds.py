"""What the bytes of a file look like, judged by their beginning, and whether they end too early.

This serves the messages for files that cannot be painted: nothing here decodes anything, or raises.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RAW", "UNKNOWN", "Kind", "ends_early", "has_empty_tail", "kind_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """``name`` with its article ("a PDF document"); ``remedy`` says what to do with it instead."""

    name: str
    remedy: str
    is_picture: bool = False

    @property
    def is_something_else(self) -> bool:
        """Whether it is known not to be a picture that can be opened."""
        return not self.is_picture and self is not UNKNOWN


_DAMAGED = "Copy the file again from where it came; if it opens there, save it anew as JPEG or PNG."
_EXPORT = "Export it as JPEG, PNG or TIFF, and put that file here."
RAW = Kind("a camera's RAW file", "Develop it with the camera's software or a photo program, and put the JPEG here.")
_VIDEO = Kind("a video", "Save one frame of it as a picture, and put that here.")
_SOUND = Kind("a sound recording", "Put pictures here.")
_ARCHIVE = Kind("an archive, or an office document", "Unpack it, and put the pictures here.")
_PROGRAM = Kind("a program", "Put pictures here.")
_DRAWING = Kind("a PostScript drawing", _EXPORT)
_METAFILE = Kind("a Windows metafile", _EXPORT)
_WEB_PAGE = Kind("a web page", "Save the picture itself from the page, not the page or its link.")
_SVG = Kind("an SVG drawing", _EXPORT)
_TEXT = Kind("a text file", "Put pictures here; check that the name's ending tells the truth.")
_EMPTY = Kind("an empty file", "Copy the file again: nothing of it has arrived.")
UNKNOWN = Kind("data of an unknown kind", "Save the picture anew as JPEG or PNG, and put that here.")
_JPEG_XL = Kind("a JPEG XL picture, which cannot be opened here", "Save it as JPEG or PNG.")


def _picture(name: str) -> Kind:
    return Kind(name, _DAMAGED, is_picture=True)


_TIFF = _picture("a TIFF picture")

_BY_BEGINNING: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", _picture("a JPEG picture")),
    (b"\x89PNG\r\n\x1a\n", _picture("a PNG picture")),
    (b"GIF8", _picture("a GIF picture")),
    (b"II*\0\x10\0\0\0CR", RAW),
    (b"II*\0", _TIFF),
    (b"MM\0*", _TIFF),
    (b"II+\0", _TIFF),
    (b"MM\0+", _TIFF),
    (b"8BPS", _picture("a Photoshop picture")),
    (b"\0\0\0\x0cjP  ", _picture("a JPEG 2000 picture")),
    (b"\xff\x4f\xff\x51", _picture("a JPEG 2000 picture")),
    (b"\0\0\0\x0cJXL ", _JPEG_XL),
    (b"\xff\x0a", _JPEG_XL),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),
    (b"FOVb", RAW),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"%PDF", Kind("a PDF document", _EXPORT)),
    (b"%!", _DRAWING),
    (b"\xc5\xd0\xd3\xc6", _DRAWING),
    (b"\xd7\xcd\xc6\x9a", _METAFILE),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"\0\0\x01\xb3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (b"ID3", _SOUND),
    (b"fLaC", _SOUND),
    (b"OggS", _SOUND),
    (b"PK\x03\x04", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"7z\xbc\xaf", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"\xfd7zXZ", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _ARCHIVE),
    (b"\x7fELF", _PROGRAM),
)

_BY_RIFF_FORM = {b"WEBP": _picture("a WebP picture"), b"AVI ": _VIDEO, b"WAVE": _SOUND}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"})
_HTML = re.compile(rb"<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_DRAWING_TAG = re.compile(rb"<svg\b", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SAMPLE_BYTES = 4096


def kind_of(data: bytes) -> Kind:
    """Say what ``data`` looks like."""
    if not data:
        return _EMPTY
    return _by_beginning(data) or _by_text(data[:_SAMPLE_BYTES]) or UNKNOWN


def _by_beginning(data: bytes) -> Kind | None:
    for beginning, kind in _BY_BEGINNING:
        if data.startswith(beginning):
            return kind
    if data.startswith(b"BM") and data[6:10] == bytes(4):  # two letters alone begin many a text
        return _picture("a BMP picture")
    if data.startswith(b"MZ") and b"PE\0\0" in data[:1024]:
        return _PROGRAM
    if data.startswith(b"RIFF"):
        return _BY_RIFF_FORM.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _by_brand(data[8:12])
    return _VIDEO if data[4:8] in {b"moov", b"mdat", b"wide"} else None


def _by_brand(brand: bytes) -> Kind:
    if brand == b"crx ":
        return RAW
    if brand in {b"avif", b"avis"}:
        return _picture("an AVIF picture")
    if brand in _HEIF_BRANDS:
        return _picture("a HEIC picture")
    return _SOUND if brand == b"M4A " else _VIDEO


def _by_text(sample: bytes) -> Kind | None:
    if sample.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return _WEB_PAGE if _HTML.search(sample) else _SVG if _DRAWING_TAG.search(sample) else _TEXT
    if sample[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # UTF-16, as Windows programs write it
        return _TEXT
    return _TEXT if not _CONTROL.search(sample) and _is_utf8(sample) else None


def _is_utf8(sample: bytes) -> bool:
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(sample) == _SAMPLE_BYTES  # a character cut by the sample's end
    return True


def ends_early(data: bytes) -> bool:
    """Say whether the structure of ``data`` tells that more of the picture should follow."""
    for beginning, test in _END_TESTS:
        if data.startswith(beginning):
            return test(data)
        if beginning.startswith(data):
            return bool(data)
    return _boxes_end_early(data) or (bool(data) and not any(data))


def has_empty_tail(data: bytes) -> bool:
    """Say whether ``data`` ends in a block of zeros: some programs make a file in its full length and fill it later."""
    return data.endswith(_EMPTY_BLOCK)


_EMPTY_BLOCK = bytes(4096)


def _jpeg_ends_early(data: bytes) -> bool:
    """A scan begins (SOS) that nothing ends (EOI): scans hold no 0xFF that is not escaped."""
    return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")


def _png_ends_early(data: bytes) -> bool:
    position = 8
    while position + 8 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return False
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return True


def _riff_ends_early(data: bytes) -> bool:
    return len(data) < 12 or len(data) < 8 + int.from_bytes(data[4:8], "little")


def _boxes_end_early(data: bytes) -> bool:
    """HEIF, AVIF and JPEG 2000 are boxes, each with its length before it (ISO/IEC 14496-12, 4.2)."""
    if not (data.startswith(b"\0\0\0") and (b"ftyp".startswith(data[4:8]) or data[4:8] == b"jP  ")):
        return False
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length == 0:
            return False  # it reaches to the end of the file
        position += max(length, 8)
    return position != len(data)


def _gif_ends_early(data: bytes) -> bool:
    return not data.rstrip(b"\0").endswith(b";")


def _tiff_ends_early(data: bytes) -> bool:
    try:
        return _end_of_first_page(data, "<" if data.startswith(b"II") else ">") > len(data)
    except struct.error:  # the directory itself is cut
        return True


def _end_of_first_page(data: bytes, order: str) -> int:
    """Return where the last value, strip or tile of the first page ends (TIFF 6.0, sections 2, 3 and 15)."""
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    ends, pieces = [0], dict[int, tuple[int, ...]]()
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
        size = _VALUE_BYTES.get(kind, 0) * length
        (offset,) = struct.unpack_from(f"{order}I", data, entry + 8) if size > 4 else (entry + 8,)
        ends.append(offset + size)
        if tag in _PIECES and kind in _INTEGERS:
            pieces[tag] = struct.unpack_from(f"{order}{length}{_INTEGERS[kind]}", data, offset)
    for offsets, lengths in _PIECE_TAGS:
        ends.extend(map(sum, zip(pieces.get(offsets, ()), pieces.get(lengths, ()), strict=False)))
    return max(ends)


_PIECE_TAGS = ((273, 279), (324, 325))  # StripOffsets and StripByteCounts, TileOffsets and TileByteCounts
_PIECES = frozenset(tag for tags in _PIECE_TAGS for tag in tags)
_INTEGERS = {3: "H", 4: "I"}
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def _codestream_ends_early(data: bytes) -> bool:
    return not data.rstrip(b"\0").endswith(b"\xff\xd9")


_END_TESTS: tuple[tuple[bytes, Callable[[bytes], bool]], ...] = (
    (b"\xff\xd8", _jpeg_ends_early),
    (b"\x89PNG", _png_ends_early),
    (b"RIFF", _riff_ends_early),
    (b"II*\0", _tiff_ends_early),
    (b"MM\0*", _tiff_ends_early),
    (b"GIF8", _gif_ends_early),
    (b"\xff\x4f\xff\x51", _codestream_ends_early),
)
