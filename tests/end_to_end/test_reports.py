"""What the real daemon reports beside the paintings themselves."""

import sys

import pytest
from PIL import Image

from tests.end_to_end.house import Home, Photos, program, wait_until
from tests.receiver import receiver

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
    assert '"sheets":{"trip":1}' in (home.outbox / ".gallery" / "data" / "list.js").read_text()
    before = (sheet.stat().st_mtime_ns, sheet.stat().st_ino)
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 1, daemon.log
    assert not list(daemon.told("contact-sheet"))
    assert (sheet.stat().st_mtime_ns, sheet.stat().st_ino) == before


COMMAND = """
import os, pathlib, sys, time
photo, painting = pathlib.Path(os.environ["MONET_WATCH_PHOTO"]), pathlib.Path(os.environ["MONET_WATCH_PAINTING"])
assert pathlib.Path.cwd() == pathlib.Path(os.environ["MONET_WATCH_FOLDER"])
if photo.stem == "fails":
    sys.exit("there is no room")
if photo.stem == "hangs":
    time.sleep(100_000)
print(sys.argv[1], painting.stat().st_size)
"""


def test_each_painting_is_followed_by_its_command_and_one_that_fails_or_hangs_keeps_nobody(tmp_path):
    home = Home(tmp_path / "home", defaults=QUICK, after_painting_seconds=3, contact_sheet=False)
    script = home.folder / "command.py"
    script.write_text(COMMAND, encoding="utf-8")
    home.configure(after_painting=[sys.executable, str(script), "two words; $HOME"])
    photos = {"fails": Photos.coffee, "hangs": Photos.rocket, "works": Photos.flower}
    for name, photo in photos.items():
        home.drop(photo, f"{name}{photo.suffix}")
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 0, daemon.log
    facts = {name: home.record(name).after_painting for name in photos}
    size = (home.outbox / "works" / "works.png").stat().st_size
    assert (facts["works"].outcome, facts["works"].status) == ("ended", 0)
    assert facts["works"].output == (f"two words; $HOME {size}",)
    assert (facts["fails"].outcome, facts["fails"].status, facts["fails"].output) == ("ended", 1, ("there is no room",))
    assert (facts["hangs"].outcome, facts["hangs"].status) == ("killed", -9)
    told = {event["photo"].partition(".")[0]: event for event in daemon.told("after-painting")}
    assert {name: event["level"] for name, event in told.items()} == {
        "works": "info",
        "fails": "warning",
        "hangs": "warning",
    }


def test_a_command_that_is_not_there_is_refused_at_the_check_and_at_the_start(tmp_path):
    home = Home(tmp_path / "home", after_painting="no-such-program --now")
    for arguments in (("check",), ("run", "--once")):
        answer = program(arguments[0], "--config", home.config, *arguments[1:])
        assert answer.returncode == 2
        assert "after_painting: there is no program no-such-program" in answer.stderr


def test_a_style_yaml_cannot_name_a_command(tmp_path):
    home = Home(tmp_path / "home")
    home.write("trip/style.yaml", "after_painting: touch /tmp/owned\n")
    answer = program("check", "--config", home.config)
    assert answer.returncode == 2
    assert "style.yaml:1:1: after_painting" in answer.stderr


def test_one_message_tells_of_a_folder_and_one_of_its_problems(tmp_path):
    with receiver() as service:
        home = Home(tmp_path / "home", defaults=QUICK, notify={"urls": [service.address]})
        home.drop(Photos.rocket, "trip/rocket.jpg")
        home.drop(Photos.coffee, "trip/coffee.png")
        home.write("trip/letter.jpg", "no photo\n")
        with home.daemon("--once", NO_PROXY="127.0.0.1") as daemon:
            assert daemon.ended() == 1, daemon.log
    told = {message["title"]: message["message"] for message in service.received}
    assert len(service.received) == 2
    assert "1 could not be painted:\n- letter.jpg: " in told["monet-watch: 2 new paintings in trip"]
    (problems,) = (text for title, text in told.items() if "problem" in title)
    assert "- trip/letter.jpg: It looks like a text file" in problems


def test_the_metrics_file_follows_what_is_painted_and_says_when_the_daemon_has_stopped(tmp_path):
    home = Home(tmp_path / "home", defaults=QUICK, metrics_file="monet-watch.prom")
    file = home.folder / "monet-watch.prom"
    home.drop(Photos.rocket)
    home.write("letter.jpg", "no photo\n")
    with home.daemon() as daemon:
        daemon.wait_for("done", "rocket.jpg")
        daemon.wait_for("problem", "letter.jpg")
        done = 'monet_watch_photos{state="done"} 1.0'
        wait_until(lambda: file.exists() and done in file.read_text(), "the painting in the metrics")
        lines = file.read_text().splitlines()
    assert 'monet_watch_problems{kind="NotAPhotoError"} 1.0' in lines
    assert 'monet_watch_watcher_mode{mode="events"} 1.0' in lines
    assert "monet_watch_up 1.0" in lines
    assert "monet_watch_up 0.0" in file.read_text().splitlines()
