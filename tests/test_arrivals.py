"""From the inbox to the queue: settling, settings that are broken and mended, photos replaced, renamed and removed."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from monet_watch import settings
from monet_watch.arrivals import Arrivals
from monet_watch.database import Database
from monet_watch.errors import LedgerUnavailableError
from monet_watch.inbox.hints import FolderGone
from monet_watch.inbox.ignore import Kind
from monet_watch.inbox.survey import (
    Found,
    HashedFile,
    Scanned,
    SurveyMessage,
    Surveyor,
    UnreadablePhotoError,
    look,
)
from monet_watch.ledger import JobState, Ledger
from monet_watch.requests import Act, Request
from monet_watch.workers.memory import tiny_png
from tests.rehearsal import LIMIT_BYTES, Rehearsal


@pytest.fixture
def house(tmp_path):
    """Photos are queued, but no worker is ready."""
    with Rehearsal(tmp_path, automatic=False) as house:
        house.rest()
        yield house


@pytest.fixture
def busy_house(tmp_path):
    """Everything that is queued is painted in no time."""
    with Rehearsal(tmp_path) as house:
        house.rest()
        yield house


def drop_too_large(house: Rehearsal, name: str) -> None:
    """Drop a photo that is a problem."""
    house.drop(name, b"x" * (LIMIT_BYTES + 1))
    house.rest()
    assert house.states(name)[0] == "problem"


def test_settings_that_a_scan_found_still_empty_are_no_photo(house):
    """The scan is slower than the event that tells of what was written since."""
    house.drop("style.yaml", b"steps: 3\n")
    house.turn()
    picture, written = (look(house.inbox, PurePosixPath(name)) for name in ("style.png", "style.yaml"))
    found = {b"style.png": picture, b"style.yaml": written._replace(size=0)}
    house.mailbox.post(Scanned(PurePosixPath(), tuple(Found(*each, Kind.SETTINGS) for each in found.items())))
    house.rest()
    assert house.states("style.yaml") == []
    house.drop("a.jpg")
    house.rest()
    assert '"steps": 3,' in house.jobs("a.jpg")[0].settings


def test_settings_that_a_scan_found_empty_and_that_are_so_anew_hold_nothing_up(house):
    """The scan is slower than the event, and the file another than it has found."""
    house.drop("a.jpg")
    house.drop("style.yaml", b"")
    stale = look(house.inbox, PurePosixPath("style.yaml"))._replace(mtime_ns=1)
    house.mailbox.post(Scanned(PurePosixPath(), (Found(b"style.yaml", stale, Kind.SETTINGS),)))
    house.turn()
    for _ in range(5):
        house.advance(2)
    assert house.states("a.jpg") == ["queued"]


def test_settings_that_are_empty_while_they_are_written_anew_change_nothing(busy_house):
    busy_house.drop("style.yaml", b"steps: 3\n")
    busy_house.drop("a.jpg")
    busy_house.rest()
    painted = busy_house.jobs("a.jpg")
    assert [job.state for job in painted] == [JobState.DONE]
    busy_house.drop("style.yaml", b"", closed=False)
    busy_house.advance(1.9)
    assert busy_house.jobs("a.jpg") == painted
    busy_house.drop("style.yaml", b"steps: 3\n")
    busy_house.rest()
    assert busy_house.jobs("a.jpg") == painted


def test_settings_that_stay_empty_are_those_of_the_folders_above(house):
    house.drop("style.yaml", b"steps: 3\n")
    house.drop("trip/style.yaml", b"steps: 4\n")
    house.drop("trip/a.jpg")
    house.rest()
    house.drop("trip/style.yaml", b"", closed=False)
    house.rest()
    assert '"steps": 3,' in house.jobs("trip/a.jpg")[0].settings


def test_a_style_picture_that_stays_empty_is_told_and_holds_its_photos_until_something_is_written(house):
    house.drop("trip/style.png", b"", closed=False)
    house.drop("trip/a.jpg")
    for _ in range(5):
        house.advance(2)
    [waiting] = house.jobs("trip/a.jpg")
    assert (waiting.state, waiting.kind) == (JobState.WAITING, "SettingsError")
    assert "style.png: it is empty" in waiting.reason
    assert house.problems() == ["trip/style.yaml.problem.txt"]
    assert not house.arrivals.busy
    house.drop("trip/style.png", tiny_png(7))
    house.rest()
    assert house.states("trip/a.jpg") == ["queued"]
    assert house.problems() == []


def test_a_photo_waits_until_it_has_rested_and_is_queued_then(house):
    house.drop("a.jpg", closed=False)
    house.turn()
    assert house.states("a.jpg") == ["waiting"]
    house.advance(1.9)
    assert house.states("a.jpg") == ["waiting"]
    house.advance(0.1)
    assert house.states("a.jpg") == ["queued"]


def test_a_photo_that_grows_waits_on(house):
    path = house.drop("a.jpg", b"half", closed=False)
    house.advance(1.5)
    path.write_bytes(b"half and half")
    house.advance(1.0)
    assert house.states("a.jpg") == ["waiting"]
    house.rest()
    assert house.states("a.jpg") == ["queued"]
    assert house.jobs("a.jpg")[0].size == len(b"half and half")


def test_a_bulk_has_all_that_each_photo_of_it_has_alone(busy_house):
    """New photos, copies, one with a report from an earlier record, and one whose settings are broken."""
    house = busy_house
    house.drop("painted.jpg", b"painted")
    house.rest()
    (house.outbox / "c.jpg.problem.txt").write_text("It could not be painted.", encoding="utf-8")
    (house.inbox / "broken").mkdir()
    (house.inbox / "broken" / "style.yaml").write_bytes(b"stepz: 3\n")
    bulk = {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c", "copy.jpg": b"painted", "d.jpg": b"a", "broken/e.jpg": b"e"}
    for name, data in bulk.items():
        (house.inbox / name).write_bytes(data)
    house.arrivals.scan()
    house.rest()
    assert house.records() == ["a", "b", "c", "copy", "d", "painted"]
    assert house.record("copy").copied_from == "painted"
    assert house.record("d").copied_from == "a"
    assert house.problems() == ["broken/style.yaml.problem.txt"]
    assert house.states("broken/e.jpg") == ["waiting"]
    assert all(len(house.told("queued", name)) == 1 for name in bulk if name != "broken/e.jpg")


def test_what_a_reader_finds_changed_since_it_was_seen_rests_again(house):
    """No event tells of the change, and a small file is read without another look at it."""
    house.drop("a.jpg", b"half", closed=False)
    house.turn()
    (house.inbox / "a.jpg").write_bytes(b"half and half")
    house.advance(2)
    assert house.states("a.jpg") == ["waiting"]
    house.advance(1.9)
    assert house.states("a.jpg") == ["waiting"]
    house.advance(0.1)
    assert (house.states("a.jpg"), house.jobs("a.jpg")[0].size) == (["queued"], 13)


def hashed(house: Rehearsal, path: Path) -> HashedFile:
    """What a reader tells of a file of the inbox."""
    name = PurePosixPath(path.relative_to(house.inbox))
    facts = look(house.inbox, name)
    assert facts is not None
    return HashedFile(name, hashlib.sha256(path.read_bytes()).hexdigest(), facts)


def grown_unheard(house: Rehearsal, *names: str, data: bytes = b"half and half") -> None:
    """Drop the halves of photos, which then grow though no event tells of it, until their rest would be over."""
    for name in names:
        house.drop(name, b"half", closed=False)
    house.turn()
    for name in names:
        (house.inbox / name).write_bytes(data)
    house.clock.now += 2


def test_what_has_changed_is_not_taken_where_the_record_fails_when_it_is_to_rest_again(house, monkeypatch):
    """The reader's answer is then heard a second time."""
    paths = [PurePosixPath("a.jpg"), PurePosixPath("b.jpg")]
    change, failed = Database.change, []

    def full_once(database, sql, *values):
        if sql == "COMMIT" and paths[1] not in house.settling and not failed:
            failed.append(sql)
            raise LedgerUnavailableError("The disk is full.")
        return change(database, sql, *values)

    grown_unheard(house, *map(str, paths))
    monkeypatch.setattr(Database, "change", full_once)
    house.turn()
    assert failed
    house.advance(1)
    assert all(path in house.settling and house.states(str(path)) == ["waiting"] for path in paths)
    house.rest()
    assert all((house.states(str(path)), house.jobs(str(path))[0].size) == (["queued"], 13) for path in paths)


