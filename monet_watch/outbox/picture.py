"""Pictures as files: the painting, which says which colours it means and where it came from, and small ones."""

import io
import struct
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from monet_watch.outbox.metadata import Metadata
from monet_watch.output import Format, Output
from monet_watch.sketch import SKETCH_COLUMNS, SKETCH_ROWS, Sketch

__all__ = [
    "LONGEST_SIDES",
    "THUMBNAIL_SIDE",
    "encode_further",
    "encode_png",
    "encode_thumbnail",
    "encode_webp",
    "sketch_of",
    "srgb_profile",
]

LONGEST_SIDES: Mapping[Format, int] = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
"""Pixels on a side: more the format does not have, nor, for a JPEG, libjpeg."""

THUMBNAIL_SIDE = 320
"""The longer side of a thumbnail, in pixels: a little more than the gallery's wall shows on a screen of one to one."""

_THUMBNAIL_BYTES = 8000
_THUMBNAIL_QUALITIES = (60, 40, 25)  # tried in turn; in less than the last, strokes of the brush run into each other
_QUALITY = 90
_LONGEST_SIDE = 4096  # of a WebP beside a painting: more is for no screen, and WebP ends at 16383

_COMPRESS_LEVEL = 4
"""Within 2 in 100 of the size that zlib's usual level 6 reaches on a painting, in a third of its time."""

_LONGEST_KEYWORD = 79  # PNG, third edition, 11.3.3.2


def encode_png(
    image: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None = None,
    metadata: Metadata = Metadata(),  # noqa: B008 (frozen)
) -> bytes:
    """Return ``image`` (uint8, (H, W, 3), sRGB) as a PNG file, with ``alpha`` (uint8, (H, W)) if there is one.

    The file holds an ICC profile of sRGB, and ``metadata`` as text chunks, EXIF and XMP. The same arguments give the
    same bytes.
    """
    picture = Image.fromarray(image if alpha is None else np.dstack((image, alpha)))
    file = io.BytesIO()
    picture.save(
        file,
        "PNG",
        compress_level=_COMPRESS_LEVEL,
        icc_profile=srgb_profile(),
        pnginfo=_text_chunks(metadata),
        exif=metadata.exif() or None,
    )
    return file.getvalue()


def encode_thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Return ``image`` (uint8, (H, W, 3), sRGB) as a small WebP file, to be shown among many.

    It has 4 to 8 KB, and up to 10 where all of a square picture is strokes of a brush: of what would have more, the
    quality is lowered in steps.
    """
    picture = _reduced(image, THUMBNAIL_SIDE)
    for quality in _THUMBNAIL_QUALITIES:
        data = _webp(picture, quality, method=6)
        if len(data) <= _THUMBNAIL_BYTES:
            break
    return data


def sketch_of(image: NDArray[np.uint8]) -> Sketch:
    """Return ``image`` (uint8, (H, W, 3), sRGB) in a handful of pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((SKETCH_COLUMNS, SKETCH_ROWS), Image.Resampling.BOX, reducing_gap=3.0)
    return Sketch(*picture.size, picture.tobytes())


def encode_webp(image: NDArray[np.uint8]) -> bytes:
    """Return ``image`` (uint8, (H, W, 3), sRGB) as a WebP file; one of more than 4096 pixels on a side gets smaller."""
    return _webp(_reduced(image, _LONGEST_SIDE), _QUALITY, method=4)


def _reduced(image: NDArray[np.uint8], longest_side: int) -> Image.Image:
    picture = Image.fromarray(image)
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture


def _webp(picture: Image.Image, quality: int, method: int) -> bytes:
    """``method`` is how much time is taken for a smaller file: 0 to 6."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality, method=method)
    return file.getvalue()


def encode_further(
    kind: Format, image: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, metadata: Metadata, output: Output
) -> bytes:
    """Return a painting as `encode_png` takes it as a JPEG or WebP file, with the same profile, EXIF and XMP.

    A JPEG knows nothing transparent: it is laid on white. Raises ValueError where a side is longer than `LONGEST_SIDES`
    allows.
    """
    if max(image.shape[:2]) > LONGEST_SIDES[kind]:
        raise ValueError(f"no {kind} file has {max(image.shape[:2]):,} pixels on a side")
    file = io.BytesIO()
    common = {"icc_profile": srgb_profile(), "exif": metadata.exif(), "xmp": metadata.xmp()}
    if kind == "jpeg":
        quality = {"quality": output.jpeg_quality, "subsampling": "4:4:4", "optimize": True, "progressive": True}
        _on_white(image, alpha).save(file, "JPEG", **quality, **common)
    else:
        picture = Image.fromarray(image if alpha is None else np.dstack((image, alpha)))
        picture.save(file, "WEBP", quality=output.webp_quality, method=4, exact=True, **common)
    return file.getvalue()


def _on_white(image: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> Image.Image:
    picture = Image.fromarray(image)
    if alpha is None:
        return picture
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), Image.fromarray(alpha))


def _text_chunks(metadata: Metadata) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for keyword, value in metadata.text().items():
        key = keyword.encode("latin-1", "replace")[:_LONGEST_KEYWORD].decode("latin-1")
        clean = value.replace("\0", "").encode("utf-8", "replace").decode()  # names may hold what no text can
        chunks.add_text(key, clean)  # tEXt where Latin-1 suffices, else iTXt
    chunks.add_itxt("XML:com.adobe.xmp", metadata.xmp().decode())
    return chunks


@cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, dated to a fixed day: Little CMS would write the time of the call."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]  # dateTimeNumber, ICC.1, 7.2.8
