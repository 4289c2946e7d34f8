"""Photo and paintings side by side at full size, to be judged by eye.

    python -m benchmarks.montage --recipe classic --recipe swift [--crop 100,40,128,128 --zoom 4]

Every pair gives one PNG with a row of pictures, and every painting a PNG of its own, from which ``--reuse`` makes
another montage without painting again.
"""

import argparse
import json
import re
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from benchmarks.contenders import parse_recipe
from benchmarks.machine import add_common_options, set_up_as_worker
from benchmarks.pictures import PHOTOS, Pair, Picture, add_style_option, all_pairs, pairs_of, style_files
from monet_watch.engine.events import Finished
from monet_watch.engine.paint import Painter
from monet_watch.recipes import RECIPES, Recipe
from monet_watch.weights import load_network

__all__ = ["Plate", "main", "mounted"]

_GAP = 8  # pixels between pictures
_RECIPES = [name for name in ("classic", "swift", "gallery") if name in RECIPES]
_LETTERS, _LEADING = 13, 4  # pixels of a caption's lines, and between them


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A picture of a montage, uint8 (H, W, 3), and what stands below it."""

    picture: Picture
    caption: str


def mounted(plates: Sequence[Plate]) -> Image.Image:
    """Return ``plates`` side by side on white, pixel for pixel, each with its caption below."""
    captions = [_broken(plate) for plate in plates]
    height = max(plate.picture.shape[0] for plate in plates)
    width = sum(plate.picture.shape[1] + _GAP for plate in plates) + _GAP
    room = (_LETTERS + _LEADING) * max(caption.count("\n") + 1 for caption in captions)
    sheet = Image.new("RGB", (width, height + 3 * _GAP + room), "white")
    draw, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(_LETTERS), _GAP
    for plate, caption in zip(plates, captions, strict=True):
        sheet.paste(Image.fromarray(plate.picture), (left, _GAP))
        draw.multiline_text((left, height + 2 * _GAP), caption, fill="black", font=font, spacing=_LEADING)
        left += plate.picture.shape[1] + _GAP
    return sheet


def _broken(plate: Plate) -> str:
    """The caption in lines about as wide as the picture."""
    letters = max(8, 2 * plate.picture.shape[1] // _LETTERS)  # most are half as wide as high
    return textwrap.fill(plate.caption, letters)


def _detail(picture: Picture, crop: tuple[int, int, int, int] | None, zoom: int) -> Picture:
    """Return the part x, y, width, height of ``picture``, each pixel as ``zoom`` × ``zoom`` of them."""
    if crop is not None:
        x, y, width, height = crop
        picture = picture[y : y + height, x : x + width]
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


class _Studio:
    """Paints what is not in ``folder`` yet, or all of it unless ``reuse``."""

    def __init__(self, painter: Painter, folder: Path, reuse: bool) -> None:
        self._painter = painter
        self._folder = folder
        self._reuse = reuse

    def plate(self, pair: Pair, size: int, name: str, recipe: Recipe) -> Plate:
        letters = re.sub(r"[^\w.]+", "-", name)
        path = self._folder / f"{pair.name}-{size}-{letters}.png"
        if not (self._reuse and path.exists()):
            self._paint(pair, recipe.with_changes({"image_size": size}), path, name)
        with Image.open(path) as opened:
            return Plate(np.array(opened), str(opened.info["Caption"]))

    def _paint(self, pair: Pair, recipe: Recipe, path: Path, name: str) -> None:
        started = time.perf_counter()
        events = self._painter.paint(pair.photo, pair.style, recipe)
        end = next(event for event in events if isinstance(event, Finished))
        seconds = time.perf_counter() - started
        caption = f"{name}: {len(end.curve)} steps, {seconds:.0f} s, loss {end.delivered.total:.4g}"
        text = PngInfo()
        text.add_text("Caption", caption)
        text.add_text("Recipe", json.dumps(recipe.model_dump()))
        Image.fromarray(end.image).save(path, pnginfo=text)
        print(f"{pair.name}: {caption}", *end.remarks, flush=True)


def _pairs(options: argparse.Namespace) -> list[Pair]:
    files = style_files(options.style)
    choose = all_pairs if options.all_styles else pairs_of
    return choose(options.photo or list(PHOTOS[:4]), files, options.size)


def _crop(text: str) -> tuple[int, int, int, int]:
    x, y, width, height = map(int, text.split(","))
    return x, y, width, height


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", action="append", help="a photo's name or path, or PHOTO+STYLE; several times")
    parser.add_argument("--all-styles", action="store_true", help="every photo with every style, not in rotation")
    parser.add_argument("--recipe", action="append", help="NAME, or NAME:setting=value,...; several times")
    parser.add_argument("--size", type=int, default=512, help="pixels of a picture's sides (%(default)s)")
    parser.add_argument("--crop", type=_crop, metavar="X,Y,W,H", help="show this part only")
    parser.add_argument("--zoom", type=int, default=1, help="show a pixel as so many squared (%(default)s)")
    parser.add_argument("--reuse", action="store_true", help="do not paint what lies in the folder already")
    add_style_option(parser)
    add_common_options(parser, "benchmarks/results/montage")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint, and write a montage of every pair."""
    options = _parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    recipes = [parse_recipe(text) for text in options.recipe or _RECIPES]
    set_up_as_worker(options.threads)
    studio = _Studio(Painter(load_network(options.weights, "cpu")), options.output, options.reuse)
    for pair in _pairs(options):
        plates = [Plate(pair.photo, pair.name)]
        plates += [studio.plate(pair, options.size, name, recipe) for name, recipe in recipes]
        shown = [Plate(_detail(plate.picture, options.crop, options.zoom), plate.caption) for plate in plates]
        part = "" if options.crop is None else "-" + "-".join(map(str, options.crop))
        path = options.output / f"montage-{pair.name}-{options.size}{part}.png"
        mounted(shown).save(path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
