"""The last checkpoint of each painting under way, in the state folder: what lets it go on after a stop."""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import remove_temporaries, write_whole

__all__ = ["Checkpoints"]

_SUFFIX = ".checkpoint"


class Checkpoints:
    """Checkpoints by the identity of their painting, in ``folder``; each replaces the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, identity: str, data: bytes) -> None:
        """Keep ``data``. Raises OutboxError where it cannot be written; the one before is kept then."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutboxError(f"{self.folder} cannot be made: {error.strerror or error}.") from error
        write_whole(self._path(identity), data)

    def load(self, identity: str) -> bytes | None:
        """Return what was saved last; None where nothing was, or where it cannot be read."""
        try:
            return self._path(identity).read_bytes()
        except OSError:
            return None  # the painting then begins again, which costs time and nothing else

    def discard(self, identity: str) -> None:
        """Forget the painting's checkpoint, if there is one."""
        with contextlib.suppress(OSError):
            self._path(identity).unlink(missing_ok=True)

    def identities(self) -> set[str]:
        """Return which paintings have one, as far as that can be seen."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 (names, not paths)
        except OSError:
            return set()
        return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}

    def keep_only(self, identities: Collection[str]) -> None:
        """Remove the checkpoints of all other paintings, and what interrupted writes left."""
        remove_temporaries(self.folder)
        for identity in self.identities().difference(identities):
            self.discard(identity)

    def _path(self, identity: str) -> Path:
        return self.folder / f"{identity}{_SUFFIX}"
