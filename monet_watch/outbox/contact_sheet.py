"""A contact sheet: the photos of a folder and their paintings side by side, for the wall, the printer or a message.

A page is at most as wide as A4 is at 290 dots per inch, and as high. Pictures are as large as that allows: a few of
them stand below each other, more in two columns, then three, and what is left goes to further pages. All pictures fit
into frames of one shape, which is that of most of them, and stand on one line in each row.
"""

import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image

from monet_watch.outbox.lettering import FONT, drawable, drawing, escaped, shortened
from monet_watch.outbox.picture import srgb_profile
from monet_watch.outbox.sheet_files import sheet_comment

__all__ = ["Head", "Pair", "draw_sheet"]

_WIDTH, _HEIGHT, _DPI = 2400, 3394, 290  # pixels of the largest page, and how many of them an inch has
_LEAST_WIDTH = 1400  # for the words above the pictures
_MARGIN, _COLUMN_GAP, _ROW_GAP, _PAIR_GAP = 90, 56, 44, 10
_MOST_COLUMNS = 3
_LEAST_FRAME = 320
_SHAPES = (0.6, 1.5)  # of a frame: its height as a share of its width
_TITLE, _SUMMARY, _CAPTION, _NOTE = 58, 27, 27, 22  # sizes of letters, in pixels
_HEAD = 212  # pixels above the first row
_LINE, _CAPTION_GAP = 1.5, 12
_PAPER, _INK, _PALE, _EMPTY = "#ffffff", "#333333", "#767676", (0xEE, 0xEE, 0xEE)
_QUALITY = 90

Opener = Callable[[], Image.Image | None]


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the pictures: a title, and a line in small letters."""

    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and its painting of ``width`` × ``height`` pixels, with a caption and a line in smaller letters.

    Each picture is opened when it is drawn; None stands for one that is not there, or cannot be opened.
    """

    caption: str
    note: str
    width: int
    height: int
    photo: Opener
    painting: Opener


@dataclass(frozen=True, slots=True)
class _Place:
    """A pair on a page: its left end, the line its pictures stand on, and the size of each; all in pixels."""

    pair: Pair
    left: int
    bottom: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Grid:
    """So many columns, each of two frames of ``frame_width`` × ``frame_height`` pixels."""

    columns: int
    frame_width: int
    frame_height: int

    @property
    def cell(self) -> int:
        return 2 * self.frame_width + _PAIR_GAP

    @property
    def width(self) -> int:
        return max(_LEAST_WIDTH, self.used_width)

    @property
    def used_width(self) -> int:
        return 2 * _MARGIN + self.columns * self.cell + (self.columns - 1) * _COLUMN_GAP

    def size(self, pair: Pair) -> tuple[int, int]:
        """The width and height that each picture of ``pair`` has here."""
        scale = min(self.frame_width / pair.width, self.frame_height / pair.height)
        return max(1, round(pair.width * scale)), max(1, round(pair.height * scale))


def draw_sheet(head: Head, pairs: Sequence[Pair], digest: str) -> Iterator[bytes]:
    """Draw a sheet of ``pairs``, page after page, as JPEG files that bear ``digest``, a SHA-256 in hexadecimal."""
    grid, pages = _laid_out(pairs)
    for number, page in enumerate(pages, start=1):
        words = f"{head.summary}  ·  page {number} of {len(pages)}" if len(pages) > 1 else head.summary
        yield _encoded(_drawn(Head(head.title, words), grid, page), digest)


# --- Layout


def _laid_out(pairs: Sequence[Pair]) -> tuple[_Grid, list[list[_Place]]]:
    """The fewest columns with which one page suffices and is wide enough for the words above it.

    Where none do, the most, and as many pages as that takes.
    """
    for columns in range(1, _MOST_COLUMNS + 1):
        grid = _grid(columns, pairs)
        pages = list(_pages(grid, pairs))
        if len(pages) == 1 and (columns >= len(pairs) or grid.used_width >= _LEAST_WIDTH):
            break
    return grid, pages


