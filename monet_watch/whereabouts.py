"""Whether the outbox is the one that was painted into: what lies below an unmounted share is another folder.

What is painted into the empty folder that an unmounted share leaves behind is hidden as soon as it is mounted again,
and the original may be deleted by then. What tells the two apart is the mount that the folder lies on.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.inbox.mounts import Mounts, mountinfo
from monet_watch.outbox.gallery.gallery import PAGE_NAME

__all__ = ["Whereabouts"]

_REMEDY = "Mount it again; if it is meant to be so, make a file or a folder there, and it counts as the outbox."


class Whereabouts:
    """Remembers on which mount the outbox ``root`` lies.

    ``noted`` is what was written by ``note`` in an earlier run; where nothing was, it lies where it belongs.
    """

    def __init__(self, root: Path, noted: str, note: Callable[[str], None]) -> None:
        self._root = root
        self._point = _noted_point(root, noted)
        if self._point is None or (self._point != self._mount_point() and self._is_used()):
            self._point = self._mount_point()
            note(json.dumps({"outbox": str(root), "mount": self._point}))

    def check(self) -> None:
        """Raise OutboxError if the outbox lies on another mount than before, and nothing is there."""
        point = self._mount_point()
        if point == self._point:
            return
        if not self._is_used():
            message = f"The outbox {self._root} does not lie on {self._point} any more, where it was: not mounted."
            raise OutboxError(message, _REMEDY)
        self._point = point

    def _mount_point(self) -> str:
        mount = Mounts.parse(mountinfo()).holding(PurePosixPath(os.path.realpath(self._root)))
        return str(mount.point) if mount else ""

    def _is_used(self) -> bool:
        """Whether anything but what a daemon itself leaves at a start is there: no painting is as an index.html."""
        try:
            return any(not path.name.startswith(".") and path.name != PAGE_NAME for path in self._root.iterdir())
        except OSError:
            return False


def _noted_point(root: Path, noted: str) -> str | None:
    try:
        known = json.loads(noted or "{}")
    except ValueError:
        return None
    point = known.get("mount") if isinstance(known, dict) and known.get("outbox") == str(root) else None
    return point if isinstance(point, str) else None
