"""The photos and styles that are measured with, and how they are named on a command line."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monet_watch.engine.photo import decode, resize
from monet_watch.styles.library import BUNDLED

__all__ = ["PHOTOS", "Pair", "Picture", "add_style_option", "all_pairs", "pairs_of", "photo", "square", "style_files"]

Picture = NDArray[np.uint8]

PHOTOS = ("china", "astronaut", "coffee", "flower", "chelsea", "rocket")
"""The photos that come with scikit-image and scikit-learn, by their names there."""

_OF_SCIKIT_LEARN = ("china", "flower")
_WATER_GARDEN = BUNDLED / "water-garden.jpg"
_LIMIT_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A photo (size, size, 3) and a style (H, W, 3) whose short side is at most as long: uint8, ready to paint."""

    name: str
    photo: Picture
    style: Picture


def photo(name: str) -> Picture:
    """Return the photo ``name`` of `PHOTOS`, or the one in the file of that name, as it is."""
    if name not in PHOTOS:
        return _read(Path(name))
    if name in _OF_SCIKIT_LEARN:
        from sklearn.datasets import load_sample_image

        return np.array(load_sample_image(f"{name}.jpg"), dtype=np.uint8)
    from skimage import data

    return np.array(getattr(data, name)(), dtype=np.uint8)


def square(picture: Picture, size: int) -> Picture:
    """Return the middle of ``picture`` with ``size`` × ``size`` pixels, enlarged where it has fewer."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(np.ascontiguousarray(picture[top : top + side, left : left + side]), size, enlarge=True)


def add_style_option(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` take pictures to paint like, beside the bundled one."""
    text = "a picture to paint like, beside the bundled water garden; may be given several times"
    parser.add_argument("--style", metavar="PATH", type=Path, action="append", default=[], help=text)


def style_files(given: Iterable[Path]) -> dict[str, Path]:
    """Return the files of the styles by name: those given, then the bundled one."""
    return {path.stem: path for path in (*given, _WATER_GARDEN)}


def pairs_of(names: Iterable[str], styles: Mapping[str, Path], size: int) -> list[Pair]:
    """Return the pairs that ``names`` mean: ``photo+style``, or ``photo`` alone, which gets the styles in rotation.

    Raises SystemExit on a style that is not there.
    """
    rotation = list(styles)
    parts = [name.partition("+") for name in names]
    chosen = [(name, style or rotation[turn % len(rotation)]) for turn, (name, _, style) in enumerate(parts)]
    for _, style in chosen:
        if style not in styles:
            raise SystemExit(f"There is no style {style!r} among {', '.join(styles)}; give its file with --style.")
    return [_pair(name, style, styles[style], size) for name, style in chosen]


def all_pairs(names: Sequence[str], styles: Mapping[str, Path], size: int) -> list[Pair]:
    """Return a pair of every photo with every style."""
    return pairs_of([f"{name}+{style}" for name in names for style in styles], styles, size)


def _pair(name: str, style: str, path: Path, size: int) -> Pair:
    # The style is reduced here, as the engine would do it, so that every contender gets the same.
    return Pair(f"{Path(name).stem}+{style}", square(photo(name), size), resize(_read(path), size, enlarge=False))


def _read(path: Path) -> Picture:
    return decode(path.read_bytes(), _LIMIT_PIXELS).image