def test_what_has_changed_is_not_taken_where_the_inbox_was_away_meanwhile(house):
    grown_unheard(house, "a.jpg")
    house.arrivals.tend()
    house.arrivals.scan_failed()
    house.turn()
    assert house.states("a.jpg") == ["waiting"]
    house.advance(300)
    house.rest()
    assert (house.states("a.jpg"), house.jobs("a.jpg")[0].size) == (["queued"], 13)


def test_a_photo_that_grows_too_large_is_no_problem_before_it_rests(house):
    grown_unheard(house, "a.jpg", data=b"x" * (LIMIT_BYTES + 1))
    house.turn()
    assert house.states("a.jpg") == ["waiting"]
    house.advance(1.9)
    assert house.problems() == []
    house.advance(0.1)
    assert house.states("a.jpg") == ["problem"]


def test_a_copy_that_two_readers_tell_of_is_given_its_painting_once(busy_house):
    """So it is where the inbox was away and came back while the first of them was still on its way."""
    house = busy_house
    house.drop("painted.jpg", b"painted")
    house.rest()
    copy, other = house.drop("x/copy.jpg", b"painted"), house.drop("y/other.jpg", b"other")
    house.turn()
    house.clock.now += 2
    house.arrivals.tend()
    house.arrivals.hashed([hashed(house, path) for path in (copy, other, copy)])
    house.turn()
    assert house.records() == ["painted", "x/copy", "y/other"]
    assert len(house.told("copied")) == 1


