"""The real daemon is told what to do while it runs: commands, its config, its styles, and other daemons beside it."""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from tests.end_to_end.house import Home, Photos, program, wait_until

SLOW = {"steps": 100_000, "save_every": 5}
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def command(home: Home, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return program(name, *arguments, "--config", home.config)


def status(home: Home) -> dict:
    return json.loads(command(home, "status", "--json").stdout)


def test_commands_reach_the_running_daemon_and_say_what_became_of_them(home):
    home.write("broken.png", b"\x89PNG\r\n\x1a\nno picture")
    with home.daemon() as daemon:
        daemon.wait_for("problem", "broken.png")
        report = home.outbox / "broken.png.problem.txt"
        wait_until(report.exists, "the report")

        answer = command(home, "retry", "--all")
        assert (answer.returncode, answer.stdout) == (0, "1 photo will be tried again.\n"), answer.stderr
        daemon.wait_for("problem", "broken.png", since=len(daemon.events) - 5)

        answer = command(home, "retry", "brocken.png")
        assert answer.returncode == 2
        assert "did you mean broken.png?" in answer.stderr

        home.drop(Photos.cat, NOT_UTF8)
        daemon.wait_for("done", "caf\udce9.png")
        answer = command(home, "retry", str(home.inbox / NOT_UTF8))
        assert answer.returncode == 1
        assert "To have it painted anew, remove that folder first" in answer.stderr

        (home.inbox / "broken.png").unlink()
        daemon.wait_for("removed", "broken.png")
        assert not report.exists()


def test_a_painting_that_was_removed_by_hand_is_painted_anew_when_asked_for(home):
    home.drop(Photos.cat, "cat.png")
    with home.daemon() as daemon:
        daemon.wait_for("done", "cat.png")
        first = (home.outbox / "cat" / "cat.png").read_bytes()
        for path in (home.outbox / "cat").iterdir():
            path.unlink()
        (home.outbox / "cat").rmdir()
        seen = len(daemon.events)
        assert "will be painted anew" in command(home, "retry", "cat.png").stdout
        daemon.wait_for("done", "cat.png", since=seen)
        assert (home.outbox / "cat" / "cat.png").read_bytes() == first


def test_a_pause_stops_after_a_checkpoint_survives_a_kill_and_ends_when_asked_for(home):
    home.configure(defaults=SLOW)
    home.drop(Photos.cat, "cat.png")
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "cat.png")
        assert "Paused" in command(home, "pause").stdout
        wait_until(lambda: status(home)["counts"]["queued"] == 1, "the painting to stop")
        assert "Paused since" in status(home)["resting"]
        assert len(list((home.state / "checkpoints").iterdir())) == 1
        daemon.kill()
        daemon.ended()
    with home.daemon() as daemon:
        daemon.wait_for("resting")
        daemon.wait_for("worker-ready")
        home.drop(Photos.coffee, "coffee.png")
        daemon.wait_for("queued", "coffee.png")
        assert list(daemon.told("painting")) == []
        assert command(home, "resume").returncode == 0
        assert "going on at step" in daemon.wait_for("painting", "cat.png")["text"]


def test_outside_its_hours_nothing_is_painted_and_the_status_says_when_it_goes_on(home):
    home.configure(active_hours="00:00-00:01")
    home.drop(Photos.cat, "cat.png")
    with home.daemon(TZ="UTC-12:30") as daemon:  # an hour is needed that no test meets by chance
        daemon.wait_for("queued", "cat.png")
        wait_until(lambda: "Painting goes on at" in (status(home)["resting"] or ""), "the reason")
        home.configure(active_hours="00:00-24:00")
        daemon.wait_for("done", "cat.png")
        assert status(home)["resting"] is None


def test_a_new_config_is_taken_over_by_edit_or_by_signal_and_what_is_painted_goes_on(home):
    home.configure(defaults=SLOW)
    home.drop(Photos.cat, "cat.png")
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "cat.png")
        worker = daemon.worker()
        home.configure(rescan_seconds=250, ignore=["*.bmp"])
        assert "ignore, rescan_seconds" in daemon.wait_for("config")["text"]
        seen = len(daemon.events)
        daemon.wait_for("step", "cat.png", since=seen)
        assert daemon.worker() == worker
        assert len(list(daemon.told("painting"))) == 1

        seen = len(daemon.events)
        daemon.signal(signal.SIGHUP)
        assert "nothing in it is another" in daemon.wait_for("config", since=seen)["text"]


def test_other_defaults_hold_for_what_is_dropped_and_for_what_waits_and_what_is_painted_is_finished(home):
    home.configure(defaults={"steps": 100})  # so many that the edit is noticed meanwhile
    home.drop(Photos.cat, "cat.png")
    with home.daemon() as daemon:
        daemon.wait_for("step", "cat.png")
        home.drop(Photos.coffee, "coffee.png")
        daemon.wait_for("queued", "coffee.png")
        home.configure(defaults={"steps": 6})
        daemon.wait_for("config")
        daemon.wait_for("done", "coffee.png")
        wait_until(lambda: len(home.records()) == 3, "the cat to be painted with both")
        steps = {folder: home.record(folder).recipe.steps for folder in home.records()}
        assert sorted(steps.values()) == [6, 6, 100]
        assert steps["cat"] == 100


def test_a_worker_is_replaced_for_a_setting_of_its_own_and_its_painting_goes_on_from_the_checkpoint(home):
    home.configure(defaults=SLOW, nice=3)
    home.drop(Photos.cat, "cat.png")
    base = os.getpriority(os.PRIO_PROCESS, 0)
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "cat.png")
        first = daemon.worker()
        assert os.getpriority(os.PRIO_PROCESS, first) == max(base, 3)
        seen = len(daemon.events)
        home.configure(nice=19)
        assert "going on at step" in daemon.wait_for("painting", "cat.png", since=seen)["text"]
        assert daemon.worker() != first
        assert os.getpriority(os.PRIO_PROCESS, daemon.worker()) == 19


