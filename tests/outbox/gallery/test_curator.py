"""Who keeps the gallery does so beside everything else: what cannot be written is told, kept, and written later."""

import json
import os
import re
import threading
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.gallery.curator import Curator, gallery_lock, rebuild
from monet_watch.outbox.gallery.gallery import GALLERY_NAME, PAGE_NAME, Thumbnail, thumbnail_path
from monet_watch.outbox.gallery.moment import Moment
from tests.end_to_end.house import wait_until
from tests.outbox.gallery.exhibits import EPOCH, hang, record_of

PICTURE = np.full((4, 6, 3), 128, np.uint8)
AT_ONCE, PATIENCE_SECONDS = 0.01, 60.0


class House:
    """An outbox, and whoever keeps its gallery, who tries again at once."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "outbox", folder / "state"
        self.root.mkdir()
        self.state.mkdir()
        self.away = False

    def curator(self) -> Curator:
        outbox = Outbox(self.root, check=self.check)
        return Curator(outbox, self.state, PATIENCE_SECONDS, AT_ONCE)

    def check(self) -> None:
        if self.away:
            raise OutboxError("It is not mounted.")

    def paint(self, name: str) -> PurePosixPath:
        record = record_of(PurePosixPath(f"{name}.jpg"))
        hang(self.root, record, PICTURE)
        return PurePosixPath(name)

    def has_page(self, name: str) -> bool:
        return (self.root / name / PAGE_NAME).is_file()

    def listed(self) -> list[str]:
        """The paintings on the list, as the scripts have them."""
        pieces = sorted((self.root / GALLERY_NAME / "data").glob("piece-*.js"))
        return re.findall(r'"folder":"([^"]*)"', "".join(map(Path.read_text, pieces)))


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_what_is_finished_is_hung_by_a_thread_and_whoever_tells_it_waits_for_nothing(house):
    lock = gallery_lock(house.state)
    with house.curator() as curator:
        with lock:
            curator.hang(house.paint("a"))
            assert not house.has_page("a")
        wait_until(lambda: house.has_page("a"), "its page")
    assert house.listed() == ["a"]


def test_what_it_was_told_last_is_written_before_the_end(house):
    with house.curator() as curator:
        curator.hang(house.paint("a"))
        curator.show(Moment(EPOCH, False, {}))

    assert house.listed() == ["a"]
    assert '"awake":false' in (house.root / GALLERY_NAME / "data" / "moment.js").read_text()


@pytest.mark.parametrize("obstacle", ["a folder", "somebody else's page", "no folder for what is shared"])
def test_where_something_is_in_the_way_that_is_told_and_all_is_written_when_it_is_gone(house, obstacle):
    page, shared = house.root / PAGE_NAME, house.root / GALLERY_NAME
    if obstacle == "a folder":
        page.mkdir()
    elif obstacle == "somebody else's page":
        page.write_text("<h1>Mine</h1>")
    else:
        shared.write_text("a file")
    with house.curator() as curator:
        curator.keep(Thumbnail(record_of(PurePosixPath("a.jpg")).identity, "painting", b"small"))
        curator.hang(house.paint("a"))
        wait_until(lambda: "The gallery cannot be written" in curator.trouble, "the trouble")
        assert not house.has_page("a")
        if obstacle == "a folder":
            page.rmdir()
        else:
            (page if obstacle == "somebody else's page" else shared).unlink()
        wait_until(lambda: house.has_page("a") and not curator.trouble, "its page")
        small = house.root / thumbnail_path(record_of(PurePosixPath("a.jpg")).identity, "painting")
        wait_until(small.is_file, "the thumbnail")

    assert house.listed() == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are another matter there")
def test_files_that_may_not_be_written_are_told_and_harm_nothing(house, run_for_whom_permissions_count):
    with house.curator():
        pass
    house.paint("a")
    for folder in (house.root, house.root / GALLERY_NAME, house.root / GALLERY_NAME / "data", house.root / "a"):
        folder.chmod(0o555)
    try:
        told = run_for_whom_permissions_count(
            "import sys; from pathlib import Path, PurePosixPath\n"
            "from monet_watch.outbox.files import Outbox\n"
            "from monet_watch.outbox.gallery.curator import Curator\n"
            "from tests.end_to_end.house import wait_until\n"
            "with Curator(Outbox(Path(sys.argv[1])), Path(sys.argv[2]), 60.0, 0.01) as curator:\n"
            "    curator.hang(PurePosixPath('a'))\n"
            "    wait_until(lambda: curator.trouble, 'the trouble')\n"
            "    print(curator.trouble)\n",
            house.root,
            house.state,
        )
    finally:
        for folder in (house.root, house.root / GALLERY_NAME, house.root / GALLERY_NAME / "data", house.root / "a"):
            folder.chmod(0o755)

    assert "The gallery cannot be written" in told and "Permission denied" in told
    assert json.loads((house.root / "a" / "painting.json").read_text())


def test_nothing_is_written_into_what_an_unmounted_outbox_leaves_behind(house):
    house.away = True
    with house.curator() as curator:
        wait_until(lambda: "It is not mounted" in curator.trouble, "the trouble")
        assert list(house.root.iterdir()) == []
        house.away = False
        wait_until((house.root / PAGE_NAME).is_file, "the gallery")


def test_an_error_that_nobody_thought_of_is_told_and_the_next_painting_is_hung(house, monkeypatch):
    broken = threading.Event()
    original = Outbox.require

    def fail_once(outbox):
        if not broken.is_set():
            broken.set()
            raise ZeroDivisionError("no such thing")
        original(outbox)

    monkeypatch.setattr(Outbox, "require", fail_once)
    with house.curator() as curator:
        wait_until(lambda: "ZeroDivisionError: no such thing" in curator.trouble, "the trouble")
        curator.hang(house.paint("a"))
        wait_until(lambda: house.has_page("a") and not curator.trouble, "its page")


def test_a_gallery_made_anew_by_another_process_is_gone_on_with(house):
    with house.curator() as curator:
        curator.hang(house.paint("a"))
        wait_until(lambda: house.has_page("a"), "its page")
        (house.root / "a" / PAGE_NAME).unlink()
        assert rebuild(house.root, house.state) == 1
        assert house.has_page("a")
        curator.hang(house.paint("b"))
        wait_until(lambda: house.has_page("b"), "its page")

    assert house.listed() == ["a", "b"]
