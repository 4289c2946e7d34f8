"""Hours of painting: local time, across midnight, and across every change of the clocks."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monet_watch.hours import ActiveHours, Range

BERLIN, LORD_HOWE, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")
ZONES = (BERLIN, LORD_HOWE, ZoneInfo("America/St_Johns"), ZoneInfo("Africa/Casablanca"), UTC_ZONE)
# Around these moments clocks are set forward and back.
CHANGES = {
    BERLIN: (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    LORD_HOWE: (datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC)),
}


def hours(*texts, zone=BERLIN):
    return ActiveHours(tuple(Range.parse(text) for text in texts), zone)


def at(text, zone=BERLIN, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def active_stretches(wanted, start, end):
    """The stretches between two moments in which painting is wanted, found by asking every minute."""
    found, since = [], None
    for moment in range(int(start), int(end) + 60, 60):
        if wanted.active(moment) and since is None:
            since = moment
        elif not wanted.active(moment) and since is not None:
            found.append((since, moment))
            since = None
    return found


@pytest.mark.parametrize(
    ("moment", "active"),
    [
        ("2026-11-25 21:59:59", False),
        ("2026-11-25 22:00:00", True),
        ("2026-11-26 00:00:00", True),
        ("2026-11-26 06:59:59", True),
        ("2026-11-26 07:00:00", False),
        ("2026-11-26 12:00:00", False),
    ],
)
def test_a_range_goes_across_midnight_and_ends_before_its_end(moment, active):
    assert hours("22:00-07:00").active(at(moment)) is active


def test_without_ranges_it_is_always_the_hour():
    assert ActiveHours().active(0.0)
    assert ActiveHours().next_start(5.0) == 5.0


def test_of_several_ranges_any_counts():
    both = hours("12:00-13:00", "22:00-07:00")
    assert both.active(at("2026-11-25 12:30"))
    assert both.active(at("2026-11-25 23:00"))
    assert not both.active(at("2026-11-25 13:00"))
    assert both.next_start(at("2026-11-25 08:00")) == at("2026-11-25 12:00")
    assert both.next_start(at("2026-11-25 14:00")) == at("2026-11-25 22:00")


def test_the_end_of_a_day_can_be_written_as_24_00():
    evening = hours("18:00-24:00")
    assert evening.active(at("2026-11-25 23:59:59"))
    assert not evening.active(at("2026-11-26 00:00"))
    assert hours("00:00-24:00").active(at("2026-11-26 00:00"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "such as 22:00-07:00"),
        ("22-7", "such as 22:00-07:00"),
        ("22:00", "such as 22:00-07:00"),
        ("25:00-07:00", "no clock shows"),
        ("24:00-07:00", "no clock shows"),
        ("22:00-07:60", "no clock shows"),
        ("22:00-24:01", "no clock shows"),
        ("07:00-07:00", "ends when it begins"),
    ],
)
def test_what_is_no_range_is_refused_with_advice(text, words):
    with pytest.raises(ValueError, match=words):
        Range.parse(text)


def test_the_night_on_which_clocks_are_set_forward_is_an_hour_shorter():
    wanted = hours("22:00-07:00")
    (night,) = active_stretches(wanted, at("2026-03-28 12:00"), at("2026-03-29 12:00"))
    assert night == (at("2026-03-28 22:00"), at("2026-03-29 07:00"))
    assert night[1] - night[0] == 8 * 3600


def test_the_night_on_which_clocks_are_set_back_is_an_hour_longer():
    wanted = hours("22:00-07:00")
    (night,) = active_stretches(wanted, at("2026-10-24 12:00"), at("2026-10-25 12:00"))
    assert night[1] - night[0] == 10 * 3600


def test_a_time_that_clocks_show_twice_begins_with_the_first_and_ends_with_the_last():
    assert active_stretches(hours("02:30-04:00"), at("2026-10-24 12:00"), at("2026-10-25 12:00")) == [
        (at("2026-10-25 02:30", fold=0), at("2026-10-25 04:00"))
    ]
    assert active_stretches(hours("01:00-02:30"), at("2026-10-24 12:00"), at("2026-10-25 12:00")) == [
        (at("2026-10-25 01:00"), at("2026-10-25 02:30", fold=1))
    ]


def test_a_time_that_clocks_skip_stands_for_the_moment_of_the_skip():
    skip = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    assert active_stretches(hours("02:30-04:00"), skip - 43200, skip + 43200) == [(skip, at("2026-03-29 04:00"))]
    assert active_stretches(hours("01:00-02:30"), skip - 43200, skip + 43200) == [(at("2026-03-29 01:00"), skip)]


def test_a_range_that_clocks_skip_wholly_comes_on_the_next_night():
    wanted = hours("02:10-02:50")
    noon = at("2026-03-28 12:00")
    assert active_stretches(wanted, noon, noon + 86400) == []
    assert wanted.next_start(noon) == at("2026-03-30 02:10")


def test_half_an_hour_is_skipped_where_half_an_hour_is_skipped():
    skip = CHANGES[LORD_HOWE][0].timestamp()
    wanted = hours("02:15-05:00", zone=LORD_HOWE)
    assert active_stretches(wanted, skip - 43200, skip + 43200) == [(skip, at("2026-10-04 05:00", LORD_HOWE))]


MINUTES = st.integers(0, 24 * 60 - 1)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda each: each.replace(tzinfo=UTC)) | (
    st.tuples(
        st.sampled_from([change for both in CHANGES.values() for change in both]), st.integers(-90000, 90000)
    ).map(lambda each: each[0] + timedelta(seconds=each[1]))
)
SOME_HOURS = st.builds(
    lambda pairs, zone: ActiveHours(tuple(Range(*pair) for pair in pairs), zone),
    st.lists(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=3),
    st.sampled_from(ZONES),
)


@given(SOME_HOURS, MOMENTS)
@settings(max_examples=300, deadline=None)
def test_at_a_time_that_clocks_show_once_the_clock_on_the_wall_decides(wanted, moment):
    shown = moment.astimezone(wanted.zone)
    bare = shown.replace(tzinfo=None)
    offsets = {bare.replace(tzinfo=wanted.zone, fold=fold).utcoffset() for fold in (0, 1)}
    assume(len(offsets) == 1)
    minute = shown.time().hour * 60 + shown.time().minute

    def within(start, end):
        return start <= minute < end if start < end else minute >= start or minute < end

    assert wanted.active(moment.timestamp()) == any(within(each.start, each.end) for each in wanted.ranges)


@given(SOME_HOURS, MOMENTS)
@settings(max_examples=200, deadline=None)
def test_the_next_start_is_the_first_active_moment(wanted, moment):
    now = moment.timestamp()
    start = wanted.next_start(now)
    assert start >= now
    assert wanted.active(start)
    assert start == now or not wanted.active(start - 1)
    for share in (0, 0.25, 0.5, 0.75):
        assert start == now or not wanted.active(now + share * (start - 1 - now))


def test_seconds_of_wanted_hours_are_counted_across_the_rests_between_them():
    nights = hours("22:00-07:00")
    assert nights.after(at("2026-11-25 23:00"), 3600) == at("2026-11-26 00:00")
    assert nights.after(at("2026-11-25 12:00"), 3600) == at("2026-11-25 23:00")
    assert nights.after(at("2026-11-26 06:00"), 2 * 3600) == at("2026-11-26 23:00")
    assert nights.after(at("2026-11-26 06:00"), 20 * 3600) == at("2026-11-28 23:00")
    assert hours().after(at("2026-11-26 06:00"), 20 * 3600) == at("2026-11-27 02:00")


@given(SOME_HOURS, MOMENTS, st.integers(60, 86400))
@settings(max_examples=30, deadline=None)
def test_as_many_seconds_are_wanted_until_then_as_were_asked_for(wanted, moment, seconds):
    now = int(moment.timestamp() / 60) * 60.0
    then = wanted.after(now, seconds)
    assume(then < now + 4 * 86400)
    whole = int(then / 60) * 60
    counted = sum(60 * wanted.active(minute) for minute in range(int(now), whole, 60))
    counted += (then - whole) * wanted.active(whole)
    assert counted == pytest.approx(seconds, abs=60)  # clocks are set within a minute


@pytest.mark.parametrize("texts", [("22:00-07:00",), ("00:00-06:00", "05:00-09:00")])
def test_what_takes_months_is_known_to_the_day(texts):
    """Nine hours a day: so many times nine hours are so many days."""
    start = at("2026-11-25 12:00")
    assert hours(*texts).after(start, 100 * 9 * 3600) == pytest.approx(start + 100 * 86400, abs=86400)


@given(st.sampled_from(list(CHANGES)), st.integers(0, 1), MINUTES, MINUTES)
@settings(max_examples=10, deadline=None)
def test_a_change_of_the_clocks_makes_no_night_begin_twice(zone, which, start, end):
    assume(start != end)
    change = int(CHANGES[zone][which].timestamp())
    stretches = active_stretches(ActiveHours((Range(start, end),), zone), change - 86400, change + 86400)
    assert all(second[0] - first[0] > 22 * 3600 for first, second in pairwise(stretches[1:]))
    assert len(stretches) <= 3


def test_the_machines_own_time_is_used_where_no_zone_is_named(monkeypatch):
    noon = datetime.combine(datetime(2026, 6, 1), time(12)).timestamp()
    assert ActiveHours((Range.parse("11:00-13:00"),)).active(noon)
    assert not ActiveHours((Range.parse("13:00-11:00"),)).active(noon)
