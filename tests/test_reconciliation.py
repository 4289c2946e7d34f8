"""What the start puts in order: ledgers that are lost or restored from a backup, and what is painted already."""

import os
import shutil
from pathlib import Path, PurePosixPath

import pytest

from monet_watch.daemon import HEARTBEAT_SECONDS
from monet_watch.household import _Patience
from monet_watch.ledger import Ledger
from monet_watch.outbox import files
from monet_watch.outbox.files import Outbox
from monet_watch.reconciliation import Reconciliation
from monet_watch.requests import Act, Request
from tests.rehearsal import Clock, Manager, Rehearsal


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home"


class Days:
    """One rehearsal after the other in the same folders, each on a day of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.day = 0

    def next(self, **settings) -> Rehearsal:
        self.day += 1
        house = Rehearsal(self.folder, **settings)
        house.clock.now = self.day * 86_400.0
        return house

    def reconcile(self, **more) -> None:
        with Ledger.open(self.folder / "ledger.sqlite3") as ledger:
            Reconciliation(ledger, Outbox(self.folder / "outbox"), None, lambda notice: None, **more)()

    def back_up(self) -> Path:
        return Path(shutil.copy(self.folder / "ledger.sqlite3", self.folder.parent / "backup"))

    def restore(self, backup: Path) -> None:
        for path in self.folder.glob("ledger.sqlite3*"):
            path.unlink()
        shutil.copy(backup, self.folder / "ledger.sqlite3")


@pytest.fixture
def days(folder):
    return Days(folder)


def paint(house: Rehearsal, name: str) -> None:
    house.drop(name, name.encode())
    house.rest()
    assert house.states(name) == ["done"]


def test_what_was_painted_since_a_backup_of_the_ledger_is_not_painted_again(days):
    with days.next() as house:
        paint(house, "before.jpg")
    backup = days.back_up()
    with days.next() as house:
        paint(house, "trip/since.jpg")
    days.restore(backup)
    days.reconcile()
    with days.next() as house:
        house.rest()
        assert not house.worker.jobs
        assert house.records() == ["before", "trip/since"]
        assert house.states("trip/since.jpg") == ["done"]


def test_what_was_queued_when_the_ledger_was_backed_up_and_painted_since_is_done(days):
    with days.next(automatic=False) as house:
        house.rest()
        house.drop("a.jpg")
        house.rest()
        assert house.states("a.jpg") == ["queued"]
    backup = days.back_up()
    with days.next() as house:
        house.rest()
        assert house.states("a.jpg") == ["done"]
    days.restore(backup)
    days.reconcile()
    with days.next() as house:
        house.rest()
        assert not house.worker.jobs
        assert house.records() == ["a"]
        assert house.states("a.jpg") == ["done"]


def test_what_was_being_painted_when_the_ledger_was_backed_up_is_not_painted_over(days):
    with days.next(automatic=False) as house:
        house.worker.ready()
        house.rest()
        house.drop("a.jpg", b"a first photo")
        house.rest()
        assert house.states("a.jpg") == ["running"]
    backup = days.back_up()
    (days.folder / "inbox" / "a.jpg").write_bytes(b"a later photo")
    with days.next() as house:
        house.rest()
        assert house.records()
    painted = dict(house.files())
    (days.folder / "inbox" / "a.jpg").write_bytes(b"a first photo")
    days.restore(backup)
    days.reconcile()
    with days.next() as house:
        house.rest()
        assert dict(house.files()).items() >= painted.items()
        assert len(house.records()) == 2


def test_a_photo_that_was_forgotten_is_not_remembered_by_its_painting(days):
    with days.next() as house:
        paint(house, "a.jpg")
        house.advance(100)
        house.remove("a.jpg")
        house.turn()
        assert house.ask(Request(Act.FORGET, (PurePosixPath("a.jpg"),))).fine
    days.reconcile()
    with days.next() as house:
        house.rest()
        assert house.records() == ["a"]
        assert not house.jobs("a.jpg")


def test_the_outbox_is_looked_through_once_and_somebody_hears_of_it_in_each_folder(days, monkeypatch):
    with days.next() as house:
        paint(house, "a/b/c.jpg")
    walked, heard = [], []
    walk = os.walk
    monkeypatch.setattr(files.os, "walk", lambda root: walked.append(root) or walk(root))
    days.reconcile(on_the_way=lambda: heard.append(1))
    assert walked == [days.folder / "outbox"]
    assert len(heard) == len([".", "a", "a/b", "a/b/c"])


def test_a_report_on_settings_that_were_removed_while_nobody_ran_goes_away_and_one_that_holds_comes_again(days):
    with days.next() as house:
        for folder in ("gone", "trip"):
            house.drop(f"{folder}/style.yaml", b"stepz: 3\n")
        house.drop("trip/sub/a.jpg")
        house.rest()
        reports = house.problems()
        assert reports == [f"{folder}/style.yaml.problem.txt" for folder in ("gone", "trip", "trip/sub")]
    shutil.rmtree(days.folder / "inbox" / "gone")
    days.reconcile()
    with days.next() as house:
        house.rest()
        assert house.problems() == reports[1:]


class Claimed:
    """A claim on the outbox that counts how often it is renewed."""

    renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def test_a_long_start_keeps_systemd_patient_and_the_claim_on_the_outbox_fresh():
    clock, manager, claim = Clock(), Manager(), Claimed()
    patience = _Patience(manager, claim, clock)
    for _ in range(30):
        clock.now += HEARTBEAT_SECONDS / 10
        patience()
    assert manager.words == ["EXTEND_TIMEOUT_USEC=120000000"] * 3
    assert claim.renewed == 3
