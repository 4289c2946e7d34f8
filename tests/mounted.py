"""What the system says is mounted, for tests that cannot mount anything."""

from pathlib import Path

__all__ = ["System"]


class System:
    """What the system says is mounted, at the root and wherever a test says so."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._points: list[Path] = []
        self._write()

    def mount(self, point: Path) -> None:
        self._points.append(point)
        self._write()

    def unmount(self, point: Path) -> None:
        self._points.remove(point)
        self._write()

    def _write(self) -> None:
        lines = [f"{number} 27 0:{number} / {point} rw - nfs4 x rw" for number, point in enumerate(self._points, 30)]
        self._place.write_text("\n".join(["27 1 254:0 / / rw - ext4 /dev/vda rw", *lines]))
