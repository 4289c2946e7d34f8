"""Who is to have a worker on a cluster, and who at home while it is away."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from monet_watch.roster import Kind, Seat, wanted

MOST = 4


def cluster(*given):
    """Seats on a cluster, as many as there may be; those that are not given have no worker."""
    seats = [Seat(number, Kind.CLUSTER) for number in range(MOST)]
    for number, facts in enumerate(given):
        seats[number] = replace(seats[number], **facts)
    return seats


IDLE = {"staffed": True, "ready": True}
BUSY = {**IDLE, "busy": True}
RESTED = {**IDLE, "rested": True}
COMING = {"staffed": True}
FAILED = {"staffed": True, "failed": True}
VACANT = {}
LOCAL = Seat(9, Kind.FALLBACK)


def test_devices_at_home_always_have_one():
    assert wanted([Seat(0, Kind.HOME), Seat(1, Kind.HOME)], 0) == {0, 1}


def test_as_many_are_hired_as_jobs_wait_and_no_more_than_there_may_be():
    assert wanted(cluster(), 0) == frozenset()
    assert wanted(cluster(), 2) == {0, 1}
    assert wanted(cluster(), 100) == {0, 1, 2, 3}


def test_those_who_are_free_or_on_their_way_count():
    assert wanted(cluster(BUSY, IDLE), 1) == {0, 1}
    assert wanted(cluster(BUSY, VACANT, COMING), 1) == {0, 2}


def test_one_that_was_idle_for_long_is_given_back_unless_there_is_work():
    assert wanted(cluster(RESTED, BUSY), 0) == {1}
    assert wanted(cluster(RESTED, BUSY), 1) == {0, 1}


def test_those_who_wait_for_room_are_given_up_when_nothing_waits_for_them():
    assert wanted(cluster(BUSY, COMING, COMING), 0) == {0}


def test_the_first_of_all_is_waited_for_without_any_work():
    assert wanted(cluster(COMING), 0) == {0}


def test_while_the_cluster_is_away_one_goes_on_trying_and_home_serves_where_there_is_work():
    seats = [*cluster(FAILED, COMING, COMING), LOCAL]
    assert wanted(seats, 3) == {0, 9}
    assert wanted(seats, 0) == {0}


def test_home_is_left_when_the_cluster_is_back_but_not_in_the_middle_of_a_painting():
    back = cluster(IDLE)
    assert wanted([*back, replace(LOCAL, staffed=True, ready=True)], 3) == {0, 1, 2}
    assert 9 in wanted([*back, replace(LOCAL, staffed=True, ready=True, busy=True)], 3)


@st.composite
def seats(draw):
    def seat(number, kind):
        staffed = draw(st.booleans())
        ready = staffed and draw(st.booleans())
        busy = ready and draw(st.booleans())
        rested = ready and not busy and draw(st.booleans())
        return Seat(number, kind, staffed, ready, busy, rested, failed=not ready and draw(st.booleans()))

    kinds = [Kind.CLUSTER] * draw(st.integers(1, 6)) + [Kind.FALLBACK] * draw(st.integers(0, 3))
    return [seat(number, kind) for number, kind in enumerate(kinds)]


@given(seats(), st.integers(0, 20))
def test_nobody_who_paints_is_sent_away_and_work_is_never_without_somebody_who_comes(seats, waiting):
    chosen = wanted(seats, waiting)
    assert {seat.number for seat in seats if seat.busy} <= chosen
    if waiting:
        assert chosen
    assert wanted(seats, waiting) == chosen
