"""Whether the inbox is there, with all its shares: what is not mounted is not deleted.

An unmounted share leaves an empty folder behind, which looks like an inbox from which everything was removed. What
tells the two apart is where it lies: on another mount than before. That is noted, so that a restart does not forget it.
"""

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import Any

from monet_watch.inbox.mounts import Mounts, mountinfo
from monet_watch.inbox.survey import InboxGoneError, inbox_identity

__all__ = ["Presence"]

_REMEDY = "Mount it again; if it is meant to be so, put a photo there, and it counts as the inbox."


class Presence:
    """Remembers on which mount the inbox ``root`` lay, and what was mounted below it.

    ``noted`` is what `Presence` wrote by ``note`` in an earlier run; nothing is known at first.
    """

    def __init__(self, root: Path, noted: str = "", note: Callable[[str], None] = lambda text: None) -> None:
        self._root = root
        self._note = note
        self._noted = noted
        self._identity: tuple[int, int] | None = None
        self._text: str | None = None
        self._mounts = Mounts(())
        known = _read(noted)
        is_known = known.get("inbox") == str(root)
        self._point: str | None = known.get("mount") if is_known else None
        self._shares = {PurePosixPath(share) for share in known.get("shares", ())} if is_known else set()

    def check(self) -> None:
        """Raises InboxGoneError if the inbox is not there, or lies on another mount than at the last whole scan."""
        identity = inbox_identity(self._root)
        if identity == self._identity:
            return
        if self._has_moved():
            raise self._gone()
        self._identity = identity

    def scanned(self, found: Collection[bytes], is_missed: bool) -> None:
        """A whole scan found files at these paths: where the inbox lies is where it belongs from here on.

        Raises InboxGoneError, and changes nothing, if the inbox is not there, or if nothing is in it although a photo
        ``is_missed``, and it lies on another mount than before.
        """
        identity = inbox_identity(self._root)
        if not found and is_missed and self._has_moved():
            raise self._gone()
        self._identity, self._point = identity, self._mount_point()
        mounted = self._mounted_below()
        refilled = {share for share in self._shares - mounted if _is_any_in(share, found)}
        self._shares = (self._shares - refilled) | mounted
        self._keep()

    def missing(self) -> tuple[PurePosixPath, ...]:
        """The shares below the inbox that were mounted and are not."""
        return tuple(sorted(self._shares - self._mounted_below())) if self._shares else ()

    def share_missing_above(self, path: PurePosixPath) -> PurePosixPath | None:
        """The share that ``path`` lay on, if it is not mounted: then nothing is known about ``path``."""
        return next((share for share in self.missing() if path.is_relative_to(share)), None)

    def _has_moved(self) -> bool:
        return self._point is not None and self._mount_point() != self._point

    def _gone(self) -> InboxGoneError:
        return InboxGoneError(
            f"The inbox {self._root} does not lie on {self._point} any more, where it was: that is not mounted.",
            _REMEDY,
        )

    def _home(self) -> PurePosixPath:
        return PurePosixPath(os.path.realpath(self._root))

    def _mount_point(self) -> str:
        mount = self._current().holding(self._home())
        return str(mount.point) if mount else ""

    def _mounted_below(self) -> set[PurePosixPath]:
        home = self._home()
        return {mount.point.relative_to(home) for mount in self._current().below(home)}

    def _current(self) -> Mounts:
        text = mountinfo()
        if text != self._text:
            self._text, self._mounts = text, Mounts.parse(text)
        return self._mounts

    def _keep(self) -> None:
        shares = sorted(str(share) for share in self._shares)
        noted = json.dumps({"inbox": str(self._root), "mount": self._point, "shares": shares})
        if noted != self._noted:
            self._note(noted)
            self._noted = noted


def _is_any_in(folder: PurePosixPath, paths: Collection[bytes]) -> bool:
    above = os.fsencode(folder) + b"/"
    return any(path.startswith(above) for path in paths)


def _read(noted: str) -> dict[str, Any]:
    try:
        known = json.loads(noted or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
