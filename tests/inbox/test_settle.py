"""A photo is whole when it has rested."""

import heapq
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monet_watch.inbox.settle import FileFacts, Gone, Settling, StillChanging, Whole

PATH = PurePosixPath("a/x.jpg")
OTHER = PurePosixPath("b/y.jpg")

seconds = st.floats(0, 1000, allow_nan=False)
rests = st.floats(0.01, 60, allow_nan=False)


def facts(size: int = 10, mtime_ns: int = 0, inode: int = 1) -> FileFacts:
    return FileFacts(size, mtime_ns, inode)


def whole_at(settling: Settling, seen: FileFacts, path: PurePosixPath = PATH) -> float:
    """When a file that does not change any more becomes whole, if every look is taken as it comes due."""
    while (now := settling.next_due()) is not None:
        assert path in settling.due(now)
        if isinstance(settling.looked(path, seen, now), Whole):
            return now
    raise AssertionError("nothing is waited for, and it was never whole")


def test_a_file_is_whole_after_the_rest_and_not_before():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    assert settling.looked(PATH, facts(), 101.9) == StillChanging(PATH, 102)
    assert settling.due(101.9) == []
    assert settling.due(102) == [PATH]
    assert settling.looked(PATH, facts(), 102) == Whole(PATH, facts())
    assert PATH not in settling
    assert settling.next_due() is None


def test_what_is_taken_to_be_read_is_waited_for_no_longer():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    assert settling.facts(PATH) == facts()
    assert settling.take(PATH) == facts()
    assert PATH not in settling
    assert settling.due(102) == []


@pytest.mark.parametrize("changed", [facts(size=11), facts(mtime_ns=-5), facts(inode=2)])
def test_any_change_starts_the_rest_anew(changed):
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    assert settling.looked(PATH, changed, 102) == StillChanging(PATH, 104)
    assert settling.looked(PATH, changed, 104) == Whole(PATH, changed)


def test_the_same_facts_seen_by_a_scan_change_nothing():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    settling.saw(PATH, facts(), 101.5)
    assert settling.next_due() == 102


def test_a_close_event_shortens_the_rest_to_a_quarter():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    settling.saw(PATH, facts(), 101, closed=True)
    assert whole_at(settling, facts()) == 101.5


def test_a_close_event_never_makes_the_rest_longer():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    settling.saw(PATH, facts(), 101.9, closed=True)
    assert whole_at(settling, facts()) == 102


def test_a_file_that_was_moved_into_place_rests_a_quarter():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100, closed=True)
    assert whole_at(settling, facts()) == 100.5


def test_a_write_after_the_close_event_starts_the_whole_rest_anew():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100, closed=True)
    settling.saw(PATH, facts(size=20), 100.2)
    assert whole_at(settling, facts(size=20)) == 102.2


def test_a_file_that_vanishes_is_gone_and_not_waited_for():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    assert settling.looked(PATH, None, 101) == Gone(PATH)
    assert len(settling) == 0
    settling.gone(PATH)  # told again by an event


def test_a_look_at_a_file_that_nobody_waits_for_begins_to_wait():
    settling = Settling(2)
    assert settling.looked(PATH, facts(), 100) == StillChanging(PATH, 102)


def test_a_path_stays_due_until_the_result_of_its_look_is_told():
    settling = Settling(2)
    settling.saw(PATH, facts(), 100)
    settling.saw(OTHER, facts(), 101)
    assert settling.due(110) == settling.due(110) == [PATH, OTHER]


def test_a_truncated_photo_waits_two_four_and_eight_times_as_long_and_then_counts_as_damaged():
    settling = Settling(3)
    now = 100.0
    for times in (2, 4, 8):
        assert settling.truncated(PATH, facts(), now)
        now, before = whole_at(settling, facts()), now
        assert now - before == 3 * times
    assert not settling.truncated(PATH, facts(), now)
    assert PATH not in settling


def test_a_change_ends_the_pause_of_a_truncated_photo_and_starts_the_count_anew():
    settling = Settling(3)
    settling.truncated(PATH, facts(), 100)
    settling.truncated(PATH, facts(), whole_at(settling, facts()))
    settling.saw(PATH, facts(size=20), 120)
    assert whole_at(settling, facts(size=20)) == 123
    assert settling.truncated(PATH, facts(size=20), 123)
    assert whole_at(settling, facts(size=20)) == 129


def test_a_close_event_ends_the_pause_of_a_truncated_photo():
    settling = Settling(4)
    settling.truncated(PATH, facts(), 100)
    settling.saw(PATH, facts(), 101, closed=True)
    assert whole_at(settling, facts()) == 102


def test_a_truncated_photo_that_was_replaced_meanwhile_goes_on_resting():
    settling = Settling(2)
    settling.saw(PATH, facts(size=20), 100)
    assert settling.truncated(PATH, facts(), 101)
    assert whole_at(settling, facts(size=20)) == 102


