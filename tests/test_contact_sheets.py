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
from monet_watch.requests import Act, Request
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
        self.titles = [order.title for order in self.maker.orders]
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


def test_two_folders_that_have_one_place_in_the_outbox_share_a_sheet_that_names_both(house):
    for folder in ("a\udcff", "a\udcfe"):
        for name in ("1", "2"):
            house.drop(f"{folder}/{name}.jpg", (folder + name).encode("utf-8", "surrogateescape"))
    house.rest()
    desk = Desk(house)
    photos = [f"a{end}/{name}.jpg" for name in "12" for end in ("\udcfe", "\udcff")]
    assert desk.finish() == [("a\ufffd", photos, 0)]
    assert desk.titles == ["a\udcfe and a\udcff"]
    house.advance(300)
    assert desk.finish() == []


@pytest.mark.parametrize("shares_fold_case", [True, False])
def test_folders_whose_names_differ_in_case_alone_share_a_sheet_where_the_share_folds_case(house, shares_fold_case):
    if shares_fold_case:  # a link stands for what such a share does
        (house.outbox / "Trip").mkdir()
        (house.outbox / "trip").symlink_to("Trip")
    for name in ("Trip/1.jpg", "Trip/2.jpg", "trip/3.jpg", "trip/4.jpg"):
        house.drop(name, name.encode())
    house.rest()
    desk = Desk(house)
    together = [["Trip/1.jpg", "Trip/2.jpg", "trip/3.jpg", "trip/4.jpg"]]
    apart = [["1.jpg", "2.jpg"], ["3.jpg", "4.jpg"]]
    assert sorted(photos for _, photos, _ in desk.finish()) == (together if shares_fold_case else apart)
    house.advance(300)
    assert desk.finish() == []


def desk_with_a_sheet(house):
    """The sheet is trip's, of two paintings."""
    for name in ("a", "b"):
        house.drop(f"trip/{name}.jpg", name.encode())
    house.rest()
    desk = Desk(house)
    desk.finish()
    return desk


def test_a_sheet_goes_when_fewer_than_two_of_its_paintings_are_left(house):
    desk = desk_with_a_sheet(house)
    (house.outbox / "trip" / "b" / "painting.json").unlink()
    house.advance(300)
    assert desk.finish() == []
    assert not (house.outbox / "trip" / "contact-sheet.jpg").exists()
    assert "trip/contact-sheet.jpg is gone" in desk.told[-1].text


def test_a_sheet_goes_when_its_photos_are_forgotten(house):
    desk = desk_with_a_sheet(house)
    for name in ("a", "b"):
        house.remove(f"trip/{name}.jpg")
    house.ask(Request(Act.FORGET, (PurePosixPath("trip/a.jpg"), PurePosixPath("trip/b.jpg"))))
    assert desk.finish() == []
    assert not (house.outbox / "trip" / "contact-sheet.jpg").exists()


def test_a_sheet_of_paintings_that_nobody_knows_goes_when_they_have_gone_and_a_file_of_somebody_else_stays(house):
    for name, data in (("lost", sheet_comment("ab" * 32)), ("mine", b"mine"), ("kept", sheet_comment("ab" * 32))):
        (house.outbox / name).mkdir()
        (house.outbox / name / "contact-sheet.jpg").write_bytes(data)
    for painting in ("a", "b"):
        (house.outbox / "kept" / painting).mkdir()
        (house.outbox / "kept" / painting / "painting.json").write_bytes(b"")
    house.advance(300)
    Desk(house).finish()
    assert sorted(path.parent.name for path in house.outbox.glob("*/contact-sheet.jpg")) == ["kept", "mine"]
