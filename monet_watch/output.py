"""In which files a painting is delivered, and what they tell of the photo. It is no part of the painting itself."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FORMATS", "Format", "Output"]

Format = Literal["png", "jpeg", "webp"]
"""A kind of file that a painting can be delivered in."""

FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")
"""All of them; the first is the master, which is always there."""


@dataclass(frozen=True, slots=True)
class Output:
    """``formats`` are those of a painting's files; a PNG is among them whether or not it is named.

    The PNG holds the pixels that were painted, and its loss is the delivered one. Qualities are from 1 to 100.
    ``keep_location`` says whether the files tell where the photo was taken.
    """

    formats: tuple[Format, ...] = ("png",)
    jpeg_quality: int = 92
    webp_quality: int = 90
    keep_location: bool = False

    @property
    def further(self) -> tuple[Format, ...]:
        """The formats beside the PNG."""
        return tuple(each for each in FORMATS[1:] if each in self.formats)