def test_many_photos_of_a_folder_are_queued_each_and_told_of_in_one_line(house):
    names = [f"trip/{number:02d}.jpg" for number in range(40)]
    for name in [*names, "alone.jpg"]:
        (house.inbox / name).parent.mkdir(exist_ok=True)
        (house.inbox / name).write_bytes(name.encode())
    report = house.outbox / "trip" / "07.jpg.problem.txt"
    report.parent.mkdir()
    report.write_text("It could not be painted.", encoding="utf-8")
    house.arrivals.scan()
    house.rest()
    assert all(house.states(name) == ["queued"] for name in names)
    assert not report.exists()
    assert house.told("queued", "alone.jpg")
    assert house.told("queued", "trip") == ["40 photos, 00.jpg to 39.jpg, are whole and wait for their turn."]
    assert not any(house.told("queued", name) for name in names)


def test_a_start_looks_through_the_inbox_once_whatever_settings_lie_in_it(tmp_path, monkeypatch):
    scans = []
    scan = Arrivals.scan
    monkeypatch.setattr(Arrivals, "scan", lambda arrivals, *folders: (scans.append(folders), scan(arrivals, *folders)))
    house = Rehearsal(tmp_path, automatic=False)
    (house.inbox / "trip").mkdir()
    (house.inbox / "trip" / "style.yaml").write_bytes(b"steps: 3\n")
    (house.inbox / "trip" / "a.jpg").write_bytes(b"a")
    with house:
        house.rest()
        assert len(scans) == 1
        house.drop("trip/style.yaml", b"steps: 40\n")
        house.rest()
        assert len(scans) == 2
        assert json.loads(house.jobs("trip/a.jpg")[0].settings)["recipe"]["steps"] == 40


def test_what_is_no_photo_is_left_alone(house):
    for name in ("notes.txt", ".hidden.jpg", "a.jpg.part", "Thumbs.db"):
        house.drop(name)
    house.rest()
    assert not house.ledger.known_paths()


def test_a_photo_removed_before_it_is_painted_is_forgotten(house):
    house.drop("a.jpg")
    house.rest()
    house.remove("a.jpg")
    house.turn()
    assert not house.jobs("a.jpg")
    assert house.told("removed", "a.jpg")


def test_broken_settings_hold_their_folder_and_what_lies_below_it_until_they_are_mended(busy_house):
    house = busy_house
    house.drop("trip/style.yaml", b"stepz: 3\n")
    for name in ("trip/a.jpg", "trip/day/b.jpg", "other.jpg"):
        house.drop(name, name.encode())
    house.rest()
    assert house.records() == ["other"]
    assert house.states("trip/a.jpg") == house.states("trip/day/b.jpg") == ["waiting"]
    assert "stepz" in house.jobs("trip/a.jpg")[0].reason
    assert "trip/style.yaml.problem.txt" in house.problems()
    house.drop("trip/style.yaml", b"steps: 3\n")
    house.rest()
    assert house.records() == ["other", "trip/a", "trip/day/b"]
    assert house.problems() == []
    assert house.arrivals.broken_folders == 0
    assert house.told("settings-mended")


def test_broken_settings_are_told_once_for_each_way_of_being_broken(house):
    house.drop("style.yaml", b"stepz: 3\n")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        house.drop(name)
    house.rest()
    house.advance(300)
    house.rest()
    assert len(house.told("settings-broken")) == 1
    house.drop("style.yaml", b"stepz: 3\nlr: fast\n")
    house.rest()
    assert len(house.told("settings-broken")) == 2


def test_broken_settings_that_are_removed_release_the_folder(busy_house):
    house = busy_house
    house.drop("trip/style.yaml", b"stepz: 3\n")
    house.drop("trip/a.jpg")
    house.rest()
    house.remove("trip/style.yaml")
    house.rest()
    assert house.records() == ["trip/a"]
    assert house.problems() == []


def test_a_report_on_settings_that_were_mended_while_nobody_ran_goes_away(tmp_path):
    with Rehearsal(tmp_path) as house:
        house.drop("trip/style.yaml", b"stepz: 3\n")
        house.drop("trip/a.jpg")
        house.rest()
        assert house.problems() == ["trip/style.yaml.problem.txt"]
    (tmp_path / "inbox" / "trip" / "style.yaml").write_bytes(b"steps: 3\n")
    with Rehearsal(tmp_path) as house:
        house.rest()
        assert house.problems() == []
        assert house.records() == ["trip/a"]


def take_away_the_outbox(house: Rehearsal) -> None:
    """As a server does that is down: nothing in it can be reached."""
    house.outbox.rename(house.folder / "away")
    house.outbox.write_bytes(b"")


def bring_back_the_outbox(house: Rehearsal) -> None:
    house.outbox.unlink()
    (house.folder / "away").rename(house.outbox)


