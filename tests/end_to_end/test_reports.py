"""What the real daemon reports beside the paintings themselves."""

import pytest
from PIL import Image

from tests.end_to_end.house import Home, Photos

pytestmark = pytest.mark.slow

QUICK = {"steps": 2, "save_every": 2}


def test_a_folder_that_is_finished_has_a_contact_sheet_which_another_start_leaves_as_it_is(tmp_path):
    home = Home(tmp_path / "home", defaults=QUICK)
    home.drop(Photos.rocket, "trip/rocket.jpg")
    home.drop(Photos.coffee, "trip/<b>coffee.png")
    home.write("trip/letter.jpg", "no photo\n")
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 1, daemon.log
    sheet = home.outbox / "trip" / "contact-sheet.jpg"
    with Image.open(sheet) as opened:
        opened.load()
    told = next(daemon.told("contact-sheet"))
    assert told["details"] == {"file": "trip/contact-sheet.jpg", "paintings": 2}
    before = (sheet.stat().st_mtime_ns, sheet.stat().st_ino)
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 1, daemon.log
    assert not list(daemon.told("contact-sheet"))
    assert (sheet.stat().st_mtime_ns, sheet.stat().st_ino) == before
