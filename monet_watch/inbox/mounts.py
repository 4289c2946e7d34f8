"""What is mounted where, and which of it is changed by others without this kernel's knowing.

The text of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)) says it all: the inbox may lie on a share, and shares may
be mounted below it. A system without that file has no mounts that could be told apart.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Self

__all__ = ["MountPoint", "Mounts", "mountinfo", "needs_polling"]

_MOUNTINFO = Path("/proc/self/mountinfo")
_MOST_LAYERS = 8  # of overlays on overlays; in a container the layers' own places may lead round in a circle

# Where another machine, or another system under the same roof, changes files without this kernel's knowing.
_UNSEEN_CHANGES: Final = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "ncpfs", "afs", "coda", "9p", "fuse"),
        *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "ocfs2", "gfs2"),
        *("virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner"),
    )
)
_LAYER: Final = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir)=((?:\\.|[^,\\])*)")


def mountinfo() -> str:
    """What is mounted at this moment, in the kernel's words; nothing on a system that does not tell."""
    try:
        return os.fsdecode(_MOUNTINFO.read_bytes())
    except OSError:
        return ""


def needs_polling(file_system: str) -> bool:
    """Whether files of such a file system change without events: network, FUSE and shared-folder mounts.

    ``fuseblk`` is not one of them: it holds a disk of this machine.
    """
    return file_system in _UNSEEN_CHANGES or file_system.startswith("fuse.")


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount: where it is, its type (``nfs4``), and what is mounted (``nas:/photos``)."""

    point: PurePosixPath
    file_system: str
    source: str


@dataclass(frozen=True, slots=True)
class _Mount(MountPoint):
    number: str
    parent: str
    options: str


@dataclass(frozen=True, slots=True)
class Mounts:
    """All mounts that a process sees, from the text of its ``mountinfo``."""

    _mounts: tuple[_Mount, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a ``mountinfo``; lines that are none are passed over."""
        return cls(tuple(mount for mount in map(_mount, text.split("\n")) if mount))

    def holding(self, path: PurePosixPath) -> MountPoint | None:
        """The mount that the absolute ``path`` lies on, None if that cannot be told.

        The way goes from mount to mount as the kernel's does, so that what is hidden under a later mount does not
        count.
        """
        mounts = [mount for mount in self._mounts if path.is_relative_to(mount.point)]
        numbers = {mount.number for mount in mounts}
        reached = None
        while inner := [mount for mount in mounts if _hangs_on(mount, reached, numbers)]:
            reached = min(inner, key=lambda mount: len(mount.point.parts))
            mounts.remove(reached)
        return reached

    def file_system_of(self, path: PurePosixPath) -> str:
        """The type of the file system that the absolute ``path`` lies on, empty if that cannot be told."""
        mount = self.holding(path)
        return mount.file_system if mount else ""

    def below(self, folder: PurePosixPath) -> tuple[MountPoint, ...]:
        """The mounts that can be reached below the absolute ``folder``, those further up first."""
        inner = (mount for mount in self._mounts if mount.point != folder and mount.point.is_relative_to(folder))
        reached = {mount.point: mount for mount in inner if self.holding(mount.point) is mount}
        return tuple(reached[point] for point in sorted(reached))

    def unseen(self, path: PurePosixPath) -> str:
        """What at the absolute ``path`` is changed without events, as in "nfs4" or "overlay on nfs4"; empty if nothing.

        An overlay shows the changes of its layers, and passes no events on.
        """
        return self._unseen(path, _MOST_LAYERS)

    def _unseen(self, path: PurePosixPath, layers: int) -> str:
        mount = self.holding(path)
        if mount is None or not layers:
            return ""
        if mount.file_system == "overlay":
            below = (self._unseen(layer, layers - 1) for layer in _layers(mount))
            lower = next((found for found in below if found), "")
            return f"overlay on {lower}" if lower else ""
        return mount.file_system if needs_polling(mount.file_system) else ""


def _hangs_on(mount: _Mount, reached: _Mount | None, numbers: set[str]) -> bool:
    """Whether ``mount`` is mounted on ``reached``; on None, if its parent is out of sight."""
    parent = mount.parent if mount.parent in numbers else ""
    return parent == (reached.number if reached else "")


def _layers(mount: MountPoint) -> Iterator[PurePosixPath]:
    assert isinstance(mount, _Mount)
    for listed in _LAYER.findall(mount.options):
        for place in re.split(r"(?<!\\):+", listed):
            if place.startswith("/"):
                yield PurePosixPath(re.sub(r"\\(.)", r"\1", place))


def _mount(line: str) -> _Mount | None:
    mounted, _, kind = line.partition(" - ")
    fields, kinds = mounted.split(" "), kind.split(" ")
    if len(fields) < 5 or not kind:
        return None
    file_system, source, options = [*map(_plain, kinds), "", ""][:3]
    number, parent = fields[0], fields[1] if fields[1] != fields[0] else ""
    return _Mount(PurePosixPath(_plain(fields[4])), file_system, source, number, parent, options)


def _plain(field: str) -> str:
    """A field without the octal escapes of blanks and the like."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
