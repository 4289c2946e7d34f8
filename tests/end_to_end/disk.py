"""A disk as it would be found after a power cut, by the calls that the daemon has made.

`record` lays itself around the calls of the running program that change files, and writes one line for each into a
file; it is what `tests.end_to_end.faults` does where ``MONET_WATCH_CALLS`` names one. `Disk` follows such lines: a
file's bytes are on disk once it was flushed, its name is once its folder was, and so on for the folder itself.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Disk", "calls", "record"]


def record(log: Path) -> None:
    """Note from this moment on what the program asks of the file system, each call once it has been made."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    fsync, replace, unlink, mkdir = os.fsync, os.replace, os.unlink, os.mkdir

    def note(call: str, *paths: Any) -> None:
        os.write(descriptor, json.dumps([call, *map(os.fspath, paths)]).encode() + b"\n")

    def opened(number: int) -> Path:
        return Path(f"/proc/self/fd/{number}").readlink()

    def noted_fsync(file: Any) -> None:
        fsync(file)
        note("flushed", opened(file if isinstance(file, int) else file.fileno()))

    def noted_replace(source: Any, target: Any, **rest: Any) -> None:
        replace(source, target, **rest)
        note("renamed", source, target)

    def noted_unlink(path: Any, *, dir_fd: int | None = None) -> None:
        note("to be removed", path if dir_fd is None else opened(dir_fd) / path)
        unlink(path, dir_fd=dir_fd)

    def noted_mkdir(path: Any, *rest: Any, **more: Any) -> None:
        mkdir(path, *rest, **more)
        note("made", path)

    os.fsync, os.replace, os.unlink, os.mkdir = noted_fsync, noted_replace, noted_unlink, noted_mkdir


def calls(log: Path) -> Iterator[tuple[str, list[Path]]]:
    """What `record` wrote: the call, and the paths that it was about."""
    for line in log.read_text().splitlines():
        call, *paths = json.loads(line)
        yield call, [Path(path) for path in paths]


class Disk:
    """What is flushed of the files below ``root``, which is on disk itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bytes: set[Path] = set()
        self._names: set[Path] = set()
        self._unsafe_names: set[Path] = set()

    def follow(self, call: str, paths: list[Path]) -> None:
        """Take one call into account."""
        match call, paths:
            case "flushed", [path]:
                self._bytes.add(path)
                self._names |= {name for name in self._unsafe_names if name.parent == path}
            case "renamed", [source, target]:
                self._unsafe_names.add(target)
                self._names.discard(target)
                (self._bytes.add if source in self._bytes else self._bytes.discard)(target)
            case "made", [path]:
                self._unsafe_names.add(path)
                self._names.discard(path)

    def keeps(self, path: Path) -> bool:
        """Whether the file at ``path`` is whole after a power cut, and can be reached."""
        way = [path, *(folder for folder in path.parents if folder != self._root and folder.is_relative_to(self._root))]
        return path in self._bytes and self._names.issuperset(way)
