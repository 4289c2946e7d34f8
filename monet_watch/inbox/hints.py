"""What a watch says: frozen messages, hints and not the truth.

They may be doubled, late, out of order or lost, so whoever gets one looks for itself, and scans from time to time.
Paths are relative to the inbox; names that are not UTF-8 have surrogate escapes.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["EventsLost", "FileGone", "FileTouched", "FolderAppeared", "FolderGone", "WatchMessage"]


@dataclass(frozen=True, slots=True)
class FileTouched:
    """A file was made, written or moved in. ``closed``: whoever wrote it has closed it or moved it into place."""

    path: PurePosixPath
    closed: bool = False


@dataclass(frozen=True, slots=True)
class FileGone:
    """A file was deleted or moved away, and nothing bears its name."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class FolderAppeared:
    """A folder was made or moved in, or is watched from here on: its files may have no events of their own; scan it."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class FolderGone:
    """A folder was deleted or moved away, with everything below it."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class EventsLost:
    """More happened at once than the system remembers: nobody knows what; scan everything."""


WatchMessage = FileTouched | FileGone | FolderAppeared | FolderGone | EventsLost
"""What a watch posts."""