def _grid(columns: int, pairs: Sequence[Pair]) -> _Grid:
    """Frames as large as there is room for, but no larger than the pictures, unless those are tiny."""
    room = (_WIDTH - 2 * _MARGIN - (columns - 1) * _COLUMN_GAP) // columns
    widest = max(pair.width for pair in pairs)
    width = min((room - _PAIR_GAP) // 2, max(widest, _LEAST_FRAME))
    flattest, steepest = _SHAPES
    shape = statistics.median(pair.height / pair.width for pair in pairs)
    return _Grid(columns, width, round(width * min(max(shape, flattest), steepest)))


def _pages(grid: _Grid, pairs: Sequence[Pair]) -> Iterator[list[_Place]]:
    places: list[_Place] = []
    top = _HEAD
    for start in range(0, len(pairs), grid.columns):
        row = pairs[start : start + grid.columns]
        height = max(grid.size(pair)[1] for pair in row)
        below = _words_height(row)
        if places and top + height + below + _MARGIN > _HEIGHT:
            yield places
            places, top = [], _HEAD
        for column, pair in enumerate(row):
            left = _MARGIN + column * (grid.cell + _COLUMN_GAP)
            places.append(_Place(pair, left, top + height, *grid.size(pair)))
        top += height + below + _ROW_GAP
    yield places


def _words_height(row: Sequence[Pair]) -> int:
    return _CAPTION_GAP + round(_LINE * (_CAPTION + (_NOTE if any(pair.note for pair in row) else 0)))


# --- Drawing


def _drawn(head: Head, grid: _Grid, page: Sequence[_Place]) -> Image.Image:
    height = max(place.bottom + _words_height([place.pair]) for place in page) + _MARGIN
    sheet = _lettered(head, grid, page, height)
    for place in page:
        _paste(sheet, place.pair.photo(), place, place.left)
        _paste(sheet, place.pair.painting(), place, place.left + place.width + _PAIR_GAP)
    return sheet


def _paste(sheet: Image.Image, picture: Image.Image | None, place: _Place, left: int) -> None:
    size = (place.width, place.height)
    shown = (
        Image.new("RGB", size, _EMPTY)
        if picture is None
        else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    )
    sheet.paste(shown, (left, place.bottom - place.height))


def _lettered(head: Head, grid: _Grid, page: Sequence[_Place], height: int) -> Image.Image:
    """The page with all of its words, and room for the pictures."""
    with drawing():
        words = _Words(grid.width, height)
        words.write(head.title, _MARGIN, 64, grid.width - 2 * _MARGIN, _TITLE, _INK)
        words.write(head.summary, _MARGIN, 146, grid.width - 2 * _MARGIN, _SUMMARY, _PALE)
        for place in page:
            top = place.bottom + _CAPTION_GAP
            words.write(place.pair.caption, place.left, top, grid.cell, _CAPTION, _INK)
            words.write(place.pair.note, place.left, top + round(_LINE * _CAPTION), grid.cell, _NOTE, _PALE)
        return words.picture()


class _Words:
    """Lines of text on paper of ``width`` × ``height`` pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._height = height
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=_PAPER)
        self._canvas = FigureCanvasAgg(self._figure)

    def write(self, text: str, left: int, top: int, room: int, size: int, colour: str) -> None:
        """Write one line of letters ``size`` pixels high, shortened to ``room`` pixels."""
        shown, families = self._fitted(text, room, size)
        self._figure.text(
            left / self._figure.bbox.width,
            1 - top / self._height,
            shown,
            fontsize=_points(size),
            family=families,
            color=colour,
            verticalalignment="top",
            parse_math=False,
        )

    def _fitted(self, text: str, room: int, size: int) -> tuple[str, list[str]]:
        whole = escaped(text)
        columns = max(1, int(room / (0.3 * size)))  # of the narrowest letters
        shown, families = drawable(shortened(whole, columns))
        while columns > 1 and self._width(shown, families, size) > room:
            columns = min(columns - 1, int(columns * room / self._width(shown, families, size)) + 1)
            shown, families = drawable(shortened(whole, columns))
        return shown, families

    def _width(self, text: str, families: list[str], size: int) -> float:
        font = FontProperties(family=families or [FONT], size=_points(size))
        renderer = self._canvas.get_renderer()  # type: ignore[no-untyped-call]
        width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
        return float(width)

    def picture(self) -> Image.Image:
        """Return the paper as it is, in RGB."""
        self._canvas.draw()  # type: ignore[no-untyped-call]
        samples = np.asarray(self._canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return Image.fromarray(samples[..., :3].copy())


def _points(size: int) -> float:
    return size * 72 / 100


def _encoded(sheet: Image.Image, digest: str) -> bytes:
    file = io.BytesIO()
    sheet.save(
        file,
        "JPEG",
        quality=_QUALITY,
        dpi=(_DPI, _DPI),
        icc_profile=srgb_profile(),
        comment=sheet_comment(digest),
    )
    return file.getvalue()
