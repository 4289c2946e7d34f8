"""Tiles: the gradient of a large picture piece by piece, and how much memory a piece takes.

Every loss is a function of sums over positions, so a tile contributes exactly the positions that it *owns*: the own
regions of all tiles partition the positions of every layer. What surrounds them in a tile's *window* is there for
the convolutions to see, as wide at each layer as the layers behind it look. Values at the rim of a window are wrong,
because the picture goes on there; they reach no position that the tile owns, and get no gradient from one. At the
picture's own borders a window ends with the picture, and the layers' padding applies.

Edges of tiles are multiples of 16 pixels, so that the pooling grids of all tiles are the picture's own.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from monet_watch.errors import PaintingError
from monet_watch.recipes import LAYERS

__all__ = ["SMALLEST_TILE", "Span", "Tile", "block_of", "choose_tile", "memory_bytes", "smaller", "split"]

GRID = 16
"""Pixels to which tiles are aligned: four poolings halve a picture four times."""

SMALLEST_TILE = 256
"""Side in pixels below which the surroundings of a tile cost more than the tile itself."""


def block_of(layer: str) -> int:
    """Return how many times the picture has been halved where ``layer`` is: 0 for conv1_1, 4 for conv5_1."""
    return int(layer[len("conv")]) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile in one block, in positions of the picture's own feature map."""

    start: int
    stop: int
    own_start: int
    own_stop: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A piece of a picture; ``rows`` and ``columns`` hold a `Span` for each block of layers."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def window(self, block: int) -> tuple[slice, slice]:
        """Return where in the picture's map of ``block`` the tile computes: (rows, columns)."""
        rows, columns = self.rows[block], self.columns[block]
        return slice(rows.start, rows.stop), slice(columns.start, columns.stop)

    def home(self, block: int) -> tuple[slice, slice]:
        """Return where in the picture's map of ``block`` the positions lie that the tile owns."""
        rows, columns = self.rows[block], self.columns[block]
        return slice(rows.own_start, rows.own_stop), slice(columns.own_start, columns.own_stop)

    def own(self, block: int) -> tuple[slice, slice]:
        """Return where in the tile's window of ``block`` the positions lie that it owns."""
        rows, columns = self.rows[block], self.columns[block]
        return (
            slice(rows.own_start - rows.start, rows.own_stop - rows.start),
            slice(columns.own_start - columns.start, columns.own_stop - columns.start),
        )

    def crop(self, block: int) -> tuple[slice, slice]:
        """Return which part of the pooled window of the block before is the window of ``block``."""
        (rows, columns), (above, left) = self.window(block), self.window(block - 1)
        top, side = above.start // 2, left.start // 2
        return slice(rows.start - top, rows.stop - top), slice(columns.start - side, columns.stop - side)


def split(height: int, width: int, tile: int | None, layers: Collection[str]) -> tuple[Tile, ...]:
    """Return the tiles of a picture of ``height`` × ``width`` pixels for a network up to the deepest of ``layers``.

    ``tile`` is the most pixels that a tile's own side has, a multiple of 16 (the last in a row or column may have up
    to 15 more); None stands for one tile that is the whole picture. Tiles are of about equal size.
    """
    if tile is not None and (tile < GRID or tile % GRID):
        raise ValueError(f"a tile's side must be a multiple of {GRID} pixels, not {tile}")
    margins = _margins(layers)
    rows, columns = (list(_axis(length, tile, margins)) for length in (height, width))
    return tuple(Tile(row, column) for row, column in product(rows, columns))


def _margins(layers: Collection[str]) -> tuple[int, ...]:
    """Return for each block how far, in its own positions, what is owned looks beyond itself at the block's input."""
    used = LAYERS[: 1 + max(map(LAYERS.index, layers))]
    blocks = [block_of(name) for name in used]
    margins: list[int] = []
    for block in reversed(range(blocks[-1] + 1)):
        behind = 2 * margins[-1] if margins else 0
        margins.append(behind + blocks.count(block))
    return tuple(reversed(margins))


def _axis(length: int, tile: int | None, margins: tuple[int, ...]) -> Iterator[tuple[Span, ...]]:
    for start, stop in pairwise(_edges(length, tile)):
        yield tuple(_span(start >> block, stop >> block, length >> block, m) for block, m in enumerate(margins))


def _edges(length: int, tile: int | None) -> list[int]:
    if tile is None or tile >= length:
        return [0, length]
    count = -(-length // tile)
    side = _rounded_up(-(-length // count))
    return [0, *range(side, length - GRID + 1, side), length]  # at conv5_1, too, the last tile owns something


def _span(own_start: int, own_stop: int, length: int, margin: int) -> Span:
    return Span(max(0, own_start - margin), min(length, own_stop + margin), own_start, own_stop)


def _rounded_up(length: int) -> int:
    return -(-length // GRID) * GRID


_WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}  # channels in the blocks of VGG-19
_BYTES = {"bf16": 2, "fp32": 4, "tf32": 4, "fp64": 8}
_PASSING = 64  # channels of the first block's size in flight at once, beside what is kept
_IN_PIECES = 1.75  # what tiles of several sizes free does not fit the next: an allocator that keeps it grows by this
_PICTURES = 6  # copies of the picture in float32: itself, its gradient, total variation, the optimiser's move
_FIXED = 64 * 2**20  # Gram matrices, blocks in float32, and what oneDNN keeps


def memory_bytes(height: int, width: int, precision: str = "fp32", tile: int | None = None) -> int:
    """Estimate the most bytes that one evaluation of loss and gradient takes, beside the network itself.

    For the real VGG-19 up to conv5_1 with content at conv4_2: the activations kept of the largest tile, what is in
    flight in its largest layers, the content's activations, and a few copies of the picture. Optimisers' memory is
    not counted. Measured on the CPU; see the test.
    """
    size = _BYTES[precision]
    pieces = split(height, width, tile, LAYERS)
    largest = max(map(_window_pixels, pieces)) * (_IN_PIECES if len(pieces) > 1 else 1)
    kept = sum(_WIDTHS[block_of(name) + 1] / 4 ** block_of(name) for name in LAYERS)
    picture = height * width * (_PICTURES * 3 * 4 + _WIDTHS[4] / 64 * size)
    return int(largest * (kept + _PASSING) * size + picture) + _FIXED


def _window_pixels(tile: Tile) -> int:
    (rows, columns) = tile.window(0)
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def choose_tile(height: int, width: int, precision: str, available_bytes: int) -> int | None:
    """Return the largest tile with which an evaluation fits into ``available_bytes``; None is the whole picture.

    Raises PaintingError where not even tiles of `SMALLEST_TILE` fit.
    """
    if memory_bytes(height, width, precision) <= available_bytes:
        return None
    for tile in range(_rounded_up(max(height, width)) - GRID, SMALLEST_TILE - 1, -GRID):
        if memory_bytes(height, width, precision, tile) <= available_bytes:
            return tile
    needed = memory_bytes(height, width, precision, SMALLEST_TILE) / 2**30
    message = f"A painting of {width} × {height} pixels needs {needed:.1f} GiB of memory even in tiles."
    remedy = f"Allow more than {available_bytes / 2**30:.1f} GiB (memory_limit), or lower image_size."
    raise PaintingError(message, remedy)


def smaller(tile: int | None, height: int, width: int) -> int | None:
    """Return the tile to try where memory was too short for ``tile``: half its side, at least `SMALLEST_TILE`.

    None says that there is no smaller one to try.
    """
    side = min(tile or max(height, width), max(height, width))
    half = max(SMALLEST_TILE, _rounded_up(-(-side // 2)))
    return half if half < side else None
