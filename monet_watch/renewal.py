"""The config changes while the daemon runs: it is read again, and taken over as a whole or not at all.

What it says takes effect at once, but for `RESTART_KEYS`: a config that changes one of those is refused until the
daemon is started again, and the one before it stays in force. So does it where the new one has a fault. A change of
what workers are made of lets each stop after a checkpoint; no other change touches what is being painted.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monet_watch.config import Config
from monet_watch.errors import SettingsError

__all__ = ["RESTART_KEYS", "WORKER_KEYS", "ConfigFile", "FileMark", "Renewal", "changes", "file_mark"]

RESTART_KEYS = frozenset({"inbox", "outbox", "state", "log.format"})
"""What a running daemon cannot change."""

WORKER_KEYS = frozenset(
    {
        *("weights", "devices", "workers_per_device", "threads", "memory_limit"),
        *("nice", "hang_seconds", "decode_seconds", "cluster"),
    }
)
"""What workers are made of."""

FileMark = tuple[int, int, int]
"""What `file_mark` returns."""

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Renewal:
    """A config to be taken over, which of its keys say something else than the one before, and its file's mark."""

    config: Config
    changed: frozenset[str]
    mark: FileMark | None = None

    @property
    def needs_new_workers(self) -> bool:
        """Whether those who paint cannot go on as they are."""
        return any(key.partition(".")[0] in WORKER_KEYS for key in self.changed)


def changes(before: Config, after: Config) -> frozenset[str]:
    """Return the keys that have other values; those of groups with a dot, such as ``log.level``."""
    return frozenset(_changes(before.model_dump(), after.model_dump()))


def _changes(before: dict[str, object], after: dict[str, object], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in after.items():
        other = before[key]
        if isinstance(value, dict) and isinstance(other, dict):
            found |= _changes(other, value, f"{prefix}{key}.")
        elif value != other:
            found.add(f"{prefix}{key}")
    return found


class ConfigFile:
    """The file of the ``config`` in force. ``read`` reads it anew; ``check`` raises an error for what cannot be used.

    ``mark`` is the file's from when that config was read: it may have been written since. ``clock`` is monotonic, in
    seconds. Without a file there is nothing to be seen, but `renewal` reads all the same.
    """

    def __init__(
        self,
        config: Config,
        mark: FileMark | None,
        read: Callable[[], Config],
        check: Callable[[Config], None],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._read = read
        self._check = check
        self._clock = clock
        self._known = self._seen = mark
        self._look_at = clock() + _LOOK_SECONDS

    def has_changed(self) -> bool:
        """Whether the file is another than when it was last read, and rests. It is looked at once a second."""
        if self._clock() < self._look_at:
            return False
        self._look_at = self._clock() + _LOOK_SECONDS
        seen, self._seen = self._seen, file_mark(self._config.source)
        return self._seen not in (None, self._known) and self._seen == seen

    def renewal(self) -> Renewal | None:
        """Read the file; None if it says what holds. Raises SettingsError, or what ``check`` raises, for a fault."""
        self._known = self._seen = file_mark(self._config.source)
        config = self._read()
        changed = changes(self._config, config)
        fixed = sorted(changed & RESTART_KEYS)
        if fixed:
            fault = f"{config.source}: {', '.join(fixed)} cannot change while it runs; restart monet-watch for that"
            raise SettingsError(fault, faults=(fault,))
        if not changed:
            return None
        self._check(config)
        return Renewal(config, changed, self._known)


def file_mark(path: Path | None) -> FileMark | None:
    """Return what is another when the file is written or replaced; None where none is."""
    if path is None:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 (looked at every second)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
