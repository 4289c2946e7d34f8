"""A photo's bytes become pixels: decoded, turned upright, brought to sRGB. And pictures are resized here.

The only module that meets a codec. Whatever a codec raises leaves as a `PhotoError`.
"""

import contextlib
import io
import math
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageMode, UnidentifiedImageError, features
from PIL.Image import Transpose

from monet_watch.engine.kinds import RAW, Kind, ends_early, has_empty_tail, kind_of
from monet_watch.engine.levels import fitted_size
from monet_watch.errors import NotAPhotoError, PhotoError, PhotoTooLargeError, TruncatedPhotoError

__all__ = ["Details", "Photo", "decode", "pixels_of", "resize", "resize_exactly"]

Image.init()
pillow_heif.register_heif_opener()
if "avif" not in features.get_supported() and hasattr(pillow_heif, "register_avif_opener"):
    pillow_heif.register_avif_opener()

_REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC"})
"""What Pillow knows but cannot draw by itself: EPS would run Ghostscript, the others only have a name and a size."""

_FORMATS = tuple(name for name in Image.ID if name not in _REFUSED)

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What undoes each value of EXIF's Orientation (Exif 2.32, 4.6.4)."""

_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""ICC colour spaces (ICC.1, table 19) and the modes of Pillow that hold their pixels."""

_ENDED_EARLY = re.compile(r"truncated|end of file|reached eof|not enough image data|incomplete header|only got", re.I)

_TOO_MUCH = re.compile(r"security limit|memory alloc|out of memory|cannot allocate|decompressed data too large", re.I)

_BAND_PIXELS = 2**20  # converted at a time

_LONGEST_REASON = 160  # characters of what a codec says

_LONGEST_TEXT = 2000  # characters of what EXIF says, by the way

_SHORTEST = 16  # bytes: of less than this nothing can be said

_pillow = threading.RLock()


@dataclass(frozen=True, slots=True)
class Details:
    """What EXIF says of a photo beside its date: the camera, words about it, and where it was taken.

    What is not known is empty. ``location`` is degrees north, degrees east, and metres above the sea or None.
    """

    make: str = ""
    model: str = ""
    description: str = ""
    location: tuple[float, float, float | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo: ``image`` is uint8, shape (H, W, 3), sRGB, upright, laid on white where it is transparent.

    ``alpha`` is uint8, shape (H, W), or None where nothing is transparent.
    ``date_taken`` is the EXIF text ``YYYY:MM:DD HH:MM:SS``, in the camera's local time, or None.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    date_taken: str | None
    details: Details = field(default_factory=Details)


def decode(data: bytes, limit_pixels: int) -> Photo:
    """Decode ``data``, the content of a picture's file: its first frame, if it has several.

    The number of pixels is read from the header and compared with ``limit_pixels`` before anything is decoded.

    Raises NotAPhotoError, TruncatedPhotoError or PhotoTooLargeError, and nothing else.
    """
    with _errors_translated(data, limit_pixels), _pillow_limited_to(limit_pixels):
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            _check_pixels(opened.size, limit_pixels)
            _check_developed(opened)
            opened.load()
            _check_pixels(opened.size, limit_pixels)
            exif = _exif(opened)
            colour, alpha = _split(opened)
            profile = opened.info.get("icc_profile")
        _check_whole(data, is_bare=opened.info.get("compression") == "raw")
        return _photo(_to_srgb(colour, profile), alpha, exif)


def _photo(rgb: Image.Image, alpha: Image.Image | None, exif: Image.Exif) -> Photo:
    orientation = _UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1))
    if orientation is not None:
        rgb = rgb.transpose(orientation)
        alpha = alpha.transpose(orientation) if alpha is not None else None
    date_taken, details = _date_taken(exif), _details(exif)
    if alpha is None or alpha.getextrema() == (255, 255):
        return Photo(np.array(rgb), None, date_taken, details)
    on_white = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)
    return Photo(np.array(on_white), np.array(alpha), date_taken, details)


# --- The boundary: limits and errors


@contextlib.contextmanager
def _pillow_limited_to(limit_pixels: int) -> Iterator[None]:
    """Let Pillow's own guards, which see each frame and tile, use our limit; keep its warnings from everyone else."""
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextlib.contextmanager
def _errors_translated(data: bytes, limit_pixels: int) -> Iterator[None]:
    try:
        yield
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = re.search(r"(\d+) pixels", str(error))
        raise _too_large(int(found[1]) if found else limit_pixels + 1, limit_pixels) from error
    except MemoryError as error:
        raise PhotoTooLargeError("There is not enough memory to open it.", "Make the picture smaller.") from error
    except Exception as error:  # codecs raise anything: SyntaxError, struct.error, KeyError, OSError ...
        raise _unreadable(data, error) from error


