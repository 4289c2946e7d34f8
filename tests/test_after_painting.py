"""The command of after_painting is run once for each painting, and its record says what became of it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monet_watch.after_painting import SINCE_NAME, AfterPainting
from monet_watch.clerk import Office
from monet_watch.config import load_config
from monet_watch.errors import OutboxError
from monet_watch.notices import Notice
from monet_watch.outbox.files import write_whole
from monet_watch.outbox.record import CommandFacts, PaintingRecord
from tests.end_to_end.house import wait_until
from tests.rehearsal import Rehearsal

APPEND = (sys.executable, "-c", "import os; open('../runs', 'a').write(os.environ['MONET_WATCH_PHOTO'] + '\\n')")


class Desk:
    """The command of a house in which painting takes no time; each desk is a start of its own."""

    def __init__(self, house: Rehearsal, command: tuple[str, ...] = APPEND, seconds: float = 60.0) -> None:
        settings = {"after_painting": list(command), "after_painting_seconds": seconds}
        config = load_config(None, {"inbox": house.inbox, "outbox": house.outbox, **settings})
        self.told: list[Notice] = []
        self.house = house
        self.office = Office(config, house.folder / "ledger.sqlite3", self.told.append, once=True)
        self.after = AfterPainting(self.office, house.folder, os.environ)

    def hear(self) -> None:
        for notice in self.house.notices:
            self.after.heard(notice)

    def finish(self) -> None:
        self.after.end()
        wait_until(lambda: self.after.ended, "the commands")


@pytest.fixture
def house(tmp_path) -> Iterator[Rehearsal]:
    with Rehearsal(tmp_path) as house:
        since(house, 0.0)
        yield house


def since(house: Rehearsal, at: float) -> None:
    """The setting is there since ``at``: the house's clock is not that of the machine."""
    (house.folder / SINCE_NAME).write_text(json.dumps({"since": at}))


def runs(house: Rehearsal) -> list[str]:
    file = house.outbox / "runs"
    return [Path(line).name for line in file.read_text().splitlines()] if file.exists() else []


def paint(house: Rehearsal, *names: str) -> None:
    for name in names:
        house.drop(name, name.encode())
        house.rest()


def test_it_is_run_once_for_each_painting_in_their_order_and_not_again_by_another_start(house):
    paint(house, "b.jpg", "a.jpg")
    desk = Desk(house)
    desk.hear()
    desk.hear()
    desk.finish()
    Desk(house).finish()
    assert runs(house) == ["b.jpg", "a.jpg"]
    facts = house.record("a").after_painting
    assert facts is not None
    assert (facts.outcome, facts.status, facts.output) == ("ended", 0, ())
    assert [(notice.event, notice.photo) for notice in desk.told] == [
        ("after-painting", "b.jpg"),
        ("after-painting", "a.jpg"),
    ]


def test_what_was_painted_before_a_kill_and_not_begun_is_run_by_the_next_start(house):
    paint(house, "a.jpg")  # nobody heard of it
    Desk(house).finish()
    assert runs(house) == ["a.jpg"]


def test_a_painting_whose_record_cannot_be_written_keeps_no_other_waiting_and_stays_due(house, monkeypatch):
    def refusing(path: Path, data: bytes) -> None:
        if path.parent.name == "a":
            raise OutboxError(f"{path} cannot be written.", "Grant the right.")
        write_whole(path, data)

    paint(house, "a.jpg", "b.jpg")
    with monkeypatch.context() as patch:
        patch.setattr("monet_watch.after_painting.write_whole", refusing)
        desk = Desk(house)
        desk.finish()
    assert runs(house) == ["b.jpg"]
    assert [notice.event for notice in desk.told] == ["after-painting", "problem"]
    Desk(house).finish()
    assert runs(house) == ["b.jpg", "a.jpg"]


def test_one_that_was_begun_before_a_kill_is_not_run_again_and_the_record_says_so(house):
    paint(house, "a.jpg")
    place = house.outbox / "a" / "painting.json"
    begun = CommandFacts(program="upload", started="2026-01-01T00:00:00+00:00", outcome="running")
    place.write_bytes(house.record("a").model_copy(update={"after_painting": begun}).to_bytes())
    desk = Desk(house)
    desk.finish()
    assert runs(house) == []
    facts = house.record("a").after_painting
    assert facts is not None and facts.outcome == "interrupted"
    assert "`upload` was interrupted" in desk.told[0].text


