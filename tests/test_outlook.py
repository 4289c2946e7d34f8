"""Looking ahead in a house: what the ledger keeps of steps and paintings becomes the time that is left."""

import json
from datetime import UTC

import pytest

from monet_watch.console import overview_json
from monet_watch.hours import ActiveHours, Range
from monet_watch.ledger import PAUSED_KEY
from monet_watch.outlook import looking_ahead
from tests.rehearsal import EPOCH, Rehearsal

ALWAYS = ActiveHours()


@pytest.fixture
def house(tmp_path):
    with Rehearsal(tmp_path, automatic=False, steps=40) as house:
        house.worker.ready()
        yield house


def outlook(house, hours=ALWAYS):
    return looking_ahead(house.ledger.overview(), house.ledger, hours, EPOCH).outlook


def test_while_nothing_is_measured_nothing_is_said(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.turn()
    found = outlook(house)
    assert (found.remaining_seconds, found.all_seconds) == ({}, None)


def test_the_pace_of_the_first_painting_tells_when_it_and_all_the_others_will_be_done(house):
    """The twin takes half a second for a step."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        house.drop(name, name.encode())
    house.rest()
    house.worker.begin()
    for _ in range(20):
        house.worker.step(1)
    house.turn()
    (job,) = house.ledger.running()
    found = outlook(house)
    assert found.curves[job.id] == tuple(step.loss for step in house.ledger.steps_taken(job.id))
    assert len(found.curves[job.id]) == 20
    own = found.remaining_seconds[job.id]
    assert own == pytest.approx(0.5 * (found.expected_steps[job.id] - 20))
    assert found.all_seconds > own


def test_what_paintings_took_is_known_after_a_restart(tmp_path):
    with Rehearsal(tmp_path) as house:
        house.drop("a.jpg")
        house.rest()
        assert [measure.last_step for measure in house.ledger.measures()] == [4]
    with Rehearsal(tmp_path, automatic=False) as house:
        house.drop("b.jpg", b"another photo")
        house.rest()
        assert outlook(house).all_seconds is not None


def test_status_and_the_view_are_given_the_same_times(house):
    house.drop("a.jpg")
    house.drop("b.jpg", b"another photo")
    house.rest()
    house.worker.begin()
    house.worker.step(3)
    house.turn()
    house.advance(5)
    assert house.view.overview.outlook == outlook(house)
    facts = overview_json(house.view.overview)
    assert facts["remaining_seconds"] == pytest.approx(outlook(house).all_seconds)
    assert facts["running"][0]["remaining_seconds"] == pytest.approx(*outlook(house).remaining_seconds.values())
    json.dumps(facts, allow_nan=False)


def test_what_is_left_includes_the_hours_in_which_painting_rests(house):
    """At 22:13:20, twenty seconds after the end of its hours, which go on at 23:13."""
    house.drop("a.jpg")
    house.drop("b.jpg", b"another photo")
    house.rest()
    house.worker.begin()
    house.worker.step(3)
    house.turn()
    at_any_hour = outlook(house)
    assert min(at_any_hour.all_seconds, *at_any_hour.remaining_seconds.values()) > 0
    over = outlook(house, ActiveHours((Range.parse("23:13-22:13"),), UTC))
    assert over.all_seconds == pytest.approx(at_any_hour.all_seconds + 59 * 60 + 40)
    for number, seconds in at_any_hour.remaining_seconds.items():
        assert over.remaining_seconds[number] == pytest.approx(seconds + 59 * 60 + 40)


def test_while_painting_is_paused_nobody_knows_when_it_is_done(house):
    house.drop("a.jpg")
    house.rest()
    house.worker.begin()
    house.worker.step(3)
    house.turn()
    assert outlook(house).all_seconds is not None
    house.ledger.note(PAUSED_KEY, str(EPOCH))
    assert (outlook(house).remaining_seconds, outlook(house).all_seconds) == ({}, None)
