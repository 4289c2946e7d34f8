"""The state folder over months: what no painting needs any more goes, so that it does not grow."""

import contextlib
from dataclasses import dataclass

from monet_watch.checkpoints import Checkpoints
from monet_watch.errors import LedgerError
from monet_watch.ledger import Ledger
from monet_watch.undelivered import Undelivered

__all__ = ["HOUSEKEEPING_SECONDS", "Housekeeping"]

HOUSEKEEPING_SECONDS = 3600.0
"""Between two rounds; the first is at the start."""


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Goes through the state folder. Only the loop calls it, for it changes the ledger."""

    ledger: Ledger
    checkpoints: Checkpoints
    undelivered: Undelivered

    def __call__(self) -> None:
        """Remove what is kept of paintings that nobody waits for; prune the ledger, and give free room back.

        A painting that is finished has lost its checkpoint, and what could not be delivered of it, already; here go
        those of photos that were deleted or have a problem, and whatever an end in the wrong moment left. Without the
        room that it takes, it is left for the next time. Raises LedgerError where the ledger cannot be read.
        """
        self.checkpoints.keep_only(self.ledger.wanted(self.checkpoints.identities()))
        self.undelivered.keep_only(self.ledger.wanted(self.undelivered.identities()))
        with contextlib.suppress(LedgerError):  # a full disk is told by whoever must write, not by who would tidy up
            self.ledger.prune()
            self.ledger.compact()
