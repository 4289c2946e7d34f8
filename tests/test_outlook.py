"""Looking ahead in a house: what the ledger keeps of steps and paintings becomes the time that is left."""

import json

import pytest

from monet_watch.console import overview_json
from monet_watch.outlook import looking_ahead
from tests.rehearsal import Rehearsal


@pytest.fixture
def house(tmp_path):
    with Rehearsal(tmp_path, automatic=False, steps=40) as house:
        house.worker.ready()
        yield house


def outlook(house):
    return looking_ahead(house.ledger.overview(), house.ledger).outlook


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
