"""The pictures of the README's tour: of the widths and schemes that they are named after, and small enough to keep."""

from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from benchmarks.tour import SHOTS, furnish, is_ready, photograph
from monet_watch.config import load_config
from monet_watch.outbox.gallery.gallery import Gallery
from monet_watch.outbox.gallery.moment import Moment, Sitting
from tests.outbox.gallery.exhibits import EPOCH, digest, hang, record_of


@pytest.fixture
def outbox(tmp_path, make_picture):
    """Four paintings, and a fifth that is begun."""
    outbox, picture = tmp_path / "outbox", make_picture(256, 384)
    for name in ("Launch", "family/Chelsea", "holiday/Summer Palace", "holiday/Dahlia"):
        hang(outbox, record_of(PurePosixPath(f"{name}.jpg"), size=(384, 256)), picture, picture)
    gallery = Gallery(outbox)
    gallery.open()
    begun = outbox / "Morning coffee"
    begun.mkdir()
    Image.fromarray(picture).save(begun / "progress_0005.png")
    photo, folder = PurePosixPath("Morning coffee.jpg"), PurePosixPath("Morning coffee")
    gallery.show(Moment(EPOCH, True, {}, (Sitting(photo, folder, digest("b"), ("x",), 5, 40, 12.5, 61.4),)))
    return outbox


def test_there_is_a_small_picture_of_every_page_that_the_tour_shows(outbox, tmp_path):
    photograph(outbox, tmp_path)
    pictures = {}
    for shot in SHOTS:
        file = tmp_path / f"{shot.name}.webp"
        assert file.stat().st_size <= 150_000
        with Image.open(file) as picture:
            pictures[shot] = np.array(picture)
        assert pictures[shot].shape[1] == shot.width
        assert (pictures[shot][:40].mean() < 60) == (shot.scheme == "dark")
    assert len({picture.tobytes() for picture in pictures.values()}) == len(SHOTS)


def test_it_is_taken_when_enough_is_painted_and_something_is_on_the_easel(outbox):
    assert is_ready(outbox)
    (outbox / "Morning coffee" / "progress_0005.png").unlink()
    assert not is_ready(outbox)
    (outbox / "family" / "Chelsea" / "painting.json").unlink()
    assert not is_ready(outbox)


def test_the_inbox_that_is_painted_has_a_config_of_its_own(tmp_path):
    furnish(tmp_path, 96)
    config = load_config(tmp_path / "config.yaml")

    assert config.defaults.image_size == 96
    assert (tmp_path / "inbox" / "family" / "Chelsea.jpg").is_file()
