"""The inbox as it was when the watch began: where it really lies, and whether it is the same folder still."""

import os
from pathlib import Path, PurePosixPath

from monet_watch.inbox.survey import InboxGoneError, inbox_identity

__all__ = ["Home"]


class Home:
    """The folder ``root``, and where it really lies: inotify follows no symlink to it.

    Raises `InboxGoneError` if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._identity = inbox_identity(root)
        self.path = Path(os.path.realpath(root))

    def is_there(self) -> bool:
        """Whether the inbox is still the same folder."""
        try:
            return inbox_identity(self._root) == self._identity
        except InboxGoneError:
            return False

    def inside(self, place: bytes | str) -> PurePosixPath | None:
        """The path relative to the inbox; None for the inbox itself, what lies outside, and no place at all."""
        path = Path(os.fsdecode(place))
        if not place or path == self.path or not path.is_relative_to(self.path):
            return None
        return PurePosixPath(*path.relative_to(self.path).parts)

    def lacks(self, path: PurePosixPath) -> bool:
        """Whether nothing is at ``path``. An error is no proof of that, and neither is an inbox that is not there."""
        try:
            os.lstat(self.path / path)
        except (FileNotFoundError, NotADirectoryError):
            return self.is_there()
        except OSError:
            return False
        return False
