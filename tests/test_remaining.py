"""Remaining times: a recorded run is foretold within a fifth once its first painting is done, and rules that are known.

``recorded_run.json`` is a real run, with the real network, of photos of scikit-image and scikit-learn painted one after
the other at several sizes by three recipes, on one thread of a processor. Its times are that thread's seconds, so that
what else the machine did at that time is not in them. Of each step it holds when it was taken, and its loss.
"""

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from monet_watch.ledger import StepTaken
from monet_watch.recipes import CLASSIC, GALLERY, RECIPES, SWIFT, Recipe
from monet_watch.remaining import Awaiting, Estimator, Painted, Underway, sizes_of, until_all_is_done

A_FIFTH = 0.2
EVERY = 20  # steps between two looks


@dataclass(frozen=True)
class Recorded:
    """One painting of the recorded run; ``taken`` is the time of each step, in seconds from its beginning."""

    recipe: Recipe
    size: tuple[int, int]
    steps: tuple[StepTaken, ...]
    taken: tuple[float, ...]
    seconds: float

    def painted(self) -> Painted:
        """It, as it is known when it is done."""
        paces, before = [], 0
        for last, pixels in sizes_of(self.recipe, *self.size):
            seconds = [step.seconds for step in self.steps if before < step.number <= last]
            paces.append((pixels, len(seconds), sum(seconds)))
            before = last
        other = self.seconds - sum(step.seconds for step in self.steps)
        return Painted("cpu", self.recipe, *self.size, len(self.steps), tuple(paces), other)

    def underway(self, count: int) -> Underway:
        """It, as it is known after so many steps."""
        return Underway("cpu", self.recipe, self.size, self.steps[:count])


def recorded():
    data = json.loads(Path(__file__).with_name("recorded_run.json").read_bytes())
    return [_recorded(each) for each in data]


def _recorded(data):
    times = [data["begun"], *(at for at, _ in data["steps"])]
    seconds = [after - before for before, after in itertools.pairwise(times)]
    losses = [loss for _, loss in data["steps"]]
    steps = [StepTaken(n, loss, took) for n, (loss, took) in enumerate(zip(losses, seconds, strict=True), start=1)]
    recipe = RECIPES[data["recipe"]].with_changes(data["changes"])
    return Recorded(recipe, (data["width"], data["height"]), tuple(steps), tuple(times[1:]), data["end"])


RUN = recorded()


def foretold(run, at, count):
    """How long all took from step ``count`` of painting ``at`` on, and how long it was thought to take."""
    now, later = run[at], run[at + 1 :]
    left = now.seconds - (now.taken[count - 1] if count else 0.0) + sum(each.seconds for each in later)
    underway = [now.underway(count)]
    estimator = Estimator([each.painted() for each in run[:at]], underway)
    awaiting = [Awaiting(recipe, number) for recipe, number in Counter(each.recipe for each in later).items()]
    return left, until_all_is_done(estimator, underway, awaiting)


def error(run, at, count):
    left, thought = foretold(run, at, count)
    return abs(thought - left) / left


def test_the_recorded_run_is_a_mix_of_sizes_and_recipes():
    assert len(RUN) > 20
    assert {each.recipe.recipe for each in RUN} == {"swift", "gallery", "classic"}
    assert len({each.recipe.image_size for each in RUN}) >= 3


def test_when_the_first_painting_is_done_the_time_for_all_the_others_is_foretold_within_a_fifth():
    assert error(RUN, 1, 0) < A_FIFTH


def test_from_then_on_it_is_foretold_within_a_fifth_until_the_last_one_begins():
    """At nineteen of twenty looks; photos of which nobody knows the proportions yet may be out of the common."""
    errors = [error(RUN, at, count) for at in range(1, len(RUN) - 1) for count in range(0, len(RUN[at].steps), EVERY)]
    assert sum(each < A_FIFTH for each in errors) / len(errors) > 0.95
    assert max(errors) < 1.5 * A_FIFTH


@pytest.mark.parametrize("first", range(sum(each.recipe.recipe == "swift" for each in RUN)))
def test_it_does_not_matter_which_painting_was_the_first(first):
    """Of those by one recipe, at three sizes."""
    run = [each for each in RUN if each.recipe.recipe == "swift"]
    assert error(run[first:] + run[:first], 1, 0) < A_FIFTH


def test_a_painting_under_way_is_foretold_better_the_further_it_is():
    """Of its own time, where some of the kind have been painted: a fifth in the first half, a tenth near the end."""
    for share, most in ((0.5, A_FIFTH), (0.9, A_FIFTH / 2)):
        within = []
        for at in range(6, len(RUN)):
            now = RUN[at]
            count = round(share * len(now.steps))
            estimator = Estimator([each.painted() for each in RUN[:at]], [now.underway(count)])
            left = now.seconds - now.taken[count - 1]
            within.append(abs(estimator.remaining_seconds(now.underway(count)) - left) / now.seconds < most)
        assert sum(within) / len(within) > 0.9


