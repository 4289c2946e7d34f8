"""The real program's gallery in a real browser: what people see of their photos, from the drop to the removal."""

import shutil
from pathlib import Path

import pytest

from monet_watch.outbox.gallery.gallery import GALLERY_NAME, PAGE_NAME
from tests.end_to_end.house import Home, Photos, wait_until
from tests.outbox.gallery.browser import chromium

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home", rescan_seconds=2.0, defaults={"timelapse": "webp"})
    home.outbox.mkdir()
    return home


def test_a_photo_is_seen_on_the_easel_then_on_the_wall_and_is_gone_when_its_painting_is(home):
    home.configure(defaults={"steps": 40, "least_gain": 0.0})
    home.write("trip/broken.jpg", Photos.china.read_bytes()[:2000])
    with home.daemon() as daemon, chromium() as browser:
        home.drop(Photos.cat, "trip/cat.png")
        daemon.wait_for("snapshot", "trip/cat.png")
        browser.reset()
        wait_until((home.outbox / PAGE_NAME).is_file, daemon.log)
        browser.open_index(home.outbox)
        browser.wait("/^(Step \\d+ of at most 40, loss|cat)/.test(document.querySelector('.steps, .title')?.innerText)")
        daemon.wait_for("done", "trip/cat.png")
        browser.wait("document.querySelectorAll('.card img').length && !document.querySelector('.easel')")
        assert browser.titles() == ["cat"]
        browser.wait("document.querySelector('.card img').naturalWidth")

        browser.find(".card a").click()
        browser.wait("document.body.dataset.page === 'painting' && !document.getElementById('curve').hidden")
        links = browser.texts(".files a")
        assert {"cat.png, the painting", "timelapse.webp, how it was painted"} <= set(links)
        assert "water" not in browser.texts(".lede")[0] and "style.png" in browser.texts(".lede")[0]
        browser.find("#birth summary").click()
        browser.wait("document.querySelector('#birth img').naturalWidth")

        browser.open_index(home.outbox)
        shutil.rmtree(home.outbox / "trip" / "cat")
        browser.wait("!document.querySelector('.card')")
        assert browser.complaints() == []
        asked = browser.requests()
        assert all(
            (isinstance(each, Path) and each.is_relative_to(home.outbox)) or "data:" in str(each) for each in asked
        )


def test_a_gallery_that_cannot_be_written_is_told_and_everything_is_painted(home):
    (home.outbox / PAGE_NAME).mkdir()
    with home.daemon() as daemon:
        home.drop(Photos.cat, "cat.png")
        daemon.wait_for("done", "cat.png")
        wait_until(lambda: any("The gallery cannot be written" in each["text"] for each in daemon.events), daemon.log)
    assert home.records() == ["cat"]
    assert not (home.outbox / "cat" / PAGE_NAME).exists()
    (home.outbox / PAGE_NAME).rmdir()
    with home.daemon():
        wait_until((home.outbox / "cat" / PAGE_NAME).is_file, "the gallery, as soon as it can be written")
    assert (home.outbox / GALLERY_NAME / "data" / "list.js").is_file()
