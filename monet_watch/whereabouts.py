"""Whether outbox and archive are those that were written into: what lies below an unmounted share is another folder.

What is put into the empty folder that an unmounted share leaves behind is hidden as soon as it is mounted again, and
the original has left the inbox by then. What tells the two apart is the mount that the folder lies on.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.inbox.mounts import Mounts, mountinfo
from monet_watch.outbox.gallery.gallery import PAGE_NAME

__all__ = ["Whereabouts"]

_REMEDY = "Mount it again; if it is meant to be so, make a file or a folder there, and it counts as the {}."


class Whereabouts:
    """Remembers on which mount ``root``, the outbox or the archive as ``what`` says, lies, be it there or not.

    ``noted`` is what was written by ``note`` in an earlier run; where nothing was, it lies where it belongs.
    """

    def __init__(self, root: Path, noted: str, note: Callable[[str], None], what: str = "outbox") -> None:
        self._root = root
        self._what = what
        self._point = self._noted_point(noted)
        if self._point is None or (self._point != self._mount_point() and self._is_used()):
            self._point = self._mount_point()
            note(json.dumps({what: str(root), "mount": self._point}))

    def check(self) -> None:
        """Raise OutboxError if it lies on another mount than before, and nothing is there."""
        point = self._mount_point()
        if point == self._point:
            return
        if not self._is_used():
            where = f"does not lie on {self._point} any more, where it was: not mounted."
            raise OutboxError(f"The {self._what} {self._root} {where}", _REMEDY.format(self._what))
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

    def _noted_point(self, noted: str) -> str | None:
        try:
            known = json.loads(noted or "{}")
        except ValueError:
            return None
        is_of_it = isinstance(known, dict) and known.get(self._what) == str(self._root)
        point = known.get("mount") if is_of_it else None
        return point if isinstance(point, str) else None
