"""An outbox whose share is not mounted is away, in this run and in the next."""

from pathlib import Path, PurePosixPath

import pytest

from monet_watch.errors import OutboxError
from monet_watch.inbox import mounts
from monet_watch.outbox.files import Outbox
from monet_watch.whereabouts import Whereabouts
from tests.mounted import System

FOLDER = PurePosixPath("cat")


class House:
    """An outbox on a share, and the note that outlives a run."""

    def __init__(self, folder: Path) -> None:
        self.system = System(folder / "mountinfo")
        self.root = folder / "outbox"
        self.root.mkdir()
        self.noted = ""

    def start(self) -> Outbox:
        def note(text: str) -> None:
            self.noted = text

        return Outbox(self.root, check=Whereabouts(self.root, self.noted, note).check)


@pytest.fixture
def house(monkeypatch, tmp_path):
    monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")
    return House(tmp_path)


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_written_into_or_missed_in_what_an_unmounted_share_leaves_behind(house, restarted):
    house.system.mount(house.root)
    outbox = house.start()
    house.system.unmount(house.root)
    (house.root / ".monet-watch.claim").touch()
    outbox = house.start() if restarted else outbox
    for attempt in (
        lambda: outbox.write(FOLDER, "cat.png", b"x"),
        lambda: outbox.claim_folder(FOLDER, "0" * 64),
        lambda: outbox.tell_problem(FOLDER, "No.", "Why.", "What."),
        lambda: outbox.holds(FOLDER),
        lambda: outbox.stages(FOLDER),
    ):
        with pytest.raises(OutboxError, match="not mounted"):
            attempt()
    assert "not mounted" in str(outbox.trouble())
    assert [path.name for path in house.root.iterdir()] == [".monet-watch.claim"]
    house.system.mount(house.root)
    outbox.write(FOLDER, "cat.png", b"x")


@pytest.mark.parametrize("restarted", [False, True])
def test_where_somebody_has_put_something_is_the_outbox(house, restarted):
    house.system.mount(house.root)
    outbox = house.start()
    house.system.unmount(house.root)
    (house.root / "moved").mkdir()
    outbox = house.start() if restarted else outbox
    outbox.write(FOLDER, "cat.png", b"x")


def test_an_archive_is_told_by_its_name_and_may_be_missing_altogether(house, tmp_path):
    share, notes = tmp_path / "share", []
    archive = share / "archive"
    house.system.mount(share)
    Whereabouts(archive, "", notes.append, "archive").check()
    house.system.unmount(share)
    with pytest.raises(OutboxError, match=rf"The archive .* does not lie on {share} any more"):
        Whereabouts(archive, notes[0], notes.append, "archive").check()
    house.system.mount(share)
    Whereabouts(archive, notes[0], notes.append, "archive").check()
    assert len(notes) == 1


@pytest.mark.parametrize("noted", ["", "{", "[1]", '{"outbox": "/another", "mount": "/mnt"}', '{"mount": 1}'])
def test_an_outbox_of_which_nothing_is_known_lies_where_it_belongs(house, noted):
    house.noted = noted
    house.start().write(FOLDER, "cat.png", b"x")
    assert str(house.root) in house.noted
