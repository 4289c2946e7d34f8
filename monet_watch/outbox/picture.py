"""The painting's file: PNG."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

__all__ = ["encode_png"]


def encode_png(
    image: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None = None,
    text: Mapping[str, str] | None = None,
    date_taken: str | None = None,
) -> bytes:
    """Return ``image`` (uint8, (H, W, 3), sRGB) as a PNG file, with ``alpha`` (uint8, (H, W)) if there is one."""
    picture = Image.fromarray(image if alpha is None else np.dstack((image, alpha)))
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_itxt(key, value)
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()
