"""The parts of an inbox: where it is watched by events, and where it has to be looked through.

An inbox is mostly one part. Where something is mounted below it, each mount is a part of its own, and no part's folders
are gone through into another part.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monet_watch.inbox.mounts import Mounts

__all__ = ["Parts", "parts_of"]

_ROOT = PurePosixPath()


@dataclass(frozen=True, slots=True)
class Parts:
    """Where events tell of changes, and where they don't, with what it is that tells of none; relative to ``home``.

    ``enters`` says which folders are of any interest.
    """

    home: Path
    by_events: tuple[PurePosixPath, ...]
    by_polling: dict[PurePosixPath, str]
    enters: Callable[[PurePosixPath], bool]

    def folders_in(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        """The folders of interest right inside ``folder`` that belong to the same part. Raises OSError."""
        with os.scandir(self.home / folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return (path for path in map(folder.__truediv__, names) if self.holds(path))

    def holds(self, folder: PurePosixPath) -> bool:
        """Whether ``folder`` is of interest and belongs to the part that the folder above it is in."""
        return folder not in self.by_polling and folder not in self.by_events and self.enters(folder)


def parts_of(home: Path, mounts: Mounts, enters: Callable[[PurePosixPath], bool]) -> Parts:
    """The parts of the inbox that really lies at ``home``."""
    by_events, by_polling = [], {}
    inside = (PurePosixPath(*mount.point.parts[len(home.parts) :]) for mount in mounts.below(PurePosixPath(home)))
    for part in (_ROOT, *(path for path in inside if enters(path))):
        file_system = mounts.unseen(PurePosixPath(home) / part)
        if file_system:
            by_polling[part] = file_system
        else:
            by_events.append(part)
    return Parts(home, tuple(by_events), by_polling, enters)
