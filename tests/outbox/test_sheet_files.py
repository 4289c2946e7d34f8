"""A contact sheet's files say what they show, take only each other's places, and leave nothing behind."""

import pytest

from monet_watch.errors import OutboxError
from monet_watch.outbox.sheet_files import (
    count_pages,
    lonely_sheets,
    remove_sheet,
    sheet_comment,
    sheet_digest,
    sheet_name,
    write_sheet,
)

ONE, OTHER = "ab" * 32, "cd" * 32


def page(digest: str) -> bytes:
    return b"\xff\xd8 a page " + sheet_comment(digest)


def test_a_page_says_of_what_it_is_and_nothing_else_does(tmp_path):
    write_sheet(tmp_path, [page(ONE)])
    (tmp_path / "other.jpg").write_bytes(b"\xff\xd8 a picture")
    names = ("contact-sheet.jpg", "other.jpg", "missing.jpg")
    assert [sheet_digest(tmp_path / name) for name in names] == [ONE, "", ""]


def test_pages_are_numbered_from_the_second():
    assert [sheet_name(number) for number in (1, 2, 11)] == [
        "contact-sheet.jpg",
        "contact-sheet-2.jpg",
        "contact-sheet-11.jpg",
    ]


def test_a_sheet_takes_the_place_of_one_with_more_pages(tmp_path):
    write_sheet(tmp_path, [page(ONE)] * 3)
    write_sheet(tmp_path, [page(OTHER)])
    assert [path.name for path in tmp_path.iterdir()] == ["contact-sheet.jpg"]
    assert sheet_digest(tmp_path / "contact-sheet.jpg") == OTHER


@pytest.mark.parametrize("name", ["contact-sheet.jpg", "contact-sheet-2.jpg"])
def test_a_file_of_somebody_else_is_never_overwritten(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutboxError, match=f"{name} is somebody else's"):
        write_sheet(tmp_path, [page(ONE)] * 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"mine"}


def test_a_page_of_somebody_else_after_the_last_one_stays(tmp_path):
    (tmp_path / "contact-sheet-2.jpg").write_bytes(b"mine")
    write_sheet(tmp_path, [page(ONE)])
    assert (tmp_path / "contact-sheet-2.jpg").read_bytes() == b"mine"


def test_a_sheet_is_removed_with_all_its_pages_and_nothing_else(tmp_path):
    assert not remove_sheet(tmp_path)
    write_sheet(tmp_path, [page(ONE)] * 3)
    (tmp_path / "contact-sheet-4.jpg").write_bytes(b"mine")
    assert count_pages(tmp_path) == 3
    assert remove_sheet(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["contact-sheet-4.jpg"]


def test_a_sheet_with_fewer_than_two_paintings_beside_it_is_lonely(tmp_path):
    for name, count in (("none", 0), ("one", 1), ("two", 2), (".hidden", 0), ("deep/none", 0)):
        for number in range(count):
            (tmp_path / name / str(number)).mkdir(parents=True)
            (tmp_path / name / str(number) / "painting.json").touch()
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        write_sheet(tmp_path / name, [page(ONE)])
    (tmp_path / "deep" / "contact-sheet.jpg").write_bytes(b"mine")
    assert sorted(map(str, lonely_sheets(tmp_path))) == ["deep/none", "none", "one"]
