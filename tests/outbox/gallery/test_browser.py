"""The gallery in a real Chromium, opened from the folder: what is seen, what hands do, and what never happens."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys

from monet_watch.outbox.gallery.catalogue import Catalogue
from monet_watch.outbox.gallery.entries import Entry
from monet_watch.outbox.gallery.gallery import Gallery, Thumbnail
from monet_watch.outbox.gallery.moment import Moment, Sitting, Standing
from monet_watch.outbox.picture import encode_thumbnail
from monet_watch.outbox.sheet_files import remove_sheet, sheet_comment, write_sheet
from monet_watch.outbox.timelapse import Birth
from tests.outbox.gallery.browser import DESKTOP, PHONE, Browser, chromium
from tests.outbox.gallery.exhibits import EPOCH, digest, hang, keep_thumbnails, record_of

HEIGHT, WIDTH = 128, 192
RED, BLUE, GREEN = ((210, 40, 40), (40, 60, 200), (30, 150, 60))
HOSTILE = [
    "<script>document.title='taken'<\u2044script>.jpg",
    "<img src=x onerror=document.title='taken'>.jpg",
    "\"quotes\" & 'more' 100%25 #1? a;b.jpg",
    "{{ 7*7 }} ${7*7}.jpg",
    "javascript:document.title='taken'.jpg",
]


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def add(outbox: Path, gallery: Gallery, name: str, number: int, style: str = "water-garden", **changes: object) -> None:
    """Hang a painting, blue, of a photo that is red."""
    record = record_of(PurePosixPath(name), finished=EPOCH + number, size=(WIDTH, HEIGHT), style=style, **changes)
    folder = hang(outbox, record, plain(BLUE), plain(RED), stages=lambda step: plain(GREEN))
    keep_thumbnails(gallery, record, plain(BLUE), plain(GREEN))
    gallery.add([PurePosixPath(folder.relative_to(outbox))])


def an_exhibition(outbox: Path, *names: str, moment: Moment | None = None) -> Gallery:
    """An outbox with a gallery of paintings with these names, the first being the oldest."""
    gallery = Gallery(outbox)
    gallery.open()
    for number, name in enumerate(names):
        add(outbox, gallery, name, number, stages=(5, 10))
    gallery.show(moment or Moment(EPOCH, True, {}))
    return gallery


def busy(step: int, name: str = "trip/on the easel.jpg") -> Moment:
    sitting = Sitting(PurePosixPath(name), None, digest(name), ("turner",), step, 150, 431.2, 61.4, 64, 48)
    return Moment(time.time(), True, {}, running=(sitting,))


@pytest.fixture(scope="session")
def the_browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def browser(the_browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """The browser; whatever a test did in it, nothing was complained of, and nothing outside the folder was read."""
    the_browser.reset()
    yield the_browser
    assert the_browser.complaints() == []
    asked = the_browser.requests()
    assert asked
    assert [each for each in asked if not _belongs(each, tmp_path)] == []


def _belongs(asked: Path | str, folder: Path) -> bool:
    return asked.is_relative_to(folder) if isinstance(asked, Path) else asked.startswith(("data:", "about:"))


@pytest.fixture
def china(tmp_path: Path) -> Path:
    """The page of a painting that has an older and a newer one beside it."""
    an_exhibition(tmp_path, "older.jpg", "trip/china.jpg", "newer.jpg")
    return tmp_path / "trip" / "china" / "index.html"


def filmed(outbox: Path, kind: str) -> Path:
    """The page of a painting with a moving picture."""
    birth = Birth(kind, WIDTH, HEIGHT)
    for colour in (RED, GREEN, BLUE):
        birth.add(plain(colour))
    film = birth.moving_picture()
    assert film is not None and film.suffix == f".{kind}"
    record = record_of(PurePosixPath("film.jpg"), size=(WIDTH, HEIGHT), timelapse=f"timelapse.{kind}")
    hang(outbox, record, plain(BLUE), plain(RED), timelapse=film.data)
    Gallery(outbox).open()
    return outbox / "film" / "index.html"


def is_like(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 30)


class TestThePageOfAPainting:
    def halves(self, browser: Browser) -> tuple[np.ndarray, np.ndarray]:
        """The pixels at a quarter and at three quarters of the picture, away from the handle."""
        picture = browser.pixels("#compare")
        row = picture[picture.shape[0] // 8]
        return row[len(row) // 4], row[3 * len(row) // 4]

    def test_shows_half_of_the_photo_and_half_of_the_painting(self, browser, china):
        browser.open(china)
        left, right = self.halves(browser)

        assert is_like(left, RED)
        assert is_like(right, BLUE)

    def test_a_mouse_draws_the_photo_over_the_painting_and_off_it(self, browser, china):
        browser.open(china)
        slider = browser.find("#split")
        width = slider.size["width"]
        mouse = ActionChains(browser.chrome)
        mouse.move_to_element(slider).click_and_hold().move_by_offset(int(0.4 * width), 0).release().perform()
        over = self.halves(browser)
        mouse.move_to_element_with_offset(slider, int(0.4 * width), 0).click_and_hold()
        mouse.move_by_offset(int(-0.85 * width), 0).release().perform()
        off = self.halves(browser)

        assert all(is_like(pixel, RED) for pixel in over)
        assert all(is_like(pixel, BLUE) for pixel in off)

    def test_a_finger_does_the_same(self, browser, china):
        browser.resize(*PHONE)
        browser.open(china)
        browser.touch("#split", 0.5, 0.6, 0.8, 0.95)
        browser.wait("Number(document.getElementById('split').value) > 85")

        assert all(is_like(pixel, RED) for pixel in self.halves(browser))

    def test_keys_do_the_same_and_it_is_told_in_words(self, browser, china):
        browser.open(china)
        slider = browser.find("#split")
        slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        told = slider.get_attribute("aria-valuetext")
        slider.send_keys(Keys.HOME)
        painting = self.halves(browser)
        slider.send_keys(Keys.END)

        assert told == "52 % photo"
        assert all(is_like(pixel, BLUE) for pixel in painting)
        assert all(is_like(pixel, RED) for pixel in self.halves(browser))

    def test_a_stage_is_shown_in_the_place_of_the_painting_by_the_scrubber_and_by_the_filmstrip(self, browser, china):
        browser.open(china)
        scrub = browser.find("#scrub")
        scrub.send_keys(Keys.ARROW_LEFT)
        browser.wait("document.getElementById('after').src.endsWith('progress_0010.png')")
        assert is_like(self.halves(browser)[1], GREEN)
        assert browser.texts("#stage") == ["Step 10"]
        browser.find("#film li:last-child button").click()
        browser.wait("!document.getElementById('after').src.includes('progress')")

        assert is_like(self.halves(browser)[1], BLUE)
        assert scrub.get_attribute("value") == "2"
        assert browser.texts("#film [aria-current]") == ["Finished"]

    def test_the_curve_tells_the_values_of_the_step_that_a_mouse_or_a_key_points_to(self, browser, china):
        browser.open(china)
        curve = record_of(PurePosixPath("trip/china.jpg")).curve
        browser.run("document.getElementById('curve').scrollIntoView({block: 'center'})")
        picture = browser.find("#curve svg")
        left_end = -picture.size["width"] // 2 + 60
        ActionChains(browser.chrome).move_to_element_with_offset(picture, left_end, 0).perform()
        assert browser.texts("#curve label") == ["Step\n1 of 40"]
        assert browser.texts(".legend span")[0] == f"total {curve.total[0]:,.0f}"
        browser.find("#curve input").send_keys(Keys.ARROW_RIGHT)

        assert browser.texts("#curve label") == ["Step\n2 of 40"]
        assert browser.texts(".legend span")[1] == f"style {curve.style[1]:,.0f}"
        assert browser.find("#curve input").get_attribute("aria-valuetext").startswith("Step 2: total ")

    def test_settings_stand_with_the_file_that_each_comes_from(self, browser, china):
        browser.open(china)

        assert "style water-garden trip/style.yaml:1" in [" ".join(row.split()) for row in browser.texts("tbody tr")]

    def test_arrows_and_links_lead_to_the_next_painting_and_back(self, browser, china, tmp_path):
        browser.open(china)
        browser.wait("!document.getElementById('older').hidden && !document.getElementById('newer').hidden")
        ActionChains(browser.chrome).send_keys(Keys.ARROW_RIGHT).perform()
        browser.wait("document.querySelector('h1').innerText === 'older'")
        browser.wait("!document.getElementById('newer').hidden")
        assert not browser.find("#older").is_displayed()
        browser.find("#newer").click()

        browser.wait("document.querySelector('h1').innerText === 'china'")

    def test_the_moving_picture_moves_only_while_somebody_wants_to_see_it(self, browser, tmp_path):
        page = filmed(tmp_path, "webp")
        browser.open(page)
        moved = "(document.querySelector('#birth img').currentSrc || '').endsWith('timelapse.webp')"
        assert not browser.value(moved)
        summary = browser.find("#birth summary")
        summary.send_keys(Keys.ENTER)
        browser.wait(moved)
        browser.wait("document.querySelector('#birth img').naturalWidth === 192")
        summary.send_keys(Keys.ENTER)

        browser.wait("!document.querySelector('#birth img').hasAttribute('src')")

    def test_a_film_plays_when_it_is_opened_and_rests_when_it_is_closed(self, browser, tmp_path):
        browser.open(filmed(tmp_path, "mp4"))
        browser.find("#birth summary").click()
        browser.wait("document.querySelector('video').currentTime > 0.2")
        browser.find("#birth summary").click()

        browser.wait("document.querySelector('video').paused")

    def test_a_film_waits_for_its_button_where_little_motion_is_asked_for(self, browser, tmp_path):
        page = filmed(tmp_path, "mp4")
        browser.emulate(prefers_reduced_motion="reduce")
        browser.open(page)
        browser.run("window.toggled = 0; birth.addEventListener('toggle', () => { window.toggled += 1; })")
        browser.find("#birth summary").click()
        browser.wait("window.toggled")

        assert browser.value("document.querySelector('video').paused")
        assert browser.value("document.querySelector('video').controls")

    def test_every_link_and_every_picture_is_there(self, browser, china):
        browser.open(china)
        links = browser.value(
            "[...document.querySelectorAll('a[href], img[src]')].map((node) => node.href || node.src)"
        )
        missing = [link for link in links if not Path(unquote(urlsplit(link).path)).is_file()]

        assert missing == []
        assert {Path(link).name for link in links} >= {"china.png", "loss.png", "painting.json", "progress_0005.png"}

    def test_on_paper_there_is_the_picture_and_nothing_to_click(self, browser, china):
        browser.emulate(media="print")
        browser.open(china)

        assert browser.texts("#scrub, #split, .turn, .skip, .hint") == []
        assert all(is_like(pixel, BLUE) for pixel in self.halves(browser))
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


class TestTheWall:
    def test_the_newest_is_the_first(self, browser, tmp_path):
        an_exhibition(tmp_path, "old.jpg", "trip/newer.jpg", "newest.jpg")
        browser.open_index(tmp_path)

        assert browser.titles() == ["newest", "newer", "old"]

    def test_words_are_searched_in_names_as_they_are_typed_and_a_page_back_finds_them_again(self, browser, tmp_path):
        an_exhibition(tmp_path, "red boat.jpg", "trip/boat.jpg", "trip/Red House.jpg", "cat.jpg")
        browser.open_index(tmp_path)
        browser.find("#q").send_keys("RED")
        assert browser.titles() == ["Red House", "red boat"]
        browser.find("#q").send_keys(" bo")
        assert browser.titles() == ["red boat"]
        assert browser.texts("#found") == ["1 painting found"]
        browser.find(".card a").click()
        browser.wait("document.querySelector('h1').innerText === 'red boat'")
        browser.chrome.back()
        browser.wait("document.querySelectorAll('.card').length")

        assert browser.titles() == ["red boat"]
        assert browser.find("#q").get_attribute("value") == "RED bo"

    def test_folder_style_and_state_are_filters(self, browser, tmp_path):
        problem = Standing(PurePosixPath("trip/c.jpg"), "It is no photo.", "Export it again.", EPOCH)
        moment = Moment(EPOCH, True, {"problems": 1}, problems=(problem,))
        gallery = an_exhibition(tmp_path, "a.jpg", "trip/b.jpg", "trip/deep/c.jpg", moment=moment)
        add(tmp_path, gallery, "trip/d.jpg", 9, style="turner")
        browser.open_index(tmp_path)
        browser.find("#folder").send_keys("trip")
        assert browser.titles() == ["d", "c", "b"]
        browser.find("#style").send_keys("turner")
        assert browser.titles() == ["d"]
        browser.find("#state").send_keys("With a problem")

        assert browser.titles() == []
        assert browser.texts("#problems .reason, #problems .remedy") == []
        browser.find("#style").send_keys("All styles")
        assert browser.texts("#problems .reason, #problems .remedy") == ["It is no photo.", "Export it again."]

    def test_a_collection_shows_its_style_and_is_chosen_by_a_click(self, browser, tmp_path):
        an_exhibition(tmp_path, "a.jpg", "trip/b.jpg", "sea/c.jpg")
        browser.open_index(tmp_path)
        browser.wait("[...document.querySelectorAll('.cover img')].every((picture) => picture.naturalWidth)")
        assert browser.texts("#collection-list strong") == ["sea", "trip"]
        browser.find("#collection-list button").click()

        assert browser.titles() == ["c"]
        assert browser.find("#folder").get_attribute("value") == "sea"

    def test_a_collection_offers_its_contact_sheet_while_there_is_one(self, browser, tmp_path):
        gallery = an_exhibition(tmp_path, "a.jpg", "trip/b.jpg", "sea & sand/c.jpg")
        write_sheet(tmp_path / "sea & sand", [sheet_comment("ab" * 32)] * 2)
        gallery.sweep()
        browser.open_index(tmp_path)
        assert browser.texts("#collection-list .sheet a") == ["Contact sheet", "2"]
        assert browser.texts("#sheet a") == []
        browser.find("#collection-list button").click()
        assert browser.texts("#sheet a") == ["Contact sheet", "2"]
        links = [Path(unquote(urlsplit(link).path)) for link in browser.hrefs("#sheet a")]
        assert links == [tmp_path / "sea & sand" / name for name in ("contact-sheet.jpg", "contact-sheet-2.jpg")]

        remove_sheet(tmp_path / "sea & sand")
        gallery.sweep()
        browser.wait("!document.querySelector('.sheet a')")

    def test_the_sheet_of_paintings_that_lie_in_no_folder_is_offered_until_one_is_chosen(self, browser, tmp_path):
        gallery = an_exhibition(tmp_path, "a.jpg", "trip/b.jpg")
        write_sheet(tmp_path, [sheet_comment("ab" * 32)])
        gallery.sweep()
        browser.open_index(tmp_path)
        assert browser.texts(".sheet a") == ["Contact sheet of those in no folder"]
        browser.find("#folder").send_keys("trip")
        assert browser.texts(".sheet a") == []

    def test_keys_alone_lead_from_the_top_to_a_painting(self, browser, tmp_path):
        an_exhibition(tmp_path, "a.jpg")
        browser.open_index(tmp_path)
        keys = ActionChains(browser.chrome)
        keys.send_keys(Keys.TAB).perform()
        assert browser.chrome.switch_to.active_element.text == "Skip to the paintings"
        keys.send_keys(Keys.ENTER).send_keys(Keys.TAB).send_keys(Keys.ENTER).perform()

        browser.wait("document.querySelector('h1').innerText === 'a'")

    def test_an_empty_gallery_says_what_to_do(self, browser, tmp_path):
        an_exhibition(tmp_path)
        browser.open_index(tmp_path)

        assert browser.texts("#found") == ["None is finished yet. Drop a photo into the inbox."]

    @pytest.mark.parametrize("width", [320, 390, 768, 1280, 2560])
    def test_no_screen_is_scrolled_sideways(self, browser, tmp_path, width):
        name = f"{'a folder with a long name ' * 4}/{'WithoutAnyBlank' * 9}.jpg"
        problem = Standing(PurePosixPath(name), "It is no photo.", "Export it again.", EPOCH)
        an_exhibition(tmp_path, name, moment=Moment(EPOCH, True, {"problems": 1}, problems=(problem,)))
        browser.resize(width, 800)
        browser.open_index(tmp_path)
        assert browser.value("document.documentElement.scrollWidth") <= width
        browser.find(".card a").click()
        browser.wait("document.body.dataset.page === 'painting'")

        assert browser.value("document.documentElement.scrollWidth") <= width


class TestWhileSomethingRuns:
    def test_what_is_painted_moves_on_and_nothing_else_does(self, browser, tmp_path):
        gallery = an_exhibition(tmp_path, *(f"{number}.jpg" for number in range(60)), moment=busy(7))
        browser.open_index(tmp_path)
        browser.wait("document.querySelectorAll('.card').length === 60")
        browser.run("scrollTo(0, 900); document.querySelectorAll('.card').forEach((card) => { card.mine = true; });")
        gallery.show(busy(8))
        browser.wait("document.querySelector('.steps').innerText.startsWith('Step 8 of at most 150, loss\\u00a0431.2')")

        assert browser.value("scrollY") == 900
        assert browser.value("[...document.querySelectorAll('.card')].filter((card) => card.mine).length") == 60
        assert browser.texts(".easel .left") == ["about 61 s left"]

    def test_a_painting_that_is_finished_is_hung_and_the_words_in_the_search_stay(self, browser, tmp_path):
        gallery = an_exhibition(tmp_path, *(f"a{number}.jpg" for number in range(50)), moment=busy(7))
        browser.open_index(tmp_path)
        browser.wait("document.querySelectorAll('.card').length === 50")
        browser.find("#q").send_keys("a")
        browser.run("scrollTo(0, 700); document.querySelectorAll('.card').forEach((card) => { card.mine = true; });")
        add(tmp_path, gallery, "an eel.jpg", 99)
        gallery.show(busy(9, "another.jpg"))
        browser.wait("document.querySelectorAll('.card').length === 51")

        assert browser.titles()[0] == "an eel"
        assert browser.value("[...document.querySelectorAll('.card')].filter((card) => card.mine).length") == 50
        assert browser.chrome.switch_to.active_element.get_attribute("id") == "q"
        assert browser.value("scrollY") == 700

    def test_a_painting_that_is_removed_disappears_from_an_open_page(self, browser, tmp_path):
        gallery = an_exhibition(tmp_path, "a.jpg", "b.jpg", moment=busy(7))
        browser.open_index(tmp_path)
        browser.wait("document.querySelectorAll('.card').length === 2")
        shutil.rmtree(tmp_path / "a")
        gallery.sweep()
        browser.wait("document.querySelectorAll('.card').length === 1")

        assert browser.titles() == ["b"]

    def test_nothing_moves_for_those_who_asked_for_no_motion(self, browser, tmp_path):
        an_exhibition(tmp_path, moment=busy(7))
        browser.emulate(prefers_reduced_motion="reduce")
        browser.open_index(tmp_path)
        browser.wait("document.querySelector('.bar i')")

        assert browser.value("document.getAnimations().length") == 0
        assert browser.value("getComputedStyle(document.querySelector('.bar i')).transitionProperty") == "none"


def test_names_are_shown_as_text_and_their_links_lead_to_their_pages(browser, tmp_path):
    names = [f"{name.rpartition('.')[0]}/{name}" for name in HOSTILE]
    an_exhibition(tmp_path, *names, moment=busy(3, HOSTILE[0]))
    browser.open_index(tmp_path)
    shown = browser.titles()
    links = browser.value("[...document.querySelectorAll('.card a')].map((link) => link.href)")

    assert shown == [name.rpartition(".")[0] for name in reversed(HOSTILE)]
    assert browser.value("document.title").endswith("the gallery")
    for title, link in zip(shown, links, strict=True):
        browser.chrome.get(link)
        browser.wait("document.querySelector('#after').complete")
        assert browser.texts("h1") == [title]
        assert browser.value("document.querySelector('#after').naturalWidth") == WIDTH
        assert browser.value("document.title") == f"{title}: a painting"
        browser.find(".trail a:nth-of-type(2)").click()
        browser.wait("document.body.dataset.page === 'index' && document.querySelectorAll('.card').length")
        assert browser.titles() == [title]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_axe_finds_nothing_serious(browser, tmp_path, scheme, size):
    problem = Standing(PurePosixPath("trip/c.jpg"), "It is no photo.", "Export it again.", EPOCH)
    waiting = Standing(PurePosixPath("d.jpg"), "Its folder's settings cannot be used.", "Mend them.", EPOCH)
    moment = busy(7)
    moment = Moment(moment.at, True, {"problems": 1, "waiting": 1}, moment.running, (), (waiting,), (problem,))
    gallery = an_exhibition(tmp_path, *(f"trip/{number}.jpg" for number in range(61)), moment=moment)
    write_sheet(tmp_path / "trip", [sheet_comment("ab" * 32)] * 2)
    gallery.sweep()
    browser.emulate(prefers_color_scheme=scheme)
    browser.resize(*size)
    browser.open_index(tmp_path)
    browser.wait("document.querySelectorAll('.card').length === 60 && document.querySelectorAll('.easel').length")
    browser.wait("document.querySelectorAll('.collections .sheet a').length === 2")
    assert browser.violations() == []
    browser.open(tmp_path / "trip" / "3" / "index.html")
    browser.run("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    browser.wait("!document.getElementById('older').hidden && !document.getElementById('curve').hidden")
    assert browser.violations() == []
    for kind in ("webp", "mp4"):
        browser.open(filmed(tmp_path / kind, kind))
        browser.run("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        browser.wait("!document.getElementById('curve').hidden")
        assert browser.violations() == []


def test_five_thousand_paintings_are_a_page_like_any_other(browser, tmp_path, record_property):
    gallery = an_exhibition(tmp_path, "newest.jpg")
    record = record_of(PurePosixPath("newest.jpg"))
    catalogue = Catalogue(tmp_path / ".gallery" / "data")
    assert catalogue.load()
    for number in range(4999):
        photo = PurePosixPath(f"folder {number % 40}/IMG_{number:04d}.jpg")
        older = record.model_copy(update={"photo": record.photo.model_copy(update={"path": str(photo)})})
        catalogue.add([Entry.of(photo.with_suffix(""), older, EPOCH - number - 1)])
    catalogue.save()
    gallery.keep(Thumbnail(record.identity, "painting", encode_thumbnail(plain(BLUE))))  # which all of them share
    gallery.open()
    seen, whole = (
        "document.querySelectorAll('.card').length === 60",
        "(found.textContent || '').includes('page 1 of 84')",
    )
    with browser.noting(seen=seen, whole=f"document.getElementById('found') && {whole}") as noted:
        for _ in range(3):
            browser.open_index(tmp_path)
            browser.wait("document.getElementById('found').innerText.includes('page 1 of 84')")
            record_property(
                "seconds until paintings are seen, and all 5,000 known", "{seen:.2f} {whole:.2f}".format(**noted())
            )
    browser.find("#q").send_keys("IMG_49")
    browser.wait("document.getElementById('found').innerText.startsWith('99 paintings found')")

    assert browser.value("document.querySelectorAll('*').length") < 2000
    assert browser.texts("#summary") == ["5,000 paintings"]