def test_what_was_painted_before_the_setting_was_there_is_not_due(house):
    paint(house, "a.jpg")
    (house.folder / SINCE_NAME).unlink()
    Desk(house).finish()
    assert runs(house) == []


def test_without_a_command_what_is_painted_is_not_kept_for_a_later_one(house):
    Desk(house, ()).finish()
    assert not (house.folder / SINCE_NAME).exists()


def test_a_copy_is_a_painting_of_its_own(house):
    house.drop("a.jpg", b"one")
    house.rest()
    Desk(house).finish()
    house.drop("copy.jpg", b"one")
    house.rest()
    assert house.record("copy").after_painting is None
    Desk(house).finish()
    assert runs(house) == ["a.jpg", "copy.jpg"]


@pytest.mark.parametrize(
    ("command", "seconds", "outcome", "status", "words"),
    [
        (("sh", "-c", "echo no room >&2; exit 3"), 60.0, "ended", 3, "exit status 3"),
        (("sh", "-c", "echo still there; sleep 1000"), 0.5, "killed", -9, "more than 0.5 s"),
        (("/nowhere/program",), 60.0, "not started", None, "cannot be started"),
    ],
)
def test_a_command_that_fails_or_hangs_is_told_and_the_next_painting_has_its_own(
    house, command, seconds, outcome, status, words
):
    paint(house, "a.jpg", "b.jpg")
    desk = Desk(house, command, seconds)
    desk.finish()
    for folder in ("a", "b"):
        facts = house.record(folder).after_painting
        assert facts is not None
        assert (facts.outcome, facts.status) == (outcome, status)
    assert [str(notice.level) for notice in desk.told] == ["warning", "warning"]
    assert words in desk.told[0].text


def test_its_arguments_which_may_hold_secrets_are_in_no_record(house):
    paint(house, "a.jpg")
    Desk(house, ("sh", "-c", "exit 1", "--token=secret")).finish()
    assert b"secret" not in (house.outbox / "a" / "painting.json").read_bytes()


def test_it_finds_the_files_by_its_environment(house):
    paint(house, "trip/a.jpg")
    program = (
        "import json, os; keys = [key for key in os.environ if key.startswith('MONET_WATCH_')];"
        "json.dump({key: os.environ[key] for key in keys}, open('../../environ.json', 'w'))"
    )
    Desk(house, (sys.executable, "-c", program)).finish()
    found = json.loads((house.outbox / "environ.json").read_text())
    folder = house.outbox / "trip" / "a"
    assert found["MONET_WATCH_PHOTO"] == str(house.inbox / "trip" / "a.jpg")
    assert found["MONET_WATCH_FOLDER"] == str(folder)
    assert found["MONET_WATCH_STYLE"] == "style.png"
    for name in ("PAINTING", "RECORD", "PLOT"):
        path = Path(found[f"MONET_WATCH_{name}"])
        assert path.parent == folder and path.is_file()
    assert (
        PaintingRecord.from_bytes(Path(found["MONET_WATCH_RECORD"]).read_bytes()).identity
        == (found["MONET_WATCH_IDENTITY"])
    )


def test_a_painting_that_was_removed_is_left_alone(house):
    paint(house, "a.jpg")
    (house.outbox / "a" / "painting.json").unlink()
    Desk(house).finish()
    assert runs(house) == [] and not (house.outbox / "a" / "painting.json").exists()


def test_a_stop_ends_the_command_that_runs_and_leaves_the_next_for_the_next_start(house):
    paint(house, "a.jpg", "b.jpg")
    desk = Desk(house, ("sh", "-c", "echo >> ../begun; sleep 1000"), 600)
    desk.office.once = False
    wait_until(lambda: (house.outbox / "begun").exists(), "the first command")
    desk.after.end()
    desk.after.give_up()
    wait_until(lambda: desk.after.ended, "its end")
    first, second = house.record("a").after_painting, house.record("b").after_painting
    assert first is not None and first.outcome == "interrupted"
    assert second is None
    Desk(house).finish()
    assert runs(house) == ["b.jpg"]
