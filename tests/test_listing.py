"""Photos by state, folder and time; and what is said of each to people and to programs."""

import io
import json
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from rich.console import Console

from monet_watch.errors import SettingsError
from monet_watch.ledger import Job, JobState, Ledger
from monet_watch.listing import job_facts, jobs_table, moment, states_named
from tests.rehearsal import Clock

NOW = datetime(2026, 5, 14, 12, 0).timestamp()
ALL = tuple(JobState)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    with Ledger.open(tmp_path / "ledger.sqlite3", clock) as ledger:
        yield ledger


def wait(ledger, *names):
    for name in names:
        ledger.wait(PurePosixPath(name), size=1, mtime_ns=1, reason="It was seen.")


def names(jobs):
    return [str(job.path) for job in jobs]


class TestListed:
    def test_what_changed_last_comes_first(self, ledger, clock):
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            clock.now += 10
            wait(ledger, name)
        clock.now += 10
        ledger.fail(ledger.known(PurePosixPath("a.jpg"))[0].id, kind="PhotoError", reason="", remedy="")

        assert names(ledger.listed(ALL)) == ["a.jpg", "c.jpg", "b.jpg"]
        assert names(ledger.listed(ALL, most=2)) == ["a.jpg", "c.jpg"]

    def test_only_the_states_that_are_asked_for_are_listed(self, ledger):
        wait(ledger, "a.jpg", "b.jpg")
        ledger.fail(ledger.known(PurePosixPath("a.jpg"))[0].id, kind="PhotoError", reason="", remedy="")

        assert names(ledger.listed((JobState.PROBLEM,))) == ["a.jpg"]
        assert names(ledger.listed((JobState.DONE, JobState.WAITING))) == ["b.jpg"]

    def test_a_folder_is_listed_with_all_that_lies_below_it_and_nothing_beside_it(self, ledger):
        wait(ledger, "trip/a.jpg", "trip/day 1/b.jpg", "trip", "trip2/c.jpg", "trip0.jpg", "tri/d.jpg", "trip.jpg")

        assert set(names(ledger.listed(ALL, PurePosixPath("trip")))) == {"trip/a.jpg", "trip/day 1/b.jpg"}

    def test_only_what_changed_since_then_is_listed(self, ledger, clock):
        wait(ledger, "old.jpg")
        clock.now += 100
        wait(ledger, "new.jpg")

        assert names(ledger.listed(ALL, since=clock.now)) == ["new.jpg"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("90min", 5400), ("12 h", 43200), ("1.5d", 129600), ("2w", 1209600)]
)
def test_a_moment_is_told_by_how_long_ago_it_is(text, seconds):
    assert moment(text, NOW) == NOW - seconds


def test_a_moment_is_told_by_a_date_in_local_time_or_as_it_says_itself():
    assert moment("2026-05-14", NOW) == NOW - 12 * 3600
    assert moment("2026-05-14T11:30", NOW) == NOW - 1800
    assert moment("2026-05-14T11:30+00:00", NOW) == datetime(2026, 5, 14, 11, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", ["", "soon", "3", "-2h", "3 fortnights", "2026-13-01", "9" * 400 + "w"])
def test_what_is_no_moment_is_refused_with_what_could_be_meant(text):
    if text.endswith("w"):
        assert moment(text, NOW) == float("-inf")  # before everything
        return
    with pytest.raises(SettingsError, match="3d or 2w"):
        moment(text, NOW)


def test_states_are_named_and_an_unknown_one_is_refused_with_all_that_there_are():
    assert states_named(["done", "problem"]) == (JobState.DONE, JobState.PROBLEM)
    assert states_named([]) == ALL
    with pytest.raises(SettingsError, match="'finished' is no state; name one of waiting, queued, running, done"):
        states_named(["finished"])


def test_a_table_tells_of_each_what_matters_and_nothing_that_steers_the_terminal():
    jobs = [
        Job(1, PurePosixPath("a.jpg"), JobState.DONE, 1, 1, loss=39.4, started_at=NOW - 720, finished_at=NOW),
        Job(2, PurePosixPath("b.jpg"), JobState.RUNNING, 1, 1, step=3, steps=150, loss=1234.0, started_at=NOW),
        Job(3, PurePosixPath("\x1b[2J[bold]c.jpg"), JobState.PROBLEM, 1, 1, reason="No\npicture.", finished_at=NOW),
        Job(4, PurePosixPath("d.jpg"), JobState.QUEUED, 1, 1, reason="No room.", queued_at=NOW, retry_at=NOW + 60),
    ]
    file = io.StringIO()
    Console(file=file, width=120, color_system=None).print(jobs_table(jobs, NOW))
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    assert lines[1:] == [
        "done 12:00 a.jpg loss 39.4, 12 min",
        "running 12:00 b.jpg step 3 of at most 150, loss 1234",
        "problem 12:00 \\x1b[2J[bold]c.jpg No\\npicture.",
        "queued 12:00 d.jpg tried again at 12:01: No room.",
    ]


def test_programs_get_every_fact_as_json_has_it():
    job = Job(7, PurePosixPath("a.jpg"), JobState.DONE, 1, 1, loss=3.5, started_at=NOW - 9, finished_at=NOW)
    facts = json.loads(json.dumps(job_facts(job), allow_nan=False))
    assert (facts["photo"], facts["job"], facts["state"], facts["loss"], facts["seconds"]) == (
        "a.jpg",
        7,
        "done",
        3.5,
        9.0,
    )
    assert datetime.fromisoformat(facts["finished_at"]).timestamp() == NOW
    assert facts["folder"] is facts["queued_at"] is None