def test_reports_of_what_is_solved_while_the_outbox_is_away_go_when_it_is_back(house):
    house.drop("trip/style.yaml", b"stepz: 3\n")
    house.drop("trip/a.jpg")
    drop_too_large(house, "b.jpg")
    assert house.problems() == ["b.jpg.problem.txt", "trip/style.yaml.problem.txt"]
    take_away_the_outbox(house)
    house.drop("trip/style.yaml", b"steps: 3\n")
    house.remove("b.jpg")
    house.rest()
    assert house.states("b.jpg") == []
    assert len([text for text in house.told("problem") if "cannot be removed" in text]) == 1
    bring_back_the_outbox(house)
    house.advance(60)
    assert house.problems() == []


def test_a_report_that_is_wanted_again_by_the_time_the_outbox_is_back_stays(house):
    drop_too_large(house, "b.jpg")
    take_away_the_outbox(house)
    house.remove("b.jpg")
    house.rest()
    bring_back_the_outbox(house)
    drop_too_large(house, "b.jpg")
    house.advance(60)
    assert house.problems() == ["b.jpg.problem.txt"]


def test_settings_that_break_while_the_outbox_is_away_are_reported_when_it_is_back(house):
    take_away_the_outbox(house)
    house.drop("trip/style.yaml", b"stepz: 3\n")
    house.drop("trip/a.jpg")
    house.rest()
    bring_back_the_outbox(house)
    house.advance(300)
    assert house.problems() == ["trip/style.yaml.problem.txt"]
    assert len(house.told("settings-broken")) == 1


def test_a_style_picture_on_its_way_holds_the_photos_of_its_folder(house):
    house.drop("trip/style.jpg", b"the upper half", closed=False)
    house.advance(1.0)
    house.drop("trip/a.jpg")
    house.advance(0.9)
    assert house.states("trip/a.jpg") == ["waiting"]
    house.drop("trip/style.jpg", b"the upper half and the lower", closed=False)
    house.advance(1.5)
    assert house.states("trip/a.jpg") == ["waiting"]
    house.rest()
    assert house.states("trip/a.jpg") == ["queued"]


def test_a_queued_photo_whose_settings_change_is_queued_with_the_later_ones(house):
    house.drop("a.jpg")
    house.rest()
    first = house.jobs("a.jpg")[0]
    house.drop("style.yaml", b"steps: 3\n")
    house.rest()
    (job,) = house.jobs("a.jpg")
    assert (job.state, job.steps) == (JobState.QUEUED, 3)
    assert job.identity != first.identity


def test_what_is_queued_follows_the_priority_of_its_folder_and_of_those_above(house):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "c/d/1.jpg"):
        house.drop(name, name.encode())
        house.rest()
    before = {name: house.jobs(name)[0].identity for name in ("a/1.jpg", "c/d/1.jpg")}
    house.drop("a/style.yaml", b"priority: -3\n")
    house.drop("c/style.yaml", b"priority: 2\n")
    house.rest()
    queued = [(str(job.path), job.priority) for job in house.ledger.overview().queued]
    assert queued == [("c/d/1.jpg", 2), ("b/1.jpg", 0), ("a/1.jpg", -3), ("a/2.jpg", -3)]
    assert {name: house.jobs(name)[0].identity for name in before} == before
    house.remove("a/style.yaml")
    house.rest()
    assert [job.priority for job in house.ledger.overview().queued] == [2, 0, 0, 0]


def test_another_priority_has_nothing_painted_again(busy_house):
    house = busy_house
    house.drop("a.jpg")
    house.rest()
    before = list(house.files())
    house.drop("style.yaml", b"priority: 5\n")
    house.rest()
    assert list(house.files()) == before
    assert house.states("a.jpg") == ["done"]


def test_a_scan_that_did_not_see_a_photo_which_has_come_since_takes_nothing_away(house):
    house.drop("a.jpg")
    house.turn()
    house.mailbox.post(Scanned(PurePosixPath(), ()))
    house.rest()
    assert house.states("a.jpg") == ["queued"]


def test_a_scan_of_a_folder_forgets_what_vanished_from_it_and_nothing_beside_it(house):
    for name in ("a/1.jpg", "a/b/2.jpg", "a0.jpg", "a.jpg", "b/3.jpg"):
        house.drop(name, name.encode())
    house.rest()
    shutil.rmtree(house.inbox / "a")
    (house.inbox / "b" / "3.jpg").unlink()
    house.mailbox.post(FolderGone(PurePosixPath("a")))
    house.rest()
    assert sorted(map(str, house.ledger.known_paths())) == ["a.jpg", "a0.jpg", "b/3.jpg"]


def test_a_bulk_that_takes_many_parts_is_queued_whole(house):
    names = [f"bulk/{number:04}.jpg" for number in range(1000)]
    (house.inbox / "bulk").mkdir()
    for name in names:
        (house.inbox / name).write_bytes(name.encode())
    house.advance(300)
    house.rest()
    assert house.ledger.overview(recent=0).counts[JobState.QUEUED] == 1000
    for name in names[100:]:
        (house.inbox / name).unlink()
    house.advance(300)
    house.rest()
    assert sorted(map(str, house.ledger.known_paths())) == names[:100]


