"""A database is led from version to version without loss, and a change that fails leaves nothing of itself."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from monet_watch.database import Database, Schema
from monet_watch.errors import LedgerError

FIRST = ("CREATE TABLE photos (name TEXT PRIMARY KEY)",)
SECOND = ("ALTER TABLE photos ADD COLUMN painted INTEGER NOT NULL DEFAULT 0", "CREATE TABLE styles (name TEXT)")
ONE = Schema(1234, (FIRST,))
TWO = Schema(1234, (FIRST, SECOND))
BROKEN = Schema(1234, (FIRST, (SECOND[0], "CREATE TABLE photos (again TEXT)")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    with contextlib.closing(Database.open(file, ONE)) as database:
        yield database


def add(database: Database, name: str) -> None:
    database.change("INSERT INTO photos (name) VALUES (?)", name)


def names(database: Database) -> list[str]:
    return [row["name"] for row in database.rows("SELECT name FROM photos ORDER BY name")]


def version(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as raw:
        found: int = raw.execute("PRAGMA user_version").fetchone()[0]
    return found


def test_the_record_of_an_earlier_version_is_brought_up_to_date_with_everything_in_it(file):
    with contextlib.closing(Database.open(file, ONE)) as database:
        add(database, "a.jpg")

    with contextlib.closing(Database.open(file, TWO)) as database:
        assert [tuple(row) for row in database.rows("SELECT name, painted FROM photos")] == [("a.jpg", 0)]
        assert database.rows("SELECT * FROM styles") == []
    assert version(file) == 2


def test_a_record_that_is_up_to_date_is_not_written_when_it_is_opened(file):
    Database.open(file, ONE).close()
    before = file.read_bytes()

    Database.open(file, ONE).close()

    assert file.read_bytes() == before


def test_a_change_of_version_that_fails_leaves_the_record_as_it_was(file):
    with contextlib.closing(Database.open(file, ONE)) as database:
        add(database, "a.jpg")

    with pytest.raises(LedgerError, match="already exists"):
        Database.open(file, BROKEN)

    assert version(file) == 1
    with contextlib.closing(Database.open(file, TWO)) as database:
        assert names(database) == ["a.jpg"]


def test_a_reader_does_not_bring_an_earlier_record_up_to_date_but_says_who_does(file):
    Database.open(file, ONE).close()

    with pytest.raises(LedgerError, match="earlier version") as caught:
        Database.open_read_only(file, TWO)

    assert "Start the daemon" in caught.value.remedy
    assert version(file) == 1


def test_a_transaction_inside_another_is_undone_alone_however_deep(database):
    with database.transaction():
        add(database, "outer")
        with database.transaction():
            add(database, "inner")
            with pytest.raises(ZeroDivisionError), database.transaction():
                add(database, "innermost")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), database.transaction():
            add(database, "another")
            raise ZeroDivisionError

    assert names(database) == ["inner", "outer"]


def test_a_transaction_is_undone_to_its_beginning_after_one_inside_it_was(database):
    with database.transaction():
        add(database, "outer")
        with pytest.raises(KeyError), database.transaction():
            add(database, "inner")
            with pytest.raises(ZeroDivisionError), database.transaction():
                raise ZeroDivisionError
            raise KeyError

    assert names(database) == ["outer"]


def test_what_an_inner_transaction_kept_is_undone_with_the_outer_one(database):
    with pytest.raises(ZeroDivisionError), database.transaction():
        with database.transaction():
            add(database, "inner")
        raise ZeroDivisionError

    assert names(database) == []


def test_a_bulk_is_a_transaction_or_a_part_of_the_one_that_is_under_way(database):
    with database.bulk():
        database.change_many("INSERT INTO photos (name) VALUES (?)", [("a",), ("b",)])
    with pytest.raises(LedgerError, match="UNIQUE"), database.transaction():
        add(database, "c")
        with database.bulk():
            database.change_many("INSERT INTO photos (name) VALUES (?)", [("d",), ("a",)])

    assert names(database) == ["a", "b"]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_any_number_of_rows_is_inserted_with_what_is_common_to_them(database, count):
    with database.transaction():
        database.change("CREATE TABLE stages (photo TEXT, step INTEGER, device TEXT, loss REAL)")
        rows = [(number, number / 2) for number in range(count)]
        database.insert_many("stages", {"photo": "a.jpg", "device": "cpu"}, ("step", "loss"), rows)
    found = [tuple(row) for row in database.rows("SELECT photo, step, device, loss FROM stages ORDER BY step")]
    assert found == [("a.jpg", number, "cpu", number / 2) for number in range(count)]


def test_of_many_rows_one_that_is_refused_undoes_all(database):
    with pytest.raises(LedgerError, match="UNIQUE"), database.transaction():
        database.insert_many("photos", {}, ("name",), [(str(number % 150),) for number in range(300)])
    assert names(database) == []


def test_a_change_of_many_rows_that_is_refused_in_a_bulk_is_undone_alone(database):
    with database.transaction(is_bulk=True):
        add(database, "a")
        with pytest.raises(LedgerError, match="UNIQUE"):
            database.change("INSERT INTO photos (name) VALUES ('b'), ('c'), ('a')")
        with pytest.raises(ZeroDivisionError), database.transaction():
            add(database, "d")
            raise ZeroDivisionError

    assert names(database) == ["a"]


def test_after_a_refused_change_the_next_one_is_made(database):
    add(database, "a.jpg")

    with pytest.raises(LedgerError, match="UNIQUE"), database.transaction():
        add(database, "b.jpg")
        add(database, "a.jpg")
    with database.transaction():
        add(database, "c.jpg")

    assert names(database) == ["a.jpg", "c.jpg"]


def test_a_full_disk_is_told_with_a_remedy_and_what_was_kept_stays(database):
    add(database, "a.jpg")
    pages = database.rows("PRAGMA page_count")[0][0]
    database.rows(f"PRAGMA max_page_count = {pages}")  # SQLite's own way of a disk with no room left

    with pytest.raises(LedgerError, match="full") as caught, database.transaction():
        for number in range(1000):
            add(database, f"{number:0100}.jpg")

    assert caught.value.remedy == "Free some space on its disk."
    assert names(database) == ["a.jpg"]
    database.rows("PRAGMA max_page_count = 10000")
    with database.transaction():
        add(database, "b.jpg")
    assert names(database) == ["a.jpg", "b.jpg"]


def test_a_snapshot_shows_one_moment_whatever_is_written_meanwhile(database, file):
    with contextlib.closing(Database.open_read_only(file, ONE)) as reader:
        with reader.snapshot():
            assert names(reader) == []
            add(database, "a.jpg")
            assert names(reader) == []
        assert names(reader) == ["a.jpg"]


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_only_durable_changes_wait_for_the_disk(database, durable, level):
    """SQLite numbers the levels: 1 is NORMAL, 2 is FULL."""
    with database.transaction(durable=durable):
        assert database.rows("PRAGMA synchronous")[0][0] == level


def test_a_change_alone_waits_for_no_disk_and_is_seen_by_others_at_once(database, file):
    with contextlib.closing(Database.open_read_only(file, ONE)) as reader:
        assert database.change_alone("INSERT INTO photos VALUES ('a.jpg')") == 1
        assert database.rows("PRAGMA synchronous")[0][0] == 1
        assert names(reader) == ["a.jpg"]


def test_a_change_alone_in_a_transaction_is_kept_or_undone_with_it(database):
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.change_alone("INSERT INTO photos VALUES ('a.jpg')")
        raise ZeroDivisionError
    with database.transaction():
        database.change_alone("INSERT INTO photos VALUES ('b.jpg')")
        assert database.rows("PRAGMA synchronous")[0][0] == 2
    assert names(database) == ["b.jpg"]


def test_foreign_keys_are_enforced_which_sqlite_does_only_where_it_is_asked_to(database):
    assert database.rows("PRAGMA foreign_keys")[0][0] == 1


def test_who_holds_the_file_is_waited_for_and_then_told(database, file, monkeypatch):
    monkeypatch.setattr("monet_watch.database._BUSY_SECONDS", 0.01)
    with (
        contextlib.closing(Database.open(file, ONE)) as other,
        database.transaction(),
        pytest.raises(LedgerError, match="locked") as caught,
        other.transaction(),
    ):
        pass

    assert caught.value.remedy == "Another program holds it; close that one."


def test_the_room_of_what_was_deleted_is_given_back_and_what_is_left_stays(file, database):
    for number in range(2000):
        add(database, f"{number:04d}{'x' * 500}")
    add(database, "stays.jpg")
    database.change("DELETE FROM photos WHERE name != 'stays.jpg'")
    assert database.compact(100_000)
    database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert file.stat().st_size < 100_000
    assert names(database) == ["stays.jpg"]
    assert not database.compact(100_000)  # once is enough


def test_little_room_or_less_than_half_of_the_file_is_not_worth_the_while(database):
    for number in range(1000):
        add(database, f"{number:04d}{'x' * 500}")
    database.change("DELETE FROM photos WHERE name < '0100'")
    assert not database.compact(0)
    database.change("DELETE FROM photos")
    assert not database.compact(10_000_000)
