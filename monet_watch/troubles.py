"""Which troubles pass by themselves and which last, and how long is waited before the next try.

What passes is no fault of the photo's: no space on a disk, an I/O error, a permission taken away, no memory, a busy
file, a share that is away, a worker that died. It is tried again for ever, after pauses that double from `FIRST_PAUSE`
up to `LONGEST_PAUSE`. What lasts, such as a damaged photo or settings that cannot be used, is told once, and tried
again only when the photo or its settings change, or somebody asks for it.
"""

import errno

from monet_watch.errors import LedgerUnavailableError, OutboxError, WorkerError
from monet_watch.inbox.survey import InboxGoneError
from monet_watch.ledger import LONGEST_PUT_OFF_SECONDS

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "passes", "pause"]

FIRST_PAUSE = 30.0
"""Seconds before the second try."""

LONGEST_PAUSE = LONGEST_PUT_OFF_SECONDS
"""Seconds between two tries, however often it has been tried."""

_PASSING = (OutboxError, InboxGoneError, WorkerError, LedgerUnavailableError, MemoryError)
_PASSING_NUMBERS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENXIO, errno.ENODEV),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EBUSY, errno.EACCES, errno.EPERM),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ECONNRESET),
}


def passes(error: BaseException) -> bool:
    """Say whether what ``error`` tells of may go away without anybody touching the photo or its settings."""
    return isinstance(error, _PASSING) or (isinstance(error, OSError) and error.errno in _PASSING_NUMBERS)


def pause(times: int, first_seconds: float = FIRST_PAUSE) -> float:
    """Return the seconds to wait after the same thing has failed ``times`` times in a row (from 1)."""
    return min(first_seconds * 2.0 ** min(times - 1, 60), LONGEST_PAUSE)
