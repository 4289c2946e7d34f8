"""The real daemon under a service manager, which the test plays: it listens where systemd would."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end import hangable
from tests.end_to_end.house import LIMIT_SECONDS, DaemonProcess, Home, Photos

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="sd_notify(3) speaks over such sockets"),
]

WATCHDOG_SECONDS = 4


class Manager:
    """A service manager, as far as its socket goes."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self.words: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000)}

    def hear(self, is_it: Callable[[str], bool], limit_seconds: float = LIMIT_SECONDS) -> str:
        """Return the next word of that kind. Raises TimeoutError where nothing at all is said for so long."""
        self._socket.settimeout(limit_seconds)
        while True:
            self.words.append(self._socket.recv(65536).decode())
            if is_it(self.words[-1]):
                return self.words[-1]


@pytest.fixture
def manager(tmp_path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


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
