"""What is not mounted is not deleted, in this run and in the next."""

from pathlib import Path, PurePosixPath

import pytest

from monet_watch.inbox import mounts
from monet_watch.inbox.presence import Presence
from monet_watch.inbox.survey import InboxGoneError
from tests.mounted import System

PHOTO = PurePosixPath("nas/x.jpg")


@pytest.fixture
def system(monkeypatch, tmp_path):
    monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")
    return System(tmp_path / "mountinfo")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "inbox/nas").mkdir(parents=True)
    return tmp_path / "inbox"


def replaced(folder: Path) -> None:
    """Another folder, empty, in the place of ``folder``, as when what is mounted there goes."""
    folder.rename(folder.with_name(f"{folder.name}, inode {folder.stat().st_ino}"))
    folder.mkdir()


def test_an_inbox_that_is_unmounted_is_away_and_not_empty(system, root):
    system.mount(root)
    presence = Presence(root)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    presence.check()
    system.unmount(root)
    replaced(root)
    with pytest.raises(InboxGoneError, match="that is not mounted"):
        presence.check()
    with pytest.raises(InboxGoneError, match="that is not mounted"):
        presence.scanned([], is_missed=True)
    system.mount(root)
    replaced(root)
    presence.check()
    presence.scanned([], is_missed=True)


def test_that_it_belongs_on_a_share_is_known_after_a_restart(system, root):
    notes = []
    system.mount(root)
    Presence(root, "", notes.append).scanned([bytes(PHOTO)], is_missed=False)
    system.unmount(root)
    again = Presence(root, notes[-1])
    for claim in (again.check, lambda: again.scanned([], is_missed=True)):
        with pytest.raises(InboxGoneError):
            claim()
    again.scanned([], is_missed=False)  # nothing can be lost
    again.check()


def test_a_share_that_is_not_mounted_but_has_photos_in_its_place_counts(system, root):
    system.mount(root)
    presence = Presence(root)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    system.unmount(root)
    replaced(root)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    presence.check()


def test_a_folder_that_was_removed_and_made_again_where_it_was_is_the_inbox(system, root):
    presence = Presence(root)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    replaced(root)
    presence.check()
    presence.scanned([], is_missed=True)


def test_an_inbox_that_is_not_there_is_away(system, root):
    presence = Presence(root)
    root.rename(root.with_name("away"))
    for claim in (presence.check, lambda: presence.scanned([bytes(PHOTO)], is_missed=False)):
        with pytest.raises(InboxGoneError):
            claim()


def test_what_lay_on_a_share_below_the_inbox_is_not_gone_while_the_share_is(system, root):
    notes = []
    system.mount(root / "nas")
    presence = Presence(root, "", notes.append)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    assert presence.share_missing_above(PHOTO) is None
    system.unmount(root / "nas")
    for known in (presence, Presence(root, notes[-1])):
        known.scanned([b"y.jpg"], is_missed=True)
        assert known.missing() == (PurePosixPath("nas"),)
        assert known.share_missing_above(PHOTO) == PurePosixPath("nas")
        assert known.share_missing_above(PurePosixPath("y.jpg")) is None
        known.check()
    system.mount(root / "nas")
    assert presence.missing() == ()


def test_a_share_below_the_inbox_is_done_with_when_photos_lie_in_its_place(system, root):
    system.mount(root / "nas")
    presence = Presence(root)
    presence.scanned([bytes(PHOTO)], is_missed=True)
    system.unmount(root / "nas")
    presence.scanned([bytes(PHOTO)], is_missed=True)
    assert presence.missing() == ()


@pytest.mark.parametrize("noted", ["", "nonsense", "[]", '{"inbox": "/another", "mount": "/another", "shares": ["x"]}'])
def test_a_note_that_is_none_or_of_another_inbox_means_nothing(system, root, noted):
    presence = Presence(root, noted)
    presence.check()
    presence.scanned([], is_missed=True)
    assert presence.missing() == ()


def test_it_is_noted_when_it_changes_and_names_may_have_any_bytes(system, tmp_path):
    notes = []
    odd = tmp_path / "in\udcffbox"
    odd.mkdir()
    presence = Presence(odd, "", notes.append)
    for _ in range(3):
        presence.scanned([], is_missed=False)
    assert len(notes) == 1
    assert notes[0].isascii()
    assert Presence(odd, notes[0])._point == "/"
