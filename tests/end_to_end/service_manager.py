"""A service manager, as far as a daemon sees of it: a socket on which it listens where systemd would."""

import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.end_to_end.house import LIMIT_SECONDS

__all__ = ["WATCHDOG_SECONDS", "Manager"]

WATCHDOG_SECONDS = 4


class Manager:
    """The socket at ``path``, and what was said there. Closed by `close`, or as a context manager."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self.words: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

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
