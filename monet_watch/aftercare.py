"""What becomes of a photo once its painting is safely on disk: it stays, moves to the archive, or goes.

It moves or goes only if it is still, byte for byte, the photo that was painted.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from monet_watch.errands import Errands
from monet_watch.errors import OutboxError, PhotoError
from monet_watch.inbox.settle import FileFacts
from monet_watch.inbox.survey import InboxGoneError, read_photo, remove_photo
from monet_watch.outbox.files import flush, make_folders, sync_folder, write_whole

__all__ = ["Aftercare", "Caretaker", "LookedAfter"]


@dataclass(frozen=True, slots=True)
class Aftercare:
    """Does with originals what the settings say. ``archive`` is needed where ``after`` is ``move``.

    ``check`` raises OutboxError where that folder is not the archive, such as while its share is not mounted.
    """

    inbox: Path
    after: Literal["keep", "move", "delete"]
    archive: Path | None
    limit_bytes: int
    check: Callable[[], None] = lambda: None

    def __call__(self, photo: PurePosixPath, sha256: str) -> str:
        """Treat ``photo`` (relative to the inbox) and return in words what was done; empty if nothing was.

        Raises OutboxError where the archive cannot be written or the original cannot be removed; then it is still
        where it was.
        """
        if self.after == "keep":
            return ""
        found = self._read(photo)
        if found is None or hashlib.sha256(found[0]).hexdigest() != sha256:
            return ""  # gone, or a later photo of the same name, which is another story
        try:
            return self._move(photo, *found) if self.after == "move" else self._delete(photo, found[1])
        except OSError as error:
            remedy = "Check the permissions of the inbox and of the archive, or set after: keep."
            raise OutboxError(f"{photo} cannot be put away: {error.strerror or error}.", remedy) from error

    def _move(self, photo: PurePosixPath, data: bytes, facts: FileFacts) -> str:
        archived = self._put_away(photo, data)
        return f"The photo was moved to {archived}." if self._remove(photo, facts) else ""

    def _delete(self, photo: PurePosixPath, facts: FileFacts) -> str:
        return "The photo was deleted." if self._remove(photo, facts) else ""

    def _read(self, photo: PurePosixPath) -> tuple[bytes, FileFacts] | None:
        try:
            return read_photo(self.inbox, photo, self.limit_bytes)
        except (PhotoError, InboxGoneError):
            return None  # the next scan sees it again

    def _put_away(self, photo: PurePosixPath, data: bytes) -> Path:
        """Write the photo into the archive beside what is there, with its time, and return where it lies.

        A file of the same bytes that is there already serves: an earlier run may have been stopped before it removed
        the original. It may not have come to flush it either.
        """
        assert self.archive is not None
        self.check()
        for target in self._targets(photo, data):
            make_folders(target.parent, self.archive)
            if not os.path.lexists(target):
                write_whole(target, data)
            elif not target.is_file() or target.read_bytes() != data:
                continue
            self._keep_time(photo, target)
            flush(target)
            return target
        raise OutboxError(f"There is no free name for {photo} in {self.archive}.")

    def _targets(self, photo: PurePosixPath, data: bytes) -> Iterator[Path]:
        assert self.archive is not None
        digest = hashlib.sha256(data).hexdigest()
        yield self.archive / photo
        yield self.archive / photo.with_name(f"{photo.stem}-{digest[:8]}{photo.suffix}")
        yield self.archive / photo.with_name(f"{digest}{photo.suffix}")

    def _keep_time(self, photo: PurePosixPath, target: Path) -> None:
        with contextlib.suppress(OSError):  # some shares refuse to set times; the photo itself is safe
            facts = (self.inbox / photo).stat()
            os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def _remove(self, photo: PurePosixPath, facts: FileFacts) -> bool:
        """Remove the photo that was read, with these ``facts``, and not one that has come in its place since."""
        is_removed = remove_photo(self.inbox, photo, facts)
        if is_removed:
            sync_folder((self.inbox / photo).parent)
        return is_removed


@dataclass(frozen=True, slots=True)
class LookedAfter:
    """What became of ``path``, the original of job ``id``: ``words``, empty if nothing; or why it stays."""

    id: int
    path: PurePosixPath
    words: str = ""
    fault: str = ""


class Caretaker(Errands[LookedAfter]):
    """The thread that looks after originals: hundreds at once, each to be read, written and flushed, take minutes.

    ``holds`` says whether a folder of the outbox holds a whole painting: where not, the original may be all there is,
    and stays.
    """

    def __init__(
        self, aftercare: Aftercare, holds: Callable[[PurePosixPath], bool], post: Callable[[LookedAfter], None]
    ) -> None:
        super().__init__("caretaker", post)
        self._aftercare = aftercare
        self._holds = holds

    @property
    def has_work(self) -> bool:
        """Whether anything is to become of originals at all."""
        return self._aftercare.after != "keep"

    def look_after(self, job_id: int, photo: PurePosixPath, sha256: str, folder: PurePosixPath) -> None:
        """Treat the original of the job whose painting lies in ``folder``: `LookedAfter` follows."""
        self.ask(lambda: (self._looked_after(job_id, photo, sha256, folder),))

    def _looked_after(self, job_id: int, photo: PurePosixPath, sha256: str, folder: PurePosixPath) -> LookedAfter:
        try:
            words = self._aftercare(photo, sha256) if self._holds(folder) else ""
        except Exception as error:  # the thread must live on
            return LookedAfter(job_id, photo, fault=str(error))
        return LookedAfter(job_id, photo, words)
