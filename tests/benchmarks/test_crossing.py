"""The first step that is good enough is found by looking at few of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.time_to_picture import crossing, summary


@given(steps=st.integers(1, 500), first=st.integers(1, 500))
def test_where_the_loss_falls_it_is_the_first_one_and_the_step_before_was_looked_at(steps, first):
    found = crossing(lambda step: float(first - step), steps, target=0.0)

    assert found.step == (first if first <= steps else None)
    assert steps in found.judged
    assert found.step in (None, 1) or found.judged[found.step - 1] > 0
    assert len(found.judged) < 40


@given(losses=st.lists(st.floats(0, 100), min_size=1, max_size=60), target=st.floats(0, 100))
def test_whatever_the_losses_it_reaches_the_target_and_the_step_before_does_not(losses, target):
    found = crossing(lambda step: losses[step - 1], len(losses), target)

    if found.step is None:
        assert losses[-1] > target
    else:
        assert losses[found.step - 1] <= target
        assert found.step == 1 or losses[found.step - 2] > target


def result(name, reached, seconds):
    return {
        "name": name, "seconds": seconds, "reached_step": None if reached is None else 3, "reached_seconds": reached,
        "end": None, "delivered": 50.0, "peak_bytes": 2**30,
    }  # fmt: skip


def pair_of(tutorial, swift):
    contenders = [
        result("plain script", 90.0, [50.0, 100.0]),
        result("tutorial, lr 1", tutorial, [1.0]),
        result("swift", swift, [1.0]),
    ]
    return {"contenders": contenders}


def test_the_summary_holds_medians_of_each_pair_s_ratios():
    plain, tutorial, swift = summary([pair_of(20.0, 2.0), pair_of(30.0, 4.0), pair_of(30.0, 5.0)])

    assert plain.by_plain == pytest.approx(100 / 90)
    assert (tutorial.seconds, tutorial.by_tutorial) == (30.0, 1.0)
    assert (swift.seconds, swift.by_plain, swift.by_tutorial) == (4.0, 25.0, 7.5)


def test_a_contender_that_never_gets_there_takes_for_ever():
    _, tutorial, swift = summary([pair_of(None, 4.0)])

    assert (tutorial.seconds, tutorial.by_plain) == (float("inf"), 0.0)
    assert swift.by_tutorial == float("inf")
