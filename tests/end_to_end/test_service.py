"""The real daemon under a service manager, which the test plays: it listens where systemd would."""

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import hangable
from tests.end_to_end.house import DaemonProcess, Home, Photos
from tests.end_to_end.service_manager import WATCHDOG_SECONDS, Manager

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="sd_notify(3) speaks over such sockets"),
]


@pytest.fixture
def manager(tmp_path) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as manager:
        yield manager


def is_ping(word: str) -> bool:
    return word == "WATCHDOG=1"


class HangableDaemon(DaemonProcess):
    """The daemon, whose loop hangs from SIGUSR1 on."""

    def __init__(self, home: Home, **env: str) -> None:
        super().__init__(home, **env)
        self._command[:1] = [Path(sys.executable), Path(hangable.__file__)]


def test_the_manager_is_told_that_it_is_ready_what_it_paints_and_when_it_stops(tmp_path, manager):
    home = Home(tmp_path / "home", defaults={"steps": 200, "least_gain": 0.0})
    home.drop(Photos.coffee)
    home.drop(Photos.rocket)
    with home.daemon(**manager.environment()) as daemon:
        manager.hear(lambda word: word == "READY=1")
        assert not list(daemon.told("painting"))
        status = manager.hear(lambda word: "1 queued" in word and "(step" in word)
        assert status.startswith("STATUS=painting ")
        daemon.signal(signal.SIGTERM)
        manager.hear(lambda word: word == "STOPPING=1")
        assert daemon.ended() == 0, daemon.log


def test_the_pings_end_when_the_loop_hangs_so_that_systemd_starts_the_daemon_again(tmp_path, manager):
    """What hangs is the loop alone: its threads and its worker live on, and none of them may speak for it."""
    home = Home(tmp_path / "home", defaults={"steps": 100_000, "least_gain": 0.0})
    home.drop(Photos.coffee)
    with HangableDaemon(home, **manager.environment()) as daemon:
        daemon.wait_for("step", "coffee.png")
        for _ in range(3):
            manager.hear(is_ping)
        daemon.signal(signal.SIGUSR1)
        with pytest.raises(TimeoutError):
            while True:
                manager.hear(is_ping, limit_seconds=WATCHDOG_SECONDS)
        assert daemon.worker()
        daemon.signal(signal.SIGABRT)  # what systemd sends by default
        assert daemon.ended() == -signal.SIGABRT
    with home.daemon(**manager.environment()) as daemon:
        daemon.wait_for("painting", "coffee.png")
        manager.hear(is_ping)