UNUSABLE = {
    "settle_secondz: 1\n": Photos.cat,
    "inbox: [\n": Photos.coffee,
    "inbox: elsewhere\noutbox: outbox\nstate: state\n": Photos.rocket,
}


def test_a_config_that_cannot_be_used_changes_nothing_is_told_and_shown_until_it_is_mended(home):
    with home.daemon() as daemon:
        daemon.wait_for("started")
        good = home.config.read_text()
        for text, photo in UNUSABLE.items():
            seen = len(daemon.events)
            home.config.write_text(text)
            assert "The config stays as it was: " in daemon.wait_for("config-broken", since=seen)["text"]
            home.drop(photo)
            daemon.wait_for("done", photo.name)
            with home.ledger() as ledger:
                assert "The config stays as it was" in ledger.overview().config_fault
            home.config.write_text(good)
            daemon.wait_for("config", since=seen)
            assert status(home)["config_fault"] is None


def test_the_status_knows_at_once_that_a_daemon_was_killed(home):
    with home.daemon() as daemon:
        daemon.wait_for("started")
        assert status(home)["daemon_running"] is True
        daemon.kill()
        daemon.ended()
        assert status(home)["daemon_running"] is False


def test_a_style_that_changes_while_photos_wait_is_the_one_that_they_are_painted_with(home):
    home.configure(defaults={"steps": 30})
    home.drop(Photos.coffee, "a.png")
    with home.daemon() as daemon:
        daemon.wait_for("step", "a.png")
        home.drop(Photos.astronaut, "b.png")
        daemon.wait_for("queued", "b.png")
        home.drop(Photos.rocket, "style.jpg")
        (home.inbox / "style.png").unlink()
        daemon.wait_for("done", "b.png")
        wait_until(lambda: len(home.records()) == 3, "the photo under way to be painted in both styles")
        styles = {folder: [style.name for style in home.record(folder).styles] for folder in home.records()}
        assert styles["a"] == ["style.png"]
        assert styles["b"] == ["style.jpg"]
        assert sorted(map(str, styles.values())) == ["['style.jpg']", "['style.jpg']", "['style.png']"]


@pytest.fixture
def trip(home):
    """A folder with a style picture of its own, a photo of it being painted, and one that waits."""
    home.configure(defaults={"steps": 40, "least_gain": 0.0})
    home.write("trip/style.yaml", "style: style-mine.png\n")
    home.drop(Photos.rocket, "trip/style-mine.png")
    home.drop(Photos.coffee, "trip/a.png")
    with home.daemon() as daemon:
        daemon.wait_for("step", "trip/a.png")
        home.drop(Photos.astronaut, "trip/b.png")
        daemon.wait_for("queued", "trip/b.png")
        yield daemon


def painted_with(home: Home, picture: Path) -> list[str]:
    """The photos that are painted in the style ``picture``, by the records' own word."""
    sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
    records = [home.record(folder) for folder in home.records("trip")]
    return sorted(record.photo.path for record in records if [style.sha256 for style in record.styles] == [sha256])


def test_a_style_picture_that_is_replaced_while_photos_run_and_wait_is_the_one_for_all_but_what_runs(home, trip):
    home.drop(Photos.china, "trip/style-mine.png")
    wait_until(lambda: len(home.records("trip")) == 3, f"the photo under way to be painted in both\n{trip.log}")
    assert painted_with(home, Photos.rocket) == ["trip/a.png"]
    assert painted_with(home, Photos.china) == ["trip/a.png", "trip/b.png"]


def test_a_style_picture_that_is_deleted_while_photos_run_and_wait_holds_them_until_one_is_there_again(home, trip):
    (home.inbox / "trip" / "style-mine.png").unlink()
    trip.wait_for("settings-broken")
    report = home.outbox / "trip" / "style.yaml.problem.txt"
    wait_until(lambda: report.exists() and "style-mine.png" in report.read_text(encoding="utf-8"), "the report")
    trip.wait_for("done", "trip/a.png")
    wait_until(lambda: "cannot be used" in waits_for(home, "trip/b.png"), f"the photo to wait\n{trip.log}")
    assert home.records("trip") == ["trip/a"]
    home.drop(Photos.china, "trip/style-mine.png")
    wait_until(lambda: len(home.records("trip")) == 3, f"the photo under way to be painted in both\n{trip.log}")
    assert painted_with(home, Photos.rocket) == ["trip/a.png"]
    assert painted_with(home, Photos.china) == ["trip/a.png", "trip/b.png"]
    assert not report.exists()


def waits_for(home: Home, photo: str) -> str:
    """Why the photo is not painted yet."""
    with home.ledger() as ledger:
        return " ".join(job.reason for job in ledger.known(PurePosixPath(photo)))


def test_a_second_daemon_on_the_same_outbox_is_refused_with_the_firsts_number_and_a_restart_after_a_kill_is_not(home):
    with home.daemon() as daemon:
        daemon.wait_for("started")
        home.configure(state="another state")
        second = command(home, "run", "--once")
        assert second.returncode == 1
        assert f"process {daemon.pid} on " in second.stderr
        home.configure(state="state")
        assert f"process {daemon.pid}" in command(home, "run", "--once").stderr
        daemon.kill()
        daemon.ended()
    with home.daemon() as daemon:
        daemon.wait_for("started")
