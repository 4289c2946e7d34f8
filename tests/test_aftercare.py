"""What becomes of originals: kept, moved or deleted, and only if they are what was painted."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from monet_watch import aftercare as module
from monet_watch.aftercare import Aftercare
from monet_watch.errors import OutboxError
from monet_watch.outbox.files import write_whole

PHOTO = PurePosixPath("trip/a.jpg")
DATA = b"the photo"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "inbox" / PHOTO
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_500_000_000_000_000_000))
    return path


def aftercare(tmp_path: Path, after) -> Aftercare:
    return Aftercare(tmp_path / "inbox", after, tmp_path / "archive", 1000)


def test_what_is_to_be_kept_is_kept(tmp_path, original):
    assert aftercare(tmp_path, "keep")(PHOTO, SHA256) == ""
    assert original.read_bytes() == DATA


def test_what_is_to_be_deleted_goes(tmp_path, original):
    assert "deleted" in aftercare(tmp_path, "delete")(PHOTO, SHA256)
    assert not original.exists()
    assert not (tmp_path / "archive").exists()


def test_what_is_to_be_moved_lies_in_the_archive_where_it_lay_in_the_inbox_with_its_time(tmp_path, original):
    assert str(tmp_path / "archive" / PHOTO) in aftercare(tmp_path, "move")(PHOTO, SHA256)
    assert not original.exists()
    archived = tmp_path / "archive" / PHOTO
    assert archived.read_bytes() == DATA
    assert archived.stat().st_mtime_ns == 1_500_000_000_000_000_000


@pytest.mark.parametrize("after", ["move", "delete"])
def test_a_later_photo_of_the_same_name_stays(tmp_path, original, after):
    original.write_bytes(b"another one")
    assert aftercare(tmp_path, after)(PHOTO, SHA256) == ""
    assert original.read_bytes() == b"another one"


@pytest.mark.parametrize("replaced", [os.replace, lambda source, target: target.write_bytes(source.read_bytes())])
def test_a_photo_that_is_replaced_while_the_painted_one_is_put_away_stays(tmp_path, original, monkeypatch, replaced):
    def write_slowly(path: Path, data: bytes) -> None:
        write_whole(path, data)
        later = tmp_path / "later"
        later.write_bytes(b"a later one")
        replaced(later, original)

    monkeypatch.setattr(module, "write_whole", write_slowly)
    assert aftercare(tmp_path, "move")(PHOTO, SHA256) == ""
    assert original.read_bytes() == b"a later one"


@pytest.mark.parametrize("after", ["move", "delete"])
def test_a_photo_that_is_gone_is_no_matter(tmp_path, original, after):
    original.unlink()
    assert aftercare(tmp_path, after)(PHOTO, SHA256) == ""


def test_another_photo_in_the_archive_is_not_overwritten(tmp_path, original):
    archived = tmp_path / "archive" / PHOTO
    archived.parent.mkdir(parents=True)
    archived.write_bytes(b"another one")
    aftercare(tmp_path, "move")(PHOTO, SHA256)
    assert archived.read_bytes() == b"another one"
    assert (archived.parent / f"a-{SHA256[:8]}.jpg").read_bytes() == DATA
    assert not original.exists()


def test_a_move_that_was_interrupted_is_finished_without_a_second_copy(tmp_path, original):
    archived = tmp_path / "archive" / PHOTO
    archived.parent.mkdir(parents=True)
    archived.write_bytes(DATA)
    aftercare(tmp_path, "move")(PHOTO, SHA256)
    assert not original.exists()
    assert [path.name for path in archived.parent.iterdir()] == ["a.jpg"]
    assert archived.stat().st_mtime_ns == 1_500_000_000_000_000_000


def test_an_archive_that_cannot_be_written_leaves_the_original_where_it_is(tmp_path, original):
    (tmp_path / "archive").write_bytes(b"")
    with pytest.raises(OutboxError, match="cannot be put away"):
        aftercare(tmp_path, "move")(PHOTO, SHA256)
    assert original.read_bytes() == DATA


def test_while_the_archive_is_away_the_original_stays_and_nothing_is_made_in_its_place(tmp_path, original):
    def check() -> None:
        raise OutboxError("The archive is not mounted.")

    with pytest.raises(OutboxError, match="not mounted"):
        replace(aftercare(tmp_path, "move"), check=check)(PHOTO, SHA256)
    assert original.read_bytes() == DATA
    assert not (tmp_path / "archive").exists()


def test_a_photo_in_an_archive_full_of_its_names_stays_where_it_is(tmp_path, original):
    for name in ("a.jpg", f"a-{SHA256[:8]}.jpg", f"{SHA256}.jpg"):
        target = tmp_path / "archive" / "trip" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"another one")
    with pytest.raises(OutboxError, match="no free name"):
        aftercare(tmp_path, "move")(PHOTO, SHA256)
    assert original.read_bytes() == DATA
