"""The bundled picture: the program that paints it, and the file that ships."""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.color import rgb2gray, rgb2hsv
from skimage.filters import gaussian

from monet_watch.styles.library import BUNDLED
from monet_watch.styles.paint_water_garden import SIZE, SMALLEST_SIDE, main, paint_water_garden
from monet_watch.styles.water_garden.brush import Brush, Canvas, strokes
from monet_watch.styles.water_garden.palette import CADMIUM_YELLOW, COBALT, from_oklab, mix, to_oklab

SHIPPED = BUNDLED / "water-garden.jpg"

LEVELS = 255
QUANTISATION_NOISE = 1 / np.sqrt(12)
"""Deviation, in levels, of a smooth surface stored in whole levels."""


@cache
def small_painting(seed: int = 1) -> np.ndarray:
    return paint_water_garden((160, 128), seed)


@cache
def shipped_picture() -> np.ndarray:
    with Image.open(SHIPPED) as picture:
        return np.asarray(picture.convert("RGB"))


def deviations(picture: np.ndarray, side: int) -> np.ndarray:
    """Deviation of lightness, in levels, within each square of ``side`` pixels."""
    grey = rgb2gray(picture) * LEVELS
    rows, columns = grey.shape[0] // side, grey.shape[1] // side
    squares = grey[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return squares.std(axis=(1, 3))


# The program


def test_the_same_seed_paints_the_same_picture_and_another_seed_another():
    again = paint_water_garden((160, 128), 1)
    assert np.array_equal(small_painting(), again)
    assert np.abs(small_painting(2).astype(int) - again).mean() > 10


def test_a_painting_has_the_size_that_was_asked_for():
    assert small_painting().shape == (128, 160, 3)
    assert small_painting().dtype == np.uint8
    assert paint_water_garden((72, 96)).shape == (96, 72, 3)


def test_a_small_painting_has_no_flat_patches():
    assert deviations(small_painting(), 16).min() > 10 * QUANTISATION_NOISE


def test_a_picture_too_small_for_a_brush_is_refused():
    with pytest.raises(ValueError, match="64 pixels"):
        paint_water_garden((SMALLEST_SIDE - 1, 200))


def test_the_command_line_writes_a_jpeg_that_says_it_is_srgb(tmp_path):
    main([str(tmp_path / "garden.jpg"), "--size", "80x64", "--seed", "5"])
    with Image.open(tmp_path / "garden.jpg") as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (80, 64))
        assert "sRGB" in profile_name(picture)
        written = np.asarray(picture).astype(int)
    assert np.abs(written - paint_water_garden((80, 64), 5)).mean() < 8


@pytest.mark.parametrize("size", ["80", "80x", "axb", "-80x80", "80x63"])
def test_a_size_that_makes_no_sense_is_a_usage_error(tmp_path, capsys, size):
    with pytest.raises(SystemExit) as exit_info:
        main([str(tmp_path / "garden.jpg"), f"--size={size}"])
    assert exit_info.value.code == 2
    assert "WIDTHxHEIGHT" in capsys.readouterr().err


# Its brush and palette


def test_a_mark_of_the_brush_ends_in_bare_canvas():
    marks = Brush(np.random.default_rng(3), length=40, width=12).marks
    assert marks.min() >= 0
    assert marks.max() <= 1
    cover = marks[..., 0]
    assert cover[:, [0, -1]].max() == 0
    assert cover[:, :, [0, -1]].max() == 0


def test_a_stroke_lies_where_it_was_aimed_and_leaves_the_rest_of_the_canvas_alone():
    rng = np.random.default_rng(4)
    canvas = Canvas(np.full((100, 200, 3), 0.5), np.zeros((100, 200)))
    stroke = strokes(
        rng, np.array([120.0]), np.array([40.0]), angle=0.0, length=60, width=16, colour=CADMIUM_YELLOW[None]
    )
    canvas.paint(rng, Brush(rng, 60, 16, dryness=0), stroke)
    changed = np.abs(canvas.colour - 0.5).max(axis=-1) > 0
    assert changed[36:44, 105:130].all()
    assert not changed[:, :89].any()
    assert not changed[:, 151:].any()
    assert not changed[:31].any()
    assert not changed[49:].any()
    assert (canvas.relief[36:44, 105:130] > 0).all()


