"""The sizes that a painting goes through: doubled from the coarsest, with the steps that each is given."""

import pytest

from monet_watch.engine.levels import Level, levels
from monet_watch.recipes import PRINT, SWIFT, Recipe


def recipe(**changes):
    return Recipe(coarsest=64, coarse_steps=10, steps=100).with_changes(changes)


def test_without_a_coarsest_size_there_is_one_level():
    assert levels(SWIFT, 640, 512) == (Level(640, 512, SWIFT.steps, 1.0),)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (384, 256, [(96, 64, 10, 0.25), (192, 128, 20, 0.5), (384, 256, 100, 1.0)]),
        (256, 384, [(64, 96, 10, 0.25), (128, 192, 20, 0.5), (256, 384, 100, 1.0)]),
        (256, 256, [(64, 64, 10, 0.25), (128, 128, 20, 0.5), (256, 256, 100, 1.0)]),
    ],
)
def test_the_short_side_doubles_and_the_last_level_takes_the_steps_that_are_left(width, height, expected):
    assert levels(recipe(), width, height) == tuple(Level(*each) for each in expected)


def test_the_aspect_is_kept_as_well_as_whole_pixels_allow():
    for level in levels(recipe(), 397, 301):
        assert level.width / level.height == pytest.approx(397 / 301, rel=0.01)
    assert [min(level.width, level.height) for level in levels(recipe(), 397, 301)] == [64, 128, 301]


def test_a_size_above_three_quarters_of_the_full_one_is_passed_over():
    assert [level.height for level in levels(recipe(), 200, 172)] == [64, 128, 172]
    assert [level.height for level in levels(recipe(), 200, 170)] == [64, 170]


@pytest.mark.parametrize("side", [30, 64, 85])
def test_a_picture_hardly_larger_than_the_coarsest_size_has_one_level(side):
    assert levels(recipe(), side, side) == (Level(side, side, 100, 1.0),)


@pytest.mark.parametrize(("steps", "heights"), [(21, [64, 128, 256]), (20, [64, 256]), (11, [64, 256]), (10, [256])])
def test_where_steps_are_few_the_finer_of_the_coarse_sizes_are_left_out_and_one_step_is_left_for_the_last(
    steps, heights
):
    found = levels(recipe(steps=steps), 256, 256)

    assert [level.height for level in found] == heights
    assert found[-1].last == steps and all(level.last < steps for level in found[:-1])


def test_a_print_begins_at_512_pixels():
    assert [(level.width, level.height, level.scale) for level in levels(PRINT, 3072, 2048)] == [
        (768, 512, 0.25), (1536, 1024, 0.5), (3072, 2048, 1.0),
    ]  # fmt: skip
