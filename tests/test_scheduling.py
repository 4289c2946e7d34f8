"""Which job goes to which worker: the stated rule, by example and by property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.scheduling import Assignment, Candidate, IdleWorker, Prospect, assign

SMALL, LARGE = 512 * 512.0, 4096 * 4096.0


def job(number: int, turn: int = 0, work: float = 100.0, pixels: float = SMALL, style: str = "", identity: str = ""):
    return Candidate(number, identity or f"identity {number}", (turn,), pixels, work, style)


def begun(candidates, idle, workers=None, prospect=None):
    """Which job begins at which place."""
    found = assign(candidates, idle, len(idle) if workers is None else workers, prospect)
    return {each.number: each.job_id for each in found}


TWO = (IdleWorker(0), IdleWorker(1))


# Which jobs begin.


def test_nobody_begins_before_those_whose_turn_comes_first():
    assert begun([job(1, turn=2, work=9000), job(2, turn=1), job(3, turn=1)], TWO) == {0: 2, 1: 3}


def test_the_first_queued_of_a_tie_comes_first():
    assert begun([job(7), job(3), job(5)], [IdleWorker(0)], workers=3) == {0: 7}


def test_the_longest_of_a_tie_comes_first_where_others_paint_too():
    assert begun([job(1, work=10), job(2, work=1000), job(3, work=100)], [IdleWorker(0)], workers=2) == {0: 2}


def test_the_quickest_of_a_tie_comes_first_at_a_worker_that_paints_alone():
    assert begun([job(1, work=100), job(2, work=10), job(3, work=1000)], [IdleWorker(0)], workers=1) == {0: 2}


def test_of_what_takes_about_as_long_that_comes_first_whose_style_the_worker_holds():
    monet = IdleWorker(0, styles=frozenset({"monet"}))
    assert begun([job(1, work=100, style="turner"), job(2, work=101, style="monet")], [monet], workers=2) == {0: 2}


def test_a_worker_leaves_to_another_the_job_whose_style_that_one_holds():
    monet, turner = IdleWorker(0, styles=frozenset({"monet"})), IdleWorker(1, styles=frozenset({"turner"}))
    jobs = [job(1, style="turner"), job(2, style="hokusai"), job(3, style="monet")]
    assert begun(jobs, (monet, turner)) == {0: 3, 1: 1}


def test_a_style_that_is_held_is_no_reason_to_let_a_turn_pass():
    monet = IdleWorker(0, styles=frozenset({"monet"}))
    assert begun([job(1, turn=1, style="turner"), job(2, turn=2, style="monet")], [monet], workers=2) == {0: 1}


def test_a_small_device_takes_what_it_can_paint_in_one_piece_out_of_a_tie():
    small = IdleWorker(0, largest=SMALL)
    assert begun([job(1, pixels=LARGE, work=9000), job(2)], [small], workers=2) == {0: 2}


def test_a_picture_that_is_too_large_for_the_only_device_is_begun_there_all_the_same():
    assert begun([job(1, pixels=LARGE)], [IdleWorker(0, largest=SMALL)]) == {0: 1}


def test_of_two_copies_one_begins():
    assert begun([job(1, identity="same"), job(2, identity="same"), job(3)], TWO) == {0: 1, 1: 3}


def test_a_job_goes_to_another_worker_than_that_which_died_of_it_whose_own_turn_is_the_next_job():
    blamed = IdleWorker(0, failed=frozenset({1}))
    assert begun([job(1, turn=1), job(2, turn=2)], [blamed], workers=2) == {0: 2}
    assert begun([job(1, turn=1), job(2, turn=2)], [blamed, IdleWorker(1)]) == {0: 2, 1: 1}
    assert begun([job(1)], [blamed], workers=2) == {}


def test_where_there_is_no_other_worker_a_job_goes_to_that_which_died_of_it():
    assert begun([job(1)], [IdleWorker(0, failed=frozenset({1}))]) == {0: 1}


SLOW = IdleWorker(0, speed=1.0)
MIXED = [job(1, work=1000), job(2, work=10), job(3, work=100)]


def test_a_slow_worker_takes_the_longest_as_long_as_the_queue_outlasts_it():
    """A thousand seconds there; the queue is empty after 990, and others do it in ten."""
    assert begun(MIXED, [SLOW], 9, Prospect(seconds=990.0, speed=100.0)) == {0: 1}
    assert begun(MIXED, [SLOW], 9) == {0: 1}


def test_a_slow_worker_leaves_to_others_what_it_would_be_at_when_all_else_is_done():
    assert begun(MIXED, [SLOW], 9, Prospect(seconds=980.0, speed=100.0)) == {0: 3}
    assert begun(MIXED, [SLOW], 9, Prospect(seconds=0.0, speed=100.0)) == {0: 2}


def test_a_slow_worker_is_not_left_idle_and_lets_no_turn_pass_for_that():
    assert begun([job(1, turn=1, work=1000), job(2, turn=2, work=10)], [SLOW], 9, Prospect(0.0, 100.0)) == {0: 1}


def test_one_that_is_as_fast_as_the_others_takes_the_longest_to_the_end():
    assert begun(MIXED, [IdleWorker(0, speed=100.0)], 9, Prospect(seconds=0.0, speed=100.0)) == {0: 1}


# Who paints which.


def test_the_longest_goes_to_the_fastest():
    workers = (IdleWorker(0, speed=10.0), IdleWorker(1, speed=100.0))
    assert begun([job(1, work=100), job(2, work=1000)], workers) == {0: 1, 1: 2}


def test_the_largest_picture_goes_to_the_device_that_fits_it_whoever_s_turn_was_first():
    workers = (IdleWorker(0, speed=10.0, largest=SMALL), IdleWorker(1, speed=10.0, largest=LARGE))
    jobs = [job(1, turn=1, work=100), job(2, turn=2, pixels=LARGE, work=9000)]
    assert begun(jobs, workers) == {0: 1, 1: 2}
    assert begun([replace(jobs[0], turn=(2,)), replace(jobs[1], turn=(1,))], workers) == {0: 1, 1: 2}


def test_tiles_on_a_fast_device_are_better_than_one_piece_on_a_slow_one():
    workers = (IdleWorker(0, speed=1.0), IdleWorker(1, speed=30.0, largest=SMALL))
    assert begun([job(1), job(2, pixels=LARGE, work=9000)], workers) == {0: 1, 1: 2}


def test_of_devices_that_are_about_as_fast_that_one_gets_a_job_which_holds_its_style():
    workers = (
        IdleWorker(0, speed=100.0, styles=frozenset({"monet"})),
        IdleWorker(1, speed=101.0, styles=frozenset({"turner"})),
    )
    assert begun([job(1, style="monet"), job(2, style="turner")], workers) == {0: 1, 1: 2}


# Whatever is queued, and whoever is idle.

amounts = st.floats(1.0, 1e12)
candidates = st.lists(
    st.builds(
        Candidate,
        job_id=st.integers(1, 10_000),
        identity=st.sampled_from("abcdefghijkl"),
        turn=st.tuples(st.integers(-2, 2), st.integers(0, 3)),
        pixels=amounts,
        work=amounts,
        style=st.sampled_from(["", "monet", "turner"]),
    ),
    max_size=12,
    unique_by=lambda each: each.job_id,
)
idle_workers = st.lists(
    st.builds(
        IdleWorker,
        number=st.integers(0, 100),
        speed=st.none() | amounts,
        largest=st.none() | amounts,
        styles=st.frozensets(st.sampled_from(["monet", "turner"])),
    ),
    max_size=8,
    unique_by=lambda each: each.number,
)
prospects = st.none() | st.builds(Prospect, seconds=st.just(0.0) | amounts, speed=amounts)


@given(candidates, idle_workers, st.integers(0, 5), prospects)
def test_no_worker_stays_idle_while_there_is_a_job_that_is_not_a_copy(jobs, idle, busy, prospect):
    found = assign(jobs, idle, len(idle) + busy, prospect)
    assert len(found) == min(len(idle), len({each.identity for each in jobs}))
    assert len({each.number for each in found} & {each.number for each in idle}) == len(found)


@given(candidates, idle_workers, st.integers(1, 5), st.data())
def test_no_job_is_begun_again_where_a_worker_died_of_it_and_nobody_else_waits_for_that(jobs, idle, busy, data):
    """Each job has failed at one place at the most: the last one counts."""
    numbers = st.sampled_from([each.number for each in idle]) if idle else st.none()
    failed = {each.job_id: data.draw(numbers) for each in jobs[::2]}
    blamed = [
        replace(each, failed=frozenset(job_id for job_id, number in failed.items() if number == each.number))
        for each in idle
    ]
    found = assign(jobs, blamed, len(idle) + busy)
    assert all(failed.get(each.job_id) != each.number for each in found)
    others = {each.identity for each in jobs if each.job_id not in failed}
    assert len(found) >= min(len(idle), len(others))


@given(candidates, idle_workers, st.integers(0, 5))
def test_no_job_is_begun_twice_and_of_copies_one(jobs, idle, busy):
    by_id = {each.job_id: each for each in jobs}
    identities = [by_id[each.job_id].identity for each in assign(jobs, idle, len(idle) + busy)]
    assert len(set(identities)) == len(identities)


@given(candidates, idle_workers, st.integers(0, 5), prospects)
def test_no_turn_is_passed_over_but_by_a_copy_that_begins(jobs, idle, busy, prospect):
    """Priority is the first part of a turn: it is never inverted."""
    by_id = {each.job_id: each for each in jobs}
    first = [by_id[each.job_id] for each in assign(jobs, idle, len(idle) + busy, prospect)]
    assert [each.turn for each in first] == sorted(each.turn for each in first)
    begun_identities = {each.identity for each in first}
    for left in jobs:
        if left.identity not in begun_identities:
            assert all(each.turn <= left.turn for each in first)


@given(candidates, idle_workers, st.randoms())
def test_the_same_is_decided_in_whatever_order_the_workers_and_the_turns_are_told(jobs, idle, chance):
    told = sorted(jobs, key=lambda each: each.turn)
    shuffled = sorted(idle, key=lambda each: chance.random())
    assert assign(told, shuffled, len(idle)) == assign(jobs, idle, len(idle))


@given(candidates, idle_workers)
def test_who_is_begun_first_never_depends_on_what_comes_after_its_tie(jobs, idle):
    """A later drop takes no worker from an earlier one."""
    for cut in sorted({each.turn for each in jobs}):
        early = [each for each in jobs if each.turn <= cut]
        known = {each.job_id for each in assign(early, idle, 9)}
        assert known <= {each.job_id for each in assign(jobs, idle, 9)}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_an_empty_queue_leaves_everybody_idle(count):
    assert assign([], [IdleWorker(number) for number in range(count)], count) == ()
    assert assign([job(1)], [], count) == ()
    assert Assignment(0, 1) == assign([job(1)], [IdleWorker(0)], 1)[0]
