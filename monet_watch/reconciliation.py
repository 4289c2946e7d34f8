"""What the start puts in order: whatever the last run left behind, however it ended, and whatever ledger there is.

A ledger may be lost, or an older one be restored from a backup. The paintings' own records tell what is painted: one
that was finished after the ledger's last word cannot be known to it, and is read back. One that it does not know
although it was at work at that time was forgotten on purpose, and stays so.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from monet_watch.delivery import read_record
from monet_watch.errors import OutboxError
from monet_watch.ledger import HEARTBEAT_KEY, Ledger
from monet_watch.notices import Level, Listener, tell
from monet_watch.outbox.files import RECORD_NAME, Outbox, remove_temporaries
from monet_watch.outbox.record import PaintingRecord
from monet_watch.plan import Plan, PlannedStyle
from monet_watch.styles.library import StyleSource

__all__ = ["Reconciliation"]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Brings the ledger, the outbox and the archive (None: there is none) to one story before anything is painted.

    ``on_the_way`` is called again and again meanwhile, since large folders on slow shares take minutes; it may raise.
    """

    ledger: Ledger
    outbox: Outbox
    archive: Path | None
    listener: Listener
    on_the_way: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        """Look through both folders, once. Raises LedgerError."""
        self.ledger.recover()
        if self.archive is not None:
            remove_temporaries(self.archive, self.on_the_way)
        last_word, begun = float(self.ledger.noted(HEARTBEAT_KEY) or 0), []
        with self.ledger.batch():
            for contents in self.outbox.look_through():
                self.on_the_way()
                if contents.has_record and not self.ledger.is_painted(contents.folder):
                    self._read_back(contents.folder, last_word)
                begun += [contents.folder] if contents.is_begun else []
                if contents.has_reports:
                    self._clear_settings_report(contents.folder)
        for folder in begun:
            if self.ledger.folder_owner(folder) is None:
                self.outbox.remove_begun(folder)

    def _clear_settings_report(self, folder: PurePosixPath) -> None:
        """Nobody may look at the settings of ``folder`` again; where somebody does, what is wrong is told anew."""
        with contextlib.suppress(OutboxError):
            self.outbox.clear_problem(folder / "style.yaml")

    def _read_back(self, folder: PurePosixPath, last_word: float) -> None:
        try:
            record = read_record(self.outbox, folder)
            if self._is_unknown(folder, record, last_word):
                self.outbox.flush(folder)  # an original goes on the word of the ledger
                _remember(self.ledger, folder, record)
        except (OutboxError, ValueError) as error:  # the latter of values that no record of ours has
            path = self.outbox.root / folder / RECORD_NAME
            tell(self.listener, "problem", f"{path} was left out: {error}", level=Level.WARNING)

    def _is_unknown(self, folder: PurePosixPath, record: PaintingRecord, last_word: float) -> bool:
        owner = self.ledger.folder_owner(folder)
        if owner is not None:  # its own record is found when its turn comes
            return (owner.identity, owner.path) != (record.identity, record.photo.real_path())
        return _finished_at(record) >= int(last_word)  # records tell whole seconds


def _finished_at(record: PaintingRecord) -> float:
    return datetime.fromisoformat(record.times.finished).timestamp()


def _remember(ledger: Ledger, folder: PurePosixPath, record: PaintingRecord) -> None:
    styles = tuple(PlannedStyle(StyleSource(style.name, Path(style.name)), style.sha256) for style in record.styles)
    weights_facts = record.weights
    plan = Plan(record.settings_key, record.recipe, styles, record.origins, weights_facts.source, weights_facts.sha256)
    ledger.remember(
        record.photo.real_path(),
        size=record.photo.size_bytes,
        mtime_ns=record.photo.mtime_ns,
        photo_sha256=record.photo.sha256,
        settings_key=record.settings_key,
        identity=record.identity,
        settings=plan.to_json(),
        steps=len(record.curve.total),
        folder=folder,
        loss=record.delivered.total,
        width=record.width,
        height=record.height,
        finished_at=_finished_at(record),
    )
