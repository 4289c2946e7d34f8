"""What the gallery is told of a real house in one thread; and whatever is wrong with it, painting goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monet_watch.exhibition import Exhibition
from monet_watch.outbox.files import Outbox
from monet_watch.outbox.gallery.curator import Curator
from monet_watch.outbox.gallery.gallery import GALLERY_NAME, PAGE_NAME
from tests.rehearsal import LIMIT_BYTES, Rehearsal

PATIENCE_SECONDS = 60.0


class Exhibited:
    """A rehearsal whose gallery is kept."""

    def __init__(self, house: Rehearsal, exhibition: Exhibition) -> None:
        self.house = house
        self.exhibition = exhibition

    def told(self) -> list[str]:
        return [notice.text for notice in self.house.notices if "gallery" in notice.text]


@contextmanager
def exhibited(folder: Path, *, automatic: bool = True) -> Iterator[Exhibited]:
    """The gallery is whole when the context has ended."""
    (folder / "outbox").mkdir(exist_ok=True)
    curator = Curator(Outbox(folder / "outbox"), folder, PATIENCE_SECONDS)
    with Rehearsal(folder, automatic=automatic) as house, curator:
        exhibition = Exhibition(curator, house.ledger, house.notices.append, house.time_of_day)
        house.exhibitions.append(exhibition)
        house.rest()
        yield Exhibited(house, exhibition)
        exhibition.update(house.ledger.overview())


def moment(folder: Path) -> dict:
    text = (folder / "outbox" / GALLERY_NAME / "data" / "moment.js").read_text()
    return json.loads(text.removeprefix("monetWatch.moment(").rstrip().removesuffix(");"))


def test_a_painting_hangs_in_the_gallery_with_its_small_pictures(tmp_path):
    with exhibited(tmp_path) as show:
        show.house.drop("trip/a.jpg")
        show.house.rest()

    assert (tmp_path / "outbox" / "trip" / "a" / PAGE_NAME).is_file()
    assert '"folder":"trip/a"' in (tmp_path / "outbox" / GALLERY_NAME / "data" / "piece-00000.js").read_text()
    names = {path.name for path in (tmp_path / "outbox" / GALLERY_NAME / "thumbnails").rglob("*.webp")}
    assert names == {"photo.webp", "0002.webp", "0004.webp", "painting.webp"}


def test_what_is_painted_waits_or_cannot_be_painted_is_told_with_step_reason_and_remedy(tmp_path):
    with exhibited(tmp_path, automatic=False) as show:
        house = show.house
        house.worker.ready()
        house.drop("huge.jpg", bytes(LIMIT_BYTES + 1))
        house.drop("a.jpg")
        house.drop("sketches/style.yaml", b"recipe: monet\n")
        house.drop("sketches/b.jpg", b"another photo")
        house.rest()
        house.worker.begin()
        house.worker.step(3)
        house.turn()

    shown = moment(tmp_path)
    (running,) = shown["running"]
    assert (running["photo"], running["step"], running["steps"]) == ("a.jpg", 3, 4)
    assert running["loss"] == pytest.approx(100 / 3, rel=1e-3)
    assert [each["photo"] for each in shown["waiting"]] == ["sketches/b.jpg"]
    assert "monet" in shown["waiting"][0]["reason"]
    (problem,) = shown["problems"]
    assert problem["photo"] == "huge.jpg" and problem["reason"] and problem["remedy"]
    assert (shown["counts"]["waiting"], shown["counts"]["problems"]) == (1, 1)


@pytest.mark.parametrize("broken", ["keep", "hang", "sweep", "show"])
def test_an_error_of_the_gallery_is_told_once_and_every_photo_is_painted(tmp_path, monkeypatch, broken):
    def fail(*arguments):
        raise ZeroDivisionError("no such thing")

    monkeypatch.setattr(Curator, broken, fail)
    with exhibited(tmp_path) as show:
        for number in range(3):
            show.house.drop(f"{number}.jpg", b"photo %d" % number)
        show.house.rest()
        show.exhibition.update(show.house.ledger.overview())
        show.exhibition.update(show.house.ledger.overview())

    assert show.house.records() == ["0", "1", "2"]
    assert [text for text in show.told() if "no such thing" in text] == [
        "The gallery is not complete: ZeroDivisionError: no such thing. Painting goes on."
    ]


def test_where_the_gallery_cannot_be_written_every_photo_is_painted(tmp_path):
    (tmp_path / "outbox" / PAGE_NAME).mkdir(parents=True)
    with exhibited(tmp_path) as show:
        show.house.drop("a.jpg")
        show.house.rest()

    assert show.house.records() == ["a"]
    assert list((tmp_path / "outbox" / PAGE_NAME).iterdir()) == []
