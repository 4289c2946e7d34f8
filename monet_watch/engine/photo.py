"""A photo's bytes become pixels: decoded, turned upright, brought to sRGB. And pictures are resized here."""

import io
from dataclasses import dataclass

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from monet_watch.errors import NotAPhotoError, PhotoTooLargeError

__all__ = ["Photo", "decode", "fitted_size", "resize"]

pillow_heif.register_heif_opener()


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo: ``image`` is uint8, shape (H, W, 3), sRGB, upright, laid on white where it is transparent.

    ``alpha`` is uint8, shape (H, W), or None where nothing is transparent.
    ``date_taken`` is the EXIF text ``YYYY:MM:DD HH:MM:SS``, in the camera's local time, or None.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    date_taken: str | None


def decode(data: bytes, limit_pixels: int) -> Photo:
    """Decode ``data``, the content of a picture's file, with at most ``limit_pixels`` pixels.

    Raises NotAPhotoError, TruncatedPhotoError or PhotoTooLargeError, and nothing else.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > limit_pixels:
                raise PhotoTooLargeError("The picture has too many pixels.")
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError) as error:
        raise NotAPhotoError("This is no picture.") from error
    white = Image.new("RGBA", upright.size, "white")
    image = np.array(Image.alpha_composite(white, upright).convert("RGB"))
    alpha = np.array(upright.getchannel("A"))
    return Photo(image, None if bool((alpha == 255).all()) else alpha, None)


def fitted_size(width: int, height: int, short_side: int, enlarge: bool) -> tuple[int, int]:
    """Return (width, height) in pixels with the shorter of them at ``short_side`` and the aspect kept.

    A smaller picture keeps its size, unless ``enlarge``. The long side is rounded, half up.
    """
    short = min(width, height)
    if short == short_side or (short < short_side and not enlarge):
        return width, height
    long = (2 * max(width, height) * short_side + short) // (2 * short)
    return (short_side, long) if width <= height else (long, short_side)


def resize(picture: NDArray[np.uint8], short_side: int, enlarge: bool) -> NDArray[np.uint8]:
    """Return ``picture``, uint8 of shape (H, W, 3) or (H, W), at its `fitted_size` (Lanczos).

    A picture that has that size already is returned as it is.
    """
    height, width = picture.shape[:2]
    size = fitted_size(width, height, short_side, enlarge)
    if size == (width, height):
        return picture
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