def _unreadable(data: bytes, error: Exception) -> PhotoError:
    kind = kind_of(data)
    if kind.is_something_else and len(data) > _SHORTEST:
        return _no_picture(kind)
    reason = _shown(error) if not isinstance(error, UnidentifiedImageError) else ""
    if ends_early(data) or has_empty_tail(data) or _ENDED_EARLY.search(reason):
        return _ended_early(kind.name if kind.is_picture else "the file")
    if _TOO_MUCH.search(reason):
        return PhotoTooLargeError(f"It asks for more than can be opened ({reason}).", "Make the picture smaller.")
    if kind.is_picture:
        detail = f" ({reason})" if reason else ""
        return NotAPhotoError(f"It looks like {kind.name}, but it is damaged{detail}.", kind.remedy)
    return _no_picture(kind)


def _shown(error: Exception) -> str:
    """A codec's words, which may be several lines and hold pieces of the file: one line, and escaped."""
    return ascii(" ".join(str(error).split())[:_LONGEST_REASON])[1:-1]


def _no_picture(kind: Kind) -> NotAPhotoError:
    return NotAPhotoError(f"It looks like {kind.name}, not like a picture that can be painted.", kind.remedy)


def _ended_early(what: str) -> TruncatedPhotoError:
    return TruncatedPhotoError(
        f"It ends too early: a part of {what} is missing.",
        "Perhaps it is still being copied, or the copy was interrupted: copy the file again.",
    )


def _check_pixels(size: tuple[int, int], limit_pixels: int) -> None:
    if size[0] * size[1] > limit_pixels:
        raise _too_large(size[0] * size[1], limit_pixels)


def _too_large(pixels: int, limit_pixels: int) -> PhotoTooLargeError:
    return PhotoTooLargeError(
        f"It has {pixels:,} pixels, and the limit is {limit_pixels:,}.",
        "Make the picture smaller, or raise the limit in the configuration.",
    )


def pixels_of(data: bytes) -> int:
    """Return how many pixels a picture says that it has, without decoding it; 0 where it does not say."""
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            return opened.width * opened.height
    return 0


def _check_developed(opened: Image.Image) -> None:
    """Refuse RAW files that call themselves TIFF: all that Pillow can read of them is a thumbnail."""
    tags = getattr(opened, "tag_v2", {})
    is_preview = bool(int(tags.get(254, 0)) & 1) and 330 in tags  # NewSubfileType, SubIFDs (TIFF/EP, 5.2.12)
    if is_preview or 50706 in tags:  # DNGVersion
        raise _no_picture(RAW)


def _check_whole(data: bytes, is_bare: bool) -> None:
    """Refuse what decoders draw in grey without a word: a PNG that never ends, and data that runs into zeros.

    Where the samples are bare, zeros are black.
    """
    if (data.startswith(b"\x89PNG") or (has_empty_tail(data) and not is_bare)) and ends_early(data.rstrip(b"\0")):
        raise _ended_early(kind_of(data).name)


# --- EXIF


def _exif(opened: Image.Image) -> Image.Exif:
    """Return what EXIF says; a damaged block says nothing."""
    with contextlib.suppress(Exception):
        exif = opened.getexif()
        exif.get_ifd(ExifTags.IFD.Exif)
        return exif
    return Image.Exif()


def _date_taken(exif: Image.Exif) -> str | None:
    original = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    return _valid_date(original) or _valid_date(exif.get(ExifTags.Base.DateTime))


def _valid_date(value: object) -> str | None:
    """Return ``value`` if it is a date as EXIF writes it: cameras with an unset clock write zeros or blanks."""
    text = value.rstrip("\0 ") if isinstance(value, str) else ""
    if not re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", text, re.ASCII):
        return None
    with contextlib.suppress(ValueError):
        datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        return text
    return None


def _details(exif: Image.Exif) -> Details:
    base = ExifTags.Base
    make, model, description = (_words(exif.get(tag)) for tag in (base.Make, base.Model, base.ImageDescription))
    location = None
    with contextlib.suppress(Exception):  # a damaged block says nothing
        location = _location(exif.get_ifd(ExifTags.IFD.GPSInfo))
    return Details(make, model, description, location)


def _words(value: object) -> str:
    """A text of EXIF, in one line as far as it can be printed; some cameras fill the field with blanks or zeros."""
    text = value.partition("\0")[0] if isinstance(value, str) else ""
    with contextlib.suppress(UnicodeError):  # Pillow takes all for Latin-1, and many programs write UTF-8
        text = text.encode("latin-1").decode("utf-8")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_LONGEST_TEXT]


def _location(gps: Mapping[int, Any]) -> tuple[float, float, float | None] | None:
    tags = ExifTags.GPS
    north = _degrees(gps[tags.GPSLatitude], gps[tags.GPSLatitudeRef], "S")
    east = _degrees(gps[tags.GPSLongitude], gps[tags.GPSLongitudeRef], "W")
    if not (abs(north) <= 90 and abs(east) <= 180):
        return None
    metres = float(gps[tags.GPSAltitude]) if tags.GPSAltitude in gps else math.nan
    is_below = gps.get(tags.GPSAltitudeRef) in (1, b"\1")
    return north, east, (-metres if is_below else metres) if math.isfinite(metres) else None