def test_strokes_may_run_over_the_edge_of_the_canvas():
    rng = np.random.default_rng(5)
    canvas = Canvas(np.full((50, 50, 3), 0.5), np.zeros((50, 50)))
    x, y = np.array([-200.0, 0.0, 49.0, 25.0]), np.array([25.0, 0.0, 49.0, 400.0])
    colour = np.repeat(COBALT[None], 4, axis=0)
    canvas.paint(rng, Brush(rng, 40, 12), strokes(rng, x, y, angle=0.7, length=40, width=12, bend=9.0, colour=colour))
    assert np.isfinite(canvas.colour).all()
    assert (canvas.relief[:10, :10] > 0).any()
    assert (canvas.relief[40:, 40:] > 0).any()


def test_blue_and_yellow_paint_mix_to_a_green():
    red, green, blue = mix(CADMIUM_YELLOW, COBALT, 0.5)
    assert green > max(red, blue)


def test_oklab_has_white_at_lightness_1_without_hue_and_every_colour_comes_back():
    assert to_oklab(np.ones((1, 3))) == pytest.approx(np.array([[1, 0, 0]]), abs=1e-3)
    colours = np.random.default_rng(6).uniform(0.05, 0.95, (100, 3))
    assert from_oklab(to_oklab(colours)) == pytest.approx(colours, abs=1e-3)


# The picture that ships


def profile_name(picture: Image.Image) -> str:
    return ImageCms.getProfileDescription(ImageCms.getOpenProfile(BytesIO(picture.info["icc_profile"])))


def test_the_shipped_picture_is_an_srgb_jpeg_of_a_size_fit_for_a_package():
    with Image.open(SHIPPED) as picture:
        picture.verify()
    with Image.open(SHIPPED) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", SIZE)
        assert "sRGB" in profile_name(picture)
    assert 300_000 < SHIPPED.stat().st_size < 700_000


def test_the_shipped_picture_has_brush_marks_everywhere():
    assert deviations(shipped_picture(), 32).min() > 10 * QUANTISATION_NOISE


def test_the_shipped_picture_is_light_and_dark_and_of_many_hues_but_never_black():
    hue, saturation, value = np.moveaxis(rgb2hsv(gaussian(shipped_picture(), sigma=1.5, channel_axis=-1)), -1, 0)
    dark, light = np.percentile(rgb2gray(shipped_picture()), [5, 95])
    assert dark < 0.3
    assert light > 0.75
    assert np.percentile(value, 0.1) > 0.15  # a shadow of the relief may fall on a dark stroke
    coloured = hue[saturation > 0.15]
    sixths, _ = np.histogram((coloured + 1 / 12) % 1, bins=6, range=(0, 1))  # red, yellow, green, cyan, blue, magenta
    assert (sixths / coloured.size > 0.01).all()


def test_the_shipped_picture_has_neither_grid_nor_repeats():
    """No shift of the picture's texture looks like the texture itself."""
    grey = rgb2gray(shipped_picture())
    texture = gaussian(grey, sigma=1) - gaussian(grey, sigma=8)
    likeness = np.fft.irfft2(np.abs(np.fft.rfft2(texture - texture.mean())) ** 2, s=texture.shape)
    likeness /= likeness[0, 0]
    rows, columns = (np.minimum(np.arange(n), n - np.arange(n)) for n in texture.shape)
    assert likeness[np.hypot(rows[:, None], columns[None, :]) > 64].max() < 0.05


@pytest.mark.slow
def test_the_shipped_picture_is_the_one_that_the_program_paints():
    painted = paint_water_garden().astype(int)
    assert np.abs(painted - shipped_picture()).mean() < 4