def scan_bulk(house: Rehearsal) -> list[str]:
    """Put many photos, one of them empty, into a folder, and have them found."""
    names = [f"trip/{number:02d}.jpg" for number in range(40)]
    (house.inbox / "trip").mkdir()
    for name in names:
        (house.inbox / name).write_bytes(name.encode())
    (house.inbox / names[0]).write_bytes(b"")
    house.arrivals.scan()
    house.turn()
    return names


def test_what_of_a_bulk_is_not_queued_soon_is_known_to_wait(house):
    growing, *others = scan_bulk(house)[1:]
    for second in range(6):
        (house.inbox / growing).write_bytes(b"x" * (second + 1))
        house.advance(1)
    assert house.states(growing) == ["waiting"]
    assert house.states("trip/00.jpg") == ["waiting"]
    assert house.jobs("trip/00.jpg")[0].reason.startswith("It is empty")
    assert all(house.states(name) == ["queued"] for name in others)
    house.rest()
    assert house.states(growing) == ["queued"]


def test_a_bulk_that_is_found_again_before_it_is_recorded_is_queued_once(house):
    names = scan_bulk(house)[1:]
    assert house.ledger.known_paths() == {}
    house.arrivals.scan()
    house.turn()
    house.advance(2)
    house.arrivals.scan()
    house.rest()
    house.advance(10)
    assert all(house.states(name) == ["queued"] for name in names)
    assert [line.split()[0] for line in house.told("waiting", "trip")] == ["40"]
    alone = sum(len(house.told("queued", name)) for name in names)
    assert alone + sum(int(line.split()[0]) for line in house.told("queued", "trip")) == len(names)


def test_what_stays_empty_of_a_bulk_is_known_to_wait_as_soon_as_nothing_else_is_on_its_way(house):
    for number in range(30):
        (house.inbox / f"{number}.jpg").write_bytes(b"")
    house.arrivals.scan()
    house.turn()
    assert house.arrivals.busy
    house.rest()
    assert not house.arrivals.busy
    assert house.ledger.counts()[JobState.WAITING] == 30


def test_photos_that_are_read_soon_one_after_the_other_are_queued_together(house, monkeypatch):
    """Each time costs a wait for the disk."""
    batches, queue_all = [], Arrivals._queue_all
    monkeypatch.setattr(
        Arrivals, "_queue_all", lambda arrivals, some: (batches.append(len(some)), queue_all(arrivals, some))[1]
    )
    names = scan_bulk(house)[1:]
    house.rest()
    assert all(house.states(name) == ["queued"] for name in names)
    assert batches == [len(names)]


def test_a_photo_is_queued_while_another_is_still_being_read(house, monkeypatch):
    goes_on, hash_all = threading.Event(), Surveyor._hash_all

    def slowly(surveyor: Surveyor, folder: PurePosixPath, paths: Sequence[PurePosixPath]) -> Iterator[SurveyMessage]:
        assert folder.name != "slow" or goes_on.wait(600)
        return hash_all(surveyor, folder, paths)

    monkeypatch.setattr(Surveyor, "_hash_all", slowly)
    house.drop("a.jpg")
    house.drop("slow/b.jpg")
    while house.states("a.jpg") != ["queued"]:
        house.clock.now += 0.1
        house.daemon.turn(0.01)
    assert house.states("slow/b.jpg") == ["waiting"]
    goes_on.set()
    house.rest()
    assert house.states("slow/b.jpg") == ["queued"]


@pytest.mark.parametrize("before", ["queued", "problem", "nothing"])
def test_photos_whose_record_was_lost_on_a_full_disk_when_a_scan_found_them_are_known_to_wait(
    house, monkeypatch, before
):
    if before == "queued":
        house.drop("a.jpg")
        house.rest()
    elif before == "problem":
        drop_too_large(house, "a.jpg")
    states = house.states("a.jpg")
    (house.inbox / "a.jpg").write_bytes(b"")
    change = Database.change
    failed = []

    def full_once(database, sql, *values):
        if sql == "COMMIT" and PurePosixPath("a.jpg") in house.settling and not failed:
            failed.append(sql)
            raise LedgerUnavailableError("The disk is full.")
        return change(database, sql, *values)

    monkeypatch.setattr(Database, "change", full_once)
    house.arrivals.scan()
    house.turn()
    assert failed
    assert house.states("a.jpg") == states
    for _ in range(4):
        house.advance(5)
    assert house.states("a.jpg") == ["waiting"]


def test_what_goes_before_it_was_recorded_was_never_there(house):
    names = scan_bulk(house)
    (house.inbox / names[5]).unlink()
    house.rest()
    house.advance(10)
    assert house.states(names[5]) == []
    assert house.ledger.counts()[JobState.QUEUED] == 38


def test_settings_that_change_back_lead_to_the_painting_that_is_there(busy_house):
    house = busy_house
    house.drop("a.jpg")
    house.rest()
    house.drop("style.yaml", b"steps: 3\n")
    house.rest()
    before = list(house.files())
    house.remove("style.yaml")
    house.rest()
    assert list(house.files()) == before
    assert house.states("a.jpg") == ["done", "done"]
    assert house.jobs("a.jpg")[0].steps == 4


