"""A painting's progress pictures come when the recipe says so, and there are enough of them and not too many."""

from itertools import pairwise

import pytest

from monet_watch.recipes import CLASSIC, GALLERY, PRINT, SWIFT


@pytest.mark.parametrize("recipe", [SWIFT, GALLERY, PRINT], ids=lambda recipe: recipe.recipe)
def test_however_many_steps_a_painting_takes_it_has_six_to_ten_stages(recipe):
    for steps in range(40, recipe.steps + 1):
        assert 6 <= len(recipe.stages(steps)) <= 10


def test_stages_come_further_and_further_apart():
    stages = SWIFT.stages(10_000)
    spacings = [later - earlier for earlier, later in pairwise(stages)]
    assert spacings == sorted(spacings)
    assert all(later <= 2 * earlier for earlier, later in pairwise(stages))


def test_where_a_painting_ends_does_not_change_the_stages_before():
    assert all(SWIFT.stages(steps) == [step for step in SWIFT.stages(500) if step <= steps] for steps in range(500))


@pytest.mark.parametrize("recipe", [SWIFT, CLASSIC, SWIFT.with_changes({"save_every": 7})])
def test_a_stage_is_due_where_the_stages_say_so(recipe):
    assert [step for step in range(1, 401) if recipe.has_stage_at(step)] == recipe.stages(400)


def test_a_number_of_steps_keeps_its_spacing():
    assert CLASSIC.stages(160) == [50, 100, 150]
