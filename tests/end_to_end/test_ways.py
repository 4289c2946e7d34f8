"""The settings of the house: where originals go, polling, the service manager, and settings that cannot be."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.end_to_end.house import Home, Photos, program, wait_until

pytestmark = pytest.mark.slow

QUICK = {"steps": 2, "save_every": 2}


@pytest.mark.parametrize("after", ["move", "delete"])
def test_an_original_leaves_the_inbox_only_when_its_painting_is_on_disk(tmp_path, after):
    archive = {"archive": "archive"} if after == "move" else {}
    home = Home(tmp_path / "home", after=after, **archive, defaults=QUICK)
    original = Photos.rocket.read_bytes()
    for name in ("trip/day 1/rocket.jpg", "copy.jpg"):
        home.drop(Photos.rocket, name)
    home.write("trip/letter.jpg", "no photo\n")
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 1, daemon.log
    kept = {str(path.relative_to(home.inbox)) for path in home.inbox.rglob("*") if path.is_file()}
    assert kept == {"style.png", "trip/letter.jpg"}
    assert home.records() == ["copy", "trip/day 1/rocket"]
    assert_removed_after_it_was_done(daemon.events, "copy.jpg", "done")
    assert_removed_after_it_was_done(daemon.events, "trip/day 1/rocket.jpg", "copied")
    archived = {str(path.relative_to(home.archive)) for path in home.archive.rglob("*") if path.is_file()}
    assert archived == ({"trip/day 1/rocket.jpg", "copy.jpg"} if after == "move" else set())
    assert all((home.archive / name).read_bytes() == original for name in archived)


def assert_removed_after_it_was_done(events, photo: str, done: str) -> None:
    told = [event["event"] for event in events if event["photo"] == photo]
    assert told.index(done) < told.index("removed")


def test_polling_finds_photos_too_and_says_that_it_polls(tmp_path):
    home = Home(tmp_path / "home", watch="polling", polling_seconds=0.2, rescan_seconds=3600, defaults=QUICK)
    with home.daemon() as daemon:
        daemon.wait_for("watching")
        daemon.wait_for("scanned")
        home.drop(Photos.rocket, "new/rocket.jpg")
        daemon.wait_for("done", "new/rocket.jpg")
    assert daemon.returncode == 0


@contextlib.contextmanager
def service_manager(path) -> Iterator[list[str]]:
    """Collect what arrives at a socket like systemd's."""
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(0.2)
        over = threading.Event()

        def receive() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    told.append(manager.recv(4096).decode())

        thread = threading.Thread(target=receive)
        thread.start()
        try:
            yield told
        finally:
            over.set()
            thread.join()


def test_the_service_manager_is_told_of_start_work_and_stop(tmp_path):
    home = Home(tmp_path / "home", defaults=QUICK)
    home.drop(Photos.rocket)
    with service_manager(tmp_path / "notify") as told:
        with home.daemon(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000") as daemon:
            daemon.wait_for("done", "rocket.jpg")
            wait_until(lambda: any("1 done" in message for message in told), "a status")
            since = len(told)
            wait_until(lambda: told[since:].count("WATCHDOG=1") >= 3, "the watchdog's due")
        wait_until(lambda: "STOPPING=1" in told, "the end")
    assert told.count("READY=1") == 1
    assert told.index("READY=1") < told.index("STOPPING=1")
    assert any(message.startswith("STATUS=") and "rocket.jpg" in message for message in told)


def test_a_key_that_is_unknown_is_told_with_the_nearest_one(tmp_path):
    home = Home(tmp_path / "home", setle_seconds=1)
    answer = program("run", "--config", home.config, "--once")
    assert answer.returncode == 2
    assert f"{home.config}:" in answer.stderr
    assert "setle_seconds" in answer.stderr
    assert "did you mean 'settle_seconds'?" in answer.stderr


@pytest.mark.parametrize(
    ("folders", "word"),
    [
        ({"inbox": "out/in", "outbox": "out"}, "outbox"),
        ({"inbox": "in", "outbox": "in/out"}, "inbox"),
        ({"inbox": "same", "outbox": "same"}, "inbox itself"),
        ({"after": "move", "archive": "inbox/archive"}, "archive"),
    ],
)
def test_folders_that_would_swallow_each_other_are_refused_at_start(tmp_path, folders, word):
    home = Home(tmp_path / "home", **folders)
    answer = program("run", "--config", home.config, "--once")
    assert answer.returncode == 2
    assert word in answer.stderr
    assert not home.state.exists()