def test_a_touched_photo_keeps_its_painting_and_its_place_in_the_queue(busy_house):
    house = busy_house
    path = house.drop("a.jpg")
    house.rest()
    before = list(house.files())
    os.utime(path, ns=(1, 1))
    house.drop("a.jpg")
    house.rest()
    assert list(house.files()) == before
    assert house.states("a.jpg") == ["done"]
    assert len(house.worker.jobs) == 1


def test_a_problem_goes_away_with_its_photo(busy_house):
    house = busy_house
    drop_too_large(house, "c.jpg")
    assert house.problems() == ["c.jpg.problem.txt"]
    house.remove("c.jpg")
    house.turn()
    assert house.problems() == []
    assert not house.jobs("c.jpg")


def test_a_problem_that_is_replaced_and_removed_before_it_is_painted_leaves_no_report(busy_house):
    house = busy_house
    drop_too_large(house, "a.jpg")
    house.drop("a.jpg", b"still on its way", closed=False)
    house.turn()
    assert house.states("a.jpg") == ["waiting"]
    house.remove("a.jpg")
    house.turn()
    assert house.problems() == []


def test_a_problem_in_whose_place_the_painted_photo_comes_back_leaves_no_report(busy_house):
    house = busy_house
    house.drop("a.jpg", b"good")
    house.rest()
    drop_too_large(house, "a.jpg")
    assert house.problems() == ["a.jpg.problem.txt"]
    house.drop("a.jpg", b"good")
    house.rest()
    assert house.problems() == []
    assert house.states("a.jpg") == ["done"]


def test_a_photo_that_is_too_large_is_told_once_however_often_it_is_looked_at(house):
    drop_too_large(house, "a.jpg")
    report = house.outbox / "a.jpg.problem.txt"
    written = report.stat().st_mtime_ns
    for _ in range(3):
        house.advance(300)
        house.rest()
    assert len(house.told("problem", "a.jpg")) == 1
    assert report.stat().st_mtime_ns == written
    assert len(house.told("waiting", "a.jpg")) == 1


def test_a_photo_that_is_too_large_is_told_again_when_somebody_touches_it(house):
    drop_too_large(house, "a.jpg")
    os.utime(house.inbox / "a.jpg", (1, 1))
    house.advance(300)
    house.rest()
    assert len(house.told("problem", "a.jpg")) == 2


def test_a_report_on_a_photo_that_is_too_large_is_written_again_where_it_is_missing(house):
    drop_too_large(house, "a.jpg")
    (house.outbox / "a.jpg.problem.txt").unlink()
    house.advance(300)
    house.rest()
    assert house.problems() == ["a.jpg.problem.txt"]
    assert len(house.told("problem", "a.jpg")) == 1


def begun(house: Rehearsal, name: str) -> None:
    """Have a photo painted as far as its first stage."""
    house.worker.ready()
    house.drop(name, b"to be painted")
    house.rest()
    house.worker.begin()
    house.worker.step(2)
    house.worker.snapshot()
    house.turn()
    assert list(house.outbox.rglob("progress_*.png"))


def test_a_photo_that_is_removed_while_its_painting_rests_leaves_no_stages(house):
    begun(house, "trip/a.jpg")
    house.ask(Request(Act.PAUSE))
    house.turn()
    assert house.states("trip/a.jpg") == ["queued"]
    house.remove("trip/a.jpg")
    house.turn()
    assert not list(house.outbox.rglob("*.png"))
    assert not (house.outbox / "trip" / "a").exists()


@pytest.mark.parametrize("end", ["stop", "fail", "put off"])
def test_a_painting_that_ends_unfinished_when_its_photo_was_replaced_leaves_no_stages(house, end):
    begun(house, "a.jpg")
    house.drop("a.jpg", b"another in its place")
    house.rest()
    match end:
        case "stop":
            house.ask(Request(Act.PAUSE))
        case "fail":
            house.worker.fail("NotAPhotoError", "It is no picture.")
        case _:
            house.worker.fail("WorkerError", "It ended.", passes=True)
    house.turn()
    assert not list(house.outbox.rglob("*.png"))


FORBIDDEN_AND_ALLOWED = """
import sys
from pathlib import Path
from tests.rehearsal import Rehearsal

with Rehearsal(Path(sys.argv[1])) as house:
    path = house.drop("a.jpg")
    path.chmod(0)
    house.rest()
    house.advance(300)
    house.rest()
    print(house.states("a.jpg"), house.records(), len(house.problems()), len(house.told("problem", "a.jpg")))
    path.chmod(0o644)
    house.advance(300)
    house.rest()
    print(house.states("a.jpg"), house.records(), len(house.problems()))
"""