def test_of_a_device_that_has_painted_nothing_nothing_is_said():
    estimator = Estimator([RUN[0].painted()])
    assert estimator.seconds("cuda:0", SWIFT) is None
    assert until_all_is_done(estimator, [], [Awaiting(SWIFT, 3)], ["cuda:0"]) is None
    assert until_all_is_done(estimator, [], [Awaiting(SWIFT, 3)], ["cpu", "cuda:0"]) is None


def steady(count, seconds=2.0):
    return tuple(StepTaken(number, 100.0 / number, seconds) for number in range(1, count + 1))


def test_of_a_recipe_that_takes_all_its_steps_the_time_is_their_number_times_a_steps():
    sitting = Underway("cpu", CLASSIC, (768, 512), steady(100))
    assert Estimator([], [sitting]).remaining_seconds(sitting) == pytest.approx(300 * 2.0)
    assert Estimator([], [sitting]).expected_steps(sitting) == 400


def test_the_first_step_of_a_painting_which_is_unlike_the_others_does_not_count():
    slow = (StepTaken(1, 100.0, 60.0), *steady(100)[1:])
    sitting = Underway("cpu", CLASSIC, (768, 512), slow)
    assert Estimator([], [sitting]).remaining_seconds(sitting) == pytest.approx(300 * 2.0)
    only_begun = Underway("cpu", CLASSIC, (768, 512), slow[:1])
    assert Estimator([], [only_begun]).remaining_seconds(only_begun) is None


def test_a_painting_ends_when_its_losses_say_that_further_steps_no_longer_pay():
    """Losses of 100 (1 + 1/n): ten steps gain 10/(n (n - 10)) of that, which is 0.015 / (1 + 1/n) at about n = 31."""
    losses = tuple(StepTaken(number, 100.0 * (1 + 1 / number), 1.0) for number in range(1, 29))
    recipe = SWIFT.with_changes({"least_gain": 0.015})
    assert Estimator([]).expected_steps(Underway("cpu", recipe, (768, 512), losses)) == pytest.approx(31, abs=2)


def test_the_steps_of_all_that_were_painted_say_how_many_another_one_takes():
    def of(steps):
        return Painted("cpu", SWIFT, 768, 512, steps, ((768 * 512, steps, 1.0 * steps),), 0.0)

    sitting = Underway("cpu", SWIFT, (768, 512))
    assert Estimator([of(120)] * 50).expected_steps(sitting) == pytest.approx(120, abs=3)
    assert Estimator([of(40)] * 50).expected_steps(sitting) == pytest.approx(40, abs=3)
    assert Estimator([of(120)]).expected_steps(sitting) < 110  # one alone may be out of the common


def test_coarse_steps_are_as_much_shorter_as_they_have_fewer_pixels():
    """A quarter of the pixels; what a step takes whatever its size is, is the lesser part at these sizes."""
    sizes = sizes_of(GALLERY.with_changes({"image_size": 2048, "coarsest": 1024}), 3072, 2048)
    assert sizes == [(30, 1536 * 1024), (150, 3072 * 2048)]
    recipe = GALLERY.with_changes({"image_size": 2048, "coarsest": 1024, "least_gain": 0.0})
    done = Painted("cpu", recipe, 3072, 2048, 150, ((1536 * 1024, 30, 30.0), (3072 * 2048, 120, 480.0)), 0.0)
    assert Estimator([done]).remaining_seconds(Underway("cpu", recipe, (3072, 2048))) == pytest.approx(510, rel=0.05)


def test_what_waits_is_shared_by_all_devices_as_fast_as_each_is():
    """24 paintings of 400 steps: one device takes 1 s a step, the other 3; together they take 24 · 400 · 3/4 s."""

    def of(device, seconds):
        return Painted(device, CLASSIC, 717, 512, 400, ((717 * 512, 400, 400 * seconds),), 0.0)

    estimator = Estimator([of("cuda:0", 1.0), of("cpu", 3.0)])
    together = until_all_is_done(estimator, [], [Awaiting(CLASSIC, 24)], ["cuda:0", "cpu"])
    assert together == pytest.approx(24 * 400 * 3 / 4, rel=0.1)
    assert together >= 24 * 400 * 3 / 4
    twice = until_all_is_done(estimator, [], [Awaiting(CLASSIC, 24)], ["cuda:0", "cuda:0"])
    assert twice == pytest.approx(24 * 400 / 2, rel=0.1)
    alone = until_all_is_done(estimator, [], [Awaiting(CLASSIC, 24)], ["cuda:0"])
    assert alone == pytest.approx(24 * 400, rel=0.01)


def test_where_nothing_waits_all_is_done_when_the_last_painting_under_way_is():
    short, long = (Underway(device, CLASSIC, (768, 512), steady(count)) for device, count in (("a", 390), ("b", 100)))
    assert until_all_is_done(Estimator([], [short, long]), [short, long], []) == pytest.approx(600.0)
    assert until_all_is_done(Estimator([]), [], []) == 0.0
