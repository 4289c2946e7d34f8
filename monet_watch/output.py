"""In which files a painting is delivered, and what they tell of the photo. It is no part of the painting itself."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FORMATS", "TIMELAPSES", "Format", "Output", "Timelapse"]

Format = Literal["png", "jpeg", "webp"]
"""A kind of file that a painting can be delivered in."""

FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")
"""All of them; the first is the master, which is always there."""

Timelapse = Literal["none", "webp", "mp4"]
"""A kind of moving picture that shows how a painting came to be."""

TIMELAPSES: tuple[Timelapse, ...] = ("none", "webp", "mp4")
"""All of them."""


@dataclass(frozen=True, slots=True)
class Output:
    """``formats`` are those of a painting's files; a PNG is among them whether or not it is named.

    The PNG holds the pixels that were painted, and its loss is the delivered one. Qualities are from 1 to 100.
    ``keep_location`` says whether the files tell where the photo was taken, and ``timelapse`` whether there is a moving
    picture of the stages.
    """

    formats: tuple[Format, ...] = ("png",)
    jpeg_quality: int = 92
    webp_quality: int = 90
    keep_location: bool = False
    timelapse: Timelapse = "none"

    @property
    def further(self) -> tuple[Format, ...]:
        """The formats beside the PNG."""
        return tuple(each for each in FORMATS[1:] if each in self.formats)