def test_a_photo_that_may_not_be_read_is_a_problem_until_it_may(tmp_path, run_for_whom_permissions_count):
    told = run_for_whom_permissions_count(FORBIDDEN_AND_ALLOWED, tmp_path)
    assert told.splitlines() == ["['problem'] [] 1 1", "['done'] ['a'] 0"]


FORBIDDEN_IN_THE_QUEUE = """
import sys
from pathlib import Path
from tests.rehearsal import Rehearsal

with Rehearsal(Path(sys.argv[1]), automatic=False) as house:
    path = house.drop("a.jpg")
    house.rest()
    path.chmod(0)
    house.worker.ready()
    house.rest()
    print(house.states("a.jpg"), len(house.problems()))
    path.chmod(0o644)
    house.advance(300)
    house.rest()
    print(house.states("a.jpg"), len(house.problems()))
"""


def test_a_photo_that_may_not_be_read_any_more_when_its_turn_comes_is_a_problem_until_it_may(
    tmp_path, run_for_whom_permissions_count
):
    told = run_for_whom_permissions_count(FORBIDDEN_IN_THE_QUEUE, tmp_path)
    assert told.splitlines() == ["['problem'] 1", "['running'] 0"]


def test_an_empty_photo_waits_and_does_not_keep_anything_busy(house):
    house.drop("a.jpg", b"")
    house.rest()
    assert house.states("a.jpg") == ["waiting"]
    assert not house.arrivals.busy
    house.drop("a.jpg", b"here it is")
    house.rest()
    assert house.states("a.jpg") == ["queued"]


def truncated(house: Rehearsal) -> None:
    house.worker.fail("TruncatedPhotoError", "It ends too early.", "Copy it again.")
    house.turn()


def test_a_truncated_photo_is_looked_at_three_times_more_before_it_is_a_problem(house):
    house.worker.ready()
    house.drop("a.jpg")
    house.rest()
    for pause in (4, 8, 16):  # 2, 4 and 8 times settle_seconds
        truncated(house)
        assert house.states("a.jpg") == ["waiting"]
        house.advance(pause - 0.1)
        assert house.states("a.jpg") == ["waiting"]
        house.advance(0.1)
        assert house.states("a.jpg") == ["running"]
    truncated(house)
    assert house.states("a.jpg") == ["problem"]
    assert house.problems() == ["a.jpg.problem.txt"]


def test_a_truncated_photo_that_was_removed_is_forgotten(house):
    house.worker.ready()
    house.drop("a.jpg")
    house.rest()
    house.remove("a.jpg")
    house.turn()
    assert house.states("a.jpg") == ["running"]
    truncated(house)
    assert not house.jobs("a.jpg")
    assert not house.dispatch.busy


def test_a_photo_found_truncated_while_the_inbox_is_away_waits(house):
    house.worker.ready()
    house.drop("a.jpg")
    house.rest()
    house.inbox.rename(house.folder / "unmounted")
    truncated(house)
    assert house.states("a.jpg") == ["waiting"]
    (house.folder / "unmounted").rename(house.inbox)
    house.advance(60)
    house.rest()
    assert house.states("a.jpg") == ["running"]


def test_a_photo_found_truncated_and_gone_while_the_record_fails_is_forgotten_by_the_next_scan(house, monkeypatch):
    house.worker.ready()
    house.drop("a.jpg")
    house.rest()
    (house.inbox / "a.jpg").unlink()

    def full(ledger, path):
        raise LedgerUnavailableError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "forget", full)
        truncated(house)
    house.advance(300)
    assert house.jobs("a.jpg") == ()


@pytest.fixture
def painted_by_an_earlier_version(tmp_path, monkeypatch):
    """One painting is there, made when another recipe was the default and nobody had named any."""
    monkeypatch.setattr(settings, "DEFAULT_RECIPE", "classic")
    monkeypatch.setattr(settings, "FORMER_DEFAULTS", ())
    with Rehearsal(tmp_path) as house:
        house.drop("trip/a.jpg")
        house.rest()
    assert house.record("trip/a").recipe.recipe == "classic"
    monkeypatch.undo()
    return tmp_path


def test_another_default_recipe_has_nothing_painted_again_that_is_painted(painted_by_an_earlier_version):
    with Rehearsal(painted_by_an_earlier_version) as house:
        house.rest()
        os.utime(house.inbox / "trip" / "a.jpg")
        house.drop("trip/a.jpg")
        house.advance(300)
        house.rest()
        assert house.records() == ["trip/a"]
        assert house.states("trip/a.jpg") == ["done"]
        assert not house.told("painting")


@pytest.mark.parametrize("name", ["trip/b.jpg", "elsewhere/a.jpg"])
def test_a_copy_of_what_an_earlier_version_painted_is_not_painted_either(painted_by_an_earlier_version, name):
    with Rehearsal(painted_by_an_earlier_version) as house:
        house.drop(name)
        house.remove("trip/a.jpg")
        house.rest()
        house.advance(300)
        house.rest()
        assert house.states(name) == ["done"]
        assert not house.told("painting")
        folder = name.removesuffix(".jpg")
        assert (house.record(folder).recipe.recipe, house.record(folder).copied_from) == ("classic", "trip/a")
        assert len(house.told("copied")) == 1


