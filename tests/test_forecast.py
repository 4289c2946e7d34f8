"""How much work a painting will be, before anybody has opened the photo."""

import pytest

from monet_watch.engine.levels import levels
from monet_watch.engine.tiles import choose_tile
from monet_watch.forecast import Forecast, Forecasts, pixels_in_one_piece
from monet_watch.recipes import GALLERY, PRINT, RECIPES, SWIFT


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("image_size", [200, 512, 1000, 3000])
def test_the_effort_is_what_the_levels_of_the_engine_add_up_to(name, image_size):
    recipe = RECIPES[name].with_changes({"image_size": image_size})
    width, height = image_size * 4 // 3, image_size
    passed = levels(recipe, width, height)
    firsts = (0, *(level.last for level in passed[:-1]))
    computed = sum(
        (level.last - first) * level.width * level.height for first, level in zip(firsts, passed, strict=True)
    )
    assert Forecast.of(recipe).effort * width * height == pytest.approx(computed, rel=0.01)


def test_a_coarse_beginning_is_less_work_than_as_many_steps_at_full_size():
    assert Forecast.of(GALLERY).effort < GALLERY.steps
    assert Forecast.of(SWIFT).effort == SWIFT.steps


def test_a_painting_whose_size_is_known_is_of_that_size():
    assert Forecast.of(SWIFT).pixels(100, 70) == 7000


def test_one_that_is_not_known_is_as_large_as_a_usual_photo_with_that_short_side():
    assert Forecast.of(PRINT).pixels() == pytest.approx(2048 * 2048 * 4 / 3)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("gibibytes", [2, 8, 24, 80])
def test_what_is_said_to_fit_in_one_piece_is_what_the_engine_paints_in_one(precision, gibibytes):
    """As the engine divides the memory: a quarter for the history, eight vectors, and the rest for an evaluation."""
    available = gibibytes * 2**30
    pixels = pixels_in_one_piece(available, precision)

    def is_whole(count: float) -> bool:
        side = int(count**0.5)
        return choose_tile(side, side, precision, available * 3 // 4 - 8 * 3 * 4 * side * side) is None

    assert is_whole(pixels * 0.9)
    assert not is_whole(pixels * 1.2)


def test_nobody_knows_how_much_fits_into_a_memory_that_nobody_knows():
    assert pixels_in_one_piece(None, "fp32") is None


def test_a_forecast_is_kept_until_there_are_many_later_ones():
    known, first = Forecasts(), Forecast.of(SWIFT)
    assert known.get("first") is None
    assert known.keep("first", first) is first
    for number in range(10_000):
        assert known.get("first") in (first, None)
        known.keep(f"{number}", first)
    assert known.get("first") is None
    assert known.get("9999") is first
