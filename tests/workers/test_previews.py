"""Thumbnails of paintings that have none are made from their files, in a process that a codec may end."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from monet_watch.outbox.gallery.gallery import thumbnail_path
from monet_watch.workers.previews import make_previews, make_previews_in_a_process
from tests.outbox.gallery.exhibits import hang, record_of

PICTURE = np.full((600, 900, 3), (200, 120, 40), np.uint8)
RECORD = record_of(PurePosixPath("a.jpg"), size=(900, 600), stages=(5, 10))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return hang(tmp_path, RECORD, PICTURE)


def small(outbox: Path, name: str) -> Path:
    return outbox / thumbnail_path(RECORD.identity, name)


def test_a_painting_and_its_stages_get_small_pictures_once(tmp_path, folder):
    assert make_previews(tmp_path) == 3
    for name in ("painting", "0005", "0010"):
        with Image.open(small(tmp_path, name)) as picture:
            assert (picture.format, picture.size) == ("WEBP", (320, 213))
            assert np.abs(np.array(picture).mean((0, 1)) - PICTURE[0, 0]).max() < 6
    assert make_previews(tmp_path) == 0


def test_it_is_done_by_a_process_of_its_own(tmp_path, folder):
    assert make_previews_in_a_process(tmp_path)
    assert small(tmp_path, "painting").is_file()


def test_what_cannot_be_opened_is_left_out_and_harms_no_other(tmp_path, folder):
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "progress_0005.png").unlink()
    other = record_of(PurePosixPath("b.jpg"), size=(900, 600))
    hang(tmp_path, other, PICTURE)
    (hang(tmp_path, record_of(PurePosixPath("c.jpg")), PICTURE) / "painting.json").write_text("{}")

    assert make_previews(tmp_path) == 2
    assert small(tmp_path, "0010").is_file()
    assert (tmp_path / thumbnail_path(other.identity, "painting")).is_file()
