"""A contact sheet is made when a folder is finished, once for each change, and never holds up painting."""

import threading
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from monet_watch.clerk import Office
from monet_watch.config import load_config
from monet_watch.contact_sheets import ContactSheets
from monet_watch.errors import OutboxError
from monet_watch.notices import Notice
from monet_watch.outbox.sheet_files import sheet_comment
from monet_watch.workers.sheets import SheetMaker, SheetOrder
from tests.end_to_end.house import wait_until
from tests.rehearsal import LIMIT_BYTES, Rehearsal


class Maker(SheetMaker):
    """Writes what stands for a sheet, or fails with ``trouble``."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[SheetOrder] = []
        self.trouble = ""

    def make(self, order: SheetOrder) -> None:
        self.orders.append(order)
        if self.trouble:
            raise OutboxError(self.trouble)
        (order.root / order.folder / "contact-sheet.jpg").write_bytes(sheet_comment(order.digest))

    @property
    def shown(self) -> list[tuple[str, list[str], int]]:
        """Of each sheet: its folder, the photos, and how many problems it tells."""
        return [(str(o.folder), [name for _, name in o.paintings], o.problems) for o in self.orders]


class Desk:
    """Contact sheets of a house in which painting takes no time."""

    def __init__(self, house: Rehearsal, **settings: object) -> None:
        self.house = house
        config = load_config(None, {"inbox": house.inbox, "outbox": house.outbox, **settings})
        self.told: list[Notice] = []
        self.office = Office(config, house.folder / "ledger.sqlite3", self.told.append, once=True)
        self.maker = Maker()
        self.heard = 0

    def finish(self) -> list[tuple[str, list[str], int]]:
        """Tell a desk all that has happened since, and return the sheets that it has made once it has ended."""
        sheets = ContactSheets(self.office, self.maker, quiet_seconds=0.0)
        for notice in self.house.notices[self.heard :]:
            sheets.heard(notice)
        self.heard = len(self.house.notices)
        sheets.end()
        wait_until(lambda: sheets.ended, "the sheets")
        made, self.maker.orders = self.maker.shown, []
        return made


@pytest.fixture
def house(tmp_path) -> Iterator[Rehearsal]:
    with Rehearsal(tmp_path) as house:
        yield house


def test_a_folder_gets_its_sheet_with_all_its_photos_in_the_order_of_their_numbers(house):
    for number in (10, 9, 2):
        house.drop(f"trip/IMG_{number}.jpg", str(number).encode())
    house.drop("trip/huge.jpg", b"x" * (LIMIT_BYTES + 1))
    house.rest()
    assert Desk(house).finish() == [("trip", ["IMG_2.jpg", "IMG_9.jpg", "IMG_10.jpg"], 1)]


def test_nothing_is_made_for_one_painting_nor_while_a_photo_waits(house):
    house.drop("one/a.jpg")
    house.drop("trip/a.jpg", b"a")
    house.drop("trip/b.jpg", b"b")
    house.drop("trip/empty.jpg", b"")
    house.rest()
    desk = Desk(house)
    assert house.states("trip/empty.jpg") == ["waiting"]
    assert desk.finish() == []
    house.drop("trip/empty.jpg", b"c")
    house.rest()
    assert desk.finish() == [("trip", ["a.jpg", "b.jpg", "empty.jpg"], 0)]


def test_it_is_made_once_for_each_change(house):
    for name in ("a", "b", "c"):
        house.drop(f"trip/{name}.jpg", name.encode())
    house.rest()
    desk = Desk(house)
    assert len(desk.finish()) == 1
    house.advance(300)  # another look through the inbox
    assert desk.finish() == []
    (house.outbox / "trip" / "b" / "painting.json").unlink()
    house.advance(300)
    assert desk.finish() == [("trip", ["a.jpg", "c.jpg"], 0)]
    assert desk.finish() == []


def test_folders_have_sheets_of_their_own_and_the_inbox_has_one_in_the_outbox_itself(house):
    for name in ("a.jpg", "b.jpg", "deep/er/a.jpg", "deep/er/b.jpg", "deep/c.jpg"):
        house.drop(name, name.encode())
    house.rest()
    assert sorted(Desk(house).finish()) == [(".", ["a.jpg", "b.jpg"], 0), ("deep/er", ["a.jpg", "b.jpg"], 0)]


def test_what_fails_is_told_once_and_not_tried_again_at_once(house):
    for name in ("a.jpg", "b.jpg"):
        house.drop(f"trip/{name}", name.encode())
    house.rest()
    desk = Desk(house)
    desk.maker.trouble = "It is somebody else's."
    sheets = ContactSheets(desk.office, desk.maker, quiet_seconds=0.0)
    for _ in range(3):
        sheets.heard(Notice("scanned", ""))
        wait_until(lambda: bool(desk.told), "the trouble")
    sheets.end()
    wait_until(lambda: sheets.ended, "the end")
    assert [(notice.event, str(notice.level)) for notice in desk.told] == [("problem", "warning")]
    assert "trip/contact-sheet.jpg" in desk.told[0].text and "somebody else's" in desk.told[0].text
    assert len(desk.maker.orders) == 1


def test_a_config_without_sheets_begins_no_thread(house):
    for name in ("a.jpg", "b.jpg"):
        house.drop(f"trip/{name}", name.encode())
    house.rest()
    before = threading.active_count()
    desk = Desk(house, contact_sheet=False)
    sheets = ContactSheets(desk.office, desk.maker)
    for notice in house.notices:
        sheets.heard(notice)
    assert threading.active_count() == before and sheets.ended


def test_of_very_many_the_latest_are_shown(house, monkeypatch):
    monkeypatch.setattr("monet_watch.contact_sheets.MOST_PAINTINGS", 2)
    for name in ("z", "b", "a"):
        house.drop(f"trip/{name}.jpg", name.encode())
        house.rest()
    desk = Desk(house)
    sheets = desk.finish()
    assert sheets == [("trip", ["a.jpg", "b.jpg"], 0)]


def test_of_two_folders_that_have_one_place_in_the_outbox_one_has_the_sheet(house):
    for folder in ("a\udcff", "a\udcfe"):
        for name in ("1", "2"):
            house.drop(f"{folder}/{name}.jpg", (folder + name).encode("utf-8", "surrogateescape"))
    house.rest()
    assert {job.folder.parent for job in house.ledger.photos_in(PurePosixPath("a\udcff"))} == {PurePosixPath("a\ufffd")}
    desk = Desk(house)
    sheets = ContactSheets(desk.office, desk.maker, quiet_seconds=0.0)
    for _ in range(2):
        sheets.heard(Notice("scanned", ""))
    sheets.end()
    wait_until(lambda: sheets.ended, "the end")
    assert len(desk.maker.orders) == 1
