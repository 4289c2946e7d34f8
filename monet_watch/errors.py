"""The error tree. Catch a branch to catch everything that grows on it.

::

    MonetWatchError                 anything this program says on purpose
    ├── SettingsError               a config or style.yaml that cannot be used (what, file:line:column, how to mend)
    ├── PhotoError                  a picture that cannot be painted, or used as a style
    │   ├── NotAPhotoError          the bytes are no picture that can be opened
    │   ├── TruncatedPhotoError     the picture ends too early: perhaps it is still being copied
    │   ├── PhotoTooLargeError      more pixels, or more bytes, than the limit allows
    │   └── UnreadablePhotoError    the file cannot be read (inbox.survey)
    │       ├── PhotoGoneError          it is not there
    │       └── ChangedWhileReadError   it changed while it was read
    ├── WeightsError                network weights that are missing, damaged or not the ones expected
    ├── PaintingError               the optimisation went wrong (a loss that is not finite)
    ├── WorkerError                 a worker that died, or could not start
    ├── OutboxError                 a result that could not be written
    ├── InboxGoneError              the inbox is not there (inbox.survey)
    ├── WatchRefusedError           the inbox cannot be watched in the way that was asked for (inbox.watch)
    └── LedgerError                 a record that cannot be read or was written by a later version
        ├── LedgerUnavailableError  a record that cannot be written at present (no space, an I/O error, busy)
        └── AlreadyRunningError     another daemon holds the state folder

Every message says what is wrong, where, and how to mend it, in words meant for the person who dropped the photo.
"""

__all__ = [
    "AlreadyRunningError",
    "LedgerError",
    "LedgerUnavailableError",
    "MonetWatchError",
    "NotAPhotoError",
    "OutboxError",
    "PaintingError",
    "PhotoError",
    "PhotoTooLargeError",
    "SettingsError",
    "TruncatedPhotoError",
    "WeightsError",
    "WorkerError",
]


class MonetWatchError(Exception):
    """Base of every error raised on purpose.

    ``message`` says what is wrong and where; ``remedy`` says what to do about it (may be empty).
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class SettingsError(MonetWatchError):
    """Settings that cannot be used; ``faults`` lists every one of them as ``file:line:column: key: what``."""

    def __init__(self, message: str, remedy: str = "", faults: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.args = (message, remedy, faults)
        self.faults = faults or (message,)


class PhotoError(MonetWatchError):
    """A picture that cannot be painted, or used as a style."""


class NotAPhotoError(PhotoError):
    """The bytes are no picture that can be opened."""


class TruncatedPhotoError(PhotoError):
    """The picture ends too early: perhaps it is still being copied."""


class PhotoTooLargeError(PhotoError):
    """The picture has more pixels, or more bytes, than the limit allows."""


class WeightsError(MonetWatchError):
    """Network weights that are missing, damaged or not the ones expected."""


class PaintingError(MonetWatchError):
    """The optimisation went wrong, as when a loss is not finite."""


class WorkerError(MonetWatchError):
    """A worker that died, or could not start."""


class OutboxError(MonetWatchError):
    """A result that could not be written."""


class LedgerError(MonetWatchError):
    """A record that cannot be read, or was written by a later version of the program."""


class LedgerUnavailableError(LedgerError):
    """A record that cannot be used at present: its disk is full or fails, or somebody holds it."""


class AlreadyRunningError(LedgerError):
    """Another daemon holds the state folder."""