def test_a_photo_that_comes_back_after_it_was_gone_has_all_its_patience_again():
    settling = Settling(2)
    for _ in range(3):
        settling.truncated(PATH, facts(), 100)
    settling.gone(PATH)
    assert settling.truncated(PATH, facts(), 100)


def test_an_empty_file_is_never_whole_and_is_looked_at_ever_more_rarely():
    settling = Settling(2)
    settling.saw(PATH, facts(size=0), 0)
    pauses, now = [], 0.0
    while now < 1000:
        due = settling.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert isinstance(settling.looked(PATH, facts(size=0), now), StillChanging)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


def test_an_empty_file_that_is_filled_becomes_whole():
    settling = Settling(2)
    settling.saw(PATH, facts(size=0), 0)
    for _ in range(5):
        settling.looked(PATH, facts(size=0), settling.next_due() or 0)
    settling.saw(PATH, facts(size=9), 50)
    assert whole_at(settling, facts(size=9)) == 52


def test_only_empty_files_at_rest_are_left_when_nothing_is_changing():
    settling = Settling(2)
    assert not settling.changing
    settling.saw(PATH, facts(size=0), 100)
    settling.saw(OTHER, facts(), 100)
    assert settling.changing
    settling.looked(OTHER, facts(), 102)
    assert settling.changing, "the empty one has not rested yet"
    assert not settling.stays_empty(PATH)
    settling.looked(PATH, facts(size=0), 102)
    assert not settling.changing
    assert settling.stays_empty(PATH)
    assert len(settling) == 1
    settling.saw(PATH, facts(size=0), 103, closed=True)
    assert not settling.changing
    settling.saw(PATH, facts(size=5), 104)
    assert settling.changing
    assert not settling.stays_empty(PATH)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_rest_that_is_no_length_of_time_is_refused(wrong):
    with pytest.raises(ValueError, match="settle_seconds"):
        Settling(wrong)


@st.composite
def histories(draw):
    """For each of a few files: the moments at which it changes, and whether each change is told by an event."""
    files = draw(st.integers(1, 4))
    moments = st.lists(st.tuples(seconds, st.booleans(), st.booleans()), min_size=1, max_size=8)
    return {PurePosixPath(f"{number}.jpg"): sorted(draw(moments)) for number in range(files)}


def play(settling, history):
    """Let the files change as told and take every look as it comes due. Return every `Whole`, with its moment."""
    state, whole = {}, []
    changes = [(when, path, told, closed) for path, moments in history.items() for when, told, closed in moments]
    heapq.heapify(changes)
    while changes or settling.next_due() is not None:
        due = settling.next_due()
        if changes and (due is None or changes[0][0] <= due):
            now, path, told, closed = heapq.heappop(changes)
            first = path not in state
            state[path] = facts(size=state[path].size + 1 if path in state else 1)
            if told or first:
                settling.saw(path, state[path], now, closed)
            continue
        for path in settling.due(due):
            looked = settling.looked(path, state[path], due)
            whole += [(due, path, looked.facts)] if isinstance(looked, Whole) else []
    return whole, state


@given(histories(), rests)
def test_every_file_that_stops_changing_is_whole_in_its_last_state_exactly_once(history, rest):
    for moments in history.values():
        when, _, closed = moments[-1]
        moments[-1] = (when, True, closed)  # a change that nothing tells of is the scan's matter
    whole, state = play(Settling(rest), history)
    last = [(path, seen) for _, path, seen in whole if seen == state[path]]
    assert sorted(map(str, last)) == sorted(map(str, state.items()))


@given(histories(), rests)
def test_nothing_is_whole_within_a_quarter_of_the_rest_after_a_change_that_was_told(history, rest):
    whole, _ = play(Settling(rest), history)
    told = [(when, path) for path, moments in history.items() for when, told, _ in moments if told]
    for at, path in told:
        assert not any(at < moment < at + rest * 0.249 for moment, other, _ in whole if other == path)


@given(rests, st.integers(1, 200), st.floats(0.01, 0.99))
def test_a_file_that_keeps_changing_is_never_whole(rest, changes, share):
    settling = Settling(rest)
    now = 0.0
    for size in range(1, changes + 1):
        settling.saw(PATH, facts(size), now)
        now += rest * share
        assert not isinstance(settling.looked(PATH, facts(size), now), Whole)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["saw", "closed", "look", "gone", "truncated"]))), rests)
def test_everything_that_is_waited_for_has_a_look_to_come(steps, rest):
    settling = Settling(rest)
    for now, (number, what) in enumerate(steps):
        path, seen = PurePosixPath(f"{number}.jpg"), facts(size=number)
        match what:
            case "saw" | "closed":
                settling.saw(path, seen, now, closed=what == "closed")
            case "look":
                settling.looked(path, seen, now)
            case "gone":
                settling.gone(path)
            case _:
                settling.truncated(path, seen, now)
        assert (settling.next_due() is None) == (len(settling) == 0)
        assert len(settling.due(float("inf"))) == len(settling)
