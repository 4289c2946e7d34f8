"""What was painted and could not be written into the outbox: kept in the state folder until it can be.

Where the state folder cannot be written either, it is kept in memory, as far as a limit allows. What finds no room is
painted again, from its last checkpoint.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from monet_watch.delivery import LOSS_PLOT_NAME, write_painting
from monet_watch.errors import OutboxError
from monet_watch.outbox.files import (
    PHOTO_NAME,
    RECORD_NAME,
    Outbox,
    further_name,
    painting_name,
    remove_temporaries,
)
from monet_watch.outbox.record import PaintingRecord, PhotoFacts

__all__ = ["Undelivered"]

_LIMIT_BYTES = 256 * 2**20


class Undelivered:
    """Files of paintings by the paintings' identities: stages, or all of a painting. Used by one thread."""

    def __init__(self, folder: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._disk = Outbox(folder)
        self._limit_bytes = limit_bytes
        self._memory: dict[str, dict[str, bytes]] = {}
        self._known = set(self._names())

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._disk.root)  # noqa: PTH208 (names, not paths)
        except OSError:
            return []

    def keep(self, identity: str, files: Mapping[str, bytes]) -> bool:
        """Keep ``files``, by their names; False if there is no room for them anywhere."""
        self._known.add(identity)
        try:
            for name, data in files.items():
                self._disk.write(PurePosixPath(identity), name, data)
        except OutboxError:
            return self._remember(identity, files)
        return True

    def _remember(self, identity: str, files: Mapping[str, bytes]) -> bool:
        held = sum(len(data) for each in self._memory.values() for data in each.values())
        if held + sum(map(len, files.values())) > self._limit_bytes:
            return False
        self._memory.setdefault(identity, {}).update(files)
        return True

    def save(self) -> None:
        """Put on disk what is in memory, as far as that can be done."""
        for identity, files in list(self._memory.items()):
            del self._memory[identity]
            self.keep(identity, files)

    def identities(self) -> list[str]:
        """Return the identities of all paintings of which anything is here."""
        return list(self._known)

    def paintings(self) -> list[str]:
        """Return the identities of the paintings that are here whole."""
        return [identity for identity in self._known if self.holds(identity)]

    def holds(self, identity: str) -> bool:
        """Whether all of a painting is here."""
        if identity not in self._known:
            return False
        return RECORD_NAME in self._memory.get(identity, {}) or self._disk.surely_holds(PurePosixPath(identity))

    def hand_over_stages(self, identity: str, outbox: Outbox, folder: PurePosixPath) -> None:
        """Write the stages that are here into ``folder``. Raises OutboxError where they cannot be written."""
        if identity not in self._known:
            return
        here = self._disk.stages(PurePosixPath(identity))
        for name in here:
            outbox.write(folder, name, self._disk.read(PurePosixPath(identity), name))
        for name, data in self._memory.get(identity, {}).items():
            if name.startswith("progress_"):
                outbox.write(folder, name, data)

    def hand_over(
        self, identity: str, outbox: Outbox, folder: PurePosixPath, photo: PhotoFacts
    ) -> PaintingRecord | None:
        """Write the painting that is here into ``folder``, for ``photo``; what is here stays until `discard`.

        None if its files cannot be read: it is discarded then. Raises OutboxError where it cannot be written.
        """
        try:
            record = PaintingRecord.from_bytes(self._read(identity, RECORD_NAME))
            others = [LOSS_PLOT_NAME, *([] if record.timelapse is None else [record.timelapse])]
            names = (record.painting, *record.further.values(), *others)
            pictures = [self._read(identity, name) for name in names]
        except OutboxError:
            self.discard(identity)
            return None
        painting = painting_name(photo.real_path().name)
        further = {kind: further_name(painting, kind) for kind in record.further}
        record = record.model_copy(update={"photo": photo, "painting": painting, "further": further})
        self.hand_over_stages(identity, outbox, folder)
        files = dict(zip((painting, *further.values(), *others), pictures, strict=True))
        with contextlib.suppress(OutboxError):  # what an earlier version has kept is without it
            files[PHOTO_NAME] = self._read(identity, PHOTO_NAME)
        return write_painting(outbox, folder, {**files, RECORD_NAME: record.to_bytes()})

    def _read(self, identity: str, name: str) -> bytes:
        remembered = self._memory.get(identity, {}).get(name)
        return self._disk.read(PurePosixPath(identity), name) if remembered is None else remembered

    def discard(self, identity: str) -> None:
        """Forget what is here of the painting, if anything is."""
        if identity in self._known:
            self._memory.pop(identity, None)
            self._known.discard(identity)
            shutil.rmtree(self._disk.root / identity, ignore_errors=True)

    def keep_only(self, identities: Collection[str]) -> None:
        """Remove all other paintings, and what interrupted writes left."""
        remove_temporaries(self._disk.root)
        for identity in self._known - set(identities):
            self.discard(identity)