def test_a_copy_of_what_is_no_longer_there_is_painted_with_the_default_of_today(painted_by_an_earlier_version):
    with Rehearsal(painted_by_an_earlier_version) as house:
        shutil.rmtree(house.outbox / "trip" / "a")
        house.drop("b.jpg")
        house.rest()
        assert house.record("b").recipe.recipe == "swift"


@contextmanager
def begun_by_an_earlier_version(tmp_path, monkeypatch):
    """A house in which the painting of a photo is under way with the default of then."""
    monkeypatch.setattr(settings, "DEFAULT_RECIPE", "classic")
    monkeypatch.setattr(settings, "FORMER_DEFAULTS", ())
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("a.jpg")
        house.rest()
        yield house


def test_what_an_earlier_version_had_begun_is_painted_once(tmp_path, monkeypatch):
    with begun_by_an_earlier_version(tmp_path, monkeypatch) as house:
        assert house.states("a.jpg") == ["running"]
    monkeypatch.undo()
    with Rehearsal(tmp_path) as house:
        house.rest()
        house.advance(300)
        house.rest()
        assert house.records() == ["a"]
        assert house.states("a.jpg") == ["done"]


def test_a_painting_under_way_with_a_former_default_counts(tmp_path, monkeypatch):
    """The worker is quicker than the scan, and goes on with what an earlier version had begun."""
    with begun_by_an_earlier_version(tmp_path, monkeypatch) as house:
        monkeypatch.undo()
        house.arrivals.scan()
        house.turn()
        house.drop("a.jpg")
        house.rest()
        assert house.states("a.jpg") == ["running"]
        house.worker.begin()
        house.worker.step(4)
        house.worker.finish()
        house.advance(300)
        house.rest()
        assert house.states("a.jpg") == ["done"]
        assert house.record("a").recipe.recipe == "classic"


@pytest.mark.parametrize(("change", "recipe"), [("recipe: swift\n", "swift"), ("lr: 0.5\n", "swift")])
def test_settings_that_somebody_changes_have_it_painted_again(painted_by_an_earlier_version, change, recipe):
    with Rehearsal(painted_by_an_earlier_version) as house:
        house.drop("trip/style.yaml", change.encode())
        house.rest()
        assert len(house.records()) == 2
        (other,) = set(house.records()) - {"trip/a"}
        assert house.record(other).recipe.recipe == recipe


def test_a_photo_that_changes_is_painted_with_the_default_of_today(painted_by_an_earlier_version):
    with Rehearsal(painted_by_an_earlier_version) as house:
        house.drop("trip/a.jpg", b"another photo")
        house.rest()
        (other,) = set(house.records()) - {"trip/a"}
        assert house.record(other).recipe.recipe == "swift"


def test_a_recipe_that_is_no_longer_named_counts_as_a_change(tmp_path):
    """It was named once, so what was painted with it is not what a default has led to."""
    with Rehearsal(tmp_path) as house:
        house.drop("trip/style.yaml", b"recipe: classic\n")
        house.drop("trip/a.jpg")
        house.rest()
        house.remove("trip/style.yaml")
        house.rest()
        assert len(house.records()) == 2


def test_a_painting_that_was_begun_and_is_wanted_in_another_way_leaves_no_stages(tmp_path):
    with Rehearsal(tmp_path, automatic=False) as house:
        house.worker.ready()
        house.drop("trip/a.jpg")
        house.rest()
        house.worker.begin()
        house.worker.step(2)
        house.worker.snapshot()
        house.turn()
        assert [name for name, _ in house.files()] == ["trip/a/progress_0002.png"]
        house.ask(Request(Act.PAUSE))
        house.drop("trip/style.yaml", b"steps: 3\n")
        house.rest()
        assert list(house.files()) == []
        house.ask(Request(Act.RESUME))
        while house.worker.proceed():
            pass
        house.turn()
        assert house.records() == ["trip/a"]
        assert house.record("trip/a").recipe.steps == 3


def test_a_photo_in_a_folder_that_may_not_be_read_any_more_waits_and_is_taken_when_it_may(house, monkeypatch):
    """It is found out when its turn comes."""
    house.drop("shut/a.jpg")
    house.rest()
    assert house.states("shut/a.jpg") == ["queued"]

    def refuse(root, path, *limits):
        raise UnreadablePhotoError(f"{path} cannot be read: Permission denied.")

    with monkeypatch.context() as patch:
        patch.setattr("monet_watch.arrivals.look", refuse)
        patch.setattr("monet_watch.dispatch.read_photo", refuse)
        house.worker.ready()
        house.turn()
        [waiting] = house.jobs("shut/a.jpg")
        assert (waiting.state, waiting.reason) == (JobState.WAITING, "shut/a.jpg cannot be read: Permission denied.")
    house.advance(300)
    house.rest()
    assert house.states("shut/a.jpg") == ["running"]
    assert house.told("removed") == []
