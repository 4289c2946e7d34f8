"""A contact sheet is made in a process of its own, from whatever lies in the outbox."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from monet_watch.errors import OutboxError
from monet_watch.outbox.sheet_files import sheet_digest
from monet_watch.workers.sheets import SheetMaker, SheetOrder, make_sheet
from tests.outbox.gallery.exhibits import hang, record_of

DIGEST = "ab" * 32


@pytest.fixture
def order(tmp_path, make_picture):
    """An order of a sheet of two paintings in the folder ``trip``."""
    names = ("a.jpg", "b.jpg")
    for name in names:
        hang(tmp_path, record_of(PurePosixPath("trip", name)), make_picture(64, 96), make_picture(64, 96, 1))
    paintings = tuple((PurePosixPath("trip", Path(name).stem), name) for name in names)
    return SheetOrder(tmp_path, PurePosixPath("trip"), "trip", paintings, 0, 1, DIGEST, 10**6)


def test_it_is_made_beside_the_paintings_and_bears_the_digest_of_what_it_shows(order):
    SheetMaker().make(order)
    path = order.root / "trip" / "contact-sheet.jpg"
    assert sheet_digest(path) == DIGEST
    with Image.open(path) as sheet:
        sheet.load()
        assert (sheet.format, sheet.mode) == ("JPEG", "RGB")
        assert "icc_profile" in sheet.info


@pytest.mark.parametrize("damage", [b"no picture", b"\x89PNG\r\n\x1a\n", b""])
def test_a_picture_that_is_damaged_costs_its_frame_and_not_the_sheet(order, damage):
    (order.root / "trip" / "a" / "a.png").write_bytes(damage)
    make_sheet(order)
    assert sheet_digest(order.root / "trip" / "contact-sheet.jpg") == DIGEST


def test_a_picture_larger_than_the_limit_is_not_opened(order):
    make_sheet(replace(order, limit_pixels=10))
    with Image.open(order.root / "trip" / "contact-sheet.jpg") as sheet:
        samples = np.asarray(sheet.convert("RGB")).astype(np.int16)
    assert np.ptp(samples, axis=2).max() < 12, "nothing but grey frames and letters"


def test_a_file_of_somebody_else_is_told_and_stays(order):
    mine = order.root / "trip" / "contact-sheet.jpg"
    mine.write_bytes(b"mine")
    with pytest.raises(OutboxError, match=r"contact-sheet\.jpg is somebody else's"):
        SheetMaker().make(order)
    assert mine.read_bytes() == b"mine"


def test_paintings_that_have_gone_in_the_meantime_are_left_out(order):
    (order.root / "trip" / "a" / "painting.json").unlink()
    make_sheet(order)
    (order.root / "trip" / "b" / "painting.json").unlink()
    with pytest.raises(OutboxError, match="no painting"):
        make_sheet(order)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_one_that_hangs_can_be_given_up_and_one_that_is_killed_is_told(order):
    painting = order.root / "trip" / "a" / "painting.json"
    painting.unlink()
    os.mkfifo(painting)  # whoever reads it waits for a writer
    maker = SheetMaker()

    def kill() -> None:
        with painting.open("wb"):  # there is a reader by now
            assert maker._process is not None and maker._process.pid is not None
            os.kill(maker._process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(OutboxError, match="was ended"):
        maker.make(order)
    killer.join()
    maker.end()
    maker.make(order)  # given up before it began: nobody asks for it any more
    assert not (order.root / "trip" / "contact-sheet.jpg").exists()