def _degrees(parts: Sequence[Any], letter: str, negative: str) -> float:
    degrees, minutes, seconds = map(float, parts)
    angle = degrees + minutes / 60 + seconds / 3600
    return -angle if letter.upper().startswith(negative) else angle


# --- Channels: everything becomes 8-bit L, RGB, CMYK or LAB, and alpha apart


def _split(opened: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours (mode L, RGB, CMYK or LAB) and the alpha (mode L) of a loaded picture."""
    if opened.mode.startswith("I;16") or opened.mode in {"I", "F"}:
        return _grey_of_samples(opened)
    if not opened.has_transparency_data:
        return (opened if opened.mode in {"RGB", "CMYK", "LAB"} else opened.convert(_opaque_mode(opened))), None
    straight = opened.convert("LA") if opened.mode == "La" else opened
    rgba = straight.convert("RGBA")
    colour = rgba.convert("RGB")
    return (colour.getchannel("R") if _opaque_mode(opened) == "L" else colour), rgba.getchannel("A")


def _opaque_mode(opened: Image.Image) -> str:
    is_grey = opened.mode != "P" and opened.mode != "PA" and ImageMode.getmode(opened.mode).basemode == "L"
    return "L" if is_grey else "RGB"


def _grey_of_samples(opened: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Scale 16-bit, 32-bit or float samples to 8 bits, without clipping the bright ones."""
    samples = _samples(opened)
    clear = opened.info.get("transparency")
    alpha = np.where(samples == clear, np.uint8(0), np.uint8(255)) if isinstance(clear, int) else None
    grey = _scaled(samples, opened.mode)
    if getattr(opened, "tag_v2", {}).get(262) == 0:  # PhotometricInterpretation is WhiteIsZero
        np.subtract(255, grey, out=grey)
    return Image.fromarray(grey), Image.fromarray(alpha) if alpha is not None else None


def _samples(opened: Image.Image) -> NDArray[np.generic]:
    samples = np.asarray(opened)
    tags = getattr(opened, "tag_v2", {})
    unsigned = tags.get(258) == (32,) and tags.get(339, (1,)) == (1,)  # BitsPerSample, SampleFormat
    return samples.view(np.uint32) if unsigned and opened.mode == "I" else samples


def _scaled(samples: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """Scale to 0..255. White is where the samples' scale ends, or the brightest value if that lies beyond.

    A few rows at a time: as float64, the samples of a large picture would take gigabytes.
    """
    bounds = [_finite_bounds(samples[rows]) for rows in _bands(samples)]
    darkest, brightest = min(low for low, _ in bounds), max(high for _, high in bounds)
    end = 1.0 if mode == "F" else 65535.0 if darkest >= 0 else 32767.0
    white = max(end, brightest)
    grey = np.empty(samples.shape, np.uint8)
    for rows in _bands(samples):
        values = np.nan_to_num(samples[rows].astype(np.float64), nan=darkest, posinf=white, neginf=darkest)
        grey[rows] = np.rint((values - darkest) / (white - darkest) * 255)
    return grey


def _bands(samples: NDArray[np.generic]) -> Iterator[slice]:
    height = max(1, _BAND_PIXELS // samples.shape[1])
    return (slice(top, top + height) for top in range(0, samples.shape[0], height))


def _finite_bounds(samples: NDArray[np.generic]) -> tuple[float, float]:
    """The least and the largest of the values that are finite, and of 0."""
    values = samples.astype(np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=0.0)), float(finite.max(initial=0.0))


# --- Colours


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _to_srgb(colour: Image.Image, embedded: object) -> Image.Image:
    """Return ``colour`` as RGB in sRGB; a profile that is damaged or made for other pixels counts as none."""
    if isinstance(embedded, bytes) and embedded:
        with contextlib.suppress(Exception):
            return _transformed(colour, ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
    if colour.mode == "LAB":
        return _transformed(colour, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return colour.convert("RGB")


def _transformed(colour: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """Raises ImageCms.PyCMSError, or KeyError, where the profile doesn't fit."""
    mode = _PROFILE_MODES[source.profile.xcolor_space.strip()]
    if mode == "RGB" and colour.mode == "L":
        colour = colour.convert("RGB")
    if mode != colour.mode:
        raise ImageCms.PyCMSError(f"a profile for {mode} does not fit pixels in {colour.mode}")
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    result = ImageCms.profileToProfile(colour, source, _srgb(), intent, "RGB", flags=flags)
    assert result is not None  # it is None only for a transformation in place
    return result


# --- Sizes


def resize(picture: NDArray[np.uint8], short_side: int, enlarge: bool) -> NDArray[np.uint8]:
    """Return ``picture``, uint8 of shape (H, W, 3) or (H, W), at its `fitted_size`, by Lanczos resampling.

    A picture that has that size already is returned as it is. Raises what `fitted_size` raises.
    """
    height, width = picture.shape[:2]
    return resize_exactly(picture, *fitted_size(width, height, short_side, enlarge))


def resize_exactly(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return ``picture``, uint8 of shape (H, W, 3) or (H, W), with ``width`` × ``height`` pixels, as `resize` does."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
